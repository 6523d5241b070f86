/**
 * The options of a hedge, their defaults, and their check.
 */
import type * as Config from "effect/Config"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { HedgeSettings } from "../../internal/hedgeState.ts"
import {
  type Check,
  inRange,
  millisOf,
  optionError,
  positiveDuration,
  validate,
  wholeInRange
} from "../../internal/options.ts"

export interface Options {
  /** The quantile of recent times to a first result after which another attempt is made, from 0.5 to 0.999. Default 0.95. */
  readonly quantile?: number
  /** Results of a key before its calls are hedged, from 1; old ones count less. Default 20. */
  readonly minSamples?: number
  /** Never sooner than this. Default 10 milliseconds. */
  readonly minDelay?: Duration.Input
  /** Never later than this, whatever was measured. Default 60 seconds. */
  readonly maxDelay?: Duration.Input
  /** Extra calls for each call, above 0 and at most 1. Default 0.05. */
  readonly budget?: number
  /** Extra calls that quiet times can save up, from 1 to 1,000. Default 10. */
  readonly burst?: number
  /** Extra attempts for one call at most, from 1 to 10. Default 1. */
  readonly maxHedges?: number
  /** After this time a measured result weighs half. Default 10 minutes. */
  readonly halfLife?: Duration.Input
  /** A key not used for this long is forgotten. Default 1 hour. */
  readonly idleTimeToLive?: Duration.Input
  /** About how many keys are remembered at most, about 1 KB each; those used longest ago go first. Default 10,000. */
  readonly maxKeys?: number
}

/** Every default, by the name of its option. */
export const defaults = {
  quantile: 0.95,
  minSamples: 20,
  minDelay: "10 millis",
  maxDelay: "60 seconds",
  budget: 0.05,
  burst: 10,
  maxHedges: 1,
  halfLife: "10 minutes",
  idleTimeToLive: "1 hour",
  maxKeys: 10_000
} as const satisfies Options

/** Checked options. */
export interface Resolved {
  readonly state: HedgeSettings
  readonly maxHedges: number
  readonly idleMs: number
  readonly maxKeys: number
}

const at = (field: string): string => `hedge.${field}`

const share = (field: string, value: number): Check =>
  typeof value === "number" && value > 0 && value <= 1
    ? undefined
    : optionError(at(field), value, "a number above 0, at most 1")

/** Fails with a `ConfigError` that names the first wrong option. */
export const resolve = (options: Options): Effect.Effect<Resolved, Config.ConfigError> =>
  Effect.suspend(() => {
    const all = { ...defaults, ...options }
    const minDelayMs = millisOf(all.minDelay) ?? 0
    return Effect.map(
      validate([
        inRange(at("quantile"), all.quantile, 0.5, 0.999),
        wholeInRange(at("minSamples"), all.minSamples, 1),
        positiveDuration(at("minDelay"), all.minDelay),
        positiveDuration(at("maxDelay"), all.maxDelay),
        (millisOf(all.maxDelay) ?? 0) >= minDelayMs
          ? undefined
          : optionError(at("maxDelay"), all.maxDelay, "a duration not below minDelay"),
        share("budget", all.budget),
        wholeInRange(at("burst"), all.burst, 1, 1_000),
        wholeInRange(at("maxHedges"), all.maxHedges, 1, 10),
        positiveDuration(at("halfLife"), all.halfLife),
        positiveDuration(at("idleTimeToLive"), all.idleTimeToLive),
        wholeInRange(at("maxKeys"), all.maxKeys, 2)
      ]),
      (): Resolved => ({
        state: {
          quantile: all.quantile,
          minSamples: all.minSamples,
          minDelayMs,
          maxDelayMs: millisOf(all.maxDelay)!,
          halfLifeMs: millisOf(all.halfLife)!,
          ratio: all.budget,
          burst: all.burst
        },
        maxHedges: all.maxHedges,
        idleMs: millisOf(all.idleTimeToLive)!,
        maxKeys: all.maxKeys
      })
    )
  })
