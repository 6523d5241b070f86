/**
 * Tries again what is worth trying again: with which delays, how often, and when not.
 *
 * The delays are Effect Schedules (`exponential`, `decorrelated`, …) and compose with Effect's combinators. A
 * `Policy` is plain data around a schedule. `retry` applies one to any Effect, `stream` to a Stream up to its first
 * element, and `driver` is for those who make the attempts themselves, as the pipeline does.
 *
 * An error with `isRetryable: false` is never retried; one without that field is. Defects and interruption never
 * are. A `retryAfter` on an error is waited for.
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import type * as Stream from "effect/Stream"
import { dispositions } from "../errors/disposition.ts"
import * as Backoff from "../internal/backoff.ts"
import { inRange, millisOf, optionError, positiveDuration, validateOrThrow, wholeInRange } from "../internal/options.ts"
import type { RetryBudgetShape } from "../internal/retryBudget.ts"
import * as Driver_ from "../internal/retryDriver.ts"
import { retryEffect } from "../internal/retryEffect.ts"
import { boundOf, fromDelays, fromPrevious, withBound } from "../internal/retrySchedules.ts"
import { retryStream } from "../internal/retryStream.ts"
import { type KindRate, SuccessRates } from "../internal/successRate.ts"
import { clockOf, monotonicMs } from "../internal/time.ts"

// ---------------------------------------------------------------------------------------------------------------
// models
// ---------------------------------------------------------------------------------------------------------------

export type Jitter = Backoff.Jitter
export type Override<E = unknown> = Driver_.Override<E>
export type Decision = Driver_.Decision
export type StopReason = Driver_.StopReason
export type Driver<E = unknown> = Driver_.Driver<E>
export type DriverOptions = Driver_.DriverOptions

/** A schedule whose output is the delay it asks for. It needs nothing and cannot fail. */
export type DelaySchedule = Schedule.Schedule<Duration.Duration, unknown>

/** How and how often to try again: validated data, made by {@link make}. */
export interface Policy<in E = unknown> {
  /** The delays. */
  readonly schedule: Schedule.Schedule<unknown, E>
  /** Retries at most, so attempts are one more. */
  readonly retries: number
  /** An error that asks for a longer wait than this is not waited for. */
  readonly maxHint: Duration.Duration
  /** What is special about some kinds of error, by their `_tag`. */
  readonly overrides: Readonly<Record<string, Override<E>>>
  /** Whether to retry an error that is retryable by its own account. */
  readonly while?: (error: E) => boolean
  /** Leaves out retries of kinds of error that retries have not helped lately. */
  readonly learner?: Learner
  /** Called before each wait with the error, the attempt that failed (from 1) and the wait. What it throws is lost. */
  readonly onRetry?: (error: E, attempt: number, delay: Duration.Duration) => void
}

/** What {@link make} takes: everything has a default. */
export interface PolicyOptions<in E = unknown> {
  /** Default: {@link exponential} with its defaults. */
  readonly schedule?: Schedule.Schedule<unknown, E>
  /** From 0 to 1,000. Default 2: three attempts in all. */
  readonly retries?: number
  /** Default 60 s. */
  readonly maxHint?: Duration.Input
  /** Added to the defaults, which retry an `InvalidResponseError` once. */
  readonly overrides?: Readonly<Record<string, Override<E>>>
  readonly while?: (error: E) => boolean
  readonly learner?: Learner
  readonly onRetry?: (error: E, attempt: number, delay: Duration.Duration) => void
}

/** A policy and the circumstances of one call. */
export interface RetryOptions<in E = unknown> extends PolicyOptions<E> {
  /** From the start of the call; no wait goes past it. Default: none. */
  readonly timeout?: Duration.Input
  /** The same as a moment, in milliseconds of the monotonic clock. The earlier of the two counts. */
  readonly deadlineMs?: number
  /** Shared with the other callers of the same target. */
  readonly budget?: RetryBudgetShape
  /** The key of the budget: the target. */
  readonly key?: string
}

