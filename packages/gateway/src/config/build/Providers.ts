/** The providers of a configuration, on one pool of connections. */
import { LLMProvider } from "@breakwater/core"
import { Anthropic, Catalog, HttpPool } from "@breakwater/providers"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as HttpClient from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import type * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import { type ConfigurationError, secretOf } from "../Load.ts"
import { type GatewayConfig, millisOf } from "../Schema.ts"
import { at } from "./Failure.ts"
import { type Kept, keyOf } from "./Kept.ts"

type Provider = GatewayConfig["providers"][string]

/** A pool of connections, which a reload keeps open. */
export const poolOf = (
  { http }: GatewayConfig,
  kept: Kept
): Effect.Effect<Context.Context<HttpClient.HttpClient>, ConfigurationError, Scope.Scope> =>
  at("http")(
    kept.keep(
      keyOf("http", http ?? {}),
      Layer.build(
        HttpPool.layer({
          ...(http?.connections === undefined ? {} : { connections: http.connections }),
          ...(http?.connectTimeout === undefined
            ? {}
            : { connectTimeout: Duration.millis(millisOf(http.connectTimeout)) })
        })
      )
    )
  )

const providerOf = (name: string, provider: Provider) =>
  Effect.gen(function* () {
    const path = `providers.${name}`
    const given = provider.apiKey
    const secrets = given === undefined ? [] : Array.isArray(given) ? given : [given]
    const keys: Array<Redacted.Redacted<string>> = []
    for (const secret of secrets) keys.push(yield* secretOf(secret, `${path}.apiKey`))
    const options: Catalog.Options = {
      name,
      ...(provider.baseUrl === undefined ? {} : { baseUrl: provider.baseUrl }),
      ...(keys.length === 0 ? {} : { apiKey: keys })
    }
    const { betas, type } = provider
    const layer =
      type === "anthropic" && betas !== undefined
        ? Anthropic.layer({ ...options, betas })
        : Catalog.fromName(type, options)
    const built = yield* at(path)(Layer.build(layer))
    return Context.get(built, LLMProvider.LLMProvider)
  })

/** Every provider by its name. */
export const registryOf = (
  config: GatewayConfig
): Effect.Effect<LLMProvider.Registry, ConfigurationError, Scope.Scope | HttpClient.HttpClient> =>
  Effect.gen(function* () {
    const providers: Array<LLMProvider.Provider> = []
    for (const [name, provider] of Object.entries(config.providers)) providers.push(yield* providerOf(name, provider))
    return yield* at("providers")(LLMProvider.makeRegistry(providers))
  })
