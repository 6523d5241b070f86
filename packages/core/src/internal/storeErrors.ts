/**
 * The errors of stores that say nothing themselves.
 */
import * as Cause from "effect/Cause"
import { StoreError } from "../errors/LLMError.ts"
import { rejection } from "./rejection.ts"

/** The error of a store that did not answer in time. */
export const lateStore = (store: string, operation: string, limitMs: number): StoreError =>
  rejection(StoreError, "StoreError", {
    message: `${store}: no answer within ${Math.round(limitMs)} ms`,
    store,
    operation
  })

/** The store's own error, or one for what should not have happened. */
export const storeErrorOf = (cause: Cause.Cause<StoreError>, store: string, operation: string): StoreError => {
  for (const reason of cause.reasons) if (reason._tag === "Fail") return reason.error
  return rejection(StoreError, "StoreError", {
    message: `${store}: the store is broken`,
    store,
    operation,
    cause: Cause.squash(cause)
  })
}