/** What retries of each kind of error have been worth lately; see {@link learner}. */
export type Learner = SuccessRates

// ---------------------------------------------------------------------------------------------------------------
// schedules
// ---------------------------------------------------------------------------------------------------------------

/** Every default of the schedules. */
export const scheduleDefaults = {
  base: Duration.seconds(1),
  factor: 2,
  cap: Duration.seconds(60),
  jitter: { proportional: 0.5 } as Jitter
}

interface Shape {
  /** The first delay. Above zero. Default 1 s. */
  readonly base?: Duration.Input
  /** No delay is longer. Default 60 s. */
  readonly cap?: Duration.Input
}

interface Jittered extends Shape {
  /** Default `{ proportional: 0.5 }`: each delay is shortened by up to half of it. */
  readonly jitter?: Jitter
}

const checkJitter = (jitter: Jitter) => {
  if (typeof jitter === "object") return inRange("jitter.proportional", jitter.proportional, 0, 1)
  return jitter === "none" || jitter === "full" || jitter === "equal"
    ? undefined
    : optionError("jitter", jitter, "none, full, equal or { proportional }")
}

const shape = (options: Jittered) => {
  const base = options.base ?? scheduleDefaults.base
  const cap = options.cap ?? scheduleDefaults.cap
  const jitter = options.jitter ?? scheduleDefaults.jitter
  validateOrThrow([positiveDuration("base", base), positiveDuration("cap", cap), checkJitter(jitter)])
  return { base: millisOf(base)!, cap: millisOf(cap)!, jitter }
}

/** The same delay every time. Never ends: bound it by `retries`. Throws a `ConfigError` for a wrong option. */
export const constant = (options: Jittered = {}): DelaySchedule => {
  const { base, cap, jitter } = shape(options)
  return fromDelays(Backoff.constant(base, cap), jitter)
}

/** Delays that grow by `increment` (default: by `base`). Never ends. Throws a `ConfigError` for a wrong option. */
export const linear = (options: Jittered & { readonly increment?: Duration.Input } = {}): DelaySchedule => {
  const { base, cap, jitter } = shape(options)
  if (options.increment !== undefined) validateOrThrow([positiveDuration("increment", options.increment)])
  const increment = options.increment === undefined ? base : millisOf(options.increment)!
  return fromDelays(Backoff.linear(base, increment, cap), jitter)
}

/**
 * Delays that grow by `factor` (from 1 to 1,000, default 2). Never ends and never overflows. Throws a `ConfigError`
 * for a wrong option.
 */
export const exponential = (options: Jittered & { readonly factor?: number } = {}): DelaySchedule => {
  const { base, cap, jitter } = shape(options)
  const factor = options.factor ?? scheduleDefaults.factor
  validateOrThrow([inRange("factor", factor, 1, 1000)])
  return fromDelays(Backoff.exponential(base, factor, cap), jitter)
}

/** Delays that grow like 1, 1, 2, 3, 5 times `base`. Never ends. Throws a `ConfigError` for a wrong option. */
export const fibonacci = (options: Jittered = {}): DelaySchedule => {
  const { base, cap, jitter } = shape(options)
  return fromDelays(Backoff.fibonacci(base, cap), jitter)
}

/**
 * Each delay is drawn from `base` to three times the delay before it (Brooker, "Exponential Backoff And Jitter").
 * The jitter is the algorithm. Never ends. Throws a `ConfigError` for a wrong option.
 */
export const decorrelated = (options: Shape = {}): DelaySchedule => {
  const { base, cap } = shape(options)
  const bound = Backoff.exponential(3 * base, 3, cap)
  return fromPrevious(base, (previous, u) => Backoff.decorrelated(base, cap, previous, u), bound)
}

