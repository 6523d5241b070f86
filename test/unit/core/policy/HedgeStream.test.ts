import * as Hedge from "../../../../packages/core/src/policy/Hedge.ts"
import { describe, expect, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import { sweep } from "../../../support/sweep.ts"

const key = "a/m"
const isContent = (part: string) => !part.startsWith(":")

const warm = (options: Hedge.Options = {}) =>
  Effect.gen(function* () {
    const hedge = yield* Hedge.make(options)
    const clock = yield* Clock.Clock
    const nowMs = () => Number(clock.monotonicTimeNanosUnsafe()) / 1e6
    for (let i = 0; i < 200; i++) {
      hedge.observe(key, 100, nowMs())
      hedge.onCall(key, nowMs())
    }
    return { hedge, nowMs, delayMs: Math.ceil(hedge.delayMs(key, nowMs())!) }
  })

/** Streams of parts, each after its time, that note when they are opened and closed. */
const sources = (...of: ReadonlyArray<ReadonlyArray<readonly [ms: number, part: string | Error]>>) => {
  const log: Array<string> = []
  let open = 0
  const make = (attempt: number): Stream.Stream<string, string> =>
    Stream.unwrap(
      Effect.as(
        Effect.acquireRelease(
          Effect.sync(() => {
            open++
            log.push(`open ${attempt}`)
          }),
          () =>
            Effect.sync(() => {
              open--
              log.push(`close ${attempt}`)
            })
        ),
        Stream.fromIterable(of[attempt - 1]!).pipe(
          Stream.mapEffect(([ms, part]) =>
            Effect.delay(typeof part === "string" ? Effect.succeed(part) : Effect.fail(part.message), ms)
          )
        )
      )
    )
  return { log, make, open: () => open }
}

const collect = <E, R>(stream: Stream.Stream<string, E, R>) => {
  const seen: Array<string> = []
  const run = Stream.runForEach(stream, (part) => Effect.sync(() => void seen.push(part)))
  return { seen, run }
}
const fork = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.forkChild(effect, { startImmediately: true })
const settle = Effect.forEach([1, 2, 3, 4], () => Effect.yieldNow, { discard: true })

describe("a hedged stream", () => {
  it.effect("whose first content is in time is the only one", () =>
    Effect.gen(function* () {
      const { hedge } = yield* warm()
      const { log, make } = sources(
        [
          [50, "a"],
          [500, "b"]
        ],
        [[0, "other"]]
      )
      const { run, seen } = collect(Hedge.streamWith(hedge, make, { key, isContent }))
      const fiber = yield* fork(run)
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(fiber)
      expect(seen).toEqual(["a", "b"])
      expect(log).toEqual(["open 1", "close 1"])
    })
  )

  it.effect("commits to the first content; what the loser said before is never seen, and the loser is closed", () =>
    Effect.gen(function* () {
      const { delayMs, hedge } = yield* warm()
      const { log, make } = sources(
        [
          [1, ":early"],
          [10_000, "late"]
        ],
        [
          [1, ":meta"],
          [9, "x"],
          [5_000, "y"]
        ]
      )
      const losers: Array<unknown> = []
      const { run, seen } = collect(
        Hedge.streamWith(hedge, make, { key, isContent, onLoser: (loser) => losers.push(loser) })
      )
      const fiber = yield* fork(run)
      yield* TestClock.adjust(delayMs)
      yield* TestClock.adjust(9)
      expect([seen, log]).toEqual([[], ["open 1", "open 2"]])
      yield* TestClock.adjust(1)
      yield* settle
      expect([seen, log]).toEqual([
        [":meta", "x"],
        ["open 1", "open 2", "close 1"]
      ])
      expect(losers).toEqual([{ attempt: 1, tookMs: delayMs + 10 }])
      yield* TestClock.adjust("5 seconds")
      yield* Fiber.join(fiber)
      expect(seen).toEqual([":meta", "x", "y"])
      expect(log).toEqual(["open 1", "open 2", "close 1", "close 2"])
    })
  )

  it.effect("that fails before content starts the next at once, and one that fails after it just fails", () =>
    Effect.gen(function* () {
      const { hedge } = yield* warm()
      const { log, make } = sources(
        [
          [1, ":meta"],
          [1, new Error("early")]
        ],
        [
          [1, "x"],
          [1, new Error("late")]
        ]
      )
      const { run, seen } = collect(Hedge.streamWith(hedge, make, { key, isContent }))
      const fiber = yield* fork(run)
      yield* TestClock.adjust(10)
      expect(yield* Effect.flip(Fiber.join(fiber))).toBe("late")
      expect(seen).toEqual(["x"])
      expect(log).toEqual(["open 1", "close 1", "open 2", "close 2"])
    })
  )

  it.effect("that ends without content has committed to that", () =>
    Effect.gen(function* () {
      const { hedge } = yield* warm()
      for (const parts of [[], [[1, ":meta"]] as const]) {
        const { log, make } = sources(parts)
        const { run, seen } = collect(Hedge.streamWith(hedge, make, { key, isContent }))
        const fiber = yield* fork(run)
        yield* TestClock.adjust(10)
        yield* Fiber.join(fiber)
        expect(seen).toEqual(parts.map(([, part]) => part))
        expect(log).toEqual(["open 1", "close 1"])
      }
    })
  )

  it.effect("of which all fail ends with the last error", () =>
    Effect.gen(function* () {
      const { hedge } = yield* warm()
      const { make, open } = sources([[300, new Error("first")]], [[10, new Error("second")]])
      const fiber = yield* fork(Stream.runDrain(Hedge.streamWith(hedge, make, { key })))
      yield* TestClock.adjust("1 second")
      expect(yield* Effect.flip(Fiber.join(fiber))).toBe("first")
      expect(open()).toBe(0)
    })
  )

  it.effect("that is left closes what it has open: both, or the winner", () =>
    Effect.gen(function* () {
      const { delayMs, hedge } = yield* warm()
      for (const waitMs of [delayMs, delayMs + 10]) {
        const { log, make, open } = sources(
          [[10_000, "late"]],
          [
            [10, "x"],
            [10_000, "y"]
          ]
        )
        const fiber = yield* fork(Stream.runDrain(Hedge.streamWith(hedge, make, { key })))
        yield* TestClock.adjust(waitMs)
        yield* settle
        yield* Fiber.interrupt(fiber)
        yield* settle
        expect(open()).toBe(0)
        expect(log.length).toBe(4)
      }
      const { make, open } = sources([
        [1, "a"],
        [1, "b"]
      ])
      const head = yield* fork(Stream.runHead(Hedge.streamWith(hedge, make, { key })))
      yield* TestClock.adjust(10)
      expect(yield* Fiber.join(head)).toMatchObject({ value: "a" })
      expect(open()).toBe(0)
    })
  )

  it.effect("teaches the time to its first content, also before it is warmed up", () =>
    Effect.gen(function* () {
      const hedge = yield* Hedge.make({ minSamples: 2 })
      const { make } = sources([
        [10, ":meta"],
        [40, "a"],
        [5_000, "b"]
      ])
      for (let i = 0; i < 2; i++) {
        const fiber = yield* fork(Stream.runDrain(Hedge.streamWith(hedge, make, { key, isContent })))
        yield* TestClock.adjust("10 seconds")
        yield* Fiber.join(fiber)
      }
      const delayMs = hedge.delayMs(key, 20_000)!
      expect(delayMs).toBeGreaterThanOrEqual(50)
      expect(delayMs).toBeLessThanOrEqual(50 * 1.085)
    })
  )

  it.effect("through the service in the context", () =>
    Effect.gen(function* () {
      const stream = Hedge.stream((attempt) => Stream.make(`${attempt}`), { key })
      expect(yield* Stream.runCollect(stream)).toEqual(["1"])
    }).pipe(Effect.provide(Hedge.layer()))
  )

  it.each([undefined, 3, 7])(
    "interrupted at every operation leaves nothing, yielding every %s",
    async (yieldEvery) => {
      let open = () => 0
      let seen: Array<string> = []
      const points = await sweep(
        () => {
          const source = sources(
            [[500, "a"]],
            [
              [1, ":meta"],
              [30, "x"],
              [10, "y"]
            ]
          )
          open = source.open
          return Effect.scoped(
            Effect.gen(function* () {
              const { hedge } = yield* warm()
              const collected = collect(Hedge.streamWith(hedge, source.make, { key, isContent }))
              seen = collected.seen
              yield* collected.run
            })
          )
        },
        ({ clock, exit, point }) => {
          expect(open(), `streams at point ${point}`).toBe(0)
          expect(clock.sleeping(), `timers at point ${point}`).toBe(0)
          if (yieldEvery === undefined && exit._tag === "Success") expect(seen).toEqual([":meta", "x", "y"])
        },
        yieldEvery === undefined ? {} : { yieldEvery }
      )
      expect(points).toBeGreaterThan(20)
    },
    20_000
  )
})
