/** A ledger in a file, opened to be read. */
import { Ledger, LLMError, type Pricing } from "@breakwater/core"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import { existsSync, statSync } from "node:fs"
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

/** What changes when somebody writes the file; `undefined` while somebody may be writing it. */
const stateOf = (file: string): string | undefined => {
  // SQLite takes the log away when the last one who had the file open is done with it.
  if (existsSync(`${file}-wal`)) return undefined
  const { mtimeMs, size } = statSync(file)
  return `${mtimeMs}/${size}`
}

const hasLog = (file: string): boolean => (statSync(`${file}-wal`, { throwIfNoEntry: false })?.size ?? 0) > 0

/**
 * Runs what reads a ledger. Nothing is written, not even beside the file, unless another process has it open: then what
 * that one wrote last is in a log beside the file, which both use.
 *
 * Fails with a sentence for a file that is missing, damaged, something else, or in use where nothing can be written.
 */
export const withLedger = <A, E>(
  file: string,
  effect: Effect.Effect<A, E, Ledger.Ledger | Pricing.Pricing>
): Effect.Effect<A, E | SettingError> =>
  Effect.gen(function* () {
    yield* present(file)
    const [{ Prices }, { SqlLedgerStore, Sqlite }] = yield* Effect.promise(() =>
      Promise.all([import("@breakwater/prices"), import("@breakwater/stores/sql")])
    )
    const open = (immutable: boolean): Effect.Effect<Exit.Exit<A, E | SettingError>> => {
      const layer = Ledger.layer().pipe(
        Layer.provide(SqlLedgerStore.layerReadOnly),
        Layer.provide(Sqlite.layer({ filename: file, readOnly: true, immutable })),
        Layer.provideMerge(Prices.layer())
      )
      const built = Effect.mapError(Layer.build(layer), (error) => unreadable(file, error))
      return Effect.exit(Effect.scoped(Effect.flatMap(built, (context) => Effect.provide(effect, context))))
    }
    const before = stateOf(file)
    if (before !== undefined) {
      const exit = yield* open(true)
      if (stateOf(file) === before) return yield* exit
      // Somebody began to write it meanwhile.
    }
    const exit = yield* open(false)
    // A log with nothing in it can be left out.
    const denied = Exit.isFailure(exit) && isDenied(exit.cause)
    return yield* denied && !hasLog(file) ? open(true).pipe(Effect.flatten) : exit
  })

/** What a ledger that cannot be opened is told by. */
class Denied extends SettingError {}

const isDenied = (cause: Cause.Cause<unknown>): boolean =>
  cause.reasons.some((reason) => Cause.isFailReason(reason) && reason.error instanceof Denied)

const unreadable = (file: string, error: unknown): SettingError => {
  if (error instanceof LLMError.StoreError && error.message.includes("holds no ledger")) {
    return wrong(`${file} is no ledger: it has no table of records`)
  }
  const reason = reasonOf(error)
  if (/unable to open|readonly database|attempt to write/.test(reason)) {
    const log = `${file}-wal`
    return new Denied({
      message: existsSync(log)
        ? `the ledger ${file} is in use, or was not closed: its last records are in ${log}, which SQLite can only read where it may write (${reason}); copy both to such a place`
        : `the ledger ${file} cannot be read: ${reason}`
    })
  }
  return wrong(`${file} is damaged, or no ledger at all: ${reason}`)
}

/** What the database itself said. */
const reasonOf = (error: unknown): string => {
  const reason = (error as { readonly reason?: { readonly cause?: unknown } }).reason
  return report(reason?.cause instanceof Error ? reason.cause : error).message
}
