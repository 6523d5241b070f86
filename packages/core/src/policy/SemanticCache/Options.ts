/**
 * The options of the semantic cache, their defaults, and their check.
 */
import type * as Config from "effect/Config"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { CacheCall } from "../../domain/Cache.ts"
import { isDeterministic } from "../../internal/cacheable.ts"
import { nearMiss } from "../../internal/nearMiss.ts"
import { millisOf, optionError, positiveDuration, validate, wholeInRange } from "../../internal/options.ts"

/** What makes two questions different although they look alike; `undefined` if nothing does. */
export type Guard = (question: string, known: string) => string | undefined

export interface Options {
  /** The least cosine of two questions that mean the same, above 0 and at most 1. Default 0.95. */
  readonly threshold?: number
  /** Refuses near misses. Default: `nearMiss`; `"off"` for none. One that throws refuses. */
  readonly guard?: Guard | "off"
  /** How long an answer is kept. Default 1 hour. */
  readonly ttl?: Duration.Input
  /** Which requests are cached. Default: `isDeterministic`. A predicate that throws says no. */
  readonly cacheable?: (call: CacheCall) => boolean
  /** Entries at most, over all tenants. Default 10,000. */
  readonly maxEntries?: number
  /** Bytes at most: answers, questions and vectors. Default 64 MiB. */
  readonly maxBytes?: number
  /** A larger answer, in bytes of its JSON, is not kept. Default 1 MiB. */
  readonly maxEntryBytes?: number
  /** An embedder that takes longer is a miss. Default 2 seconds. */
  readonly embedTimeout?: Duration.Input
  /** Questions with more characters are not embedded. Default 8,000. */
  readonly maxQuestionCharacters?: number
}

/** Every default, by the name of its option. */
export const defaults = {
  threshold: 0.95,
  guard: nearMiss,
  ttl: "1 hour",
  cacheable: isDeterministic,
  maxEntries: 10_000,
  maxBytes: 67_108_864,
  maxEntryBytes: 1_048_576,
  embedTimeout: "2 seconds",
  maxQuestionCharacters: 8_000
} as const satisfies Options

/** Checked options. */
export interface Resolved {
  readonly threshold: number
  readonly guard: Guard | undefined
  readonly ttlMs: number
  readonly cacheable: (call: CacheCall) => boolean
  readonly maxEntries: number
  readonly maxBytes: number
  readonly maxEntryBytes: number
  readonly embedTimeoutMs: number
  readonly maxQuestionCharacters: number
}

const at = (field: string): string => `semanticCache.${field}`

/** Fails with a `ConfigError` that names the first wrong option. */
export const resolve = (options: Options): Effect.Effect<Resolved, Config.ConfigError> => {
  const all: Required<Options> = { ...defaults, ...options }
  const { embedTimeout, guard, ttl, ...rest } = all
  return Effect.map(
    validate([
      typeof all.threshold === "number" && all.threshold > 0 && all.threshold <= 1
        ? undefined
        : optionError(at("threshold"), all.threshold, "a number above 0, at most 1"),
      positiveDuration(at("ttl"), ttl),
      wholeInRange(at("maxEntries"), all.maxEntries, 1, 1_000_000),
      wholeInRange(at("maxBytes"), all.maxBytes, 1),
      wholeInRange(at("maxEntryBytes"), all.maxEntryBytes, 1),
      positiveDuration(at("embedTimeout"), embedTimeout),
      wholeInRange(at("maxQuestionCharacters"), all.maxQuestionCharacters, 1)
    ]),
    () => ({
      ...rest,
      guard: guard === "off" ? undefined : guard,
      ttlMs: millisOf(ttl)!,
      embedTimeoutMs: millisOf(embedTimeout)!
    })
  )
}
