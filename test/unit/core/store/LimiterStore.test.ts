import { Event, LLMError, LimiterStore, RateLimiter } from "@breakwater/core"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { TestClock } from "effect/testing"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"

setFlagsFromString("--expose-gc")
const collect = runInNewContext("gc") as () => void

const bytes = (): number => {
  for (let i = 0; i < 3; i++) collect()
  const { arrayBuffers, heapUsed } = process.memoryUsage()
  return heapUsed + arrayBuffers
}

describe("a million keys", () => {
  for (const algorithm of ["token-bucket", "gcra", "sliding-counter", "fixed-window"] as const) {
    it.effect(
      `take at most 200 bytes each, and nothing after idling: ${algorithm}`,
      () =>
        Effect.gen(function* () {
          const store = yield* LimiterStore.makeMemory()
          const { local } = store.open("a", [{ algorithm, limit: 10, windowMs: 60_000, burst: 10 }])
          const empty = bytes()
          for (let i = 0; i < 1_000_000; i++) local!.decide(`user-${i}`, 1, 0, true)
          expect(yield* store.size).toBe(1_000_000)
          const perKey = (bytes() - empty) / 1_000_000
          expect(perKey).toBeLessThanOrEqual(200)
          yield* TestClock.adjust("5 minutes")
          for (let i = 0; i < 200 && (yield* store.size) !== 0; i++) yield* Effect.yieldNow
          expect(yield* store.size).toBe(0)
          expect(bytes() - empty).toBeLessThan(3_000_000)
        }),
      60_000
    )
  }

  it.effect(
    "take at most 200 bytes each with one grant in a sliding log",
    () =>
      Effect.gen(function* () {
        const store = yield* LimiterStore.makeMemory()
        const { local } = store.open("a", [{ algorithm: "sliding-log", limit: 10, windowMs: 60_000, burst: 10 }])
        const empty = bytes()
        for (let i = 0; i < 200_000; i++) local!.decide(`user-${i}`, 1, 0, true)
        expect((bytes() - empty) / 200_000).toBeLessThanOrEqual(250)
        expect(yield* store.size).toBe(200_000)
      }),
    60_000
  )
})

/** A store far away: it answers later, and fails while told so. */
const far = Effect.gen(function* () {
  const memory = yield* LimiterStore.makeMemory()
  const state = { down: false, takes: 0 }
  const store: LimiterStore.LimiterStoreService = {
    ...memory,
    name: "far",
    open: (namespace, rules) => {
      const { local: _, ...limits } = memory.open(namespace, rules)
      const slowly = <A>(operation: string, effect: Effect.Effect<A, LLMError.StoreError>) =>
        Effect.suspend(() => {
          if (state.down) return Effect.fail(new LLMError.StoreError({ message: "down", store: "far", operation }))
          return Effect.andThen(Effect.sleep("10 millis"), effect)
        })
      return {
        ...limits,
        take: (key, weight) =>
          Effect.andThen(
            Effect.sync(() => state.takes++),
            slowly("take", limits.take(key, weight))
          ),
        check: (key, weight) => slowly("check", limits.check(key, weight)),
        give: (key, weight, at) => slowly("give", limits.give(key, weight, at))
      }
    }
  }
  return { store, state }
})

describe("a store far away", () => {
  it.effect("serves waiters in order, asking only for the first in line", () =>
    Effect.gen(function* () {
      const { state, store } = yield* far
      const limiter = yield* RateLimiter.makeWith({ limit: 1, window: "1 second" }, store)
      const order: Array<number> = []
      for (let i = 0; i < 5; i++) {
        yield* Effect.forkChild(
          Effect.tap(limiter.acquire("key"), () => Effect.sync(() => order.push(i))),
          {
            startImmediately: true
          }
        )
        yield* TestClock.adjust("20 millis")
      }
      yield* TestClock.adjust("10 seconds")
      expect(order).toEqual([0, 1, 2, 3, 4])
      expect(state.takes).toBeLessThanOrEqual(12)
    })
  )

  it.effect("gives back what it granted to one that left meanwhile", () =>
    Effect.gen(function* () {
      const { store } = yield* far
      const limiter = yield* RateLimiter.makeWith({ limit: 1, window: "1 minute" }, store)
      const first = yield* Effect.forkChild(limiter.acquire("key"), { startImmediately: true })
      yield* TestClock.adjust("10 millis")
      yield* Fiber.join(first)
      const second = yield* Effect.forkChild(limiter.acquire("key"), { startImmediately: true })
      // The grant comes a minute later, and is on its way for ten milliseconds.
      yield* TestClock.adjust("60005 millis")
      yield* Fiber.interrupt(second)
      yield* TestClock.adjust("1 second")
      const third = yield* Effect.forkChild(limiter.consume("key"), { startImmediately: true })
      yield* TestClock.adjust("10 millis")
      expect((yield* Fiber.join(third)).allowed).toBe(true)
    })
  )

  for (const onStoreError of ["local", "fail-open", "fail-closed"] as const) {
    it.effect(`that fails is handled as told, and reported: ${onStoreError}`, () =>
      Effect.gen(function* () {
        const { state, store } = yield* far
        const events: Array<Event.PolicyEvent> = []
        yield* Effect.gen(function* () {
          const limiter = yield* RateLimiter.makeWith({ limit: 1, window: "1 minute", onStoreError }, store)
          state.down = true
          const results = [yield* Effect.exit(limiter.consume("key")), yield* Effect.exit(limiter.consume("key"))]
          const expected = {
            local: ["Success", "Failure"],
            "fail-open": ["Success", "Success"],
            "fail-closed": ["Failure", "Failure"]
          }
          expect(results.map((exit) => exit._tag)).toEqual(expected[onStoreError])
          if (onStoreError === "fail-closed") {
            expect((yield* Effect.flip(limiter.consume("key")))._tag).toBe("StoreError")
          }
        }).pipe(Effect.provideService(Event.EventSink, (event) => void events.push(event)))
        expect(events[0]).toEqual({
          type: "limit-store-failed",
          limiter: "limiter",
          store: "far",
          operation: "take",
          handled: onStoreError
        })
      })
    )
  }

  it.effect("is taken from the context", () =>
    Effect.gen(function* () {
      const { state, store } = yield* far
      const limiter = yield* RateLimiter.make({ limit: 1, window: "1 minute" }).pipe(
        Effect.provideService(LimiterStore.LimiterStore, store)
      )
      const fiber = yield* Effect.forkChild(limiter.consume("key"), { startImmediately: true })
      yield* TestClock.adjust("10 millis")
      yield* Fiber.join(fiber)
      expect(state.takes).toBe(1)
    })
  )

  it.effect("refuses wrong options", () =>
    Effect.gen(function* () {
      expect((yield* Effect.flip(LimiterStore.makeMemory({ maxKeys: 0 }))).message).toContain("maxKeys is 0")
      expect((yield* Effect.flip(LimiterStore.makeMemory({ sweepInterval: 0 }))).message).toContain("sweepInterval")
    })
  )
})
