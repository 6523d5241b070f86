/**
 * Turns texts into vectors whose angle says how alike the texts mean.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { AttemptError } from "../errors/LLMError.ts"
import type { ProviderEmbedRequest } from "./Request.ts"
import type { Embeddings } from "./Response.ts"

/** Vectors in the order of their texts, all of one length. They need not be normalised. */
export type Vectors = ReadonlyArray<ReadonlyArray<number> | Float32Array>

/** An embedder. Vectors of different embedders cannot be compared: one cache has one. */
export interface EmbedderService {
  /** Names the model, for events. */
  readonly name: string
  readonly embed: (texts: ReadonlyArray<string>) => Effect.Effect<Vectors, AttemptError>
}

/** The embedder in the context. */
export class Embedder extends Context.Service<Embedder, EmbedderService>()("@breakwater/core/Embedder") {}

/** An embedder from any function. */
export const layer = (embedder: EmbedderService): Layer.Layer<Embedder> => Layer.succeed(Embedder, embedder)

/** The part of a provider that embeds. */
export interface EmbeddingProvider {
  readonly name: string
  readonly embed: (request: ProviderEmbedRequest) => Effect.Effect<Embeddings, AttemptError>
}

/** An embedder that asks a provider: one HTTP call for each question, unprotected by other policies. */
export const fromProvider = (
  provider: EmbeddingProvider,
  options: { readonly model: string; readonly dimensions?: number }
): EmbedderService => ({
  name: `${provider.name}/${options.model}`,
  embed: (texts) => Effect.map(provider.embed({ ...options, input: texts }), ({ vectors }) => vectors)
})
