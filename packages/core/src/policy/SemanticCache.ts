/**
 * Answers a question from the answer to another one that means the same.
 *
 * **When to use**
 *
 * Use it where many people ask the same few things in their own words, and a slightly different wording does not
 * deserve a different answer. It is off unless its Layer is given; it stands behind the exact cache.
 *
 * **Details**
 *
 * - The last user message is embedded; the nearest kept question answers if its cosine reaches `threshold`. Everything
 *   else of the request (tenant, namespace, target, system prompt, earlier messages, sampling, tools, format) must be
 *   the same, exactly.
 * - A guard compares the two questions as texts: numbers, units, negations, quoted texts, names, opposites, word
 *   order, and words one of them lacks. Embeddings alone do not tell "enable" from "disable".
 * - The search is exact: every kept question of the partition is compared.
 * - An embedder that fails or is slow is a miss. It never costs an answer.
 *
 * **Gotchas**
 *
 * The guard knows English. In other languages it still sees numbers, quoted texts, codes, names and unequal words.
 *
 * **Example** (Two wordings, one call)
 *
 * ```ts
 * import { Embedder, LLM, LLMProvider, SemanticCache } from "@breakwater/core"
 * import { ScriptedProvider } from "@breakwater/testing"
 * import { Effect, Layer } from "effect"
 *
 * // A real one would ask a model: Embedder.fromProvider(provider, { model: "text-embedding-3-small" })
 * const embedder = Embedder.layer({ name: "constant", embed: (texts) => Effect.succeed(texts.map(() => [1, 0])) })
 *
 * const ask = (prompt: string) => LLM.generate({ prompt, temperature: 0 })
 * const program = Effect.gen(function*() {
 *   yield* ask("How do I reset my password?")
 *   const answer = yield* ask("How can I reset my password, please?")
 *   return answer.cached?.source
 * })
 *
 * const provider = ScriptedProvider.layer({ name: "demo", script: [ScriptedProvider.text("Like this")] })
 * const layer = LLM.layer({ targets: ["demo/any"] }).pipe(
 *   Layer.provide(SemanticCache.layer().pipe(Layer.provide(embedder))),
 *   Layer.provide(LLM.layerNoPolicies),
 *   Layer.provide(LLMProvider.layer(provider))
 * )
 *
 * await Effect.runPromise(Effect.provide(program, layer)) // => "semantic"
 * ```
 */
import * as Clock from "effect/Clock"
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { CacheAround } from "../domain/Cache.ts"
import { Embedder } from "../domain/Embedder.ts"
import { Engine } from "./SemanticCache/Engine.ts"
import { type Options, resolve } from "./SemanticCache/Options.ts"

export { nearMiss, type NearMiss } from "../internal/nearMiss.ts"
export { defaults, type Guard, type Options } from "./SemanticCache/Options.ts"

/** What the cache has done since it was made, and what it holds. */
export interface Stats {
  readonly hits: number
  readonly misses: number
  /** Hits among all calls; 0 before the first. */
  readonly hitRate: number
  /** Kept questions that were near enough, and that the guard refused. */
  readonly guarded: number
  readonly embedFailures: number
  readonly entries: number
  readonly bytes: number
  readonly evicted: number
}

export interface SemanticCacheService {
  /** For the pipeline; `undefined` for a cache that never has an answer. */
  readonly around: CacheAround | undefined
  readonly stats: Effect.Effect<Stats>
  /** Removes all entries of a tenant, or of one of its namespaces, and says how many there were. */
  readonly clear: (tenant: string, namespace?: string) => Effect.Effect<number>
}

/** The semantic cache in the context. The pipeline uses it if it is there. */
export class SemanticCache extends Context.Service<SemanticCache, SemanticCacheService>()(
  "@breakwater/core/SemanticCache"
) {}

const serviceOf = (engine: Engine): SemanticCacheService => ({
  around: engine,
  clear: (tenant, namespace) => Effect.sync(() => engine.memory.clear(tenant, namespace)),
  stats: Effect.sync(() => {
    const { embedFailures, guarded, hits, misses } = engine
    const hitRate = hits + misses === 0 ? 0 : hits / (hits + misses)
    return { hits, misses, hitRate, guarded, embedFailures, ...engine.memory.size }
  })
})

/** A semantic cache in this process's memory. Fails with a `ConfigError` naming the first wrong option. */
export const make = (options: Options = {}): Effect.Effect<SemanticCacheService, Config.ConfigError, Embedder> =>
  Effect.gen(function* () {
    const resolved = yield* resolve(options)
    return serviceOf(new Engine(yield* Embedder, resolved, yield* Clock.Clock))
  })

/** {@link make} as a Layer. */
export const layer = (options: Options = {}): Layer.Layer<SemanticCache, Config.ConfigError, Embedder> =>
  Layer.effect(SemanticCache, make(options))

/** {@link layer} with options from configuration. */
export const layerConfig = (options: Config.Wrap<Options>): Layer.Layer<SemanticCache, Config.ConfigError, Embedder> =>
  Layer.effect(SemanticCache, Effect.flatMap(Config.unwrap(options), make))

/** A cache that never has an answer, knows nothing and costs nothing. */
export const noop: SemanticCacheService = {
  around: undefined,
  clear: () => Effect.succeed(0),
  stats: Effect.succeed({
    hits: 0,
    misses: 0,
    hitRate: 0,
    guarded: 0,
    embedFailures: 0,
    entries: 0,
    bytes: 0,
    evicted: 0
  })
}

/** {@link noop} as a Layer. */
export const layerNoop: Layer.Layer<SemanticCache> = Layer.succeed(SemanticCache, noop)
