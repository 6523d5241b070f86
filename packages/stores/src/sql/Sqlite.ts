/**
 * SQLite in this process, by Node's own `node:sqlite`: a file, no server.
 *
 * The file is in WAL mode, so that a reader never waits for the writer, and every commit is on the disk before it is
 * said to be done. One process writes a file; several may read it.
 *
 * Needs Node 22.13 or newer.
 */
import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Reactivity from "effect/reactivity/Reactivity"
import * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import * as SqlClient from "effect/sql/SqlClient"
import type { Connection } from "effect/sql/SqlConnection"
import { classifySqliteError, SqlError } from "effect/sql/SqlError"
import * as Statement from "effect/sql/Statement"
import * as Stream from "effect/Stream"
import type { DatabaseSync, SQLInputValue, StatementSync } from "node:sqlite"
import { pathToFileURL } from "node:url"

export interface Options {
  /** The file; `:memory:` for none. Its folder must be there. */
  readonly filename: string
  /** Only reads. Default false. */
  readonly readOnly?: boolean
  /**
   * With `readOnly`: nobody writes the file meanwhile. Then no file is made beside it, and it can be read where nothing
   * can be written; a change that comes all the same is not noticed. A `-wal` beside the file is left out. Default false.
   */
  readonly immutable?: boolean
  /**
   * When a commit is done: `full` when it is on the disk (a power cut loses nothing), `normal` when it is with the
   * operating system (a killed process loses nothing). Default `full`.
   */
  readonly synchronous?: "full" | "normal"
  /** The longest wait for another process's lock, in whole milliseconds. Default 5,000. */
  readonly busyTimeoutMs?: number
}

/** Defaults of {@link layer}. */
export const defaults = {
  readOnly: false,
  immutable: false,
  synchronous: "full",
  busyTimeoutMs: 5_000
} as const satisfies Omit<Options, "filename">

const failure =
  (operation: string) =>
  (cause: unknown): SqlError =>
    new SqlError({
      reason: classifySqliteError(cause, {
        message: cause instanceof Error ? cause.message : `SQLite could not ${operation}`,
        operation
      })
    })

/** Statements that are remembered, prepared. */
const maxPrepared = 200

const open = (options: Options): DatabaseSync => {
  // Asked for when it is needed: an import would warn every program that only has this package installed.
  const { DatabaseSync } = process.getBuiltinModule("node:sqlite")
  const { busyTimeoutMs, filename, immutable, readOnly, synchronous } = { ...defaults, ...options }
  const url = readOnly && immutable ? new URL(`${pathToFileURL(filename).href}?immutable=1`) : undefined
  const db = new DatabaseSync(url ?? filename, { readOnly, timeout: busyTimeoutMs })
  try {
    if (!readOnly) db.exec("PRAGMA journal_mode = WAL")
    db.exec(`PRAGMA synchronous = ${synchronous === "normal" ? "NORMAL" : "FULL"}`)
    db.exec("PRAGMA cache_size = -32768")
    db.exec("PRAGMA temp_store = MEMORY")
    return db
  } catch (cause) {
    db.close()
    throw cause
  }
}

const connectionOf = (db: DatabaseSync): Connection => {
  const prepared = new Map<string, StatementSync>()
  const prepare = (sql: string): StatementSync => {
    let statement = prepared.get(sql)
    if (statement === undefined) {
      statement = db.prepare(sql)
      // Sums of nano-dollars are past what a double holds.
      statement.setReadBigInts(true)
      if (prepared.size >= maxPrepared) prepared.delete(prepared.keys().next().value!)
      prepared.set(sql, statement)
    }
    return statement
  }
  const all = (sql: string, params: ReadonlyArray<unknown>) =>
    Effect.try({
      try: () =>
        prepare(sql).all(...(params as ReadonlyArray<SQLInputValue>)) as ReadonlyArray<Record<string, unknown>>,
      catch: failure("execute")
    })
  const values = (sql: string, params: ReadonlyArray<unknown>) =>
    Effect.map(all(sql, params), (rows) => rows.map((row) => Object.values(row)))
  return {
    execute: (sql, params, transform) =>
      Effect.map(all(sql, params), (rows) => (transform === undefined ? rows : transform(rows))),
    executeRaw: all,
    executeValues: values,
    executeValuesUnprepared: values,
    executeUnprepared: (sql, params, transform) =>
      Effect.map(all(sql, params), (rows) => (transform === undefined ? rows : transform(rows))),
    executeStream: (sql, params, transform) =>
      Stream.fromIterableEffect(
        Effect.map(all(sql, params), (rows) => (transform === undefined ? rows : transform(rows)))
      )
  }
}

/** A client for one file. Fails with a `SqlError` for a file that cannot be opened, or is none of SQLite. */
export const make = (
  options: Options
): Effect.Effect<SqlClient.SqlClient, Config.ConfigError | SqlError, Scope.Scope | Reactivity.Reactivity> =>
  Effect.gen(function* () {
    const busy = options.busyTimeoutMs ?? defaults.busyTimeoutMs
    if (options.filename.length === 0 || !Number.isSafeInteger(busy) || busy < 0) {
      const [field, value] = options.filename.length === 0 ? ["filename", '""'] : ["busyTimeoutMs", busy]
      return yield* Effect.fail(
        new Config.ConfigError(
          new ConfigProvider.SourceError({
            message: `${field} is ${value}; allowed: ${field === "filename" ? "a path, or :memory:" : "a whole number of at least 0"}`
          })
        )
      )
    }
    const db = yield* Effect.acquireRelease(Effect.try({ try: () => open(options), catch: failure("open") }), (db) =>
      Effect.sync(() => db.close())
    )
    const connection = connectionOf(db)
    const turns = yield* Semaphore.make(1)
    const transactionAcquirer = Effect.uninterruptibleMask((restore) =>
      Effect.withFiber((fiber: { readonly context: Context.Context<never> }) => {
        const scope = Context.getUnsafe(fiber.context, Scope.Scope)
        return Effect.as(
          Effect.tap(restore(turns.take(1)), () => Scope.addFinalizer(scope, turns.release(1))),
          connection
        )
      })
    )
    return yield* SqlClient.make({
      acquirer: turns.withPermits(1)(Effect.succeed(connection)),
      transactionAcquirer,
      compiler: Statement.makeCompilerSqlite(),
      driver: "node-sqlite",
      // A writer from the first statement on: two that read first and write then would be in each other's way.
      beginTransaction: "BEGIN IMMEDIATE",
      spanAttributes: [["db.system.name", "sqlite"]]
    })
  })

/** {@link make} as a Layer. */
export const layer = (options: Options): Layer.Layer<SqlClient.SqlClient, Config.ConfigError | SqlError> =>
  Layer.effect(SqlClient.SqlClient, make(options)).pipe(Layer.provide(Reactivity.layer))
