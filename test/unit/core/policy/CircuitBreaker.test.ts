import { CircuitBreaker, Event, LLMError } from "@breakwater/core"
import { describe, expect, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"

const key = "provider/model"
const exact = { duration: "30 seconds", jitter: 0 } as const
const down = new LLMError.ServerError({ message: "down", status: 500 })

type Breaker = CircuitBreaker.CircuitBreakerService

const make = (options: CircuitBreaker.Options = {}) =>
  CircuitBreaker.make({ window: CircuitBreaker.consecutive(2), ...options, open: { ...exact, ...options.open } })

const fail = (breaker: Breaker, times = 1, error: unknown = down) =>
  Effect.forEach(Array(times).fill(0), () => Effect.ignore(breaker.protect(Effect.fail(error), { key })), {
    discard: true
  })

const succeed = (breaker: Breaker, times = 1) =>
  Effect.forEach(Array(times).fill(0), () => breaker.protect(Effect.succeed(1), { key }), { discard: true })

const state = (breaker: Breaker) => Effect.map(breaker.snapshot(key), (snapshot) => snapshot.state)

const rejected = (breaker: Breaker) =>
  Effect.map(
    Effect.exit(breaker.protect(Effect.void, { key })),
    (exit) => Exit.isFailure(exit) && Cause.squash(exit.cause) instanceof LLMError.CircuitOpenError
  )

/** Starts a call that ends when told to. */
const start = (breaker: Breaker) =>
  Effect.gen(function* () {
    const end = yield* Deferred.make<void, unknown>()
    const fiber = yield* Effect.forkChild(breaker.protect(Deferred.await(end), { key }), { startImmediately: true })
    return {
      fiber,
      succeed: Effect.andThen(Deferred.succeed(end, undefined), Fiber.await(fiber)),
      fail: Effect.andThen(Deferred.fail(end, down), Fiber.await(fiber)),
      die: Effect.andThen(Deferred.die(end, "bug"), Fiber.await(fiber)),
      interrupt: Fiber.interrupt(fiber)
    }
  })

/** A breaker whose circuit is open and whose time is over: the next call is a probe. */
const ripe = (options: CircuitBreaker.Options = {}) =>
  Effect.gen(function* () {
    const breaker = yield* make(options)
    yield* fail(breaker, 2)
    yield* TestClock.adjust("30 seconds")
    return breaker
  })

describe("closed", () => {
  it.effect("the defaults open at half of five calls, for at most 30 seconds", () =>
    Effect.gen(function* () {
      const breaker = yield* CircuitBreaker.make()
      yield* succeed(breaker, 2)
      yield* fail(breaker, 2)
      expect(yield* state(breaker)).toBe("closed")
      yield* fail(breaker)
      const snapshot = yield* breaker.snapshot(key)
      expect(snapshot).toMatchObject({ state: "open", calls: 5, failures: 3, threshold: 0.5, openings: 1 })
      expect(snapshot.retryAfterMs).toBeLessThanOrEqual(30_000)
      expect(snapshot.retryAfterMs).toBeGreaterThan(27_000)
    })
  )

  it.effect("minimum calls gates the rate", () =>
    Effect.gen(function* () {
      const breaker = yield* make({ window: CircuitBreaker.count(100), minimumCalls: 10 })
      yield* fail(breaker, 9)
      expect(yield* state(breaker)).toBe("closed")
      yield* fail(breaker)
      expect(yield* state(breaker)).toBe("open")
    })
  )

  it.effect("a threshold that is reached opens, one that is missed by a call does not", () =>
    Effect.gen(function* () {
      for (const [failures, expected] of [
        [7, "open"],
        [6, "closed"]
      ] as const) {
        const breaker = yield* make({ window: CircuitBreaker.count(100), minimumCalls: 100, failureRate: 0.07 })
        yield* succeed(breaker, 100 - failures)
        yield* fail(breaker, failures)
        expect(yield* state(breaker)).toBe(expected)
      }
    })
  )

  it.effect("a success can be the call that completes the sample", () =>
    Effect.gen(function* () {
      const breaker = yield* make({ window: CircuitBreaker.count(10), minimumCalls: 3 })
      yield* fail(breaker, 2)
      yield* succeed(breaker)
      expect(yield* state(breaker)).toBe("open")
    })
  )

  it.effect("a success ends a run of failures", () =>
    Effect.gen(function* () {
      const breaker = yield* make()
      yield* fail(breaker)
      yield* succeed(breaker)
      yield* fail(breaker)
      expect(yield* state(breaker)).toBe("closed")
    })
  )

  it.effect("the ring wraps: only the last calls count", () =>
    Effect.gen(function* () {
      const breaker = yield* make({ window: CircuitBreaker.count(40), minimumCalls: 40, failureRate: 0.5 })
      yield* fail(breaker, 19)
      yield* succeed(breaker, 40)
      expect(yield* breaker.snapshot(key)).toMatchObject({ calls: 40, failures: 0 })
      yield* fail(breaker, 19)
      expect(yield* breaker.snapshot(key)).toMatchObject({ state: "closed", calls: 40, failures: 19 })
      yield* fail(breaker)
      expect(yield* state(breaker)).toBe("open")
    })
  )

  it.effect("the window never expires early, and empties without traffic", () =>
    Effect.gen(function* () {
      const breaker = yield* make({ window: CircuitBreaker.time("60 seconds"), minimumCalls: 100 })
      yield* TestClock.adjust("5999 millis")
      yield* fail(breaker, 3)
      yield* TestClock.adjust("60 seconds")
      expect(yield* breaker.snapshot(key)).toMatchObject({ calls: 3, failures: 3 })
      yield* TestClock.adjust("6 seconds")
      expect(yield* breaker.snapshot(key)).toMatchObject({ calls: 0, failures: 0, failureRate: 0 })
    })
  )

  it.effect("a call exactly at the slow limit is slow, and slow calls open at their rate", () =>
    Effect.gen(function* () {
      const slow = { limit: "2 seconds", rate: 0.5 } as const
      for (const [took, expected] of [
        ["2 seconds", "open"],
        ["1999 millis", "closed"]
      ] as const) {
        const breaker = yield* make({ window: CircuitBreaker.count(10), minimumCalls: 2, slow })
        yield* succeed(breaker)
        const call = yield* start(breaker)
        yield* TestClock.adjust(took)
        yield* call.succeed
        expect(yield* state(breaker)).toBe(expected)
      }
    })
  )

  it.effect("a storm of failures makes one transition", () =>
    Effect.gen(function* () {
      const breaker = yield* make()
      const calls = yield* Effect.forEach(Array(100).fill(0), () => start(breaker))
      yield* Effect.forEach(calls, (call) => call.fail)
      expect(yield* breaker.snapshot(key)).toMatchObject({ generation: 1, openings: 1, failures: 2 })
    })
  )

  it.effect("a cancelled call is not counted", () =>
    Effect.gen(function* () {
      const breaker = yield* make({ window: CircuitBreaker.count(10) })
      const call = yield* start(breaker)
      yield* call.interrupt
      expect((yield* breaker.snapshot(key)).calls).toBe(0)
    })
  )

  it.effect("a timeout inside counts as a failure, one outside does not", () =>
    Effect.gen(function* () {
      const breaker = yield* make({ window: CircuitBreaker.count(10) })
      const inside = breaker.protect(Effect.timeout(Effect.never, "1 second"), { key })
      const outside = Effect.timeout(breaker.protect(Effect.never, { key }), "1 second")
      const fibers = [yield* Effect.forkChild(inside), yield* Effect.forkChild(outside)]
      yield* Effect.yieldNow
      yield* TestClock.adjust("1 second")
      yield* Effect.forEach(fibers, (fiber) => Fiber.await<unknown, unknown>(fiber))
      expect(yield* breaker.snapshot(key)).toMatchObject({ calls: 1, failures: 1 })
    })
  )

  it.effect("late results of an older state change nothing", () =>
    Effect.gen(function* () {
      const breaker = yield* make()
      const late = [yield* start(breaker), yield* start(breaker), yield* start(breaker)]
      yield* fail(breaker, 2)
      yield* TestClock.adjust("30 seconds")
      const probe = yield* start(breaker)
      yield* late[0]!.fail
      yield* late[1]!.fail
      yield* late[2]!.succeed
      expect(yield* breaker.snapshot(key)).toMatchObject({
        state: "half-open",
        probes: { inFlight: 1, successes: 0, failures: 0 }
      })
      yield* probe.succeed
      yield* succeed(breaker)
      expect(yield* breaker.snapshot(key)).toMatchObject({ state: "closed", calls: 0 })
    })
  )

  it.effect("keys know nothing of each other", () =>
    Effect.gen(function* () {
      const breaker = yield* make()
      yield* fail(breaker, 2)
      expect(yield* breaker.protect(Effect.succeed(7), { key: "other" })).toBe(7)
    })
  )

  it.effect("10,000 fibers on one key are each counted once", () =>
    Effect.gen(function* () {
      const breaker = yield* make({ window: CircuitBreaker.count(20_000), minimumCalls: 20_000 })
      yield* Effect.forEach(
        Array.from({ length: 10_000 }, (_, index) => index),
        (index) =>
          Effect.ignore(
            breaker.protect(Effect.andThen(Effect.yieldNow, index % 4 === 0 ? Effect.fail(down) : Effect.void), { key })
          ),
        { concurrency: "unbounded", discard: true }
      )
      expect(yield* breaker.snapshot(key)).toMatchObject({ calls: 10_000, failures: 2_500 })
    })
  )
})

describe("open", () => {
  it.effect("rejects with a positive, finite retryAfter that counts down, and does not run the call", () =>
    Effect.gen(function* () {
      const breaker = yield* make()
      yield* fail(breaker, 2)
      let ran = false
      const error = yield* Effect.flip(
        breaker.protect(
          Effect.sync(() => (ran = true)),
          { key }
        )
      )
      expect(error).toBeInstanceOf(LLMError.CircuitOpenError)
      expect(error).toMatchObject({ _tag: "CircuitOpenError", key })
      expect(Duration.toMillis(error.retryAfter!)).toBe(30_000)
      yield* TestClock.adjust("29999500 micros")
      const later = yield* Effect.flip(breaker.protect(Effect.void, { key }))
      expect(Duration.toMillis(later.retryAfter!)).toBe(1)
      expect(ran).toBe(false)
    })
  )

  it.effect("a rejection is an error of the closed union, and encodes", () =>
    Effect.gen(function* () {
      const breaker = yield* make()
      yield* fail(breaker, 2)
      const error = yield* Effect.flip(breaker.protect(Effect.void, { key }))
      expect(LLMError.isLLMError(error)).toBe(true)
      expect(yield* Schema.encodeEffect(LLMError.LLMError)(error)).toMatchObject({ _tag: "CircuitOpenError", key })
    })
  )

  it.effect("rejections do not enter the sample", () =>
    Effect.gen(function* () {
      const breaker = yield* make()
      yield* fail(breaker, 2)
      yield* fail(breaker, 50)
      expect(yield* breaker.snapshot(key)).toMatchObject({ calls: 2, failures: 2, rejections: 50 })
    })
  )

  it.effect("a rejection of another breaker is ignored", () =>
    Effect.gen(function* () {
      const breaker = yield* make({ window: CircuitBreaker.count(10) })
      yield* fail(breaker, 3, new LLMError.CircuitOpenError({ message: "open", key: "inner" }))
      yield* fail(
        breaker,
        3,
        new LLMError.BulkheadFullError({ message: "full", key, queued: 0, waited: Duration.zero })
      )
      expect((yield* breaker.snapshot(key)).calls).toBe(0)
    })
  )

  it.effect("a provider's retryAfter lengthens the open time, to the cap", () =>
    Effect.gen(function* () {
      for (const [hint, expected] of [
        ["2 minutes", 120_000],
        ["1 hour", 300_000],
        ["1 second", 30_000]
      ] as const) {
        const breaker = yield* make()
        yield* fail(
          breaker,
          1,
          new LLMError.ModelOverloadError({ message: "busy", retryAfter: Duration.fromInputUnsafe(hint) })
        )
        yield* fail(breaker)
        expect((yield* breaker.snapshot(key)).retryAfterMs).toBe(expected)
      }
    })
  )

  it.effect("a clock stepped backward does not lengthen an open", () =>
    Effect.gen(function* () {
      let wallMs = 1_700_000_000_000
      let monotonicMs = 0
      const clock: Clock.Clock = Object.assign(Object.create(yield* Clock.Clock), {
        currentTimeMillisUnsafe: () => wallMs,
        monotonicTimeNanosUnsafe: () => BigInt(monotonicMs) * 1_000_000n
      })
      const breaker = yield* make().pipe(Effect.provideService(Clock.Clock, clock))
      yield* fail(breaker, 2)
      wallMs -= 3_600_000
      monotonicMs += 29_999
      expect(yield* rejected(breaker)).toBe(true)
      monotonicMs += 1
      expect(yield* rejected(breaker)).toBe(false)
    })
  )

  it.effect("the open time doubles after failed probes to its maximum, and never overflows", () =>
    Effect.gen(function* () {
      const breaker = yield* make({ halfOpen: { calls: 1, successes: 1 } })
      yield* fail(breaker, 2)
      const times: Array<number> = []
      for (let round = 0; round < 1_100; round++) {
        const { retryAfterMs } = yield* breaker.snapshot(key)
        times.push(retryAfterMs)
        yield* TestClock.adjust(retryAfterMs)
        yield* fail(breaker)
      }
      expect(times.slice(0, 6)).toEqual([30_000, 60_000, 120_000, 240_000, 300_000, 300_000])
      expect(times.at(-1)).toBe(300_000)
      expect((yield* breaker.snapshot(key)).openings).toBe(1_101)
    })
  )

  it.effect("backoff resets after a healthy period, and not before", () =>
    Effect.gen(function* () {
      for (const [healthy, expected] of [
        ["60 seconds", 30_000],
        ["59999 millis", 60_000]
      ] as const) {
        const breaker = yield* ripe()
        yield* succeed(breaker, 2)
        yield* TestClock.adjust(healthy)
        yield* fail(breaker, 2)
        expect((yield* breaker.snapshot(key)).retryAfterMs).toBe(expected)
      }
    })
  )

  it.effect("jitter only shortens", () =>
    Effect.gen(function* () {
      const times = new Set<number>()
      for (let n = 0; n < 50; n++) {
        const breaker = yield* make({ open: { jitter: 0.5 } })
        yield* fail(breaker, 2)
        const { retryAfterMs } = yield* breaker.snapshot(key)
        expect(retryAfterMs).toBeGreaterThan(15_000)
        expect(retryAfterMs).toBeLessThanOrEqual(30_000)
        times.add(retryAfterMs)
      }
      expect(times.size).toBeGreaterThan(40)
    })
  )
})

describe("half-open", () => {
  it.effect("admits exactly N at once", () =>
    Effect.gen(function* () {
      const breaker = yield* ripe({ halfOpen: { calls: 3, successes: 2 } })
      const probes = yield* Effect.forEach([1, 2, 3], () => start(breaker))
      expect(yield* breaker.snapshot(key)).toMatchObject({ state: "half-open", probes: { inFlight: 3 } })
      const error = yield* Effect.flip(breaker.protect(Effect.void, { key }))
      expect(Duration.toMillis(error.retryAfter!)).toBe(1_000)
      yield* Effect.forEach(probes, (probe) => probe.interrupt)
    })
  )

  it.effect("two of three successes close", () =>
    Effect.gen(function* () {
      const breaker = yield* ripe()
      yield* succeed(breaker)
      yield* fail(breaker)
      expect(yield* state(breaker)).toBe("half-open")
      yield* succeed(breaker)
      expect(yield* state(breaker)).toBe("closed")
    })
  )

  it.effect("two of three failures open again", () =>
    Effect.gen(function* () {
      const breaker = yield* ripe()
      yield* fail(breaker)
      expect(yield* state(breaker)).toBe("half-open")
      yield* fail(breaker)
      expect(yield* breaker.snapshot(key)).toMatchObject({ state: "open", openings: 2, retryAfterMs: 60_000 })
    })
  )

  it.effect("a released or interrupted probe admits the next", () =>
    Effect.gen(function* () {
      const breaker = yield* ripe({ halfOpen: { calls: 1, successes: 1 } })
      for (let n = 0; n < 3; n++) {
        const probe = yield* start(breaker)
        expect(yield* rejected(breaker)).toBe(true)
        yield* probe.interrupt
      }
      expect(yield* rejected(breaker)).toBe(false)
      expect(yield* state(breaker)).toBe("closed")
    })
  )

  it.effect("an ignored outcome frees the probe", () =>
    Effect.gen(function* () {
      const breaker = yield* ripe({ halfOpen: { calls: 1, successes: 1 } })
      yield* fail(breaker, 5, new LLMError.ContentFilterError({ message: "no", stage: "input" }))
      expect(yield* breaker.snapshot(key)).toMatchObject({
        state: "half-open",
        probes: { inFlight: 0, successes: 0, failures: 0 }
      })
    })
  )

  it.effect("a defect in a probe does not stick", () =>
    Effect.gen(function* () {
      const breaker = yield* ripe({ halfOpen: { calls: 1, successes: 1 } })
      const probe = yield* start(breaker)
      const exit = yield* probe.die
      expect(Exit.isFailure(exit) && Cause.hasDies(exit.cause)).toBe(true)
      expect(yield* breaker.snapshot(key)).toMatchObject({ state: "open", probes: { inFlight: 0 } })
      yield* TestClock.adjust("1 minute")
      yield* succeed(breaker)
      expect(yield* state(breaker)).toBe("closed")
    })
  )

  it.effect("a leaked probe frees its place when its lease ends, and its late result is ignored", () =>
    Effect.gen(function* () {
      const breaker = yield* ripe({ halfOpen: { calls: 1, successes: 1, lease: "60 seconds" } })
      const hung = yield* start(breaker)
      yield* TestClock.adjust("59999 millis")
      expect(yield* rejected(breaker)).toBe(true)
      yield* TestClock.adjust("1 millis")
      const next = yield* start(breaker)
      yield* hung.fail
      expect(yield* breaker.snapshot(key)).toMatchObject({ state: "half-open", probes: { inFlight: 1, failures: 0 } })
      yield* next.succeed
      expect(yield* state(breaker)).toBe("closed")
    })
  )

  it.effect("re-entering half-open resets its permits", () =>
    Effect.gen(function* () {
      const breaker = yield* ripe()
      yield* succeed(breaker)
      const left = yield* start(breaker)
      yield* fail(breaker)
      yield* left.fail
      expect(yield* state(breaker)).toBe("open")
      yield* TestClock.adjust("1 minute")
      const probes = yield* Effect.forEach([1, 2, 3], () => start(breaker))
      expect((yield* breaker.snapshot(key)).probes).toEqual({ inFlight: 3, successes: 0, failures: 0 })
      expect(yield* rejected(breaker)).toBe(true)
      yield* Effect.forEach(probes, (probe) => probe.interrupt)
    })
  )

  it.effect("after the maximum wait it opens again", () =>
    Effect.gen(function* () {
      const breaker = yield* ripe({ halfOpen: { maxWait: "10 seconds" } })
      const probe = yield* start(breaker)
      yield* TestClock.adjust("10 seconds")
      expect(yield* breaker.snapshot(key)).toMatchObject({ state: "open", openings: 2, retryAfterMs: 60_000 })
      yield* probe.succeed
      expect(yield* state(breaker)).toBe("open")
    })
  )

  it.effect("a slow probe is no success", () =>
    Effect.gen(function* () {
      const breaker = yield* ripe({ slow: { limit: "1 second" }, halfOpen: { calls: 1, successes: 1 } })
      const probe = yield* start(breaker)
      yield* TestClock.adjust("1 second")
      yield* probe.succeed
      expect(yield* state(breaker)).toBe("open")
    })
  )
})

describe("classification", () => {
  it.effect("errors of the library count by the table, all others as failures", () =>
    Effect.gen(function* () {
      const breaker = yield* make({ window: CircuitBreaker.count(10), minimumCalls: 10 })
      yield* fail(breaker, 1, down)
      yield* fail(breaker, 1, "anything")
      yield* fail(breaker, 1, { _tag: "RateLimitError" })
      yield* fail(breaker, 1, new LLMError.RateLimitError({ message: "429", source: "provider", scope: "requests" }))
      yield* fail(breaker, 1, new LLMError.AuthenticationError({ message: "401", kind: "invalid" }))
      expect(yield* breaker.snapshot(key)).toMatchObject({ calls: 3, failures: 3 })
    })
  )

  it.effect("can be overruled for the breaker, and for a call", () =>
    Effect.gen(function* () {
      const classify = (error: unknown) => (error === "not found" ? ("success" as const) : undefined)
      const breaker = yield* make({ window: CircuitBreaker.count(10), minimumCalls: 10, classify })
      yield* fail(breaker, 1, "not found")
      yield* fail(breaker, 1, "down")
      expect(yield* breaker.snapshot(key)).toMatchObject({ calls: 2, failures: 1 })
      yield* breaker.protect(Effect.succeed(503), {
        key,
        classify: (exit) => (Exit.isSuccess(exit) && exit.value === 503 ? "failure" : undefined)
      })
      expect(yield* breaker.snapshot(key)).toMatchObject({ calls: 3, failures: 2 })
    })
  )

  it.effect("a classifier that throws loses neither the error nor the probe's place", () =>
    Effect.gen(function* () {
      const classify = () => {
        throw new Error("bug")
      }
      const breaker = yield* ripe({ classify, halfOpen: { calls: 1, successes: 1 } })
      expect(yield* Effect.flip(breaker.protect(Effect.fail("down"), { key, classify }))).toBe("down")
      expect(yield* breaker.snapshot(key)).toMatchObject({ state: "open", probes: { inFlight: 0 } })
    })
  )
})

describe("by hand", () => {
  it.effect("metrics-only never rejects, and still counts", () =>
    Effect.gen(function* () {
      const breaker = yield* make({ window: CircuitBreaker.count(10), minimumCalls: 2 })
      const release = yield* breaker.forceClosed(key)
      yield* fail(breaker, 8)
      expect(yield* breaker.snapshot(key)).toMatchObject({
        state: "metrics-only",
        calls: 8,
        failures: 8,
        rejections: 0
      })
      expect(yield* rejected(breaker)).toBe(false)
      yield* release
      yield* fail(breaker)
      expect(yield* state(breaker)).toBe("open")
    })
  )

  it.effect("forced open rejects until it is released, disabled counts nothing", () =>
    Effect.gen(function* () {
      const breaker = yield* make()
      const release = yield* breaker.forceOpen(key)
      expect(yield* rejected(breaker)).toBe(true)
      const error = yield* Effect.flip(breaker.protect(Effect.void, { key }))
      expect(Duration.toMillis(error.retryAfter!)).toBe(30_000)
      yield* release
      expect(yield* rejected(breaker)).toBe(false)
      yield* breaker.disable(key)
      yield* fail(breaker, 20)
      expect(yield* breaker.snapshot(key)).toMatchObject({ state: "disabled", calls: 1, failures: 0 })
    })
  )

  it.effect("nested holds are counted, the sternest counts, and a release counts once", () =>
    Effect.gen(function* () {
      const breaker = yield* make()
      const first = yield* breaker.forceOpen(key)
      const second = yield* breaker.forceOpen(key)
      const closed = yield* breaker.forceClosed(key)
      expect((yield* breaker.snapshot(key)).holds).toEqual({ "forced-open": 2, "metrics-only": 1, disabled: 0 })
      yield* first
      yield* first
      expect(yield* state(breaker)).toBe("forced-open")
      yield* second
      expect(yield* state(breaker)).toBe("metrics-only")
      yield* closed
      expect(yield* state(breaker)).toBe("closed")
    })
  )

  it.effect("a hold leaves the measured state as it was", () =>
    Effect.gen(function* () {
      const breaker = yield* make()
      yield* fail(breaker, 2)
      const release = yield* breaker.disable(key)
      expect(yield* rejected(breaker)).toBe(false)
      expect(yield* breaker.snapshot(key)).toMatchObject({ state: "disabled", measured: "open" })
      yield* release
      expect(yield* rejected(breaker)).toBe(true)
    })
  )

  it.effect("reset closes, forgets the backoff, and makes running calls late", () =>
    Effect.gen(function* () {
      const breaker = yield* ripe()
      yield* fail(breaker, 2)
      yield* breaker.reset(key)
      expect(yield* breaker.snapshot(key)).toMatchObject({ state: "closed", calls: 0, openings: 0 })
      const late = yield* start(breaker)
      yield* breaker.reset(key)
      yield* late.fail
      expect((yield* breaker.snapshot(key)).calls).toBe(0)
      yield* fail(breaker, 2)
      expect((yield* breaker.snapshot(key)).retryAfterMs).toBe(30_000)
    })
  )
})

describe("observation", () => {
  it.effect("events and transitions tell each change once, with its reason", () =>
    Effect.gen(function* () {
      const events: Array<Event.PolicyEvent> = []
      const breaker = yield* make({ halfOpen: { calls: 1, successes: 1 } })
      const listener = yield* breaker.transitions.pipe(
        Stream.take(3),
        Stream.runCollect,
        Effect.forkChild({ startImmediately: true })
      )
      yield* Effect.gen(function* () {
        yield* fail(breaker, 2)
        yield* rejected(breaker)
        yield* TestClock.adjust("30 seconds")
        yield* succeed(breaker)
      }).pipe(Effect.provideService(Event.EventSink, (event) => void events.push(event)))
      const expected = [
        { key, from: "closed", to: "open", reason: "consecutive-failures", openForMs: 30_000 },
        { key, from: "open", to: "half-open", reason: "open-elapsed" },
        { key, from: "half-open", to: "closed", reason: "probes-succeeded" }
      ]
      expect(yield* Fiber.join(listener)).toEqual(expected)
      expect(events.filter((event) => event.type === "circuit-changed")).toEqual(
        expected.map((each) => ({ type: "circuit-changed", ...each }))
      )
      expect(events.filter((event) => event.type === "circuit-rejected")).toEqual([
        { type: "circuit-rejected", key, state: "open", retryAfterMs: 30_000 }
      ])
    })
  )

  it.effect("a throwing observer leaves the breaker usable", () =>
    Effect.gen(function* () {
      const breaker = yield* ripe({ halfOpen: { calls: 1, successes: 1 } })
      yield* succeed(breaker).pipe(
        Effect.provideService(Event.EventSink, () => {
          throw new Error("observer")
        })
      )
      expect(yield* breaker.snapshot(key)).toMatchObject({ state: "closed", probes: { inFlight: 0 } })
    })
  )

  it.effect("an observer may use the breaker it observes", () =>
    Effect.gen(function* () {
      const breaker = yield* make()
      yield* fail(breaker, 2).pipe(
        Effect.provideService(Event.EventSink, (event) => {
          if (event.type === "circuit-changed" && event.to === "open") Effect.runSync(breaker.reset(key))
        })
      )
      expect(yield* state(breaker)).toBe("closed")
    })
  )

  it.effect("a listener that never reads slows nobody and is bounded", () =>
    Effect.gen(function* () {
      const breaker = yield* make()
      const slow = yield* breaker.transitions.pipe(
        Stream.mapEffect((transition) => Effect.as(Effect.sleep("1 hour"), transition)),
        Stream.runDrain,
        Effect.forkChild({ startImmediately: true })
      )
      for (let n = 0; n < 3_000; n++) {
        yield* fail(breaker, 2)
        yield* breaker.reset(key)
      }
      expect(yield* state(breaker)).toBe("closed")
      yield* Fiber.interrupt(slow)
    })
  )

  it.effect("a snapshot of an unknown key creates nothing", () =>
    Effect.gen(function* () {
      const breaker = yield* make()
      expect(yield* breaker.snapshot("unknown")).toMatchObject({ state: "closed", calls: 0, retryAfterMs: 0 })
      expect(yield* breaker.snapshots).toEqual([])
      yield* fail(breaker, 2)
      expect((yield* breaker.snapshots).map((each) => [each.key, each.state])).toEqual([[key, "open"]])
      expect((yield* breaker.snapshot(key)).openUntil).toBe((yield* Clock.currentTimeMillis) + 30_000)
    })
  )
})

describe("save and restore", () => {
  const windows = [CircuitBreaker.time("60 seconds"), CircuitBreaker.count(20), CircuitBreaker.consecutive(10)]
  for (const window of windows) {
    it.effect(`a closed ${window.kind} window goes on where it stopped, through JSON`, () =>
      Effect.gen(function* () {
        const options = { window, minimumCalls: 10, failureRate: 0.9 }
        const before = yield* make(options)
        yield* fail(before, 9)
        const json = yield* Schema.encodeEffect(Schema.fromJsonString(CircuitBreaker.SavedState))(yield* before.save)
        yield* TestClock.adjust("50 seconds")
        const after = yield* make(options)
        yield* after.restore(yield* Schema.decodeEffect(Schema.fromJsonString(CircuitBreaker.SavedState))(json))
        expect(yield* after.snapshot(key)).toMatchObject({ calls: 9, failures: 9, state: "closed" })
        yield* fail(after)
        expect(yield* state(after)).toBe("open")
      })
    )
  }

  it.effect("an open circuit stays open for the rest of its time, and keeps its backoff", () =>
    Effect.gen(function* () {
      const before = yield* ripe()
      yield* fail(before, 2)
      const saved = yield* before.save
      yield* TestClock.adjust("20 seconds")
      const after = yield* make()
      yield* after.restore(saved)
      expect(yield* after.snapshot(key)).toMatchObject({ state: "open", retryAfterMs: 40_000, openings: 2 })
      yield* TestClock.adjust("40 seconds")
      yield* fail(after, 2)
      expect((yield* after.snapshot(key)).retryAfterMs).toBe(120_000)
    })
  )

  it.effect("time away empties a time window", () =>
    Effect.gen(function* () {
      const options = { window: CircuitBreaker.time("60 seconds"), minimumCalls: 10 }
      const before = yield* make(options)
      yield* fail(before, 4)
      const saved = yield* before.save
      yield* TestClock.adjust("67 seconds")
      const after = yield* make(options)
      yield* after.restore(saved)
      expect((yield* after.snapshot(key)).calls).toBe(0)
    })
  )
})

describe("adaptive threshold", () => {
  const adaptive = { minimumCalls: 50, min: 0.2, max: 0.9, sigmas: 3 }
  it.effect("falls for a target that never fails, and rises for one that often does", () =>
    Effect.gen(function* () {
      const options = { window: CircuitBreaker.count(20), minimumCalls: 20, failureRate: 0.5, adaptive }
      const steady = yield* make(options)
      yield* succeed(steady, 100)
      expect((yield* steady.snapshot(key)).threshold).toBe(0.2)
      yield* fail(steady, 4)
      expect(yield* state(steady)).toBe("open")

      const flaky = yield* make(options)
      for (let n = 0; n < 60; n++) yield* n % 10 < 4 ? fail(flaky) : succeed(flaky)
      const { threshold } = yield* flaky.snapshot(key)
      expect(threshold).toBeCloseTo(0.4 + 3 * Math.sqrt(0.24 / 20), 1)
      yield* fail(flaky, 3)
      yield* succeed(flaky, 2)
      expect(yield* state(flaky)).toBe("closed")
    })
  )
})

describe("ways in", () => {
  it.effect("layer, protect and typed errors", () =>
    Effect.gen(function* () {
      const call = Effect.fail("down" as const).pipe(CircuitBreaker.protect({ key }))
      yield* Effect.ignore(call)
      const answer = yield* call.pipe(
        Effect.catchTag("CircuitOpenError", (error) => Effect.succeed(error.key)),
        Effect.catch(() => Effect.succeed("not this"))
      )
      expect(answer).toBe(key)
    }).pipe(Effect.provide(CircuitBreaker.layer({ window: CircuitBreaker.consecutive(1) })))
  )

  it.effect("layerConfig reads its options from configuration", () =>
    Effect.gen(function* () {
      const breaker = yield* CircuitBreaker.CircuitBreaker
      expect((yield* breaker.snapshot(key)).threshold).toBe(0.25)
    }).pipe(
      Effect.provide(CircuitBreaker.layerConfig({ failureRate: Config.Number("RATE") })),
      Effect.provide(ConfigProvider.layer(ConfigProvider.fromUnknown({ RATE: "0.25" })))
    )
  )

  it.effect("layerNoop admits everything", () =>
    Effect.gen(function* () {
      const breaker = yield* CircuitBreaker.CircuitBreaker
      expect(breaker.admit).toBe(undefined)
      yield* fail(breaker, 100)
      expect(yield* rejected(breaker)).toBe(false)
      yield* yield* breaker.forceOpen(key)
      expect(yield* breaker.snapshots).toEqual([])
    }).pipe(Effect.provide(CircuitBreaker.layerNoop))
  )

  it.effect("an empty key is a typed error, and no circuit", () =>
    Effect.gen(function* () {
      const breaker = yield* make()
      const error = yield* Effect.flip(breaker.protect(Effect.void, { key: "" }))
      expect(error).toMatchObject({ _tag: "InvalidRequestError", parameter: "key" })
      expect(yield* Effect.flip(Stream.runDrain(breaker.protectStream(Stream.make(1), { key: "" })))).toMatchObject({
        _tag: "InvalidRequestError"
      })
      expect(yield* breaker.snapshots).toEqual([])
    })
  )
})

describe("options", () => {
  const wrong: ReadonlyArray<readonly [field: string, options: CircuitBreaker.Options]> = [
    ...[0, 1.5, Number.NaN, -1, Infinity].map((failureRate) => ["failureRate", { failureRate }] as const),
    ...[0, 1.5, Number.NaN, -1, Infinity].map((rate) => ["slow.rate", { slow: { limit: "1 second", rate } }] as const),
    ...[0, -1, Number.NaN, Infinity].map((limit) => ["slow.limit", { slow: { limit } }] as const),
    ...[0, -1, Number.NaN, Infinity].map((ms) => ["window.duration", { window: CircuitBreaker.time(ms) }] as const),
    ...[0, 1.5, Number.NaN, -1, Infinity].map((n) => ["window.size", { window: CircuitBreaker.count(n) }] as const),
    ...[0, 1.5, Number.NaN, -1, Infinity].map(
      (n) => ["window.length", { window: CircuitBreaker.consecutive(n) }] as const
    ),
    ["window.buckets", { window: CircuitBreaker.time("1 second", { buckets: 0 }) }],
    ...[0, 1.5, Number.NaN, -1].map((minimumCalls) => ["minimumCalls", { minimumCalls }] as const),
    ["minimumCalls", { window: CircuitBreaker.count(4), minimumCalls: 5 }],
    ...[0, -1, Number.NaN, Infinity].map((duration) => ["open.duration", { open: { duration } }] as const),
    ...[0.5, Number.NaN, Infinity].map((factor) => ["open.factor", { open: { factor } }] as const),
    ["open.max", { open: { duration: "1 minute", max: "30 seconds" } }],
    ...[-0.1, 1, Number.NaN].map((jitter) => ["open.jitter", { open: { jitter } }] as const),
    ["open.healthyAfter", { open: { healthyAfter: 0 } }],
    ...[0, 2.5, Number.NaN].map((calls) => ["halfOpen.calls", { halfOpen: { calls } }] as const),
    ["halfOpen.successes", { halfOpen: { calls: 2, successes: 3 } }],
    ["halfOpen.successes", { halfOpen: { successes: 0 } }],
    ["halfOpen.lease", { halfOpen: { lease: 0 } }],
    ["halfOpen.maxWait", { halfOpen: { maxWait: 0 } }],
    ["adaptive.min", { adaptive: { min: 0 } }],
    ["adaptive.max", { adaptive: { min: 0.5, max: 0.4 } }],
    ["adaptive.sigmas", { adaptive: { sigmas: Number.NaN } }],
    ["adaptive.halfLife", { adaptive: { halfLife: 0 } }],
    ["idleTimeToLive", { idleTimeToLive: "1 second" }],
    ["maxKeys", { maxKeys: 0 }]
  ]
  it.effect("a wrong one is a ConfigError that names the field", () =>
    Effect.gen(function* () {
      for (const [field, options] of wrong) {
        const error = yield* Effect.flip(CircuitBreaker.make(options))
        expect(error).toBeInstanceOf(Config.ConfigError)
        expect(error.message).toContain(`circuitBreaker.${field} is `)
        expect(error.message).toContain("allowed: ")
      }
      yield* Effect.flip(Layer.build(CircuitBreaker.layer({ failureRate: 2 })))
    })
  )

  it.effect("a window smaller than the default minimum is no error", () =>
    Effect.gen(function* () {
      const breaker = yield* make({ window: CircuitBreaker.count(2) })
      yield* fail(breaker, 2)
      expect(yield* state(breaker)).toBe("open")
    })
  )
})
