/**
 * Any `LanguageModel` of `effect/ai` as a provider.
 */
import * as AiError from "effect/ai/AiError"
import type * as EmbeddingModel from "effect/ai/EmbeddingModel"
import type * as LanguageModel from "effect/ai/LanguageModel"
import * as Prompt from "effect/ai/Prompt"
import * as AiResponse from "effect/ai/Response"
import * as Telemetry from "effect/ai/Telemetry"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { type Message, textOf } from "../domain/Message.ts"
import type { Capabilities } from "../domain/Model.ts"
import type { ProviderEmbedRequest, ProviderRequest } from "../domain/Request.ts"
import type { Embeddings, StreamPart, Turn } from "../domain/Response.ts"
import { estimateTokens } from "../domain/Usage.ts"
import { type AttemptError, InvalidRequestError, ServerError, StreamInterruptedError } from "../errors/LLMError.ts"
import { toTurn } from "./aiParts.ts"
import { type Failed, isTerminal, makeReader, type Read, type Reader } from "./fromAiStream.ts"
import { discreet, type Provider } from "../LLMProvider.ts"
import { fromAiError, type Origin } from "./AiErrors.ts"
import { type Bridge, makeBridge, type ProviderOptions } from "./ProviderOptions.ts"
import { inertToolkit, type ObjectSchema, schemaOf } from "./RequestParts.ts"

/** The models behind a provider: one for text, one for vectors, or both. */
export interface Models {
  readonly languageModel?: LanguageModel.LanguageModel
  readonly embeddingModel?: EmbeddingModel.EmbeddingModel
}

const charactersIn = (messages: ReadonlyArray<Message>): number => {
  let characters = 0
  for (const message of messages) characters += textOf(message).length
  return characters
}

/** What the model is asked: everything that can be wrong with the request is found here, before anything is sent. */
const prepare = (bridge: Bridge, request: ProviderRequest) =>
  Effect.suspend(() => {
    const refused = bridge.refuse(request)
    if (refused !== undefined) return Effect.fail(refused)
    const wrong =
      (parameter: string) =>
      (cause: unknown): AttemptError =>
        new InvalidRequestError({
          ...bridge.origin(request),
          message: cause instanceof Error ? cause.message : `The ${parameter} cannot be read.`,
          parameter
        })
    const format = request.responseFormat
    return Effect.all({
      prompt: Effect.try({ try: () => Prompt.make(request.messages), catch: wrong("messages") }),
      schema:
        format?.type === "json"
          ? Effect.try({ try: () => schemaOf(format.schema), catch: wrong("responseFormat") })
          : Effect.succeed(undefined)
    })
  })

const turnOptions = (request: ProviderRequest, prompt: Prompt.Prompt) => ({
  prompt,
  toolkit: inertToolkit(request.tools ?? []),
  disableToolCallResolution: true as const,
  toolCallValidation: "deferred" as const,
  ...(request.toolChoice === undefined ? {} : { toolChoice: request.toolChoice })
})

const generate = (bridge: Bridge, model: LanguageModel.LanguageModel, request: ProviderRequest) =>
  Effect.flatMap(prepare(bridge, request), ({ prompt, schema }): Effect.Effect<Turn, AttemptError> => {
    const origin = bridge.origin(request)
    const parts: Effect.Effect<ReadonlyArray<AiResponse.AnyPart>, AiError.AiError> = schema === undefined
      ? Effect.map(model.generateText(turnOptions(request, prompt)), (response) => response.content)
      : generateObject(model, request, prompt, schema)
    return parts.pipe(
      Effect.mapError((error) => fromAiError(error, origin)),
      Effect.flatMap((found) => {
        const turn = toTurn(found, charactersIn(request.messages))
        return turn === undefined ? Effect.fail(endedInError(origin)) : Effect.succeed(turn)
      }),
      Effect.provideContext(bridge.services(request))
    )
  })

