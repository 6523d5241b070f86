import { CallContext, Event, Ledger, LedgerStore, Pricing } from "@breakwater/core"
import { Sqlite, SqlLedgerStore } from "@breakwater/stores/sql"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as SqlClient from "effect/sql/SqlClient"
import { spawn, spawnSync } from "node:child_process"
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

const folder = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "breakwater-sqlite-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
)

const open = (options: Sqlite.Options) =>
  Effect.gen(function* () {
    const context = yield* Layer.build(Sqlite.layer(options))
    return {
      store: yield* Effect.provide(SqlLedgerStore.make, context),
      sql: yield* Effect.provide(Effect.service(SqlClient.SqlClient), context)
    }
  })

const everything: Ledger.LedgerFilter = { fromMs: 0, toMs: 1e14 }
const entry = (id: string, over: Partial<Ledger.EntryOptions> = {}) =>
  Ledger.entry({ id, atMs: 5, target: "p/a", costNanos: 1n, ...over })

/** A writer that loads, and waits for its turn. */
const startWriter = (filename: string, round: number) =>
  spawn(
    process.execPath,
    [
      "--conditions=breakwater-source",
      "--no-warnings",
      join(import.meta.dirname, "../../../support/ledger-writer.ts"),
      filename,
      String(round)
    ],
    { stdio: ["pipe", "pipe", "pipe"] }
  )

/** Lets a writer write, and kills it after so many acknowledged lines; answers with what it acknowledged. */
const killAfter = (child: ReturnType<typeof startWriter>, lines: number) =>
  new Promise<ReadonlyArray<string>>((resolve, reject) => {
    let said = ""
    let complained = ""
    let killed = false
    child.stderr.on("data", (chunk) => (complained += String(chunk)))
    child.stdout.on("data", (chunk) => {
      said += String(chunk)
      if (!killed && said.split("\n").length > lines) {
        killed = true
        child.kill("SIGKILL")
      }
    })
    child.once("error", reject)
    child.once("close", () => {
      const whole = said.split("\n").slice(0, -1)
      if (whole[0] !== "ready") reject(new Error(complained))
      else resolve(whole.slice(1))
    })
    child.stdin.write("!")
  })

