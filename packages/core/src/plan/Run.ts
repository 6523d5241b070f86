/**
 * One call on its way: which attempts were made, what they cost, and what comes next.
 *
 * The rules are those of `internal/plan.ts`; here they meet the clock, the retry schedule and the observer.
 */
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type { Admit, AttemptCall, AttemptOutcome, Settle } from "../domain/Attempt.ts"
import type { AttemptRecord, BudgetStanding, CallCost } from "../domain/Call.ts"
import type { CallContext } from "../domain/CallContext.ts"
import type { PricingService } from "../domain/Price.ts"
import type { ProviderEmbedRequest, ProviderRequest } from "../domain/Request.ts"
import type { Usage } from "../domain/Usage.ts"
import { disposition } from "../errors/disposition.ts"
import {
  AllTargetsFailedError,
  type AttemptError,
  DeadlineExceededError,
  type LLMError,
  withOrigin
} from "../errors/LLMError.ts"
import { isUnknown } from "../internal/billing.ts"
import * as Plan from "../internal/plan.ts"
import type { SummaryBook } from "../internal/summaryBook.ts"
import { modeOf } from "../internal/worstCase.ts"
import type { Provider } from "../LLMProvider.ts"
import type { Fitting } from "./Fitting.ts"
import type { DynamicTimeout } from "../policy/DynamicTimeout.ts"
import type { Hedger } from "../policy/Hedge.ts"
import * as Retry from "../policy/Retry.ts"
import type { RetryBudgetService } from "../policy/RetryBudget.ts"
import type { AttemptAnswer, AttemptKind, AttemptObserver, CallObserver } from "../domain/Observer.ts"

/** A target, resolved. */
export interface PlanTarget {
  readonly provider: Provider
  readonly model: string
  /** `provider/model` */
  readonly id: string
}

/** Limits of one attempt, in milliseconds; `Infinity` for none. */
interface AttemptLimits {
  readonly firstToken: number
  readonly idle: number
  readonly attempt: number
}

/** What all calls of a Layer share. */
export interface PlanSettings {
  /** Admission policies, outermost first. */
  readonly admits: ReadonlyArray<Admit>
  readonly retry: Retry.Policy<AttemptError>
  readonly retryBudget: RetryBudgetService | undefined
  readonly hedge: Hedger | undefined
  readonly limits: AttemptLimits
  /** What attempts cost; `undefined` where nobody knows prices. */
  readonly prices?: PricingService | undefined
  /** Limits that follow the length of the answer, instead of `limits.attempt`. */
  readonly dynamic: DynamicTimeout | undefined
}

/** What is fixed when a call begins. */
export interface RunOptions {
  readonly operation: "generate" | "stream" | "embed"
  readonly requestId: string
  readonly context: CallContext
  readonly targets: ReadonlyArray<PlanTarget>
  readonly rules: Plan.PlanRules
  readonly settings: PlanSettings
  /** Answers a provider's `ContextLengthError` with a smaller request, if it can. */
  readonly fitting: Fitting | undefined
  readonly clock: Clock.Clock
  /** Milliseconds for the whole call; `Infinity` for no limit. */
  readonly totalMs: number
  readonly observer: CallObserver | undefined
  /** Counts the calls of the Layer, whoever else listens. */
  readonly summary: SummaryBook
  /** For the events of the call. */
  readonly promptHash: string | undefined
}

/** An attempt under way. */
export interface ActiveAttempt {
  readonly target: PlanTarget
  readonly call: AttemptCall
  readonly startedMs: number
  readonly startedAt: number
  readonly waitedMs: number
  readonly observer: AttemptObserver | undefined
  /** What admission policies want to hear when the attempt is over, in the order they admitted it. */
  readonly settles: Array<Settle>
  /** Whether it was started beside a slow one. */
  readonly hedge: boolean
  /** Whether the provider was called. */
  sent: boolean
  /** When that was: `startedMs`, and later than that if it waited for its admission. */
  sentMs: number
  firstTokenMs: number | undefined
  ended: boolean
}

