/**
 * What every store of limiters owes, as a suite over the port. An implementation's own test calls it with two
 * connections to one fresh store (two processes, as it were).
 */
import type { LimiterStore } from "@breakwater/core"
import { describe, expect, it } from "@effect/vitest"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"

type Store = LimiterStore.LimiterStoreService
type Rule = LimiterStore.Rule

export interface LimiterStoreContract {
  /** Two connections to one store that holds nothing. */
  readonly connect: Effect.Effect<readonly [Store, Store], unknown, Scope.Scope>
  /** Lets so much of the store's time pass: virtual where the store runs on Effect's clock, real elsewhere. */
  readonly pass: (duration: Duration.Input) => Effect.Effect<void>
}

export const algorithms = ["token-bucket", "gcra", "sliding-log", "sliding-counter", "fixed-window"] as const

const windowMs = 400

const ruleOf = (algorithm: LimiterStore.AlgorithmName, limit = 5, window = windowMs): Rule => ({
  algorithm,
  limit,
  windowMs: window,
  burst: limit
})

const times = <A, E, R>(count: number, effect: Effect.Effect<A, E, R>) =>
  Effect.forEach(Array.from({ length: count }), () => effect)

const allowed = (decisions: ReadonlyArray<LimiterStore.Decision>) => decisions.filter((each) => each.allowed).length

const oddKeys = ["a:b", "{a}", "}{", "%7B", "ключ 1", "two words", "line\nbreak", "__proto__", "🌊".repeat(100)]

/** Windows long enough that nothing comes back while a test runs. */
const longMs = 600_000

