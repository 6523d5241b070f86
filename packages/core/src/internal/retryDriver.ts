/**
 * Decides after each failure of one call whether, and when, to try again. Used by `Retry.retry`, `Retry.stream` and
 * the pipeline. Nothing is built before the first failure but the driver itself.
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Pull from "effect/Pull"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import { raiseToHint } from "./backoff.ts"
import type { RetryBudgetShape, RetryKind } from "./retryBudget.ts"
import type { SuccessRates } from "./successRate.ts"
import { clockOf } from "./time.ts"

/** What is special about one kind of error. */
export interface Override<in E = unknown> {
  /** Overrules what the error says of itself. */
  readonly retryable?: boolean
  /** Retries after errors of this kind in one call, within the retries of the policy. */
  readonly retries?: number
  /** The delays after errors of this kind. */
  readonly schedule?: Schedule.Schedule<unknown, E>
}

/** The part of a policy that decides; validated. */
export interface Rules<in E = unknown> {
  readonly schedule: Schedule.Schedule<unknown, E>
  readonly retries: number
  readonly maxHint: Duration.Duration
  readonly overrides: Readonly<Record<string, Override<E>>>
  readonly while?: (error: E) => boolean
  readonly learner?: SuccessRates
  readonly onRetry?: (error: E, attempt: number, delay: Duration.Duration) => void
}

/** What one call adds to the policy. */
export interface DriverOptions {
  /** Milliseconds of the monotonic clock after which no attempt may begin. Default: none. */
  readonly deadlineMs?: number | undefined
  readonly budget?: RetryBudgetShape | undefined
  /** The key of the budget: the target. Default: the empty key. */
  readonly key?: string | undefined
}

/**
 * Why there is no other try.
 *
 * - `not-retryable`: the error, an override or the predicate says so
 * - `exhausted`: the retries of the policy, of the error's kind, or of the schedule are used up
 * - `hint`: the server asks for a longer wait than `maxHint`
 * - `useless`: retries of this kind of error have not helped lately
 * - `deadline`: the wait would not end before the deadline
 * - `budget`: the target's callers have no retries left
 */
export type StopReason = "not-retryable" | "exhausted" | "hint" | "useless" | "deadline" | "budget"

export type Decision =
  | { readonly _tag: "retry"; readonly delayMs: number }
  | { readonly _tag: "stop"; readonly reason: StopReason }

export interface Driver<in E = unknown> {
  /**
   * What to do about the error the latest attempt ended with. The caller sleeps and asks again; `nowMs` is the
   * monotonic clock's.
   */
  readonly next: (error: E, nowMs: number) => Effect.Effect<Decision>
  /** Books the call's success: the budget gets its share back, the learner learns. Cheap without a failure before. */
  readonly succeeded: (nowMs: number) => void
  /** Retries decided on so far. */
  readonly retries: number
  /** What they took from the budget. */
  readonly spent: number
}

interface Hinted {
  readonly _tag?: unknown
  readonly isRetryable?: unknown
  readonly shouldRetry?: unknown
  readonly retryAfter?: unknown
}

const fieldsOf = (error: unknown): Hinted => (typeof error === "object" && error !== null ? error : {})

/** The kind of an error: its `_tag`, or else the name of its class. */
export const kindOf = (error: unknown): string => {
  const tag = fieldsOf(error)._tag
  if (typeof tag === "string") return tag
  return error instanceof Error ? error.name : typeof error
}

/** Milliseconds an error asks to be left alone; 0 for no wish. */
export const hintOf = (error: unknown): number => {
  const hint = fieldsOf(error).retryAfter
  if (!Duration.isDuration(hint)) return 0
  const ms = Duration.toMillis(hint)
  return ms > 0 ? ms : 0
}

/** How far above a hint a wait may go. */
export const hintHeadroom = 0.1

/** What a retry after this error is charged as. */
export const chargeOf = (error: unknown): RetryKind => {
  const kind = kindOf(error)
  return kind === "RequestTimeoutError" || kind === "TimeoutError" ? "timeout" : "retry"
}

type Step<E> = (now: number, error: E) => Pull.Pull<[unknown, Duration.Duration], never, unknown>

const stop = (reason: StopReason): Effect.Effect<Decision> => Effect.succeed({ _tag: "stop", reason })

