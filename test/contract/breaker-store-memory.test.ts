import { BreakerStore } from "@breakwater/core"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/testing/TestClock"
import { breakerStoreContract } from "./breaker-store.ts"

breakerStoreContract("memory", {
  connect: Effect.map(BreakerStore.makeMemory, (store) => [store, store] as const),
  pass: (duration) => TestClock.adjust(duration)
})
