/** What the tests of the audit log share. */
import { Audit } from "@breakwater/audit"
import { AuditStore, LLMError } from "@breakwater/core"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"

export const keyOf = (id: string, digit = "a") => ({ id, key: Redacted.make(digit.repeat(64)) })

/** A store in memory that can be made to fail, and counts its batches. */
export const makeFlaky = Effect.map(AuditStore.makeMemory, (store) => {
  const state = { fails: false, appends: 0, lines: 0 }
  const error = new LLMError.StoreError({ message: "no space left on device", store: "flaky", operation: "append" })
  const flaky: AuditStore.AuditStoreService = {
    ...store,
    name: "flaky",
    append: (build) =>
      Effect.suspend(() => {
        state.appends++
        return state.fails ? Effect.fail(error) : store.append(build)
      })
  }
  return { store: flaky, state }
})

export const make = (store: AuditStore.AuditStoreService, options: Partial<Audit.Options> = {}) =>
  Audit.make({ keys: [keyOf("k1")], ...options }).pipe(Effect.provideService(AuditStore.AuditStore, store))