/** Cuts the delays of any schedule, which makes its worst case known. Throws a `ConfigError` for a wrong cap. */
export const capped = (cap: Duration.Input) => {
  validateOrThrow([positiveDuration("cap", cap)])
  const most = Duration.fromInputUnsafe(cap)
  return <Output, Input, Error, Env>(
    self: Schedule.Schedule<Output, Input, Error, Env>
  ): Schedule.Schedule<Output, Input, Error, Env> => {
    const own = boundOf(self)
    const limit = Backoff.constant(Duration.toMillis(most), Infinity)
    return withBound(
      Schedule.modifyDelay(self, ({ duration }) => Effect.succeed(Duration.min(duration, most))),
      own === undefined ? limit : Backoff.union(own, limit)
    )
  }
}

/**
 * Raises each delay to the `retryAfter` of the error that is retried, plus up to a tenth, never less. Ends the
 * schedule at an error that asks for more than `maxHint` (default 60 s). A policy does this by itself: the modifier
 * is for schedules used with `Effect.retry`. Put it last: a jitter after it would shorten the server's wait.
 */
export const honourHint = (options: { readonly maxHint?: Duration.Input } = {}) => {
  const maxHint = options.maxHint ?? policyDefaults.maxHint
  validateOrThrow([positiveDuration("maxHint", maxHint)])
  const maxMs = millisOf(maxHint)!
  return <Output, Input, Error, Env>(
    self: Schedule.Schedule<Output, Input, Error, Env>
  ): Schedule.Schedule<Output, Input, Error, Env> =>
    self.pipe(
      Schedule.while(({ input }) => Effect.succeed(Driver_.hintOf(input) <= maxMs)),
      Schedule.modifyDelay(({ duration, input }) => {
        const hint = Driver_.hintOf(input)
        if (hint === 0) return Effect.succeed(duration)
        return Effect.map(Random.next, (u) =>
          Duration.millis(Backoff.raiseToHint(Duration.toMillis(duration), hint, Driver_.hintHeadroom, u))
        )
      })
    )
}

// ---------------------------------------------------------------------------------------------------------------
// learning
// ---------------------------------------------------------------------------------------------------------------

/** Every default of {@link learner}. */
export const learnerDefaults = {
  halfLife: Duration.minutes(5),
  minRate: 0.05,
  minSamples: 20,
  exploration: 0.05,
  maxKinds: 100
}

export interface LearnerOptions {
  /** After this time an observation counts half. Default 5 min. */
  readonly halfLife?: Duration.Input
  /** Kinds of error whose retries help less often than this are held back; from 0 to 1. Default 0.05. */
  readonly minRate?: number
  /** Retries of a kind before its rate is believed. Default 20. */
  readonly minSamples?: number
  /** The share of held-back retries made all the same, to notice a change; above 0, at most 1. Default 0.05. */
  readonly exploration?: number
  /** Kinds of error kept; the one unused for longest gives way. Default 100. */
  readonly maxKinds?: number
}

/**
 * Learns how often a retry helps, by the kind of error that led to it, and holds back retries that do not.
 *
 * For each kind the weights of retries made and retries that helped are kept, halving every `halfLife`. The rate is
 * (helped + 1) / (made + 2). From `minSamples` on, a kind whose rate is below `minRate` is retried only with the
 * probability `exploration`. One learner is meant to be shared by many calls. Throws a `ConfigError` for a wrong
 * option.
 */
export const learner = (options: LearnerOptions = {}): Learner => {
  const all = { ...learnerDefaults, ...options }
  validateOrThrow([
    positiveDuration("halfLife", all.halfLife),
    inRange("minRate", all.minRate, 0, 1),
    wholeInRange("minSamples", all.minSamples, 1),
    inRange("exploration", all.exploration, Number.MIN_VALUE, 1),
    wholeInRange("maxKinds", all.maxKinds, 1)
  ])
  return new SuccessRates({ ...all, halfLifeMs: millisOf(all.halfLife)! })
}

/** What a learner knows now. */
export const learned = (self: Learner): Effect.Effect<ReadonlyArray<KindRate>> =>
  Effect.withFiber((fiber) => Effect.succeed(self.snapshot(monotonicMs(clockOf(fiber)))))