class DriverImpl<E> implements Driver<E> {
  retries = 0
  spent = 0
  private pending: string | undefined = undefined
  private counts: Map<string, number> | undefined = undefined
  private steps: Map<string, Step<E>> | undefined = undefined
  private readonly rules: Rules<E>
  private readonly options: DriverOptions

  constructor(rules: Rules<E>, options: DriverOptions) {
    this.rules = rules
    this.options = options
  }

  next(error: E, nowMs: number): Effect.Effect<Decision> {
    if (this.pending !== undefined) this.rules.learner?.record(this.pending, false, nowMs)
    this.pending = undefined
    const kind = kindOf(error)
    const refusal = this.refusal(error, kind)
    if (refusal !== undefined) return stop(refusal)
    return Effect.withFiber((fiber) => {
      const random = Context.get(fiber.context, Random.Random)
      if (this.rules.learner?.worthwhile(kind, nowMs, random.nextDoubleUnsafe()) === false) return stop("useless")
      const delay = this.delay(error, kind, clockOf(fiber).currentTimeMillisUnsafe())
      return Effect.map(delay, (ms) => {
        // A schedule without a cap ends up at Infinity: a wait that never ends is no retry.
        if (ms === undefined || !Number.isFinite(ms)) return { _tag: "stop", reason: "exhausted" }
        const hint = hintOf(error)
        const wait = hint === 0 ? ms : raiseToHint(ms, hint, hintHeadroom, random.nextDoubleUnsafe())
        return this.decide(error, kind, wait, nowMs)
      })
    })
  }

  succeeded(nowMs: number): void {
    if (this.pending !== undefined) this.rules.learner?.record(this.pending, true, nowMs)
    this.pending = undefined
    this.options.budget?.onSuccess(this.options.key ?? "", this.spent, nowMs)
  }

  private refusal(error: E, kind: string): StopReason | undefined {
    const { maxHint, overrides, retries } = this.rules
    const override = Object.hasOwn(overrides, kind) ? overrides[kind] : undefined
    const fields = fieldsOf(error)
    // The provider's explicit "do not" stands above what was configured beforehand.
    if (fields.shouldRetry === false) return "not-retryable"
    if (!(override?.retryable ?? fields.isRetryable !== false)) return "not-retryable"
    if (this.rules.while !== undefined && !this.rules.while(error)) return "not-retryable"
    if (this.retries >= retries) return "exhausted"
    if (override?.retries !== undefined && (this.counts?.get(kind) ?? 0) >= override.retries) return "exhausted"
    return hintOf(error) > Duration.toMillis(maxHint) ? "hint" : undefined
  }

  private delay(error: E, kind: string, wallMs: number): Effect.Effect<number | undefined> {
    const own = Object.hasOwn(this.rules.overrides, kind) ? this.rules.overrides[kind]?.schedule : undefined
    const slot = own === undefined ? "" : kind
    const known = this.steps?.get(slot)
    const step: Effect.Effect<Step<E>> =
      known !== undefined
        ? Effect.succeed(known)
        : Effect.map(Schedule.toStep(own ?? this.rules.schedule), (made) => {
            ;(this.steps ??= new Map()).set(slot, made)
            return made
          })
    return Effect.flatMap(step, (run) =>
      Pull.matchEffect(run(wallMs, error), {
        onSuccess: ([, duration]) => Effect.succeed(Duration.toMillis(duration)),
        onFailure: () => Effect.succeed(undefined),
        onDone: () => Effect.succeed(undefined)
      })
    )
  }

  private decide(error: E, kind: string, delayMs: number, nowMs: number): Decision {
    const { budget, deadlineMs, key } = this.options
    if (deadlineMs !== undefined && nowMs + delayMs >= deadlineMs) return { _tag: "stop", reason: "deadline" }
    if (budget !== undefined) {
      const charge = chargeOf(error)
      if (!budget.trySpend(key ?? "", charge, nowMs)) return { _tag: "stop", reason: "budget" }
      this.spent += budget.cost(charge)
    }
    this.retries += 1
    ;(this.counts ??= new Map()).set(kind, (this.counts.get(kind) ?? 0) + 1)
    this.pending = kind
    try {
      this.rules.onRetry?.(error, this.retries, Duration.millis(delayMs))
    } catch {
      // An observer that throws must not turn a failure that could be rescued into a defect.
    }
    return { _tag: "retry", delayMs }
  }
}

export const makeDriver = <E>(rules: Rules<E>, options: DriverOptions): Driver<E> => new DriverImpl(rules, options)
