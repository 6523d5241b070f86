/**
 * An attempt as the admission policies see it: what is about to be sent, and how it ended.
 */
import type * as Effect from "effect/Effect"
import type { AttemptError } from "../errors/LLMError.ts"
import type { CallContext } from "./CallContext.ts"
import type { RateLimits } from "./RateLimits.ts"
import type { ProviderEmbedRequest, ProviderRequest } from "./Request.ts"
import type { Usage } from "./Usage.ts"

/** A provider call that is about to be made. */
export interface AttemptCall {
  readonly requestId: string
  /** `provider/model`: the key of breakers, quotas and bulkheads. */
  readonly target: string
  readonly provider: string
  readonly model: string
  /** Counted from 1 over all targets of the call. */
  readonly attempt: number
  readonly request: ProviderRequest | ProviderEmbedRequest
  readonly context: CallContext
  /** When the whole call must be over, in milliseconds of the monotonic clock; `Infinity` for never. */
  readonly deadlineMs: number
}

/** How an attempt ended. */
export type AttemptOutcome =
  | {
      readonly _tag: "success"
      readonly usage: Usage
      readonly tookMs: number
      readonly firstTokenMs?: number
      /** What the provider said of its limits. */
      readonly limits?: RateLimits
    }
  | {
      readonly _tag: "failure"
      readonly error: AttemptError
      readonly tookMs: number
      readonly firstTokenMs?: number
      /** What was produced before the failure, if anything is known of it. */
      readonly usage?: Usage
    }
  | { readonly _tag: "interrupted"; readonly tookMs: number; readonly usage?: Usage }
  /** Nothing was sent: a later policy of the same attempt refused, or the caller went away while it waited. */
  | { readonly _tag: "unsent" }

/** Gives back what an admission took. Called exactly once, must not throw, and never waits. */
export type Settle = (outcome: AttemptOutcome) => void

/**
 * Decides whether an attempt may be made now: succeeds with what is to be settled afterwards, or fails.
 *
 * It is run where it cannot be interrupted, so that no admission is lost on its way to the attempt. One that waits
 * makes its own wait interruptible (`Effect.interruptible`), and gives back what it took if that is interrupted.
 */
export type Admit = (call: AttemptCall) => Effect.Effect<Settle, AttemptError>
