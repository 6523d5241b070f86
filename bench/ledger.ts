/**
 * The ledger in SQLite: what a record costs to write, and how long reports over many of them take.
 *
 * `LEDGER_RECORDS` sets how many there are to report on; 20,000 by default, so that a short run stays short.
 */
import { Ledger } from "@breakwater/core"
import { Sqlite, SqlLedgerStore } from "@breakwater/stores/sql"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type Benchmark, ofEffect } from "./harness.ts"

const count = Number(process.env["LEDGER_RECORDS"] ?? 20_000)
const start = Date.UTC(2026, 9, 1)
const month = 30 * 86_400_000

const record = (index: number, spread: number) =>
  Ledger.entry({
    id: `${index}`,
    atMs: start + Math.floor(((index % spread) * month) / spread),
    target: `p${index % 2}/m${index % 5}`,
    user: `u${index % 200}`,
    project: `p${index % 10}`,
    tags: [`t${index % 4}`],
    inputTokens: 100 + (index % 900),
    outputTokens: index % 300,
    maxTokens: 1_000,
    fingerprint: `${index % 50_000}`,
    costNanos: BigInt(1_000 + (index % 7_000))
  })

const batchOf = (from: number, spread: number) =>
  Array.from({ length: 500 }, (_, index) => record(from + index, spread))

const benchmark: Benchmark = Effect.gen(function* () {
  const folder = yield* Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "breakwater-bench-"))),
    (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
  )
  const open = (name: string, synchronous: "full" | "normal") =>
    Effect.flatMap(Layer.build(Sqlite.layer({ filename: join(folder, name), synchronous })), (client) =>
      Effect.provide(SqlLedgerStore.make, client)
    )
  const filled = yield* open("filled.db", "normal")
  for (let at = 0; at < count; at += 500) yield* filled.append(batchOf(at, count))
  let next = 1e9
  const append = (store: typeof filled) => ofEffect(() => Effect.orDie(store.append(batchOf((next += 500), 1e12))))
  const whole = { fromMs: start, toMs: start + month }
  const odd = { fromMs: start + 1_234_567, toMs: start + month - 1_234_567 }
  const report = (subject: string, filter: Ledger.LedgerFilter, by: ReadonlyArray<Ledger.LedgerDimension>) => ({
    subject,
    peer: false,
    run: ofEffect(() => Effect.orDie(filled.totals(filter, by)))
  })
  return [
    {
      work: "ledger, a record written",
      unit: "record",
      unitsPerRun: 500,
      subjects: [
        { subject: "breakwater, on the disk", peer: false, run: append(yield* open("full.db", "full")) },
        { subject: "breakwater, with the system", peer: false, run: append(yield* open("normal.db", "normal")) }
      ]
    },
    {
      work: `ledger, a report over ${count} records`,
      unit: "report",
      subjects: [
        report("breakwater, the whole", whole, []),
        report("breakwater, by model", whole, ["model"]),
        report("breakwater, by user", whole, ["user"]),
        report("breakwater, by user and model", whole, ["user", "model"]),
        // Neither end is that of an hour: what is left there is read from the records.
        report("breakwater, by user and model, odd ends", odd, ["user", "model"]),
        report("breakwater, by tag and model", whole, ["tag", "model"]),
        {
          subject: "breakwater, for recommendations",
          peer: false,
          run: ofEffect(() => Effect.orDie(filled.insights(whole, { inputTokens: 500, outputTokens: 200 })))
        }
      ]
    }
  ]
})

export default benchmark
