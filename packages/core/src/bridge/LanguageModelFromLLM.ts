/**
 * An `LLM` as a `LanguageModel` and as an `EmbeddingModel` of `effect/ai`.
 */
import * as AiError from "effect/ai/AiError"
import * as EmbeddingModel from "effect/ai/EmbeddingModel"
import * as LanguageModel from "effect/ai/LanguageModel"
import type * as AiResponse from "effect/ai/Response"
import * as AiTool from "effect/ai/Tool"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { CallControls, StreamOptions } from "../domain/Call.ts"
import type { JsonObject } from "../domain/Json.ts"
import type { Sampling } from "../domain/Request.ts"
import { fromAiTool, type ToolChoice } from "../domain/Tool.ts"
import { fromResponse } from "./aiParts.ts"
import { makeWriter } from "./toAiStream.ts"
import type { LLMService } from "../LLM.ts"
import { toAiError } from "./AiErrors.ts"

/** What can be set for calls that come through a `LanguageModel`, which has no options of its own for it. */
export interface Controls extends CallControls, Sampling, Pick<StreamOptions, "user" | "extra" | "streamPolicy"> {}

/** How an `LLM` serves as a `LanguageModel`. */
export interface LanguageModelOptions extends Omit<Controls, "requestId"> {
  /**
   * Rewrites schemas of objects for providers with narrow rules (`toCodecOpenAI` of
   * `effect/ai/OpenAiStructuredOutput`). Default: the schema as it is.
   */
  readonly codecTransformer?: LanguageModel.CodecTransformer
}

/**
 * Controls for the calls of one part of a program; they go before those of the Layer. Set them with
 * {@link withControls}.
 */
export const CurrentControls = Context.Reference<Controls>("@breakwater/core/LanguageModelBridge/CurrentControls", {
  defaultValue: () => ({})
})

/**
 * Runs an effect with controls for its calls to a bridged model: whose they are, which target, how long.
 *
 * **Example** (Saying whose call it is)
 *
 * ```ts
 * import { LanguageModelBridge } from "@breakwater/core"
 * import * as LanguageModel from "effect/ai/LanguageModel"
 *
 * const answer = LanguageModel.generateText({ prompt: "Hello" }).pipe(
 *   LanguageModelBridge.withControls({ context: { tenant: "acme" }, timeout: "20 seconds" })
 * )
 * ```
 */
export const withControls =
  (controls: Controls) =>
  <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.updateService(effect, CurrentControls, (outer) => ({ ...outer, ...controls }))

/** {@link withControls} for a stream: the calls are made when it is run. */
export const withControlsStream =
  (controls: Controls) =>
  <A, E, R>(stream: Stream.Stream<A, E, R>): Stream.Stream<A, E, R> =>
    Stream.updateService(stream, CurrentControls, (outer) => ({ ...outer, ...controls }))

const invalid = (method: string, reason: AiError.AiErrorReason): AiError.AiError =>
  AiError.make({ module: "Breakwater", method, reason })

const translateTools = (request: LanguageModel.ProviderOptions, method: string) => {
  if (request.tools.length === 0) return {}
  for (const tool of request.tools) {
    if (AiTool.isProviderDefined(tool)) {
      throw invalid(
        method,
        new AiError.InvalidRequestError({
          parameter: "tools",
          description:
            `Tool "${tool.name}" is defined by a provider. A call that may be answered by several ` +
            "providers cannot carry it; declare a tool of your own."
        })
      )
    }
  }
  return { tools: request.tools.map(fromAiTool), toolChoice: request.toolChoice as ToolChoice }
}

const translate = (
  options: LanguageModelOptions,
  controls: Controls,
  request: LanguageModel.ProviderOptions,
  method: string
): StreamOptions => {
  const { codecTransformer = LanguageModel.defaultCodecTransformer, ...fixed } = options
  const format = request.responseFormat
  return {
    ...fixed,
    ...controls,
    prompt: request.prompt,
    ...translateTools(request, method),
    ...(format.type === "json"
      ? {
          responseFormat: {
            type: "json",
            name: format.objectName,
            schema: codecTransformer(format.schema).jsonSchema as JsonObject
          }
        }
      : {})
  }
}

const prepared = (
  options: LanguageModelOptions,
  request: LanguageModel.ProviderOptions,
  method: string
): Effect.Effect<StreamOptions, AiError.AiError> =>
  Effect.flatMap(CurrentControls, (controls) =>
    Effect.try({
      try: () => translate(options, controls, request, method),
      catch: (cause) =>
        AiError.isAiError(cause)
          ? cause
          : invalid(
              method,
              new AiError.UnsupportedSchemaError({
                description: cause instanceof Error ? cause.message : String(cause)
              })
            )
    })
  )

/** Serves an `LLM` as a `LanguageModel`. */
export const fromService = (
  llm: LLMService,
  options: LanguageModelOptions = {}
): Effect.Effect<LanguageModel.LanguageModel> =>
  LanguageModel.make({
    generateText: (request) =>
      Effect.flatMap(prepared(options, request, "generateText"), ({ streamPolicy: _, ...call }) =>
        Effect.mapBoth(llm.generate(call), {
          onFailure: (error) => toAiError(error, "generateText"),
          onSuccess: fromResponse
        })
      ),
    streamText: (request) =>
      Stream.unwrap(
        Effect.map(prepared(options, request, "streamText"), (call) =>
          llm.stream(call).pipe(
            Stream.mapError((error) => toAiError(error, "streamText")),
            Stream.mapAccumArray(makeWriter, (writer, chunk) => {
              const out: Array<AiResponse.StreamPartEncoded> = []
              for (const part of chunk) writer.push(part, out)
              return [writer, out] as const
            })
          )
        )
      ),
    ...(options.codecTransformer === undefined ? {} : { codecTransformer: options.codecTransformer })
  })

/** How an `LLM` serves as an `EmbeddingModel`. */
export interface EmbeddingModelOptions extends Omit<CallControls, "requestId"> {
  readonly dimensions?: number
  readonly user?: string
  readonly extra?: Readonly<Record<string, unknown>>
}

const callControls = (controls: Controls): CallControls => {
  const { context, fallbacks, model, requestId, strict, timeout } = controls
  return {
    ...(context === undefined ? {} : { context }),
    ...(fallbacks === undefined ? {} : { fallbacks }),
    ...(model === undefined ? {} : { model }),
    ...(requestId === undefined ? {} : { requestId }),
    ...(strict === undefined ? {} : { strict }),
    ...(timeout === undefined ? {} : { timeout })
  }
}

/** Serves an `LLM` as an `EmbeddingModel`. */
export const embeddingModelFromService = (
  llm: LLMService,
  options: EmbeddingModelOptions = {}
): Effect.Effect<EmbeddingModel.EmbeddingModel> =>
  EmbeddingModel.make({
    // Requests of different tenants never share a batch.
    batchKey: (context) => Context.get(context, CurrentControls),
    embedMany: ({ inputs }) =>
      Effect.flatMap(CurrentControls, (controls) =>
        Effect.mapBoth(llm.embed({ ...options, ...callControls(controls), input: inputs }), {
          onFailure: (error) => toAiError(error, "embedMany"),
          onSuccess: (response) => ({
            results: response.vectors as Array<Array<number>>,
            usage: { inputTokens: response.usage.inputTokens }
          })
        })
      )
  })
