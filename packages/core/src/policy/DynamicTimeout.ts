/**
 * A limit for an attempt from the length of the answer that is expected and the speed of the model, learned from
 * the answers it gave.
 *
 * (output tokens ÷ tokens a second + 0.5 s × messages) × safety factor, between 30 s and 600 s. The speed is an
 * exponentially weighted mean.
 */
import { checkDynamic, dynamicDefaults, type DynamicOptions, learn, limitMs } from "../internal/dynamicTimeout.ts"
import { millisOf, validateOrThrow } from "../internal/options.ts"

/** Every default, in one place. */
export const defaults = dynamicDefaults

export interface Options extends DynamicOptions {}

/** Limits by model. Synchronous, never throws. */
export interface DynamicTimeout {
  /** Milliseconds for an attempt. `maxTokens`: the request's own limit of the answer, if it has one. */
  readonly limitMs: (key: string, messages: number, maxTokens: number | undefined) => number
  /** Books an answer: its tokens, and the time from the first of them to the last. Fewer than 8 teach nothing. */
  readonly learn: (key: string, outputTokens: number, elapsedMs: number) => void
  /** The learned speeds, in tokens a second. */
  readonly snapshot: () => ReadonlyArray<{ readonly key: string; readonly tokensPerSecond: number }>
}

/** Starts with nothing learned. Throws a `ConfigError` for a wrong option. */
export const make = (options: Options = {}): DynamicTimeout => {
  validateOrThrow(checkDynamic(options))
  const all = { ...defaults, ...options }
  const settings = {
    ...all,
    minMs: millisOf(all.min)!,
    maxMs: millisOf(all.max)!,
    perMessageMs: millisOf(all.perMessage)!
  }
  const rates = new Map<string, number>()
  return {
    limitMs: (key, messages, maxTokens) =>
      limitMs(settings, rates.get(key) ?? all.tokensPerSecond, {
        outputTokens: maxTokens ?? all.outputTokens,
        messages
      }),
    learn: (key, outputTokens, elapsedMs) => {
      const rate = learn(rates.get(key), outputTokens, elapsedMs, all.smoothing)
      if (rate === undefined) return
      // Deleting first moves the key to the end: the head of the map is the one not heard of for longest.
      rates.delete(key)
      rates.set(key, rate)
      if (rates.size <= all.maxKeys) return
      for (const oldest of rates.keys()) {
        rates.delete(oldest)
        break
      }
    },
    snapshot: () => Array.from(rates, ([key, tokensPerSecond]) => ({ key, tokensPerSecond }))
  }
}
