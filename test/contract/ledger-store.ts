/**
 * What every store of the ledger owes, as a suite over the port. An implementation's own test calls it with two
 * connections to one fresh store (two processes, as it were).
 */
import { Ledger, type LedgerStore } from "@breakwater/core"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"

type Store = LedgerStore.LedgerStoreService

export interface LedgerStoreContract {
  /** Two connections to one store that holds nothing. */
  readonly connect: Effect.Effect<readonly [Store, Store], unknown, Scope.Scope>
}

const quarter = 900_000
const start = Date.UTC(2026, 10, 1)

const entry = (id: number, over: Partial<Ledger.EntryOptions> = {}) =>
  Ledger.entry({
    id: `r${id}`,
    atMs: start + id,
    target: "openai/gpt",
    costNanos: 10n,
    inputTokens: 3,
    outputTokens: 2,
    ...over
  })

/** Every record is told apart by its cost. */
const bitOf = (index: number) => 1n << BigInt(index)

const users = ["ada", "bob", undefined]
const models = ["openai/gpt", "openai/mini", "anthropic/gpt"]
const tagSets: ReadonlyArray<ReadonlyArray<string>> = [[], ["red"], ["red", "blue"], ["redder"]]

/** Forty records over two and a half hours, in every mixture. */
const mixture = Array.from({ length: 40 }, (_, index) =>
  entry(index, {
    atMs: start + index * 240_000 + 7,
    target: models[index % 3]!,
    ...(users[index % 3 === 0 ? index % 2 : 2] === undefined ? {} : { user: users[index % 2]! }),
    ...(index % 4 === 0 ? {} : { project: `p${index % 4}` }),
    ...(index % 5 === 0 ? { key: "k" } : {}),
    tenant: index % 7 === 0 ? "other" : "default",
    tags: tagSets[index % 4]!,
    outcome: index % 8 === 0 ? "failure" : "success",
    operation: index % 9 === 0 ? "embed" : "generate",
    costNanos: bitOf(index)
  })
)

const valueOf = (groups: ReadonlyArray<Ledger.LedgerGroup>, by: ReadonlyArray<Ledger.LedgerDimension>) =>
  Object.fromEntries(groups.map((group) => [by.map((each) => group.by[each]).join("|"), group.costNanos]))

/** The reference: a loop over the records. */
const expected = (filter: Ledger.LedgerFilter, by: ReadonlyArray<Ledger.LedgerDimension>) => {
  const sums: Record<string, bigint> = {}
  const dimensions = ["tenant", "user", "project", "key", "tag", "provider", "model", "operation", "outcome"] as const
  for (const record of mixture) {
    if (record.atMs < filter.fromMs || record.atMs >= filter.toMs) continue
    if (dimensions.some((each) => filter[each] !== undefined && !Ledger.valuesOf(record, each).includes(filter[each])))
      continue
    let keys: ReadonlyArray<ReadonlyArray<string>> = [[]]
    for (const each of by) {
      const values = Ledger.valuesOf(record, each).filter(
        (value) => filter[each] === undefined || value === filter[each]
      )
      keys = keys.flatMap((key) => values.map((value) => [...key, value]))
    }
    for (const key of keys) sums[key.join("|")] = (sums[key.join("|")] ?? 0n) + record.costNanos!
  }
  return sums
}

const whole: Ledger.LedgerFilter = { fromMs: start, toMs: start + 86_400_000 }

const filters: ReadonlyArray<Ledger.LedgerFilter> = [
  whole,
  { fromMs: start + quarter, toMs: start + 4 * quarter },
  { fromMs: start + 200_000, toMs: start + 5_000_000 },
  { fromMs: start + 200_000, toMs: start + 300_000 },
  { ...whole, tenant: "other" },
  { ...whole, user: "ada" },
  { ...whole, user: "" },
  { ...whole, project: "p1", toMs: start + 5_000_123 },
  { ...whole, key: "k" },
  { ...whole, tag: "red" },
  { ...whole, tag: "" },
  { ...whole, provider: "openai" },
  { ...whole, model: "anthropic/gpt" },
  { ...whole, operation: "embed" },
  { ...whole, outcome: "failure" },
  { ...whole, tenant: "default", user: "bob" },
  { ...whole, user: "ada", tag: "red", model: "openai/gpt" }
]

