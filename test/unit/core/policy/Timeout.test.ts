import * as Timeout from "../../../../packages/core/src/policy/Timeout.ts"
import { describe, expect, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Random from "effect/Random"
import * as TestClock from "effect/testing/TestClock"
import { sweep } from "../../../support/sweep.ts"

const orFail = (duration: Duration.Input) => ({ duration, orElse: () => Effect.fail("timeout" as const) })

describe("timeoutOrElse", () => {
  it.effect("hands a synchronous result on without a timer", () =>
    Effect.gen(function* () {
      const clock = yield* Clock.Clock
      const noTimers = { ...clock, sleep: () => expect.unreachable("a timer was made") }
      const limited = Timeout.timeoutOrElse(Effect.succeed(1), orFail("1 second"))
      expect(yield* limited.pipe(Effect.provideService(Clock.Clock, noTimers))).toBe(1)
      expect(yield* Timeout.timeoutOrElse(Effect.fail("e"), orFail(0)).pipe(Effect.flip)).toBe("e")
    })
  )

  it.effect("passes results, errors and defects of an effect that waits", () =>
    Effect.gen(function* () {
      const after = <A, E>(effect: Effect.Effect<A, E>) =>
        Effect.forkChild(Timeout.timeoutOrElse(Effect.delay(effect, "1 second"), orFail("2 seconds")))
      const fibers = [yield* after(Effect.succeed(1)), yield* after(Effect.fail("e")), yield* after(Effect.die("bug"))]
      yield* TestClock.adjust("1 second")
      const exits = yield* Fiber.awaitAll(fibers as Array<Fiber.Fiber<unknown, unknown>>)
      expect(exits).toEqual([Exit.succeed(1), Exit.fail("e"), Exit.die("bug")])
    })
  )

  it.effect("goes on with orElse when the time is over, after the effect is gone", () =>
    Effect.gen(function* () {
      const log: Array<string> = []
      const slow = Effect.never.pipe(
        Effect.onInterrupt(() =>
          Effect.andThen(
            Effect.sleep("5 seconds"),
            Effect.sync(() => void log.push("gone"))
          )
        )
      )
      const fiber = yield* Effect.forkChild(
        Timeout.timeoutOrElse(slow, {
          duration: "1 second",
          orElse: () => Effect.sync(() => (log.push("else"), "fallback"))
        })
      )
      yield* TestClock.adjust("1 second")
      expect(fiber.pollUnsafe()).toBeUndefined()
      yield* TestClock.adjust("5 seconds")
      expect(yield* Fiber.join(fiber)).toBe("fallback")
      expect(log).toEqual(["gone", "else"])
    })
  )

  it.effect("loses nothing: what is done in the very moment of the timeout counts", () =>
    Effect.gen(function* () {
      const close = Effect.as(Effect.sleep("1 second"), "in time")
      const fiber = yield* Effect.forkChild(Timeout.timeoutOrElse(close, orFail("1 second")))
      yield* TestClock.adjust("1 second")
      expect(yield* Fiber.join(fiber)).toBe("in time")
    })
  )

  it.effect("does not swallow a defect of a finalizer", () =>
    Effect.gen(function* () {
      const broken = Effect.never.pipe(Effect.onInterrupt(() => Effect.die("bug")))
      const fiber = yield* Effect.forkChild(Timeout.timeoutOrElse(broken, orFail("1 second")))
      yield* TestClock.adjust("1 second")
      expect(yield* Fiber.await(fiber)).toEqual(Exit.die("bug"))
    })
  )

  it.effect("lets the caller's interruption win, and waits for the effect's finalizers", () =>
    Effect.gen(function* () {
      let released = false
      let fellBack = false
      const started = yield* Deferred.make<void>()
      const slow = Effect.andThen(Deferred.succeed(started, undefined), Effect.never).pipe(
        Effect.onInterrupt(() =>
          Effect.andThen(
            Effect.yieldNow,
            Effect.sync(() => void (released = true))
          )
        )
      )
      const fiber = yield* Effect.forkChild(
        Timeout.timeoutOrElse(slow, {
          duration: "1 second",
          orElse: () => Effect.sync(() => void (fellBack = true))
        })
      )
      yield* Deferred.await(started)
      yield* Fiber.interrupt(fiber)
      expect(released).toBe(true)
      const exit = yield* Fiber.await(fiber)
      expect(Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause)).toBe(true)
      yield* TestClock.adjust("1 hour")
      expect(fellBack).toBe(false)
    })
  )

  it.effect("lets the caller's interruption win over a timeout whose cleaning up is under way", () =>
    Effect.gen(function* () {
      let fellBack = false
      const slow = Effect.never.pipe(Effect.onInterrupt(() => Effect.sleep("10 seconds")))
      const fiber = yield* Effect.forkChild(
        Timeout.timeoutOrElse(slow, {
          duration: "1 second",
          orElse: () => Effect.sync(() => void (fellBack = true))
        })
      )
      yield* TestClock.adjust("2 seconds")
      fiber.interruptUnsafe()
      yield* TestClock.adjust("10 seconds")
      const exit = yield* Fiber.await(fiber)
      expect(Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause)).toBe(true)
      expect(fellBack).toBe(false)
    })
  )

  it.effect("passes context and references through", () =>
    Effect.gen(function* () {
      class Name extends Context.Service<Name, string>()("test/Name") {}
      const inside = Effect.gen(function* () {
        yield* Effect.yieldNow
        return [yield* Name, yield* Random.next] as const
      })
      const random = { nextDoubleUnsafe: () => 0.25, nextIntUnsafe: () => 0 }
      const seen = yield* Timeout.timeoutOrElse(inside, orFail("1 second")).pipe(
        Effect.provideService(Name, "name"),
        Effect.provideService(Random.Random, random)
      )
      expect(seen).toEqual(["name", 0.25])
    })
  )

  it.effect("bounds nothing with an infinite duration, and takes zero for at once", () =>
    Effect.gen(function* () {
      const effect = Effect.succeed(1)
      expect(Timeout.timeoutOrElse(effect, orFail(Duration.infinity))).toBe(effect)
      expect(yield* Timeout.timeoutOrElse(Effect.never, orFail(0)).pipe(Effect.flip)).toBe("timeout")
      for (const wrong of [NaN, -1, Infinity]) {
        expect(() => Timeout.timeoutOrElse(effect, orFail(wrong))).toThrow(/duration is/)
      }
    })
  )

  it.effect("works on a thousand fibers at once", () =>
    Effect.gen(function* () {
      const run = (i: number) =>
        Timeout.timeoutOrElse(Effect.as(Effect.sleep(i), i), { duration: 500, orElse: () => Effect.succeed(-1) })
      const fiber = yield* Effect.forkChild(
        Effect.forEach(
          Array.from({ length: 1000 }, (_, i) => i + 1),
          run,
          { concurrency: "unbounded" }
        )
      )
      yield* TestClock.adjust("1 second")
      const results = yield* Fiber.join(fiber)
      expect(results.slice(0, 499)).toEqual(Array.from({ length: 499 }, (_, i) => i + 1))
      expect(results.slice(500).every((result) => result === -1)).toBe(true)
    })
  )

  for (const yieldEvery of [3, 4, 5, 8, undefined]) {
    it(`leaves nothing behind wherever it is interrupted (giving way every ${yieldEvery ?? "2,048"})`, async () => {
      let held = 0
      const points = await sweep(
        () => {
          const held_ = Effect.acquireUseRelease(
            Effect.sync(() => void held++),
            () => Effect.sleep(10),
            () =>
              Effect.andThen(
                Effect.yieldNow,
                Effect.sync(() => void held--)
              )
          )
          return Effect.all([
            Timeout.timeoutOrElse(held_, { duration: 5, orElse: () => Effect.yieldNow }),
            Timeout.timeoutOrElse(held_, { duration: 20, orElse: () => Effect.yieldNow }),
            Timeout.timeoutOrElse(Effect.void, { duration: 20, orElse: () => Effect.die("late") })
          ])
        },
        ({ clock, exit, point }) => {
          expect(held, `point ${point}`).toBe(0)
          expect(clock.sleeping(), `point ${point}`).toBe(0)
          if (Exit.isFailure(exit)) expect(Cause.hasDies(exit.cause)).toBe(false)
        },
        yieldEvery === undefined ? {} : { yieldEvery }
      )
      expect(points).toBeGreaterThan(30)
    })
  }
})

