/**
 * What every store of token quotas owes, as a suite over the port. An implementation's own test calls it with two
 * connections to one fresh store (two processes, as it were).
 */
import type { QuotaStore } from "@breakwater/core"
import { describe, expect, it } from "@effect/vitest"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"

type Store = QuotaStore.QuotaStoreService
type Four = QuotaStore.PerKind<number>

export interface QuotaStoreContract {
  /** Two connections to one store that holds nothing. */
  readonly connect: Effect.Effect<readonly [Store, Store], unknown, Scope.Scope>
  /** Lets so much of the store's time pass: virtual where the store runs on Effect's clock, real elsewhere. */
  readonly pass: (duration: Duration.Input) => Effect.Effect<void>
}

/** Windows long enough that nothing comes back while a test runs. */
const longMs = 3_600_000

const limitsOf = (limits: Four, windowMs = longMs): QuotaStore.PerKind<QuotaStore.Limit> => {
  const [requests, tokens, input, output] = limits.map((limit) => ({ limit, windowMs }))
  return [requests!, tokens!, input!, output!]
}

const free = Infinity
const none: Four = [0, 0, 0, 0]
const call = (input: number, output: number): Four => [1, input + output, input, output]
const back = (need: Four): Four => [-need[0], -need[1], -need[2], -need[3]]

/** What is left, to a hundredth of the limit: a little refills while a test runs. */
const expectLeft = (decision: QuotaStore.Decision, expected: Four) =>
  decision.remaining.forEach((left, kind) => {
    if (expected[kind] === Infinity) expect(left).toBe(Infinity)
    else expect(Math.abs(left - expected[kind]!)).toBeLessThan(0.5)
  })

const oddKeys = ["a:b", "{a}", "}{", "%7B", "ключ 1", "two words", "line\nbreak", "__proto__", "🌊".repeat(100)]

