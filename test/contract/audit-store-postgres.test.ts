/** The audit log on PostgreSQL. */
import { Postgres, SqlAuditStore } from "@breakwater/stores/sql"
import { afterAll, describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as SqlClient from "effect/sql/SqlClient"
import { spawn } from "node:child_process"
import { join } from "node:path"
import { startPostgres } from "../support/postgres.ts"
import { auditOn, auditStoreContract } from "./audit-store.ts"

const server = await startPostgres()

const client = (url: string) => Layer.build(Postgres.layer({ url: Redacted.make(url), maxConnections: 4 }))

if (typeof server === "string") {
  describe(`PostgreSQL (there is no server: ${server})`, () => {
    it.skip("the audit log", () => {})
    it.skip("two processes on one audit log", () => {})
    it.skip("what an administrator of the database changes", () => {})
  })
} else {
  afterAll(() => server.stop())

  const open = (url: string, log = "default") =>
    Effect.flatMap(client(url), (each) => Effect.provide(SqlAuditStore.make({ log }), each))

  auditStoreContract("PostgreSQL", {
    fresh: Effect.map(
      Effect.promise(() => server.database()),
      (url) => open(url)
    ),
    shared: true
  })

  describe("PostgreSQL", () => {
    it.live(
      "two processes on one audit log keep one chain",
      () =>
        Effect.gen(function* () {
          const url = yield* Effect.promise(() => server.database())
          const child = () =>
            new Promise<void>((resolve, reject) => {
              const script = join(import.meta.dirname, "../support/audit-writer.ts")
              const process_ = spawn(
                process.execPath,
                ["--conditions=breakwater-source", "--no-warnings", script, url, "200"],
                { stdio: ["ignore", "ignore", "inherit"] }
              )
              process_.once("error", reject)
              process_.once("exit", (code) => (code === 0 ? resolve() : reject(new Error(`ended with ${code}`))))
            })
          yield* Effect.promise(() => Promise.all([child(), child()]))
          const audit = yield* auditOn(yield* open(url))
          const result = yield* audit.verify()
          expect(result.findings).toEqual([])
          // What they recorded, and their starts and stops; and this start.
          expect(result).toMatchObject({ sound: true, entries: 2 * 202 + 1 })
        }).pipe(Effect.scoped),
      60_000
    )

    it.live("a server that is lost in the middle of an append is a store that fails, until it is back", () =>
      Effect.gen(function* () {
        const url = yield* Effect.promise(() => server.database())
        const audit = yield* auditOn(yield* open(url))
        const sql = yield* Effect.provide(Effect.service(SqlClient.SqlClient), yield* client(url))
        yield* sql`CREATE FUNCTION lose() RETURNS trigger LANGUAGE plpgsql AS
          'BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NEW; END'`
        yield* sql`CREATE TRIGGER lost BEFORE INSERT ON breakwater_audit FOR EACH ROW EXECUTE FUNCTION lose()`
        expect(yield* Effect.flip(audit.record({ action: "a" }))).toMatchObject({ reason: "store" })
        yield* sql`DROP TRIGGER lost ON breakwater_audit`
        yield* audit.record({ action: "b" })
        expect(yield* audit.verify()).toMatchObject({ sound: true, entries: 3 })
      }).pipe(Effect.scoped)
    )

    it.live("what an administrator of the database changes is found, and logs of two names are apart", () =>
      Effect.gen(function* () {
        const url = yield* Effect.promise(() => server.database())
        const other = yield* auditOn(yield* open(url, "other"))
        const store = yield* open(url)
        const audit = yield* auditOn(store)
        for (let index = 0; index < 9; index++) yield* audit.record({ action: "a" })
        expect((yield* other.verify()).entries).toBe(1)
        const context = yield* client(url)
        const sql = yield* Effect.provide(Effect.service(SqlClient.SqlClient), context)
        const undone = <A, E>(change: Effect.Effect<A, E>) =>
          Effect.gen(function* () {
            const rows = yield* sql<{
              seq: string
              line: string
            }>`SELECT seq, line FROM breakwater_audit WHERE log = 'default'`
            const heads = yield* sql<{ head: string }>`SELECT head FROM breakwater_audit_head WHERE log = 'default'`
            yield* change
            const { findings } = yield* audit.verify()
            yield* sql`DELETE FROM breakwater_audit WHERE log = 'default'`
            for (const { line, seq } of rows) {
              yield* sql`INSERT INTO breakwater_audit (log, seq, line) VALUES ('default', ${seq}, ${line})`
            }
            yield* sql`UPDATE breakwater_audit_head SET head = ${heads[0]!.head} WHERE log = 'default'`
            return findings.map(({ entry, kind, lastEntry }) => [kind, entry, lastEntry ?? entry])
          })
        expect(yield* undone(sql`DELETE FROM breakwater_audit WHERE log = 'default' AND seq IN (4, 5)`)).toEqual([
          ["missing", 4, 5]
        ])
        expect(yield* undone(sql`DELETE FROM breakwater_audit WHERE log = 'default' AND seq > 7`)).toEqual([
          ["truncated", 8, 10]
        ])
        expect(
          yield* undone(
            sql`UPDATE breakwater_audit SET line = replace(line, '"at":1', '"at":2') WHERE log = 'default' AND seq = 3`
          )
        ).toEqual([["edited", 3, 3]])
        expect(yield* undone(sql`UPDATE breakwater_audit SET seq = 99 WHERE log = 'default' AND seq = 10`)).toEqual([
          ["edited", 10, 10]
        ])
        expect(yield* undone(sql`UPDATE breakwater_audit_head SET head = '' WHERE log = 'default'`)).toEqual([
          ["head", undefined, undefined]
        ])
        expect((yield* audit.verify()).sound).toBe(true)
      }).pipe(Effect.scoped)
    )
  })
}
