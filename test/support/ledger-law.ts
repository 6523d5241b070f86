/** What the sums of a ledger in SQL must agree with, to the nano-dollar: the same records in memory. */
import { Ledger, LedgerStore } from "@breakwater/core"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as SqlClient from "effect/sql/SqlClient"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { expect } from "vitest"

const quarter = 900_000
const names = Schema.Literals(["", "a", "b", "ж'%_"])
const tokens = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1_000 }))
const dimension = Schema.Literals([
  ...(["tenant", "user", "project", "key", "tag"] as const),
  ...(["provider", "model", "operation", "outcome"] as const)
])
/** Within three days on both sides of 1970, often at the ends of slots. */
const time = Schema.Struct({
  slot: Schema.Int.check(Schema.isBetween({ minimum: -288, maximum: 288 })),
  past: Schema.Literals([0, 1, 450_123, quarter - 1])
})
const timeOf = ({ past, slot }: typeof time.Type): number => slot * quarter + past

export const Entries = Schema.Array(
  Schema.Struct({
    at: time,
    user: names,
    project: names,
    key: names,
    tenant: Schema.Literals(["default", "other"]),
    tags: Schema.Array(Schema.Literals(["x", "y", "xy"])).check(Schema.isMaxLength(3)),
    target: Schema.Literals(["p/a", "p/b", "q/a/b"]),
    operation: Schema.Literals(["generate", "embed"]),
    outcome: Schema.Literals(["success", "failure", "interrupted"]),
    inputTokens: tokens,
    outputTokens: tokens,
    cachedInputTokens: tokens,
    tookMs: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1e6 })),
    // Sums that a double cannot hold.
    cost: Schema.NullOr(Schema.Literals([0n, 1n, 9_007_199_254_740_993n, 123_456_789_012n])),
    maxTokens: Schema.NullOr(tokens),
    fingerprint: Schema.NullOr(Schema.Literals(["f", "g"]))
  })
).check(Schema.isMaxLength(60))

export const Questions = Schema.Array(
  Schema.Struct({
    from: time,
    to: time,
    by: Schema.Array(dimension).check(Schema.isMaxLength(3)),
    filter: Schema.Struct({
      user: Schema.optionalKey(names),
      project: Schema.optionalKey(names),
      tenant: Schema.optionalKey(Schema.Literals(["default", "other"])),
      tag: Schema.optionalKey(Schema.Literals(["", "x", "xy"])),
      model: Schema.optionalKey(Schema.Literals(["p/a", "q/a/b"])),
      outcome: Schema.optionalKey(Schema.Literals(["success", "failure"]))
    })
  })
).check(Schema.isMinLength(3), Schema.isMaxLength(8))

export const recordsOf = (entries: typeof Entries.Type): ReadonlyArray<Ledger.LedgerRecord> =>
  entries.map(({ at, cost, fingerprint, maxTokens, ...rest }, index) =>
    Ledger.entry({
      ...rest,
      id: `${index}`,
      atMs: timeOf(at),
      ...(cost === null ? {} : { costNanos: cost }),
      ...(maxTokens === null ? {} : { maxTokens }),
      ...(fingerprint === null ? {} : { fingerprint })
    })
  )

const short = { inputTokens: 500, outputTokens: 400 }

const inOrder = <A>(all: ReadonlyArray<A>, key: (each: A) => string): ReadonlyArray<A> =>
  all.toSorted((a, b) => (key(a) < key(b) ? -1 : 1))

/** Asks both stores the same, and expects the same of them. */
export const agree = (
  store: LedgerStore.LedgerStoreService,
  records: ReadonlyArray<Ledger.LedgerRecord>,
  questions: typeof Questions.Type
) =>
  Effect.gen(function* () {
    const memory = yield* LedgerStore.makeMemory
    yield* memory.append(records)
    for (const { by: given, filter, from, to } of questions) {
      const [fromMs, toMs] = [timeOf(from), timeOf(to)].toSorted((a, b) => a - b) as [number, number]
      const asked = { ...filter, fromMs, toMs: toMs + 1 }
      const by = [...new Set(given)]
      const key = (group: Ledger.LedgerGroup) => JSON.stringify(by.map((each) => group.by[each]))
      const said = inOrder(yield* store.totals(asked, by), key)
      expect(said, JSON.stringify({ asked, by })).toEqual(inOrder(yield* memory.totals(asked, by), key))
      const model = (each: LedgerStore.LedgerInsight) => `${each.provider}/${each.model}`
      const known = inOrder(yield* store.insights(asked, short), model)
      expect(known, JSON.stringify(asked)).toEqual(inOrder(yield* memory.insights(asked, short), model))
    }
  })

/** Makes the tables as version 3 had them, and copies the records of a ledger that is up to date into them. */
export const makeVersion3 = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const schema = readFileSync(join(import.meta.dirname, "ledger-v3.sql"), "utf8")
  for (const statement of schema.split(";\n")) yield* sql.unsafe(statement)
})