/** Milliseconds of the monotonic clock. */
export const nowMs = (clock: Clock.Clock): number => Number(clock.monotonicTimeNanosUnsafe()) / 1e6

/** Says how an answer came about. */
export interface Provenance {
  readonly requestId: string
  readonly target: string
  readonly attempts: ReadonlyArray<AttemptRecord>
  readonly cost?: CallCost
}

const totalOf = (records: ReadonlyArray<AttemptRecord>): CallCost => {
  let nanoDollars = 0n
  let estimated = false
  let unknownAttempts = 0
  for (const record of records) {
    if (record.costNanos !== undefined) {
      nanoDollars += record.costNanos
      if (record.usage?.estimated === true) estimated = true
    } else if (record.usage !== undefined || isUnknown(record)) unknownAttempts++
  }
  return { nanoDollars, estimated, unknownAttempts }
}

const unsent: AttemptOutcome = { _tag: "unsent" }

/** What the target made of its time: the wait for an admission is not its slowness. */
const withoutWait = (outcome: Exclude<AttemptOutcome, { _tag: "unsent" }>, waitedMs: number): AttemptOutcome => {
  if (waitedMs === 0) return outcome
  const tookMs = outcome.tookMs - waitedMs
  return "firstTokenMs" in outcome && outcome.firstTokenMs !== undefined
    ? { ...outcome, tookMs, firstTokenMs: outcome.firstTokenMs - waitedMs }
    : { ...outcome, tookMs }
}

export class Run {
  readonly options: RunOptions
  readonly startedMs: number
  /** Milliseconds since 1970. */
  readonly startedAt: number
  readonly deadlineMs: number
  readonly records: Array<AttemptRecord> = []
  /** How the budgets of the call would stand, for an answer that leaves before it is settled. */
  standing: ((attempts: ReadonlyArray<AttemptRecord>) => BudgetStanding | undefined) | undefined
  /** Attempts repeated at the same target, moved to another one, and made beside a slow one. */
  retries = 0
  failovers = 0
  hedges = 0
  /** Milliseconds from the start of the call to the first content handed on; streams only. */
  firstTokenMs: number | undefined = undefined
  /** Hears how the plan of a stream ended, where nothing around it does. */
  onStreamEnd: ((exit: Exit.Exit<unknown, LLMError>) => void) | undefined = undefined
  private state = Plan.initial
  /** Decides about retries at the target asked last; there is none before the first failure. */
  private driver: Retry.Driver<AttemptError> | undefined
  private retrying: number | undefined
  private waitedMs = 0
  private hedged = false

  constructor(options: RunOptions) {
    this.options = options
    this.startedMs = nowMs(options.clock)
    this.startedAt = options.clock.currentTimeMillisUnsafe()
    this.deadlineMs = this.startedMs + options.totalMs
  }

  elapsedMs(): number {
    return nowMs(this.options.clock) - this.startedMs
  }

  /** The error for a call whose time is over. */
  deadlineExceeded(): DeadlineExceededError {
    const elapsed = this.elapsedMs()
    return new DeadlineExceededError({
      message: `The call took ${Math.round(elapsed)} ms; its limit is ${Math.round(this.options.totalMs)} ms`,
      elapsed: Duration.millis(elapsed),
      limit: Duration.millis(this.options.totalMs)
    })
  }

  begin(index: number, request: ProviderRequest | ProviderEmbedRequest, hedge = false): ActiveAttempt {
    const { clock, context, observer, requestId, targets } = this.options
    const target = targets[index]!
    const startedMs = nowMs(clock)
    const { retried } = this.state
    this.state = Plan.started(this.state, index)
    const kind = this.kindOf(hedge, this.state.retried > retried)
    // A retry is no call of its own: the budget is a share of calls.
    if (this.state.retried === retried) this.options.settings.retryBudget?.onCall(target.id, startedMs)
    if (this.state.attempts === 1) this.options.settings.hedge?.onCall(this.hedgeKey(target), startedMs)
    const call: AttemptCall = {
      requestId,
      target: target.id,
      provider: target.provider.name,
      model: target.model,
      attempt: this.state.attempts,
      request,
      context,
      deadlineMs: this.deadlineMs
    }
    observer?.emit({ type: "attempt-started", requestId, attempt: call.attempt, target: target.id })
    const active: ActiveAttempt = {
      target,
      call,
      startedMs,
      startedAt: clock.currentTimeMillisUnsafe(),
      waitedMs: this.waitedMs,
      observer: observer?.attempt(call, kind),
      settles: [],
      hedge,
      sent: false,
      sentMs: startedMs,
      firstTokenMs: undefined,
      ended: false
    }
    this.waitedMs = 0
    return active
  }

