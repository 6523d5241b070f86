import { CircuitBreaker, LLMError } from "@breakwater/core"
import { describe, expect, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"

const key = "provider/model"
const down = new LLMError.ServerError({ message: "down" })

const make = (options: CircuitBreaker.Options = {}) =>
  CircuitBreaker.make({ window: CircuitBreaker.count(10), minimumCalls: 10, ...options, open: { jitter: 0 } })

describe("protectStream", () => {
  it.effect("hands on every element, and counts once at the end", () =>
    Effect.gen(function* () {
      const breaker = yield* make()
      const counts: Array<number> = []
      const guarded = breaker.protectStream(Stream.make(1, 2, 3).pipe(Stream.rechunk(1)), { key })
      const seen = yield* guarded.pipe(
        Stream.tap(() => Effect.map(breaker.snapshot(key), ({ calls }) => counts.push(calls))),
        Stream.runCollect
      )
      expect(seen).toEqual([1, 2, 3])
      expect(counts).toEqual([0, 0, 0])
      expect(yield* breaker.snapshot(key)).toMatchObject({ calls: 1, failures: 0 })
    })
  )

  it.effect("a failure at the end counts, however much had come", () =>
    Effect.gen(function* () {
      const breaker = yield* make()
      const broken = Stream.concat(Stream.make(1, 2), Stream.fail(down))
      const exit = yield* Effect.exit(Stream.runCollect(breaker.protectStream(broken, { key })))
      expect(Exit.isFailure(exit) && Cause.squash(exit.cause)).toBe(down)
      expect(yield* breaker.snapshot(key)).toMatchObject({ calls: 1, failures: 1 })
    })
  )

  it.effect("classifies by error, for the breaker and for the stream", () =>
    Effect.gen(function* () {
      const breaker = yield* make()
      yield* Effect.ignore(
        Stream.runDrain(
          breaker.protectStream(Stream.fail(new LLMError.ContextLengthError({ message: "long" })), { key })
        )
      )
      expect((yield* breaker.snapshot(key)).calls).toBe(0)
      yield* Effect.ignore(
        Stream.runDrain(breaker.protectStream(Stream.fail("fine"), { key, classify: () => "success" }))
      )
      expect(yield* breaker.snapshot(key)).toMatchObject({ calls: 1, failures: 0 })
    })
  )

  it.effect("a consumer that stops early, or is interrupted, is ignored, and frees a probe", () =>
    Effect.gen(function* () {
      const breaker = yield* make({ window: CircuitBreaker.consecutive(1), halfOpen: { calls: 1, successes: 1 } })
      yield* Effect.ignore(Stream.runDrain(breaker.protectStream(Stream.fail(down), { key })))
      yield* TestClock.adjust("30 seconds")
      yield* breaker
        .protectStream(Stream.make(1, 2, 3).pipe(Stream.rechunk(1)), { key })
        .pipe(Stream.take(1), Stream.runDrain)
      expect(yield* breaker.snapshot(key)).toMatchObject({ state: "half-open", probes: { inFlight: 0, successes: 0 } })
      const fiber = yield* Effect.forkChild(Stream.runDrain(breaker.protectStream(Stream.never, { key })), {
        startImmediately: true
      })
      expect((yield* breaker.snapshot(key)).probes.inFlight).toBe(1)
      yield* Fiber.interrupt(fiber)
      expect(yield* breaker.snapshot(key)).toMatchObject({ state: "half-open", probes: { inFlight: 0 } })
      yield* Stream.runDrain(breaker.protectStream(Stream.make(1), { key }))
      expect((yield* breaker.snapshot(key)).state).toBe("closed")
    })
  )

  it.effect("a rejected stream is not even begun", () =>
    Effect.gen(function* () {
      const breaker = yield* make()
      yield* breaker.forceOpen(key)
      let begun = false
      const stream = Stream.unwrap(
        Effect.sync(() => {
          begun = true
          return Stream.make(1)
        })
      )
      const error = yield* Effect.flip(Stream.runDrain(breaker.protectStream(stream, { key })))
      expect(error._tag).toBe("CircuitOpenError")
      expect(begun).toBe(false)
    })
  )

  it.effect("each run is admitted anew", () =>
    Effect.gen(function* () {
      const stream = CircuitBreaker.protectStream(Stream.make(1), { key })
      yield* Stream.runDrain(stream)
      yield* Stream.runDrain(stream)
      const breaker = yield* CircuitBreaker.CircuitBreaker
      expect((yield* breaker.snapshot(key)).calls).toBe(2)
    }).pipe(Effect.provide(CircuitBreaker.layer()))
  )

  const timed = (measure: "call" | "first-token") =>
    Effect.gen(function* () {
      const breaker = yield* make({ slow: { limit: "2 seconds", measure } })
      const queue = yield* Queue.unbounded<string, Cause.Done>()
      const guarded = breaker.protectStream(Stream.fromQueue(queue), { key, isContent: (text) => text !== "" })
      const fiber = yield* Effect.forkChild(Stream.runDrain(guarded), { startImmediately: true })
      const say = (text: string) => Effect.andThen(Queue.offer(queue, text), Effect.yieldNow)
      const end = Effect.andThen(Queue.end(queue), Fiber.join(fiber))
      return { breaker, say, end }
    })

  it.effect("the first content counts for slowness, not the empty ones and not the rest", () =>
    Effect.gen(function* () {
      const quick = yield* timed("first-token")
      yield* TestClock.adjust("1999 millis")
      yield* quick.say("a")
      yield* TestClock.adjust("1 minute")
      yield* quick.end
      expect(yield* quick.breaker.snapshot(key)).toMatchObject({ calls: 1, slow: 0 })

      const slow = yield* timed("first-token")
      yield* slow.say("")
      yield* TestClock.adjust("2 seconds")
      yield* slow.say("a")
      yield* slow.end
      expect(yield* slow.breaker.snapshot(key)).toMatchObject({ calls: 1, slow: 1 })
    })
  )

  it.effect("measured as a whole call, the end counts", () =>
    Effect.gen(function* () {
      const whole = yield* timed("call")
      yield* whole.say("a")
      yield* TestClock.adjust("2 seconds")
      yield* whole.end
      expect(yield* whole.breaker.snapshot(key)).toMatchObject({ calls: 1, slow: 1 })
    })
  )

  it.effect("a probe keeps its place as long as elements come", () =>
    Effect.gen(function* () {
      const breaker = yield* make({
        window: CircuitBreaker.consecutive(1),
        halfOpen: { calls: 1, successes: 1, lease: "10 seconds" }
      })
      yield* Effect.ignore(breaker.protect(Effect.fail(down), { key }))
      yield* TestClock.adjust("30 seconds")
      const queue = yield* Queue.unbounded<number, Cause.Done>()
      const fiber = yield* Effect.forkChild(Stream.runDrain(breaker.protectStream(Stream.fromQueue(queue), { key })), {
        startImmediately: true
      })
      for (let n = 0; n < 5; n++) {
        yield* TestClock.adjust("9 seconds")
        yield* Queue.offer(queue, n)
        yield* Effect.yieldNow
      }
      expect((yield* breaker.snapshot(key)).probes.inFlight).toBe(1)
      yield* Queue.end(queue)
      yield* Fiber.join(fiber)
      expect((yield* breaker.snapshot(key)).state).toBe("closed")
    })
  )
})
