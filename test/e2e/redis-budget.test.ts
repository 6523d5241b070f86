/**
 * Budgets on Redis: two processes together, what is stored, and a server that is away, slow, frozen, killed or emptied.
 */
import { Budget, BudgetStore, CallContext, Event, Pricing } from "@breakwater/core"
import { RedisStores } from "@breakwater/stores"
import { describe, expect, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { spendTogether } from "../support/budget-spenders.ts"
import { freePort, noRealRedis, noRedis, slowWayTo, startRedis, type TestRedis } from "../support/redis.ts"

/** What a store may take here, and more than that: the machine may be busy with other things. */
const wait = "500 millis"
const soonMs = 2_000

const forever = { bucketMs: 0, fromMs: 0, endMs: Infinity }
const lifetime = "global\u0000lifetime\u0000"

const timed = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const clock = yield* Clock.Clock
    const before = clock.monotonicTimeNanosUnsafe()
    const value = yield* effect
    return [value, Number(clock.monotonicTimeNanosUnsafe() - before) / 1e6] as const
  })

/** Waits until something is so, for ten seconds at the most. */
const until = <E, R>(check: Effect.Effect<boolean, E, R>) =>
  Effect.gen(function* () {
    for (let tries = 0; tries < 200; tries++) {
      if (yield* check) return true
      yield* Effect.sleep("50 millis")
    }
    return false
  })

/** A budget of a microdollar, for ever, on a server. */
const budgetAt = (url: string, options: Partial<Budget.Options> = {}) =>
  Effect.gen(function* () {
    const events: Array<Event.PolicyEvent> = []
    const listening = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
      Effect.provideService(effect, Event.EventSink, (event) => void events.push(event))
    const { budget: store } = yield* RedisStores.make({ url, wait })
    const budget = yield* Budget.make({
      limits: [{ scope: "global", period: "lifetime", limit: "0.000001" }],
      ...options
    }).pipe(
      Effect.provideService(BudgetStore.BudgetStore, store),
      Effect.provide(Pricing.layer({ "p/a": { input: 1, output: 1 } })),
      listening
    )
    const standing = Effect.map(budget.snapshot(CallContext.single), ([all]) => [all!.spent, all!.reserved] as const)
    return {
      store,
      events,
      hold: (amount: bigint) => listening(budget.hold(CallContext.single, amount)),
      standing,
      stands: (spent: bigint, reserved: bigint) =>
        until(
          Effect.orElseSucceed(
            Effect.map(standing, ([s, r]) => s === spent && r === reserved),
            () => false
          )
        )
    }
  })

const words = (redis: TestRedis, ...command: ReadonlyArray<string>) =>
  Effect.map(redis.command(...command), (reply) => reply.split("\r\n"))

describe.skipIf(noRedis)("a budget on Redis", () => {
  it.live(
    "ten thousand calls of two processes come to what they used, and not a nano-dollar past the limit",
    () =>
      Effect.gen(function* () {
        const { url } = yield* startRedis
        const [one, other] = yield* Effect.promise(() => spendTogether(url, 5_000, 5_000))
        expect(one.admitted + one.refused + other.admitted + other.refused).toBe(10_000)
        expect(one.admitted + other.admitted).toBeGreaterThanOrEqual(100)
        const { budget } = yield* RedisStores.make({ url, wait: "5 seconds" })
        expect(yield* budget.balance(lifetime, forever)).toEqual({ spent: one.spent + other.spent, reserved: 0n })
        expect(one.spent + other.spent).toBeLessThanOrEqual(1_000_000n)
      }),
    120_000
  )

  it.live(
    "two processes that use all they reserve use all of it",
    () =>
      Effect.gen(function* () {
        const { url } = yield* startRedis
        const [one, other] = yield* Effect.promise(() => spendTogether(url, 1_000, 50, true))
        expect(one.admitted + other.admitted).toBe(100)
        expect(one.spent + other.spent).toBe(1_000_000n)
      }),
    60_000
  )
})