  /** Says why the attempt that was just begun was made, and counts it. */
  private kindOf(hedge: boolean, repeated: boolean): AttemptKind {
    if (this.state.attempts === 1) return "first"
    if (hedge) this.hedges++
    else if (repeated) this.retries++
    else this.failovers++
    return hedge ? "hedge" : repeated ? "retry" : "failover"
  }

  tookMs(active: ActiveAttempt): number {
    return nowMs(this.options.clock) - active.startedMs
  }

  /** The first content of the call, from this attempt, goes to the caller. */
  firstContent({ firstTokenMs, startedMs }: ActiveAttempt): void {
    if (firstTokenMs !== undefined) this.firstTokenMs = startedMs - this.startedMs + firstTokenMs
  }

  /** Ends an attempt: settles what it was admitted with, writes its record, tells the observer. Only once. */
  end(
    active: ActiveAttempt,
    outcome: Exclude<AttemptOutcome, { _tag: "unsent" }>,
    answer: AttemptAnswer | undefined
  ): void {
    if (active.ended) return
    active.ended = true
    const settled = active.sent ? withoutWait(outcome, active.sentMs - active.startedMs) : unsent
    for (let i = active.settles.length - 1; i >= 0; i--) active.settles[i]!(settled)
    const { call, target } = active
    const { requestId } = call
    const record: { -readonly [K in keyof AttemptRecord]: AttemptRecord[K] } = {
      attempt: call.attempt,
      target: target.id,
      outcome: outcome._tag,
      startedAt: active.startedAt,
      tookMs: outcome.tookMs,
      waitedMs: active.waitedMs
    }
    if (outcome._tag === "failure") record.error = outcome.error
    if (active.firstTokenMs !== undefined) record.firstTokenMs = active.firstTokenMs
    if (!active.sent) record.sent = false
    if (outcome.usage !== undefined) {
      record.usage = outcome.usage
      const cost = this.costOf(active, outcome.usage)
      if (cost !== undefined) record.costNanos = cost
    }
    this.records.push(record)
    if (outcome._tag === "success") this.succeeded(active, outcome.tookMs)
    if (this.hedged) this.tellHedge(active, outcome)
    const observer = this.options.observer
    if (observer === undefined) return
    if (outcome._tag === "success") {
      observer.emit({
        type: "attempt-succeeded",
        requestId,
        attempt: call.attempt,
        target: target.id,
        tookMs: outcome.tookMs,
        usage: outcome.usage,
        ...(outcome.limits === undefined ? undefined : { limits: outcome.limits }),
        ...(active.firstTokenMs === undefined ? undefined : { firstTokenMs: active.firstTokenMs })
      })
    } else if (outcome._tag === "failure") {
      observer.emit({
        type: "attempt-failed",
        requestId,
        attempt: call.attempt,
        target: target.id,
        tookMs: outcome.tookMs,
        error: outcome.error
      })
    } else {
      observer.emit({
        type: "attempt-interrupted",
        requestId,
        attempt: call.attempt,
        target: target.id,
        tookMs: outcome.tookMs,
        ...(outcome.usage === undefined ? undefined : { usage: outcome.usage })
      })
    }
    active.observer?.end(outcome, answer)
  }

