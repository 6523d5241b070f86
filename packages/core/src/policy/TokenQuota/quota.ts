/**
 * The quota itself: a decision on the hot path, a line for each target that has waiters.
 */
import type * as Clock from "effect/Clock"
import type * as Config from "effect/Config"
import type * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import type { AttemptCall, AttemptOutcome, Settle } from "../../domain/Attempt.ts"
import { InvalidRequestError, RateLimitError, type StoreError } from "../../errors/LLMError.ts"
import { emit } from "../../internal/emit.ts"
import { ofCall } from "../../internal/ofCall.ts"
import { estimateNeed } from "../../internal/estimateNeed.ts"
import { IdleMap } from "../../internal/idleMap.ts"
import { usedAt } from "../../internal/meter.ts"
import { wholeMs } from "../../internal/limitRule.ts"
import { millisOf } from "../../internal/options.ts"
import {
  makeQuotaState,
  type Need,
  neverFits,
  quotaClean,
  quotaLearn,
  quotaRefused,
  quotaSettle,
  type QuotaState,
  quotaTake,
  quotaWait,
  type Reservation,
  type Scope as QuotaScope,
  scopes,
  tightest
} from "../../internal/quotaState.ts"
import { rejection } from "../../internal/rejection.ts"
import { clockOf, monotonicMs } from "../../internal/time.ts"
import { type Gate, WaitLine } from "../../internal/waitLine.ts"
import type { Options, Remaining, ReserveOptions, Snapshot, TokenQuotaService } from "../TokenQuota.ts"
import { type Settings, settingsOf } from "./rules.ts"
import { settlementOf } from "./settlement.ts"

export type AnyFiber = Fiber.Fiber<unknown, unknown>
export type QuotaError = RateLimitError | InvalidRequestError | StoreError

/** What a waiter wants, and what it got. */
export interface Claim {
  readonly key: string
  readonly need: Need
  readonly state: QuotaState
  /** The one who waits, or its context where that has to outlast it. */
  readonly fiber: { readonly context: Context.Context<never> }
  /** The attempt, where there is one. */
  readonly call: AttemptCall | undefined
  held: Reservation | undefined
  /** Until when a shared store said that there is no room; 0 for nothing said. */
  toldUntilMs: number
  toldScope: QuotaScope | undefined
}

/** Whom an event is told from, and of which attempt. */
export interface From {
  readonly context: Context.Context<never>
  readonly call?: AttemptCall | undefined
}

/** The name of this kind of limiter in events. */
export const limiter = "token-quota"
const day = 86_400_000

/** A quota in this process. */
export class Quota implements TokenQuotaService {
  protected readonly settings: Settings
  protected readonly states: IdleMap<QuotaState>
  protected readonly lines = new Map<string, WaitLine<Claim, QuotaError>>()
  private closed = false

  constructor(settings: Settings) {
    this.settings = settings
    this.states = new IdleMap({ idleMs: day, maxKeys: settings.maxKeys })
  }

  readonly admit = (call: AttemptCall): Effect.Effect<Settle, QuotaError> =>
    Effect.withFiber((fiber) => {
      const key = this.settings.byTenant ? `${call.target}#${call.context.tenant}` : call.target
      const need = this.settings.estimate?.(call) ?? estimateNeed(call.request, this.settings.defaultOutputTokens)
      const now = monotonicMs(clockOf(fiber))
      const priority = call.context.priority === "batch" ? 0 : 1
      return this.enter(
        fiber,
        key,
        call.target,
        need,
        priority,
        now,
        Math.min(this.settings.maxWaitMs, call.deadlineMs - now),
        call
      )
    })

  readonly reserve = (options: ReserveOptions): Effect.Effect<Settle, QuotaError> =>
    Effect.withFiber((fiber) => {
      const maxWaitMs = options.maxWait === undefined ? this.settings.maxWaitMs : millisOf(options.maxWait)
      const wrong = wrongArgument(options, maxWaitMs)
      if (wrong !== undefined) return Effect.fail(wrong)
      const now = monotonicMs(clockOf(fiber))
      return this.enter(fiber, options.key, options.key, options, options.priority ?? 0, now, maxWaitMs!, undefined)
    })

  readonly snapshot = (key: string): Effect.Effect<Snapshot | undefined> =>
    Effect.withFiber((fiber) => {
      const now = monotonicMs(clockOf(fiber))
      const state = this.states.get(key, now)
      return Effect.succeed(state === undefined ? undefined : snapshotOf(state, now, this.lines.get(key)?.size ?? 0))
    })

  readonly snapshots: Effect.Effect<ReadonlyArray<Snapshot & { readonly key: string }>> = Effect.withFiber((fiber) => {
    const now = monotonicMs(clockOf(fiber))
    return Effect.succeed(
      this.states
        .entries(now)
        .map(([key, state]) => ({ key, ...snapshotOf(state, now, this.lines.get(key)?.size ?? 0) }))
    )
  })

  readonly reset = (key: string): Effect.Effect<void> => this.resetHere(key)