const generateObject = (
  model: LanguageModel.LanguageModel,
  request: ProviderRequest,
  prompt: Prompt.Prompt,
  schema: ObjectSchema
): Effect.Effect<ReadonlyArray<AiResponse.AnyPart>, AiError.AiError> => {
  const objectName = request.responseFormat?.type === "json" ? request.responseFormat.name : undefined
  const asked = Effect.map(
    model.generateObject({ ...turnOptions(request, prompt), schema: schema.schema, objectName }),
    // The model's own wire format of the object is not the caller's: the text is written anew from the value.
    (response) => replaceText(response.content, schema.encode(response.value))
  )
  return (request.tools ?? []).length === 0 ? asked : orToolCalls(asked)
}

/**
 * A model that may call tools may call one instead of giving the object. `generateObject` fails then, and shows what
 * the model said to the transformer of its span only.
 */
const orToolCalls = (
  asked: Effect.Effect<ReadonlyArray<AiResponse.AnyPart>, AiError.AiError>
): Effect.Effect<ReadonlyArray<AiResponse.AnyPart>, AiError.AiError> =>
  Effect.flatMap(Effect.serviceOption(Telemetry.CurrentSpanTransformer), (outer) => {
    let said: ReadonlyArray<AiResponse.AnyPart> = []
    return asked.pipe(
      Effect.provideService(Telemetry.CurrentSpanTransformer, (options) => {
        said = options.response
        if (Option.isSome(outer)) outer.value(options)
      }),
      Effect.catch((error) =>
        error.reason._tag === "StructuredOutputError" && said.some((part) => part.type === "tool-call")
          ? Effect.succeed(said)
          : Effect.fail(error)
      )
    )
  })

const replaceText = (parts: ReadonlyArray<AiResponse.AnyPart>, text: string): ReadonlyArray<AiResponse.AnyPart> => {
  const first = parts.findIndex((part) => part.type === "text")
  const out: Array<AiResponse.AnyPart> = []
  parts.forEach((part, index) => {
    if (part.type !== "text") out.push(part)
    else if (index === first) out.push(AiResponse.makePart("text", { text, metadata: part.metadata }))
  })
  return out
}

const endedInError = (origin: Origin): AttemptError =>
  new ServerError({ ...origin, message: "The model ended its answer with an error." })

const interrupted = (reader: Reader, origin: Origin, message: string, cause?: AttemptError): AttemptError => {
  let partialText = ""
  for (const part of reader.parts) {
    if (part.type === "text-delta") partialText += part.delta
  }
  return new StreamInterruptedError({
    ...origin,
    message,
    partialText,
    parts: reader.parts,
    ...(cause === undefined ? {} : { cause })
  })
}

const inBand = (failed: Failed, reader: Reader, origin: Origin): AttemptError => {
  if (AiError.isAiError(failed.error)) return streamError(failed.error, reader, origin)
  if (AiError.isAiErrorReason(failed.error)) {
    const { error: reason } = failed
    return streamError(AiError.make({ module: origin.provider, method: "streamText", reason }), reader, origin)
  }
  return endedInError(origin)
}

/** A connection that breaks after content was seen has broken the stream. */
const streamError = (error: AiError.AiError, reader: Reader, origin: Origin): AttemptError => {
  const read = fromAiError(error, origin)
  return read._tag === "TransportError" && reader.committed ? interrupted(reader, origin, read.message, read) : read
}

const stream = (bridge: Bridge, model: LanguageModel.LanguageModel, request: ProviderRequest) => {
  if (request.responseFormat?.type === "json") return objectStream(bridge, model, request)
  const start = (prompt: Prompt.Prompt): Stream.Stream<StreamPart, AttemptError> => {
    const origin = bridge.origin(request)
    const reader = makeReader(charactersIn(request.messages))
    let end: Read | undefined
    const parts: Stream.Stream<AiResponse.AnyPart, AiError.AiError> = model.streamText(turnOptions(request, prompt))
    return parts.pipe(
      Stream.mapError((error) => streamError(error, reader, origin)),
      Stream.mapAccumArray(
        () => reader,
        (state, chunk) => {
          const out: Array<Read> = []
          for (const part of chunk) state.push(part, out)
          const last = out.at(-1)
          if (last !== undefined && isTerminal(last)) end = last
          return [state, out] as const
        }
      ),
      Stream.takeUntil(isTerminal),
      Stream.filter((part): part is StreamPart => part.type !== "failed"),
      Stream.concat(
        Stream.suspend(() =>
          end === undefined
            ? Stream.fail(interrupted(reader, origin, "The stream ended before the model said that it was done."))
            : end.type === "failed"
              ? Stream.fail(inBand(end, reader, origin))
              : Stream.empty
        )
      )
    )
  }
  return Stream.unwrap(Effect.map(prepare(bridge, request), ({ prompt }) => start(prompt))).pipe(
    Stream.provideContext(bridge.services(request))
  )
}

