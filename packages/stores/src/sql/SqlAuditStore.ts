/**
 * An audit log in a SQL database: PostgreSQL for many processes that write one log, SQLite for one file.
 *
 * A row a line, with its sequence number as its key, and one row for the head. Whoever appends locks the head's row first,
 * so that writers take turns and the chain has no branches. Several logs may stand in one database, each under its name.
 *
 * Against those who administer the database the log is protected by its chain, not by the database: `verify` finds what
 * they change. A user who may not delete from `breakwater_audit` can write the log, but not prune it.
 */
import { AuditStore, type LLMError } from "@breakwater/core"
import type * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import * as SqlClient from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import { optionError } from "../internal/Options.ts"
import { asStoreError, databaseName } from "./internal/failure.ts"
import { migrate } from "./internal/migrate.ts"

export interface Options {
  /** The name of the log: 1 to 100 letters, digits, `.`, `_` and `-`. Default `default`. */
  readonly log?: string
}

/** Defaults of {@link make}. */
export const defaults = { log: "default" } as const satisfies Options

const pageSize = 1_000

/** Rows of one statement. */
const rowsPerStatement = 500

interface LineRow {
  readonly seq: number | string | bigint
  readonly line: string
}

const lineOf = ({ line, seq }: LineRow): AuditStore.AuditLine => ({ place: Number(seq), text: line })

/** An answer of `build` that is a failure, on its way out of a transaction. */
class Refused<E> {
  readonly error: E
  constructor(error: E) {
    this.error = error
  }
}

class SqlAudit implements AuditStore.AuditStoreService {
  readonly name: string
  readonly places = "sequence"
  readonly repaired = undefined
  readonly head: Effect.Effect<string | undefined, LLMError.StoreError>
  private readonly sql: SqlClient.SqlClient
  private readonly log: string

  constructor(sql: SqlClient.SqlClient, name: string, log: string) {
    this.sql = sql
    this.name = name
    this.log = log
    this.head = Effect.suspend(() => this.readHead(false)).pipe(asStoreError(name, "read"))
  }

  readonly newest = (
    limit: number,
    before = Number.MAX_SAFE_INTEGER
  ): Effect.Effect<ReadonlyArray<AuditStore.AuditLine>, LLMError.StoreError> =>
    this.sql<LineRow>`SELECT seq, line FROM breakwater_audit WHERE log = ${this.log} AND seq < ${before}
      ORDER BY seq DESC LIMIT ${limit}`.pipe(
      Effect.map((rows) => rows.map(lineOf)),
      asStoreError(this.name, "read")
    )

  readonly read = <A, E, R>(
    use: (snapshot: AuditStore.AuditSnapshot) => Effect.Effect<A, E, R>
  ): Effect.Effect<A, E | LLMError.StoreError, R> => {
    const reading = Effect.flatMap(asStoreError(this.name, "read")(this.readHead(false)), (head) =>
      use({ head, next: this.pages() })
    )
    // On PostgreSQL one moment of the log, however long reading takes. SQLite has one connection, which others wait for.
    return this.sql.onDialectOrElse({
      pg: () =>
        Effect.andThen(this.sql`SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY`, reading).pipe(
          this.sql.withTransaction,
          asStoreError(this.name, "read")
        ) as typeof reading,
      orElse: () => reading
    })
  }

  readonly append = <E>(
    build: (tail: AuditStore.AuditTail) => Result.Result<AuditStore.AuditBatch, E>
  ): Effect.Effect<void, LLMError.StoreError | E> =>
    Effect.gen({ self: this }, function* () {
      const head = yield* this.readHead(true)
      const [last] = yield* this.sql<LineRow>`SELECT seq, line FROM breakwater_audit WHERE log = ${this.log}
        ORDER BY seq DESC LIMIT 1`
      const built = build({ head, last: last?.line })
      if (Result.isFailure(built)) return yield* Effect.fail(new Refused(built.failure))
      const { lines } = built.success
      for (let at = 0; at < lines.length; at += rowsPerStatement)
        yield* this.insert(lines.slice(at, at + rowsPerStatement))
      yield* this.sql`UPDATE breakwater_audit_head SET head = ${built.success.head} WHERE log = ${this.log}`
    }).pipe(
      this.sql.withTransaction,
      asStoreError(this.name, "append"),
      Effect.mapError((error) => (error instanceof Refused ? (error.error as E) : error))
    )

