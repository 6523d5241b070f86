/**
 * What a call consumed, in tokens.
 *
 * Providers disagree on whether the prompt count includes cached tokens and whether the output
 * count includes reasoning. Here both totals always include their parts, and each codec converts in
 * one place.
 */
import * as Schema from "effect/Schema"

const Count = Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))

/** Schema of {@link Usage}, for the edges. */
export const Usage = Schema.Struct({
  inputTokens: Count,
  outputTokens: Count,
  cachedInputTokens: Schema.optionalKey(Count),
  cacheWriteTokens: Schema.optionalKey(Count),
  /** Of the tokens written to the cache, those kept for an hour: they cost more. */
  longCacheWriteTokens: Schema.optionalKey(Count),
  reasoningTokens: Schema.optionalKey(Count),
  audioInputTokens: Schema.optionalKey(Count),
  audioOutputTokens: Schema.optionalKey(Count),
  imageInputTokens: Schema.optionalKey(Count),
  imageOutputTokens: Schema.optionalKey(Count),
  /** The amount in US dollars that the provider itself reported for the call, if it reports one. */
  reportedCostUsd: Schema.optionalKey(Schema.Finite),
  /** True when the provider sent no usage and the counts were estimated from the text. */
  estimated: Schema.optionalKey(Schema.Boolean)
})

/**
 * Tokens of one attempt, or of several added up.
 *
 * - `inputTokens`: the whole prompt, cached reads and cache writes included
 * - `outputTokens`: the whole answer, reasoning included
 */
export type Usage = typeof Usage.Type

/** No tokens at all. */
export const zero: Usage = { inputTokens: 0, outputTokens: 0 }

const optionalCounts = [
  "cachedInputTokens",
  "cacheWriteTokens",
  "longCacheWriteTokens",
  "reasoningTokens",
  "audioInputTokens",
  "audioOutputTokens",
  "imageInputTokens",
  "imageOutputTokens",
  "reportedCostUsd"
] as const

/** Adds two usages. The sum is estimated if either part was. */
export const add = (a: Usage, b: Usage): Usage => {
  const out: { -readonly [K in keyof Usage]: Usage[K] } = {
    inputTokens: a.inputTokens + b.inputTokens,
    outputTokens: a.outputTokens + b.outputTokens
  }
  for (const key of optionalCounts) {
    const x = a[key]
    const y = b[key]
    if (x !== undefined || y !== undefined) out[key] = (x ?? 0) + (y ?? 0)
  }
  if (a.estimated === true || b.estimated === true) out.estimated = true
  return out
}

/** A rough count of the tokens of a text: one for four characters, and at least one if there is any text. */
export const estimateTokens = (characters: number): number => Math.ceil(characters / 4)
