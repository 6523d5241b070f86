/**
 * The options of the response cache, their defaults, and their check.
 */
import type * as Config from "effect/Config"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { CacheCall } from "../../domain/Cache.ts"
import type { Usage } from "../../domain/Usage.ts"
import { isDeterministic } from "../../internal/cacheable.ts"
import { millisOf, optionError, positiveDuration, validate, wholeInRange } from "../../internal/options.ts"

export interface Options {
  /** How long an answer is kept. Default 1 hour. */
  readonly ttl?: Duration.Input
  /** Which requests are cached. Default: `isDeterministic`. A predicate that throws says no. */
  readonly cacheable?: (call: CacheCall) => boolean
  /** A larger answer, in bytes of its JSON, is handed on and not kept. Default 5 MiB. */
  readonly maxEntryBytes?: number
  /** Identical requests in flight share one provider call. Default: true. */
  readonly singleFlight?: boolean
  /** A store that takes longer to read counts as a miss. Default 250 milliseconds. */
  readonly readTimeout?: Duration.Input
  /** How long a store may take to write; the answer does not wait for it. Default 5 seconds. */
  readonly writeTimeout?: Duration.Input
  /** A store that fails or is late so many times in a row is lost: it is not asked for a while. Default 3. */
  readonly lostAfter?: number
  /** The pause before a lost store is tried for the first time. Default 100 milliseconds. */
  readonly firstProbe?: Duration.Input
  /** The longest pause between two tries; at least `firstProbe`. Default 10 seconds. */
  readonly longestProbe?: Duration.Input
  /**
   * What an answer of this usage saves, in whole nano-dollars. Default: what it had cost when it was made, else by the
   * `Pricing` in the context of the cache.
   */
  readonly price?: (usage: Usage, target: string) => bigint | undefined
}

/** Every default, by the name of its option. */
export const defaults = {
  ttl: "1 hour",
  cacheable: isDeterministic,
  maxEntryBytes: 5_242_880,
  singleFlight: true,
  readTimeout: "250 millis",
  writeTimeout: "5 seconds",
  lostAfter: 3,
  firstProbe: "100 millis",
  longestProbe: "10 seconds"
} as const satisfies Options

/** Checked options. */
export interface Resolved {
  readonly ttlMs: number
  readonly cacheable: (call: CacheCall) => boolean
  readonly maxEntryBytes: number
  readonly singleFlight: boolean
  readonly readTimeoutMs: number
  readonly writeTimeoutMs: number
  readonly lostAfter: number
  readonly firstProbeMs: number
  readonly longestProbeMs: number
  readonly price: Options["price"]
}

/** Fails with a `ConfigError` that names the first wrong option. */
export const resolve = (options: Options): Effect.Effect<Resolved, Config.ConfigError> => {
  const settings = { ...defaults, price: undefined, ...options }
  const first = millisOf(settings.firstProbe)
  return Effect.map(
    validate([
      positiveDuration("cache.ttl", settings.ttl),
      wholeInRange("cache.maxEntryBytes", settings.maxEntryBytes, 1),
      positiveDuration("cache.readTimeout", settings.readTimeout),
      positiveDuration("cache.writeTimeout", settings.writeTimeout),
      wholeInRange("cache.lostAfter", settings.lostAfter, 1, 1_000_000),
      positiveDuration("cache.firstProbe", settings.firstProbe),
      positiveDuration("cache.longestProbe", settings.longestProbe) ??
        ((first ?? 0) <= millisOf(settings.longestProbe)!
          ? undefined
          : optionError("cache.longestProbe", settings.longestProbe, `at least firstProbe (${first} ms)`))
    ]),
    () => ({
      ttlMs: millisOf(settings.ttl)!,
      cacheable: settings.cacheable,
      maxEntryBytes: settings.maxEntryBytes,
      singleFlight: settings.singleFlight,
      readTimeoutMs: millisOf(settings.readTimeout)!,
      writeTimeoutMs: millisOf(settings.writeTimeout)!,
      lostAfter: settings.lostAfter,
      firstProbeMs: first!,
      longestProbeMs: millisOf(settings.longestProbe)!,
      price: settings.price
    })
  )
}
