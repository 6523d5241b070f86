import { type Call, LLM, type LLMError, type LLMProvider, Message, type Request, Tool } from "@breakwater/core"
import type * as AiError from "effect/ai/AiError"
import * as LanguageModel from "effect/ai/LanguageModel"
import type * as AiResponse from "effect/ai/Response"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"

/** What a fake model answers to one call: parts, or a failure (after parts, in a stream). */
export interface Answer {
  readonly parts?: ReadonlyArray<AiResponse.AllPartsEncoded>
  readonly error?: AiError.AiError
}

export const finishPart = (
  reason: AiResponse.FinishReason = "stop",
  usage: typeof AiResponse.Usage.Encoded = { inputTokens: { total: 7 }, outputTokens: { total: 3 } }
): AiResponse.FinishPartEncoded => ({ type: "finish", reason, usage })

/** A `LanguageModel` that answers from a list, and keeps what it was asked. */
export const fakeModel = (...answers: ReadonlyArray<Answer>) => {
  const asked: Array<LanguageModel.ProviderOptions> = []
  const next = (options: LanguageModel.ProviderOptions): Answer => {
    asked.push(options)
    return answers[asked.length - 1] ?? answers.at(-1) ?? {}
  }
  const model = Effect.runSync(
    LanguageModel.make({
      generateText: (options) =>
        Effect.suspend(() => {
          const { error, parts } = next(options)
          return error === undefined
            ? Effect.succeed([...(parts ?? [])] as Array<AiResponse.PartEncoded>)
            : Effect.fail(error)
        }),
      streamText: (options) =>
        Stream.suspend(() => {
          const { error, parts } = next(options)
          const stream = Stream.fromIterable(parts ?? []) as Stream.Stream<AiResponse.StreamPartEncoded>
          return error === undefined ? stream : Stream.concat(stream, Stream.fail(error))
        })
    })
  )
  return { model, asked }
}

const target = (request: { readonly model: string }, provider: LLMProvider.Provider) =>
  `${provider.name}/${request.model}`

/** The least of an `LLM`: it asks one provider, and asks again for errors that are worth it. */
export const retryingLLM = (provider: LLMProvider.Provider, attempts = 3): LLM.LLMService => {
  const requestOf = (options: Parameters<LLM.LLMService["stream"]>[0]): Request.ProviderRequest => {
    const { model = "m", prompt, tools, ...rest } = options
    return {
      ...rest,
      model,
      messages: Message.fromPrompt(prompt),
      ...(tools === undefined ? {} : { tools: Tool.fromInput(tools) })
    }
  }
  const again = (error: LLMError.LLMError) => error.isRetryable
  return {
    generate: (options) => {
      const request = requestOf(options)
      return provider.generate(request).pipe(
        Effect.retry({ times: attempts - 1, while: again }),
        Effect.map((turn) => ({
          ...turn,
          text: turn.content.map((part) => (part.type === "text" ? part.text : "")).join(""),
          requestId: "r1",
          target: target(request, provider),
          attempts: []
        }))
      )
    },
    stream: (options) => {
      const request = requestOf(options)
      const from = (attempt: number): Stream.Stream<Call.LLMStreamPart, LLMError.LLMError> => {
        let seen = false
        return provider.stream(request).pipe(
          Stream.map((part) => {
            seen ||= part.type !== "response-metadata"
            return part.type === "finish"
              ? { ...part, requestId: "r1", target: target(request, provider), attempts: [] }
              : part
          }),
          Stream.catch((error) =>
            !seen && attempt < attempts && again(error) ? from(attempt + 1) : Stream.fail(error)
          )
        )
      }
      return Stream.suspend(() => from(1))
    },
    embed: (options) =>
      Effect.map(
        provider.embed({
          model: options.model ?? "m",
          input: typeof options.input === "string" ? [options.input] : options.input,
          ...(options.dimensions === undefined ? {} : { dimensions: options.dimensions })
        }),
        (embeddings) => ({ ...embeddings, requestId: "r1", target: `${provider.name}/m`, attempts: [] })
      ),
    describe: () => Effect.die("not asked"),
    snapshot: Effect.die("not asked")
  }
}

export const layerRetrying = (provider: LLMProvider.Provider, attempts = 3): Layer.Layer<LLM.LLM> =>
  Layer.succeed(LLM.LLM, retryingLLM(provider, attempts))
