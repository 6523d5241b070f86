/**
 * A provider that speaks OpenAI's chat completions: OpenAI itself, and everything that is compatible with it.
 *
 * Presets (`OpenAI`, `OpenRouter`, `Ollama`, …) are this with their address, key variable and dialect. Use this one
 * for a server that has none.
 *
 * Malformed arguments of a tool call are handed on as the text they are. A refusal (`message.refusal`) is a
 * `ContentFilterError` with stage `output`. Parameters that a server is known not to have are left out.
 */
import { LLMError, LLMProvider, type Model, type Request, type Response } from "@breakwater/core"
import * as Config from "effect/Config"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import type * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import type { HttpAnswer, Target } from "../internal/Failure.ts"
import * as HttpCall from "../internal/HttpCall.ts"
import * as KeyPool from "../internal/KeyPool.ts"
import { checkBaseUrl, checkBytes, checkDuration, checkHeaders, checkKeys, checkName } from "../internal/Options.ts"
import type { AnswerContext } from "./Answer.ts"
import * as Client from "./Client.ts"
import * as Codec from "./Codec.ts"
import type { Dialect } from "./Dialect.ts"
import * as ErrorMap from "./ErrorMap.ts"

export type { Dialect } from "./Dialect.ts"

export interface Options {
  /** The first half of `provider/model`: not empty, without a slash. */
  readonly name: string
  /** Everything before `/chat/completions`, such as `https://api.example.com/v1`. */
  readonly baseUrl: string
  /** One key, or several that take turns. A refused key is set aside and the next one asked. */
  readonly apiKey?: Redacted.Redacted<string> | ReadonlyArray<Redacted.Redacted<string>>
  /** Whether making the provider without a key fails. Default: `false`. */
  readonly requiresKey?: boolean
  /** How long a refused key is not used while there is another. Above zero, at most a day. Default: 5 minutes. */
  readonly keySetAside?: Duration.Input
  /** Sent with every request. */
  readonly headers?: Readonly<Record<string, string>>
  readonly organization?: string
  readonly project?: string
  /** What the models can do: the same for all, or by the model's name. Default: nothing is known. */
  readonly capabilities?: Model.Capabilities | ((model: string) => Model.Capabilities)
  /** How the server's wire differs from OpenAI's. */
  readonly dialect?: Dialect
  /** The header a key is sent in. Default: `authorization: Bearer KEY`. */
  readonly keyHeader?: (key: string) => readonly [name: string, value: string]
  /** The path of an operation under the base URL. Default: `/chat/completions` and `/embeddings`. */
  readonly path?: (operation: "chat" | "embeddings", model: string) => string
  /** The largest answer that is read, in bytes, at least 1,024. Default: 128 MiB. */
  readonly maxBodyBytes?: number
  /** The largest event of a stream, in bytes, at least 1,024. Default: 1 MiB. */
  readonly maxEventBytes?: number
}

const defaultPath = (operation: "chat" | "embeddings"): string =>
  operation === "chat" ? "/chat/completions" : "/embeddings"

const bearer = (key: string): readonly [string, string] => ["authorization", `Bearer ${key}`]

const headersOf = (options: Options): Readonly<Record<string, string>> => ({
  ...(options.organization === undefined ? {} : { "openai-organization": options.organization }),
  ...(options.project === undefined ? {} : { "openai-project": options.project }),
  ...options.headers
})

/** Encodes, or says that the request holds something that is not JSON. */
const encoded = (target: Target, encode: () => string): Effect.Effect<string, LLMError.InvalidRequestError> =>
  Effect.suspend(() => {
    try {
      return Effect.succeed(encode())
    } catch {
      return Effect.fail(
        new LLMError.InvalidRequestError({ ...target, message: "The request holds a value that JSON cannot hold." })
      )
    }
  })

const lift = <A extends object>(value: A | LLMError.AttemptError): Effect.Effect<A, LLMError.AttemptError> =>
  "_tag" in value ? Effect.fail(value) : Effect.succeed(value)

interface Built {
  readonly name: string
  readonly client: Client.Client
  readonly capabilities: (model: string) => Model.Capabilities
  readonly dialect: Dialect
}

const contextOf = (
  { capabilities, dialect }: Built,
  target: Target,
  head: HttpCall.HttpHead,
  request: Request.ProviderRequest
): AnswerContext => {
  const { contextWindow } = capabilities(target.model)
  return {
    target,
    head,
    promptCharacters: () => Codec.promptCharacters(request.messages),
    errorsInText: dialect.errorsInText ?? false,
    ...(contextWindow === undefined ? {} : { contextWindow })
  }
}

