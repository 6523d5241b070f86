import { RedisStores } from "@breakwater/stores"
import { describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { noRedis, redisKind, startRedis } from "../support/redis.ts"
import { budgetStoreContract } from "./budget-store.ts"

const connect = Effect.gen(function* () {
  const { url } = yield* startRedis
  const [one, other] = [
    yield* RedisStores.make({ url, wait: "5 seconds" }),
    yield* RedisStores.make({ url, wait: "5 seconds" })
  ]
  return [one.budget, other.budget] as const
})

if (noRedis) {
  describe("a store of budgets: Redis", () => {
    it.skip("the whole contract: there is no Redis here", () => {})
  })
} else budgetStoreContract(`Redis (${redisKind})`, { connect })
