/**
 * What OpenAI's models can do, by the beginnings of their names. Windows and limits as OpenAI's model pages state
 * them in 2026; a model that is not here has none, and nothing is assumed of it.
 */
import type { Model } from "@breakwater/core"
import type { Dialect } from "./Dialect.ts"

/** OpenAI's own wire, and Azure's. */
export const openAiDialect: Dialect = { maxTokensField: "max_completion_tokens", topK: false }

const sizes: ReadonlyArray<readonly [prefix: string, contextWindow: number, maxOutputTokens: number]> = [
  ["gpt-5", 400_000, 128_000],
  ["gpt-4.1", 1_047_576, 32_768],
  ["gpt-4o", 128_000, 16_384],
  ["chatgpt-4o", 128_000, 16_384],
  ["gpt-4-turbo", 128_000, 4096],
  ["gpt-4", 8192, 8192],
  ["gpt-3.5-turbo", 16_385, 4096],
  ["o1", 200_000, 100_000],
  ["o3", 200_000, 100_000],
  ["o4-mini", 200_000, 100_000]
]

const general: Model.Capabilities = { tools: true, jsonSchema: true, vision: true, prefill: false }

/** The capabilities of a model of OpenAI's. */
export const openAiCapabilities = (model: string): Model.Capabilities => {
  if (model.startsWith("text-embedding")) return { embeddings: true, contextWindow: 8191 }
  for (const [prefix, contextWindow, maxOutputTokens] of sizes) {
    if (model.startsWith(prefix)) return { ...general, contextWindow, maxOutputTokens }
  }
  return general
}