describe.skipIf(noRealRedis)("what a budget on Redis leaves there", () => {
  it.live(
    "an account lives as long as it counts, and a reservation of a process that died as long as its account",
    () =>
      Effect.gen(function* () {
        const redis = yield* startRedis
        const { budget } = yield* RedisStores.make({ url: redis.url, prefix: "app", wait: "5 seconds" })
        const nowMs = 1_000_000
        const hour = { bucketMs: 0, fromMs: 0, endMs: 3_600_000 }
        const claims = [
          { account: "user\u0000hour\u0000a:{b} c", window: hour, amount: 5n, limit: 10n },
          { account: lifetime, window: forever, amount: 5n, limit: undefined }
        ]
        yield* budget.reserve({ id: "one", claims: [claims[0]!] }, nowMs)
        yield* budget.reserve({ id: "two", claims }, nowMs)
        const account = "app:v1:{budget}:of:user:hour:a%3A%7Bb%7D%20c"
        expect(yield* words(redis, "HGET", account, "0")).toContain("0 10 3600000")
        const left = (name: string) => Effect.map(words(redis, "PTTL", name), ([reply]) => Number(reply!.slice(1)))
        // Ten minutes longer than the hour, which is over in 2,600 seconds.
        expect((yield* left(account)) / 1_000).toBeCloseTo(3_200, -2)
        expect((yield* left("app:v1:{budget}:open:one")) / 1_000).toBeCloseTo(3_200, -2)
        expect(yield* left("app:v1:{budget}:of:global:lifetime:")).toBe(-1)
        expect((yield* left("app:v1:{budget}:open:two")) / 86_400_000).toBeCloseTo(30, 1)
        yield* budget.settle({ id: "two", claims }, [1n, 1n])
        expect(yield* left("app:v1:{budget}:open:two")).toBe(-2)
        // Whoever reserved the other half has died: it stays reserved.
        expect(yield* budget.balance(claims[0]!.account, hour)).toEqual({ spent: 1n, reserved: 5n })
      })
  )

  it.live("buckets that are long over go with the next reservation", () =>
    Effect.gen(function* () {
      const redis = yield* startRedis
      const { budget } = yield* RedisStores.make({ url: redis.url, wait: "5 seconds" })
      const at = (minute: number) => ({
        bucketMs: minute * 60_000,
        fromMs: (minute - 3) * 60_000,
        endMs: (minute + 4) * 60_000
      })
      for (let minute = 0; minute < 60; minute++) {
        const claims = [{ account: "a", window: at(minute), amount: 1n, limit: 4n }]
        const id = `${minute}`
        expect(yield* budget.reserve({ id, claims }, minute * 60_000)).toHaveProperty("balances")
        yield* budget.settle({ id, claims }, [1n])
      }
      const [length] = yield* words(redis, "HLEN", "breakwater:v1:{budget}:of:a")
      expect(Number(length!.slice(1))).toBeLessThan(16)
    })
  )

  it.live("what a process books whose clock is behind does not shorten the life of the new period", () =>
    Effect.gen(function* () {
      const redis = yield* startRedis
      const { budget } = yield* RedisStores.make({ url: redis.url, wait: "5 seconds" })
      const day = 86_400_000
      const on = (number: number) => ({ bucketMs: number * day, fromMs: number * day, endMs: (number + 1) * day })
      const claim = (number: number) => [{ account: "a", window: on(number), amount: 5n, limit: 10n }]
      yield* budget.reserve({ id: "new", claims: claim(1) }, day + 5)
      yield* budget.settle({ id: "new", claims: claim(1) }, [5n])
      yield* budget.reserve({ id: "late", claims: claim(0) }, day - 5)
      const [left] = yield* words(redis, "PTTL", "breakwater:v1:{budget}:of:a")
      expect(Number(left!.slice(1))).toBeGreaterThan(day - 60_000)
    })
  )

  it.live("an account with more old buckets than a script's stack holds is cleared", () =>
    Effect.gen(function* () {
      const redis = yield* startRedis
      const { budget } = yield* RedisStores.make({ url: redis.url, wait: "5 seconds" })
      const name = "breakwater:v1:{budget}:of:a"
      const fields = Array.from({ length: 12_000 }, (_, bucket) => [`${bucket}`, `1 0 ${bucket + 10}`]).flat()
      yield* redis.command("HSET", name, ...fields)
      const claims = [{ account: "a", window: { bucketMs: 5e6, fromMs: 5e6, endMs: 6e6 }, amount: 5n, limit: 10n }]
      expect(yield* budget.reserve({ id: "one", claims }, 5e6)).toEqual({ balances: [{ spent: 0n, reserved: 5n }] })
      const [length] = yield* words(redis, "HLEN", name)
      expect(length).toBe(":1")
    })
  )

  it.live("a settlement that comes before its reservation leaves nothing reserved", () =>
    Effect.gen(function* () {
      const { url } = yield* startRedis
      const { budget } = yield* RedisStores.make({ url, wait: "5 seconds" })
      const claims = [{ account: "a", window: forever, amount: 5n, limit: 10n }]
      expect(yield* budget.settle({ id: "late", claims }, [0n])).toBeUndefined()
      expect((yield* Effect.flip(budget.reserve({ id: "late", claims }, 0))).message).toContain(
        "settled before it came"
      )
      expect(yield* budget.balance("a", forever)).toEqual({ spent: 0n, reserved: 0n })
    })
  )
})

