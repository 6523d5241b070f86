/**
 * The options of a circuit breaker, their defaults, and their check.
 */
import type * as Config from "effect/Config"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { AdaptiveSettings } from "../../internal/breakerMath.ts"
import type { WindowSettings } from "../../internal/breakerWindow.ts"
import type { Outcome, Settings } from "../../internal/breaker.ts"
import {
  type Check,
  inRange,
  millisOf,
  optionError,
  positiveDuration,
  validate,
  wholeInRange
} from "../../internal/options.ts"

/** Which calls count. Made by `CircuitBreaker.time`, `count` and `consecutive`. */
export type WindowOption =
  | { readonly kind: "time"; readonly duration: Duration.Input; readonly buckets?: number }
  | { readonly kind: "count"; readonly size: number }
  | { readonly kind: "consecutive"; readonly length: number }

export interface SlowOption {
  /** A call that takes this long, or longer, is slow. */
  readonly limit: Duration.Input
  /** The share of slow calls that opens the circuit, above 0 and at most 1. Default 0.5. */
  readonly rate?: number
  /**
   * What is measured: the whole call (default), or the time to the first content of a stream, which does not
   * grow with the length of an answer. Measured so, a call that is no stream is never slow.
   */
  readonly measure?: "call" | "first-token"
}

export interface AdaptiveOption {
  /** The threshold never falls below this rate. Default 0.2. */
  readonly min?: number
  /** The threshold never rises above this rate. Default 0.9. */
  readonly max?: number
  /** Standard deviations above the usual failure rate. Default 3. */
  readonly sigmas?: number
  /** After this time a call weighs half in the usual failure rate. Default 30 minutes. */
  readonly halfLife?: Duration.Input
  /** Calls before the usual failure rate is trusted; until then `failureRate` holds. Default 100. */
  readonly minimumCalls?: number
}

export interface OpenOption {
  /** How long the circuit stays open the first time. Default 30 seconds. */
  readonly duration?: Duration.Input
  /** By how much the time grows with each opening in a row, from 1 to 100. Default 2. */
  readonly factor?: number
  /** The longest time, whatever the growth or a provider's hint. Default 5 minutes. */
  readonly max?: Duration.Input
  /** The share by which the time is shortened at most, by chance: from 0 to 0.9. Default 0.1. */
  readonly jitter?: number
  /** A circuit that stays closed this long starts again at `duration`. Default 1 minute. */
  readonly healthyAfter?: Duration.Input
}

export interface HalfOpenOption {
  /** How many probes are let through. Default 3. */
  readonly calls?: number
  /** How many of them must succeed to close the circuit. Default 2. */
  readonly successes?: number
  /** A probe not heard of for this long gives its place to another. Default 60 seconds. */
  readonly lease?: Duration.Input
  /** A half-open circuit without a verdict after this time opens again. Default: no limit. */
  readonly maxWait?: Duration.Input
}

export interface Options {
  /** Default: the last 60 seconds. */
  readonly window?: WindowOption
  /** The share of failures that opens the circuit, above 0 and at most 1. Reaching it is enough. Default 0.5. */
  readonly failureRate?: number
  /** Calls in the window before a rate means anything. Default 5 (or the size of a smaller window). */
  readonly minimumCalls?: number
  /** Slow calls open the circuit too. Default: they do not. */
  readonly slow?: SlowOption
  /** A failure rate that follows the usual one of the target. Default: fixed. */
  readonly adaptive?: AdaptiveOption
  readonly open?: OpenOption
  readonly halfOpen?: HalfOpenOption
  /**
   * How an error counts; `undefined` leaves it to the default: the table of dispositions for errors of this
   * library, `failure` for any other. If it throws, the default holds.
   */
  readonly classify?: (error: unknown) => Outcome | undefined
  /** A key not used for this long is forgotten. Default 10 minutes, or the window or `healthyAfter` if longer. */
  readonly idleTimeToLive?: Duration.Input
  /** About how many keys are remembered at most; the ones used longest ago go first. Default 100,000. */
  readonly maxKeys?: number
}

/** Every default, by the name of its option. */
export const defaults = {
  window: { kind: "time", duration: "60 seconds", buckets: 10 },
  failureRate: 0.5,
  minimumCalls: 5,
  slow: { rate: 0.5, measure: "call" },
  adaptive: { min: 0.2, max: 0.9, sigmas: 3, halfLife: "30 minutes", minimumCalls: 100 },
  open: { duration: "30 seconds", factor: 2, max: "5 minutes", jitter: 0.1, healthyAfter: "1 minute" },
  halfOpen: { calls: 3, successes: 2, lease: "60 seconds" },
  idleTimeToLive: "10 minutes",
  maxKeys: 100_000
} as const satisfies Omit<Options, "slow"> & { readonly slow: Omit<SlowOption, "limit"> }

/** Checked options: what the state machine runs on, and what is kept around it. */
export interface Resolved {
  readonly settings: Settings
  readonly classify: ((error: unknown) => Outcome | undefined) | undefined
  readonly idleMs: number
  readonly maxKeys: number
}

const at = (field: string): string => `circuitBreaker.${field}`

const share = (field: string, value: number): Check =>
  typeof value === "number" && value > 0 && value <= 1
    ? undefined
    : optionError(at(field), value, "a number above 0, at most 1")

const oneOf = (field: string, value: string, allowed: ReadonlyArray<string>): Check =>
  allowed.includes(value) ? undefined : optionError(at(field), value, allowed.join(", "))

