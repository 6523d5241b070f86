import { Event, LLMError } from "@breakwater/core"
import * as Hedge from "../../../../packages/core/src/policy/Hedge.ts"
import { describe, expect, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/testing/TestClock"
import { sweep } from "../../../support/sweep.ts"

const key = "a/m"

/** A hedge that has seen 100 results of 1 to 100 ms, and has saved up its whole budget. */
const warm = (options: Hedge.Options = {}) =>
  Effect.gen(function* () {
    const hedge = yield* Hedge.make(options)
    const clock = yield* Clock.Clock
    const nowMs = () => Number(clock.monotonicTimeNanosUnsafe()) / 1e6
    for (let ms = 1; ms <= 100; ms++) hedge.observe(key, ms, nowMs())
    for (let i = 0; i < 200; i++) hedge.onCall(key, nowMs())
    return { hedge, nowMs, delayMs: hedge.delayMs(key, nowMs())!, snapshot: () => hedge.snapshot(key, nowMs()) }
  })

/** Attempts that note when they start and how they end. */
const attempts = (...of: ReadonlyArray<Effect.Effect<string, string>>) => {
  const log: Array<string> = []
  const make = (attempt: number): Effect.Effect<string, string> => {
    log.push(`start ${attempt}`)
    return Effect.onExit(of[attempt - 1]!, (exit) =>
      Effect.sync(() =>
        log.push(`${Exit.isSuccess(exit) ? "done" : Cause.hasInterrupts(exit.cause) ? "cut" : "fail"} ${attempt}`)
      )
    )
  }
  return { log, make }
}

const after = <A, E>(ms: number, effect: Effect.Effect<A, E>) => Effect.delay(effect, ms)
const settle = Effect.forEach([1, 2, 3, 4], () => Effect.yieldNow, { discard: true })
const fork = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.forkChild(effect, { startImmediately: true })

describe("one call", () => {
  it.effect("a fast first answer starts none", () =>
    Effect.gen(function* () {
      const { delayMs, hedge, snapshot } = yield* warm()
      const before = snapshot().budget
      const { log, make } = attempts(after(delayMs - 5, Effect.succeed("first")), Effect.succeed("second"))
      const fiber = yield* fork(Hedge.hedgeWith(hedge, make, { key }))
      yield* TestClock.adjust("1 second")
      expect(yield* Fiber.join(fiber)).toBe("first")
      expect(log).toEqual(["start 1", "done 1"])
      expect(snapshot().budget).toBe(before)
    })
  )

  it.effect("an answer at once needs no timer", () =>
    Effect.gen(function* () {
      const { hedge } = yield* warm()
      const clock = yield* Clock.Clock
      const noTimers = { ...clock, sleep: (): never => expect.unreachable("a timer was made") }
      const call = Hedge.hedgeWith(hedge, Effect.succeed("first"), { key })
      expect(yield* Effect.provideService(call, Clock.Clock, noTimers)).toBe("first")
    })
  )

  it.effect("a slow first starts a second after the p95, and the first to answer wins", () =>
    Effect.gen(function* () {
      const { delayMs, hedge } = yield* warm()
      expect(delayMs).toBeGreaterThanOrEqual(95)
      expect(delayMs).toBeLessThanOrEqual(95 * 1.085)
      const { log, make } = attempts(Effect.never, after(10, Effect.succeed("second")))
      const losers: Array<Hedge.Loser<string, string>> = []
      const fiber = yield* fork(Hedge.hedgeWith(hedge, make, { key, onLoser: (loser) => losers.push(loser) }))
      yield* TestClock.adjust(Math.ceil(delayMs) - 1)
      expect(log).toEqual(["start 1"])
      yield* TestClock.adjust(1)
      yield* settle
      expect(log).toEqual(["start 1", "start 2"])
      yield* TestClock.adjust(10)
      expect(yield* Fiber.join(fiber)).toBe("second")
      yield* settle
      expect(log).toEqual(["start 1", "start 2", "done 2", "cut 1"])
      expect(losers).toMatchObject([{ attempt: 1, tookMs: Math.ceil(delayMs) + 10, exit: { _tag: "Failure" } }])
    })
  )

  it.effect("the winner is never cancelled, also when it is the first", () =>
    Effect.gen(function* () {
      const { delayMs, hedge } = yield* warm()
      const { log, make } = attempts(after(delayMs + 20, Effect.succeed("first")), Effect.never)
      const fiber = yield* fork(Hedge.hedgeWith(hedge, make, { key }))
      yield* TestClock.adjust("1 second")
      expect(yield* Fiber.join(fiber)).toBe("first")
      yield* settle
      expect(log).toEqual(["start 1", "start 2", "done 1", "cut 2"])
    })
  )

  it.effect("a failed first starts the next at once", () =>
    Effect.gen(function* () {
      const { hedge } = yield* warm()
      const { log, make } = attempts(after(10, Effect.fail("down")), Effect.succeed("second"))
      const fiber = yield* fork(Hedge.hedgeWith(hedge, make, { key }))
      yield* TestClock.adjust(10)
      expect(yield* Fiber.join(fiber)).toBe("second")
      expect(log).toEqual(["start 1", "fail 1", "start 2", "done 2"])
    })
  )

  it.effect("a failed first waits for a second that is under way", () =>
    Effect.gen(function* () {
      const { delayMs, hedge } = yield* warm()
      const { log, make } = attempts(after(delayMs + 10, Effect.fail("down")), after(50, Effect.succeed("second")))
      const fiber = yield* fork(Hedge.hedgeWith(hedge, make, { key }))
      yield* TestClock.adjust("1 second")
      expect(yield* Fiber.join(fiber)).toBe("second")
      expect(log).toEqual(["start 1", "start 2", "fail 1", "done 2"])
    })
  )

  it.effect("all fail: the last error", () =>
    Effect.gen(function* () {
      const { delayMs, hedge } = yield* warm({ maxHedges: 2 })
      const at = (ms: number, error: string) => after(ms, Effect.fail(error))
      // The second fails first, and brings the third.
      const { log, make } = attempts(at(delayMs + 50, "first"), at(10, "second"), at(100, "third"))
      const fiber = yield* fork(Hedge.hedgeWith(hedge, make, { key }))
      yield* TestClock.adjust("1 second")
      expect(yield* Effect.flip(Fiber.join(fiber))).toBe("third")
      expect(log).toEqual(["start 1", "start 2", "fail 2", "start 3", "fail 1", "fail 3"])
    })
  )

  it.effect("failing at once, all of them, ends with the last error too", () =>
    Effect.gen(function* () {
      const { hedge } = yield* warm({ maxHedges: 3 })
      const { log, make } = attempts(...["1", "2", "3", "4"].map((error) => Effect.fail(error)))
      expect(yield* Effect.flip(Hedge.hedgeWith(hedge, make, { key }))).toBe("4")
      expect(log.filter((line) => line.startsWith("start"))).toHaveLength(4)
    })
  )

  it.effect("an error that another attempt cannot mend ends the call, and so does a defect", () =>
    Effect.gen(function* () {
      const { hedge } = yield* warm()
      const invalid = new LLMError.InvalidRequestError({ message: "no" })
      let calls = 0
      const count = <A, E>(effect: Effect.Effect<A, E>) => Effect.suspend(() => (calls++, effect))
      expect(yield* Effect.flip(Hedge.hedgeWith(hedge, count(Effect.fail(invalid)), { key }))).toBe(invalid)
      const exit = yield* Effect.exit(Hedge.hedgeWith(hedge, count(Effect.die("bug")), { key }))
      expect(exit).toEqual(Exit.die("bug"))
      yield* Effect.flip(Hedge.hedgeWith(hedge, count(Effect.fail("x")), { key, again: () => false }))
      expect(calls).toBe(3)
    })
  )

  it.effect("cancelling the caller cancels all, and waits for them", () =>
    Effect.gen(function* () {
      const { delayMs, hedge } = yield* warm()
      const slowly = Effect.onInterrupt(Effect.never, () => Effect.sleep(100))
      const { log, make } = attempts(slowly, slowly)
      const fiber = yield* fork(Hedge.hedgeWith(hedge, make, { key }))
      yield* TestClock.adjust(Math.ceil(delayMs))
      const stop = yield* fork(Fiber.interrupt(fiber))
      yield* TestClock.adjust(99)
      expect(stop.pollUnsafe()).toBeUndefined()
      yield* TestClock.adjust(1)
      yield* Fiber.join(stop)
      expect(log).toEqual(["start 1", "start 2", "cut 1", "cut 2"])
    })
  )

  it.effect("an exhausted budget suppresses only the new one", () =>
    Effect.gen(function* () {
      const { hedge, nowMs, snapshot } = yield* warm()
      while (hedge.tryStart(key, nowMs()));
      expect(snapshot().budget).toBe(0)
      const { log, make } = attempts(after(500, Effect.succeed("first")), Effect.succeed("second"))
      const fiber = yield* fork(Hedge.hedgeWith(hedge, make, { key }))
      yield* TestClock.adjust("1 second")
      expect(yield* Fiber.join(fiber)).toBe("first")
      expect(log).toEqual(["start 1", "done 1"])
    })
  )

  it.effect("never when quota or spend is short, and nothing is drawn then; a predicate that throws says no", () =>
    Effect.gen(function* () {
      const { hedge, snapshot } = yield* warm()
      const before = snapshot().budget
      for (const allow of [
        () => false,
        (): never => {
          throw new Error("bug")
        }
      ]) {
        const { log, make } = attempts(after(500, Effect.succeed("first")), Effect.succeed("second"))
        const fiber = yield* fork(Hedge.hedgeWith(hedge, make, { key, allow }))
        yield* TestClock.adjust("1 second")
        expect(yield* Fiber.join(fiber)).toBe("first")
        expect(log).toEqual(["start 1", "done 1"])
      }
      expect(snapshot().budget).toBe(before)
    })
  )

  it.effect("the answer does not wait for the loser's cleaning up, but the hedge's scope does", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const { delayMs, hedge } = yield* Effect.provideService(warm(), Scope.Scope, scope)
      const slowly = Effect.onInterrupt(Effect.never, () => Effect.sleep("10 seconds"))
      const { log, make } = attempts(slowly, Effect.succeed("second"))
      const fiber = yield* fork(Hedge.hedgeWith(hedge, make, { key }))
      yield* TestClock.adjust(Math.ceil(delayMs))
      expect(yield* Fiber.join(fiber)).toBe("second")
      const closing = yield* fork(Scope.close(scope, Exit.void))
      yield* TestClock.adjust("9 seconds")
      expect([closing.pollUnsafe(), log.includes("cut 1")]).toEqual([undefined, false])
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(closing)
      expect(log).toContain("cut 1")
    })
  )

  it.effect("nothing is hedged before the key is warmed up", () =>
    Effect.gen(function* () {
      const hedge = yield* Hedge.make({ minSamples: 3 })
      const slow = attempts(after(100, Effect.succeed("first")), Effect.succeed("second"))
      for (let i = 0; i < 3; i++) {
        expect(hedge.delayMs(key, 0)).toBeUndefined()
        const fiber = yield* fork(Hedge.hedgeWith(hedge, slow.make, { key }))
        yield* TestClock.adjust("1 second")
        yield* Fiber.join(fiber)
      }
      expect(slow.log.filter((line) => line === "start 2")).toEqual([])
      expect(hedge.delayMs(key, 3000)).toBeGreaterThanOrEqual(100)
      expect(yield* Effect.flip(Hedge.hedgeWith(hedge, Effect.fail("down"), { key: "other" }))).toBe("down")
    })
  )

  it.effect("events say what was started, what won and what lost; bugs of observers harm nobody", () =>
    Effect.gen(function* () {
      const { delayMs, hedge } = yield* warm()
      const events: Array<Event.PolicyEvent> = []
      const { make } = attempts(Effect.never, after(10, Effect.succeed("second")))
      const call = Hedge.hedgeWith(hedge, make, {
        key,
        onLoser: () => {
          throw new Error("bug")
        }
      })
      const fiber = yield* fork(
        Effect.provideService(call, Event.EventSink, (event) => {
          events.push(event)
          throw new Error("bug")
        })
      )
      yield* TestClock.adjust("1 second")
      expect(yield* Fiber.join(fiber)).toBe("second")
      const afterMs = Math.ceil(delayMs)
      expect(events).toEqual([
        { type: "hedge-started", key, attempt: 2, reason: "slow", afterMs },
        { type: "hedge-won", key, attempt: 2, tookMs: 10 },
        { type: "hedge-lost", key, attempt: 1, tookMs: afterMs + 10 }
      ])
    })
  )

  it.effect("through the service in the context, and without one", () =>
    Effect.gen(function* () {
      const use = Effect.all([
        Effect.succeed(1).pipe(Hedge.hedge({ key })),
        Hedge.hedge((attempt) => Effect.succeed(attempt), { key })
      ])
      expect(yield* Effect.provide(use, Hedge.layer())).toEqual([1, 1])
      expect(yield* Effect.provide(use, Hedge.layerNoop)).toEqual([1, 1])
    })
  )
})

