import { CacheStore } from "@breakwater/core"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/testing/TestClock"
import { cacheStoreContract } from "./cache-store.ts"

cacheStoreContract("memory", {
  connect: Effect.map(CacheStore.makeMemory(), (store) => [store, store] as const),
  pass: (duration) => TestClock.adjust(duration)
})
