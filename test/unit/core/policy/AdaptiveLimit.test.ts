import { AdaptiveLimit, type Attempt, CallContext, Event, LLMError } from "@breakwater/core"
import { describe, expect, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import { TestClock } from "effect/testing"
import {
  type ConcurrencyOptions,
  makeConcurrency,
  type Sample,
  updateConcurrency
} from "../../../../packages/core/src/internal/adaptiveConcurrency.ts"

const call: Attempt.AttemptCall = {
  requestId: "request",
  target: "p/m",
  provider: "p",
  model: "m",
  attempt: 1,
  request: { model: "m", messages: [] },
  context: CallContext.single,
  deadlineMs: Infinity
}

const success = (tookMs: number, firstTokenMs?: number): Attempt.AttemptOutcome => ({
  _tag: "success",
  usage: { inputTokens: 1, outputTokens: 1 },
  tookMs,
  ...(firstTokenMs === undefined ? {} : { firstTokenMs })
})

const refusal: Attempt.AttemptOutcome = {
  _tag: "failure",
  tookMs: 1,
  error: new LLMError.RateLimitError({ message: "too many", source: "provider", scope: "requests" })
}

const options: ConcurrencyOptions = {
  ...AdaptiveLimit.defaults,
  slowMs: 10_000
}

const sample = (latencyMs: number | undefined, inFlight: number, more: Partial<Sample> = {}): Sample => ({
  ...(latencyMs === undefined ? {} : { latencyMs }),
  inFlight,
  outcome: "ok",
  startedAtMs: 0,
  nowMs: 0,
  ...more
})

describe("gradient2", () => {
  it("grows by its queue while the latency is steady, to its upper bound", () => {
    const state = makeConcurrency(options)
    updateConcurrency(options, state, sample(100, 20))
    // 20 × 0.8 + (20 × 1 + 4) × 0.2
    expect(state.limit).toBeCloseTo(20.8)
    for (let i = 0; i < 1_000; i++) updateConcurrency(options, state, sample(100, state.limit))
    expect(state.limit).toBe(200)
  })

  it("shrinks when the latency of now is above what is tolerated of the long term", () => {
    const state = makeConcurrency({ ...options, initial: 100 })
    for (let i = 0; i < 50; i++) updateConcurrency(options, state, sample(100, 0))
    expect(state.limit).toBe(100)
    updateConcurrency(options, state, sample(1_000, 100))
    // The gradient's floor is a half: 100 × 0.8 + (100 × 0.5 + 4) × 0.2
    expect(state.limit).toBeCloseTo(90.8)
    for (let i = 0; i < 30; i++) updateConcurrency(options, state, sample(1_000, state.limit))
    expect(state.limit).toBeLessThan(45)
  })

  it("does not grow while the limit is not used", () => {
    const state = makeConcurrency(options)
    for (let i = 0; i < 100; i++) updateConcurrency(options, state, sample(100, 9))
    expect(state.limit).toBe(20)
  })

  it("follows a latency that has come down, faster than its window", () => {
    const state = makeConcurrency(options)
    for (let i = 0; i < 100; i++) updateConcurrency(options, state, sample(10_000, 0))
    for (let i = 0; i < 60; i++) updateConcurrency(options, state, sample(100, 0))
    expect(state.longMs).toBeLessThan(1_000)
  })
})

describe("AIMD", () => {
  const aimd: ConcurrencyOptions = { ...options, algorithm: "aimd" }

  it("adds one while it is used, and multiplies down when refused or slow", () => {
    const state = makeConcurrency(aimd)
    updateConcurrency(aimd, state, sample(100, 20))
    expect(state.limit).toBe(21)
    updateConcurrency(aimd, state, sample(undefined, 21, { outcome: "refused" }))
    expect(state.limit).toBeCloseTo(18.9)
    updateConcurrency(aimd, state, sample(10_001, 18, { startedAtMs: 1, nowMs: 2 }))
    expect(state.limit).toBeCloseTo(17.01)
  })

  it("lowers the limit once for calls that were under way together, and never below its bound", () => {
    const state = makeConcurrency(aimd)
    for (let i = 0; i < 20; i++) {
      updateConcurrency(aimd, state, sample(undefined, 20, { outcome: "refused", startedAtMs: 0, nowMs: 5 }))
    }
    expect(state.limit).toBe(18)
    for (let i = 10; i < 200; i++) {
      updateConcurrency(aimd, state, sample(undefined, 20, { outcome: "refused", startedAtMs: i, nowMs: i }))
    }
    expect(state.limit).toBe(1)
  })

  it("finds its way back by answers without a known first token", () => {
    const state = makeConcurrency({ ...options, initial: 2 })
    for (let i = 0; i < 100; i++) updateConcurrency(options, state, sample(undefined, 200))
    expect(state.limit).toBeGreaterThan(10)
    const before = state.limit
    updateConcurrency(options, state, sample(undefined, 200, { outcome: "unknown" }))
    expect(state.limit).toBe(before)
  })
})

describe("the service", () => {
  it.effect("is fed by the time to the first token and not by the whole latency", () =>
    Effect.gen(function* () {
      const limit = yield* AdaptiveLimit.make({ initial: 2 })
      const admit = limit.admit!
      for (let i = 0; i < 20; i++) {
        const other = yield* admit(call)
        // Answers of very different length, first tokens alike.
        ;(yield* admit(call))(success(i % 2 === 0 ? 1_000 : 100_000, 200))
        other(success(1, 200))
      }
      const state = yield* limit.snapshot("p/m")
      expect(state?.latencyMs).toBe(200)
      expect(state?.limit).toBeGreaterThan(2)
      expect(state?.inFlight).toBe(0)
    })
  )

  it.effect("makes calls above the limit wait for a place, in order", () =>
    Effect.gen(function* () {
      const limit = yield* AdaptiveLimit.make({ initial: 1, max: 1 })
      const settle = yield* limit.admit!(call)
      const order: Array<number> = []
      for (let i = 0; i < 3; i++) {
        yield* Effect.forkChild(
          Effect.tap(limit.admit!(call), (done) =>
            Effect.sync(() => {
              order.push(i)
              done(success(1, 1))
            })
          ),
          { startImmediately: true }
        )
      }
      expect(yield* limit.snapshot("p/m")).toMatchObject({ inFlight: 1, waiting: 3 })
      settle(success(1, 1))
      yield* Effect.yieldNow
      expect(order).toEqual([0, 1, 2])
      expect(yield* limit.snapshot("p/m")).toMatchObject({ inFlight: 0, waiting: 0 })
    })
  )

  it.effect("rejects with a local error after its wait, or at once when there is no time", () =>
    Effect.gen(function* () {
      const limit = yield* AdaptiveLimit.make({ initial: 1, max: 1, maxWait: "2 seconds" })
      yield* limit.admit!(call)
      const atOnce = yield* Effect.flip(limit.admit!({ ...call, deadlineMs: 0 }))
      expect(atOnce).toMatchObject({ _tag: "RateLimitError", source: "local", scope: "concurrent", limit: 1 })
      expect(Duration.toMillis(atOnce.retryAfter!)).toBeGreaterThan(0)
      const fiber = yield* Effect.forkChild(Effect.flip(limit.admit!(call)), { startImmediately: true })
      yield* TestClock.adjust("2001 millis")
      expect((yield* Fiber.join(fiber))._tag).toBe("RateLimitError")
    })
  )

  it.effect("is lowered by a refusal, and says so", () =>
    Effect.gen(function* () {
      const events: Array<Event.PolicyEvent> = []
      const limit = yield* AdaptiveLimit.make()
      ;(yield* limit.admit!(call))(refusal)
      const again = yield* limit.admit!(call).pipe(
        Effect.provideService(Event.EventSink, (event) => void events.push(event))
      )
      yield* TestClock.adjust(1)
      again({ ...refusal, tookMs: 2 })
      expect((yield* limit.snapshot("p/m"))?.limit).toBeCloseTo(16.2)
      expect(events).toEqual([
        {
          type: "limit-adapted",
          limiter: "adaptive-limit",
          key: "p/m",
          unit: "concurrent-calls",
          from: 18,
          to: 16,
          requestId: "request",
          attempt: 1
        }
      ])
    })
  )

  it.effect("gives the place back on success, failure, defect and interruption, once", () =>
    Effect.gen(function* () {
      const limit = yield* AdaptiveLimit.make({ initial: 1, max: 1 })
      const never = yield* Deferred.make<void>()
      for (const effect of [Effect.void, Effect.fail("no"), Effect.die("defect")]) {
        yield* Effect.exit(limit.limit(effect as Effect.Effect<void, string>, { key: "k" }))
        expect((yield* limit.snapshot("k"))?.inFlight).toBe(0)
      }
      const fiber = yield* Effect.forkChild(limit.limit(Deferred.await(never), { key: "k" }), {
        startImmediately: true
      })
      expect((yield* limit.snapshot("k"))?.inFlight).toBe(1)
      yield* Fiber.interrupt(fiber)
      expect((yield* limit.snapshot("k"))?.inFlight).toBe(0)
      const settle = yield* limit.admit!(call)
      settle(success(1))
      settle(success(1))
      expect((yield* limit.snapshot("p/m"))?.inFlight).toBe(0)
    })
  )

  it.effect("lets an effect say which failures are refusals", () =>
    Effect.gen(function* () {
      const limit = yield* AdaptiveLimit.AdaptiveLimit
      const options = { key: "k", refused: (error: string) => error === "overloaded" }
      yield* Effect.exit(AdaptiveLimit.limit(Effect.fail("other"), options))
      expect((yield* limit.snapshot("k"))?.limit).toBe(20)
      yield* Effect.exit(AdaptiveLimit.limit(Effect.fail("overloaded"), options))
      expect((yield* limit.snapshot("k"))?.limit).toBe(18)
    }).pipe(Effect.provide(AdaptiveLimit.layer()))
  )

  const wrong: ReadonlyArray<readonly [AdaptiveLimit.Options, string]> = [
    [{ initial: 0 }, "initial is 0"],
    [{ min: 0 }, "min is 0"],
    [{ max: NaN }, "max is NaN"],
    [{ initial: 300 }, "initial is 300"],
    [{ smoothing: 0 }, "smoothing is 0"],
    [{ tolerance: 0.5 }, "tolerance is 0.5"],
    [{ backoff: 1 }, "backoff is 1"],
    [{ slow: 0 }, "slow is 0"],
    [{ maxWait: -1 }, "maxWait is -1"],
    [{ queueSize: Infinity }, "queueSize is Infinity"],
    [{ algorithm: "vegas" as "aimd" }, 'algorithm is "vegas"']
  ]
  for (const [options, message] of wrong) {
    it.effect(`refuses the option: ${message}`, () =>
      Effect.gen(function* () {
        const exit = yield* Effect.exit(AdaptiveLimit.make(options))
        expect(Exit.isFailure(exit)).toBe(true)
        expect((yield* Effect.flip(AdaptiveLimit.make(options))).message).toContain(message)
      })
    )
  }

  it.effect("a noop has no admission and passes effects on", () =>
    Effect.gen(function* () {
      const limit = yield* AdaptiveLimit.AdaptiveLimit
      expect(limit.admit).toBeUndefined()
      expect(yield* limit.limit(Effect.succeed(1), { key: "k" })).toBe(1)
    }).pipe(Effect.provide(AdaptiveLimit.layerNoop))
  )
})
