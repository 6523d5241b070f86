/**
 * Answers in a SQL database: PostgreSQL for many processes, SQLite for one file that outlives its process.
 *
 * An entry's time is by PostgreSQL's own clock, or this machine's for SQLite. What is over is never answered, and
 * cleared away by those who write: a few rows now and then, found by an index.
 */
import { CacheStore, type LLMError } from "@breakwater/core"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as SqlClient from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import type { Fragment } from "effect/sql/Statement"
import { entryOf, wholeMs } from "../internal/cacheEntry.ts"
import { asStoreError, databaseName } from "./internal/failure.ts"
import { migrate } from "./internal/migrate.ts"

/** One write in so many clears away what is over, … */
const tidyEvery = 16
/** … this many rows at most: four times as many as were added, so that it keeps up. */
const rowsPerTidy = 64

/** Rows that one statement of `clear` removes. */
const rowsPerStep = 1_000

/** Names as PostgreSQL's texts can hold them, which know no NUL; different ones stay different. */
const nameOf = (text: string): string => text.replace(/[\\\0]/g, (char) => (char === "\\" ? "\\\\" : "\\0"))

const unknownSize: CacheStore.CacheSize = { entries: undefined, bytes: undefined, evicted: undefined }

class SqlCache implements CacheStore.CacheStoreService {
  readonly name: string
  private readonly sql: SqlClient.SqlClient
  private readonly clock: Clock.Clock
  private written = 0

  constructor(sql: SqlClient.SqlClient, name: string, clock: Clock.Clock) {
    this.sql = sql
    this.name = name
    this.clock = clock
  }

  readonly get = (key: CacheStore.CacheKey): Effect.Effect<CacheStore.Found | undefined, LLMError.StoreError> =>
    Effect.suspend(() => {
      const now = this.now()
      return this.sql<{ entry: string; stored_ms: unknown; age_ms: unknown }>`
        SELECT entry, stored_ms, ${now} - stored_ms AS age_ms FROM breakwater_cache
        WHERE ${this.is(key)} AND expires_ms > ${now}`
    }).pipe(
      Effect.flatMap(([row]): Effect.Effect<CacheStore.Found | undefined, SqlError> => {
        if (row === undefined) return Effect.succeed(undefined)
        const entry = entryOf(row.entry)
        if (entry !== undefined) return Effect.succeed({ entry, ageMs: Math.max(0, Number(row.age_ms)) })
        // Unless another process has put a readable one there by now.
        return Effect.as(
          this.sql`DELETE FROM breakwater_cache WHERE ${this.is(key)} AND stored_ms = ${row.stored_ms}`,
          undefined
        )
      }),
      asStoreError(this.name, "get")
    )

  readonly set = (
    key: CacheStore.CacheKey,
    entry: CacheStore.CacheEntry,
    ttlMs: number
  ): Effect.Effect<boolean, LLMError.StoreError> =>
    Effect.suspend(() => {
      const now = this.now()
      const put = this.sql`
        INSERT INTO breakwater_cache (tenant, namespace, digest, stored_ms, expires_ms, entry)
        VALUES (${nameOf(key.tenant)}, ${nameOf(key.namespace)}, ${nameOf(key.digest)},
          ${now}, ${now} + ${wholeMs(ttlMs)}, ${JSON.stringify(entry)})
        ON CONFLICT (tenant, namespace, digest) DO UPDATE
        SET stored_ms = excluded.stored_ms, expires_ms = excluded.expires_ms, entry = excluded.entry`
      const tidied = ++this.written % tidyEvery === 0 ? Effect.andThen(put, Effect.ignore(this.tidy())) : put
      return Effect.as(tidied, true)
    }).pipe(asStoreError(this.name, "set"))

  readonly remove = (key: CacheStore.CacheKey): Effect.Effect<void, LLMError.StoreError> =>
    Effect.suspend(() => this.sql`DELETE FROM breakwater_cache WHERE ${this.is(key)}`).pipe(
      Effect.asVoid,
      asStoreError(this.name, "remove")
    )

  readonly clear = (tenant: string, namespace?: string): Effect.Effect<number, LLMError.StoreError> => {
    const { sql } = this
    const ofTenant = sql`tenant = ${nameOf(tenant)}`
    const where = namespace === undefined ? ofTenant : sql`${ofTenant} AND namespace = ${nameOf(namespace)}`
    // In one order, so that two who clear the same never wait for each other in a ring.
    const locked = sql.onDialectOrElse({ pg: () => sql.literal("FOR UPDATE"), orElse: () => sql.literal("") })
    const removeSome = Effect.suspend(
      () => sql<{ alive: unknown }>`
        DELETE FROM breakwater_cache WHERE (tenant, namespace, digest) IN (
          SELECT tenant, namespace, digest FROM breakwater_cache WHERE ${where}
          ORDER BY tenant, namespace, digest LIMIT ${sql.literal(`${rowsPerStep}`)} ${locked}
        ) RETURNING CASE WHEN expires_ms > ${this.now()} THEN 1 ELSE 0 END AS alive`
    )
    return Effect.gen(function* () {
      let [step, removed] = [rowsPerStep, 0]
      while (step === rowsPerStep) {
        const rows = yield* removeSome
        step = rows.length
        for (const { alive } of rows) removed += Number(alive)
      }
      return removed
    }).pipe(asStoreError(this.name, "clear"))
  }

  // A count would read the whole table.
  readonly size = Effect.succeed(unknownSize)

  private now(): Fragment {
    const { clock, sql } = this
    return sql.onDialectOrElse({
      pg: () => sql.literal("CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)"),
      orElse: () => sql`${Math.floor(clock.currentTimeMillisUnsafe())}`
    })
  }

  private is({ digest, namespace, tenant }: CacheStore.CacheKey): Fragment {
    return this.sql`tenant = ${nameOf(tenant)} AND namespace = ${nameOf(namespace)} AND digest = ${nameOf(digest)}`
  }

  private tidy(): Effect.Effect<unknown, SqlError> {
    const { sql } = this
    // Rows that another process is busy with are left to it.
    const free = sql.onDialectOrElse({ pg: () => sql.literal("FOR UPDATE SKIP LOCKED"), orElse: () => sql.literal("") })
    return sql`DELETE FROM breakwater_cache WHERE (tenant, namespace, digest) IN (
      SELECT tenant, namespace, digest FROM breakwater_cache WHERE expires_ms <= ${this.now()}
      ORDER BY expires_ms LIMIT ${sql.literal(`${rowsPerTidy}`)} ${free})`
  }
}

/** Answers in the database of the client in the context, with their table. Fails with a `StoreError` without it. */
export const make: Effect.Effect<CacheStore.CacheStoreService, LLMError.StoreError, SqlClient.SqlClient> = Effect.gen(
  function* () {
    const sql = yield* SqlClient.SqlClient
    const name = databaseName(sql)
    yield* asStoreError(name, "migrate")(migrate)
    return new SqlCache(sql, name, yield* Clock.Clock)
  }
)

/** {@link make} as a Layer. */
export const layer: Layer.Layer<CacheStore.CacheStore, LLMError.StoreError, SqlClient.SqlClient> = Layer.effect(
  CacheStore.CacheStore,
  make
)
