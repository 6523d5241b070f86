import type { Ledger } from "@breakwater/core"
import { Sqlite, SqlLedgerStore } from "@breakwater/stores/sql"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as SqlClient from "effect/sql/SqlClient"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { agree, Entries, makeVersion3, Questions, recordsOf } from "../../../support/ledger-law.ts"

const memory = Sqlite.layer({ filename: ":memory:" })

const folder = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "breakwater-sums-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
)

/** Puts what an up-to-date ledger holds into one of version 3. */
const copyToVersion3 = (from: string, to: string) =>
  Effect.gen(function* () {
    yield* makeVersion3
    const sql = yield* SqlClient.SqlClient
    yield* sql`ATTACH ${from} AS newer`
    yield* sql`INSERT INTO breakwater_ledger SELECT * FROM newer.breakwater_ledger`
    yield* sql`INSERT INTO breakwater_ledger_sums
      SELECT tenant, dimension, slot, value, records, input_tokens, output_tokens, cached_input_tokens,
        cache_write_tokens, reasoning_tokens, cost_nanos, unpriced, took_ms
      FROM newer.breakwater_ledger_sums WHERE dimension NOT LIKE '%@day'`
    yield* sql`DETACH newer`
  }).pipe(Effect.provide(Sqlite.layer({ filename: to })))

describe("the sums of a ledger in SQL", () => {
  it.effect.prop(
    "agree with the records to the nano-dollar, whatever is asked, and however they were written",
    { entries: Entries, questions: Questions },
    ({ entries, questions }) =>
      Effect.gen(function* () {
        const store = yield* SqlLedgerStore.make
        const records = recordsOf(entries)
        const half = Math.ceil(records.length / 2)
        yield* store.append(records.slice(0, half))
        // Some come again, and are not counted again.
        yield* store.append(records.slice(Math.floor(half / 2)))
        yield* agree(store, records, questions)
      }).pipe(Effect.provide(memory)),
    { arbitrary: { runs: 60 } }
  )

  it.effect.prop(
    "of a file of an older version are the same, whether it is only read or brought up to date",
    { entries: Entries, questions: Questions },
    ({ entries, questions }) =>
      Effect.gen(function* () {
        const path = yield* folder
        const [newer, older] = [join(path, "newer.db"), join(path, "older.db")]
        const records = recordsOf(entries)
        yield* Effect.flatMap(SqlLedgerStore.make, (store) => store.append(records)).pipe(
          Effect.provide(Sqlite.layer({ filename: newer }))
        )
        yield* copyToVersion3(newer, older)
        const read = Effect.gen(function* () {
          const store = yield* SqlLedgerStore.makeReadOnly
          yield* agree(store, records, questions)
          const sql = yield* SqlClient.SqlClient
          expect(yield* sql`SELECT max(version) AS version FROM breakwater_schema`).toEqual([{ version: 3n }])
        })
        yield* Effect.provide(read, Sqlite.layer({ filename: older, readOnly: true }))
        const migrated = Effect.gen(function* () {
          const store = yield* SqlLedgerStore.make
          yield* agree(store, records, questions)
          // What comes later is added to what the migration made.
          const later = records.map((record): Ledger.LedgerRecord => ({ ...record, id: `later-${record.id}` }))
          yield* store.append(later)
          yield* agree(store, [...records, ...later], questions)
        })
        yield* Effect.provide(migrated, Sqlite.layer({ filename: older }))
      }).pipe(Effect.scoped),
    { arbitrary: { runs: 8 }, timeout: 60_000 }
  )

  it.effect("a ledger opened to be read takes no records, and one that is not there is not made", () =>
    Effect.gen(function* () {
      const path = yield* folder
      const filename = join(path, "ledger.db")
      yield* Effect.provide(SqlLedgerStore.make, Sqlite.layer({ filename }))
      const store = yield* Effect.provide(SqlLedgerStore.makeReadOnly, Sqlite.layer({ filename, readOnly: true }))
      const error = yield* Effect.flip(store.append([]))
      expect(error).toMatchObject({ _tag: "StoreError", operation: "append" })
      const none = yield* Effect.flip(Effect.provide(SqlLedgerStore.makeReadOnly, memory))
      expect(none.message).toContain("holds no ledger")
      yield* Effect.flip(Layer.build(Sqlite.layer({ filename: join(path, "none.db"), readOnly: true })))
    }).pipe(Effect.scoped)
  )
})
