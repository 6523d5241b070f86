/**
 * What the models of Gemini accept, read off their names: `gemini-2.5-flash`, `gemini-3-pro-preview`,
 * `gemini-embedding-001`. A name that is not understood is treated as one of the newest.
 */
import type { Model, Request } from "@breakwater/core"

const parse = (model: string): { readonly version: number; readonly pro: boolean } | undefined => {
  const match = /gemini-(\d{1,2})(?:\.(\d{1,2}))?/.exec(model)
  // 2.5 is 205: whole numbers compare without surprises.
  return match === null
    ? undefined
    : { version: Number(match[1]) * 100 + Number(match[2] ?? 0), pro: model.includes("-pro") }
}

const isEmbedding = (model: string): boolean => model.includes("embedding")

/** Whether a model insists on the signature of its function calls (3 and later). */
export const needsSignatures = (model: string): boolean => (parse(model)?.version ?? 0) >= 300

/** The capabilities of a model. Prefill is not promised: it is not documented. */
export const capabilities = (model: string): Model.Capabilities => {
  if (isEmbedding(model)) return { embeddings: true, tools: false, prefill: false, jsonSchema: false }
  const name = parse(model)
  const known =
    name === undefined || name.version < 200
      ? {}
      : { contextWindow: 1_048_576, maxOutputTokens: name.version >= 205 ? 65_536 : 8_192 }
  return { prefill: false, tools: true, jsonSchema: true, vision: true, embeddings: false, ...known }
}

type Effort = Request.ReasoningEffort

// Version 2.5 counts thoughts in tokens. Its pro model cannot be kept from thinking: 128 is its least.
const budgets: { readonly [E in Exclude<Effort, "none">]: number } = {
  minimal: 512,
  low: 1_024,
  medium: 8_192,
  high: 24_576
}

const levels: { readonly [E in Effort]: string } = {
  none: "MINIMAL",
  minimal: "MINIMAL",
  low: "LOW",
  medium: "MEDIUM",
  high: "HIGH"
}

// The pro models know no level below low, and the first of them none between low and high.
const proLevels: { readonly [E in Effort]: string } = { ...levels, none: "LOW", minimal: "LOW" }

/** `thinkingConfig` for an effort; `undefined` for models that do not think. Never both a budget and a level. */
export const thinkingConfig = (model: string, effort: Effort): Record<string, unknown> | undefined => {
  const name = parse(model) ?? { version: 300, pro: false }
  const includeThoughts = effort !== "none"
  if (name.version < 205) return undefined
  if (name.version < 300) {
    const budget = effort === "none" ? (name.pro ? 128 : 0) : budgets[effort]
    return { thinkingBudget: budget, includeThoughts }
  }
  const level = (name.pro ? proLevels : levels)[effort]
  return { thinkingLevel: name.version === 300 && level === "MEDIUM" && name.pro ? "HIGH" : level, includeThoughts }
}
