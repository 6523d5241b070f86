/**
 * The script on Redis decides as the core does: the same questions at the same times get the same answers.
 */
import { LimiterStore } from "@breakwater/core"
import { RedisStores } from "@breakwater/stores"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import { noRedis, redisKind, startRedis, type TestRedis } from "../support/redis.ts"

type Rule = LimiterStore.Rule

const shapes: Readonly<Record<string, ReadonlyArray<Rule>>> = {
  "token bucket": [{ algorithm: "token-bucket", limit: 20, windowMs: 200, burst: 7 }],
  gcra: [{ algorithm: "gcra", limit: 20, windowMs: 200, burst: 5 }],
  "sliding log": [{ algorithm: "sliding-log", limit: 20, windowMs: 100, burst: 20 }],
  "sliding counter": [{ algorithm: "sliding-counter", limit: 20, windowMs: 100, burst: 20 }],
  "fixed window": [{ algorithm: "fixed-window", limit: 20, windowMs: 100, burst: 20 }],
  "all at once": [
    { algorithm: "token-bucket", limit: 30, windowMs: 100, burst: 25 },
    { algorithm: "gcra", limit: 50, windowMs: 100, burst: 10 },
    { algorithm: "sliding-log", limit: 60, windowMs: 200, burst: 60 },
    { algorithm: "sliding-log", limit: 90, windowMs: 400, burst: 90 },
    { algorithm: "sliding-counter", limit: 110, windowMs: 500, burst: 110 },
    { algorithm: "fixed-window", limit: 130, windowMs: 600, burst: 130 }
  ]
}

/**
 * Times of a state on Redis are exact to a thousandth of a millisecond, and the core's here to a quarter of that: near
 * a limit both answers are right.
 */
const near = (mine: number, theirs: number, tolerance: number): boolean =>
  mine === theirs || Math.abs(mine - theirs) <= tolerance

const disagreement = (mine: LimiterStore.Decision, theirs: LimiterStore.Decision): string | undefined => {
  const agreed =
    mine.allowed === theirs.allowed &&
    near(mine.waitMs, theirs.waitMs, 0.1) &&
    near(mine.remaining, theirs.remaining, 0.05)
  return agreed ? undefined : JSON.stringify({ mine, theirs })
}

/** When the state was last written, by the server's clock: that is when a grant was given back, if it was. */
const writtenAt = (redis: TestRedis) =>
  Effect.gen(function* () {
    const keys = yield* redis.command("KEYS", "*limit:{n:k}*")
    const state = keys.split("\r\n").find((line) => line.includes("{n:k}") && !/}:.*:\d+$/.test(line))
    const text = state === undefined ? "" : yield* redis.command("GET", state)
    return Number(text.split("\r\n")[1]?.split(" ")[0] ?? 0)
  })

const compare = (rules: ReadonlyArray<Rule>, steps: number) =>
  Effect.gen(function* () {
    const redis = yield* startRedis
    const { limiter } = yield* RedisStores.make({ url: redis.url, wait: "5 seconds" })
    const far = limiter.open("n", rules)
    const here = (yield* LimiterStore.makeMemory()).open("n", rules).local!
    const grants: Array<{ readonly weight: number; readonly at: number }> = []
    const seen = { allowed: 0, refused: 0, given: 0 }
    for (let step = 0; step < steps; step++) {
      const kind = yield* Random.next
      const weight = (yield* Random.next) < 0.7 ? 1 : 0.25 + (yield* Random.next) * 6
      if (kind < 0.03) yield* Effect.sleep(Math.floor((yield* Random.next) * 100))
      if (kind < 0.1 && grants.length > 0) {
        const [grant] = grants.splice(Math.floor((yield* Random.next) * grants.length), 1)
        const { at } = yield* far.check("k", 1)
        yield* far.give("k", grant!.weight, grant!.at)
        here.give("k", grant!.weight, Math.max(at, yield* writtenAt(redis)), grant!.at)
        seen.given++
        continue
      }
      const take = kind < 0.9
      const theirs = yield* take ? far.take("k", weight) : far.check("k", weight)
      const mine = here.decide("k", weight, theirs.at, take)
      expect([step, disagreement(mine, theirs)]).toEqual([step, undefined])
      seen[theirs.allowed ? "allowed" : "refused"]++
      if (take && theirs.allowed) grants.push({ weight, at: theirs.at })
    }
    return seen
  })

describe.skipIf(noRedis)(`the limit algorithms on Redis (${redisKind})`, () => {
  for (const [name, rules] of Object.entries(shapes)) {
    it.live(
      `${name}: 700 steps as in memory`,
      () =>
        Effect.gen(function* () {
          const seen = yield* compare(rules, 700)
          expect(Math.min(seen.allowed, seen.refused, seen.given)).toBeGreaterThan(20)
        }).pipe(Random.withSeed(name)),
      30_000
    )
  }
})