const groupings: ReadonlyArray<ReadonlyArray<Ledger.LedgerDimension>> = [
  [],
  ["tenant"],
  ["user"],
  ["project"],
  ["key"],
  ["tag"],
  ["provider"],
  ["model"],
  ["operation"],
  ["outcome"],
  ["tenant", "user"],
  ["user", "model"],
  ["tag", "project"],
  ["provider", "model"]
]

export const ledgerStoreContract = (name: string, { connect }: LedgerStoreContract): void => {
  describe(`a store of the ledger: ${name}`, () => {
    it.effect("what one connection wrote the other reads, whole", () =>
      Effect.gen(function* () {
        const [one, other] = yield* connect
        const records = [
          entry(1),
          entry(2, {
            user: "ada \"'; DROP TABLE x; --",
            project: "проект",
            key: "k1",
            tags: ["a", "b,c", "%"],
            operation: "embed",
            outcome: "failure",
            error: "ServerError",
            attempt: 3,
            requestId: "req",
            tookMs: 1_234,
            cachedInputTokens: 1,
            cacheWriteTokens: 2,
            reasoningTokens: 1,
            counted: "estimated",
            costNanos: 9_007_199_254_740_993n,
            maxTokens: 77,
            fingerprint: "f"
          }),
          Ledger.entry({ id: "unpriced", atMs: start + 3, target: "x/a/b/c" })
        ]
        yield* one.append(records)
        expect(yield* other.records(whole, 10)).toEqual(records)
      }).pipe(Effect.scoped)
    )

    it.effect("a record that comes twice is kept and summed once, in one batch or in two", () =>
      Effect.gen(function* () {
        const [one, other] = yield* connect
        yield* one.append([entry(1), entry(1), entry(2)])
        yield* other.append([entry(2), entry(3)])
        yield* one.append([])
        const [all] = yield* one.totals(whole, [])
        expect(all).toMatchObject({ records: 3, costNanos: 30n })
        expect((yield* one.records(whole, 10)).map((record) => record.id)).toEqual(["r1", "r2", "r3"])
      }).pipe(Effect.scoped)
    )

    it.effect("all sums are there", () =>
      Effect.gen(function* () {
        const [one] = yield* connect
        yield* one.append([
          entry(1, { cachedInputTokens: 1, cacheWriteTokens: 2, reasoningTokens: 1, tookMs: 10 }),
          entry(2, { tookMs: 20, costNanos: 9_007_199_254_740_993n }),
          Ledger.entry({ id: "u", atMs: start + 3, target: "openai/gpt" })
        ])
        for (const filter of [whole, { ...whole, toMs: start + 10 }]) {
          expect(yield* one.totals(filter, [])).toEqual([
            {
              by: {},
              records: 3,
              inputTokens: 6,
              outputTokens: 4,
              cachedInputTokens: 1,
              cacheWriteTokens: 2,
              reasoningTokens: 1,
              costNanos: 9_007_199_254_741_003n,
              unpriced: 1,
              tookMs: 30
            }
          ])
        }
      }).pipe(Effect.scoped)
    )

    it.effect("any filter and any grouping give what a loop over the records gives", () =>
      Effect.gen(function* () {
        const [one, other] = yield* connect
        yield* one.append(mixture.slice(0, 17))
        yield* other.append(mixture.slice(17))
        for (const filter of filters) {
          for (const by of groupings) {
            const groups = yield* other.totals(filter, by)
            expect(valueOf(groups, by), JSON.stringify({ filter, by })).toEqual(expected(filter, by))
          }
        }
      }).pipe(Effect.scoped)
    )

    it.effect("the dearest group comes first, and nothing is no group", () =>
      Effect.gen(function* () {
        const [one] = yield* connect
        expect(yield* one.totals(whole, [])).toEqual([])
        expect(yield* one.totals(whole, ["user"])).toEqual([])
        yield* one.append(mixture)
        const costs = (yield* one.totals(whole, ["model"])).map((group) => group.costNanos)
        expect(costs).toEqual(costs.toSorted((a, b) => (a > b ? -1 : 1)))
      }).pipe(Effect.scoped)
    )

    it.effect("records come in pages, each once", () =>
      Effect.gen(function* () {
        const [one] = yield* connect
        const same = Array.from({ length: 25 }, (_, index) => entry(index + 10, { atMs: start + (index >> 3) }))
        yield* one.append(same.toReversed())
        const seen: Array<string> = []
        let after: LedgerStore.LedgerCursor | undefined
        for (let pages = 0; pages < 10; pages++) {
          const page: ReadonlyArray<Ledger.LedgerRecord> = yield* one.records(whole, 4, after)
          if (page.length === 0) break
          seen.push(...page.map((record) => record.id))
          after = page.at(-1)
        }
        expect(seen).toEqual(same.map((record) => record.id))
      }).pipe(Effect.scoped)
    )

    it.effect("more records than one statement takes are one append", () =>
      Effect.gen(function* () {
        const [one, other] = yield* connect
        const many = Array.from({ length: 1_700 }, (_, index) => entry(index, { user: `u${index % 900}` }))
        yield* one.append(many)
        expect((yield* other.totals(whole, []))[0]).toMatchObject({ records: 1_700, costNanos: 17_000n })
        expect((yield* other.totals(whole, ["user"])).length).toBe(900)
      }).pipe(Effect.scoped)
    )

    it.effect("appends from both connections at once lose nothing", () =>
      Effect.gen(function* () {
        const stores = yield* connect
        yield* Effect.forEach(
          Array.from({ length: 40 }),
          (_, batch) =>
            stores[batch % 2]!.append(
              Array.from({ length: 25 }, (_, index) => entry(batch * 25 + index, { user: `u${index % 5}` }))
            ),
          { concurrency: 8 }
        )
        expect((yield* stores[0].totals(whole, []))[0]).toMatchObject({ records: 1_000, costNanos: 10_000n })
        for (const group of yield* stores[1].totals(whole, ["user"])) expect(group.records).toBe(200)
      }).pipe(Effect.scoped)
    )

    it.effect("insights tell short, bounded, repeated and failed calls apart, by model", () =>
      Effect.gen(function* () {
        const [one] = yield* connect
        yield* one.append([
          entry(1, { inputTokens: 10, outputTokens: 5, maxTokens: 100, fingerprint: "a" }),
          entry(2, { inputTokens: 11, outputTokens: 5, maxTokens: 200, fingerprint: "a" }),
          entry(3, { inputTokens: 10, outputTokens: 6, fingerprint: "a", costNanos: 11n }),
          entry(4, { inputTokens: 10, outputTokens: 5, fingerprint: "b" }),
          entry(5, { outcome: "failure", costNanos: 3n, fingerprint: "a" }),
          entry(6, { target: "openai/mini", outcome: "interrupted", costNanos: 4n })
        ])
        const insights = yield* one.insights(whole, { inputTokens: 10, outputTokens: 5 })
        expect(insights.toSorted((a, b) => (a.model < b.model ? -1 : 1))).toEqual([
          {
            provider: "openai",
            model: "gpt",
            answers: 4,
            costNanos: 41n,
            short: { records: 2, costNanos: 20n, inputTokens: 20, outputTokens: 10 },
            bounded: { records: 2, maxTokens: 300, outputTokens: 10, longest: 5 },
            // Three for 31: two of them again, at a third each.
            repeated: { records: 2, costNanos: 21n },
            failed: { records: 1, costNanos: 3n }
          },
          {
            provider: "openai",
            model: "mini",
            answers: 0,
            costNanos: 0n,
            short: { records: 0, costNanos: 0n, inputTokens: 0, outputTokens: 0 },
            bounded: { records: 0, maxTokens: 0, outputTokens: 0, longest: 0 },
            repeated: { records: 0, costNanos: 0n },
            failed: { records: 1, costNanos: 4n }
          }
        ])
      }).pipe(Effect.scoped)
    )
  })
}
