import { RedisStores } from "@breakwater/stores"
import { describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/testing/TestClock"
import { noRedis, redisKind, startRedis } from "../support/redis.ts"
import { breakerStoreContract } from "./breaker-store.ts"

const connect = Effect.gen(function* () {
  const { url } = yield* startRedis
  const [one, other] = [yield* RedisStores.make({ url }), yield* RedisStores.make({ url })]
  return [one.breaker, other.breaker] as const
})

if (noRedis) {
  describe("a store of circuit breakers: Redis", () => {
    it.skip("the whole contract: there is no Redis here", () => {})
  })
} else {
  breakerStoreContract(`Redis (${redisKind})`, {
    connect,
    pass: (duration) => TestClock.withLive(Effect.sleep(duration))
  })
}
