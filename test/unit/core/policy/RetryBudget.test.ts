import * as Retry from "../../../../packages/core/src/policy/Retry.ts"
import * as RetryBudget from "../../../../packages/core/src/policy/RetryBudget.ts"
import { describe, expect, it } from "@effect/vitest"
import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as TestClock from "effect/testing/TestClock"

const spendAll = (
  budget: RetryBudget.RetryBudgetService,
  key: string,
  nowMs: number,
  kind: RetryBudget.RetryKind = "retry"
) => {
  let count = 0
  while (count < 100_000 && budget.trySpend(key, kind, nowMs)) count++
  return count
}

describe("token bucket", () => {
  it.effect("allows a hundred retries, or fifty after timeouts, for each key", () =>
    Effect.gen(function* () {
      const budget = yield* RetryBudget.make()
      expect(spendAll(budget, "a", 0)).toBe(100)
      expect(spendAll(budget, "b", 0, "timeout")).toBe(50)
      expect(budget.trySpend("a", "retry", 0)).toBe(false)
      expect(budget.snapshot(0)).toEqual([
        { key: "a", retriesLeft: 0 },
        { key: "b", retriesLeft: 0 }
      ])
    })
  )

  it.effect("takes nothing when it refuses", () =>
    Effect.gen(function* () {
      const budget = yield* RetryBudget.make({ capacity: 12 })
      budget.trySpend("a", "retry", 0)
      expect(budget.trySpend("a", "timeout", 0)).toBe(false)
      expect(budget.trySpend("a", "retry", 0)).toBe(true)
    })
  )

  it.effect("gets a token back for a success and the whole price for a rescue, never more than it holds", () =>
    Effect.gen(function* () {
      const budget = yield* RetryBudget.make()
      spendAll(budget, "a", 0)
      for (let i = 0; i < 5; i++) budget.onSuccess("a", 0, 0)
      expect(spendAll(budget, "a", 0)).toBe(1)
      budget.onSuccess("a", 15, 0)
      expect(spendAll(budget, "a", 0)).toBe(3)
      for (let i = 0; i < 10_000; i++) budget.onSuccess("a", 0, 0)
      expect(spendAll(budget, "a", 0)).toBe(100)
    })
  )

  it.effect("keeps only keys with a deficit, and forgets idle ones", () =>
    Effect.gen(function* () {
      const budget = yield* RetryBudget.make({ idle: "1 minute" })
      for (let i = 0; i < 1000; i++) budget.onSuccess(`k${i}`, 0, 0)
      budget.trySpend("a", "retry", 0)
      budget.trySpend("b", "retry", 0)
      budget.onSuccess("a", 5, 0)
      expect(budget.snapshot(0).map((entry) => entry.key)).toEqual(["b"])
      expect(budget.snapshot(60_000)).toHaveLength(1)
      expect(budget.snapshot(60_001)).toEqual([])
      spendAll(budget, "c", 0)
      expect(spendAll(budget, "c", 60_001)).toBe(100)
    })
  )

  it.effect("stays within its bound over a million keys", () =>
    Effect.gen(function* () {
      const budget = yield* RetryBudget.make({ maxKeys: 1_000, idle: "1 minute" })
      for (let i = 0; i < 1_000_000; i++) budget.trySpend(`k${i}`, "retry", i / 1000)
      const left = budget.snapshot(1000)
      expect(left.length).toBeLessThanOrEqual(1_000)
      expect(left.length).toBeGreaterThan(900)
      expect(budget.snapshot(1_000_000)).toEqual([])
    })
  )
})

