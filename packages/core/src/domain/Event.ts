/**
 * What the policies did, as typed events. The ids tie request, attempt and target together.
 *
 * Events are handed to the {@link EventSink} in force, synchronously. Without one nothing is built.
 */
import * as Context from "effect/Context"
import type { AttemptError, LLMError } from "../errors/LLMError.ts"
import type { Cached } from "./Cache.ts"
import type { AttemptRecord, CallCost } from "./Call.ts"
import type { CallContext } from "./CallContext.ts"
import type { RateLimits } from "./RateLimits.ts"
import type { FinishReason } from "./Response.ts"
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
  /** Whose call it is. */
  readonly context: CallContext
  /** Where {@link PromptHash} is given: the same for calls that ask the same, and never the prompt. */
  readonly promptHash?: string
}

export interface AttemptStarted extends OfAttempt {
  readonly type: "attempt-started"
}

export interface AttemptSucceeded extends OfAttempt {
  readonly type: "attempt-succeeded"
  readonly tookMs: number
  readonly firstTokenMs?: number
  readonly usage: Usage
  /** What the provider said of its limits. */
  readonly limits?: RateLimits
}

export interface AttemptFailed extends OfAttempt {
  readonly type: "attempt-failed"
  readonly tookMs: number
  readonly error: AttemptError
}

