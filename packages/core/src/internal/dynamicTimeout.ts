/**
 * How long an answer of a given length should take a given model, and the speed that is learned for it.
 */

import * as Duration from "effect/Duration"
import { type Check, inRange, millisOf, optionError, positiveDuration, wholeInRange } from "./options.ts"

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
  const expected = (estimate.outputTokens / tokensPerSecond) * 1000 + settings.perMessageMs * estimate.messages
  const limit = expected * settings.safetyFactor
  return Math.min(settings.maxMs, Math.max(settings.minMs, Number.isNaN(limit) ? settings.maxMs : limit))
}

/** Answers shorter than this say more about the network than about the model. */
const smallestSample = 8

/** The speed after one more answer: an exponentially weighted mean. Samples without meaning change nothing. */
export const learn = (
  rate: number | undefined,
  tokens: number,
  elapsedMs: number,
  smoothing: number
): number | undefined => {
  if (!(tokens >= smallestSample) || !(elapsedMs > 0) || !Number.isFinite(tokens / elapsedMs)) return rate
  const sample = (tokens / elapsedMs) * 1000
  return rate === undefined ? sample : rate + smoothing * (sample - rate)
}

/** Every default, in one place. */
export const dynamicDefaults = {
  tokensPerSecond: 30,
  outputTokens: 2_000,
  perMessage: Duration.millis(500),
  safetyFactor: 2,
  min: Duration.seconds(30),
  max: Duration.seconds(600),
  smoothing: 0.2,
  maxKeys: 1_000
}

export interface DynamicOptions {
  /** The speed of a model that was never seen. Default 30. */
  readonly tokensPerSecond?: number
  /** The length of an answer whose request has no limit of its own. Default 2,000. */
  readonly outputTokens?: number
  /** Allowed for each message of the prompt. Default 0.5 s. */
  readonly perMessage?: Duration.Input
  /** From 1 to 100. Default 2. */
  readonly safetyFactor?: number
  /** Default 30 s. */
  readonly min?: Duration.Input
  /** Default 600 s. */
  readonly max?: Duration.Input
  /** The weight of the newest answer in the learned speed; above 0, at most 1. Default 0.2. */
  readonly smoothing?: number
  /** Models kept; the one not heard of for longest is forgotten. Default 1,000. */
  readonly maxKeys?: number
}

/** The checks of all options. */
export const checkDynamic = (options: DynamicOptions): ReadonlyArray<Check> => {
  const all = { ...dynamicDefaults, ...options }
  return [
    inRange("dynamic.tokensPerSecond", all.tokensPerSecond, 0.01, 1_000_000),
    wholeInRange("dynamic.outputTokens", all.outputTokens, 1),
    positiveDuration("dynamic.perMessage", all.perMessage),
    inRange("dynamic.safetyFactor", all.safetyFactor, 1, 100),
    positiveDuration("dynamic.min", all.min),
    positiveDuration("dynamic.max", all.max),
    (millisOf(all.max) ?? 0) < (millisOf(all.min) ?? 0)
      ? optionError("dynamic.max", all.max, "a duration of at least dynamic.min")
      : undefined,
    inRange("dynamic.smoothing", all.smoothing, 0.000_001, 1),
    wholeInRange("dynamic.maxKeys", all.maxKeys, 1)
  ]
}