  readonly prune = ({ checkpoint, first, through }: AuditStore.AuditPrune): Effect.Effect<void, LLMError.StoreError> =>
    Effect.gen({ self: this }, function* () {
      yield* this.readHead(true)
      const [row] = yield* this.sql<LineRow>`SELECT seq, line FROM breakwater_audit WHERE log = ${this.log}
        ORDER BY seq LIMIT 1`
      if (row?.line !== first) return false
      yield* this.sql`DELETE FROM breakwater_audit WHERE log = ${this.log} AND seq <= ${through}`
      yield* this.insert([{ seq: through, text: checkpoint }])
      return true
    }).pipe(
      this.sql.withTransaction,
      asStoreError(this.name, "prune"),
      Effect.flatMap((done) => (done ? Effect.void : Effect.fail(AuditStore.pruneForestalled(this.name))))
    )

  private readHead(lock: boolean): Effect.Effect<string | undefined, SqlError> {
    const { log, sql } = this
    const read = sql.onDialectOrElse({
      // Held until the end of the transaction.
      pg: () =>
        lock
          ? sql<{ head: string }>`SELECT head FROM breakwater_audit_head WHERE log = ${log} FOR UPDATE`
          : sql<{ head: string }>`SELECT head FROM breakwater_audit_head WHERE log = ${log}`,
      orElse: () => sql<{ head: string }>`SELECT head FROM breakwater_audit_head WHERE log = ${log}`
    })
    return Effect.map(read, ([row]) => (row === undefined || row.head === "" ? undefined : row.head))
  }

  /** Pages by the key. A line that comes while they are read is left for the next time. */
  private pages(): AuditStore.AuditSnapshot["next"] {
    let after = Number.MIN_SAFE_INTEGER
    return Effect.suspend(
      () => this.sql<LineRow>`SELECT seq, line FROM breakwater_audit WHERE log = ${this.log} AND seq > ${after}
        ORDER BY seq LIMIT ${pageSize}`
    ).pipe(
      Effect.map((rows) => {
        const lines = rows.map(lineOf)
        after = lines.at(-1)?.place ?? after
        return lines
      }),
      asStoreError(this.name, "read")
    )
  }

  private insert(lines: AuditStore.AuditBatch["lines"]): Effect.Effect<unknown, SqlError> {
    const numbered = this.sql.onDialectOrElse({ pg: () => true, orElse: () => false })
    const params: Array<unknown> = []
    const param = (value: unknown): string => (numbered ? `$${params.push(value)}` : (params.push(value), "?"))
    const tuples = lines.map(({ seq, text }) => `(${param(this.log)},${param(seq)},${param(text)})`)
    return this.sql.unsafe(`INSERT INTO breakwater_audit (log, seq, line) VALUES ${tuples.join(",")}`, params)
  }
}

const logOf = (options: Options): Effect.Effect<string, Config.ConfigError> => {
  const { log } = { ...defaults, ...options }
  return /^[\w.-]{1,100}$/.test(log)
    ? Effect.succeed(log)
    : Effect.fail(optionError("log", log, "1 to 100 letters, digits, `.`, `_` and `-`"))
}

/** A log that is only read: nothing is made or changed in the database. Fails with a `ConfigError` for a wrong name. */
export const reader = (
  options: Options = {}
): Effect.Effect<AuditStore.AuditReader, Config.ConfigError, SqlClient.SqlClient> =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    return new SqlAudit(sql, databaseName(sql), yield* logOf(options))
  })

/**
 * A log in the database of the client in the context, with its tables. Fails with a `ConfigError` for a wrong name, and
 * with a `StoreError` without a database.
 */
export const make = (
  options: Options = {}
): Effect.Effect<AuditStore.AuditStoreService, LLMError.StoreError | Config.ConfigError, SqlClient.SqlClient> =>
  Effect.gen(function* () {
    const log = yield* logOf(options)
    const sql = yield* SqlClient.SqlClient
    const name = databaseName(sql)
    yield* asStoreError(name, "migrate")(migrate)
    // A head that is taken away later stays away: only a log without entries gets a new one.
    yield* asStoreError(
      name,
      "open"
    )(sql`INSERT INTO breakwater_audit_head (log, head) VALUES (${log}, '')
      ON CONFLICT (log) DO NOTHING`)
    return new SqlAudit(sql, name, log)
  })

/** {@link make} as a Layer. */
export const layer = (
  options: Options = {}
): Layer.Layer<AuditStore.AuditStore, LLMError.StoreError | Config.ConfigError, SqlClient.SqlClient> =>
  Layer.effect(AuditStore.AuditStore, make(options))
