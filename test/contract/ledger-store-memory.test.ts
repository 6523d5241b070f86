import { LedgerStore } from "@breakwater/core"
import * as Effect from "effect/Effect"
import { ledgerStoreContract } from "./ledger-store.ts"

ledgerStoreContract("memory", {
  connect: Effect.map(LedgerStore.makeMemory, (store) => [store, store] as const)
})