describe("Redis that is not there", () => {
  it.live("a hundred calls are answered at once, each budget as it was told", () =>
    Effect.gen(function* () {
      const port = yield* Effect.promise(freePort)
      const admitted = (onStoreError: "fail-closed" | "fail-open" | "local") =>
        Effect.gen(function* () {
          const { events, hold } = yield* budgetAt(`redis://127.0.0.1:${port}`, { onStoreError })
          const results = yield* Effect.forEach(Array.from({ length: 100 }), () => Effect.result(hold(100n)), {
            concurrency: "unbounded"
          })
          const failures = results.flatMap((result) => (result._tag === "Failure" ? [result.failure._tag] : []))
          expect(events.filter(({ type }) => type === "budget-store-failed")).toHaveLength(100)
          expect(events.filter(({ type }) => type === "store-lost")).toHaveLength(1)
          return [100 - failures.length, [...new Set(failures)]]
        })
      const [all, tookMs] = yield* timed(
        Effect.all([admitted("fail-closed"), admitted("fail-open"), admitted("local")], { concurrency: 3 })
      )
      expect(all).toEqual([
        [0, ["StoreError"]],
        [100, []],
        [10, ["BudgetExceededError"]]
      ])
      expect(tookMs).toBeLessThan(2 * soonMs)
    }).pipe(Effect.scoped)
  )
})

describe.skipIf(noRealRedis)("Redis that fails", () => {
  it.live(
    "killed under load and started again, empty: no call hangs, and money is counted again",
    () =>
      Effect.gen(function* () {
        const redis = yield* startRedis
        const { events, hold, standing } = yield* budgetAt(redis.url)
        const seen = { calls: 0, failed: 0, slowestMs: 0, passed: false }
        const one = Effect.gen(function* () {
          const [result, tookMs] = yield* timed(Effect.result(hold(10n)))
          seen.calls++
          seen.slowestMs = Math.max(seen.slowestMs, tookMs)
          if (result._tag === "Failure") seen.failed++
          else result.success(1n)
          yield* Effect.sleep("2 millis")
        })
        yield* Effect.forkScoped(
          Effect.all(
            Array.from({ length: 10 }, () => Effect.forever(one)),
            { concurrency: "unbounded" }
          )
        )
        yield* Effect.sleep("200 millis")
        expect(seen.failed).toBe(0)
        yield* redis.kill
        yield* Effect.sleep("500 millis")
        expect(seen.failed).toBeGreaterThan(0)
        yield* redis.restart
        const back = Effect.sync(() => events.some(({ type }) => type === "store-recovered"))
        expect(yield* until(back)).toBe(true)
        yield* Effect.sleep("300 millis")
        const [spent, reserved] = yield* standing
        expect(spent).toBeGreaterThan(0n)
        // Settlements of what was reserved before it was emptied take nothing from what is reserved now.
        expect(reserved).toBeGreaterThanOrEqual(0n)
        expect(spent + reserved).toBeLessThanOrEqual(1_000n)
        expect(seen.slowestMs).toBeLessThan(soonMs)
      }).pipe(Effect.scoped),
    30_000
  )

  it.live(
    "frozen: what was reserved without our hearing of it is given back when it goes on",
    () =>
      Effect.gen(function* () {
        const redis = yield* startRedis
        const { hold, stands } = yield* budgetAt(redis.url)
        const before = yield* hold(100n)
        yield* redis.freeze
        const [error, tookMs] = yield* timed(Effect.flip(hold(500n)))
        expect(error).toMatchObject({ _tag: "StoreError", store: "redis", operation: "reserve" })
        expect(tookMs).toBeLessThan(soonMs)
        before(70n)
        yield* Effect.sleep("700 millis")
        yield* redis.thaw
        expect(yield* stands(70n, 0n)).toBe(true)
      }).pipe(Effect.scoped),
    30_000
  )

  it.live("slower than the wait: typed errors, and nothing stays reserved", () =>
    Effect.gen(function* () {
      const redis = yield* startRedis
      const way = yield* slowWayTo(redis.port)
      const { hold, stands } = yield* budgetAt(way.url)
      const settle = yield* hold(10n)
      way.delayMs = 900
      expect((yield* Effect.flip(hold(100n)))._tag).toBe("StoreError")
      way.delayMs = 0
      settle(10n)
      expect(yield* stands(10n, 0n)).toBe(true)
    }).pipe(Effect.scoped)
  )

  it.live("emptied in the middle of a call: the call is settled nowhere, and no account goes below nothing", () =>
    Effect.gen(function* () {
      const redis = yield* startRedis
      const { hold, stands } = yield* budgetAt(redis.url)
      const lost = yield* hold(600n)
      yield* redis.command("FLUSHALL")
      const next = yield* hold(700n)
      lost(600n)
      next(300n)
      expect(yield* stands(300n, 0n)).toBe(true)
    }).pipe(Effect.scoped)
  )
})
