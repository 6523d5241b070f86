import { LLMError } from "@breakwater/core"
import * as Retry from "../../../../packages/core/src/policy/Retry.ts"
import * as RetryBudget from "../../../../packages/core/src/policy/RetryBudget.ts"
import { describe, expect, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Pull from "effect/Pull"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import * as TestClock from "effect/testing/TestClock"
import { sweep } from "../../../support/sweep.ts"

const constantRandom = (u: number) => ({ nextDoubleUnsafe: () => u, nextIntUnsafe: () => 0 })

/** The first delays of a schedule, in milliseconds; ends where the schedule does. */
const delaysOf = <E>(schedule: Schedule.Schedule<unknown, E>, inputs: ReadonlyArray<E>, u = 1) =>
  Effect.gen(function* () {
    const step = yield* Schedule.toStep(schedule)
    const out: Array<number> = []
    for (const input of inputs) {
      const done = yield* Pull.matchEffect(step(0, input), {
        onSuccess: ([, duration]) => Effect.sync(() => void out.push(Duration.toMillis(duration))),
        onDone: () => Effect.succeed("done" as const),
        onFailure: Effect.failCause
      })
      if (done === "done") break
    }
    return out
  }).pipe(Effect.provideService(Random.Random, constantRandom(u)))

const times = (n: number) => Array.from({ length: n }, () => undefined)

interface Failure {
  readonly _tag: string
  readonly isRetryable?: boolean
  readonly shouldRetry?: boolean
  readonly retryAfter?: Duration.Duration
}
const failure: Failure = { _tag: "Failure" }

/** Fails with the given errors, one a run, then succeeds; counts its runs. */
const failing = <E>(errors: ReadonlyArray<E>) => {
  const state = { runs: 0, at: [] as Array<number> }
  const effect: Effect.Effect<string, E> = Effect.flatMap(Clock.currentTimeMillis, (now) => {
    state.at.push(now)
    const error = errors[state.runs++]
    return error === undefined ? Effect.succeed("ok") : Effect.fail(error)
  })
  return { state, effect }
}

const forever = <E>(error: E) => failing(Array.from({ length: 10_000 }, () => error))

/** Runs to the end, moving the clock on as long as it is needed. */
const drive = <A, E>(effect: Effect.Effect<A, E>) =>
  Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(effect)
    yield* TestClock.adjust("1 hour")
    return yield* Fiber.await(fiber)
  })

