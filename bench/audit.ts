/**
 * The audit log: what an entry costs to seal and to write, in batches and one by one, and what it costs to verify.
 *
 * `AUDIT_ENTRIES` sets how many there are to verify; 10,000 by default, so that a short run stays short.
 */
import { Audit, FileAuditStore } from "@breakwater/audit"
import { AuditStore } from "@breakwater/core"
import { Sqlite, SqlAuditStore } from "@breakwater/stores/sql"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type Benchmark, ofEffect } from "./harness.ts"

const count = Number(process.env["AUDIT_ENTRIES"] ?? 10_000)
const batch = 500
const keys = [{ id: "bench", key: Redacted.make("a".repeat(64)) }]

const record = (index: number): Audit.AuditRecord => ({
  action: "request",
  actor: { tenant: "acme", user: `u${index % 200}`, key: "k1" },
  requestId: `request-${index}`,
  targets: [`p${index % 2}/m${index % 5}`],
  outcome: "success",
  tokens: { input: 100 + (index % 900), output: index % 300 },
  costNanos: BigInt(1_000 + (index % 7_000)),
  details: { operation: "generate", tookMs: index % 4_000, attempts: 1, finishReason: "stop" }
})

const benchmark: Benchmark = Effect.gen(function* () {
  const folder = yield* Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "breakwater-bench-"))),
    (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
  )
  const on = (store: AuditStore.AuditStoreService) =>
    Audit.make({ keys }).pipe(Effect.provideService(AuditStore.AuditStore, store))
  const file = (name: string, synchronous: "full" | "normal") =>
    Effect.flatMap(FileAuditStore.make({ path: join(folder, name), synchronous }), on)
  const sqlite = Effect.flatMap(Layer.build(Sqlite.layer({ filename: join(folder, "audit.db") })), (client) =>
    Effect.flatMap(Effect.provide(SqlAuditStore.make(), client), on)
  )
  let next = 0
  const batched = (audit: Audit.AuditService) =>
    ofEffect(() =>
      Effect.orDie(
        Effect.andThen(
          Effect.forEach(
            Array.from({ length: batch }, () => record(next++)),
            (each) => audit.offer(each),
            { discard: true }
          ),
          audit.flush
        )
      )
    )
  const filled = yield* file("filled.log", "normal")
  for (let at = 0; at < count; at += batch) {
    yield* Effect.forEach(
      Array.from({ length: batch }, (_, index) => record(at + index)),
      filled.offer,
      { discard: true }
    )
    yield* filled.flush
  }
  const full = yield* file("full.log", "full")
  return [
    {
      work: "audit log, an entry written in a batch",
      unit: "entry",
      unitsPerRun: batch,
      subjects: [
        {
          subject: "breakwater, in memory",
          peer: false,
          run: batched(yield* Effect.flatMap(AuditStore.makeMemory, on))
        },
        { subject: "breakwater, file on the disk", peer: false, run: batched(full) },
        { subject: "breakwater, file with the system", peer: false, run: batched(yield* file("normal.log", "normal")) },
        { subject: "breakwater, SQLite on the disk", peer: false, run: batched(yield* sqlite) }
      ]
    },
    {
      work: "audit log, one entry written and waited for",
      unit: "entry",
      subjects: [
        {
          subject: "breakwater, file on the disk",
          peer: false,
          run: ofEffect(() => Effect.orDie(full.record(record(next++))))
        }
      ]
    },
    {
      work: `audit log, verified over ${count} entries`,
      unit: "entry",
      unitsPerRun: count,
      subjects: [{ subject: "breakwater, file", peer: false, run: ofEffect(() => Effect.orDie(filled.verify())) }]
    }
  ]
})

export default benchmark
