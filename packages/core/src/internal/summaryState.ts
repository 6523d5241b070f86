/**
 * What a summary holds: as it can be sent and added up (`…State`), and as it is read (`…View`).
 */
import type { AttemptRecord, CallCost } from "../domain/Call.ts"
import type { LLMError } from "../errors/LLMError.ts"
import type { SketchState } from "./quantileSketch.ts"

/** A call that is over. */
export interface FinishedCall {
  readonly outcome: "success" | "failure" | "interrupted"
  /** Milliseconds since 1970. */
  readonly startedAt: number
  readonly tookMs: number
  readonly attempts: ReadonlyArray<AttemptRecord>
  readonly retries: number
  readonly failovers: number
  readonly hedges: number
  readonly error?: LLMError | undefined
  /** Milliseconds from the start of the call to its first content. */
  readonly firstTokenMs?: number | undefined
  /** Set when no attempt of this call has produced the answer. */
  readonly cached?: unknown
  readonly cost?: CallCost | undefined
  readonly savedNanos?: bigint | undefined
}

/** Milliseconds of a point of the series. */
export const stepMs = 10_000
/** Points of the series: an hour. */
export const maxPoints = 360
/** Targets that are told apart; what the others do counts under {@link other}. */
export const maxTargets = 100
/** Kinds of errors that are told apart. */
export const maxErrors = 100
export const other = "other"

export interface Tokens {
  readonly input: number
  readonly output: number
  /** Of the input. */
  readonly cachedInput: number
  /** Of the output. */
  readonly reasoning: number
}

/** How often each kind of error came, by its `_tag`. */
export type ErrorCounts = Readonly<Record<string, number>>

interface TotalCounts {
  readonly requests: number
  readonly success: number
  readonly failure: number
  readonly interrupted: number
  /** Requests that a cache, or another caller's call in flight, answered. */
  readonly cached: number
  /** Provider calls, those included that a policy turned away before they were sent. */
  readonly attempts: number
  /** Attempts repeated at the same target. */
  readonly retries: number
  /** Attempts moved to another target. */
  readonly failovers: number
  /** Attempts made beside a slow one. */
  readonly hedges: number
  readonly tokens: Tokens
  /** Attempts that were sent and whose cost is not known. */
  readonly unknownCostAttempts: number
}

interface TargetCounts {
  readonly attempts: number
  readonly success: number
  readonly failure: number
  readonly interrupted: number
  readonly tokens: Tokens
  readonly errors: ErrorCounts
}

interface PointCounts {
  /** When its ten seconds begin, in milliseconds since 1970. */
  readonly at: number
  readonly requests: number
  readonly success: number
  readonly failure: number
  readonly interrupted: number
  readonly cached: number
  readonly retries: number
  readonly inputTokens: number
  readonly outputTokens: number
}

// --- as it is read ------------------------------------------------------------------------------------------------

/** Times in milliseconds; all 0 without one. Quantiles are within 1 %. */
export interface Latency {
  readonly count: number
  readonly meanMs: number
  readonly p50Ms: number
  readonly p95Ms: number
  readonly p99Ms: number
  readonly maxMs: number
}

interface Amounts {
  /** In nano-dollars, where prices are known. */
  readonly costNanos: bigint
  /** What cached answers would have cost, in nano-dollars, where prices are known. */
  readonly savedNanos: bigint
}

export interface TotalsView extends TotalCounts, Amounts {}

export interface TargetView extends TargetCounts {
  readonly costNanos: bigint
  /** Of the attempts that were sent and not interrupted. */
  readonly latency: Latency
  /** Of streams, from the start of the attempt. */
  readonly firstToken: Latency
}

export interface PointView extends PointCounts, Amounts {
  readonly p50Ms: number
  readonly p95Ms: number
  readonly p99Ms: number
}

/** What happened since `sinceAt`. Times are milliseconds since 1970. */
export interface SummaryView {
  readonly sinceAt: number
  readonly nowAt: number
  readonly totals: TotalsView
  /** Of the requests that were not interrupted, from their start to their end. */
  readonly latency: Latency
  /** Of streams, from the start of the request to the first content. */
  readonly firstToken: Latency
  /** How requests failed. */
  readonly errors: ErrorCounts
  /** By `provider/model`: at most 100, the busiest; all the rest is `other`. */
  readonly targets: Readonly<Record<string, TargetView>>
  /** The last hour in steps of ten seconds, the oldest first. Steps in which no request ended are left out. */
  readonly series: { readonly stepMs: number; readonly points: ReadonlyArray<PointView> }
}

// --- as it is sent ------------------------------------------------------------------------------------------------

interface AmountsState {
  /** Nano-dollars, as a decimal text. */
  readonly costNanos: string
  readonly savedNanos: string
}

export interface TotalsState extends TotalCounts, AmountsState {}

export interface TargetState extends TargetCounts {
  readonly costNanos: string
  readonly latency: SketchState
  readonly firstToken: SketchState
}

export interface PointState extends PointCounts, AmountsState {
  readonly latency: SketchState
}

/** A summary as plain JSON, which can be added to others. */
export interface SummaryState {
  readonly version: 1
  readonly sinceAt: number
  readonly nowAt: number
  readonly totals: TotalsState
  readonly latency: SketchState
  readonly firstToken: SketchState
  readonly errors: ErrorCounts
  readonly targets: Readonly<Record<string, TargetState>>
  readonly series: ReadonlyArray<PointState>
}
