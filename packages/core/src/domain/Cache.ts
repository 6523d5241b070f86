/**
 * What callers say to the caches, what the caches say of an answer, and the port by which the pipeline uses them.
 */
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as Stream from "effect/Stream"
import type { LLMError } from "../errors/LLMError.ts"
import type { LLMResponse, LLMStreamPart, StreamPolicy } from "./Call.ts"
import type { CallContext } from "./CallContext.ts"
import type { ProviderRequest } from "./Request.ts"

/** What a caller may say to the caches for one call. */
export interface CacheControls {
  /** A fresh answer: no entry is read and no call in flight is shared. The answer is kept in place of an older one. */
  readonly noCache?: boolean
  /** The call leaves nothing behind: its answer is neither kept nor shared with others. An entry may answer it. */
  readonly noStore?: boolean
  /** Entries and calls in flight may answer, but the call writes nothing and does not count as a use of an entry. */
  readonly readOnly?: boolean
  /** An older entry does not answer. Above zero. */
  readonly maxAge?: Duration.Input
  /** Entries of different namespaces do not answer for each other. 1 to 200 characters. Default: `default`. */
  readonly namespace?: string
}

/** Where an answer came from that no attempt of this call has produced. */
export const Cached = Schema.Struct({
  /**
   * - `exact`: an entry for the same request
   * - `semantic`: an entry for a request of the same meaning
   * - `in-flight`: another caller's call, under way at the same time
   */
  source: Schema.Literals(["exact", "semantic", "in-flight"]),
  /** Milliseconds since the answer was kept; 0 for `in-flight`. */
  ageMs: Schema.Finite,
  /** The cosine of the two questions; `semantic` only. */
  similarity: Schema.optionalKey(Schema.Finite)
})
export type Cached = typeof Cached.Type

/** A request as the caches see it: what is asked, of whom in the first place, and for whom. */
export interface CacheCall {
  readonly context: CallContext
  /** The first target, `provider/model`. */
  readonly target: string
  readonly request: ProviderRequest
  readonly controls?: CacheControls | undefined
  readonly requestId?: string
  /** All targets in order. Calls with other ones, or another stream policy, do not share a call in flight. */
  readonly targets?: ReadonlyArray<string>
  readonly streamPolicy?: StreamPolicy
  /** When the call must be over, in milliseconds of the monotonic clock. Default: never. */
  readonly deadlineMs?: number
}

/** A cache as the pipeline uses it: it answers from an entry, or runs the call and keeps its answer. */
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