describe("limits", () => {
  it("have the presets of the documentation, in milliseconds", () => {
    const limits = ({ attempt, firstToken, idle, total }: Timeout.Limits) => [firstToken, idle, attempt, total]
    expect(limits(Timeout.make())).toEqual([30_000, 30_000, 120_000, 300_000])
    expect(limits(Timeout.make(Timeout.presets.highThroughput))).toEqual([30_000, 30_000, 120_000, 300_000])
    expect(limits(Timeout.make(Timeout.presets.interactive))).toEqual([15_000, 15_000, 60_000, 180_000])
    expect(limits(Timeout.make(Timeout.presets.batch))).toEqual([120_000, 60_000, 600_000, 3_600_000])
    expect(Timeout.make({ idle: Duration.infinity }).idle).toBe(Infinity)
    expect(Timeout.describe(Timeout.make({ idle: Duration.infinity, dynamic: {} }))).toBe(
      "connect 10 s, first token 30 s, idle none, attempt by the length of the answer, total 300 s"
    )
  })

  it("refuse NaN, numbers without an end, negatives and zero by name", () => {
    for (const field of ["connect", "firstToken", "idle", "attempt", "total"] as const) {
      for (const wrong of [NaN, Infinity, -1, 0]) {
        expect(() => Timeout.make({ [field]: wrong })).toThrow(new RegExp(`${field} is .*allowed:`))
      }
    }
    expect(() => Timeout.make({ dynamic: { safetyFactor: 0 } })).toThrow(/dynamic.safetyFactor is 0/)
  })
})

describe("progress", () => {
  it("counts tokens, their rate and what is left", () => {
    const tracker = Timeout.progress({ startedMs: 1000 })
    expect(tracker.snapshot(1500)).toEqual({ elapsedMs: 500, tokens: 0, tokensPerSecond: 0 })
    tracker.add({ type: "response-metadata" })
    tracker.add({ type: "text-delta", delta: "" })
    expect(tracker.snapshot(2000, 100)).toEqual({ elapsedMs: 1000, tokens: 0, tokensPerSecond: 0 })
    tracker.add({ type: "text-delta", delta: "abcdefgh" })
    expect(tracker.snapshot(3000, 100)).toEqual({ elapsedMs: 2000, tokens: 2, tokensPerSecond: 0 })
    tracker.addText("東京都庁舎前駅")
    tracker.add({ type: "reasoning-delta", delta: "abcd" })
    expect(tracker.snapshot(5000, 100)).toEqual({
      elapsedMs: 4000,
      tokens: 10,
      tokensPerSecond: 5,
      remainingMs: 18_000
    })
    expect(tracker.snapshot(5000, 4)).toMatchObject({ remainingMs: 0 })
    expect(tracker.snapshot(5000)).not.toHaveProperty("remainingMs")
  })
})
