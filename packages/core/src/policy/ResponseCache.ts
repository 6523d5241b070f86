/**
 * Answers a request from an earlier answer to the same request, and makes identical requests in flight one call.
 *
 * **When to use**
 *
 * Use it where the same request comes again and should have the same answer: classification, extraction, tests,
 * many readers of one page. Only requests with a temperature of 0 or a seed are cached, unless `cacheable` says
 * otherwise; all others pass it untouched.
 *
 * **Details**
 *
 * - The key is the SHA-256 of everything that makes the answer (target, messages, sampling, tools, tool choice,
 *   response format, `extra`, files by their content), of the tenant and of the namespace. The order of fields does
 *   not matter. `user` is not part of it.
 * - A stream is kept when its `finish` has come, and given again as a stream. What one kind of call has kept answers
 *   the other, too. Failures, streams that were left early, answers of another target than the one asked, and answers
 *   cut by a filter are never kept.
 * - Identical requests in flight share one provider call. Each caller's interruption is its own; the last one to leave
 *   cancels the call. A failure goes to all of them, except that a deadline or budget of the caller that came first is
 *   no verdict on one with more time or another account.
 * - `cached` on the answer says where it came from; `attempts` is empty then, and `usage` says what the answer
 *   consumed when it was made.
 * - A store that fails or is slow is a miss, and never costs an answer.
 *
 * **Gotchas**
 *
 * `onProgress` is only called for the caller whose call is made. Embeddings are not cached. A replaced system prompt
 * or model makes new keys; what changes outside the request (tools' data, the date) does not: use `ttl`, or a namespace.
 *
 * **Example** (Asking twice, paying once)
 *
 * ```ts
 * import { LLM, LLMProvider, ResponseCache } from "@breakwater/core"
 * import { ScriptedProvider } from "@breakwater/testing"
 * import { Effect, Layer } from "effect"
 *
 * const ask = LLM.generate({ prompt: "Capital of France?", temperature: 0 })
 * const program = Effect.map(Effect.all([ask, ask]), (answers) => answers.map((each) => each.cached?.source ?? "model"))
 *
 * const provider = ScriptedProvider.layer({ name: "demo", script: [ScriptedProvider.text("Paris")] })
 * const layer = LLM.layer({ targets: ["demo/any"] }).pipe(
 *   Layer.provide(ResponseCache.layer({ ttl: "10 minutes" })),
 *   Layer.provide(LLM.layerNoPolicies),
 *   Layer.provide(LLMProvider.layer(provider))
 * )
 *
 * await Effect.runPromise(Effect.provide(program, layer)) // => ["model", "exact"]
 * ```
 */
import * as Clock from "effect/Clock"
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type { CacheAround } from "../domain/Cache.ts"
import { Pricing } from "../domain/Price.ts"
import type { StoreError } from "../errors/LLMError.ts"
import { CacheStore, type CacheStoreService, makeMemory, type MemoryOptions } from "../store/CacheStore.ts"
import { Engine } from "./ResponseCache/Engine.ts"
import { type Options, resolve } from "./ResponseCache/Options.ts"

export type { CacheAround, CacheCall, CacheControls, Cached } from "../domain/Cache.ts"
export { isDeterministic } from "../internal/cacheable.ts"
export { defaults, type Options } from "./ResponseCache/Options.ts"

/** What a cache has done since it was made, and what it holds. */
export interface Stats {
  /** Calls answered by an entry. */
  readonly hits: number
  /** Calls answered by another caller's call in flight. */
  readonly shared: number
  /** Calls that were made. */
  readonly misses: number
  /** Hits and shared calls among all; 0 before the first. */
  readonly hitRate: number
  /** Calls and streams under way now. */
  readonly inFlight: number
  /** Answers kept. */
  readonly stored: number
  /** Answers that were too large, or not JSON. */
  readonly refused: number
  /** Reads and writes that failed or took too long. */
  readonly storeFailures: number
  /** `undefined` where the store cannot say without asking far. */
  readonly entries: number | undefined
  readonly bytes: number | undefined
  readonly evicted: number | undefined
  readonly savedInputTokens: number
  readonly savedOutputTokens: number
  /** What the answers had cost when they were made, as far as that is known. */
  readonly savedNanoDollars: bigint
}