describe("ratio", () => {
  it.effect("allows a fifth of the calls and ten a second over the window", () =>
    Effect.gen(function* () {
      const budget = yield* RetryBudget.make({ mode: "ratio" })
      expect(spendAll(budget, "idle", 0)).toBe(100)
      for (let i = 0; i < 1000; i++) budget.onCall("busy", 0)
      expect(spendAll(budget, "busy", 0)).toBe(300)
      expect(spendAll(budget, "busy", 10_000)).toBe(0)
      expect(spendAll(budget, "busy", 20_000)).toBe(100)
      expect(spendAll(budget, "busy", 40_000)).toBe(100)
    })
  )

  it.effect("gives back with the window, not with successes", () =>
    Effect.gen(function* () {
      const budget = yield* RetryBudget.make({ mode: "ratio", ratio: 0 })
      spendAll(budget, "k", 0)
      budget.onSuccess("k", 1, 0)
      expect(budget.trySpend("k", "retry", 0)).toBe(false)
      expect(spendAll(budget, "k", 15_000)).toBe(50)
      expect(budget.snapshot(15_000)).toEqual([{ key: "k", retriesLeft: 0 }])
      expect(spendAll(budget, "t", 0, "timeout")).toBe(50)
    })
  )

  it.effect("is not confused by a clock that steps back", () =>
    Effect.gen(function* () {
      const budget = yield* RetryBudget.make({ mode: "ratio", ratio: 0 })
      spendAll(budget, "k", 50_000)
      expect(spendAll(budget, "k", 40_000)).toBe(0)
      expect(spendAll(budget, "k", 90_000)).toBe(100)
    })
  )
})

describe("service", () => {
  it.effect("refuses wrong options, naming field, value and range", () =>
    Effect.gen(function* () {
      for (const field of ["capacity", "retryCost", "timeoutCost", "maxKeys", "window", "idle"] as const) {
        for (const wrong of [NaN, Infinity, -1, 0]) {
          const error = yield* Effect.flip(RetryBudget.make({ [field]: wrong }))
          expect(error._tag).toBe("ConfigError")
          expect(error.message).toMatch(new RegExp(`${field} is .*allowed:`))
        }
      }
      for (const wrong of [NaN, -1, 11]) {
        expect((yield* Effect.flip(RetryBudget.make({ ratio: wrong }))).message).toMatch(/ratio is/)
      }
      expect((yield* Effect.flip(RetryBudget.make({ retryCost: 501 }))).message).toMatch(/retryCost is 501/)
      expect((yield* Effect.flip(RetryBudget.make({ mode: "x" as "ratio" }))).message).toMatch(/mode is "x"/)
    })
  )

  it.effect("comes as a Layer, from configuration, or not at all", () =>
    Effect.gen(function* () {
      const count = Effect.map(RetryBudget.RetryBudget, (budget) => spendAll(budget, "k", 0))
      expect(yield* Effect.provide(count, RetryBudget.layer({ capacity: 50 }))).toBe(10)
      expect(yield* Effect.provide(count, RetryBudget.layerNoop)).toBe(100_000)
      const fromEnv = RetryBudget.layerConfig({ capacity: Config.Finite("CAPACITY") })
      const env = ConfigProvider.layer(ConfigProvider.fromUnknown({ CAPACITY: 20 }))
      expect(yield* count.pipe(Effect.provide(fromEnv), Effect.provide(env))).toBe(4)
    })
  )

  it.effect("lets 10,000 fibers in an outage make exactly a hundred retries together", () =>
    Effect.gen(function* () {
      const budget = yield* RetryBudget.make({ idle: "1 day" })
      let attempts = 0
      const call = Effect.andThen(
        Effect.sync(() => void attempts++),
        Effect.fail("down")
      )
      const policy = { budget, key: "target", retries: 10, schedule: Retry.exponential() }
      const fiber = yield* Effect.forkChild(
        Effect.forEach(Array.from({ length: 10_000 }), () => Effect.exit(Retry.retry(call, policy)), {
          concurrency: "unbounded"
        })
      )
      yield* TestClock.adjust("1 hour")
      const exits = fiber.pollUnsafe()
      expect(exits !== undefined && Exit.isSuccess(exits) && exits.value.every((exit) => Exit.isFailure(exit))).toBe(
        true
      )
      expect(attempts).toBe(10_100)
    })
  )
})