describe("interruption at every operation", () => {
  it.each([undefined, 3, 7])(
    "leaves no attempt and no timer, yielding every %s operations",
    async (yieldEvery) => {
      let running = 0
      let losers = 0
      const points = await sweep(
        () => {
          running = losers = 0
          const work = <A>(ms: number, effect: Effect.Effect<A, string>) =>
            Effect.acquireUseRelease(
              Effect.sync(() => void running++),
              () => Effect.andThen(Effect.sleep(ms), effect),
              () => Effect.sync(() => void running--)
            )
          const of = [work(500, Effect.succeed("a")), work(30, Effect.fail("b")), work(40, Effect.succeed("c"))]
          return Effect.scoped(
            Effect.gen(function* () {
              const { hedge } = yield* warm({ maxHedges: 2 })
              return yield* Hedge.hedgeWith(hedge, (attempt) => of[attempt - 1]!, { key, onLoser: () => losers++ })
            })
          )
        },
        ({ clock, exit, point }) => {
          expect(running, `attempts at point ${point}`).toBe(0)
          expect(clock.sleeping(), `timers at point ${point}`).toBe(0)
          if (yieldEvery === undefined && exit._tag === "Success") expect([exit.value, losers]).toEqual(["c", 1])
        },
        yieldEvery === undefined ? {} : { yieldEvery }
      )
      expect(points).toBeGreaterThan(20)
    },
    20_000
  )
})

