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

/** A state of a circuit; the last three are held by hand. */
export type CircuitState = "closed" | "open" | "half-open" | "forced-open" | "metrics-only" | "disabled"

/** A circuit breaker changed its mind about a key. */
export interface CircuitChanged {
  readonly type: "circuit-changed"
  readonly key: string
  readonly from: CircuitState
  readonly to: CircuitState
  /** `failure-rate`, `probes-succeeded`, `manual`, … */
  readonly reason: string
  /** How long an opened circuit stays open. */
  readonly openForMs?: number
}

/** A circuit breaker turned a call away. */
export interface CircuitRejected {
  readonly type: "circuit-rejected"
  readonly key: string
  readonly state: CircuitState
  readonly retryAfterMs: number
  /** The attempt, where there is one. */
  readonly requestId?: string
  readonly attempt?: number
}

/** The store that circuit breakers share was lost (each decides for itself now), or is back. */
export interface CircuitStoreChanged {
  readonly type: "circuit-store-changed"
  readonly available: boolean
  readonly error?: LLMError
}

/** A limiter, quota or adaptive limit turned a call away, at once or after a wait that could not end in time. */
export interface LimitRejected {
  readonly type: "limit-rejected"
  /** The limiter's name. */
  readonly limiter: string
  readonly key: string
  readonly weight: number
  /** Milliseconds it had waited. */
  readonly waitedMs: number
  /** Milliseconds until it would have fitted; `Infinity` for a weight above the limit. */
  readonly retryMs: number
}

/** A limiter, quota or adaptive limit made a call wait, and let it go. */
export interface LimitWaited {
  readonly type: "limit-waited"
  readonly limiter: string
  readonly key: string
  readonly weight: number
  readonly waitedMs: number
}

/** The store of a limiter failed; `onStoreError` says what was done. */
export interface LimitStoreFailed {
  readonly type: "limit-store-failed"
  readonly limiter: string
  readonly store: string
  readonly operation: string
  readonly handled: "fail-closed" | "fail-open" | "local"
}

/** A provider refused for its rate limit: nothing is sent to the target for a while. */
export interface QuotaPaused {
  readonly type: "quota-paused"
  /** `provider/model`, with the tenant behind it if quotas are kept by tenant. */
  readonly key: string
  readonly pauseMs: number
  /** False when the provider named no time. */
  readonly hinted: boolean
}

/** A provider's headers named a limit that was not known before, or has changed. */
export interface QuotaLearned {
  readonly type: "quota-learned"
  readonly key: string
  readonly scope: "requests" | "tokens" | "input-tokens" | "output-tokens"
  readonly limit: number
  readonly windowMs: number
}

/** The adaptive rate or the adaptive concurrency limit has changed. */
export interface LimitAdapted {
  readonly type: "limit-adapted"
  readonly limiter: string
  readonly key: string
  readonly unit: "calls-per-second" | "concurrent-calls"
  readonly from: number
  readonly to: number
}

export type PolicyEvent =
  | LimitRejected
  | LimitWaited
  | LimitStoreFailed
  | QuotaPaused
  | QuotaLearned
  | LimitAdapted
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
  | CircuitChanged
  | CircuitRejected
  | CircuitStoreChanged

/** Where events go; `undefined` when nobody listens. */
export const EventSink = Context.Reference<((event: PolicyEvent) => void) | undefined>(
  "@breakwater/core/EventSink",
  { defaultValue: () => undefined }
)
