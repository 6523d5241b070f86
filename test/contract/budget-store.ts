/**
 * What every store of budgets owes, as a suite over the port. An implementation's own test calls it with two
 * connections to one fresh store (two processes, as it were).
 */
import type { BudgetStore } from "@breakwater/core"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"

type Store = BudgetStore.BudgetStoreService

export interface BudgetStoreContract {
  /** Two connections to one store that holds nothing. */
  readonly connect: Effect.Effect<readonly [Store, Store], unknown, Scope.Scope>
}

const day = 86_400_000
const window: BudgetStore.BudgetWindow = { bucketMs: 10 * day, fromMs: 10 * day, endMs: 11 * day }
const now = 10 * day + 5
const forever: BudgetStore.BudgetWindow = { bucketMs: 0, fromMs: 0, endMs: Infinity }

let ids = 0
const reservation = (...claims: ReadonlyArray<Partial<BudgetStore.BudgetClaim>>): BudgetStore.BudgetReservation => ({
  id: `id-${ids++}`,
  claims: claims.map((claim) => ({ account: "a", window, amount: 10n, limit: 100n, ...claim }))
})

type Answer = Effect.Success<ReturnType<Store["reserve"]>>

/** Whether a reservation was made. */
const granted = (answer: Answer): boolean => answer === undefined || "balances" in answer

