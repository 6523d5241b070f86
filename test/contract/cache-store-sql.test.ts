/** Answers in SQLite and on PostgreSQL. */
import { CacheStore } from "@breakwater/core"
import { Postgres, SqlCacheStore, Sqlite } from "@breakwater/stores/sql"
import { afterAll, describe, expect, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import * as SqlClient from "effect/sql/SqlClient"
import * as TestClock from "effect/testing/TestClock"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { startPostgres } from "../support/postgres.ts"
import { cacheStoreContract } from "./cache-store.ts"

const filename = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "breakwater-cache-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true }))
).pipe(Effect.map((folder) => join(folder, "cache.db")))

const sqlite = (file: string) => Layer.build(Sqlite.layer({ filename: file, synchronous: "normal" }))

cacheStoreContract("SQLite", {
  connect: Effect.gen(function* () {
    const file = yield* filename
    const open = Effect.flatMap(sqlite(file), (client) => Effect.provide(SqlCacheStore.make, client))
    return [yield* open, yield* open] as const
  }),
  pass: (duration) => TestClock.adjust(duration)
})

const keyOf = (digest: string, tenant = "acme"): CacheStore.CacheKey => ({ tenant, namespace: "default", digest })

const entry: CacheStore.CacheEntry = {
  format: CacheStore.format,
  target: "provider/model",
  bytes: 1,
  answer: {
    kind: "turn",
    turn: {
      content: [{ type: "text", text: "\u0000 \\0 ü𝄞" }],
      finishReason: "stop",
      usage: { inputTokens: 1, outputTokens: 1 }
    }
  }
}

/** What every database owes beside the contract. */
const suite = (client: Effect.Effect<Context.Context<SqlClient.SqlClient>, unknown, Scope.Scope>) => {
  const opened = Effect.gen(function* () {
    const context = yield* client
    const store = yield* Effect.provide(SqlCacheStore.make, context)
    return { store, sql: Context.get(context, SqlClient.SqlClient) }
  })

  it.live("what cannot be read is a miss, and goes", () =>
    Effect.gen(function* () {
      const { sql, store } = yield* opened
      for (const text of ["", "{", "null", "1", JSON.stringify({ ...entry, format: CacheStore.format - 1 })]) {
        yield* store.set(keyOf("k"), entry, 60_000)
        expect((yield* store.get(keyOf("k")))?.entry).toEqual(entry)
        yield* sql`UPDATE breakwater_cache SET entry = ${text}`
        expect(yield* store.get(keyOf("k"))).toBeUndefined()
        expect(yield* sql`SELECT digest FROM breakwater_cache`).toHaveLength(0)
      }
    })
  )

  it.live("what is over is cleared away by those who write", () =>
    Effect.gen(function* () {
      const { sql, store } = yield* opened
      for (let n = 0; n < 100; n++) yield* store.set(keyOf(`short${n}`), entry, 1)
      yield* Effect.sleep("20 millis")
      for (let n = 0; n < 48; n++) yield* store.set(keyOf(`long${n}`), entry, 60_000)
      expect(yield* sql`SELECT digest FROM breakwater_cache WHERE digest LIKE 'short%'`).toHaveLength(0)
      expect(yield* sql`SELECT digest FROM breakwater_cache`).toHaveLength(48)
    })
  )

  it.live("clears more than one step removes, and counts only what was alive", () =>
    Effect.gen(function* () {
      const { sql, store } = yield* opened
      const put = (tenant: string, count: number) =>
        sql.withTransaction(
          Effect.forEach(
            Array.from({ length: count }, (_, n) => keyOf(`${n}`, tenant)),
            (key) => store.set(key, entry, 60_000),
            { discard: true }
          )
        )
      yield* put("acme", 2_100)
      yield* put("other", 10)
      yield* sql`UPDATE breakwater_cache SET expires_ms = 1 WHERE tenant = ${"acme"} AND digest LIKE '20%'`
      const over = yield* sql`SELECT digest FROM breakwater_cache WHERE expires_ms = 1`
      expect(over.length).toBeGreaterThan(100)
      expect(yield* store.clear("acme")).toBe(2_100 - over.length)
      expect(yield* sql`SELECT digest FROM breakwater_cache`).toHaveLength(10)
    })
  )

  it.live("names that differ in a NUL or a backslash are different", () =>
    Effect.gen(function* () {
      const { store } = yield* opened
      for (const tenant of ["a\u0000", "a\\0", "a\\\u0000"]) yield* store.set(keyOf("k", tenant), entry, 60_000)
      expect(yield* store.clear("a\u0000")).toBe(1)
      expect(yield* store.clear("a\\\u0000")).toBe(1)
      expect(yield* store.get(keyOf("k", "a\\0"))).toBeDefined()
    })
  )
}

describe("answers in SQLite", () => {
  suite(Effect.flatMap(filename, sqlite))

  it.live("outlive the process", () =>
    Effect.gen(function* () {
      const file = yield* filename
      const once = <A, E>(use: (store: CacheStore.CacheStoreService) => Effect.Effect<A, E>) =>
        Effect.scoped(
          Effect.flatMap(sqlite(file), (client) => Effect.flatMap(Effect.provide(SqlCacheStore.make, client), use))
        )
      yield* once((store) => store.set(keyOf("k"), entry, 60_000))
      expect((yield* once((store) => store.get(keyOf("k"))))?.entry).toEqual(entry)
    })
  )
})

const server = await startPostgres()

if (typeof server === "string") {
  describe(`answers on PostgreSQL (there is no server: ${server})`, () => {
    it.skip("the whole contract", () => {})
  })
} else {
  afterAll(() => server.stop())
  const client = (url: string) => Layer.build(Postgres.layer({ url: Redacted.make(url), maxConnections: 4 }))

  cacheStoreContract("PostgreSQL", {
    connect: Effect.gen(function* () {
      const url = yield* Effect.promise(server.database)
      const open = Effect.flatMap(client(url), (each) => Effect.provide(SqlCacheStore.make, each))
      return yield* Effect.all([open, open], { concurrency: 2 })
    }),
    pass: (duration) => TestClock.withLive(Effect.sleep(duration))
  })

  describe("answers on PostgreSQL", () => {
    suite(Effect.flatMap(Effect.promise(server.database), client))
  })
}
