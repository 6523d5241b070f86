/** A cache whose store is lost: it is not asked any more, but for one call at a time. */
import { CacheStore, Event, type LLMError, ResponseCache } from "@breakwater/core"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/testing/TestClock"
import { callOf, farStore, recorder, responseOf, storeDown } from "../support/cache.ts"

const setup = (options?: ResponseCache.Options) =>
  Effect.gen(function* () {
    const state: { is: "well" | "down" | "silent" | "broken" } = { is: "well" }
    const seen = { gets: 0, sets: 0 }
    const near = yield* CacheStore.makeMemory()
    const through = <A>(effect: Effect.Effect<A, LLMError.StoreError>): Effect.Effect<A, LLMError.StoreError> =>
      Effect.suspend(() => {
        if (state.is === "well") return effect
        return state.is === "down"
          ? Effect.fail(storeDown("any"))
          : state.is === "silent"
            ? Effect.never
            : Effect.die("bug")
      })
    const store = farStore(near, {
      get: (key) => {
        seen.gets++
        return through(near.get(key))
      },
      set: (key, entry, ttlMs) => {
        seen.sets++
        return through(near.set(key, entry, ttlMs))
      }
    })
    const { events, record, told } = recorder()
    const cache = yield* ResponseCache.makeShared(options).pipe(Effect.provideService(CacheStore.CacheStore, store))
    const ask = (prompt = "Hello") =>
      Effect.provideService(
        Effect.tap(
          cache.around!.generate(callOf({ prompt }), Effect.succeed(responseOf("answer"))),
          () => Effect.yieldNow
        ),
        Event.EventSink,
        record
      )
    return { ask, cache, events, seen, state, told }
  })

describe("a store that is lost", () => {
  for (const how of ["down", "broken"] as const) {
    it.effect(`is not asked after three failures in a row (${how}), and nobody is told of each call`, () =>
      Effect.gen(function* () {
        const { ask, cache, events, seen, state, told } = yield* setup()
        state.is = how
        for (let i = 0; i < 10; i++) expect((yield* ask(`${i}`)).text).toBe("answer")
        expect(seen).toEqual({ gets: 3, sets: 2 })
        expect(told().filter((each) => each === "store-lost")).toHaveLength(1)
        expect(events.find(({ type }) => type === "store-lost")).toMatchObject({ store: "far", mode: "fail-open" })
        expect(told().filter((each) => each === "cache-store-failed:failed")).toHaveLength(5)
        expect(told().filter((each) => each === "cache-miss:store")).toHaveLength(10)
        expect(yield* cache.stats).toMatchObject({ misses: 10, storeFailures: 5 })
      })
    )
  }

  it.effect("is looked for by one call after each pause, and the pauses double up to the longest", () =>
    Effect.gen(function* () {
      const { ask, seen, state } = yield* setup({ lostAfter: 1, firstProbe: "100 millis", longestProbe: "300 millis" })
      state.is = "down"
      yield* ask()
      expect(seen.gets).toBe(1)
      for (const [passMs, gets] of [
        [99, 1],
        [1, 2],
        [199, 2],
        [1, 3],
        [299, 3],
        [1, 4],
        [299, 4],
        [1, 5]
      ] as const) {
        yield* TestClock.adjust(passMs)
        yield* ask()
        yield* ask()
        expect(seen.gets).toBe(gets)
      }
    })
  )

  it.effect("is used again when it answers", () =>
    Effect.gen(function* () {
      const { ask, events, seen, state } = yield* setup({ lostAfter: 2 })
      yield* ask()
      state.is = "down"
      yield* ask("1")
      yield* ask("2")
      state.is = "well"
      expect((yield* ask()).cached).toBeUndefined()
      yield* TestClock.adjust("100 millis")
      expect((yield* ask()).cached?.source).toBe("exact")
      expect((yield* ask()).cached?.source).toBe("exact")
      expect(events.find(({ type }) => type === "store-recovered")).toMatchObject({ store: "far", lostMs: 100 })
      expect(seen.sets).toBe(2)
      yield* ask("3")
      expect(seen.sets).toBe(3)
    })
  )

  it.effect("costs the read timeout so many times, and no more", () =>
    Effect.gen(function* () {
      const { ask, seen, state, told } = yield* setup({ readTimeout: "250 millis" })
      state.is = "silent"
      for (let i = 0; i < 3; i++) {
        const fiber = yield* Effect.forkChild(ask(`${i}`))
        yield* Effect.yieldNow
        expect(fiber.pollUnsafe()).toBeUndefined()
        yield* TestClock.adjust("250 millis")
        yield* Fiber.join(fiber)
      }
      expect(told()).toContain("store-lost")
      for (let i = 0; i < 100; i++) yield* ask(`more ${i}`)
      expect(seen.gets).toBe(3)
    })
  )

  it.effect("a success in between begins the count anew, and writes that fail do not count", () =>
    Effect.gen(function* () {
      const { ask, seen, state, told } = yield* setup()
      for (let i = 0; i < 5; i++) {
        state.is = "down"
        yield* ask(`${i}a`)
        yield* ask(`${i}b`)
        state.is = "well"
        yield* ask(`${i}c`)
      }
      expect(seen.gets).toBe(15)
      expect(told()).not.toContain("store-lost")
    })
  )

  it.effect("a probe that is interrupted is not the last", () =>
    Effect.gen(function* () {
      const { ask, seen, state } = yield* setup({ lostAfter: 1 })
      state.is = "down"
      yield* ask()
      state.is = "silent"
      yield* TestClock.adjust("100 millis")
      const probe = yield* Effect.forkChild(ask("probe"))
      yield* Effect.yieldNow
      expect(seen.gets).toBe(2)
      yield* Fiber.interrupt(probe)
      state.is = "well"
      yield* ask()
      expect(seen.gets).toBe(3)
    })
  )
})

describe("wrong options are named", () => {
  for (const [field, options] of [
    ["cache.lostAfter", { lostAfter: 0 }],
    ["cache.lostAfter", { lostAfter: 1.5 }],
    ["cache.lostAfter", { lostAfter: Number.NaN }],
    ["cache.firstProbe", { firstProbe: 0 }],
    ["cache.firstProbe", { firstProbe: Infinity }],
    ["cache.longestProbe", { longestProbe: -1 }],
    ["cache.longestProbe", { firstProbe: "2 seconds", longestProbe: "1 second" }]
  ] as const) {
    it.effect(`${field} of ${JSON.stringify(options)}`, () =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(ResponseCache.make(options))
        expect(String(error.message)).toContain(field)
      })
    )
  }
})