describe("schedules", () => {
  it.effect("give the delays of their names", () =>
    Effect.gen(function* () {
      const plain = { base: "100 millis", cap: "1 second", jitter: "none" } as const
      expect(yield* delaysOf(Retry.constant(plain), times(3))).toEqual([100, 100, 100])
      expect(yield* delaysOf(Retry.linear(plain), times(3))).toEqual([100, 200, 300])
      expect(yield* delaysOf(Retry.linear({ ...plain, increment: "50 millis" }), times(3))).toEqual([100, 150, 200])
      expect(yield* delaysOf(Retry.exponential(plain), times(6))).toEqual([100, 200, 400, 800, 1000, 1000])
      expect(yield* delaysOf(Retry.exponential({ ...plain, factor: 3 }), times(3))).toEqual([100, 300, 900])
      expect(yield* delaysOf(Retry.fibonacci(plain), times(6))).toEqual([100, 100, 200, 300, 500, 800])
    })
  )

  it.effect("are drawn anew for each delay, and default to half of it at least", () =>
    Effect.gen(function* () {
      expect(yield* delaysOf(Retry.exponential(), times(8), 1)).toEqual(
        [1, 2, 4, 8, 16, 32, 60, 60].map((s) => s * 1000)
      )
      expect(yield* delaysOf(Retry.exponential(), times(3), 0)).toEqual([500, 1000, 2000])
      expect(yield* delaysOf(Retry.exponential({ jitter: "full" }), times(3), 0)).toEqual([0, 0, 0])
      expect(yield* delaysOf(Retry.exponential({ jitter: "equal" }), times(2), 0.5)).toEqual([750, 1500])
      expect(yield* delaysOf(Retry.decorrelated({ base: "1 second", cap: "10 seconds" }), times(4), 1)).toEqual([
        3000, 9000, 10_000, 10_000
      ])
      expect(yield* delaysOf(Retry.decorrelated({ base: "1 second" }), times(3), 0)).toEqual([1000, 1000, 1000])
    })
  )

  it.effect("start over in every run", () =>
    Effect.gen(function* () {
      const schedule = Retry.exponential({ jitter: "none" })
      expect(yield* delaysOf(schedule, times(3))).toEqual(yield* delaysOf(schedule, times(3)))
    })
  )

  it.effect("stay finite after 1,100 attempts", () =>
    Effect.gen(function* () {
      for (const make of [Retry.constant, Retry.linear, Retry.exponential, Retry.fibonacci, Retry.decorrelated]) {
        const delays = yield* delaysOf(make(), times(1_100))
        expect(delays).toHaveLength(1_100)
        expect(delays.every((ms) => ms > 0 && ms <= 60_000)).toBe(true)
      }
    })
  )

  it.effect("compose with Effect's combinators: min is the union, max the intersection", () =>
    Effect.gen(function* () {
      const slow = Retry.linear({ base: "3 seconds", jitter: "none" })
      const fast = Retry.exponential({ base: "1 second", jitter: "none" })
      expect(yield* delaysOf(Schedule.min([slow, fast]), times(5))).toEqual([1000, 2000, 4000, 8000, 15_000])
      expect(yield* delaysOf(Schedule.max([slow, fast]), times(5))).toEqual([3000, 6000, 9000, 12_000, 16_000])
      const bounded = fast.pipe(Schedule.upTo({ times: 2 }))
      expect(yield* delaysOf(Schedule.max([bounded, Schedule.recurs(5)]), times(9))).toHaveLength(2)
      expect(yield* delaysOf(Retry.capped("1500 millis")(fast), times(3))).toEqual([1000, 1500, 1500])
    })
  )

  it("refuse NaN, Infinity, negatives, zero and what is out of range, by name", () => {
    for (const wrong of [NaN, Infinity, -1, 0, Duration.infinity]) {
      expect(() => Retry.exponential({ base: wrong })).toThrow(/base is .*allowed: a duration above zero/)
      expect(() => Retry.decorrelated({ cap: wrong })).toThrow(/cap is/)
      expect(() => Retry.capped(wrong)).toThrow(/cap is/)
      expect(() => Retry.honourHint({ maxHint: wrong })).toThrow(/maxHint is/)
      expect(() => Retry.linear({ increment: wrong })).toThrow(/increment is/)
    }
    for (const wrong of [NaN, Infinity, -1, 0]) expect(() => Retry.exponential({ factor: wrong })).toThrow(/factor is/)
    expect(() => Retry.constant({ jitter: { proportional: 1.5 } })).toThrow(/jitter.proportional is 1.5/)
    expect(() => Retry.constant({ jitter: "half" as "full" })).toThrow(/jitter is "half"/)
  })

  it.effect("honourHint raises to the hint after jitter, never lowers, and ends past maxHint", () =>
    Effect.gen(function* () {
      const hinted = (seconds: number): Failure => ({ _tag: "F", retryAfter: Duration.seconds(seconds) })
      const schedule = Retry.honourHint()(Retry.exponential({ jitter: "full" }))
      expect(yield* delaysOf<Failure>(schedule, [hinted(7), hinted(7), failure], 0)).toEqual([7000, 7000, 0])
      expect(yield* delaysOf<Failure>(schedule, [hinted(7)], 1)).toEqual([7700])
      expect(yield* delaysOf<Failure>(schedule, [hinted(0.1)], 1)).toEqual([1000])
      expect(yield* delaysOf<Failure>(schedule, [hinted(60)], 0)).toEqual([60_000])
      expect(yield* delaysOf<Failure>(schedule, [hinted(60.001)], 0)).toEqual([])
    })
  )
})

