/**
 * What the models of Anthropic accept, read off their names.
 *
 * The rules are cutoffs by version, not lists of names, so that a model of tomorrow is treated like the newest
 * of today. A name that is not understood (a proxy's alias, another vendor behind the same wire) is sent what was
 * asked for, and promised nothing but tools.
 */
import type { Model } from "@breakwater/core"

type Family = "opus" | "sonnet" | "haiku" | "fable" | "mythos"

interface ModelName {
  readonly family: Family
  /** 4.6 is 406: whole numbers compare without surprises. */
  readonly version: number
}

const byFamily = /(opus|sonnet|haiku|fable|mythos)-(\d{1,2})(?:[-.](\d{1,2}))?(?!\d)/
const byVersion = /claude-(\d)(?:[-.](\d))?-(opus|sonnet|haiku)/

/** Reads `claude-sonnet-4-5-20250929`, `claude-3-5-haiku-latest`, `us.anthropic.claude-opus-4-6-v1`. */
const parse = (model: string): ModelName | undefined => {
  const old = byVersion.exec(model)
  if (old !== null) return { family: old[3] as Family, version: Number(old[1]) * 100 + Number(old[2] ?? 0) }
  const now = byFamily.exec(model)
  if (now !== null) return { family: now[1] as Family, version: Number(now[2]) * 100 + Number(now[3] ?? 0) }
  return model.includes("claude-mythos") ? { family: "mythos", version: 407 } : undefined
}

/** What decides the shape of a request. */
export interface Traits {
  /** `one`: temperature or top_p, not both. `none`: any of them is refused with a 400. */
  readonly sampling: "all" | "one" | "none"
  /** How thinking is asked for: not at all, with a budget in tokens, or by effort. */
  readonly thinking: "none" | "budget" | "adaptive"
  /** What `effort: "none"` means: it is off unless asked for, it can be turned off, or it is always on. */
  readonly thinkingOff: "default" | "disabled" | "impossible"
  /** Whether `output_config.effort` is accepted. */
  readonly effort: boolean
}

const unknownTraits: Traits = { sampling: "all", thinking: "budget", thinkingOff: "default", effort: false }

/** The traits of a model, by its name. */
export const traits = (model: string): Traits => {
  const name = parse(model)
  if (name === undefined) return unknownTraits
  const { family, version } = name
  const alwaysOn = family === "fable" || family === "mythos" || version > 500
  return {
    sampling: version >= 407 ? "none" : version >= 401 ? "one" : "all",
    thinking: version >= 406 ? "adaptive" : version >= 307 ? "budget" : "none",
    thinkingOff: alwaysOn ? "impossible" : version >= 500 ? "disabled" : "default",
    effort: version >= 406 || (family === "opus" && version === 405)
  }
}

const maxOutput = ({ family, version }: ModelName): number => {
  if (family === "haiku") return version >= 405 ? 64_000 : version >= 305 ? 8_192 : 4_096
  if (version >= 406) return 128_000
  if (version >= 405 || (family === "sonnet" && version >= 307)) return 64_000
  if (version >= 400) return 32_000
  return version >= 305 ? 8_192 : 4_096
}

/**
 * The capabilities of a model. Prefill ended with 4.6: those models and all later ones answer a last message of
 * the assistant with a 400. Structured outputs began with 4.5.
 */
export const capabilities = (model: string): Model.Capabilities => {
  const name = parse(model)
  if (name === undefined) return { tools: true }
  const { family, version } = name
  const window = family === "haiku" ? (version >= 500 ? undefined : 200_000) : version >= 406 ? 1_000_000 : 200_000
  return {
    prefill: version < 406,
    tools: true,
    jsonSchema: version >= 405,
    vision: true,
    embeddings: false,
    maxOutputTokens: maxOutput(name),
    ...(window === undefined ? {} : { contextWindow: window })
  }
}
