/**
 * The options of a bulkhead, their defaults, and their check.
 */
import type * as Config from "effect/Config"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { AttemptCall } from "../../domain/Attempt.ts"
import type { QueueSettings } from "../../internal/compartment.ts"
import { type Check, millisOf, optionError, positiveDuration, validate, wholeInRange } from "../../internal/options.ts"

export interface Options {
  /** Calls under way at once for each key, from 1 to 1,000,000. Default 64. */
  readonly limit?: number
  /** Limits of keys that differ, each from 1 to 1,000,000. */
  readonly limits?: Readonly<Record<string, number>>
  /** Calls that may wait for each key, from 0 (nobody waits) to 1,000,000. Default 256. */
  readonly maxQueue?: number
  /** The longest wait; 0 for none, `Duration.infinity` for no bound. Default 30 seconds. */
  readonly maxWait?: Duration.Input
  /**
   * While more than this many wait, the newest goes first, and a full queue drops the oldest: those who have waited
   * for long have often given up. From 0 to `maxQueue`. Default: first come, first served.
   */
  readonly newestFirstAbove?: number
  /** A batch call that has waited this long goes before younger interactive ones. Default 10 seconds. */
  readonly patience?: Duration.Input
  /**
   * For attempts of the pipeline: whose call it is. Partitions are served in turn. Asked only for a call that has to
   * wait. Default: {@link byCaller}.
   */
  readonly partition?: (call: AttemptCall) => string
  /** Keys without a call that are kept for the next one, from 1. Default 1,000. */
  readonly maxIdleKeys?: number
}

/** A partition for each user of each tenant. */
export const byCaller = (call: AttemptCall): string =>
  call.context.user === undefined ? call.context.tenant : `${call.context.tenant}\u0000${call.context.user}`

/** Every default, by the name of its option. */
export const defaults = {
  limit: 64,
  maxQueue: 256,
  maxWait: "30 seconds",
  patience: "10 seconds",
  partition: byCaller,
  maxIdleKeys: 1_000
} as const satisfies Options

/** Checked options. */
export interface Resolved {
  readonly limit: number
  readonly limits: ReadonlyMap<string, number>
  readonly maxQueue: number
  readonly maxWaitMs: number
  readonly queue: QueueSettings
  readonly partition: (call: AttemptCall) => string
  readonly maxIdleKeys: number
}

const at = (field: string): string => `bulkhead.${field}`

/** Checks a limit that is given while the bulkhead runs. */
export const checkLimit = (field: string, limit: number): Check => wholeInRange(at(field), limit, 1, 1_000_000)

const waitMs = (value: Duration.Input): number | undefined =>
  Duration.isDuration(value) && !Duration.isFinite(value) ? Infinity : millisOf(value)

/** Fails with a `ConfigError` that names the first wrong option. */
export const resolve = (options: Options): Effect.Effect<Resolved, Config.ConfigError> =>
  Effect.suspend(() => {
    const all = { ...defaults, ...options }
    const limits = Object.entries(options.limits ?? {})
    const maxWaitMs = waitMs(all.maxWait)
    const newest = options.newestFirstAbove
    return Effect.map(
      validate([
        checkLimit("limit", all.limit),
        ...limits.map(([key, limit]) => checkLimit(`limits.${key}`, limit)),
        wholeInRange(at("maxQueue"), all.maxQueue, 0, 1_000_000),
        maxWaitMs !== undefined ? undefined : optionError(at("maxWait"), all.maxWait, "a duration of at least 0"),
        newest === undefined ? undefined : wholeInRange(at("newestFirstAbove"), newest, 0, all.maxQueue),
        positiveDuration(at("patience"), all.patience),
        wholeInRange(at("maxIdleKeys"), all.maxIdleKeys, 1)
      ]),
      (): Resolved => ({
        limit: all.limit,
        limits: new Map(limits),
        maxQueue: all.maxQueue,
        maxWaitMs: maxWaitMs!,
        queue: { patienceMs: millisOf(all.patience)!, newestAbove: newest ?? Infinity },
        partition: all.partition,
        maxIdleKeys: all.maxIdleKeys
      })
    )
  })
