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

/** Limits by model. Synchronous, never throws. */
export interface Dynamic {
  /** Milliseconds for an attempt. `maxTokens`: the request's own limit of the answer, if it has one. */
  readonly limitMs: (key: string, messages: number, maxTokens: number | undefined) => number
  /** Books an answer: its tokens, and the time from the first of them to the last. Fewer than 8 teach nothing. */
  readonly learn: (key: string, outputTokens: number, elapsedMs: number) => void
  /** The learned speeds, in tokens a second. */
  readonly snapshot: () => ReadonlyArray<{ readonly key: string; readonly tokensPerSecond: number }>
}

/** Learned speeds by model, at most `maxKeys` of them: the one not heard of for longest goes. */
export const make = (settings: DynamicSettings, outputTokens: number, maxKeys: number): Dynamic => {
  const rates = new Map<string, number>()
  return {
    limitMs: (key, messages, maxTokens) =>
      limitMs(settings, rates.get(key) ?? settings.tokensPerSecond, {
        outputTokens: maxTokens ?? outputTokens,
        messages
      }),
    learn: (key, tokens, elapsedMs) => {
      const rate = learn(rates.get(key), tokens, elapsedMs, settings.smoothing)
      if (rate === undefined) return
      // Deleting first moves the key to the end: the head of the map is the one not heard of for longest.
      rates.delete(key)
      rates.set(key, rate)
      if (rates.size <= maxKeys) return
      for (const oldest of rates.keys()) {
        rates.delete(oldest)
        break
      }
    },
    snapshot: () => Array.from(rates, ([key, tokensPerSecond]) => ({ key, tokensPerSecond }))
  }
}
