/**
 * The port that providers implement: one model turn.
 *
 * A provider makes one HTTP call (or none) for each turn and says truthfully how it went. It does not retry,
 * wait, cache or run tools; all of that is the pipeline's.
 */
import * as Context from "effect/Context"
import type * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import type { Capabilities } from "./domain/Model.ts"
import type { ProviderEmbedRequest, ProviderRequest } from "./domain/Request.ts"
import type { Embeddings, StreamPart, Turn } from "./domain/Response.ts"
import type { AttemptError } from "./errors/LLMError.ts"
import { discreetError } from "./internal/discreetError.ts"
import { optionError } from "./internal/options.ts"

/**
 * One provider.
 *
 * What an implementation owes, and the contract suite in `@breakwater/testing` checks:
 *
 * - every failure is a member of {@link AttemptError}, with `provider` and `model` filled in
 * - a stream that ends well ends with exactly one `finish` part; anything else is a failure
 * - interruption closes the connection
 * - nothing is sent before the effect or stream is run, and each run sends once
 */
export interface Provider {
  /** A short name without slashes: the first half of `provider/model`. */
  readonly name: string
  readonly capabilities: (model: string) => Capabilities
  readonly generate: (request: ProviderRequest) => Effect.Effect<Turn, AttemptError>
  readonly stream: (request: ProviderRequest) => Stream.Stream<StreamPart, AttemptError>
  readonly embed: (request: ProviderEmbedRequest) => Effect.Effect<Embeddings, AttemptError>
}

/** Options of {@link discreet}. */
export interface DiscreetOptions {
  /** Texts that no error may hold: keys, tokens. */
  readonly secrets?: ReadonlyArray<string>
  /** Errors whose sentences are the provider's own and repeat nothing: they are left as they are. */
  readonly ownWords?: ReadonlyArray<AttemptError["_tag"]>
}

/**
 * The provider with errors that can be shown and kept: servers quote in their messages what they were sent, and no
 * error may hold a key or the text of a prompt. What repeats 16 letters and digits or more of a message becomes
 * `[prompt]`, a secret becomes `[key]`.
 */
export const discreet = (provider: Provider, options: DiscreetOptions = {}): Provider => {
  const { ownWords = [], secrets = [] } = options
  const clearing = (request: ProviderRequest | ProviderEmbedRequest) => (error: AttemptError) =>
    ownWords.includes(error._tag) ? error : discreetError(error, secrets, request)
  return {
    ...provider,
    generate: (request) => Effect.mapError(provider.generate(request), clearing(request)),
    stream: (request) => Stream.mapError(provider.stream(request), clearing(request)),
    embed: (request) => Effect.mapError(provider.embed(request), clearing(request))
  }
}

/** The service a provider Layer gives: `OpenAI.layer(…)`, `Anthropic.layer(…)`, `ScriptedProvider.layer(…)`. */
export class LLMProvider extends Context.Service<LLMProvider, Provider>()("@breakwater/core/LLMProvider") {}

/** The providers a program may call, by name. */
export interface Registry {
  readonly get: (name: string) => Provider | undefined
  /** All of them, the default one first. */
  readonly all: ReadonlyArray<Provider>
}

/** The providers that targets are chosen from. */
export class Providers extends Context.Service<Providers, Registry>()("@breakwater/core/Providers") {}

/**
 * Collects providers into a registry. The first is the default: it gets the models named without a provider.
 *
 * Fails with a `ConfigError` if there is none, or if two have the same name.
 */
export const makeRegistry = (providers: ReadonlyArray<Provider>): Effect.Effect<Registry, Config.ConfigError> =>
  Effect.suspend(() => {
    const byName = new Map<string, Provider>()
    for (const provider of providers) {
      if (provider.name.length === 0 || provider.name.includes("/")) {
        return Effect.fail(optionError("providers", provider.name, "names that are not empty and hold no slash"))
      }
      if (byName.has(provider.name)) {
        return Effect.fail(optionError("providers", provider.name, "names that are each used once"))
      }
      byName.set(provider.name, provider)
    }
    if (byName.size === 0) return Effect.fail(optionError("providers", "none", "at least one provider"))
    return Effect.succeed({ get: (name) => byName.get(name), all: Array.from(byName.values()) })
  })

/**
 * Builds every given provider Layer and registers it.
 *
 * **Example** (Two providers, the first the default)
 *
 * ```ts
 * import { LLMProvider } from "@breakwater/core"
 * import { ScriptedProvider } from "@breakwater/testing"
 *
 * const providers = LLMProvider.layer(
 *   ScriptedProvider.layer({ name: "first", script: [] }),
 *   ScriptedProvider.layer({ name: "second", script: [] })
 * )
 * ```
 */
export const layer = <Layers extends ReadonlyArray<Layer.Layer<LLMProvider, any, any>>>(
  ...layers: Layers
): Layer.Layer<Providers, Layer.Error<Layers[number]> | Config.ConfigError, Layer.Services<Layers[number]>> =>
  Layer.effect(
    Providers,
    Effect.gen(function* () {
      const built: Array<Provider> = []
      for (const each of layers) {
        const context = yield* Layer.build(each as Layer.Layer<LLMProvider>)
        built.push(Context.get(context, LLMProvider))
      }
      return yield* makeRegistry(built)
    })
  ) as Layer.Layer<Providers, any, any>

/** Registers providers that are already at hand. */
export const layerOf = (...providers: ReadonlyArray<Provider>): Layer.Layer<Providers, Config.ConfigError> =>
  Layer.effect(Providers, makeRegistry(providers))
