import { BudgetStore } from "@breakwater/core"
import * as Effect from "effect/Effect"
import { budgetStoreContract } from "./budget-store.ts"

budgetStoreContract("memory", {
  connect: Effect.map(BudgetStore.makeMemory(), (store) => [store, store] as const)
})
