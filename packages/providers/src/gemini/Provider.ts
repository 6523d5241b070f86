/**
 * A provider that speaks Gemini's `generateContent`.
 *
 * The decisions of its wire are in `Codec.ts`, what its models accept in `Models.ts`.
 */
import { type LLMError, type LLMProvider, type Request, Response } from "@breakwater/core"
import type * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import type * as HttpClient from "effect/http/HttpClient"
import * as Random from "effect/Random"
import * as Stream from "effect/Stream"
import { originOf, type Target } from "../internal/Failure.ts"
import { build, type Built, encoding, orFail, type ProviderOptions } from "../internal/ProviderOptions.ts"
import * as Answer from "./Answer.ts"
import * as Codec from "./Codec.ts"
import * as ErrorMap from "./ErrorMap.ts"
import * as Models from "./Models.ts"
import { GeminiDecoder } from "./StreamDecoder.ts"

type AttemptError = LLMError.AttemptError

export type Options = ProviderOptions

const defaultBaseUrl = "https://generativelanguage.googleapis.com"

type Operation = "generateContent" | "streamGenerateContent?alt=sse" | "batchEmbedContents"

/** The name without the folder the interface itself puts before it. */
const bareModel = (model: string): string => model.replace(/^models\//, "")

/** `tunedModels/x` is a path of its own. An address that ends with a version is taken as it is. */
const urlOf = (baseUrl: string, model: string, operation: Operation): string => {
  const root = /\/v\d+(?:alpha|beta)?\d*$/.test(baseUrl) ? baseUrl : `${baseUrl}/v1beta`
  const path = (model.includes("/") ? model : `models/${model}`).split("/").map(encodeURIComponent).join("/")
  return `${root}/${path}:${operation}`
}

/** Sets the made up ids of one answer apart from those of all others, where the answer itself has no id. */
const seed = Effect.map(Random.nextInt, (number) => (number >>> 0).toString(36))

const targetOf = (provider: Built, model: string) => ({ provider: provider.name, model })

const encode = (provider: Built, target: Target, request: Request.ProviderRequest) =>
  encoding(target, () => {
    const { maxOutputTokens } = provider.capabilities(request.model)
    return JSON.stringify(Codec.encodeRequest({ ...request, model: bareModel(request.model) }, maxOutputTokens))
  })

const generate =
  (provider: Built) =>
  (request: Request.ProviderRequest): Effect.Effect<Response.Turn, AttemptError> =>
    Effect.gen(function* () {
      const target = targetOf(provider, request.model)
      const json = yield* encode(provider, target, request)
      const url = urlOf(provider.baseUrl, bareModel(request.model), "generateContent")
      const answer = yield* provider.http.post(url, json, target)
      return yield* orFail(Answer.decode(target, answer, yield* seed))
    })

const stream =
  (provider: Built) =>
  (request: Request.ProviderRequest): Stream.Stream<Response.StreamPart, AttemptError> =>
    Stream.unwrap(
      Effect.gen(function* () {
        const target = targetOf(provider, request.model)
        const json = yield* encode(provider, target, request)
        const url = urlOf(provider.baseUrl, bareModel(request.model), "streamGenerateContent?alt=sse")
        const standIn = yield* seed
        return provider.http.stream(url, json, target, {
          onWhole: (answer) => {
            const turn = Answer.decode(target, answer, standIn)
            return "_tag" in turn ? turn : Response.partsOf(turn)
          },
          decoder: (head) => new GeminiDecoder({ origin: originOf(target, head), seed: standIn })
        })
      })
    )

const embed =
  (provider: Built) =>
  (request: Request.ProviderEmbedRequest): Effect.Effect<Response.Embeddings, AttemptError> =>
    Effect.gen(function* () {
      const target = targetOf(provider, request.model)
      const model = bareModel(request.model)
      const json = yield* encoding(target, () => JSON.stringify(Codec.encodeEmbed({ ...request, model })))
      const answer = yield* provider.http.post(urlOf(provider.baseUrl, model, "batchEmbedContents"), json, target)
      return yield* orFail(Answer.decodeEmbeddings(target, answer, request))
    })

/**
 * Makes the provider over the `HttpClient` in the environment (see `HttpPool.layer`).
 *
 * Fails with a `ConfigError` that names the wrong option, or if there is no key.
 */
export const make = (
  options: Options
): Effect.Effect<LLMProvider.Provider, Config.ConfigError, HttpClient.HttpClient> =>
  Effect.map(
    build(options, {
      name: "gemini",
      baseUrl: defaultBaseUrl,
      keyHeader: (key) => ["x-goog-api-key", key],
      requiresKey: true,
      headers: {},
      capabilities: (model) => Models.capabilities(bareModel(model)),
      onFailure: ErrorMap.fromAnswer
    }),
    (built) =>
      built.discreet({
        name: built.name,
        capabilities: built.capabilities,
        generate: generate(built),
        stream: stream(built),
        embed: embed(built)
      })
  )