  protected resetHere(key: string): Effect.Effect<void> {
    return Effect.withFiber((fiber) => {
      const state = this.states.get(key, monotonicMs(clockOf(fiber)))
      if (state === undefined) return Effect.void
      // Those who wait hold on to the state, so it is emptied and not only dropped.
      Object.assign(state, makeQuotaState(state.rules, state.rampFromMs))
      this.lines.get(key)?.wake()
      return Effect.void
    })
  }

  close(): void {
    this.closed = true
    for (const line of this.lines.values()) line.close()
    this.lines.clear()
  }

  protected enter(
    fiber: AnyFiber,
    key: string,
    target: string,
    need: Need,
    priority: number,
    now: number,
    maxWaitMs: number,
    call: AttemptCall | undefined
  ): Effect.Effect<Settle, QuotaError> {
    const state = this.stateOf(key, target, now)
    const line = this.lines.size === 0 ? undefined : this.lines.get(key)
    const before = line?.weightBefore(priority, now) ?? 0
    if (before === 0 && quotaWait(state, need, 1, now) === 0) {
      return Effect.succeed(this.settleOf(fiber, key, state, quotaTake(state, need, now), call))
    }
    const leastMs = quotaWait(state, need, 1 + before, now)
    const claim: Claim = { key, need, state, fiber, call, held: undefined, toldUntilMs: 0, toldScope: undefined }
    return this.wait(claim, line, priority, now, maxWaitMs, leastMs)
  }

  protected stateOf(key: string, target: string, now: number): QuotaState {
    let state = this.states.get(key, now)
    if (state === undefined) {
      state = makeQuotaState(this.settings.rulesOf(key, target), now)
      this.states.set(key, state, now)
    }
    return state
  }

  /** Joins the line, unless it is known already that the wait would be too long. */
  protected wait(
    claim: Claim,
    line: WaitLine<Claim, QuotaError> | undefined,
    priority: number,
    now: number,
    maxWaitMs: number,
    leastMs: number
  ): Effect.Effect<Settle, QuotaError> {
    const { call, fiber, key, need, state } = claim
    const never = neverFits(state, need)
    if (never !== undefined) return Effect.fail(this.tooLarge(claim, never))
    if (!(leastMs <= maxWaitMs) || maxWaitMs <= 0 || (line?.size ?? 0) >= this.settings.maxWaiting) {
      return Effect.fail(this.rejected(claim, 0, leastMs, now))
    }
    if (line === undefined) {
      line = new WaitLine(this.gate, this.settings.patienceMs, () => this.lines.delete(key))
      if (this.closed) line.close()
      else this.lines.set(key, line)
    }
    // Only the wait itself is interruptible, so that no reservation is lost on the way out.
    return Effect.uninterruptible(
      Effect.map(line.join(claim, { priority, weight: 1, deadlineMs: now + maxWaitMs }), (waitedMs) => {
        this.handedOver(claim)
        emit(fiber, () => ({ type: "limit-waited", limiter, key, weight: tokensOf(need), waitedMs, ...ofCall(call) }))
        return this.settleOf(fiber, key, state, claim.held!, call)
      })
    )
  }

  /** A waiter has got what the gate gave it. */
  protected handedOver(_: Claim): void {}

  protected readonly gate: Gate<Claim, QuotaError> = {
    attempt: (claim, now) => {
      const never = neverFits(claim.state, claim.need)
      if (never !== undefined) return Effect.fail(this.tooLarge(claim, never))
      const waitMs = quotaWait(claim.state, claim.need, 1, now)
      if (waitMs === 0) claim.held = quotaTake(claim.state, claim.need, now)
      return waitMs
    },
    release: (claim) =>
      Effect.sync(() => {
        const now = monotonicMs(clockOf(claim.fiber))
        quotaSettle(claim.state, claim.held!, { inputTokens: 0, outputTokens: 0 }, false, now)
        this.lines.get(claim.key)?.wake()
      }),
    expired: (claim, waitedMs, retryMs) => {
      const now = monotonicMs(clockOf(claim.fiber))
      return this.rejected(claim, waitedMs, retryMs > 0 ? retryMs : quotaWait(claim.state, claim.need, 1, now), now)
    }
  }

  protected settleOf(
    fiber: Claim["fiber"],
    key: string,
    state: QuotaState,
    held: Reservation,
    call: AttemptCall | undefined
  ): Settle {
    const clock: Clock.Clock = clockOf(fiber)
    // A fiber loses its context when it ends, and an attempt may be settled after that.
    const from: From = { context: fiber.context, call }
    let open = true
    return (outcome) => {
      if (!open) return
      open = false
      this.settle(from, key, state, held, outcome, monotonicMs(clock))
      this.lines.get(key)?.wake()
    }
  }

  protected settle(
    from: From,
    key: string,
    state: QuotaState,
    held: Reservation,
    outcome: AttemptOutcome,
    now: number
  ): void {
    const { actual, called } = settlementOf(outcome, held)
    quotaSettle(state, held, actual, called, now)
    this.adapt(from, key, state, held, outcome, now)
  }

