/**
 * Two quotas on one store in memory, as two processes would be: what is shared, what is not, and what the loss of the
 * store does.
 */
import { type Attempt, Event, LLMError, QuotaStore, TokenQuota } from "@breakwater/core"
import { describe, expect, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import { TestClock } from "effect/testing"

const steady = { ramp: false, adaptive: false } as const
const key = "p/m"

const success = (inputTokens: number, outputTokens: number): Attempt.AttemptOutcome => ({
  _tag: "success",
  usage: { inputTokens, outputTokens },
  tookMs: 1
})

const refusal = (retryAfter?: Duration.Input): Attempt.AttemptOutcome => ({
  _tag: "failure",
  tookMs: 1,
  error: new LLMError.RateLimitError({
    message: "too many",
    source: "provider",
    scope: "requests",
    ...(retryAfter === undefined ? {} : { retryAfter: Duration.fromInputUnsafe(retryAfter) })
  })
})

const need = (inputTokens: number, outputTokens = 0, more: Partial<TokenQuota.ReserveOptions> = {}) => ({
  key,
  inputTokens,
  outputTokens,
  ...more
})

const now = { maxWait: 0 } as const

/** A store that can be lost, slow or hung, and counts what it is asked. */
const breakable = Effect.map(QuotaStore.makeMemory(), (store) => {
  const state = {
    lost: false,
    delay: 0,
    asked: [] as Array<string>,
    store: {
      name: "memory",
      open: (namespace: string): QuotaStore.SharedQuotas => {
        const inner = store.open(namespace)
        const through = <A>(operation: string, effect: Effect.Effect<A, LLMError.StoreError>) =>
          Effect.suspend(() => {
            state.asked.push(operation)
            if (state.lost) {
              return Effect.fail(new LLMError.StoreError({ message: "gone", store: "memory", operation }))
            }
            return state.delay === 0 ? effect : Effect.tap(effect, () => Effect.sleep(state.delay))
          })
        return {
          reserve: (...args) => through("reserve", inner.reserve(...args)),
          settle: (...args) => through("settle", inner.settle(...args)),
          pause: (...args) => through("pause", inner.pause(...args)),
          forget: (...args) => through("forget", inner.forget(...args))
        }
      }
    }
  }
  return state
})

const on = (store: QuotaStore.QuotaStoreService, options: TokenQuota.SharedOptions) =>
  Effect.provideService(TokenQuota.makeShared(options), QuotaStore.QuotaStore, store)

const pair = (options: TokenQuota.SharedOptions) =>
  Effect.gen(function* () {
    const broken = yield* breakable
    return [yield* on(broken.store, options), yield* on(broken.store, options), broken] as const
  })

const left = (quota: TokenQuota.TokenQuotaService) =>
  Effect.map(quota.snapshot(key), (state) => state?.tokens?.remaining)

const gather = () => {
  const events: Array<Event.PolicyEvent> = []
  const heard = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
    Effect.provideService(effect, Event.EventSink, (event) => void events.push(event))
  return { events, heard, types: () => events.map((event) => event.type) }
}

describe("a shared quota", () => {
  it.effect("counts the tokens of both", () =>
    Effect.gen(function* () {
      const [one, other] = yield* pair({ tpm: 100, ...steady })
      yield* one.reserve(need(60))
      expect(yield* left(other)).toBe(40)
      const error = yield* Effect.flip(other.reserve(need(50, 0, now)))
      expect(error).toMatchObject({ _tag: "RateLimitError", source: "local", scope: "tokens", key })
      yield* other.reserve(need(40, 0, now))
      expect((yield* Effect.flip(one.reserve(need(1, 0, now))))._tag).toBe("RateLimitError")
    })
  )

  it.effect("counts the requests of both", () =>
    Effect.gen(function* () {
      const [one, other] = yield* pair({ rpm: 3, ...steady })
      yield* one.reserve(need(1))
      yield* other.reserve(need(1))
      yield* one.reserve(need(1))
      expect(yield* Effect.flip(other.reserve(need(1, 0, now)))).toMatchObject({ scope: "requests" })
    })
  )

  it.effect("asks the store one question a reservation, and tells what is settled", () =>
    Effect.gen(function* () {
      const [one, other, { asked }] = yield* pair({ tpm: 1_000, ...steady })
      const settle = yield* one.reserve(need(300, 500))
      expect(asked).toEqual(["reserve"])
      settle(success(300, 100))
      settle(success(300, 100))
      yield* Effect.yieldNow
      expect(asked).toEqual(["reserve", "settle"])
      expect(yield* left(other)).toBe(600)
      const exact = yield* one.reserve(need(10, 10))
      exact(success(10, 10))
      yield* Effect.yieldNow
      expect(asked.filter((each) => each === "settle")).toHaveLength(1)
    })
  )

  it.effect("overdraws for all", () =>
    Effect.gen(function* () {
      const [one, other] = yield* pair({ tpm: 100, ...steady })
      const settle = yield* one.reserve(need(10))
      settle(success(10, 150))
      yield* Effect.yieldNow
      expect(yield* left(other)).toBe(-60)
    })
  )

  it.effect("waits as long as the store says, and only the first in line asks", () =>
    Effect.gen(function* () {
      const [one, other, { asked }] = yield* pair({ tpm: 60, ...steady })
      yield* other.reserve(need(60))
      const waiting = yield* Effect.forEach([1, 2, 3], () => Effect.forkChild(one.reserve(need(10))))
      yield* TestClock.adjust("9 seconds")
      // Three come before there is a line; then nobody asks until there is room.
      expect(asked.filter((each) => each === "reserve").length).toBeLessThanOrEqual(5)
      expect(waiting.map((fiber) => fiber.pollUnsafe() === undefined)).toEqual([true, true, true])
      yield* TestClock.adjust("1 second")
      expect(waiting.filter((fiber) => fiber.pollUnsafe() !== undefined)).toHaveLength(1)
      yield* TestClock.adjust("20 seconds")
      for (const fiber of waiting) expect((yield* Fiber.await(fiber))._tag).toBe("Success")
      expect(asked.filter((each) => each === "reserve").length).toBeLessThan(15)
    })
  )

  it.effect("what one gives back lets its own waiters through at once", () =>
    Effect.gen(function* () {
      const [one] = yield* pair({ tpm: 100, ...steady })
      const settle = yield* one.reserve(need(100))
      const waiter = yield* Effect.forkChild(one.reserve(need(50)))
      yield* TestClock.adjust("1 second")
      expect(waiter.pollUnsafe()).toBeUndefined()
      settle(success(10, 0))
      yield* TestClock.adjust("1 millis")
      expect((yield* Fiber.await(waiter))._tag).toBe("Success")
    })
  )

  it.effect("a wait that cannot end in time fails at once, and takes nothing", () =>
    Effect.gen(function* () {
      const [one, other] = yield* pair({ tpm: 60, ...steady })
      yield* other.reserve(need(60))
      const error = yield* Effect.flip(one.reserve(need(30, 0, { maxWait: "10 seconds" })))
      expect(error).toMatchObject({ _tag: "RateLimitError", scope: "tokens" })
      if (error._tag === "RateLimitError") expect(Duration.toSeconds(error.retryAfter!)).toBeCloseTo(30, 1)
      yield* TestClock.adjust("1 minute")
      expect(yield* left(one)).toBe(60)
    })
  )

  it.effect("a 429 that one sees pauses the other, for the same time", () =>
    Effect.gen(function* () {
      const [one, other] = yield* pair({ rpm: 1_000, adaptive: false, ramp: false })
      const settle = yield* one.reserve(need(1))
      settle(refusal("20 seconds"))
      yield* Effect.yieldNow
      expect((yield* other.snapshot(key))?.pausedMs).toBe(20_000)
      const waiter = yield* Effect.forkChild(other.reserve(need(1)))
      yield* TestClock.adjust("19999 millis")
      expect(waiter.pollUnsafe()).toBeUndefined()
      yield* TestClock.adjust("2 millis")
      expect((yield* Fiber.await(waiter))._tag).toBe("Success")
    })
  )

  it.effect("the pace grows back after the pause in the other as well", () =>
    Effect.gen(function* () {
      const [one, other] = yield* pair({ rpm: 100, adaptive: false, ramp: { from: 0.1, over: "10 seconds" } })
      yield* TestClock.adjust("1 minute")
      ;(yield* one.reserve(need(1)))(refusal("5 seconds"))
      yield* Effect.yieldNow
      expect((yield* Effect.flip(other.reserve(need(1, 0, now))))._tag).toBe("RateLimitError")
      yield* TestClock.adjust("5001 millis")
      const results = yield* Effect.forEach(Array(50).fill(0), () => Effect.result(other.reserve(need(1, 0, now))))
      const admitted = results.filter((result) => result._tag === "Success").length
      expect(admitted).toBeGreaterThan(5)
      expect(admitted).toBeLessThan(20)
    })
  )

  it.effect("a limit that one has learned from a provider holds for the other", () =>
    Effect.gen(function* () {
      const [one, other] = yield* pair(steady)
      const settle = yield* one.reserve(need(10))
      settle({ ...success(10, 0), limits: { tokens: { limit: 100 } } } as Attempt.AttemptOutcome)
      yield* Effect.yieldNow
      yield* one.reserve(need(80))
      expect(yield* Effect.flip(other.reserve(need(30, 0, now)))).toMatchObject({ scope: "tokens" })
      const never = yield* Effect.flip(other.reserve(need(200)))
      expect(never).toMatchObject({ scope: "tokens", limit: 100, shouldRetry: false })
    })
  )

  it.effect("names keep quotas apart, and a reset forgets for all", () =>
    Effect.gen(function* () {
      const { store } = yield* breakable
      const [a, b, again] = [
        yield* on(store, { tpm: 100, ...steady, name: "a" }),
        yield* on(store, { tpm: 100, ...steady, name: "b" }),
        yield* on(store, { tpm: 100, ...steady, name: "a" })
      ]
      yield* a.reserve(need(100))
      expect([yield* left(b), yield* left(again)]).toEqual([100, 0])
      yield* again.reset(key)
      expect(yield* left(again)).toBe(100)
    })
  )

  it.effect("a wrong option fails with its name", () =>
    Effect.gen(function* () {
      const { store } = yield* breakable
      expect(String(yield* Effect.flip(on(store, { name: "" })))).toContain("name")
      expect(String(yield* Effect.flip(on(store, { onStoreError: "never" as "local" })))).toContain("onStoreError")
      expect(String(yield* Effect.flip(on(store, { rpm: 0 })))).toContain("rpm")
    })
  )

  it.effect("is provided as a Layer", () =>
    Effect.gen(function* () {
      const used = yield* TokenQuota.limit(Effect.succeed(1), need(10))
      const quota = yield* TokenQuota.TokenQuota
      expect([used, yield* left(quota)]).toEqual([1, 90])
    }).pipe(
      Effect.provide(TokenQuota.layerShared({ tpm: 100, ...steady }).pipe(Layer.provide(QuotaStore.layerMemory())))
    )
  )
})

describe("a shared quota whose store is lost", () => {
  it.effect("local: goes on with what this process has counted, and says so", () =>
    Effect.gen(function* () {
      const [one, other, state] = yield* pair({ tpm: 100, ...steady })
      const { events, heard, types } = gather()
      yield* one.reserve(need(30))
      yield* other.reserve(need(20))
      state.lost = true
      yield* heard(one.reserve(need(70, 0, now)))
      expect((yield* Effect.flip(heard(one.reserve(need(1, 0, now)))))._tag).toBe("RateLimitError")
      expect(types()).toEqual(["store-lost", "limit-store-failed", "limit-rejected"])
      expect(events[0]).toMatchObject({ store: "memory", mode: "local" })
      expect(events[1]).toMatchObject({ limiter: "token-quota", operation: "reserve", handled: "local" })
      expect(yield* left(one)).toBe(0)
    })
  )

  it.effect("fail-closed: fails with the store's error, and keeps nothing", () =>
    Effect.gen(function* () {
      const [one, , state] = yield* pair({ tpm: 100, ...steady, onStoreError: "fail-closed" })
      const { heard, types } = gather()
      state.lost = true
      for (let i = 0; i < 3; i++) {
        const error = yield* Effect.flip(heard(one.reserve(need(90))))
        expect(error).toMatchObject({ _tag: "StoreError", store: "memory" })
      }
      expect(types()).toEqual(["store-lost", "limit-store-failed", "limit-store-failed", "limit-store-failed"])
      // Not asked again before the first pause is over.
      expect(state.asked).toEqual(["reserve"])
      state.lost = false
      yield* TestClock.adjust("100 millis")
      yield* heard(one.reserve(need(90, 0, now)))
      expect(types().at(-1)).toBe("store-recovered")
    })
  )

  it.effect("fail-open: everything goes, and no debt is left when it is back", () =>
    Effect.gen(function* () {
      const [one, , state] = yield* pair({ tpm: 100, ...steady, onStoreError: "fail-open" })
      state.lost = true
      for (let i = 0; i < 20; i++) {
        const settle = yield* one.reserve(need(90, 0, now))
        settle(success(90, 0))
      }
      state.lost = false
      yield* TestClock.adjust("1 minute")
      yield* one.reserve(need(90, 0, now))
      expect(yield* left(one)).toBe(10)
    })
  )

  it.effect("fail-open: a provider's pause holds all the same", () =>
    Effect.gen(function* () {
      const [one, , state] = yield* pair({ tpm: 100, ...steady, onStoreError: "fail-open" })
      state.lost = true
      const settle = yield* one.reserve(need(90))
      settle(refusal("10 seconds"))
      expect((yield* Effect.flip(one.reserve(need(1, 0, now))))._tag).toBe("RateLimitError")
    })
  )

  it.effect("those who wait get the mode's answer", () =>
    Effect.gen(function* () {
      const [one, other, state] = yield* pair({ tpm: 60, ...steady })
      yield* other.reserve(need(60))
      const waiter = yield* Effect.forkChild(one.reserve(need(30)))
      yield* TestClock.adjust("1 second")
      state.lost = true
      yield* TestClock.adjust("29 seconds")
      expect((yield* Fiber.await(waiter))._tag).toBe("Success")
    })
  )
})

describe("a shared quota that is left", () => {
  it.effect("by a caller while the store thinks: the grant goes back", () =>
    Effect.gen(function* () {
      const [one, other, state] = yield* pair({ tpm: 100, ...steady })
      state.delay = 50
      const caller = yield* Effect.forkChild(one.reserve(need(100)))
      yield* TestClock.adjust("10 millis")
      yield* Fiber.interrupt(caller)
      state.delay = 0
      yield* TestClock.adjust("100 millis")
      expect([yield* left(one), yield* left(other)]).toEqual([100, 100])
    })
  )

  it.effect("by its scope while the store thinks: the grant goes back before it ends", () =>
    Effect.gen(function* () {
      const state = yield* breakable
      const other = yield* on(state.store, { tpm: 100, ...steady })
      state.delay = 50
      const program = yield* Effect.forkChild(
        Effect.scoped(
          Effect.gen(function* () {
            const one = yield* on(state.store, { tpm: 100, ...steady })
            yield* one.reserve(need(100))
          })
        )
      )
      yield* TestClock.adjust("10 millis")
      const ending = yield* Effect.forkChild(Fiber.interrupt(program))
      yield* TestClock.adjust("200 millis")
      yield* Fiber.await(ending)
      state.delay = 0
      expect(yield* left(other)).toBe(100)
    })
  )
})