  private tellHedge(active: ActiveAttempt, outcome: AttemptOutcome & { readonly tookMs: number }): void {
    const lost = outcome._tag === "interrupted" && this.records.some((record) => record.outcome === "success")
    const won = outcome._tag === "success" && active.hedge
    if (!lost && !won) return
    // What is known of a loser is a lower bound. Without it the slow ones would never be seen, and the delay would sink.
    if (lost) {
      const at = active.startedMs + outcome.tookMs
      this.options.settings.hedge?.observe(this.hedgeKey(active.target), outcome.tookMs, at)
    }
    this.options.observer?.emit({
      type: won ? "hedge-won" : "hedge-lost",
      key: this.hedgeKey(active.target),
      requestId: this.options.requestId,
      attempt: active.call.attempt,
      target: active.target.id,
      tookMs: outcome.tookMs
    })
  }

  /** What an answer that no attempt of this call has produced would have cost; `undefined` where nobody knows. */
  savedBy(target: string, usage: Usage): bigint | undefined {
    const { settings, targets } = this.options
    const answered = targets.find((each) => each.id === target)
    if (settings.prices === undefined || answered === undefined) return undefined
    const { model, provider } = answered
    const cost = settings.prices.cost({ provider: provider.name, model, usage, atMs: this.startedAt })
    return typeof cost === "bigint" ? cost : undefined
  }

  private costOf({ call, startedAt }: ActiveAttempt, usage: Usage): bigint | undefined {
    const prices = this.options.settings.prices
    if (prices === undefined) return undefined
    const { model, provider, request } = call
    const cost = prices.cost({ provider, model, usage, mode: modeOf(request), atMs: startedAt })
    return typeof cost === "bigint" ? cost : undefined
  }

  /** What an answer carries of its way: every attempt and, where prices are known, what they cost together. */
  provenance(target: PlanTarget): Provenance {
    const { requestId } = this.options
    const cost = this.cost()
    const attempts = this.attempts()
    return cost === undefined
      ? { requestId, target: target.id, attempts }
      : { requestId, target: target.id, attempts, cost }
  }

  /** What the attempts cost together; `undefined` where nobody knows prices. */
  cost(): CallCost | undefined {
    return this.options.settings.prices === undefined ? undefined : totalOf(this.records)
  }

  /** The error with its place in the call. */
  located(active: ActiveAttempt, error: AttemptError): AttemptError {
    return withOrigin(error, {
      provider: active.target.provider.name,
      model: active.target.model,
      attempt: active.call.attempt
    })
  }

  /**
   * Decides what follows a failure, and waits if there is something to wait for. Succeeds with the index of the
   * target to ask; fails with the error of the whole call. `index` is the place of the target that failed: with a hedge
   * it need not be the one that was asked last. With `preferNext`, another target goes before a retry.
   */
  afterFailure(error: AttemptError, index: number, preferNext = false): Effect.Effect<number, LLMError> {
    if (this.repaired(error)) return Effect.succeed(this.state.target)
    const { failover, repeat } = Plan.next(this.options.rules, this.state, error)
    const instead = (): Effect.Effect<number, LLMError> =>
      failover === undefined ? Effect.fail(this.finalError(error)) : this.failOver(index, failover, error)
    return !repeat || (preferNext && failover !== undefined) ? instead() : this.retry(error, index, instead)
  }

  /** Whether the same target gets a smaller request, in an attempt that no other target needs. */
  private repaired(error: AttemptError): boolean {
    const { fitting, rules, targets } = this.options
    return (
      fitting !== undefined &&
      error._tag === "ContextLengthError" &&
      Plan.hasSpare(rules, this.state) &&
      fitting.repair(targets[this.state.target]!.id, error)
    )
  }

  /** Whether the call has another attempt at the target asked last. */
  mayRepeat(): boolean {
    const { maxAttempts, retries } = this.options.rules
    return this.state.attempts < maxAttempts && this.state.retried < retries
  }

  private failOver(from: number, to: number, error: AttemptError): Effect.Effect<number> {
    const { observer, requestId, targets } = this.options
    observer?.emit({
      type: "failed-over",
      requestId,
      from: targets[from]!.id,
      to: targets[to]!.id,
      error
    })
    this.driver = undefined
    return Effect.succeed(to)
  }