describe("policies", () => {
  it("have the presets of the documentation", () => {
    const shown = Object.fromEntries(
      Object.entries(Retry.presets).map(([name, policy]) => [name, [policy.retries, Retry.worstBackoffMs(policy)]])
    )
    expect(shown).toEqual({
      default: [2, 3_000],
      interactive: [2, 3_000],
      highThroughput: [5, 500 + 1000 + 2000 + 4000 + 8000],
      batch: [10, (2 + 4 + 8 + 16 + 32 + 64 + 120 * 4) * 1000],
      none: [0, 0]
    })
  })

  it("know the worst case only where there is one", () => {
    const worst = (schedule: Schedule.Schedule<unknown>) => Retry.worstBackoffMs(Retry.make({ schedule, retries: 3 }))
    expect(worst(Retry.decorrelated({ base: "1 second", cap: "20 seconds" }))).toBe(3000 + 9000 + 20_000)
    expect(worst(Schedule.exponential("1 second"))).toBeUndefined()
    expect(worst(Retry.capped("5 seconds")(Schedule.exponential("1 second")))).toBe(15_000)
    expect(worst(Retry.capped("3 seconds")(Retry.exponential()))).toBe(1000 + 2000 + 3000)
    expect(
      Retry.worstBackoffMs(
        Retry.make({
          retries: 2,
          overrides: { Slow: { schedule: Retry.constant({ base: "20 seconds" }) } }
        })
      )
    ).toBe(40_000)
  })

  it("refuse wrong options by name", () => {
    for (const wrong of [NaN, Infinity, -1, 1.5, 1001]) {
      expect(() => Retry.make({ retries: wrong })).toThrow(/retries is .*allowed: a whole number from 0 to 1000/)
      expect(() => Retry.make({ overrides: { A: { retries: wrong } } })).toThrow(/overrides\.A\.retries is/)
    }
    for (const wrong of [NaN, Infinity, -1, 0]) {
      expect(() => Retry.make({ maxHint: wrong })).toThrow(/maxHint is/)
      expect(() => Retry.retry(Effect.void, { timeout: wrong })).toThrow(/timeout is/)
    }
    expect(() => Retry.retry(Effect.void, { deadlineMs: NaN })).toThrow(/deadlineMs is NaN/)
    for (const wrong of [NaN, -1, 2]) {
      expect(() => Retry.learner({ minRate: wrong })).toThrow(/minRate is/)
      expect(() => Retry.learner({ exploration: wrong })).toThrow(/exploration is/)
    }
    expect(() => Retry.learner({ exploration: 0 })).toThrow(/exploration is 0/)
  })
})

