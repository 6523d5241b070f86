/**
 * How long an answer of a given length should take a given model, and the speed that is learned for it.
 */

/** Validated settings; times in milliseconds. */
export interface DynamicSettings {
  /** Tokens a second assumed for a model that was never seen. */
  readonly tokensPerSecond: number
  /** Allowance for every message of the prompt. */
  readonly perMessageMs: number
  readonly safetyFactor: number
  readonly minMs: number
  readonly maxMs: number
  /** The weight of a new observation, above 0 and at most 1. */
  readonly smoothing: number
}

/** What is known of a request before it is sent. */
export interface Estimate {
  /** Tokens of the answer, as expected or as capped by the caller. */
  readonly outputTokens: number
  readonly messages: number
}

/** (output tokens ÷ tokens a second + allowance × messages) × safety factor, between the bounds. */
export const limitMs = (settings: DynamicSettings, tokensPerSecond: number, estimate: Estimate): number => {
  const expected = estimate.outputTokens / tokensPerSecond * 1000 + settings.perMessageMs * estimate.messages
  const limit = expected * settings.safetyFactor
  return Math.min(settings.maxMs, Math.max(settings.minMs, Number.isNaN(limit) ? settings.maxMs : limit))
}

/** Answers shorter than this say more about the network than about the model. */
export const smallestSample = 8

/** The speed after one more answer: an exponentially weighted mean. Samples without meaning change nothing. */
export const learn = (
  rate: number | undefined,
  tokens: number,
  elapsedMs: number,
  smoothing: number
): number | undefined => {
  if (!(tokens >= smallestSample) || !(elapsedMs > 0) || !Number.isFinite(tokens / elapsedMs)) return rate
  const sample = tokens / elapsedMs * 1000
  return rate === undefined ? sample : rate + smoothing * (sample - rate)
}
