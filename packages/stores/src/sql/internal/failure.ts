/** Failures of a database as errors of a store. */
import { LLMError } from "@breakwater/core"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type { SqlClient } from "effect/sql/SqlClient"
import { isSqlError, type SqlError } from "effect/sql/SqlError"

/** What went wrong, without the statement: it may hold what nobody should read. */
const reasonOf = (error: SqlError): string => {
  const cause = error.reason.cause
  return cause instanceof Error && cause.message !== "" ? cause.message : error.reason._tag
}

const storeError = (store: string, operation: string, error: SqlError): LLMError.StoreError =>
  LLMError.withoutStack(
    () =>
      new LLMError.StoreError({
        message: `${store} could not ${operation}: ${reasonOf(error)}`,
        store,
        operation,
        cause: error
      })
  )

/**
 * The error of the database in a cause. One that comes while a transaction is rolled back, because the server is gone,
 * is a defect to the client; to a store it is a store that is away.
 */
const errorIn = (cause: Cause.Cause<unknown>): SqlError | undefined => {
  for (const reason of cause.reasons) {
    const error = Cause.isFailReason(reason) ? reason.error : Cause.isDieReason(reason) ? reason.defect : undefined
    if (isSqlError(error)) return error
  }
  return undefined
}

/** Gives the database's failures of an effect the name of what was done. Others stay as they are. */
export const asStoreError =
  (store: string, operation: string) =>
  <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, Exclude<E, SqlError> | LLMError.StoreError, R> =>
    Effect.catchCause(effect, (cause): Effect.Effect<never, Exclude<E, SqlError> | LLMError.StoreError> => {
      const error = Cause.hasInterrupts(cause) ? undefined : errorIn(cause)
      return error === undefined
        ? Effect.failCause(cause as Cause.Cause<Exclude<E, SqlError>>)
        : Effect.fail(storeError(store, operation, error))
    })

/** What a database is called in errors and events. */
export const databaseName = (sql: SqlClient): string =>
  sql.onDialectOrElse({ pg: () => "postgresql", sqlite: () => "sqlite", orElse: () => "sql" })
