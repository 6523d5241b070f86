import { LimiterStore } from "@breakwater/core"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/testing/TestClock"
import { limiterStoreContract } from "./limiter-store.ts"

limiterStoreContract("memory", {
  connect: Effect.map(LimiterStore.makeMemory(), (store) => [store, store] as const),
  pass: (duration) => TestClock.adjust(duration)
})