/** `effect/ai` does not stream objects: the answer arrives in one piece. */
const objectStream = (bridge: Bridge, model: LanguageModel.LanguageModel, request: ProviderRequest) =>
  Stream.unwrap(Effect.map(generate(bridge, model, request), (turn) => Stream.fromArray(partsOfTurn(turn))))

const partsOfTurn = (turn: Turn): ReadonlyArray<StreamPart> => {
  const out: Array<StreamPart> = []
  if (turn.id !== undefined || turn.model !== undefined) {
    out.push({
      type: "response-metadata",
      ...(turn.id === undefined ? {} : { id: turn.id }),
      ...(turn.model === undefined ? {} : { model: turn.model })
    })
  }
  for (const part of turn.content) {
    if (part.type === "text") out.push({ type: "text-delta", delta: part.text })
    else if (part.type === "reasoning") {
      const { metadata, text } = part
      out.push({ type: "reasoning-delta", delta: text, ...(metadata === undefined ? {} : { metadata }) })
    } else if (part.type === "tool-call") {
      out.push({ type: "tool-params-start", id: part.id, name: part.name })
      out.push({ type: "tool-params-delta", id: part.id, delta: JSON.stringify(part.params ?? null) })
      out.push(part)
    } else out.push(part)
  }
  const { extra, finishReason, usage } = turn
  out.push({ type: "finish", reason: finishReason, usage, ...(extra === undefined ? {} : { extra }) })
  return out
}

const embed = (bridge: Bridge, model: EmbeddingModel.EmbeddingModel, request: ProviderEmbedRequest) =>
  Effect.suspend((): Effect.Effect<Embeddings, AttemptError> => {
    const refused = bridge.refuse(request)
    if (refused !== undefined) return Effect.fail(refused)
    return model.embedMany(request.input).pipe(
      Effect.map((response): Embeddings => {
        const reported = response.usage.inputTokens
        const known = reported !== undefined && Number.isSafeInteger(reported) && reported >= 0
        const characters = request.input.reduce((total, text) => total + text.length, 0)
        return {
          vectors: response.embeddings.map((embedding) => embedding.vector),
          usage: known
            ? { inputTokens: reported, outputTokens: 0 }
            : { inputTokens: estimateTokens(characters), outputTokens: 0, estimated: true }
        }
      }),
      Effect.mapError((error) => fromAiError(error, bridge.origin(request))),
      Effect.provideContext(bridge.services(request))
    )
  })

/** A provider that asks the given models; what it has no model for is an `InvalidRequestError`. */
export const fromModels = (models: Models, options: ProviderOptions): Provider => {
  const bridge = makeBridge(options)
  const { embeddingModel, languageModel } = models
  const defaults: Capabilities = {
    tools: languageModel !== undefined,
    jsonSchema: languageModel !== undefined,
    embeddings: embeddingModel !== undefined
  }
  const { capabilities } = options
  const missing = (request: { readonly model: string }, what: string): AttemptError =>
    new InvalidRequestError({
      ...bridge.origin(request),
      message: `Provider "${options.name}" has no model for ${what}.`
    })
  return discreet({
    name: options.name,
    capabilities: (model) => ({
      ...defaults,
      ...(typeof capabilities === "function" ? capabilities(model) : capabilities)
    }),
    generate: (request) =>
      languageModel === undefined ? Effect.fail(missing(request, "text")) : generate(bridge, languageModel, request),
    stream: (request) =>
      languageModel === undefined ? Stream.fail(missing(request, "text")) : stream(bridge, languageModel, request),
    embed: (request) =>
      embeddingModel === undefined
        ? Effect.fail(missing(request, "embeddings"))
        : embed(bridge, embeddingModel, request)
  })
}
