/** A connection to a provider, as the reading of answers needs it, whatever it is made of. */
import type { LLMError } from "@breakwater/core"
import type * as Effect from "effect/Effect"
import type * as Pull from "effect/Pull"
import type * as Scope from "effect/Scope"
import type { HttpAnswer, Target } from "./Failure.ts"

/** What is sent. */
export interface HttpCall {
  readonly url: string
  readonly headers: { readonly [name: string]: string }
  /** JSON text. */
  readonly body: string
  readonly target: Target
  /** The largest body to read, in bytes. Default: 128 MiB (a batch of embeddings is large). */
  readonly maxBodyBytes?: number
  /** The largest event of a stream. Default: 1 MiB. */
  readonly maxEventBytes?: number
}

/** The head of an answer, before its body. */
export type HttpHead = Omit<HttpAnswer, "text">

/** An answer whose head has arrived. */
export interface Opened {
  readonly head: HttpHead
  /** Its body, as it comes. */
  readonly pull: Pull.Pull<ReadonlyArray<Uint8Array>, LLMError.AttemptError>
  /** Whether all of the body is known to have arrived: there is nothing left on the connection. */
  readonly isOver: () => boolean
}

/** Ways to send a call. Interruption closes the connection at once. */
export interface Link {
  /** For as long as `use` takes. */
  readonly within: <A>(
    call: HttpCall,
    use: (opened: Opened) => Effect.Effect<A, LLMError.AttemptError>
  ) => Effect.Effect<A, LLMError.AttemptError>
  /** For as long as the scope is open. */
  readonly open: (call: HttpCall) => Effect.Effect<Opened, LLMError.AttemptError, Scope.Scope>
}
