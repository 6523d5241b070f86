import { QuotaStore } from "@breakwater/core"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/testing/TestClock"
import { quotaStoreContract } from "./quota-store.ts"

quotaStoreContract("memory", {
  connect: Effect.map(QuotaStore.makeMemory(), (store) => [store, store] as const),
  pass: (duration) => TestClock.adjust(duration)
})