export const limiterStoreContract = (name: string, { connect, pass }: LimiterStoreContract) =>
  describe(`a store of limiters: ${name}`, () => {
    for (const algorithm of algorithms) {
      describe(algorithm, () => {
        it.effect("admits the limit and no more, and what it says to wait is enough", () =>
          Effect.gen(function* () {
            const [store] = yield* connect
            const limits = store.open("n", [ruleOf(algorithm)])
            const first = yield* times(5, limits.take("k", 1))
            expect(allowed(first)).toBe(5)
            const refused = yield* limits.take("k", 2)
            expect(refused).toMatchObject({ allowed: false, limit: 5 })
            expect(refused.waitMs).toBeGreaterThan(0)
            expect(refused.waitMs).toBeLessThanOrEqual(windowMs * 1.126)
            yield* pass(Math.ceil(refused.waitMs))
            expect(yield* limits.take("k", 2)).toMatchObject({ allowed: true, waitMs: 0 })
          })
        )

        it.effect("counts down what is left", () =>
          Effect.gen(function* () {
            const [store] = yield* connect
            const limits = store.open("n", [ruleOf(algorithm, 5, longMs)])
            expect((yield* limits.check("k", 1)).remaining).toBeCloseTo(5, 2)
            expect((yield* limits.take("k", 1.5)).remaining).toBeCloseTo(3.5, 2)
            expect((yield* limits.take("k", 3)).remaining).toBeCloseTo(0.5, 2)
            expect((yield* limits.take("k", 1)).remaining).toBeCloseTo(0.5, 2)
          })
        )

        it.effect("a check counts nothing, and says what a take would", () =>
          Effect.gen(function* () {
            const [store] = yield* connect
            const limits = store.open("n", [ruleOf(algorithm, 5, longMs)])
            expect(allowed(yield* times(10, limits.check("k", 5)))).toBe(10)
            expect((yield* limits.take("k", 5)).allowed).toBe(true)
            const [asked, taken] = [yield* limits.check("k", 1), yield* limits.take("k", 1)]
            expect(asked).toMatchObject({ allowed: false, limit: 5 })
            expect(Math.abs(asked.waitMs - taken.waitMs)).toBeLessThan(1_000)
          })
        )

        it.effect("a weight above what goes at once never fits", () =>
          Effect.gen(function* () {
            const [store] = yield* connect
            const limits = store.open("n", [ruleOf(algorithm)])
            expect(yield* limits.take("k", 6)).toMatchObject({ allowed: false, waitMs: Infinity, limit: 5 })
            yield* limits.take("k", 1)
            expect(yield* limits.take("k", 6)).toMatchObject({ allowed: false, waitMs: Infinity, limit: 5 })
            expect((yield* limits.take("k", 4)).allowed).toBe(true)
          })
        )

        it.effect("a grant that is given back makes room", () =>
          Effect.gen(function* () {
            const [one, other] = yield* connect
            const limits = one.open("n", [ruleOf(algorithm, 5, longMs)])
            yield* limits.take("k", 2)
            const { at } = yield* limits.take("k", 3)
            expect((yield* limits.take("k", 1)).allowed).toBe(false)
            yield* other.open("n", [ruleOf(algorithm, 5, longMs)]).give("k", 3, at)
            expect((yield* limits.take("k", 3)).allowed).toBe(true)
            expect((yield* limits.take("k", 1)).allowed).toBe(false)
          })
        )

        it.effect("a grant that no longer counts is left alone", () =>
          Effect.gen(function* () {
            const [store] = yield* connect
            const limits = store.open("n", [ruleOf(algorithm)])
            const old = yield* limits.take("k", 5)
            yield* pass(windowMs * 1.3)
            expect((yield* limits.take("k", 5)).allowed).toBe(true)
            yield* limits.give("k", 5, old.at)
            expect((yield* limits.take("k", 4)).allowed).toBe(false)
          })
        )

        it.effect("what was never granted cannot be given back", () =>
          Effect.gen(function* () {
            const [store] = yield* connect
            const limits = store.open("n", [ruleOf(algorithm, 5, longMs)])
            const elsewhere = yield* limits.take("other", 1)
            yield* limits.give("k", 5, elsewhere.at)
            expect(allowed(yield* times(9, limits.take("k", 1)))).toBe(5)
          })
        )

        it.effect("forgets a key", () =>
          Effect.gen(function* () {
            const [store] = yield* connect
            const limits = store.open("n", [ruleOf(algorithm, 5, longMs)])
            yield* limits.take("k", 5)
            yield* limits.take("other", 5)
            yield* limits.forget("k")
            expect((yield* limits.take("k", 5)).allowed).toBe(true)
            expect((yield* limits.take("other", 1)).allowed).toBe(false)
          })
        )

        it.effect("connections count together, also when they ask at once", () =>
          Effect.gen(function* () {
            const stores = yield* connect
            const bound = stores.map((store) => store.open("n", [ruleOf(algorithm, 20, longMs)]))
            const decisions = yield* Effect.forEach(
              Array.from({ length: 100 }, (_, i) => bound[i % 2]!),
              (limits) => limits.take("k", 1),
              { concurrency: "unbounded" }
            )
            expect(allowed(decisions)).toBe(20)
          })
        )

        it.effect("rules that differ in their limits share what was used", () =>
          Effect.gen(function* () {
            const [store] = yield* connect
            const low = store.open("n", [ruleOf(algorithm, 5, longMs)])
            const high = store.open("n", [ruleOf(algorithm, 10, longMs)])
            yield* low.take("k", 5)
            expect((yield* low.take("k", 1)).allowed).toBe(false)
            // GCRA remembers a schedule: what was used up stays used up, however far apart the grants are now.
            expect((yield* high.take("k", 5)).allowed).toBe(algorithm !== "gcra")
            expect((yield* high.take("k", 1)).allowed).toBe(false)
          })
        )
      })
    }

    it.effect("several windows decide as one, all or none", () =>
      Effect.gen(function* () {
        const [store] = yield* connect
        const limits = store.open(
          "n",
          algorithms.map((algorithm, i) => ruleOf(algorithm, 10 - i, longMs))
        )
        expect(yield* limits.take("k", 4)).toMatchObject({ allowed: true, limit: 6 })
        expect(yield* limits.take("k", 3)).toMatchObject({ allowed: false, limit: 6 })
        const last = yield* limits.take("k", 2)
        expect(last.allowed).toBe(true)
        expect((yield* limits.take("k", 1)).allowed).toBe(false)
        yield* limits.give("k", 2, last.at)
        expect((yield* limits.check("k", 2)).remaining).toBeCloseTo(2, 2)
      })
    )

    it.effect("keys are apart, whatever they are called, and so are namespaces", () =>
      Effect.gen(function* () {
        const [store] = yield* connect
        const rules = [ruleOf("token-bucket", 2, longMs), ruleOf("sliding-log", 2, longMs)]
        const [limits, others] = [store.open("n", rules), store.open("n:a", rules)]
        for (const key of oddKeys) {
          expect([key, allowed(yield* times(3, limits.take(key, 1)))]).toEqual([key, 2])
        }
        expect(allowed(yield* times(3, others.take("b", 1)))).toBe(2)
      })
    )
  })
