/**
 * What the providers with a wire of their own are made with alike, checked in one place.
 */
import { LLMError, type LLMProvider, type Model } from "@breakwater/core"
import type * as Config from "effect/Config"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import type * as Redacted from "effect/Redacted"
import { discreet } from "./Discreet.ts"
import type { HttpAnswer, Target } from "./Failure.ts"
import * as HttpCall from "./HttpCall.ts"
import * as KeyedHttp from "./KeyedHttp.ts"
import * as KeyPool from "./KeyPool.ts"
import { checkBaseUrl, checkBytes, checkDuration, checkHeaders, checkKeys, checkName } from "./Options.ts"

export interface ProviderOptions {
  /** The first half of `provider/model`: not empty, without a slash. */
  readonly name?: string
  /** The address of the provider, before the version. */
  readonly baseUrl?: string
  /** One key, or several that take turns. A refused key is set aside and the next one asked. Needed. */
  readonly apiKey?: Redacted.Redacted<string> | ReadonlyArray<Redacted.Redacted<string>>
  /** How long a refused key is not used while there is another. Above zero, at most a day. Default: 5 minutes. */
  readonly keySetAside?: Duration.Input
  /** Sent with every request. */
  readonly headers?: Readonly<Record<string, string>>
  /** What the models can do: the same for all, or by the model's name. Default: read off the model's name. */
  readonly capabilities?: Model.Capabilities | ((model: string) => Model.Capabilities)
  /** The largest answer that is read, in bytes, at least 1,024. Default: 128 MiB. */
  readonly maxBodyBytes?: number
  /** The largest event of a stream, in bytes, at least 1,024. Default: 1 MiB. */
  readonly maxEventBytes?: number
}

export interface Defaults {
  readonly name: string
  readonly baseUrl: string
  /** The header a key is sent in. */
  readonly keyHeader: (key: string) => readonly [name: string, value: string]
  readonly requiresKey: boolean
  readonly headers: Readonly<Record<string, string>>
  readonly capabilities: (model: string) => Model.Capabilities
  readonly onFailure: (target: Target, answer: HttpAnswer) => LLMError.AttemptError
}

/** Options that were found right, and the calls they make. */
export interface Built {
  readonly name: string
  /** Without a slash at its end. */
  readonly baseUrl: string
  readonly capabilities: (model: string) => Model.Capabilities
  readonly http: KeyedHttp.KeyedHttp
  /** The provider with errors that hold neither its keys nor the prompt. */
  readonly discreet: (provider: LLMProvider.Provider) => LLMProvider.Provider
}

/** Checks options over the `HttpClient` in the environment. Fails with a `ConfigError` that names the wrong one. */
export const build = (
  options: ProviderOptions,
  defaults: Defaults
): Effect.Effect<Built, Config.ConfigError, HttpClient.HttpClient> =>
  Effect.gen(function* () {
    const client = yield* HttpClient.HttpClient
    const name = yield* checkName(options.name ?? defaults.name)
    const baseUrl = yield* checkBaseUrl(options.baseUrl ?? defaults.baseUrl)
    const keys = yield* checkKeys(options.apiKey, defaults.requiresKey)
    const headers = yield* checkHeaders({ ...defaults.headers, ...options.headers })
    const setAside =
      options.keySetAside === undefined
        ? KeyPool.defaultSetAsideMs
        : yield* checkDuration("keySetAside", options.keySetAside, Duration.days(1))
    const { capabilities = defaults.capabilities } = options
    return {
      name,
      baseUrl,
      capabilities: typeof capabilities === "function" ? capabilities : () => capabilities,
      discreet: (provider) => discreet(provider, keys, headers),
      http: KeyedHttp.make({
        http: HttpCall.make(client),
        keys: KeyPool.make(keys, setAside),
        headers,
        keyHeader: defaults.keyHeader,
        maxBodyBytes: yield* checkBytes("maxBodyBytes", options.maxBodyBytes),
        maxEventBytes: yield* checkBytes("maxEventBytes", options.maxEventBytes),
        onFailure: defaults.onFailure
      })
    }
  })

/** Runs an encoder, or says that the request holds something that is not JSON. */
export const encoding = <A>(target: Target, encode: () => A): Effect.Effect<A, LLMError.InvalidRequestError> =>
  Effect.suspend(() => {
    try {
      return Effect.succeed(encode())
    } catch {
      return Effect.fail(
        new LLMError.InvalidRequestError({ ...target, message: "The request holds a value that JSON cannot hold." })
      )
    }
  })

/** An answer that may be an error. */
export const orFail = <A extends object>(value: A | LLMError.AttemptError): Effect.Effect<A, LLMError.AttemptError> =>
  "_tag" in value ? Effect.fail(value as LLMError.AttemptError) : Effect.succeed(value)