describe("the ledger in SQLite", () => {
  it("killed fifty times in mid-write, it loses nothing it acknowledged, and nothing is torn", async () => {
    const path = mkdtempSync(join(tmpdir(), "breakwater-kill-"))
    try {
      const filename = join(path, "ledger.db")
      const acknowledged: Array<string> = []
      // The next ones load while one writes.
      const writers = [startWriter(filename, 0), startWriter(filename, 1)]
      for (let round = 0; round < 50; round++) {
        if (round < 48) writers.push(startWriter(filename, round + 2))
        acknowledged.push(...(await killAfter(writers[round]!, 1 + ((round * 37) % 300))))
      }
      expect(acknowledged.length).toBeGreaterThan(1_000)
      await Effect.runPromise(
        Effect.scoped(
          Effect.gen(function* () {
            const { sql, store } = yield* open({ filename })
            const [check] = yield* sql<{ integrity_check: string }>`PRAGMA integrity_check`
            expect(check!.integrity_check).toBe("ok")
            const kept = new Set((yield* sql<{ id: string }>`SELECT id FROM breakwater_ledger`).map((row) => row.id))
            expect(acknowledged.filter((id) => !kept.has(id))).toEqual([])
            // A batch is there whole or not at all.
            const batches = new Map<string, number>()
            for (const id of kept) {
              const batch = id.slice(0, id.lastIndexOf("-"))
              batches.set(batch, (batches.get(batch) ?? 0) + 1)
            }
            for (const [batch, size] of batches) expect(size, batch).toBe(1 + (Number(batch.split("-")[1]) % 40))
            // The sums say what the records say.
            const bySums = yield* store.totals({ fromMs: 0, toMs: 900_000 * 1_000_000 }, ["user"])
            const byRecords = new Map<string, bigint>()
            for (const row of yield* sql<{
              user_id: string
              n: bigint
            }>`SELECT user_id, COUNT(*) AS n FROM breakwater_ledger GROUP BY user_id`) {
              byRecords.set(row.user_id, row.n)
            }
            expect(new Map(bySums.map((group) => [group.by.user!, group.costNanos]))).toEqual(byRecords)
            const crossed = yield* store.totals({ fromMs: 0, toMs: 86_400_000 * 10_000 }, ["user", "model"])
            expect(new Map(crossed.map((group) => [group.by.user!, group.costNanos]))).toEqual(byRecords)
          })
        )
      )
    } finally {
      rmSync(path, { recursive: true, force: true })
    }
  }, 180_000)

  it.live(
    "fifty thousand records of a month are written at some thousands a second, and reported by user",
    () =>
      Effect.gen(function* () {
        const filename = join(yield* folder, "ledger.db")
        const { store } = yield* open({ filename, synchronous: "normal" })
        const start = Date.UTC(2026, 9, 1)
        const month = 30 * 86_400_000
        // How fast it really is, and how it is with a million, bench/ledger.ts says.
        const count = 50_000
        const began = performance.now()
        for (let at = 0; at < count; at += 500) {
          yield* store.append(
            Array.from({ length: 500 }, (_, index) =>
              entry(`${at + index}`, {
                atMs: start + Math.floor(((at + index) * month) / count),
                user: `u${(at + index) % 50}`,
                target: `p/m${(at + index) % 5}`,
                project: `p${(at + index) % 3}`
              })
            )
          )
        }
        const perSecond = count / ((performance.now() - began) / 1_000)
        expect(perSecond).toBeGreaterThan(1_000)
        const [all] = yield* store.totals({ fromMs: start, toMs: start + month }, [])
        expect(all!.records).toBe(count)
        expect(yield* store.totals({ fromMs: start, toMs: start + month }, ["user"])).toHaveLength(50)
      }).pipe(Effect.scoped),
    60_000
  )

  it.live("what the pipeline puts down is there when the program is started again", () =>
    Effect.gen(function* () {
      const filename = join(yield* folder, "ledger.db")
      const stores = SqlLedgerStore.layer.pipe(Layer.provide(Sqlite.layer({ filename })))
      const layer = Ledger.layer().pipe(Layer.provide([stores, Pricing.layerNoop]))
      yield* Effect.provide(
        Effect.map(Effect.service(Ledger.Ledger), (ledger) => {
          for (let index = 0; index < 1_000; index++) {
            ledger.record!(
              { context: CallContext.single, request: { model: "a", messages: [] }, requestId: `${index}` },
              [
                {
                  attempt: 1,
                  target: "p/a",
                  outcome: "success",
                  startedAt: index,
                  tookMs: 1,
                  waitedMs: 0,
                  costNanos: 2n
                }
              ]
            )
          }
        }),
        layer
      )
      const again = yield* Effect.provide(
        Effect.flatMap(Effect.service(Ledger.Ledger), (ledger) => ledger.report(everything)),
        layer
      )
      expect(again[0]).toMatchObject({ records: 1_000, costNanos: 2_000n })
    }).pipe(Effect.scoped)
  )

  it.live("a file that is none of SQLite's, or is damaged, is a typed error", () =>
    Effect.gen(function* () {
      const path = yield* folder
      const nonsense = join(path, "nonsense.db")
      writeFileSync(nonsense, "this is not a database, ".repeat(500))
      expect((yield* Effect.flip(open({ filename: nonsense })))._tag).toMatch(/SqlError|StoreError/)
      const damaged = join(path, "damaged.db")
      yield* Effect.scoped(
        Effect.gen(function* () {
          const { store } = yield* open({ filename: damaged })
          yield* store.append(Array.from({ length: 2_000 }, (_, index) => entry(`${index}`)))
        })
      )
      const bytes = readFileSync(damaged)
      bytes.fill(0xee, 4_096)
      writeFileSync(damaged, bytes)
      const error = yield* Effect.flip(
        Effect.flatMap(open({ filename: damaged }), ({ store }) => store.totals(everything, ["user", "tag"]))
      )
      expect(error._tag).toMatch(/SqlError|StoreError/)
      expect((yield* Effect.flip(open({ filename: join(path, "no", "such", "folder.db") })))._tag).toBe("SqlError")
      expect((yield* Effect.flip(open({ filename: "" })))._tag).toBe("ConfigError")
      expect((yield* Effect.flip(open({ filename: nonsense, busyTimeoutMs: Number.NaN })))._tag).toBe("ConfigError")
    }).pipe(Effect.scoped)
  )

  it.live("a file that may only be read is read, and does not take records", () =>
    Effect.gen(function* () {
      const filename = join(yield* folder, "ledger.db")
      yield* Effect.scoped(Effect.flatMap(open({ filename }), ({ store }) => store.append([entry("1")])))
      chmodSync(filename, 0o444)
      const context = yield* Layer.build(Sqlite.layer({ filename, readOnly: true }))
      const sql = yield* Effect.provide(Effect.service(SqlClient.SqlClient), context)
      expect(yield* sql`SELECT id FROM breakwater_ledger`).toEqual([{ id: "1" }])
      const error = yield* Effect.flip(sql`DELETE FROM breakwater_ledger`)
      expect(error._tag).toBe("SqlError")
    }).pipe(Effect.scoped)
  )

  it.live("a full disk: a typed error, the records wait, and are written when there is room", (context) =>
    Effect.gen(function* () {
      const path = yield* folder
      const mount = join(path, "small")
      mkdirSync(mount)
      const mounted = spawnSync("mount", ["-t", "tmpfs", "-o", "size=1m", "tmpfs", mount])
      if (mounted.status !== 0) return context.skip("no small file system can be mounted here")
      yield* Effect.addFinalizer(() => Effect.sync(() => spawnSync("umount", ["-l", mount])))
      const ballast = join(mount, "ballast")
      writeFileSync(ballast, Buffer.alloc(400_000))
      const events: Array<Event.PolicyEvent> = []
      yield* Effect.scoped(
        Effect.gen(function* () {
          const { store } = yield* open({ filename: join(mount, "ledger.db") })
          const ledger = yield* Ledger.make({ flushEvery: "10 seconds" }).pipe(
            Effect.provideService(LedgerStore.LedgerStore, store),
            Effect.provide(Pricing.layerNoop),
            Effect.provideService(Event.EventSink, (event) => {
              events.push(event)
            })
          )
          const put = (index: number) =>
            ledger.record!(
              {
                context: CallContext.single,
                request: { model: "a", messages: [] },
                requestId: `${index}-${"x".repeat(200)}`
              },
              [
                {
                  attempt: 1,
                  target: "p/a",
                  outcome: "success",
                  startedAt: index,
                  tookMs: 1,
                  waitedMs: 0,
                  costNanos: 1n
                }
              ]
            )
          let index = 0
          let failed = false
          while (!failed && index < 20_000) {
            for (let i = 0; i < 100; i++) put(index++)
            failed = (yield* Effect.exit(ledger.flush))._tag === "Failure"
          }
          expect(failed).toBe(true)
          const error = yield* Effect.flip(ledger.flush)
          expect(error).toMatchObject({ _tag: "StoreError", store: "sqlite", operation: "append" })
          expect(error.message).toContain("full")
          const waiting = yield* ledger.waiting
          expect(waiting).toBeGreaterThan(0)
          rmSync(ballast)
          yield* ledger.flush
          expect((yield* store.totals({ fromMs: 0, toMs: 1e9 }, []))[0]!.records).toBe(index)
        })
      )
      expect(events.map((event) => event.type === "ledger-store-changed" && event.available)).toEqual([false, true])
    }).pipe(Effect.scoped)
  )
})