describe("retry", () => {
  it.effect("tries again after the delays of the schedule, then succeeds", () =>
    Effect.gen(function* () {
      const { effect, state } = failing([failure, failure])
      const seen: Array<[string, number, number]> = []
      const exit = yield* drive(
        Retry.retry(effect, {
          schedule: Retry.exponential({ jitter: "none" }),
          onRetry: (error: Failure, attempt, delay) => seen.push([error._tag, attempt, Duration.toMillis(delay)])
        })
      )
      expect(exit).toEqual(Exit.succeed("ok"))
      expect(state.at).toEqual([0, 1000, 3000])
      expect(seen).toEqual([
        ["Failure", 1, 1000],
        ["Failure", 2, 2000]
      ])
    })
  )

  it.effect("fails with the error of the last attempt when the retries are used up: three attempts by default", () =>
    Effect.gen(function* () {
      const { effect, state } = failing(["a", "b", "c", "d"])
      expect(yield* drive(Retry.retry(effect, {}))).toEqual(Exit.fail("c"))
      expect(state.runs).toBe(3)
    })
  )

  it.effect("makes no retry without retries, and none where the schedule ends", () =>
    Effect.gen(function* () {
      const none = forever(failure)
      yield* drive(Retry.retry(none.effect, Retry.presets.none))
      expect(none.state.runs).toBe(1)
      const once = forever(failure)
      const schedule = Retry.constant().pipe(Schedule.upTo({ times: 1 }))
      yield* drive(Retry.retry(once.effect, { schedule, retries: 9 }))
      expect(once.state.runs).toBe(2)
    })
  )

  it.effect("ends where an uncapped schedule overflows instead of sleeping for ever", () =>
    Effect.gen(function* () {
      const driver = Retry.driver(Retry.make({ schedule: Schedule.exponential("1 milli", 1e200), retries: 9 }))
      expect(yield* driver.next(failure, 0)).toEqual({ _tag: "retry", delayMs: 1 })
      expect(yield* driver.next(failure, 0)).toEqual({ _tag: "retry", delayMs: 1e200 })
      expect(yield* driver.next(failure, 0)).toEqual({ _tag: "stop", reason: "exhausted" })
    })
  )

  it.effect("asks the error: isRetryable, shouldRetry, overrides, while", () =>
    Effect.gen(function* () {
      const runs = (error: Failure, options: Retry.RetryOptions<Failure> = {}) =>
        Effect.gen(function* () {
          const { effect, state } = forever(error)
          yield* drive(Retry.retry(effect, { schedule: Retry.constant(), ...options }))
          return state.runs
        })
      const unretryable: Failure = { _tag: "No", isRetryable: false }
      expect(yield* runs(failure)).toBe(3)
      expect(yield* runs({ _tag: "Yes", isRetryable: true })).toBe(3)
      expect(yield* runs(unretryable)).toBe(1)
      expect(yield* runs(failure, { while: () => false })).toBe(1)
      expect(yield* runs(unretryable, { overrides: { No: { retryable: true } } })).toBe(3)
      expect(yield* runs({ ...unretryable, shouldRetry: false }, { overrides: { No: { retryable: true } } })).toBe(1)
      expect(yield* runs(failure, { retries: 5, overrides: { Failure: { retries: 1 } } })).toBe(2)
      expect(yield* runs(failure, { overrides: { Failure: { retryable: false } } })).toBe(1)
      expect(yield* runs({ _tag: "toString" })).toBe(3)
    })
  )

  it.effect("uses the schedule of the error's kind, each from its own beginning", () =>
    Effect.gen(function* () {
      const { effect, state } = failing(["A", "B", "A", "B"].map((_tag): Failure => ({ _tag })))
      yield* drive(
        Retry.retry(effect, {
          retries: 4,
          schedule: Retry.exponential({ jitter: "none" }),
          overrides: { B: { schedule: Retry.exponential({ base: "10 seconds", jitter: "none" }) } }
        })
      )
      expect(state.at).toEqual([0, 1000, 11_000, 13_000, 33_000])
    })
  )

  it.effect(
    "retries an InvalidResponseError once, by the table of dispositions, and an authentication error never",
    () =>
      Effect.gen(function* () {
        const invalid = forever(new LLMError.InvalidResponseError({ message: "?" }))
        yield* drive(Retry.retry(invalid.effect, Retry.presets.batch))
        expect(invalid.state.runs).toBe(2)
        const auth = forever(new LLMError.AuthenticationError({ message: "?", kind: "invalid" }))
        yield* drive(Retry.retry(auth.effect, Retry.presets.batch))
        expect(auth.state.runs).toBe(1)
      })
  )

  it.effect("waits as long as the error asks, and not at all past maxHint", () =>
    Effect.gen(function* () {
      const error = { _tag: "Limited", retryAfter: Duration.seconds(20) }
      const waited = failing([error])
      yield* drive(Retry.retry(waited.effect, {}))
      expect(waited.state.at[1]).toBeGreaterThanOrEqual(20_000)
      expect(waited.state.at[1]).toBeLessThanOrEqual(22_000)
      const refused = failing([error])
      expect(yield* drive(Retry.retry(refused.effect, { maxHint: "19 seconds" }))).toEqual(Exit.fail(error))
      expect(refused.state.runs).toBe(1)
      const endless = failing([{ retryAfter: Duration.infinity }])
      expect(Exit.isFailure(yield* drive(Retry.retry(endless.effect, {})))).toBe(true)
    })
  )

  it.effect("never sleeps past the deadline: the original error comes at once", () =>
    Effect.gen(function* () {
      const schedule = Retry.constant({ base: "10 seconds", jitter: "none" })
      const { effect, state } = forever(failure)
      const fiber = yield* Effect.forkChild(Retry.retry(effect, { schedule, retries: 9, timeout: "25 seconds" }))
      yield* TestClock.adjust("20 seconds")
      expect(yield* Fiber.await(fiber)).toEqual(Exit.fail(failure))
      expect(state.at).toEqual([0, 10_000, 20_000])
      const exact = forever(failure)
      yield* Retry.retry(exact.effect, { schedule, deadlineMs: 30_000 }).pipe(Effect.flip)
      expect(exact.state.runs).toBe(1)
    })
  )

  it.effect("counts the timeout from each run of the effect, not from its construction", () =>
    Effect.gen(function* () {
      const { effect, state } = failing([failure, undefined, failure] as Array<Failure>)
      const program = Retry.retry(effect, { schedule: Retry.constant({ jitter: "none" }), timeout: "2 seconds" })
      yield* drive(program)
      yield* drive(program)
      expect(state.runs).toBe(4)
    })
  )

  it.effect("never retries a defect or an interruption", () =>
    Effect.gen(function* () {
      let runs = 0
      const count = Effect.sync(() => void runs++)
      const died = yield* Effect.exit(Retry.retry(Effect.andThen(count, Effect.die("bug")), {}))
      expect(Exit.isFailure(died) && Cause.hasDies(died.cause)).toBe(true)
      yield* Effect.exit(Retry.retry(Effect.andThen(count, Effect.interrupt), {}))
      const both = Effect.failCause(Cause.fromReasons([Cause.makeFailReason("e"), Cause.makeDieReason("bug")]))
      yield* Effect.exit(Retry.retry(Effect.andThen(count, both), {}))
      expect(runs).toBe(3)
    })
  )

  it.effect("survives an onRetry that throws", () =>
    Effect.gen(function* () {
      const { effect } = failing([failure])
      const exit = yield* drive(
        Retry.retry(effect, {
          onRetry: () => {
            throw new Error("observer")
          }
        })
      )
      expect(exit).toEqual(Exit.succeed("ok"))
    })
  )

  it.effect("builds no schedule and draws no number before a failure", () =>
    Effect.gen(function* () {
      let built = 0
      const schedule = Schedule.fromStep(
        Effect.sync(() => {
          built++
          return () => Effect.succeed<[number, Duration.Duration]>([0, Duration.zero])
        })
      )
      const none = { nextDoubleUnsafe: () => expect.unreachable(), nextIntUnsafe: () => expect.unreachable() }
      yield* Retry.retry(Effect.succeed(1), { schedule }).pipe(Effect.provideService(Random.Random, none))
      Retry.driver(Retry.make({ schedule })).succeeded(0)
      expect(built).toBe(0)
      yield* drive(Retry.retry(failing([failure, failure]).effect, { schedule }))
      expect(built).toBe(1)
    })
  )

  it.effect("spends from the budget, gets it back when rescued, and fails at once when it is empty", () =>
    Effect.gen(function* () {
      const budget = yield* RetryBudget.make({ capacity: 10, retryCost: 5, timeoutCost: 10, idle: "1 day" })
      const options = { budget, key: "k", schedule: Retry.constant() }
      yield* drive(Retry.retry(failing([failure]).effect, options))
      expect(budget.snapshot(0)).toEqual([])
      const hopeless = forever(failure)
      yield* drive(Retry.retry(hopeless.effect, options))
      expect(hopeless.state.runs).toBe(3)
      const fiber = yield* Effect.forkChild(Retry.retry(hopeless.effect, options))
      yield* Effect.yieldNow
      expect(fiber.pollUnsafe()).toEqual(Exit.fail(failure))
      expect(hopeless.state.runs).toBe(4)
    })
  )

  it("leaves nothing behind wherever it is interrupted", async () => {
    const points = await sweep(
      () => {
        const { effect } = failing([failure, failure])
        return Retry.retry(effect, { timeout: "1 hour" })
      },
      ({ clock, exit, point }) => {
        expect(clock.sleeping(), `point ${point}`).toBe(0)
        if (Exit.isFailure(exit)) expect(Cause.hasInterrupts(exit.cause)).toBe(true)
      }
    )
    expect(points).toBeGreaterThan(20)
  })
})

