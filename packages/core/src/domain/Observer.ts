/**
 * Where a call tells what it does. The plan knows only this port; events, spans and metrics are built behind it,
 * and a call that nobody observes has none of it.
 */
import type * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type { AttemptCall, AttemptOutcome } from "./Attempt.ts"
import type { Cached } from "./Cache.ts"
import type { AttemptRecord, CallCost } from "./Call.ts"
import type { CallContext } from "./CallContext.ts"
import type { PolicyEvent } from "./Event.ts"
import type { LLMError } from "../errors/LLMError.ts"
import type { ContentPart, FinishReason, StreamPart } from "./Response.ts"
import type { Usage } from "./Usage.ts"

/** Why an attempt was made after, or beside, another one. */
export type AttemptKind = "first" | "retry" | "failover" | "hedge"

/** What is known of the answer to an attempt. */
export interface AttemptAnswer {
  readonly id?: string | undefined
  readonly model?: string | undefined
  readonly finishReason?: FinishReason | undefined
  /** The whole answer; of a stream, `parts` were told. */
  readonly content?: ReadonlyArray<ContentPart> | undefined
}

/** Observes one attempt. */
export interface AttemptObserver {
  /** Lets the provider call run inside the attempt's span. */
  readonly within: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  readonly firstToken: (afterMs: number) => void
  /** Hears the parts of a stream; `undefined` where nobody wants them. */
  readonly parts: ((parts: ReadonlyArray<StreamPart>) => void) | undefined
  readonly end: (outcome: AttemptOutcome, answer: AttemptAnswer | undefined) => void
}

/** Observes one call. Nothing here may throw. */
export interface CallObserver {
  readonly emit: (event: PolicyEvent) => void
  /** `undefined` when attempts are not observed one by one. */
  readonly attempt: (call: AttemptCall, kind: AttemptKind) => AttemptObserver | undefined
  readonly end: (end: CallEnd) => void
}

/** What the end of a call says of its answer. */
export interface CallAnswer {
  readonly id?: string | undefined
  readonly model?: string | undefined
  readonly finishReason?: FinishReason | undefined
  /** `provider/model` */
  readonly target?: string | undefined
  readonly cached?: Cached | undefined
  readonly usage?: Usage | undefined
  /** What a cached or shared answer had cost when it was made. */
  readonly savedNanos?: bigint | undefined
}

/** How a call ended. */
export interface CallEnd {
  readonly requestId: string
  readonly operation: "generate" | "stream" | "embed"
  readonly context: CallContext
  /** Milliseconds since 1970. */
  readonly startedAt: number
  readonly outcome: "success" | "failure" | "interrupted"
  readonly tookMs: number
  readonly attempts: ReadonlyArray<AttemptRecord>
  /** Attempts repeated at the same target, moved to another one, and made beside a slow one. */
  readonly retries: number
  readonly failovers: number
  readonly hedges: number
  /** Milliseconds from the start of the call to the first content handed on; streams only. */
  readonly firstTokenMs: number | undefined
  /** What the attempts cost, where prices are known; for calls that failed, too. */
  readonly cost: CallCost | undefined
  readonly error: LLMError | undefined
  readonly exit: Exit.Exit<unknown, unknown>
  readonly answer: CallAnswer | undefined
  readonly cached: Cached | undefined
  /** What a cached answer would have cost. */
  readonly savedNanos: bigint | undefined
  readonly promptHash: string | undefined
}
