import { RedisStores } from "@breakwater/stores"
import { describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/testing/TestClock"
import { noRedis, redisKind, startRedis } from "../support/redis.ts"
import { quotaStoreContract } from "./quota-store.ts"

const connect = Effect.gen(function* () {
  const { url } = yield* startRedis
  const [one, other] = [yield* RedisStores.make({ url }), yield* RedisStores.make({ url })]
  return [one.quota, other.quota] as const
})

if (noRedis) {
  describe("a store of quotas: Redis", () => {
    it.skip("the whole contract: there is no Redis here", () => {})
  })
} else {
  quotaStoreContract(`Redis (${redisKind})`, {
    connect,
    pass: (duration) => TestClock.withLive(Effect.sleep(duration))
  })
}