describe("driver", () => {
  it.effect("says why there is no other try", () =>
    Effect.gen(function* () {
      const reason = (error: Failure, policy: Retry.Policy<Failure>, options: Retry.DriverOptions = {}) =>
        Effect.map(Retry.driver(policy, options).next(error, 0), (decision) =>
          decision._tag === "stop" ? decision.reason : decision._tag
        )
      const policy = Retry.make<Failure>()
      const empty = { ...RetryBudget.noop, trySpend: () => false }
      expect(yield* reason(failure, policy)).toBe("retry")
      expect(yield* reason({ _tag: "No", isRetryable: false }, policy)).toBe("not-retryable")
      expect(yield* reason(failure, Retry.presets.none)).toBe("exhausted")
      expect(yield* reason({ _tag: "F", retryAfter: Duration.minutes(2) }, policy)).toBe("hint")
      expect(yield* reason(failure, policy, { deadlineMs: 100 })).toBe("deadline")
      expect(yield* reason(failure, policy, { budget: empty })).toBe("budget")
    })
  )

  it.effect("takes nothing from the budget for a retry that the deadline forbids", () =>
    Effect.gen(function* () {
      const budget = yield* RetryBudget.make()
      const driver = Retry.driver(Retry.make(), { budget, deadlineMs: 1, key: "k" })
      yield* driver.next(failure, 0)
      expect([driver.spent, driver.retries, budget.snapshot(0)]).toEqual([0, 0, []])
    })
  )

  it.effect("charges a timeout double", () =>
    Effect.gen(function* () {
      const budget = yield* RetryBudget.make()
      const driver = Retry.driver(Retry.make(), { budget, key: "k" })
      yield* driver.next({ _tag: "RequestTimeoutError" }, 0)
      expect(driver.spent).toBe(10)
      yield* driver.next(failure, 0)
      expect(driver.spent).toBe(15)
    })
  )
})

