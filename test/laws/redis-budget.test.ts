/**
 * Budgets on Redis against those in memory: the same reservations and settlements, in the same order, with amounts
 * around every size at which arithmetic in the server's doubles could go wrong, come to the same.
 */
import { BudgetStore } from "@breakwater/core"
import { RedisStores } from "@breakwater/stores"
import { afterAll, beforeAll, describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/testing/TestClock"
import { noRedis, startRedis } from "../support/redis.ts"

const whole = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

const corners = [0n, 10n ** 12n, 10n ** 14n, 2n ** 53n, 10n ** 18n, 2n ** 63n, 2n ** 64n, 10n ** 24n]

/** An amount near one of the corners, never below 0. */
const Amount = Schema.Struct({ corner: whole(0, corners.length - 1), off: whole(-3, 1_000) })
const amountOf = ({ corner, off }: typeof Amount.Type): bigint => {
  const amount = corners[corner]! + BigInt(off)
  return amount < 0n ? 0n : amount
}

const sets = [["a"], ["b"], ["a", "b"], ["b", "a"], ["a", "c", "b"]] as const

const Step = Schema.Struct({
  passMs: whole(0, 12),
  accounts: whole(0, sets.length - 1),
  amounts: Schema.Tuple([Amount, Amount, Amount]),
  limit: Amount,
  limited: Schema.Boolean,
  charges: Schema.Tuple([Amount, Amount, Amount]),
  /** Which of the open reservations is settled after it; 9 for none. */
  settles: whole(0, 9)
})

/** Buckets of 10 ms, of which four count. */
const windowAt = (atMs: number): BudgetStore.BudgetWindow => {
  const bucketMs = Math.floor(atMs / 10) * 10
  return { bucketMs, fromMs: bucketMs - 30, endMs: bucketMs + 40 }
}

describe.skipIf(noRedis)("budgets on Redis", () => {
  const scope = Scope.makeUnsafe()
  let redis: BudgetStore.BudgetStoreService
  let runs = 0
  beforeAll(() =>
    Effect.runPromise(
      Effect.gen(function* () {
        const { url } = yield* startRedis
        redis = (yield* RedisStores.make({ url, wait: "10 seconds" })).budget
      }).pipe(Scope.provide(scope))
    )
  )
  afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))

  it.effect.prop(
    "answer as those in memory do, to the last nano-dollar",
    { steps: Schema.Array(Step).check(Schema.isMaxLength(40)) },
    ({ steps }) =>
      Effect.gen(function* () {
        const memory = yield* BudgetStore.makeMemory()
        const run = `${runs++}`
        let nowMs = 1_000_000
        let open: Array<BudgetStore.BudgetReservation> = []
        for (const [number, step] of steps.entries()) {
          nowMs += step.passMs
          const claims = sets[step.accounts]!.map((account, index): BudgetStore.BudgetClaim => ({
            account: `${run}\u0000${account}`,
            window: windowAt(nowMs),
            amount: amountOf(step.amounts[index]!),
            limit: step.limited ? amountOf(step.limit) + 2_000n : undefined
          }))
          const reservation = { id: `${run}-${number}`, claims }
          const [mine, theirs] = [yield* memory.reserve(reservation, nowMs), yield* redis.reserve(reservation, nowMs)]
          expect(theirs).toEqual(mine)
          if (mine !== undefined && "balances" in mine) open.push(reservation)
          const settled = open[step.settles]
          if (settled !== undefined) {
            open = open.filter((each) => each !== settled)
            const charges = settled.claims.map((_, index) => amountOf(step.charges[index]!))
            const mine = yield* memory.settle(settled, charges)
            const theirs = yield* redis.settle(settled, charges)
            expect(theirs?.length).toBe(mine?.length)
            expect(yield* redis.settle(settled, charges)).toBeUndefined()
          }
          for (const account of ["a", "b", "c"]) {
            const name = `${run}\u0000${account}`
            expect(yield* redis.balance(name, windowAt(nowMs))).toEqual(yield* memory.balance(name, windowAt(nowMs)))
          }
        }
      }).pipe(TestClock.withLive),
    { arbitrary: { runs: 150, size: 40 } }
  )

  it.live("more than was reserved, and less than nothing, are exact, too", () =>
    Effect.gen(function* () {
      const window = windowAt(1_000_000)
      const held = { id: "signs", claims: [{ account: "signs", window, amount: 5n, limit: undefined }] }
      for (const [charge, spent] of [
        [-7n, -7n],
        [-(2n ** 63n), -(2n ** 63n) - 7n],
        [2n ** 63n + 7n, 0n],
        [10n ** 12n - 1n, 10n ** 12n - 1n],
        [1n, 10n ** 12n]
      ] as const) {
        yield* redis.reserve(held, 1_000_000)
        expect(yield* redis.settle(held, [charge])).toEqual([spent])
        expect(yield* redis.balance("signs", window)).toEqual({ spent, reserved: 0n })
      }
    })
  )
})
