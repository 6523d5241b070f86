/**
 * What the policies did, as typed events. The ids tie request, attempt and target together.
 *
 * Events are handed to the {@link EventSink} in force, synchronously. Without one nothing is built.
 */
import * as Context from "effect/Context"
import type { AttemptError, LLMError } from "../errors/LLMError.ts"
import type { AttemptRecord } from "./Call.ts"
import type { Usage } from "./Usage.ts"

interface OfRequest {
  readonly requestId: string
}

interface OfAttempt extends OfRequest {
  readonly attempt: number
  /** `provider/model` */
  readonly target: string
}

export interface RequestStarted extends OfRequest {
  readonly type: "request-started"
  readonly operation: "generate" | "stream" | "embed"
  readonly targets: ReadonlyArray<string>
  readonly maxAttempts: number
}

export interface AttemptStarted extends OfAttempt {
  readonly type: "attempt-started"
}

export interface AttemptSucceeded extends OfAttempt {
  readonly type: "attempt-succeeded"
  readonly tookMs: number
  readonly firstTokenMs?: number
  readonly usage: Usage
}

export interface AttemptFailed extends OfAttempt {
  readonly type: "attempt-failed"
  readonly tookMs: number
  readonly error: AttemptError
}

export interface RetryScheduled extends OfAttempt {
  readonly type: "retry-scheduled"
  readonly delayMs: number
  readonly error: AttemptError
}

export interface FailedOver extends OfRequest {
  readonly type: "failed-over"
  readonly from: string
  readonly to: string
  readonly error: AttemptError
}

/** The first content was handed on: from here on only the stream policy may replace the target. */
export interface StreamCommitted extends OfAttempt {
  readonly type: "stream-committed"
}

export interface StreamContinued extends OfAttempt {
  readonly type: "stream-continued"
  readonly method: "prefill" | "restart"
  /** Characters already handed on. */
  readonly characters: number
}

/** A provider sent an event that could not be read; it was skipped. */
export interface MalformedEvent {
  readonly type: "malformed-event"
  readonly provider: string
  readonly model: string
  /** How many in a row, this one included. */
  readonly inARow: number
}

export interface RequestFinished extends OfRequest {
  readonly type: "request-finished"
  readonly outcome: "success" | "failure" | "interrupted"
  readonly tookMs: number
  readonly attempts: ReadonlyArray<AttemptRecord>
  readonly error?: LLMError
}

export type PolicyEvent =
  | RequestStarted
  | AttemptStarted
  | AttemptSucceeded
  | AttemptFailed
  | RetryScheduled
  | FailedOver
  | StreamCommitted
  | StreamContinued
  | MalformedEvent
  | RequestFinished

/** Where events go; `undefined` when nobody listens. */
export const EventSink = Context.Reference<((event: PolicyEvent) => void) | undefined>(
  "@breakwater/core/EventSink",
  { defaultValue: () => undefined }
)
