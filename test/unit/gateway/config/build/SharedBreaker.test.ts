import { BreakerStore, CircuitBreaker } from "@breakwater/core"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { within } from "../../../../../packages/gateway/src/config/build/SharedBreaker.ts"

const broken = Effect.fail("broken" as const)

describe("circuits of one route on a shared store", () => {
  it.live("open on every gateway for that route, and for no other", () =>
    Effect.gen(function* () {
      const store = yield* BreakerStore.makeMemory
      const on = (name: string | undefined) =>
        CircuitBreaker.makeShared({ window: CircuitBreaker.consecutive(2) }).pipe(
          Effect.provideService(BreakerStore.BreakerStore, name === undefined ? store : within(store, name))
        )
      const here = yield* on("r")
      const there = yield* on("r")
      const [other, plain] = [yield* on("s"), yield* on(undefined)]
      yield* Effect.sleep("20 millis")
      for (let i = 0; i < 2; i++) yield* Effect.flip(here.protect(broken, { key: "p/m" }))
      yield* Effect.sleep("50 millis")
      const states = yield* Effect.forEach([here, there, other, plain], (breaker) => breaker.snapshot("p/m"))
      expect(states.map(({ state }) => state)).toEqual(["open", "open", "closed", "closed"])
      // One that comes later hears of it, too.
      const late = yield* on("r")
      yield* Effect.sleep("50 millis")
      expect((yield* late.snapshot("p/m")).state).toBe("open")
    }).pipe(Effect.scoped)
  )
})