export const budgetStoreContract = (name: string, { connect }: BudgetStoreContract): void => {
  describe(`a store of budgets: ${name}`, () => {
    it.effect("what one connection reserves and settles the other sees", () =>
      Effect.gen(function* () {
        const [one, other] = yield* connect
        expect(yield* other.balance("a", window)).toEqual({ spent: 0n, reserved: 0n })
        const first = reservation({ amount: 60n })
        expect(granted(yield* one.reserve(first, now))).toBe(true)
        expect(yield* other.balance("a", window)).toEqual({ spent: 0n, reserved: 60n })
        expect(yield* other.reserve(reservation({ amount: 41n }), now)).toEqual({ index: 0, spent: 0n, reserved: 60n })
        expect(yield* one.settle(first, [25n])).toEqual([25n])
        expect(yield* other.balance("a", window)).toEqual({ spent: 25n, reserved: 0n })
        expect(granted(yield* other.reserve(reservation({ amount: 75n }), now))).toBe(true)
      }).pipe(Effect.scoped)
    )

    it.effect("a reservation says what stands in each account, or nothing at all", () =>
      Effect.gen(function* () {
        const [one, other] = yield* connect
        const first = reservation({ amount: 60n }, { account: "b", amount: 5n, limit: undefined })
        const said = yield* one.reserve(first, now)
        if (said !== undefined)
          expect(said).toEqual({
            balances: [
              { spent: 0n, reserved: 60n },
              { spent: 0n, reserved: 5n }
            ]
          })
        yield* other.settle(first, [20n, 4n])
        const again = yield* other.reserve(reservation({ amount: 1n }), now)
        if (again !== undefined) expect(again).toEqual({ balances: [{ spent: 20n, reserved: 1n }] })
      }).pipe(Effect.scoped)
    )

    it.effect("exactly the limit fits, one nano-dollar more does not, and without a limit all does", () =>
      Effect.gen(function* () {
        const [one] = yield* connect
        expect(yield* one.reserve(reservation({ amount: 101n }), now)).toEqual({ index: 0, spent: 0n, reserved: 0n })
        expect(granted(yield* one.reserve(reservation({ amount: 100n }), now))).toBe(true)
        expect(yield* one.reserve(reservation({ amount: 1n }), now)).toMatchObject({ index: 0, reserved: 100n })
        expect(
          granted(yield* one.reserve(reservation({ amount: 10n ** 17n, limit: undefined, account: "b" }), now))
        ).toBe(true)
      }).pipe(Effect.scoped)
    )

    it.effect("amounts past what a double holds stay exact", () =>
      Effect.gen(function* () {
        const [one] = yield* connect
        const large = 9_007_199_254_740_993n
        const held = reservation({ amount: large, limit: large })
        expect(granted(yield* one.reserve(held, now))).toBe(true)
        expect(yield* one.reserve(reservation({ amount: 1n, limit: large }), now)).toEqual({
          index: 0,
          spent: 0n,
          reserved: large
        })
        expect(yield* one.settle(held, [large])).toEqual([large])
      }).pipe(Effect.scoped)
    )

    it.effect(
      "an amount past all money is refused where it does not fit, and harms no other claim where all does",
      () =>
        Effect.gen(function* () {
          const [one] = yield* connect
          const huge = 10n ** 24n
          expect(yield* one.reserve(reservation({ amount: huge }), now)).toMatchObject({ index: 0, reserved: 0n })
          const unlimited = reservation({ amount: huge, limit: undefined, account: "soft" })
          const other = reservation({ amount: huge, limit: undefined, account: "soft" })
          const small = reservation({ amount: 5n, limit: undefined, account: "soft" })
          for (const each of [unlimited, other, small]) expect(granted(yield* one.reserve(each, now))).toBe(true)
          yield* one.settle(unlimited, [3n])
          yield* one.settle(small, [2n])
          yield* one.settle(other, [1n])
          expect(yield* one.balance("soft", window)).toEqual({ spent: 6n, reserved: 0n })
        }).pipe(Effect.scoped)
    )

    it.effect("all claims or none, and the refusal names the first that does not fit", () =>
      Effect.gen(function* () {
        const [one] = yield* connect
        const refused = reservation({ account: "a" }, { account: "b", amount: 101n }, { account: "c" })
        expect(yield* one.reserve(refused, now)).toEqual({ index: 1, spent: 0n, reserved: 0n })
        for (const account of ["a", "b", "c"])
          expect(yield* one.balance(account, window)).toEqual({ spent: 0n, reserved: 0n })
        expect(yield* one.settle(refused, [5n, 5n, 5n])).toBeUndefined()
        expect(yield* one.balance("a", window)).toEqual({ spent: 0n, reserved: 0n })
      }).pipe(Effect.scoped)
    )

    it.effect("settling twice, from either side, counts once", () =>
      Effect.gen(function* () {
        const [one, other] = yield* connect
        const held = reservation({})
        yield* one.reserve(held, now)
        const settled = yield* Effect.all([one.settle(held, [7n]), other.settle(held, [7n])], { concurrency: 2 })
        expect(settled.filter((each) => each !== undefined)).toEqual([[7n]])
        expect(yield* one.balance("a", window)).toEqual({ spent: 7n, reserved: 0n })
      }).pipe(Effect.scoped)
    )

    it.effect("more may be spent than was reserved", () =>
      Effect.gen(function* () {
        const [one] = yield* connect
        const held = reservation({ amount: 100n })
        yield* one.reserve(held, now)
        expect(yield* one.settle(held, [250n])).toEqual([250n])
        expect(yield* one.reserve(reservation({ amount: 0n }), now)).toMatchObject({ spent: 250n })
      }).pipe(Effect.scoped)
    )

    it.effect("accounts are apart, whatever their names", () =>
      Effect.gen(function* () {
        const [one] = yield* connect
        const names = [
          "global\u0000day\u0000",
          "user\u0000day\u0000ada",
          "user\u0000day\u0000ada ",
          "user\u0000day\u0000'; --",
          "проект",
          "%"
        ]
        for (const account of names)
          expect(granted(yield* one.reserve(reservation({ account, amount: 100n }), now))).toBe(true)
        for (const account of names) expect(yield* one.balance(account, window)).toEqual({ spent: 0n, reserved: 100n })
      }).pipe(Effect.scoped)
    )

    it.effect("a later period begins with nothing, and what is settled late counts where it was reserved", () =>
      Effect.gen(function* () {
        const [one] = yield* connect
        const held = reservation({ amount: 100n })
        yield* one.reserve(held, now)
        const next = { bucketMs: 11 * day, fromMs: 11 * day, endMs: 12 * day }
        expect(granted(yield* one.reserve(reservation({ amount: 90n, window: next }), now + day))).toBe(true)
        yield* one.settle(held, [100n])
        expect(yield* one.balance("a", next)).toEqual({ spent: 0n, reserved: 90n })
      }).pipe(Effect.scoped)
    )

    it.effect("a rolling window counts its buckets, and no older one", () =>
      Effect.gen(function* () {
        const [one] = yield* connect
        const at = (bucket: number): BudgetStore.BudgetWindow => ({
          bucketMs: bucket * 10,
          fromMs: bucket * 10 - 30,
          endMs: bucket * 10 + 40
        })
        for (const bucket of [100, 101, 102, 103]) {
          const held = reservation({ amount: 25n, window: at(bucket) })
          expect(granted(yield* one.reserve(held, bucket * 10))).toBe(true)
          yield* one.settle(held, [25n])
        }
        expect(yield* one.reserve(reservation({ amount: 1n, window: at(103) }), 1_030)).toMatchObject({ spent: 100n })
        expect(granted(yield* one.reserve(reservation({ amount: 25n, window: at(104) }), 1_040))).toBe(true)
        expect(yield* one.reserve(reservation({ amount: 1n, window: at(104) }), 1_040)).toMatchObject({
          spent: 75n,
          reserved: 25n
        })
      }).pipe(Effect.scoped)
    )

    it.effect("a lifetime has no end", () =>
      Effect.gen(function* () {
        const [one, other] = yield* connect
        const held = reservation({ window: forever })
        yield* one.reserve(held, now)
        expect(yield* other.settle(held, [3n])).toEqual([3n])
        expect(yield* other.balance("a", forever)).toEqual({ spent: 3n, reserved: 0n })
      }).pipe(Effect.scoped)
    )

    it.effect("from both connections at once, over accounts in any order, no limit is passed", () =>
      Effect.gen(function* () {
        const stores = yield* connect
        const one = (index: number) =>
          Effect.gen(function* (): Effect.fn.Return<number, unknown> {
            const [first, second] = index % 2 === 0 ? ["a", "b"] : ["b", "a"]
            const held = reservation({ account: first!, amount: 7n }, { account: second!, amount: 7n })
            const refusal = yield* stores[index % 2]!.reserve(held, now)
            if (!granted(refusal)) return 0
            const { reserved, spent } = yield* stores[0].balance("a", window)
            expect(spent + reserved <= 100n).toBe(true)
            if (index % 3 !== 0) yield* stores[(index + 1) % 2]!.settle(held, [7n, 7n])
            return 1
          })
        const done = yield* Effect.forEach(
          Array.from({ length: 60 }, (_, index) => index),
          one,
          { concurrency: 12 }
        )
        expect(done.reduce((a, b) => a + b, 0)).toBe(14)
        for (const account of ["a", "b"]) {
          const { reserved, spent } = yield* stores[1].balance(account, window)
          expect(spent + reserved).toBe(98n)
        }
      }).pipe(Effect.scoped)
    )

    it.effect("names the accounts in which something stands, in their window, and no more than wanted", () =>
      Effect.gen(function* () {
        const [one, other] = yield* connect
        const names = ["key\u0000day\u0000ada", "key\u0000day\u0000bo", "key\u0000day x\u0000ada"]
        const before: BudgetStore.BudgetWindow = { bucketMs: 9 * day, fromMs: 9 * day, endMs: 10 * day }
        for (const account of names) yield* one.reserve(reservation({ account, amount: 3n }), now)
        const held = reservation({ account: names[0]!, amount: 4n })
        yield* one.reserve(held, now)
        yield* one.settle(held, [2n])
        yield* one.reserve(reservation({ account: "key\u0000day\u0000old", window: before }), now)
        const found = yield* other.accounts!("key\u0000day\u0000", window, 10)
        expect([...found].sort((a, b) => (a.account < b.account ? -1 : 1))).toEqual([
          { account: names[0], spent: 2n, reserved: 3n },
          { account: names[1], spent: 0n, reserved: 3n }
        ])
        expect(yield* other.accounts!("key\u0000day\u0000", window, 1)).toHaveLength(1)
        expect(yield* other.accounts!("user", window, 10)).toEqual([])
      }).pipe(Effect.scoped)
    )
  })
}
