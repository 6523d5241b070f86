/**
 * A provider that speaks OpenAI's chat completions: OpenAI itself, and everything that is compatible with it.
 *
 * Presets (`OpenAI`, `OpenRouter`, `Ollama`, …) are this with their address, key variable and dialect. Use this one
 * for a server that has none.
 *
 * Malformed arguments of a tool call are handed on as the text they are. A refusal (`message.refusal`) is a
 * `ContentFilterError` with stage `output`. Parameters that a server is known not to have are left out.
 */
import { type LLMError, LLMProvider, type Request, Response } from "@breakwater/core"
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import type * as HttpClient from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import type { HttpAnswer, Target } from "../internal/Failure.ts"
import type * as HttpCall from "../internal/HttpCall.ts"
import { build, type Built, encoding, orFail, type ProviderOptions } from "../internal/ProviderOptions.ts"
import type { AnswerContext } from "./Answer.ts"
import * as Codec from "./Codec.ts"
import type { Dialect } from "./Dialect.ts"
import * as ErrorMap from "./ErrorMap.ts"

export type { Dialect } from "./Dialect.ts"

export interface Options extends ProviderOptions {
  readonly name: string
  /** Everything before `/chat/completions`, such as `https://api.example.com/v1`. */
  readonly baseUrl: string
  /** Whether making the provider without a key fails. Default: `false`. */
  readonly requiresKey?: boolean
  readonly organization?: string
  readonly project?: string
  /** How the server's wire differs from OpenAI's. */
  readonly dialect?: Dialect
  /** The header a key is sent in. Default: `authorization: Bearer KEY`. */
  readonly keyHeader?: (key: string) => readonly [name: string, value: string]
  /** The path of an operation under the base URL. Default: `/chat/completions` and `/embeddings`. */
  readonly path?: (operation: "chat" | "embeddings", model: string) => string
}

const defaultPath = (operation: "chat" | "embeddings"): string =>
  operation === "chat" ? "/chat/completions" : "/embeddings"

const bearer = (key: string): readonly [string, string] => ["authorization", `Bearer ${key}`]

const headersOf = (options: Options): Readonly<Record<string, string>> => ({
  ...(options.organization === undefined ? {} : { "openai-organization": options.organization }),
  ...(options.project === undefined ? {} : { "openai-project": options.project }),
  ...options.headers
})

interface Chat extends Built {
  readonly dialect: Dialect
  readonly url: (operation: "chat" | "embeddings", model: string) => string
}

const contextOf = (
  { capabilities, dialect }: Chat,
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

const generate =
  (built: Chat) =>
  (request: Request.ProviderRequest): Effect.Effect<Response.Turn, LLMError.AttemptError> => {
    const target = { provider: built.name, model: request.model }
    const encode = () => Codec.encodeChat(request, false, built.dialect, built.capabilities(request.model))
    return Effect.flatMap(encoding(target, encode), (body) =>
      Effect.flatMap(built.http.post(built.url("chat", request.model), body, target), (answer) =>
        orFail(Codec.decodeChat(answer, contextOf(built, target, answer, request)))
      )
    )
  }

const stream =
  (built: Chat) =>
  (request: Request.ProviderRequest): Stream.Stream<Response.StreamPart, LLMError.AttemptError> => {
    const target = { provider: built.name, model: request.model }
    const context = (head: HttpCall.HttpHead) => contextOf(built, target, head, request)
    const onWhole = (answer: HttpAnswer) => {
      const turn = Codec.decodeChat(answer, context(answer))
      return "_tag" in turn ? turn : Response.partsOf(turn)
    }
    const encode = () => Codec.encodeChat(request, true, built.dialect, built.capabilities(request.model))
    return Stream.unwrap(
      Effect.map(encoding(target, encode), (body) =>
        built.http.stream(built.url("chat", request.model), body, target, {
          onWhole,
          decoder: (head) => new Codec.ChatStreamDecoder(context(head))
        })
      )
    )
  }

const embed =
  (built: Chat) =>
  (request: Request.ProviderEmbedRequest): Effect.Effect<Response.Embeddings, LLMError.AttemptError> => {
    const target = { provider: built.name, model: request.model }
    return Effect.flatMap(
      encoding(target, () => Codec.encodeEmbeddings(request)),
      (body) =>
        Effect.flatMap(built.http.post(built.url("embeddings", request.model), body, target), (answer) =>
          orFail(Codec.decodeEmbeddings(answer, target, request.input))
        )
    )
  }

/**
 * Makes the provider over the `HttpClient` in the environment (see `HttpPool.layer`).
 *
 * Fails with a `ConfigError` that names the wrong option.
 */
export const make = (
  options: Options
): Effect.Effect<LLMProvider.Provider, Config.ConfigError, HttpClient.HttpClient> =>
  Effect.gen(function* () {
    const path = options.path ?? defaultPath
    const shared = yield* build(
      { ...options, headers: headersOf(options) },
      {
        name: options.name,
        baseUrl: options.baseUrl,
        headers: {},
        keyHeader: options.keyHeader ?? bearer,
        requiresKey: options.requiresKey ?? false,
        capabilities: () => ({}),
        onFailure: (target, answer) => ErrorMap.fromAnswer(answer, target)
      }
    )
    const built: Chat = {
      ...shared,
      dialect: options.dialect ?? {},
      url: (operation, model) => shared.baseUrl + path(operation, model)
    }
    return built.discreet({
      name: built.name,
      capabilities: built.capabilities,
      generate: generate(built),
      stream: stream(built),
      embed: embed(built)
    })
  })

/** A Layer of a provider that is made by an effect. */
export const layerOf = (
  provider: Effect.Effect<LLMProvider.Provider, Config.ConfigError, HttpClient.HttpClient>
): Layer.Layer<LLMProvider.LLMProvider, Config.ConfigError, HttpClient.HttpClient> =>
  Layer.effect(LLMProvider.LLMProvider, provider)

/** The provider as a Layer. Fails with a `ConfigError` that names the wrong option. */
export const layer = (
  options: Options
): Layer.Layer<LLMProvider.LLMProvider, Config.ConfigError, HttpClient.HttpClient> => layerOf(make(options))

/** The same, with options read from the configuration. */
export const layerConfig = (
  options: Config.Wrap<Options>
): Layer.Layer<LLMProvider.LLMProvider, Config.ConfigError, HttpClient.HttpClient> =>
  layerOf(Effect.flatMap(Config.unwrap(options), make))