  /** What an attempt's end says of the limits, and of the pace. */
  protected adapt(
    from: From,
    key: string,
    state: QuotaState,
    held: Reservation,
    outcome: AttemptOutcome,
    now: number
  ): void {
    const error = outcome._tag === "failure" ? outcome.error : undefined
    const refusal = error?._tag === "RateLimitError" && error.source === "provider" ? error : undefined
    const limits = outcome._tag === "success" ? outcome.limits : refusal?.limits
    if (limits !== undefined) {
      quotaLearn(state, held, limits, now, (scope, meter) =>
        emit(from, () => ({
          type: "quota-learned",
          key,
          scope,
          limit: meter.limit,
          windowMs: meter.windowMs,
          ...ofCall(from.call)
        }))
      )
    }
    const before = state.aimd?.rate
    if (outcome._tag === "success") quotaClean(state)
    else if (refusal !== undefined) {
      const hintMs = refusal.retryAfter === undefined ? undefined : Duration.toMillis(refusal.retryAfter)
      const { pauseMs } = quotaRefused(state, hintMs, held, now)
      emit(from, () => ({ type: "quota-paused", key, pauseMs, hinted: hintMs !== undefined, ...ofCall(from.call) }))
    }
    const after = state.aimd?.rate
    if (before !== undefined && after !== undefined && before !== after) {
      emit(from, () => ({
        type: "limit-adapted",
        limiter,
        key,
        unit: "calls-per-second",
        from: before,
        to: after,
        ...ofCall(from.call)
      }))
    }
  }

  protected rejected(claim: Claim, waitedMs: number, retryMs: number, now: number): RateLimitError {
    const { fiber, key, need, state } = claim
    const scope = claim.toldScope ?? tightest(state, need, now)
    emit(fiber, () => ({
      type: "limit-rejected",
      limiter,
      key,
      weight: tokensOf(need),
      waitedMs,
      retryMs,
      ...ofCall(claim.call)
    }))
    const wait = wholeMs(Number.isFinite(retryMs) ? retryMs : 60_000)
    return rejection(RateLimitError, "RateLimitError", {
      message: `the quota of ${scope} is used up, or the target is paused; there is room in ${wait} ms`,
      source: "local",
      scope,
      key,
      retryAfter: Duration.millis(wait)
    })
  }

  protected tooLarge(claim: Claim, scope: QuotaScope, limit = claim.state.meters[scopes.indexOf(scope)]!.limit) {
    const { fiber, key, need, state } = claim
    const { windowMs } = state.meters[scopes.indexOf(scope)]!
    emit(fiber, () => ({
      type: "limit-rejected",
      limiter,
      key,
      weight: tokensOf(need),
      waitedMs: 0,
      retryMs: Infinity,
      ...ofCall(claim.call)
    }))
    return rejection(RateLimitError, "RateLimitError", {
      message: `the call needs ${need.inputTokens} + ${need.outputTokens} tokens, more than the limit of ${limit} ${scope} ever allows`,
      source: "local",
      scope,
      key,
      limit,
      retryAfter: Duration.millis(windowMs),
      shouldRetry: false
    })
  }
}

const tokensOf = (need: Need): number => need.inputTokens + need.outputTokens

const wrongArgument = (options: ReserveOptions, maxWaitMs: number | undefined): InvalidRequestError | undefined => {
  const wrong = (parameter: string, message: string) =>
    rejection(InvalidRequestError, "InvalidRequestError", { message, parameter })
  if (options.key.length === 0) return wrong("key", "the key is empty")
  if (maxWaitMs === undefined) return wrong("maxWait", "maxWait is not a finite duration of at least 0")
  if (!Number.isFinite(options.priority ?? 0)) return wrong("priority", "the priority is not a finite number")
  for (const name of ["inputTokens", "outputTokens"] as const) {
    if (!(options[name] >= 0 && options[name] < Infinity)) {
      return wrong(name, `${name} is ${options[name]}; allowed: a finite number of at least 0`)
    }
  }
  return undefined
}

export const snapshotOf = (state: QuotaState, now: number, waiting: number): Snapshot => {
  const remaining = (kind: 0 | 1 | 2 | 3): Remaining | undefined => {
    const meter = state.meters[kind]
    if (meter.limit === Infinity) return undefined
    return { limit: meter.limit, remaining: meter.limit - usedAt(meter, now), windowMs: meter.windowMs }
  }
  const entries = [
    ["requests", remaining(0)],
    ["tokens", remaining(1)],
    ["inputTokens", remaining(2)],
    ["outputTokens", remaining(3)]
  ].filter(([, value]) => value !== undefined)
  const rate =
    state.aimd !== undefined && state.aimd.rate < state.rules.aimd!.max ? { callsPerSecond: state.aimd.rate } : {}
  return { ...Object.fromEntries(entries), ...rate, pausedMs: Math.max(0, state.pausedUntilMs - now), waiting }
}

/** Builds a quota from its options. */
export const makeQuota = (options: Options): Effect.Effect<TokenQuotaService, Config.ConfigError, Scope.Scope> =>
  Effect.flatMap(settingsOf(options), (settings) =>
    Effect.acquireRelease(
      Effect.sync(() => new Quota(settings)),
      (quota) => Effect.sync(() => quota.close())
    )
  )
