import { CircuitBreaker } from "@breakwater/core"
import { describe, expect, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as References from "effect/References"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import { sweep } from "../../../support/sweep.ts"

const key = "key"

/** A breaker with a clock of its own, about to admit its only probe. */
const ripe = () => {
  let nowMs = 0
  const nanos = () => BigInt(nowMs) * 1_000_000n
  const clock: Clock.Clock = Object.assign(Object.create(Effect.runSync(Clock.Clock)), {
    monotonicTimeNanosUnsafe: nanos,
    currentTimeMillisUnsafe: () => nowMs
  })
  const breaker = Effect.runSync(
    CircuitBreaker.make({
      window: CircuitBreaker.consecutive(1),
      open: { jitter: 0 },
      halfOpen: { calls: 1, successes: 1 }
    }).pipe(Effect.provideService(Clock.Clock, clock))
  )
  Effect.runSync(Effect.ignore(breaker.protect(Effect.fail("down"), { key })))
  nowMs = 30_000
  return breaker
}

const work = Effect.gen(function* () {
  yield* Effect.yieldNow
  yield* Effect.sleep(10)
  return yield* Effect.succeed(1)
})

// A fiber that gives way every one or two operations never gets on: resuming costs as many.
describe("interruption at every operation", () => {
  for (const yieldEvery of [undefined, 3, 4, 7]) {
    it(`a probe's place comes back, giving way every ${yieldEvery ?? "∞"} operations`, async () => {
      let breaker = ripe()
      let interrupted = 0
      const points = await sweep(
        () => {
          breaker = ripe()
          return breaker.protect(work, { key })
        },
        ({ exit }) => {
          const snapshot = Effect.runSync(breaker.snapshot(key))
          expect(snapshot.probes.inFlight).toBe(0)
          if (Exit.isFailure(exit)) interrupted++
          else expect(snapshot.state).toBe("closed")
          expect(Exit.isSuccess(Effect.runSyncExit(breaker.protect(Effect.void, { key })))).toBe(true)
        },
        yieldEvery === undefined ? {} : { yieldEvery }
      )
      expect(points).toBeGreaterThan(5)
      expect(interrupted).toBeGreaterThan(5)
    })

    it(`a stream's place comes back, giving way every ${yieldEvery ?? "∞"} operations`, async () => {
      let breaker = ripe()
      const points = await sweep(
        () => {
          breaker = ripe()
          const stream = Stream.fromEffect(work).pipe(Stream.concat(Stream.fromEffect(work)))
          return Stream.runDrain(breaker.protectStream(stream, { key }))
        },
        () => {
          expect(Effect.runSync(breaker.snapshot(key)).probes.inFlight).toBe(0)
          expect(Exit.isSuccess(Effect.runSyncExit(breaker.protect(Effect.void, { key })))).toBe(true)
        },
        yieldEvery === undefined ? {} : { yieldEvery }
      )
      expect(points).toBeGreaterThan(10)
    })
  }

  it.effect("with a budget of 3 to 64 operations, interrupted while it gives way", () =>
    Effect.gen(function* () {
      for (let budget = 3; budget <= 64; budget++) {
        const breaker = yield* CircuitBreaker.make({
          window: CircuitBreaker.consecutive(1),
          open: { jitter: 0 },
          halfOpen: { calls: 3, successes: 3 }
        })
        yield* Effect.ignore(breaker.protect(Effect.fail("down"), { key }))
        yield* TestClock.adjust("30 seconds")
        const fibers = yield* Effect.forEach([1, 2, 3, 4, 5], () =>
          Effect.forkChild(breaker.protect(Effect.never, { key })).pipe(
            Effect.provideService(References.MaxOpsBeforeYield, budget)
          )
        )
        yield* Effect.yieldNow
        yield* Effect.forEach(fibers, (fiber) => Fiber.interrupt<unknown, unknown>(fiber))
        expect(yield* breaker.snapshot(key)).toMatchObject({ probes: { inFlight: 0, successes: 0, failures: 0 } })
      }
    })
  )
})