describe("what is learned", () => {
  it.effect("a loser that ran longer than the delay counts as at least so long, or the delay would sink", () =>
    Effect.gen(function* () {
      const { delayMs, hedge, nowMs } = yield* warm({ burst: 1_000, budget: 1 })
      for (let i = 0; i < 50; i++) {
        const { make } = attempts(Effect.never, Effect.succeed("second"))
        const fiber = yield* fork(Hedge.hedgeWith(hedge, make, { key }))
        yield* TestClock.adjust("1 second")
        yield* Fiber.join(fiber)
      }
      expect(hedge.delayMs(key, nowMs())).toBeGreaterThanOrEqual(delayMs)
    })
  )

  it.effect("floor and ceiling bound the delay", () =>
    Effect.gen(function* () {
      const low = yield* warm({ maxDelay: "50 millis" })
      const high = yield* warm({ minDelay: "3 seconds" })
      expect([low.delayMs, high.delayMs]).toEqual([50, 3000])
    })
  )

  it.effect("an old measurement fades, and a key that was idle for long starts anew", () =>
    Effect.gen(function* () {
      const hedge = yield* Hedge.make({ halfLife: "1 minute", idleTimeToLive: "1 hour" })
      for (let i = 0; i < 100; i++) hedge.observe(key, 1000, 0)
      for (let i = 0; i < 100; i++) hedge.observe(key, 10, 600_000)
      expect(hedge.delayMs(key, 600_000)).toBeLessThan(11)
      expect(hedge.snapshot(key, 600_000).samples).toBeCloseTo(100.1, 0)
      // Three half-lives leave 12.5 of 100: too few.
      expect(hedge.delayMs(key, 600_000 + 180_000)).toBeUndefined()
      expect(hedge.snapshot(key, 600_000 + 3_600_001)).toEqual({ key, samples: 0, budget: 0 })
    })
  )

  it.effect("at most one extra call in twenty, from the very first", () =>
    Effect.gen(function* () {
      const hedge = yield* Hedge.make()
      let started = 0
      for (let calls = 1; calls <= 10_000; calls++) {
        hedge.onCall(key, calls)
        if (hedge.tryStart(key, calls)) started++
        expect(started).toBeLessThanOrEqual(calls / 20)
      }
      expect(started).toBe(500)
      for (let i = 0; i < 100_000; i++) hedge.onCall(key, 10_000)
      expect(hedge.snapshot(key, 10_000).budget).toBe(10)
    })
  )

  it.effect("200,000 keys leave no more behind than maxKeys", () =>
    Effect.gen(function* () {
      const hedge = yield* Hedge.make({ maxKeys: 100 })
      for (let i = 0; i < 200_000; i++) hedge.onCall(`key-${i}`, i)
      let known = 0
      for (let i = 0; i < 200_000; i++)
        if (hedge.snapshot(`key-${i}`, 200_000).samples + hedge.snapshot(`key-${i}`, 200_000).budget > 0) known++
      expect(known).toBeLessThanOrEqual(100)
    })
  )
})

