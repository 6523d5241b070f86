/** What people look at: every account, every quota, every window, without asking for one by name. */
import { Budget, CallContext, Pricing, RateLimiter, TokenQuota } from "@breakwater/core"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/testing/TestClock"

describe("the accounts of a budget", () => {
  const make = Effect.provide(
    Budget.make({
      limits: [
        { name: "all", scope: "global", period: "lifetime", limit: "10" },
        { scope: "user", period: "day", limit: "1", soft: "0.5", overrides: { ada: "2" } },
        { scope: "key", period: "day", only: ["k1"], limit: "3" }
      ]
    }),
    Pricing.layer({ "p/m": { input: 1, output: 1 } })
  )

  it.effect("are all those in which something stands, with their own limits, and the one of everything", () =>
    Effect.gen(function* () {
      const budget = yield* make
      expect(yield* budget.accounts()).toMatchObject([{ budget: "all", spent: 0n, remaining: 10_000_000_000n }])
      const pay = (user: string, key: string, nanos: bigint) =>
        Effect.map(budget.hold({ ...CallContext.single, user, key }, nanos), (settle) => settle(nanos))
      yield* pay("ada", "k1", 700_000_000n)
      yield* pay("bo", "k2", 300_000_000n)
      yield* budget.hold({ ...CallContext.single, user: "bo", key: "k2" }, 50n)
      const all = yield* budget.accounts()
      expect(
        all.map(({ budget, limit, reserved, scope, spent, value }) => ({
          budget,
          scope,
          value,
          limit,
          spent,
          reserved
        }))
      ).toEqual([
        { budget: "all", scope: "global", value: "", limit: 10_000_000_000n, spent: 1_000_000_000n, reserved: 50n },
        { budget: "user day", scope: "user", value: "ada", limit: 2_000_000_000n, spent: 700_000_000n, reserved: 0n },
        { budget: "user day", scope: "user", value: "bo", limit: 1_000_000_000n, spent: 300_000_000n, reserved: 50n },
        { budget: "key day", scope: "key", value: "k1", limit: 3_000_000_000n, spent: 700_000_000n, reserved: 0n }
      ])
      expect(all[1]).toMatchObject({ soft: 500_000_000n, resetsAt: 86_400_000, remaining: 1_300_000_000n })
      expect(yield* budget.accounts(2)).toHaveLength(2)
      yield* TestClock.adjust("1 day")
      expect((yield* budget.accounts()).map(({ budget }) => budget)).toEqual(["all"])
    }).pipe(Effect.scoped)
  )

  it.effect("of no budget are none", () =>
    Effect.gen(function* () {
      expect(yield* Budget.noop.accounts()).toEqual([])
    })
  )
})

describe("the quotas of a process", () => {
  it.effect("are those of every key that was used", () =>
    Effect.gen(function* () {
      const quota = yield* TokenQuota.make({ rpm: 10, ramp: false })
      expect(yield* quota.snapshots).toEqual([])
      yield* quota.reserve({ key: "p/a", inputTokens: 1, outputTokens: 1 })
      yield* quota.reserve({ key: "p/b", inputTokens: 1, outputTokens: 1 })
      yield* quota.reserve({ key: "p/b", inputTokens: 1, outputTokens: 1 })
      expect((yield* quota.snapshots).map(({ key, requests, waiting }) => [key, requests?.remaining, waiting])).toEqual(
        [
          ["p/a", 9, 0],
          ["p/b", 8, 0]
        ]
      )
      expect(yield* TokenQuota.noop.snapshots).toEqual([])
    }).pipe(Effect.scoped)
  )
})

describe("the windows of a key", () => {
  it.effect("are each with what it has left, and the time until it is whole again", () =>
    Effect.gen(function* () {
      const limiter = yield* RateLimiter.make({
        windows: [
          { limit: 10, window: "1 second", algorithm: "token-bucket" },
          { limit: 100, window: "1 minute", algorithm: "fixed-window" }
        ]
      })
      const fresh = yield* limiter.snapshot("k")
      expect(fresh.windows).toEqual([
        { limit: 10, windowMs: 1_000, remaining: 10, resetsInMs: 0 },
        { limit: 100, windowMs: 60_000, remaining: 100, resetsInMs: 0 }
      ])
      yield* limiter.consume("k", 5)
      expect((yield* limiter.snapshot("k")).windows).toEqual([
        { limit: 10, windowMs: 1_000, remaining: 5, resetsInMs: 500 },
        { limit: 100, windowMs: 60_000, remaining: 95, resetsInMs: 60_000 }
      ])
      yield* TestClock.adjust("500 millis")
      expect((yield* limiter.snapshot("k")).windows).toMatchObject([
        { remaining: 10, resetsInMs: 0 },
        { remaining: 95, resetsInMs: 59_500 }
      ])
    }).pipe(Effect.scoped)
  )
})