describe("learning", () => {
  it.effect("stops retrying what retries never help, but tries now and then, and notices a change", () =>
    Effect.gen(function* () {
      const learner = Retry.learner({ minSamples: 10, minRate: 0.1, exploration: 0.1 })
      const policy = Retry.make({ learner, retries: 1, schedule: Retry.constant({ base: 1 }) })
      const call = (u: number, helps: boolean) =>
        Effect.gen(function* () {
          const driver = Retry.driver(policy)
          const decision = yield* driver.next(failure, 0)
          if (decision._tag === "retry") yield* helps ? Effect.sync(() => driver.succeeded(0)) : driver.next(failure, 0)
          return decision._tag === "stop" ? decision.reason : decision._tag
        }).pipe(Effect.provideService(Random.Random, constantRandom(u)))
      for (let i = 0; i < 9; i++) expect(yield* call(0.5, false)).toBe("retry")
      expect(yield* call(0.5, false)).toBe("retry")
      expect(yield* call(0.5, false)).toBe("useless")
      expect(yield* call(0.05, false)).toBe("retry")
      expect(yield* Retry.learned(learner)).toMatchObject([{ kind: "Failure", made: 11, helped: 0 }])
      for (let i = 0; i < 5; i++) yield* call(0.05, true)
      expect(yield* call(0.5, true)).toBe("retry")
    })
  )

  it("forgets with time", () => {
    const learner = Retry.learner({ halfLife: "1 minute", minSamples: 10 })
    for (let i = 0; i < 100; i++) learner.record("K", false, 0)
    expect(learner.worthwhile("K", 0, 0.5)).toBe(false)
    expect(learner.snapshot(60_000)[0]!.made).toBeCloseTo(50)
    expect(learner.worthwhile("K", 240_000, 0.5)).toBe(true)
  })

  it("keeps a bounded number of kinds", () => {
    const learner = Retry.learner({ maxKinds: 3 })
    for (let i = 0; i < 1000; i++) learner.record(`kind ${i}`, false, 0)
    expect(learner.snapshot(0).map((rate) => rate.kind)).toEqual(["kind 997", "kind 998", "kind 999"])
  })

  it.effect("works as a schedule: a retry counts as helpful until the next failure", () =>
    Effect.gen(function* () {
      const learner = Retry.learner({ minSamples: 5, minRate: 0.2 })
      const schedule = Retry.adaptive(learner)(Retry.constant())
      const counts: Array<number> = []
      for (let i = 0; i < 4; i++)
        counts.push(
          (yield* delaysOf(
            schedule,
            Array.from({ length: 12 }, () => failure)
          )).length
        )
      expect(counts[0]).toBeGreaterThanOrEqual(5)
      expect(counts.slice(1)).toEqual([0, 0, 0])
    })
  )
})