export const quotaStoreContract = (name: string, { connect, pass }: QuotaStoreContract) =>
  describe(`a store of quotas: ${name}`, () => {
    const kinds: ReadonlyArray<readonly [string, Four, Four, number]> = [
      ["requests", [2, free, free, free], call(10, 10), 0],
      ["tokens", [free, 40, free, free], call(10, 10), 1],
      ["input tokens", [free, free, 20, free], call(10, 10), 2],
      ["output tokens", [free, free, free, 20], call(10, 10), 3]
    ]
    for (const [title, limit, need, kind] of kinds) {
      it.effect(`holds ${title}, for both connections together`, () =>
        Effect.gen(function* () {
          const [one, other] = yield* connect
          const limits = limitsOf(limit)
          const [mine, theirs] = [one.open("n"), other.open("n")]
          expect((yield* mine.reserve("k", limits, need)).granted).toBe(true)
          const second = yield* theirs.reserve("k", limits, need)
          expect(second).toMatchObject({ granted: true, waitMs: 0, pausedMs: 0 })
          expect(Math.abs(second.remaining[kind]!)).toBeLessThan(0.5)
          const third = yield* mine.reserve("k", limits, need)
          expect(third).toMatchObject({ granted: false, kind, pausedMs: 0 })
          // Half of what the window holds has to come back.
          expect(third.waitMs).toBeGreaterThan(longMs / 2 - 60_000)
          expect(third.waitMs).toBeLessThanOrEqual(longMs / 2 + 1)
        })
      )
    }

    it.effect("is all or nothing, and says which kind makes wait the longest", () =>
      Effect.gen(function* () {
        const quota = (yield* connect)[0].open("n")
        const limits = limitsOf([10, 100, 1_000, 30])
        yield* quota.reserve("k", limits, call(10, 25))
        const refused = yield* quota.reserve("k", limits, call(10, 10))
        expect(refused).toMatchObject({ granted: false, kind: 3 })
        expectLeft(yield* quota.reserve("k", limits, none), [9, 65, 990, 5])
        expect((yield* quota.reserve("k", limits, call(10, 5))).granted).toBe(true)
      })
    )

    it.effect("what it says to wait is enough, and not much too long", () =>
      Effect.gen(function* () {
        const quota = (yield* connect)[0].open("n")
        const limits = limitsOf([free, 1_000, free, free], 1_000)
        yield* quota.reserve("k", limits, call(500, 500))
        const refused = yield* quota.reserve("k", limits, call(400, 0))
        expect(refused.granted).toBe(false)
        expect(refused.waitMs).toBeGreaterThan(100)
        expect(refused.waitMs).toBeLessThanOrEqual(400.001)
        yield* pass(Math.ceil(refused.waitMs))
        expect((yield* quota.reserve("k", limits, call(400, 0))).granted).toBe(true)
      })
    )

    it.effect("a need above the limit never fits", () =>
      Effect.gen(function* () {
        const quota = (yield* connect)[0].open("n")
        const limits = limitsOf([free, 100, free, free])
        expect(yield* quota.reserve("k", limits, call(90, 11))).toMatchObject({
          granted: false,
          waitMs: Infinity,
          kind: 1
        })
        expect((yield* quota.reserve("k", limits, call(90, 10))).granted).toBe(true)
      })
    )

    it.effect("a look counts nothing", () =>
      Effect.gen(function* () {
        const quota = (yield* connect)[0].open("n")
        const limits = limitsOf([5, 100, free, free])
        for (let i = 0; i < 10; i++) yield* quota.reserve("k", limits, none)
        const look = yield* quota.reserve("k", limits, none)
        expect(look).toMatchObject({ granted: true, waitMs: 0, kind: undefined })
        expectLeft(look, [5, 100, Infinity, Infinity])
      })
    )

    it.effect("what was reserved too much comes back", () =>
      Effect.gen(function* () {
        const [one, other] = yield* connect
        const limits = limitsOf([10, 1_000, 500, 700])
        const { grant } = yield* one.open("n").reserve("k", limits, call(300, 700))
        yield* one.open("n").settle("k", limits, grant, [0, -800, -200, -600])
        expectLeft(yield* other.open("n").reserve("k", limits, none), [9, 800, 400, 600])
      })
    )

    it.effect("a call that was not made comes back whole", () =>
      Effect.gen(function* () {
        const quota = (yield* connect)[0].open("n")
        const limits = limitsOf([10, 1_000, 500, 700])
        yield* quota.reserve("k", limits, call(100, 100))
        const need = call(200, 200)
        const { grant } = yield* quota.reserve("k", limits, need)
        yield* quota.settle("k", limits, grant, back(need))
        expectLeft(yield* quota.reserve("k", limits, none), [9, 800, 400, 600])
      })
    )

    it.effect("what was used too much is debt", () =>
      Effect.gen(function* () {
        const quota = (yield* connect)[0].open("n")
        const limits = limitsOf([free, 1_000, free, free])
        const { grant } = yield* quota.reserve("k", limits, call(400, 100))
        yield* quota.settle("k", limits, grant, [0, 1_000, 0, 1_000])
        expectLeft(yield* quota.reserve("k", limits, none), [Infinity, -500, Infinity, Infinity])
        const refused = yield* quota.reserve("k", limits, call(1, 0))
        expect(refused).toMatchObject({ granted: false, kind: 1 })
        expect(refused.waitMs).toBeGreaterThan(longMs / 2 - 60_000)
      })
    )

    it.effect("what has refilled by itself does not come back a second time", () =>
      Effect.gen(function* () {
        const quota = (yield* connect)[0].open("n")
        const [quick, slow] = [limitsOf([free, 1_000, free, free], 200), limitsOf([free, 1_000, free, free])]
        const need = call(1_000, 0)
        const { grant } = yield* quota.reserve("k", quick, need)
        yield* pass("300 millis")
        expect((yield* quota.reserve("k", slow, need)).granted).toBe(true)
        yield* quota.settle("k", quick, grant, back(need))
        expect((yield* quota.reserve("k", slow, call(500, 0))).granted).toBe(false)
      })
    )

    it.effect("a call that takes longer than its reservation counts still leaves its debt", () =>
      Effect.gen(function* () {
        const quota = (yield* connect)[0].open("n")
        const [quick, slow] = [limitsOf([free, 1_000, free, free], 200), limitsOf([free, 1_000, free, free])]
        const { grant } = yield* quota.reserve("k", quick, call(10, 0))
        yield* pass("300 millis")
        yield* quota.settle("k", slow, grant, [0, 1_500, 1_500, 0])
        expectLeft(yield* quota.reserve("k", slow, none), [Infinity, -500, Infinity, Infinity])
      })
    )

    it.effect("a grant from before it was forgotten does not come back to those after it", () =>
      Effect.gen(function* () {
        const quota = (yield* connect)[0].open("n")
        const limits = limitsOf([free, 1_000, free, free])
        const need = call(1_000, 0)
        const { grant } = yield* quota.reserve("k", limits, need)
        yield* quota.forget("k")
        yield* pass("2 millis")
        expect((yield* quota.reserve("k", limits, need)).granted).toBe(true)
        yield* quota.settle("k", limits, grant, back(need))
        expect((yield* quota.reserve("k", limits, call(1, 0))).granted).toBe(false)
      })
    )

    it.effect("a pause by one holds all, is never shortened, and ends", () =>
      Effect.gen(function* () {
        const [one, other] = yield* connect
        const [mine, theirs] = [one.open("n"), other.open("n")]
        const limits = limitsOf([100, free, free, free])
        yield* mine.pause("k", 500)
        yield* mine.pause("k", 10)
        const refused = yield* theirs.reserve("k", limits, call(1, 1))
        expect(refused).toMatchObject({ granted: false, kind: undefined, waitMs: refused.pausedMs })
        expect(refused.pausedMs).toBeGreaterThan(200)
        expect(refused.pausedMs).toBeLessThanOrEqual(500)
        expect((yield* theirs.reserve("k", limits, none)).pausedMs).toBeGreaterThan(100)
        expect((yield* theirs.reserve("other", limits, call(1, 1))).granted).toBe(true)
        yield* pass(Math.ceil(refused.waitMs))
        expect((yield* theirs.reserve("k", limits, call(1, 1))).granted).toBe(true)
        expectLeft(yield* mine.reserve("k", limits, none), [99, Infinity, Infinity, Infinity])
      })
    )

    it.effect("a pause and a wait for room add up to one wait that is enough", () =>
      Effect.gen(function* () {
        const quota = (yield* connect)[0].open("n")
        const limits = limitsOf([free, 1_000, free, free], 1_000)
        yield* quota.reserve("k", limits, call(1_000, 0))
        yield* quota.pause("k", 100)
        const refused = yield* quota.reserve("k", limits, call(300, 0))
        expect(refused.kind).toBe(1)
        expect(refused.waitMs).toBeGreaterThan(refused.pausedMs)
        expect(refused.waitMs).toBeLessThanOrEqual(300.001)
        yield* pass(Math.ceil(refused.waitMs))
        expect((yield* quota.reserve("k", limits, call(300, 0))).granted).toBe(true)
      })
    )

    it.effect("a limit that one has learned holds for those who know none", () =>
      Effect.gen(function* () {
        const [one, other] = yield* connect
        const unknown = limitsOf([free, free, free, free])
        const known = limitsOf([free, 100, free, free])
        expect((yield* other.open("n").reserve("k", unknown, call(500, 0))).granted).toBe(true)
        yield* one.open("n").reserve("k", known, call(60, 0))
        expect(yield* other.open("n").reserve("k", unknown, call(60, 0))).toMatchObject({ granted: false, kind: 1 })
        expect((yield* other.open("n").reserve("k", unknown, call(40, 0))).granted).toBe(true)
      })
    )

    it.effect("limits may change in mid-run, and what was used stays", () =>
      Effect.gen(function* () {
        const quota = (yield* connect)[0].open("n")
        yield* quota.reserve("k", limitsOf([10, free, free, free]), call(1, 1))
        expectLeft(yield* quota.reserve("k", limitsOf([5, free, free, free]), none), [4, Infinity, Infinity, Infinity])
        expectLeft(yield* quota.reserve("k", limitsOf([50, free, free, free]), none), [
          49,
          Infinity,
          Infinity,
          Infinity
        ])
      })
    )

    it.effect("keys and namespaces are apart, whatever is in them", () =>
      Effect.gen(function* () {
        const [one, other] = yield* connect
        const limits = limitsOf([1, free, free, free])
        for (const space of ["n", "n:a", "{n}"]) {
          for (const key of oddKeys) {
            expect((yield* one.open(space).reserve(key, limits, call(1, 1))).granted).toBe(true)
          }
        }
        for (const key of oddKeys) {
          expect((yield* other.open("n").reserve(key, limits, call(1, 1))).granted).toBe(false)
        }
      })
    )

    it.effect("many at once are granted the limit and no more", () =>
      Effect.gen(function* () {
        const [one, other] = yield* connect
        const limits = limitsOf([50, 700, free, free])
        const decisions = yield* Effect.forEach(
          Array.from({ length: 100 }, (_, i) => i),
          (i) => (i % 2 === 0 ? one : other).open("n").reserve("k", limits, call(10, 10)),
          { concurrency: "unbounded" }
        )
        expect(decisions.filter((decision) => decision.granted).length).toBe(35)
      })
    )
  })
