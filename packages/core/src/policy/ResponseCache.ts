/**
 * Answers a request from an earlier answer.
 *
 * This file fixes the service and its place in the pipeline; the cache itself comes with its own release.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Stream from "effect/Stream"
import type { CallContext } from "../domain/CallContext.ts"
import type { LLMResponse, LLMStreamPart } from "../domain/Call.ts"
import type { ProviderRequest } from "../domain/Request.ts"
import type { LLMError } from "../errors/LLMError.ts"

/** A request as the cache sees it: what is asked, of whom in the first place, and for whom. */
export interface CacheCall {
  readonly context: CallContext
  /** The first target, `provider/model`. */
  readonly target: string
  readonly request: ProviderRequest
}

/** The cache as the pipeline uses it: it answers from an entry, or runs the call and keeps its answer. */
export interface CacheAround {
  readonly generate: (
    call: CacheCall,
    run: Effect.Effect<LLMResponse, LLMError>
  ) => Effect.Effect<LLMResponse, LLMError>
  readonly stream: (
    call: CacheCall,
    run: Stream.Stream<LLMStreamPart, LLMError>
  ) => Stream.Stream<LLMStreamPart, LLMError>
}

export interface ResponseCacheService {
  /** `undefined` for a cache that never has an answer. */
  readonly around: CacheAround | undefined
}

export class ResponseCache extends Context.Service<ResponseCache, ResponseCacheService>()(
  "@breakwater/core/ResponseCache"
) {}

/** A cache that never has an answer, and costs nothing. */
export const layerNoop: Layer.Layer<ResponseCache> = Layer.succeed(ResponseCache, { around: undefined })
