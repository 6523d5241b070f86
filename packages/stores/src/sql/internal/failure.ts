/** Failures of a database as errors of a store. */
import { LLMError } from "@breakwater/core"
import * as Effect from "effect/Effect"
import type { SqlError } from "effect/sql/SqlError"

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

/** Gives the failures of an effect the name of what was done. */
export const asStoreError =
  (store: string, operation: string) =>
  <A, R>(effect: Effect.Effect<A, SqlError, R>): Effect.Effect<A, LLMError.StoreError, R> =>
    Effect.mapError(effect, (error) => storeError(store, operation, error))
