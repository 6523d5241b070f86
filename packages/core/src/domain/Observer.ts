/**
 * Where a call tells what it does. The plan knows only this port; events, spans and metrics are built behind it,
 * and a call that nobody observes has none of it.
 */
import type * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type { AttemptCall, AttemptOutcome } from "./Attempt.ts"
import type { AttemptRecord } from "./Call.ts"
import type { PolicyEvent } from "./Event.ts"
import type { LLMError } from "../errors/LLMError.ts"

/** Observes one attempt. */
export interface AttemptObserver {
  /** Lets the provider call run inside the attempt's span. */
  readonly within: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  readonly firstToken: (afterMs: number) => void
  readonly end: (outcome: AttemptOutcome, model: string | undefined) => void
}

/** Observes one call. Nothing here may throw. */
export interface CallObserver {
  readonly emit: (event: PolicyEvent) => void
  /** `undefined` when attempts are not observed one by one. */
  readonly attempt: (call: AttemptCall) => AttemptObserver | undefined
  readonly end: (end: CallEnd) => void
}

/** How a call ended. */
export interface CallEnd {
  readonly requestId: string
  readonly outcome: "success" | "failure" | "interrupted"
  readonly tookMs: number
  readonly attempts: ReadonlyArray<AttemptRecord>
  readonly error?: LLMError
  readonly exit: Exit.Exit<unknown, unknown>
  readonly answer?: {
    readonly id?: string
    readonly model?: string
    readonly finishReason?: string
  }
}
