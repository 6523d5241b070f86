/**
 * What is given back to a fixed window on Redis in the millisecond in which its state runs out failed: the new end of the
 * state lay in the past, and Redis takes no such end.
 */
import type { LimiterStore } from "@breakwater/core"
import { RedisStores } from "@breakwater/stores"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { noRedis, redisKind, startRedis } from "../support/redis.ts"

const windowMs = 100
const rules: ReadonlyArray<LimiterStore.Rule> = [{ algorithm: "fixed-window", limit: 2, windowMs, burst: 2 }]

describe.skipIf(noRedis)(`a fixed window that is over, on Redis (${redisKind})`, () => {
  it.live("takes back what it gave, and counts anew", () =>
    Effect.gen(function* () {
      const redis = yield* startRedis
      const { limiter } = yield* RedisStores.make({ url: redis.url, wait: "5 seconds" })
      const store = limiter.open("n", rules)
      const { at } = yield* store.take("k", 2)
      const key = (yield* redis.command("KEYS", "*limit:{n:k}*")).split("\r\n").find((line) => line.includes("{n:k}"))!
      // The state as it is in that millisecond: still there, and over.
      const [, since] = (yield* redis.command("GET", key)).split("\r\n")[1]!.split(" ")
      const opened = Number(since) - windowMs - 3
      yield* redis.command("SET", key, `${since} ${since} ${Number(since) - 1} ${opened} 2`, "PX", "60000")
      yield* store.give("k", 1, at)
      const after = yield* store.take("k", 2)
      expect(after).toMatchObject({ allowed: true, remaining: 0 })
      expect(yield* store.check("k", 1)).toMatchObject({ allowed: false })
    }).pipe(Effect.scoped)
  )
})
