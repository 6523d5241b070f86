/** Answers to questions that mean the same: the cache, and who embeds for it. */
import { Embedder, type LLMProvider, Model, SemanticCache } from "@breakwater/core"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { ConfigurationError } from "../Load.ts"
import { type GatewayConfig, millisOf } from "../Schema.ts"
import { at } from "./Failure.ts"
import { type Kept, keyOf } from "./Kept.ts"

const refuse = (message: string): ConfigurationError => {
  const text = `semanticCache.embedder: ${message}`
  return new ConfigurationError({ message: text, issues: [text] })
}

/** The model that runs here. Its packages are optional, so it is tried before it is relied on. */
const local: Effect.Effect<Embedder.EmbedderService, ConfigurationError, Scope.Scope> = Effect.gen(function* () {
  const { MiniLM } = yield* Effect.tryPromise({
    try: () => import("@breakwater/embedder"),
    catch: () => refuse("it is local, and @breakwater/embedder is not installed")
  })
  const embedder = yield* MiniLM.make
  yield* Effect.mapError(embedder.embed(["a try"]), ({ message }) => refuse(message))
  return embedder
})

const embedderOf = (given: string, registry: LLMProvider.Registry) =>
  Effect.suspend((): Effect.Effect<Embedder.EmbedderService, ConfigurationError, Scope.Scope> => {
    if (given === "local") return local
    const ref = Model.parseTarget(given, (name) => registry.all.some((provider) => provider.name === name), undefined)
    const provider = registry.all.find(({ name }) => name === ref?.provider)
    if (ref === undefined || provider === undefined) {
      return Effect.fail(refuse(`it is ${JSON.stringify(given)}; allowed: local, or provider/model`))
    }
    if (provider.embed === undefined) return Effect.fail(refuse(`the provider ${provider.name} does not embed`))
    const { embed, name } = provider
    return Effect.succeed(Embedder.fromProvider({ name, embed }, { model: ref.model }))
  })

/** The cache of a configuration; `undefined` without one. */
export const make = (
  { semanticCache }: GatewayConfig,
  registry: LLMProvider.Registry,
  kept: Kept
): Effect.Effect<SemanticCache.SemanticCacheService | undefined, ConfigurationError, Scope.Scope> => {
  if (semanticCache === undefined) return Effect.succeed(undefined)
  const { embedder, guard = true, ttl, ...options } = semanticCache
  return at("semanticCache")(
    kept.keep(
      keyOf("semantic cache", semanticCache),
      Effect.flatMap(embedderOf(embedder, registry), (service) =>
        Effect.provideService(
          SemanticCache.make({
            ...options,
            ...(ttl === undefined ? {} : { ttl: Duration.millis(millisOf(ttl)) }),
            ...(guard ? {} : { guard: "off" as const })
          }),
          Embedder.Embedder,
          service
        )
      )
    )
  )
}
