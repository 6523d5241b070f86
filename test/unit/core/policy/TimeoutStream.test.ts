import { LLMError } from "@breakwater/core"
import * as PullWatch from "../../../../packages/core/src/internal/pullWatch.ts"
import * as Timeout from "../../../../packages/core/src/policy/Timeout.ts"
import { describe, expect, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import { sweep } from "../../../support/sweep.ts"

/** Elements, each after its wait in milliseconds. An empty text is a keep-alive. */
const timed = (...parts: ReadonlyArray<readonly [waitMs: number, text: string]>) =>
  Stream.fromIterable(parts).pipe(
    Stream.rechunk(1),
    Stream.mapEffect(([wait, text]) => Effect.as(Effect.sleep(wait), text))
  )

const isContent = (text: string) => text.length > 0

/** Runs a stream to its end in virtual time; what came out, how it ended, and when. */
const run = <A, E>(stream: Stream.Stream<A, E>, readerMs = 0) =>
  Effect.gen(function* () {
    const out: Array<A> = []
    let endedMs = 0
    const fiber = yield* Effect.forkChild(
      Stream.runForEach(stream, (a) =>
        Effect.andThen(
          Effect.sync(() => void out.push(a)),
          Effect.sleep(readerMs)
        )
      ).pipe(Effect.onExit(() => Effect.map(Clock.currentTimeMillis, (now) => void (endedMs = now))))
    )
    yield* TestClock.adjust("1 day")
    return { out, endedMs, exit: yield* Fiber.await(fiber) }
  })

const phaseOf = (exit: Exit.Exit<unknown, unknown>) => {
  if (Exit.isSuccess(exit)) return "success"
  const error = Cause.squash(exit.cause)
  return error instanceof LLMError.RequestTimeoutError ? error.phase : "other"
}

describe("Timeout.stream", () => {
  it.effect("lets a stream within its limits pass as it is", () =>
    Effect.gen(function* () {
      const stream = timed([900, "a"], [400, "b"], [400, "c"])
      const { exit, out } = yield* run(Timeout.stream(stream, { firstToken: 1000, idle: 500, total: 2000 }))
      expect(exit).toEqual(Exit.void)
      expect(out).toEqual(["a", "b", "c"])
      const failed = Stream.concat(timed([10, "a"]), Stream.fail("e"))
      expect((yield* run(Timeout.stream(failed, { idle: 500 }))).exit).toEqual(Exit.fail("e"))
    })
  )

  it.effect("fails, never succeeds, at the limit of each phase", () =>
    Effect.gen(function* () {
      const first = yield* run(Timeout.stream(timed([2000, "a"]), { firstToken: 1000 }))
      expect([phaseOf(first.exit), first.endedMs, first.out]).toEqual(["firstToken", 1000, []])
      const idle = yield* run(Timeout.stream(timed([900, "a"], [600, "b"]), { firstToken: 1000, idle: 500 }))
      expect([phaseOf(idle.exit), idle.out]).toEqual(["idle", ["a"]])
      const endless = timed(...Array.from({ length: 100 }, () => [100, "x"] as const))
      const total = yield* run(Timeout.stream(endless, { idle: 500, total: 1050 }))
      expect([phaseOf(total.exit), total.out.length]).toEqual(["total", 10])
      const never = yield* run(Timeout.stream(Stream.never, { idle: 100, firstToken: 200 }))
      expect(phaseOf(never.exit)).toBe("firstToken")
    })
  )

  it.effect("takes opening the stream for a part of the wait for its first content", () =>
    Effect.gen(function* () {
      const slow = Stream.unwrap(Effect.as(Effect.sleep(5000), Stream.make("a")))
      expect(phaseOf((yield* run(Timeout.stream(slow, { firstToken: 1000 }))).exit)).toBe("firstToken")
    })
  )

  it.effect("does not count keep-alives and empty parts as content", () =>
    Effect.gen(function* () {
      const alive = timed(...Array.from({ length: 50 }, () => [100, ""] as const))
      const first = yield* run(Timeout.stream(alive, { firstToken: 1000, isContent }))
      expect([phaseOf(first.exit), first.endedMs]).toEqual(["firstToken", 1000])
      const later = Stream.concat(timed([100, "a"]), alive)
      const idle = yield* run(Timeout.stream(later, { firstToken: 1000, idle: 450, isContent }))
      expect([phaseOf(idle.exit), idle.out]).toEqual(["idle", ["a", "", "", "", ""]])
      const counted = yield* run(Timeout.stream(alive, { firstToken: 1000, idle: 450 }))
      expect(counted.exit).toEqual(Exit.void)
    })
  )

  it.effect("does not count the reader's time as the target's silence, but as a part of the total", () =>
    Effect.gen(function* () {
      const stream = timed([100, "a"], [100, "b"], [100, "c"])
      const slow = yield* run(Timeout.stream(stream, { firstToken: 500, idle: 500 }), 10_000)
      expect(slow.exit).toEqual(Exit.void)
      const total = yield* run(Timeout.stream(stream, { total: 5000 }), 10_000)
      expect([phaseOf(total.exit), total.out]).toEqual(["total", ["a"]])
      const silent = timed([100, "a"], [400, ""], [400, ""], [100, "b"])
      const waited = yield* run(Timeout.stream(silent, { idle: 500, isContent }), 10_000)
      expect([phaseOf(waited.exit), waited.out]).toEqual(["idle", ["a", ""]])
    })
  )

  it.effect("interrupts the pull that hangs and waits for it, and closes the stream", () =>
    Effect.gen(function* () {
      const log: Array<string> = []
      const hanging = Stream.fromEffect(
        Effect.never.pipe(
          Effect.onInterrupt(() =>
            Effect.andThen(
              Effect.sleep(50),
              Effect.sync(() => void log.push("pull"))
            )
          )
        )
      ).pipe(Stream.ensuring(Effect.sync(() => void log.push("stream"))))
      const { endedMs, exit } = yield* run(Timeout.stream(hanging, { firstToken: 1000 }))
      expect([phaseOf(exit), endedMs, log]).toEqual(["firstToken", 1050, ["pull", "stream"]])
    })
  )

  it.effect("says the phase and the limit, or what onTimeout makes of them", () =>
    Effect.gen(function* () {
      const { exit } = yield* run(Timeout.stream(Stream.never, { firstToken: "2 seconds" }))
      const error = Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
      expect(error).toMatchObject({ phase: "firstToken", limit: Duration.seconds(2) })
      const own = Timeout.stream(Stream.never, {
        total: "3 seconds",
        onTimeout: (phase, limit) => `${phase} ${Duration.toSeconds(limit)}`
      })
      expect((yield* run(own)).exit).toEqual(Exit.fail("total 3"))
    })
  )

  it.effect("makes no timer for a stream that never waits, and one for a stream that often does", () =>
    Effect.gen(function* () {
      const clock = yield* Clock.Clock
      let timers = 0
      const counting = {
        ...clock,
        sleep: (duration: Duration.Duration) => Effect.suspend(() => (timers++, clock.sleep(duration)))
      }
      const limits = { firstToken: "1 hour", idle: "1 hour", total: "2 hours" } as const
      const ready = Timeout.stream(Stream.range(1, 1000).pipe(Stream.rechunk(1)), limits)
      expect(yield* Stream.runCount(ready).pipe(Effect.provideService(Clock.Clock, counting))).toBe(1000)
      expect(timers).toBe(0)
      const yielding = Stream.range(1, 1000).pipe(
        Stream.rechunk(1),
        Stream.tap(() => Effect.yieldNow)
      )
      const often = Timeout.stream(yielding, limits)
      expect(yield* Stream.runCount(often).pipe(Effect.provideService(Clock.Clock, counting))).toBe(1000)
      expect(timers).toBe(1)
    })
  )

  it("refuses NaN, numbers without an end, negatives and zero by name", () => {
    for (const wrong of [NaN, Infinity, -1, 0]) {
      expect(() => Timeout.stream(Stream.empty, { idle: wrong })).toThrow(/idle is .*allowed:/)
    }
  })

  for (const yieldEvery of [3, 5, undefined]) {
    it(`leaves nothing behind wherever it is interrupted (giving way every ${yieldEvery ?? "2,048"})`, async () => {
      let held = 0
      const points = await sweep(
        () => {
          const source = Stream.unwrap(
            Effect.as(
              Effect.acquireRelease(
                Effect.sync(() => void held++),
                () =>
                  Effect.andThen(
                    Effect.yieldNow,
                    Effect.sync(() => void held--)
                  )
              ),
              timed([1, "a"], [3, "b"], [1000, "c"])
            )
          )
          return Effect.exit(Stream.runDrain(Timeout.stream(source, { firstToken: 10, idle: 10, total: 100 })))
        },
        ({ clock, point }) => {
          expect(held, `point ${point}`).toBe(0)
          expect(clock.sleeping(), `point ${point}`).toBe(0)
        },
        yieldEvery === undefined ? {} : { yieldEvery }
      )
      expect(points).toBeGreaterThan(30)
    })
  }
})

describe("pullWatch", () => {
  it.effect("does not start a pull when the time is over", () =>
    Effect.gen(function* () {
      const watch = PullWatch.make({ firstTokenMs: 100, idleMs: 100, totalMs: 150, onTimeout: (phase) => phase })
      let pulls = 0
      const pull = Effect.sync(() => ++pulls)
      expect(yield* watch.run(pull)).toBe(1)
      watch.content()
      yield* TestClock.adjust(149)
      expect(yield* watch.run(pull)).toBe(2)
      yield* TestClock.adjust(1)
      expect(yield* Effect.flip(watch.run(pull))).toBe("total")
      expect(pulls).toBe(2)
    })
  )

  it.effect("hands on what a pull brings in the very moment of its limit", () =>
    Effect.gen(function* () {
      const watch = PullWatch.make({ firstTokenMs: 100, idleMs: 100, totalMs: 150, onTimeout: (phase) => phase })
      const fiber = yield* Effect.forkChild(watch.run(Effect.as(Effect.sleep(100), "there")))
      yield* TestClock.adjust(100)
      expect(yield* Fiber.join(fiber)).toBe("there")
      yield* watch.stop
    })
  )

  it.effect("is the pull itself without limits", () =>
    Effect.sync(() => {
      const watch = PullWatch.make({ firstTokenMs: Infinity, idleMs: Infinity, totalMs: Infinity, onTimeout: () => "" })
      const pull = Effect.succeed(1)
      expect(watch.run(pull)).toBe(pull)
    })
  )

  it.effect("within ends a pull that takes too long as the end of its stream", () =>
    Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(Effect.exit(PullWatch.within(50, Effect.never)))
      yield* TestClock.adjust(50)
      const exit = yield* Fiber.join(fiber)
      expect(
        Exit.isFailure(exit) && exit.cause.reasons.some((r) => Cause.isFailReason(r) && Cause.isDone(r.error))
      ).toBe(true)
    })
  )
})
