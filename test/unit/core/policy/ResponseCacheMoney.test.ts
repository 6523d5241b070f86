/** What kept answers had cost, and what is told of it. */
import { CacheStore, type Call, Pricing, ResponseCache } from "@breakwater/core"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import { callOf, farStore, finishOf, partsOf, responseOf } from "../support/cache.ts"

const costing = (nanoDollars: bigint, unknownAttempts = 0): Partial<Call.LLMResponse> => ({
  cost: { nanoDollars, estimated: false, unknownAttempts },
  remainingNanos: 5n,
  softLimits: ["soft"]
})

const pricing = Pricing.layer({ "openai/gpt": { input: 1, output: 1 } })

/** A cache over a store whose entries can be seen. */
const setup = (options: ResponseCache.Options = {}) =>
  Effect.gen(function* () {
    const entries: Array<CacheStore.CacheEntry> = []
    const near = yield* CacheStore.makeMemory()
    const store = farStore(near, {
      set: (key, entry, ttlMs) => {
        entries.push(entry)
        return near.set(key, entry, ttlMs)
      },
      // As JSON over a network.
      get: (key) =>
        Effect.map(near.get(key), (found) =>
          found === undefined ? undefined : { ...found, entry: JSON.parse(JSON.stringify(found.entry)) }
        )
    })
    const cache = yield* ResponseCache.makeShared(options).pipe(Effect.provideService(CacheStore.CacheStore, store))
    const ask = (rest: Partial<Call.LLMResponse> = {}) =>
      Effect.tap(cache.around!.generate(callOf(), Effect.succeed(responseOf("answer", rest))), () => Effect.yieldNow)
    return { ask, cache, entries, near }
  })

const saved = (cache: ResponseCache.ResponseCacheService) => Effect.map(cache.stats, (stats) => stats.savedNanoDollars)

describe("what a kept answer had cost", () => {
  it.effect("is kept as a text, of any size, and told with the answer and in the numbers", () =>
    Effect.gen(function* () {
      const { ask, cache, entries } = yield* setup()
      const cost = 2n ** 63n + 1n
      yield* ask(costing(cost))
      expect(entries[0]!.costNanos).toBe("9223372036854775809")
      expect(JSON.stringify(entries[0])).not.toMatch(/remaining|soft/)
      expect((yield* ask()).savedNanos).toBe(cost)
      const parts = yield* Stream.runCollect(cache.around!.stream(callOf(), Stream.die("no call")))
      expect(finishOf(parts)?.savedNanos).toBe(cost)
      expect(yield* saved(cache)).toBe(2n * cost)
    })
  )

  it.effect("is told where the price of the option throws: no answer is lost for it", () =>
    Effect.gen(function* () {
      const { ask } = yield* setup({
        price: () => {
          throw new Error("a bug")
        }
      })
      yield* ask(costing(70n))
      expect((yield* ask()).savedNanos).toBe(70n)
    })
  )

  it.effect("of a stream, too", () =>
    Effect.gen(function* () {
      const { ask, cache, entries } = yield* setup()
      const parts = partsOf("an", "swer").map((part) =>
        part.type === "finish" ? { ...part, ...(costing(70n) as Partial<Call.CompletePart>) } : part
      )
      yield* Stream.runDrain(cache.around!.stream(callOf(), Stream.fromIterable(parts)))
      yield* Effect.yieldNow
      expect(entries[0]!.costNanos).toBe("70")
      expect(JSON.stringify(entries[0])).not.toMatch(/remaining|soft|"cost"/)
      expect((yield* ask()).savedNanos).toBe(70n)
    })
  )

  it.effect("is not made up: without a known cost nothing is kept or told", () =>
    Effect.gen(function* () {
      const { ask, cache, entries } = yield* setup()
      yield* ask(costing(0n, 1))
      expect(entries[0]).not.toHaveProperty("costNanos")
      expect(yield* ask()).not.toHaveProperty("savedNanos")
      expect(yield* saved(cache)).toBe(0n)
    })
  )

  it.effect("nothing, where the model is free", () =>
    Effect.gen(function* () {
      const { ask } = yield* setup()
      yield* ask(costing(0n))
      expect((yield* ask()).savedNanos).toBe(0n)
    })
  )

  for (const damaged of [undefined, "", "-5", "1.5", "x", "9".repeat(41)]) {
    it.effect(`an entry that says ${JSON.stringify(damaged)} is read, and says nothing`, () =>
      Effect.gen(function* () {
        const { ask, entries, near } = yield* setup()
        const keys: Array<CacheStore.CacheKey> = []
        const spied = yield* ResponseCache.makeShared().pipe(
          Effect.provideService(
            CacheStore.CacheStore,
            farStore(near, {
              set: (key, entry, ttlMs) => {
                keys.push(key)
                return near.set(key, entry, ttlMs)
              }
            })
          )
        )
        yield* spied.around!.generate(callOf(), Effect.succeed(responseOf("answer", costing(3n))))
        yield* Effect.yieldNow
        yield* ask()
        const { costNanos: _, ...older } = {
          ...entries[0],
          ...((yield* near.get(keys[0]!))?.entry as CacheStore.CacheEntry)
        }
        yield* near.set(keys[0]!, damaged === undefined ? older : { ...older, costNanos: damaged }, 60_000)
        const answer = yield* ask()
        expect(answer).toMatchObject({ text: "answer", cached: { source: "exact" } })
        expect(answer).not.toHaveProperty("savedNanos")
      })
    )
  }

  it.effect("comes from the prices in the context where the entry does not say it", () =>
    Effect.gen(function* () {
      const { ask, cache } = yield* setup()
      yield* ask()
      // 10 and 5 tokens at a thousand nano-dollars each.
      expect((yield* ask()).savedNanos).toBe(15_000n)
      expect(yield* saved(cache)).toBe(15_000n)
    }).pipe(Effect.provide(pricing))
  )

  it.effect("what was kept goes before the prices of now, and the option before both", () =>
    Effect.gen(function* () {
      const one = yield* setup()
      yield* one.ask(costing(7n))
      expect((yield* one.ask()).savedNanos).toBe(7n)
      const other = yield* setup({ price: () => 1n })
      yield* other.ask(costing(7n))
      expect((yield* other.ask()).savedNanos).toBe(1n)
    }).pipe(Effect.provide(pricing))
  )

  it.effect("is told to those who share a call, by the prices, too, if its maker did not know", () =>
    Effect.gen(function* () {
      const { cache } = yield* setup()
      const call = cache.around!.generate(callOf(), Effect.as(Effect.yieldNow, responseOf("answer")))
      const fiber = yield* Effect.forkChild(Effect.all([call, call], { concurrency: 2 }))
      const [leader, follower] = yield* Fiber.join(fiber)
      expect(leader).not.toHaveProperty("savedNanos")
      expect(follower).toMatchObject({ cached: { source: "in-flight" }, savedNanos: 15_000n })
    }).pipe(Effect.provide(pricing))
  )
})
