/**
 * What may be done by itself when an alert fires: hold a circuit open, shift a route, turn a flag. Off unless given.
 *
 * Each application is bounded in time and in number, is taken back when the alert is resolved, and is told as a record.
 */
import { type CircuitBreaker, Options } from "@breakwater/core"
import type * as Config from "effect/Config"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { Alert } from "./internal/evaluator.ts"

/** Takes a remedy back. */
export type TakeBack = Effect.Effect<void>

/** A remedy. */
export interface Remedy {
  /** For records. */
  readonly name: string
  /** Names of the rules whose alerts it is for. */
  readonly rules: ReadonlyArray<string>
  /** Applies it to an alert, and answers with what takes it back. It has ten seconds. */
  readonly apply: (alert: Alert) => Effect.Effect<TakeBack, unknown>
  /** It is taken back after this time, even if the alert goes on. Default 10 minutes. */
  readonly maxFor?: Duration.Input
  /** Times an hour at most; above that nothing is done. 1 to 1,000, default 3. */
  readonly perHour?: number
}

/** Defaults of every remedy. */
export const defaults = { maxFor: "10 minutes", perHour: 3 } as const satisfies Partial<Remedy>

/** The first wrong option of a remedy. */
export const check = (remedy: Remedy): Effect.Effect<void, Config.ConfigError> =>
  Options.validate([
    remedy.rules.length > 0 ? undefined : Options.optionError("remedies.rules", "[]", "names of rules"),
    Options.positiveDuration("remedies.maxFor", remedy.maxFor ?? defaults.maxFor),
    Options.wholeInRange("remedies.perHour", remedy.perHour ?? defaults.perHour, 1, 1_000)
  ])

type Bounds = Pick<Remedy, "rules" | "maxFor" | "perHour"> & { readonly name?: string }

/**
 * Holds a circuit open, so that calls go elsewhere at once. `key` says which: by default the alert's own, which is a
 * target for `error-ratio` with `perTarget`. Alerts without a key do nothing.
 */
export const openBreaker = (
  options: Bounds & {
    readonly breaker: Pick<CircuitBreaker.CircuitBreakerService, "forceOpen">
    readonly key?: (alert: Alert) => string | undefined
  }
): Remedy => {
  const { breaker, key = (alert: Alert) => alert.key, name = "open-breaker", ...bounds } = options
  return {
    ...bounds,
    name,
    apply: (alert) => {
      const which = key(alert)
      return which === undefined || which === "" ? Effect.succeed(Effect.void) : breaker.forceOpen(which)
    }
  }
}

/** Runs an effect of your own, and another one when the alert is over or the time is up. */
export const callback = (
  options: Bounds & {
    readonly name: string
    readonly apply: (alert: Alert) => Effect.Effect<unknown, unknown>
    readonly takeBack?: (alert: Alert) => Effect.Effect<unknown, unknown>
  }
): Remedy => {
  const { apply, takeBack, ...bounds } = options
  return {
    ...bounds,
    apply: (alert) =>
      Effect.as(
        apply(alert),
        takeBack === undefined ? Effect.void : Effect.ignore(Effect.suspend(() => takeBack(alert)))
      )
  }
}