/**
 * Makes a schedule end where its {@link learner} sees no use in another retry. For schedules used with
 * `Effect.retry`; a policy takes the learner itself and learns more exactly: a schedule never hears of a success, so
 * here a retry counts as helpful until the next failure of the same call takes that back.
 */
export const adaptive =
  (rates: Learner) =>
  <Output, Input, Error, Env>(
    self: Schedule.Schedule<Output, Input, Error, Env>
  ): Schedule.Schedule<Output, Input, Error, Env> =>
    Schedule.fromStep(
      Effect.map(Schedule.toStep(self), (step) => {
        let pending: string | undefined
        return (now: number, input: Input) =>
          Effect.withFiber((fiber) => {
            const nowMs = monotonicMs(clockOf(fiber))
            if (pending !== undefined) rates.retract(pending, nowMs)
            pending = undefined
            const kind = Driver_.kindOf(input)
            const u = Context.get(fiber.context, Random.Random).nextDoubleUnsafe()
            return Effect.flatMap(step(now, input), ([output, duration]) => {
              if (!rates.worthwhile(kind, nowMs, u)) return Cause.done(output)
              rates.record(kind, true, nowMs)
              pending = kind
              return Effect.succeed<[Output, Duration.Duration]>([output, duration])
            })
          })
      })
    )

// ---------------------------------------------------------------------------------------------------------------
// policies
// ---------------------------------------------------------------------------------------------------------------

const once = Object.fromEntries(
  Object.entries(dispositions).flatMap(([tag, row]) => (row.retry === "once" ? [[tag, { retries: 1 }]] : []))
)

/** Every default of a policy. The kinds retried once come from the table of dispositions. */
export const policyDefaults = {
  retries: 2,
  maxHint: Duration.seconds(60),
  overrides: once as Readonly<Record<string, Override>>
}

const validated = new WeakSet<object>()

const isPolicy = <E>(options: PolicyOptions<E>): options is Policy<E> => validated.has(options)

/** Checks and completes a policy. Throws a `ConfigError` for a wrong option. */
export const make = <E = unknown>(options: PolicyOptions<E> = {}): Policy<E> => {
  const retries = options.retries ?? policyDefaults.retries
  const maxHint = options.maxHint ?? policyDefaults.maxHint
  validateOrThrow([
    wholeInRange("retries", retries, 0, 1000),
    positiveDuration("maxHint", maxHint),
    ...Object.entries(options.overrides ?? {}).map(([tag, override]) =>
      override.retries === undefined ? undefined : wholeInRange(`overrides.${tag}.retries`, override.retries, 0, 1000)
    )
  ])
  const policy: Policy<E> = {
    schedule: options.schedule ?? exponential(),
    retries,
    maxHint: Duration.fromInputUnsafe(maxHint),
    overrides: { ...policyDefaults.overrides, ...options.overrides },
    ...(options.while === undefined ? {} : { while: options.while }),
    ...(options.learner === undefined ? {} : { learner: options.learner }),
    ...(options.onRetry === undefined ? {} : { onRetry: options.onRetry })
  }
  validated.add(policy)
  return policy
}

/** The policies with a name. */
export const presets = {
  /** Three attempts in all; delays from 1 s, doubled, up to 60 s. */
  default: make(),
  /** Somebody is waiting: three attempts, no delay above 10 s, be it the server's wish. */
  interactive: make({ retries: 2, maxHint: "10 seconds", schedule: exponential({ cap: "10 seconds" }) }),
  /** Six attempts; delays from 0.5 s up to 30 s. */
  highThroughput: make({ retries: 5, schedule: exponential({ base: "500 millis", cap: "30 seconds" }) }),
  /** Nobody is waiting: eleven attempts; delays from 2 s up to 120 s. */
  batch: make({ retries: 10, schedule: exponential({ base: "2 seconds", cap: "120 seconds" }) }),
  /** One attempt. */
  none: make({ retries: 0 })
} satisfies Record<string, Policy>

