/**
 * The bridge to `effect/ai`, both ways: any `LanguageModel` is a provider, and an `LLM` serves as a
 * `LanguageModel`.
 *
 * Tools are declared on the inner side and run on the outer one only, so no policy in between can run a tool
 * twice: a retry, a hedge or a failover repeats a model turn, never a tool.
 */
import * as EmbeddingModel from "effect/ai/EmbeddingModel"
import * as LanguageModel from "effect/ai/LanguageModel"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import {
  embeddingModelFromService,
  type EmbeddingModelOptions,
  fromService,
  type LanguageModelOptions
} from "./bridge/LanguageModelFromLLM.ts"
import { fromModels } from "./bridge/ProviderFromLanguageModel.ts"
import type { ProviderOptions } from "./bridge/ProviderOptions.ts"
import { LLM } from "./LLM.ts"
import { LLMProvider, type Provider } from "./LLMProvider.ts"

export { fromAiError, llmError, toAiError } from "./bridge/AiErrors.ts"
export {
  type Controls,
  CurrentControls,
  type EmbeddingModelOptions,
  type LanguageModelOptions,
  withControls,
  withControlsStream
} from "./bridge/LanguageModelFromLLM.ts"
export { fromModels, type Models } from "./bridge/ProviderFromLanguageModel.ts"
export type { Parameter, ProviderOptions } from "./bridge/ProviderOptions.ts"

/**
 * A provider that asks the `LanguageModel` in the context, one model turn a call.
 *
 * **Details**
 *
 * The model is the one its Layer was built with: the model of a request is only a label in errors and records.
 * Sampling parameters have no way into a `LanguageModel` either; a request that sets one is refused with
 * `InvalidRequestError` unless the options say otherwise (see {@link ProviderOptions}). Objects are not
 * streamed by `effect/ai`: a streamed call with a JSON format answers in one piece.
 */
export const provider = (options: ProviderOptions): Effect.Effect<Provider, never, LanguageModel.LanguageModel> =>
  Effect.map(LanguageModel.LanguageModel, (languageModel) => fromModels({ languageModel }, options))

/** {@link provider} as a Layer. */
export const layerProvider = (options: ProviderOptions): Layer.Layer<LLMProvider, never, LanguageModel.LanguageModel> =>
  Layer.effect(LLMProvider, provider(options))

/** A provider that asks the `EmbeddingModel` in the context. It has no model for text. */
export const embeddingProvider = (
  options: ProviderOptions
): Effect.Effect<Provider, never, EmbeddingModel.EmbeddingModel> =>
  Effect.map(EmbeddingModel.EmbeddingModel, (embeddingModel) => fromModels({ embeddingModel }, options))

/** {@link embeddingProvider} as a Layer. */
export const layerEmbeddingProvider = (
  options: ProviderOptions
): Layer.Layer<LLMProvider, never, EmbeddingModel.EmbeddingModel> =>
  Layer.effect(LLMProvider, embeddingProvider(options))

/**
 * Serves the `LLM` in the context as a `LanguageModel`: with tools, objects, streams and `Chat`.
 *
 * **Details**
 *
 * Failures are `AiError`s of the nearest kind; {@link llmError} gives the error itself back. How an answer
 * came about (request id, target, attempts) is in the metadata of its `finish` part, under `breakwater`.
 *
 * **Gotchas**
 *
 * The calls have been retried already: a retry around them multiplies the attempts. Tools that a provider defines
 * (its own web search, say) are refused, since another provider may have to answer.
 */
export const languageModel = (options?: LanguageModelOptions): Effect.Effect<LanguageModel.LanguageModel, never, LLM> =>
  Effect.flatMap(LLM, (llm) => fromService(llm, options))

/** {@link languageModel} as a Layer. */
export const layerLanguageModel = (
  options?: LanguageModelOptions
): Layer.Layer<LanguageModel.LanguageModel, never, LLM> =>
  Layer.effect(LanguageModel.LanguageModel, languageModel(options))

/** Serves the `LLM` in the context as an `EmbeddingModel`. */
export const embeddingModel = (
  options?: EmbeddingModelOptions
): Effect.Effect<EmbeddingModel.EmbeddingModel, never, LLM> =>
  Effect.flatMap(LLM, (llm) => embeddingModelFromService(llm, options))

/** {@link embeddingModel} as a Layer. */
export const layerEmbeddingModel = (
  options?: EmbeddingModelOptions
): Layer.Layer<EmbeddingModel.EmbeddingModel, never, LLM> =>
  Layer.effect(EmbeddingModel.EmbeddingModel, embeddingModel(options))
