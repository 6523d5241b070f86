/**
 * A provider that speaks Anthropic's Messages.
 *
 * The decisions of its wire are in `Codec.ts`, what its models accept in `Models.ts`. Malformed arguments of a tool
 * call are handed on as the text they are. A refusal is a `ContentFilterError` with stage `output`.
 */
import { LLMError, type LLMProvider, type Request, Response } from "@breakwater/core"
import type * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import type * as HttpClient from "effect/http/HttpClient"
import * as Stream from "effect/Stream"
import { originOf } from "../internal/Failure.ts"
import { optionError } from "../internal/Options.ts"
import { build, type Built, encoding, orFail, type ProviderOptions } from "../internal/ProviderOptions.ts"
import { rateLimits } from "../internal/RateLimitHeaders.ts"
import * as Answer from "./Answer.ts"
import * as Codec from "./Codec.ts"
import * as ErrorMap from "./ErrorMap.ts"
import * as Models from "./Models.ts"
import { AnthropicDecoder } from "./StreamDecoder.ts"

type AttemptError = LLMError.AttemptError

export interface Options extends ProviderOptions {
  /** The version of the interface. Default: `2023-06-01`. */
  readonly version?: string
  /** Features to switch on, sent as `anthropic-beta`. */
  readonly betas?: ReadonlyArray<string>
  /**
   * Sent as `max_tokens` when a request has none, for the wire needs one; a whole number of at least 1. Default: the
   * largest answer of the model, or 4,096 for a model that is not known.
   */
  readonly defaultMaxTokens?: number
}

const defaultBaseUrl = "https://api.anthropic.com"
const defaultVersion = "2023-06-01"

interface Messages extends Built {
  readonly url: string
  readonly defaultMaxTokens: number | undefined
}

const encode = (provider: Messages, request: Request.ProviderRequest, stream: boolean) => {
  const target = { provider: provider.name, model: request.model }
  const { maxOutputTokens } = provider.capabilities(request.model)
  const limits = { defaultMaxTokens: provider.defaultMaxTokens, maxOutputTokens }
  return encoding(target, () => {
    const { body, trimmed } = Codec.encodeRequest(request, stream, limits)
    return { target, trimmed, json: JSON.stringify(body) }
  })
}

const generate =
  (provider: Messages) =>
  (request: Request.ProviderRequest): Effect.Effect<Response.Turn, AttemptError> =>
    Effect.flatMap(encode(provider, request, false), ({ json, target, trimmed }) =>
      Effect.flatMap(provider.http.post(provider.url, json, target), (answer) =>
        orFail(Answer.decode(target, answer, trimmed))
      )
    )

const stream =
  (provider: Messages) =>
  (request: Request.ProviderRequest): Stream.Stream<Response.StreamPart, AttemptError> =>
    Stream.unwrap(
      Effect.map(encode(provider, request, true), ({ json, target, trimmed }) =>
        provider.http.stream(provider.url, json, target, {
          onWhole: (answer) => {
            const turn = Answer.decode(target, answer, trimmed)
            return "_tag" in turn ? turn : Response.partsOf(turn)
          },
          decoder: (head) => {
            const limits = rateLimits(head.headers, head.nowMs)
            return new AnthropicDecoder({
              origin: originOf(target, head),
              trimmed,
              ...(limits === undefined ? {} : { limits })
            })
          }
        })
      )
    )

const embed =
  (provider: Messages) =>
  (request: Request.ProviderEmbedRequest): Effect.Effect<never, LLMError.InvalidRequestError> =>
    Effect.suspend(() =>
      Effect.fail(
        new LLMError.InvalidRequestError({
          provider: provider.name,
          model: request.model,
          message: "Anthropic has no embeddings: `embed` needs another provider."
        })
      )
    )

/** The address of the operation. An address that ends with the version already is taken as it is. */
const messagesUrl = (baseUrl: string): string => `${baseUrl.replace(/\/v1$/, "")}/v1/messages`

const checkMaxTokens = (value: number | undefined): Effect.Effect<void, Config.ConfigError> =>
  value === undefined || (Number.isSafeInteger(value) && value >= 1)
    ? Effect.void
    : Effect.fail(optionError("defaultMaxTokens", String(value), "a whole number of at least 1"))

/**
 * Makes the provider over the `HttpClient` in the environment (see `HttpPool.layer`).
 *
 * Fails with a `ConfigError` that names the wrong option, or if there is no key.
 */
export const make = (
  options: Options
): Effect.Effect<LLMProvider.Provider, Config.ConfigError, HttpClient.HttpClient> =>
  Effect.gen(function* () {
    yield* checkMaxTokens(options.defaultMaxTokens)
    const built = yield* build(options, {
      name: "anthropic",
      baseUrl: defaultBaseUrl,
      keyHeader: (key) => ["x-api-key", key],
      requiresKey: true,
      headers: {
        "anthropic-version": options.version ?? defaultVersion,
        ...(options.betas?.length ? { "anthropic-beta": options.betas.join(",") } : {})
      },
      capabilities: Models.capabilities,
      onFailure: ErrorMap.fromAnswer
    })
    const provider = { ...built, url: messagesUrl(built.baseUrl), defaultMaxTokens: options.defaultMaxTokens }
    return built.discreet({
      name: built.name,
      capabilities: built.capabilities,
      generate: generate(provider),
      stream: stream(provider),
      embed: embed(provider)
    })
  })