/**
 * The longest sum of the waits of a call, in milliseconds, without a server's hints. Known for the schedules of this
 * module and for {@link capped} ones; `undefined` where another schedule has no known bound.
 */
export const worstBackoffMs = (policy: Policy<never>): number | undefined => {
  if (policy.retries === 0) return 0
  const schedules = [policy.schedule, ...Object.values(policy.overrides).map((override) => override.schedule)]
  let longest: Backoff.Delays = () => 0
  for (const schedule of schedules) {
    if (schedule === undefined) continue
    const bound = boundOf(schedule)
    if (bound === undefined) return undefined
    longest = Backoff.intersection(longest, bound)
  }
  let sum = 0
  for (let retry = 1; retry <= policy.retries; retry++) sum += longest(retry)
  return sum
}

// ---------------------------------------------------------------------------------------------------------------
// use
// ---------------------------------------------------------------------------------------------------------------

/**
 * Decides after each failure of one call: for those who make the attempts themselves. Costs next to nothing before
 * the first failure. Keep one for each call and target.
 */
export const driver = <E>(policy: Policy<E>, options: DriverOptions = {}): Driver<E> =>
  Driver_.makeDriver(policy, options)

/** What a retry after this error is charged to a budget as. */
export const chargeOf = Driver_.chargeOf

interface Prepared<in E> {
  readonly policy: Policy<E>
  readonly timeoutMs: number | undefined
  readonly driver: DriverOptions
}

const preparations = new WeakMap<object, Prepared<never>>()

const prepare = <E>(options: RetryOptions<E>): Prepared<E> => {
  const known = preparations.get(options) as Prepared<E> | undefined
  if (known !== undefined) return known
  if (options.timeout !== undefined) validateOrThrow([positiveDuration("timeout", options.timeout)])
  if (options.deadlineMs !== undefined) {
    validateOrThrow([inRange("deadlineMs", options.deadlineMs, -Infinity, Infinity)])
  }
  const prepared: Prepared<E> = {
    policy: isPolicy(options) ? options : make(options),
    timeoutMs: options.timeout === undefined ? undefined : millisOf(options.timeout),
    driver: { deadlineMs: options.deadlineMs, budget: options.budget, key: options.key }
  }
  preparations.set(options, prepared)
  return prepared
}

const dataFirst = (args: IArguments): boolean => Effect.isEffect(args[0])

/**
 * Runs an effect again after failures, as the policy says.
 *
 * Fails with the original error of the last attempt, at once where no wait would end before the deadline or the
 * budget is empty. Throws a `ConfigError` for a wrong option.
 */
export const retry: {
  <E>(options: RetryOptions<E>): <A, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  <A, E, R>(self: Effect.Effect<A, E, R>, options: RetryOptions<E>): Effect.Effect<A, E, R>
} = dual(dataFirst, <A, E, R>(self: Effect.Effect<A, E, R>, options: RetryOptions<E>): Effect.Effect<A, E, R> => {
  const { driver, policy, timeoutMs } = prepare(options)
  return retryEffect(self, policy, driver, timeoutMs)
})

/**
 * Opens a stream again after failures, as the policy says, until its first element is out. From then on a failure
 * is a failure: nothing is ever emitted twice.
 */
export const stream: {
  <E>(options: RetryOptions<E>): <A, R>(self: Stream.Stream<A, E, R>) => Stream.Stream<A, E, R>
  <A, E, R>(self: Stream.Stream<A, E, R>, options: RetryOptions<E>): Stream.Stream<A, E, R>
} = dual(2, <A, E, R>(self: Stream.Stream<A, E, R>, options: RetryOptions<E>): Stream.Stream<A, E, R> => {
  const { driver, policy, timeoutMs } = prepare(options)
  return retryStream(self, policy, driver, timeoutMs)
})
