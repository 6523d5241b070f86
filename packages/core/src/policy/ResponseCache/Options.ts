/**
 * The options of the response cache, their defaults, and their check.
 */
import type * as Config from "effect/Config"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { CacheCall } from "../../domain/Cache.ts"
import type { Usage } from "../../domain/Usage.ts"
import { isDeterministic } from "../../internal/cacheable.ts"
import { millisOf, positiveDuration, validate, wholeInRange } from "../../internal/options.ts"

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
  /** What a usage at a target would have cost, in whole nano-dollars, for `Stats.savedNanoDollars`. */
  readonly price?: (usage: Usage, target: string) => bigint | undefined
}

/** Every default, by the name of its option. */
export const defaults = {
  ttl: "1 hour",
  cacheable: isDeterministic,
  maxEntryBytes: 5_242_880,
  singleFlight: true,
  readTimeout: "250 millis",
  writeTimeout: "5 seconds"
} as const satisfies Options

/** Checked options. */
export interface Resolved {
  readonly ttlMs: number
  readonly cacheable: (call: CacheCall) => boolean
  readonly maxEntryBytes: number
  readonly singleFlight: boolean
  readonly readTimeoutMs: number
  readonly writeTimeoutMs: number
  readonly price: Options["price"]
}

/** Fails with a `ConfigError` that names the first wrong option. */
export const resolve = (options: Options): Effect.Effect<Resolved, Config.ConfigError> => {
  const { cacheable, maxEntryBytes, price, readTimeout, singleFlight, ttl, writeTimeout } = {
    ...defaults,
    price: undefined,
    ...options
  }
  return Effect.map(
    validate([
      positiveDuration("cache.ttl", ttl),
      wholeInRange("cache.maxEntryBytes", maxEntryBytes, 1),
      positiveDuration("cache.readTimeout", readTimeout),
      positiveDuration("cache.writeTimeout", writeTimeout)
    ]),
    () => ({
      ttlMs: millisOf(ttl)!,
      cacheable,
      maxEntryBytes,
      singleFlight,
      readTimeoutMs: millisOf(readTimeout)!,
      writeTimeoutMs: millisOf(writeTimeout)!,
      price
    })
  )
}