const notBelow = (field: string, value: Duration.Input, leastMs: number, least: string): Check =>
  (millisOf(value) ?? 0) >= leastMs ? undefined : optionError(at(field), value, `a duration not below ${least}`)

const checkWindow = (window: WindowOption, buckets: number): ReadonlyArray<Check> => {
  switch (window.kind) {
    case "time":
      return [
        positiveDuration(at("window.duration"), window.duration),
        wholeInRange(at("window.buckets"), buckets, 1, 1000)
      ]
    case "count":
      return [wholeInRange(at("window.size"), window.size, 1, 1_000_000)]
    case "consecutive":
      return [wholeInRange(at("window.length"), window.length, 1, 1_000_000)]
    default:
      return [oneOf("window.kind", String((window as { kind?: unknown }).kind), ["time", "count", "consecutive"])]
  }
}

const toWindow = (window: WindowOption, buckets: number): WindowSettings =>
  window.kind === "time" ? { kind: "time", spanMs: millisOf(window.duration)!, buckets } : window

/** Fails with a `ConfigError` that names the first wrong option. */
export const resolve = (options: Options): Effect.Effect<Resolved, Config.ConfigError> =>
  Effect.suspend(() => {
    const window: WindowOption = options.window ?? defaults.window
    const buckets = window.kind === "time" ? (window.buckets ?? defaults.window.buckets) : 1
    const open = { ...defaults.open, ...options.open }
    const half = { ...defaults.halfOpen, ...options.halfOpen }
    const slow = options.slow === undefined ? undefined : { ...defaults.slow, ...options.slow }
    const adaptive = options.adaptive === undefined ? undefined : { ...defaults.adaptive, ...options.adaptive }
    const failureRate = options.failureRate ?? defaults.failureRate
    const most = window.kind === "count" ? window.size : Number.MAX_SAFE_INTEGER
    const minimumCalls = options.minimumCalls ?? Math.min(defaults.minimumCalls, most)
    const maxKeys = options.maxKeys ?? defaults.maxKeys
    const openMs = millisOf(open.duration) ?? 0
    const spanMs = window.kind === "time" ? (millisOf(window.duration) ?? 0) : 0
    const leastIdleMs = Math.max(spanMs, millisOf(open.healthyAfter) ?? 0)
    const idle = options.idleTimeToLive ?? Math.max(leastIdleMs, millisOf(defaults.idleTimeToLive)!)
    const maxWait = half.maxWait
    return Effect.map(
      validate([
        ...checkWindow(window, buckets),
        share("failureRate", failureRate),
        wholeInRange(at("minimumCalls"), minimumCalls, 1, most),
        ...(slow === undefined
          ? []
          : [
              positiveDuration(at("slow.limit"), slow.limit),
              share("slow.rate", slow.rate),
              oneOf("slow.measure", slow.measure, ["call", "first-token"])
            ]),
        ...(adaptive === undefined
          ? []
          : [
              share("adaptive.min", adaptive.min),
              inRange(at("adaptive.max"), adaptive.max, adaptive.min, 1),
              inRange(at("adaptive.sigmas"), adaptive.sigmas, 0, 100),
              positiveDuration(at("adaptive.halfLife"), adaptive.halfLife),
              wholeInRange(at("adaptive.minimumCalls"), adaptive.minimumCalls, 1)
            ]),
        positiveDuration(at("open.duration"), open.duration),
        inRange(at("open.factor"), open.factor, 1, 100),
        positiveDuration(at("open.max"), open.max),
        notBelow("open.max", open.max, openMs, "open.duration"),
        inRange(at("open.jitter"), open.jitter, 0, 0.9),
        positiveDuration(at("open.healthyAfter"), open.healthyAfter),
        wholeInRange(at("halfOpen.calls"), half.calls, 1, 10_000),
        wholeInRange(at("halfOpen.successes"), half.successes, 1, half.calls),
        positiveDuration(at("halfOpen.lease"), half.lease),
        maxWait === undefined ? undefined : positiveDuration(at("halfOpen.maxWait"), maxWait),
        positiveDuration(at("idleTimeToLive"), idle),
        notBelow("idleTimeToLive", idle, leastIdleMs, "the window and open.healthyAfter"),
        wholeInRange(at("maxKeys"), maxKeys, 2)
      ]),
      (): Resolved => ({
        settings: {
          window: toWindow(window, buckets),
          failureRate,
          minimumCalls,
          slow:
            slow === undefined ? undefined : { limitMs: millisOf(slow.limit)!, rate: slow.rate, measure: slow.measure },
          adaptive: adaptive === undefined ? undefined : toAdaptive(adaptive),
          openMs,
          openFactor: open.factor,
          openMaxMs: millisOf(open.max)!,
          jitter: open.jitter,
          healthyMs: millisOf(open.healthyAfter)!,
          probes: half.calls,
          probeSuccesses: half.successes,
          leaseMs: millisOf(half.lease)!,
          halfOpenMs: maxWait === undefined ? Infinity : millisOf(maxWait)!
        },
        classify: options.classify,
        idleMs: millisOf(idle)!,
        maxKeys
      })
    )
  })

const toAdaptive = ({ halfLife, ...rest }: Required<AdaptiveOption>): AdaptiveSettings => ({
  ...rest,
  halfLifeMs: millisOf(halfLife)!
})
