/** A ledger in a file, opened to be read. */
import { Ledger, type Pricing } from "@breakwater/core"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as SqlClient from "effect/sql/SqlClient"
import { statSync } from "node:fs"
import { report, SettingError } from "./Failure.ts"

const wrong = (message: string) => new SettingError({ message })

/** A file that is there, and may be a database. Opening would make one that is not there. */
const present = (file: string): Effect.Effect<void, SettingError> =>
  Effect.try({
    try: () => statSync(file),
    catch: (cause) =>
      (cause as NodeJS.ErrnoException).code === "ENOENT"
        ? wrong(`there is no ledger ${file}; breakwater chat --ledger ${file} makes one`)
        : wrong(`the ledger ${file} cannot be read: ${report(cause).message}`)
  }).pipe(
    Effect.flatMap((found) => (found.isFile() ? Effect.void : Effect.fail(wrong(`the ledger ${file} is no file`))))
  )

const hasTables = Effect.flatMap(
  SqlClient.SqlClient,
  (sql) => sql<{ name: string }>`SELECT name FROM sqlite_master WHERE name = 'breakwater_ledger'`
)

/** Runs what reads a ledger. Fails with a sentence for a file that is missing, damaged, or something else. */
export const withLedger = <A, E>(
  file: string,
  effect: Effect.Effect<A, E, Ledger.Ledger | Pricing.Pricing>
): Effect.Effect<A, E | SettingError> =>
  Effect.gen(function* () {
    yield* present(file)
    const [{ Prices }, { SqlLedgerStore, Sqlite }] = yield* Effect.promise(() =>
      Promise.all([import("@breakwater/prices"), import("@breakwater/stores/sql")])
    )
    const unreadable = (error: unknown) => wrong(`${file} is damaged, or no ledger at all: ${reasonOf(error)}`)
    // Looked at without writing first: another program's database is not to get tables of ours.
    const readOnly = Sqlite.layer({ filename: file, readOnly: true })
    const tables = yield* Effect.mapError(Effect.provide(hasTables, readOnly), unreadable)
    if (tables.length === 0) return yield* Effect.fail(wrong(`${file} is no ledger: it has no table of records`))
    const layer = Ledger.layer().pipe(
      Layer.provide(SqlLedgerStore.layer),
      Layer.provide(Sqlite.layer({ filename: file })),
      Layer.provideMerge(Prices.layer())
    )
    return yield* Effect.scoped(
      Effect.flatMap(Effect.mapError(Layer.build(layer), unreadable), (context) => Effect.provide(effect, context))
    )
  })

/** What the database itself said. */
const reasonOf = (error: unknown): string => {
  const reason = (error as { readonly reason?: { readonly cause?: unknown } }).reason
  return report(reason?.cause instanceof Error ? reason.cause : error).message
}