const generate = (built: Built) => (request: Request.ProviderRequest): Effect.Effect<Response.Turn, LLMError.AttemptError> => {
  const target = { provider: built.name, model: request.model }
  const encode = () => Codec.encodeChat(request, false, built.dialect, built.capabilities(request.model))
  return Effect.flatMap(encoded(target, encode), (body) =>
    Effect.flatMap(
      built.client.post("chat", body, target, (answer) => ErrorMap.fromAnswer(answer, target)),
      (answer) => lift(Codec.decodeChat(answer, contextOf(built, target, answer, request)))
    ))
}

const stream = (built: Built) => (request: Request.ProviderRequest): Stream.Stream<Response.StreamPart, LLMError.AttemptError> => {
  const target = { provider: built.name, model: request.model }
  const context = (head: HttpCall.HttpHead) => contextOf(built, target, head, request)
  const onWhole = (answer: HttpAnswer) => {
    const turn = Codec.decodeChat(answer, context(answer))
    return "_tag" in turn ? turn : Codec.turnParts(turn)
  }
  const encode = () => Codec.encodeChat(request, true, built.dialect, built.capabilities(request.model))
  return Stream.unwrap(Effect.map(encoded(target, encode), (body) =>
    built.client.stream(body, target, {
      onFailure: (answer) => ErrorMap.fromAnswer(answer, target),
      onWhole,
      decoder: (head) => new Codec.ChatStreamDecoder(context(head))
    })))
}

const embed = (built: Built) => (request: Request.ProviderEmbedRequest): Effect.Effect<Response.Embeddings, LLMError.AttemptError> => {
  const target = { provider: built.name, model: request.model }
  return Effect.flatMap(encoded(target, () => Codec.encodeEmbeddings(request)), (body) =>
    Effect.flatMap(
      built.client.post("embeddings", body, target, (answer) => ErrorMap.fromAnswer(answer, target)),
      (answer) => lift(Codec.decodeEmbeddings(answer, target, request.input))
    ))
}

/**
 * Makes the provider over the `HttpClient` in the environment (see `HttpPool.layer`).
 *
 * Fails with a `ConfigError` that names the wrong option.
 */
export const make = (
  options: Options
): Effect.Effect<LLMProvider.Provider, Config.ConfigError, HttpClient.HttpClient> =>
  Effect.gen(function*() {
    const httpClient = yield* HttpClient.HttpClient
    const name = yield* checkName(options.name)
    const baseUrl = yield* checkBaseUrl(options.baseUrl)
    const keys = yield* checkKeys(options.apiKey, options.requiresKey ?? false)
    const headers = yield* checkHeaders(headersOf(options))
    const path = options.path ?? defaultPath
    const setAside = options.keySetAside === undefined
      ? KeyPool.defaultSetAsideMs
      : yield* checkDuration("keySetAside", options.keySetAside, Duration.days(1))
    const { capabilities = {} } = options
    const built: Built = {
      name,
      dialect: options.dialect ?? {},
      capabilities: typeof capabilities === "function" ? capabilities : () => capabilities,
      client: Client.make({
        http: HttpCall.make(httpClient),
        keys: KeyPool.make(keys, setAside),
        url: (operation, model) => baseUrl + path(operation, model),
        headers,
        keyHeader: options.keyHeader ?? bearer,
        maxBodyBytes: yield* checkBytes("maxBodyBytes", options.maxBodyBytes),
        maxEventBytes: yield* checkBytes("maxEventBytes", options.maxEventBytes)
      })
    }
    return {
      name,
      capabilities: built.capabilities,
      generate: generate(built),
      stream: stream(built),
      embed: embed(built)
    }
  })

/** A Layer of a provider that is made by an effect. */
export const layerOf = (
  provider: Effect.Effect<LLMProvider.Provider, Config.ConfigError, HttpClient.HttpClient>
): Layer.Layer<LLMProvider.LLMProvider, Config.ConfigError, HttpClient.HttpClient> =>
  Layer.effect(LLMProvider.LLMProvider, provider)

/** The provider as a Layer. Fails with a `ConfigError` that names the wrong option. */
export const layer = (
  options: Options
): Layer.Layer<LLMProvider.LLMProvider, Config.ConfigError, HttpClient.HttpClient> =>
  layerOf(make(options))

/** The same, with options read from the configuration. */
export const layerConfig = (
  options: Config.Wrap<Options>
): Layer.Layer<LLMProvider.LLMProvider, Config.ConfigError, HttpClient.HttpClient> =>
  layerOf(Effect.flatMap(Config.unwrap(options), make))