  private retry(
    error: AttemptError,
    target: number,
    instead: () => Effect.Effect<number, LLMError>
  ): Effect.Effect<number, LLMError> {
    const { clock, observer, requestId, settings, targets } = this.options
    const { attempts } = this.state
    const id = targets[target]!.id
    if (this.retrying !== target) this.driver = undefined
    this.retrying = target
    this.driver ??= Retry.driver(settings.retry, {
      deadlineMs: this.deadlineMs,
      budget: settings.retryBudget,
      key: id
    })
    return Effect.flatMap(this.driver.next(error, nowMs(clock)), (decision) => {
      if (decision._tag === "stop") return instead()
      const { delayMs } = decision
      this.waitedMs = delayMs
      observer?.emit({ type: "retry-scheduled", requestId, attempt: attempts, target: id, delayMs, error })
      return delayMs > 0 ? Effect.as(Effect.sleep(delayMs), target) : Effect.succeed(target)
    })
  }

  private succeeded(active: ActiveAttempt, tookMs: number): void {
    const { hedge, retryBudget } = this.options.settings
    const at = active.startedMs + tookMs
    hedge?.observe(this.hedgeKey(active.target), active.firstTokenMs ?? tookMs, at)
    if (this.driver === undefined) retryBudget?.onSuccess(active.target.id, 0, at)
    else this.driver.succeeded(at)
  }

  // --- hedging: another attempt beside one that is slow ---------------------------------------------------------

  /** Whole answers and first tokens take their own times, and so are learned apart. */
  private hedgeKey(target: PlanTarget): string {
    return `${this.options.operation} ${target.id}`
  }

  /** The next target by preference; else the same one, as a repeated attempt. */
  private hedgeTarget(index: number): number | undefined {
    const { maxAttempts, retries, targets } = this.options.rules
    if (this.state.attempts >= maxAttempts) return undefined
    const next = Math.max(index, this.state.furthest) + 1
    if (next < targets) return next
    return this.state.retried < retries ? index : undefined
  }

  /** Milliseconds after which an attempt may get another one beside it; `undefined` if it may not. */
  hedgeDelayMs(index: number): number | undefined {
    const { clock, settings, targets } = this.options
    if (settings.hedge === undefined || this.hedgeTarget(index) === undefined) return undefined
    return settings.hedge.delayMs(this.hedgeKey(targets[index]!), nowMs(clock))
  }

  /** Decides for a hedge and says at which target; `undefined` for none. */
  startHedge(index: number, afterMs: number): number | undefined {
    const { clock, observer, requestId, settings, targets } = this.options
    const target = this.hedgeTarget(index)
    const key = this.hedgeKey(targets[index]!)
    if (target === undefined || settings.hedge?.tryStart(key, nowMs(clock)) !== true) return undefined
    this.hedged = true
    observer?.emit({
      type: "hedge-started",
      key,
      requestId,
      attempt: this.state.attempts + 1,
      target: targets[target]!.id,
      reason: "slow",
      afterMs
    })
    return target
  }

  /** The attempts in the order in which they were begun. */
  attempts(): ReadonlyArray<AttemptRecord> {
    return this.hedged ? this.records.toSorted((a, b) => a.attempt - b.attempt) : this.records
  }

  /** What the caller gets when nothing is left to try. */
  finalError(error: AttemptError): LLMError {
    const first = this.records[0]?.target
    const several = this.records.some((record) => record.target !== first)
    if (!several || !disposition(error).failover) return error
    const attempts = this.records.flatMap((record) =>
      record.error === undefined
        ? []
        : [
            {
              target: record.target,
              error: record.error,
              startedAt: record.startedAt,
              took: Duration.millis(record.tookMs)
            }
          ]
    )
    const targets = Array.from(new Set(attempts.map((attempt) => attempt.target)))
    return new AllTargetsFailedError({
      message:
        `All ${targets.length} targets failed: ` +
        attempts.map((attempt) => `${attempt.target}: ${attempt.error._tag}`).join(", "),
      attempts
    })
  }
}