describe("options", () => {
  const bad = [0, -1, NaN, Infinity]
  const wrong: ReadonlyArray<[string, Hedge.Options]> = [
    ...bad.map((quantile): [string, Hedge.Options] => ["quantile", { quantile }]),
    ...bad.map((minSamples): [string, Hedge.Options] => ["minSamples", { minSamples }]),
    ...bad.map((minDelay): [string, Hedge.Options] => ["minDelay", { minDelay }]),
    ...bad.map((maxDelay): [string, Hedge.Options] => ["maxDelay", { maxDelay }]),
    ["maxDelay", { minDelay: "2 seconds", maxDelay: "1 second" }],
    ...[...bad, 1.1].map((budget): [string, Hedge.Options] => ["budget", { budget }]),
    ...bad.map((burst): [string, Hedge.Options] => ["burst", { burst }]),
    ...[...bad, 11].map((maxHedges): [string, Hedge.Options] => ["maxHedges", { maxHedges }]),
    ...bad.map((halfLife): [string, Hedge.Options] => ["halfLife", { halfLife }]),
    ...bad.map((n): [string, Hedge.Options] => ["idleTimeToLive", { idleTimeToLive: n }]),
    ...[...bad, 1].map((maxKeys): [string, Hedge.Options] => ["maxKeys", { maxKeys }])
  ]

  it.each(wrong)("a wrong %s is named: %j", async (field, options) => {
    const exit = await Effect.runPromiseExit(Effect.scoped(Hedge.make(options)))
    expect(Exit.isFailure(exit) && Cause.pretty(exit.cause)).toContain(`hedge.${field} is`)
  })

  it.effect("come from configuration", () =>
    Effect.gen(function* () {
      expect((yield* Hedge.Hedge).maxHedges).toBe(3)
    }).pipe(
      Effect.provide(
        Hedge.layerConfig({ maxHedges: Config.Int("HEDGES") }).pipe(
          Layer.provide(ConfigProvider.layer(ConfigProvider.fromUnknown({ HEDGES: "3" })))
        )
      )
    )
  )
})