export interface ResponseCacheService {
  /** For the pipeline; `undefined` for a cache that never has an answer. */
  readonly around: CacheAround | undefined
  /** Reads the counters, and asks the store for its size. */
  readonly stats: Effect.Effect<Stats, StoreError>
  /** Removes all entries of a tenant, or of one of its namespaces, and says how many there were. */
  readonly clear: (tenant: string, namespace?: string) => Effect.Effect<number, StoreError>
}

export class ResponseCache extends Context.Service<ResponseCache, ResponseCacheService>()(
  "@breakwater/core/ResponseCache"
) {}

const serviceOf = (engine: Engine, store: CacheStoreService): ResponseCacheService => ({
  around: engine,
  clear: store.clear,
  stats: Effect.map(store.size, ({ bytes, entries, evicted }) => {
    const { hits, misses, shared } = engine
    const calls = hits + shared + misses
    return {
      hits,
      shared,
      misses,
      hitRate: calls === 0 ? 0 : (hits + shared) / calls,
      inFlight: engine.inFlight,
      stored: engine.stored,
      refused: engine.refused,
      storeFailures: engine.storeFailures,
      entries,
      bytes,
      evicted,
      savedInputTokens: engine.savedInputTokens,
      savedOutputTokens: engine.savedOutputTokens,
      savedNanoDollars: engine.savedNanoDollars
    }
  })
})

const over = (store: CacheStoreService, options: Options): Effect.Effect<ResponseCacheService, Config.ConfigError> =>
  Effect.flatMap(resolve(options), (resolved) =>
    Effect.gen(function* () {
      const pricing = Option.getOrUndefined(yield* Effect.serviceOption(Pricing))
      return serviceOf(new Engine(store, resolved, yield* Clock.Clock, pricing?.prices), store)
    })
  )

/** A cache over the {@link CacheStore} in the context. Fails with a `ConfigError` naming the first wrong option. */
export const makeShared = (
  options: Options = {}
): Effect.Effect<ResponseCacheService, Config.ConfigError, CacheStore> =>
  Effect.flatMap(CacheStore, (store) => over(store, options))

/**
 * A cache in this process's memory, bounded by entries and bytes. Holds no timer. Fails with a `ConfigError` naming
 * the first wrong option.
 */
export const make = (options: Options & MemoryOptions = {}): Effect.Effect<ResponseCacheService, Config.ConfigError> =>
  Effect.flatMap(makeMemory(options), (store) => over(store, options))

/** {@link make} as a Layer. */
export const layer = (options: Options & MemoryOptions = {}): Layer.Layer<ResponseCache, Config.ConfigError> =>
  Layer.effect(ResponseCache, make(options))

/** {@link makeShared} as a Layer. */
export const layerShared = (options: Options = {}): Layer.Layer<ResponseCache, Config.ConfigError, CacheStore> =>
  Layer.effect(ResponseCache, makeShared(options))

/** {@link layer} with options from configuration. */
export const layerConfig = (
  options: Config.Wrap<Options & MemoryOptions>
): Layer.Layer<ResponseCache, Config.ConfigError> =>
  Layer.effect(ResponseCache, Effect.flatMap(Config.unwrap(options), make))

/** A cache that never has an answer, knows nothing and costs nothing. */
export const noop: ResponseCacheService = {
  around: undefined,
  clear: () => Effect.succeed(0),
  stats: Effect.succeed({
    hits: 0,
    shared: 0,
    misses: 0,
    hitRate: 0,
    inFlight: 0,
    stored: 0,
    refused: 0,
    storeFailures: 0,
    entries: 0,
    bytes: 0,
    evicted: 0,
    savedInputTokens: 0,
    savedOutputTokens: 0,
    savedNanoDollars: 0n
  })
}

/** {@link noop} as a Layer. */
export const layerNoop: Layer.Layer<ResponseCache> = Layer.succeed(ResponseCache, noop)
