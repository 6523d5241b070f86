/**
 * Where caches keep answers: in this process's memory, or in one place for many processes.
 *
 * A store keeps plain JSON and knows no policy: it does not judge what it keeps. The contract suite in
 * `test/contract/cache-store.ts` says what every implementation owes.
 */
import * as Clock from "effect/Clock"
import type * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { StreamPart, Turn } from "../domain/Response.ts"
import type { StoreError } from "../errors/LLMError.ts"
import type { CacheKey } from "../internal/cacheKey.ts"
import { validate, wholeInRange } from "../internal/options.ts"
import { Sieve } from "../internal/sieve.ts"
import { monotonicMs } from "../internal/time.ts"

export type { CacheKey } from "../internal/cacheKey.ts"

/** The format of the entries this version writes and reads. */
export const format = 1

/** A kept answer, as plain JSON. */
export const CacheEntry = Schema.Struct({
  format: Schema.Literal(format),
  /** The target that answered, `provider/model`. */
  target: Schema.String,
  /** The answer's JSON in UTF-8. */
  bytes: Schema.Int,
  /** What the answer had cost when it was made, in whole nano-dollars, as a decimal text. Older entries have none. */
  costNanos: Schema.optionalKey(Schema.String),
  answer: Schema.Union([
    Schema.Struct({ kind: Schema.tag("turn"), turn: Turn }),
    Schema.Struct({ kind: Schema.tag("stream"), parts: Schema.Array(StreamPart) })
  ])
})
export type CacheEntry = typeof CacheEntry.Type

/** What a store found. */
export interface Found {
  /** As it was put; what a remote store answers may be anything. */
  readonly entry: unknown
  /** Milliseconds since it was put, by the store's clock. */
  readonly ageMs: number
}

/** What a store holds; `undefined` where that is not known without asking far. */
export interface CacheSize {
  readonly entries: number | undefined
  readonly bytes: number | undefined
  /** Entries that had to make room. */
  readonly evicted: number | undefined
}

/**
 * The port.
 *
 * - `get` answers with the entry under a key's digest, never with one whose time is over
 * - `set` replaces the entry of a key, and starts its time and age anew; false when it is too large to be kept
 * - `remove` removes one entry; a missing one is no error
 * - `clear` removes all entries of a tenant, or of one of its namespaces, and says how many there were
 */
export interface CacheStoreService {
  /** A short name for errors and events. */
  readonly name: string
  readonly get: (key: CacheKey) => Effect.Effect<Found | undefined, StoreError>
  readonly set: (key: CacheKey, entry: CacheEntry, ttlMs: number) => Effect.Effect<boolean, StoreError>
  readonly remove: (key: CacheKey) => Effect.Effect<void, StoreError>
  readonly clear: (tenant: string, namespace?: string) => Effect.Effect<number, StoreError>
  readonly size: Effect.Effect<CacheSize, StoreError>
  /** The same without effects, where the entries are in this process: for the hot path. */
  readonly local?: LocalCache
}

/** An entry in memory. Times are monotonic milliseconds. */
export interface LocalEntry {
  readonly key: CacheKey
  readonly entry: CacheEntry
  readonly storedMs: number
  readonly expiresMs: number
}

/** {@link CacheStoreService} in this process. */
export interface LocalCache {
  /** With `touch`, the entry counts as used. */
  readonly get: (key: CacheKey, nowMs: number, touch: boolean) => LocalEntry | undefined
  readonly set: (key: CacheKey, entry: CacheEntry, ttlMs: number, nowMs: number) => boolean
  readonly remove: (key: CacheKey) => void
}

export class CacheStore extends Context.Service<CacheStore, CacheStoreService>()("@breakwater/core/CacheStore") {}

/** Options of {@link makeMemory}. */
export interface MemoryOptions {
  /** Entries at most. Default 10,000. */
  readonly maxEntries?: number
  /** Bytes at most, counted as the entries' JSON in UTF-8 and 300 for each entry around it. Default 64 MiB. */
  readonly maxBytes?: number
}

/** Defaults of {@link makeMemory}. */
export const memoryDefaults = { maxEntries: 10_000, maxBytes: 67_108_864 } as const satisfies MemoryOptions

/** What an entry takes beside its answer: key, nodes, the objects around the texts. */
const overhead = 300

const memoryOf = (maxEntries: number, maxBytes: number, clock: Clock.Clock): CacheStoreService => {
  const entries = new Sieve<LocalEntry>({ maxEntries, maxWeight: maxBytes })
  const local: LocalCache = {
    get: (key, nowMs, touch) => {
      const found = entries.get(key.digest, touch)
      if (found === undefined || nowMs < found.expiresMs) return found
      entries.delete(key.digest)
      return undefined
    },
    set: (key, entry, ttlMs, nowMs) =>
      entries.set(key.digest, { key, entry, storedMs: nowMs, expiresMs: nowMs + ttlMs }, entry.bytes + overhead),
    remove: (key) => {
      entries.delete(key.digest)
    }
  }
  return {
    name: "memory",
    local,
    get: (key) =>
      Effect.sync(() => {
        const nowMs = monotonicMs(clock)
        const found = local.get(key, nowMs, true)
        return found === undefined ? undefined : { entry: found.entry, ageMs: nowMs - found.storedMs }
      }),
    set: (key, entry, ttlMs) => Effect.sync(() => local.set(key, entry, ttlMs, monotonicMs(clock))),
    remove: (key) => Effect.sync(() => local.remove(key)),
    clear: (tenant, namespace) =>
      Effect.sync(() => {
        let removed = 0
        for (const [digest, { key }] of entries.entries()) {
          if (key.tenant !== tenant || (namespace !== undefined && key.namespace !== namespace)) continue
          entries.delete(digest)
          removed++
        }
        return removed
      }),
    size: Effect.sync(() => ({ entries: entries.size, bytes: entries.weight, evicted: entries.evicted }))
  }
}

/**
 * A store in this process's memory, bounded by entries and bytes; SIEVE decides which entry makes room. Entries are
 * put in and handed out as they are, so they must not be changed. No timer: an entry whose time is over goes when it
 * is asked for, or makes room.
 *
 * Fails with a `ConfigError` for a wrong option.
 */
export const makeMemory = (options: MemoryOptions = {}): Effect.Effect<CacheStoreService, Config.ConfigError> => {
  const { maxBytes, maxEntries } = { ...memoryDefaults, ...options }
  return Effect.andThen(
    validate([
      wholeInRange("cache.maxEntries", maxEntries, 1, 16_000_000),
      wholeInRange("cache.maxBytes", maxBytes, 1)
    ]),
    Effect.map(Clock.Clock, (clock) => memoryOf(maxEntries, maxBytes, clock))
  )
}

/** {@link makeMemory} as a Layer. */
export const layerMemory = (options?: MemoryOptions): Layer.Layer<CacheStore, Config.ConfigError> =>
  Layer.effect(CacheStore, makeMemory(options))