/** A provider call was broken off: the caller went away, or a hedge lost. */
export interface AttemptInterrupted extends OfAttempt {
  readonly type: "attempt-interrupted"
  readonly tookMs: number
  /** What had been produced, as far as it is known. It is paid for. */
  readonly usage?: Usage
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

/** A prompt was made to fit a target's window. */
export interface ContextFitted extends OfRequest {
  readonly type: "context-fitted"
  /** `provider/model` */
  readonly target: string
  /** Prompt and answer together, in tokens. */
  readonly window: number
  /** Tokens of the prompt that is sent. */
  readonly inputTokens: number
  readonly droppedMessages: number
  /** Estimated. */
  readonly droppedTokens: number
  readonly compactedCharacters: number
  /** Whether what was dropped has a summary in its place. */
  readonly summary: "none" | "added" | "failed"
}

/** A provider said that the prompt did not fit: the next attempt at the target sends a smaller one. */
export interface ContextRepaired extends OfRequest {
  readonly type: "context-repaired"
  /** `provider/model` */
  readonly target: string
  readonly droppedMessages: number
  /** The largest answer asked for now, where the request names one. */
  readonly maxTokens?: number
}

export interface RequestFinished extends OfRequest {
  readonly type: "request-finished"
  readonly outcome: "success" | "failure" | "interrupted"
  readonly tookMs: number
  readonly attempts: ReadonlyArray<AttemptRecord>
  readonly error?: LLMError
  readonly operation: "generate" | "stream" | "embed"
  readonly context: CallContext
  /** Milliseconds since 1970 when the call began. */
  readonly startedAt: number
  /** Attempts repeated at the same target. */
  readonly retries: number
  /** Attempts moved to another target. */
  readonly failovers: number
  /** Attempts made beside a slow one. */
  readonly hedges: number
  /** Milliseconds from the start of the call to its first content; streams only. */
  readonly firstTokenMs?: number
  /** Who answered, `provider/model`. */
  readonly target?: string
  /** What all attempts cost, where prices are known. */
  readonly cost?: CallCost
  /** Set when no attempt of this call has produced the answer. */
  readonly cached?: Cached
  /** What a cached answer would have cost, in nano-dollars, where prices are known. */
  readonly savedNanos?: bigint
  readonly finishReason?: FinishReason
  readonly promptHash?: string
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

interface OfLimit {
  /** The attempt, where there is one. */
  readonly requestId?: string
  readonly attempt?: number
}

/** A limiter, quota or adaptive limit turned a call away, at once or after a wait that could not end in time. */
export interface LimitRejected extends OfLimit {
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
export interface LimitWaited extends OfLimit {
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

/** A store that limiters share failed: until it is back it is not asked, and `mode` says what is done instead. */
export interface StoreLost {
  readonly type: "store-lost"
  readonly store: string
  readonly mode: "fail-closed" | "fail-open" | "local"
  readonly error: LLMError
}

/** A store that was lost answers again. */
export interface StoreRecovered {
  readonly type: "store-recovered"
  readonly store: string
  readonly mode: "fail-closed" | "fail-open" | "local"
  readonly lostMs: number
}

/** A provider refused for its rate limit: nothing is sent to the target for a while. */
export interface QuotaPaused extends OfLimit {
  readonly type: "quota-paused"
  /** `provider/model`, with the tenant behind it if quotas are kept by tenant. */
  readonly key: string
  readonly pauseMs: number
  /** False when the provider named no time. */
  readonly hinted: boolean
}

/** A provider's headers named a limit that was not known before, or has changed. */
export interface QuotaLearned extends OfLimit {
  readonly type: "quota-learned"
  readonly key: string
  readonly scope: "requests" | "tokens" | "input-tokens" | "output-tokens"
  readonly limit: number
  readonly windowMs: number
}

/** The adaptive rate or the adaptive concurrency limit has changed. */
export interface LimitAdapted extends OfLimit {
  readonly type: "limit-adapted"
  readonly limiter: string
  readonly key: string
  readonly unit: "calls-per-second" | "concurrent-calls"
  readonly from: number
  readonly to: number
}

interface OfBulkhead {
  readonly key: string
  /** The attempt, where there is one. */
  readonly requestId?: string
  readonly attempt?: number
}

/** A bulkhead had no free slot: the call waits. */
export interface BulkheadQueued extends OfBulkhead {
  readonly type: "bulkhead-queued"
  /** Calls waiting, this one included. */
  readonly queued: number
}

/** A call that waited got its slot. */
export interface BulkheadWaited extends OfBulkhead {
  readonly type: "bulkhead-waited"
  readonly waitedMs: number
}

/** A bulkhead turned a call away. */
export interface BulkheadRejected extends OfBulkhead {
  readonly type: "bulkhead-rejected"
  /** `displaced`: the queue was full, and a call that goes before this one took its place. */
  readonly reason: "full" | "displaced" | "timeout"
  readonly queued: number
  readonly waitedMs: number
}

interface OfHedge {
  /** What the hedge goes by: the key of its delay and budget. */
  readonly key: string
  /** Counted from 1, the first attempt included; in the pipeline, over all targets. */
  readonly attempt: number
  /** The call and its target, where there is one. */
  readonly requestId?: string
  /** `provider/model` */
  readonly target?: string
}

/** An extra attempt was started beside those under way, or at once in place of one that failed. */
export interface HedgeStarted extends OfHedge {
  readonly type: "hedge-started"
  readonly reason: "slow" | "failed"
  /** Milliseconds since the first attempt began. */
  readonly afterMs: number
}

/** An extra attempt was the first to commit. */
export interface HedgeWon extends OfHedge {
  readonly type: "hedge-won"
  /** Milliseconds from the start of this attempt until it committed. */
  readonly tookMs: number
}

/** An attempt was interrupted because another one committed first. What it consumed is still paid for. */
export interface HedgeLost extends OfHedge {
  readonly type: "hedge-lost"
  /** Milliseconds from its start until it was interrupted. */
  readonly tookMs: number
}

interface OfCache {
  readonly cache: "exact" | "semantic"
  readonly tenant: string
  readonly namespace: string
  /** `provider/model` */
  readonly target: string
  readonly requestId?: string
}

/** A cache, or another caller's call in flight, answered. */
export interface CacheHit extends OfCache {
  readonly type: "cache-hit"
  readonly cached: Cached
  /** What the answer had consumed when it was made. */
  readonly usage: Usage
}

/** A cache had no answer. */
export interface CacheMiss extends OfCache {
  readonly type: "cache-miss"
  /**
   * - `absent`: there is no entry, or its time was over
   * - `stale`: it is older than the caller wants
   * - `unreadable`: it was of an older format or damaged, and is removed
   * - `bypassed`: the caller wants a fresh answer
   * - `store`: the store failed or was too slow
   * - `guard`: the nearest question differs in something that matters
   * - `embedder`: the question could not be embedded
   */
  readonly reason: "absent" | "stale" | "unreadable" | "bypassed" | "store" | "guard" | "embedder"
}

/** A cache kept an answer. */
export interface CacheStored extends OfCache {
  readonly type: "cache-stored"
  readonly bytes: number
  readonly ttlMs: number
}

/** A cache's store or embedder failed, was too slow, or refused an answer for its size. The call goes on. */
export interface CacheStoreFailed extends OfCache {
  readonly type: "cache-store-failed"
  readonly store: string
  readonly operation: "get" | "set" | "remove" | "embed"
  readonly reason: "failed" | "timeout" | "too-large" | "unserialisable"
}

interface OfBudget {
  /** The limit's name. */
  readonly budget: string
  /** `global`, `tenant`, `project`, `user`, `key`, `model` or `tag`. */
  readonly scope: string
  /** Whose account it is; empty for `global`, and for calls that do not say. */
  readonly value: string
  /** `day`, `month Europe/Berlin`, `rolling 30d`, `lifetime`, … */
  readonly period: string
  /** Nano-dollars. */
  readonly limit: bigint
  readonly spent: bigint
}

/** What is spent in an account has reached a share of its limit, or its soft limit. */
export interface BudgetThreshold extends OfBudget {
  readonly type: "budget-threshold"
  /** The share, 0.5 for half. */
  readonly threshold: number | "soft"
}

/** A call was turned away because it could cost more than is left. */
export interface BudgetRejected extends OfBudget {
  readonly type: "budget-rejected"
  readonly reserved: bigint
  readonly needed: bigint
  readonly requestId?: string
}

/** A call to a model without a price was let go: what it costs is in no budget. */
export interface BudgetUnpriced {
  readonly type: "budget-unpriced"
  /** `provider/model` */
  readonly target: string
  readonly requestId?: string
}

/** The store of budgets failed. What could not be settled there stays reserved, as if it were spent. */
export interface BudgetStoreFailed {
  readonly type: "budget-store-failed"
  readonly store: string
  readonly operation: "reserve" | "settle"
  readonly handled: "fail-closed" | "fail-open" | "local" | "left-reserved"
  readonly error: LLMError
}

/** The store of the ledger failed, or is back. Records wait in memory meanwhile, up to a bound. */
export interface LedgerStoreChanged {
  readonly type: "ledger-store-changed"
  readonly store: string
  readonly available: boolean
  /** Records that wait to be written. */
  readonly waiting: number
  readonly error?: LLMError
}

/** Records were lost, because the store did not take them and there was no more room to keep them. */
export interface LedgerRecordsLost {
  readonly type: "ledger-records-lost"
  readonly store: string
  readonly count: number
}

/** The store of the audit log failed or does not take entries, or is back. Entries wait in memory meanwhile, up to a bound. */
export interface AuditStoreChanged {
  readonly type: "audit-store-changed"
  readonly store: string
  readonly available: boolean
  /** Entries that wait to be written. */
  readonly waiting: number
  /** `store`, or `broken` where the log is not what its writers have left, or `key` where a key is missing. */
  readonly reason?: string
  readonly message?: string
}

/** Entries of the audit log were lost: there was no more room to keep them, or they were too large. The log will say how many. */
export interface AuditEntriesLost {
  readonly type: "audit-entries-lost"
  readonly store: string
  readonly count: number
}

export type PolicyEvent =
  | AuditStoreChanged
  | AuditEntriesLost
  | BudgetThreshold
  | BudgetRejected
  | BudgetUnpriced
  | BudgetStoreFailed
  | LedgerStoreChanged
  | LedgerRecordsLost
  | CacheHit
  | CacheMiss
  | CacheStored
  | CacheStoreFailed
  | BulkheadQueued
  | BulkheadWaited
  | BulkheadRejected
  | HedgeStarted
  | HedgeWon
  | HedgeLost
  | LimitRejected
  | LimitWaited
  | LimitStoreFailed
  | StoreLost
  | StoreRecovered
  | QuotaPaused
  | QuotaLearned
  | LimitAdapted
  | RequestStarted
  | AttemptStarted
  | AttemptSucceeded
  | AttemptFailed
  | AttemptInterrupted
  | RetryScheduled
  | FailedOver
  | StreamCommitted
  | StreamContinued
  | MalformedEvent
  | ContextFitted
  | ContextRepaired
  | RequestFinished
  | CircuitChanged
  | CircuitRejected
  | CircuitStoreChanged

/** Where events go; `undefined` when nobody listens. */
export const EventSink = Context.Reference<((event: PolicyEvent) => void) | undefined>("@breakwater/core/EventSink", {
  defaultValue: () => undefined
})

/**
 * Makes the `promptHash` of events from a text that says all of the messages. `undefined`, the default, makes none:
 * hashing costs about 2 µs for 1 KB.
 */
export const PromptHash = Context.Reference<((messages: string) => string) | undefined>("@breakwater/core/PromptHash", {
  defaultValue: () => undefined
})
