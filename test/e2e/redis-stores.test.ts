/**
 * What the stores on Redis cost, what they leave behind, and how fast circuits hear of each other.
 */
import { BreakerStore, CircuitBreaker, LimiterStore, RateLimiter } from "@breakwater/core"
import { RedisStores } from "@breakwater/stores"
import { describe, expect, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import { algorithms } from "../contract/limiter-store.ts"
import { noRealRedis, noRedis, redisKind, startRedis, type TestRedis } from "../support/redis.ts"

/** How often clients sent each command so far; what scripts call is counted with it. */
const commandCounts = (redis: TestRedis) =>
  Effect.map(redis.command("INFO", "commandstats"), (text) => {
    const counts: Record<string, number> = {}
    for (const [, name, calls] of text.matchAll(/cmdstat_([^:]+):calls=(\d+)/g)) {
      if (name !== "info") counts[name!] = Number(calls)
    }
    return counts
  })

const rulesOf = (algorithm: LimiterStore.AlgorithmName, limit: number, windowMs: number) => [
  { algorithm, limit, windowMs, burst: limit }
]

const messageOf = (exit: Exit.Exit<unknown, unknown>): string => (Exit.isFailure(exit) ? String(exit.cause) : "")

describe.skipIf(noRealRedis)("limits on Redis, as the server sees them", () => {
  it.live("a take is one script, a refusal writes nothing", () =>
    Effect.gen(function* () {
      const redis = yield* startRedis
      const { limiter } = yield* RedisStores.make({ url: redis.url })
      const limits = limiter.open(
        "n",
        algorithms.flatMap((algorithm) => rulesOf(algorithm, 50, 60_000))
      )
      yield* limits.check("k", 1)
      const before = yield* commandCounts(redis)
      yield* Effect.forEach(Array(100).fill("k"), (key) => limits.take(key, 1))
      const after = yield* commandCounts(redis)
      const since = (name: string) => (after[name] ?? 0) - (before[name] ?? 0)
      expect([since("evalsha"), since("eval"), since("set"), since("rpush")]).toEqual([100, 0, 50, 50])
      // Nothing but what the script itself calls.
      const own = ["evalsha", "time", "get", "set", "del", "rpush", "lrange", "ltrim", "pexpire"]
      const others = Object.keys(after).filter((name) => since(name) > 0 && !own.includes(name))
      expect(others).toEqual([])
    })
  )

  it.live("keys carry their prefix and hash tag, and vanish when they are idle", () =>
    Effect.gen(function* () {
      const redis = yield* startRedis
      const { limiter } = yield* RedisStores.make({ url: redis.url, prefix: "app:1" })
      for (const algorithm of algorithms) yield* limiter.open("n", rulesOf(algorithm, 5, 300)).take("a:{b}", 5)
      const keys = yield* redis.command("KEYS", "*")
      const names = keys.split("\r\n").filter((line) => line.startsWith("app"))
      expect(names.sort()).toEqual([
        "app:1:v1:limit:{n:a%3A%7Bb%7D}:b300",
        "app:1:v1:limit:{n:a%3A%7Bb%7D}:c300",
        "app:1:v1:limit:{n:a%3A%7Bb%7D}:f300",
        "app:1:v1:limit:{n:a%3A%7Bb%7D}:g300",
        "app:1:v1:limit:{n:a%3A%7Bb%7D}:l300",
        "app:1:v1:limit:{n:a%3A%7Bb%7D}:l300:0"
      ])
      yield* Effect.sleep("450 millis")
      expect(yield* redis.command("DBSIZE")).toBe(":0\r\n")
    })
  )

  it.live("a lowered limit keeps what was used for as long as it then counts", () =>
    Effect.gen(function* () {
      const redis = yield* startRedis
      const { limiter } = yield* RedisStores.make({ url: redis.url })
      yield* limiter.open("n", rulesOf("token-bucket", 100, 200)).take("k", 100)
      const low = limiter.open("n", rulesOf("token-bucket", 10, 200))
      expect((yield* low.take("k", 1)).allowed).toBe(false)
      yield* Effect.sleep("400 millis")
      expect((yield* low.take("k", 1)).allowed).toBe(false)
    })
  )

  it.live("a clock that was set back a little stands still, and a state from far ahead is dropped", () =>
    Effect.gen(function* () {
      const redis = yield* startRedis
      const { limiter } = yield* RedisStores.make({ url: redis.url })
      const limits = limiter.open("n", rulesOf("token-bucket", 5, 10_000))
      const { at } = yield* limits.take("k", 1)
      const ahead = (ms: number, used: number) =>
        redis.command("SET", "breakwater:v1:limit:{n:k}:b10000", `${at + ms} ${at} ${at + 20_000} ${used}`)
      yield* ahead(5_000, 5)
      const still = yield* limits.take("k", 1)
      expect([still.allowed, still.at]).toEqual([false, at + 5_000])
      yield* ahead(3_600_000, 5)
      expect((yield* limits.take("k", 1)).allowed).toBe(true)
    })
  )

  it.live("the end of the scope closes every connection", () =>
    Effect.gen(function* () {
      const redis = yield* startRedis
      const clients = Effect.map(redis.command("CLIENT", "LIST"), (text) => text.match(/\bid=/g)?.length ?? 0)
      yield* Effect.scoped(
        Effect.gen(function* () {
          const { breaker, limiter } = yield* RedisStores.make({ url: redis.url })
          yield* limiter.open("n", rulesOf("gcra", 5, 1_000)).take("k", 1)
          yield* breaker.subscribe
          expect(yield* clients).toBe(3)
        })
      )
      yield* Effect.sleep("100 millis")
      expect(yield* clients).toBe(1)
    })
  )
})

describe.skipIf(noRedis)(`limits on Redis (${redisKind})`, () => {
  it.live(
    "10,000 fibers at once get exactly the limit, and every one an answer",
    () =>
      Effect.gen(function* () {
        const redis = yield* startRedis
        const { limiter: store } = yield* RedisStores.make({ url: redis.url, wait: "30 seconds" })
        const limiter = yield* RateLimiter.makeWith(
          { limit: 1_000, window: "1 hour", algorithm: "sliding-log", onStoreError: "fail-closed" },
          store
        )
        const results = yield* Effect.forEach(
          Array.from({ length: 10_000 }, (_, i) => i),
          () => Effect.result(limiter.consume("k")),
          { concurrency: "unbounded" }
        )
        const admitted = results.filter((result) => result._tag === "Success").length
        const refused = results.filter(
          (result) => result._tag === "Failure" && result.failure._tag === "RateLimitError"
        )
        const others = results.find((result) => result._tag === "Failure" && result.failure._tag !== "RateLimitError")
        expect(others).toBeUndefined()
        expect([admitted, refused.length]).toEqual([1_000, 9_000])
      }),
    60_000
  )

  it.live("a limiter waits on it, first come first served", () =>
    Effect.gen(function* () {
      const redis = yield* startRedis
      const program = Effect.gen(function* () {
        const limiter = yield* RateLimiter.RateLimiter
        const order: Array<number> = []
        yield* Effect.forEach(
          [1, 2, 3, 4],
          (n) => Effect.tap(limiter.acquire("k"), () => Effect.sync(() => order.push(n))),
          {
            concurrency: "unbounded"
          }
        )
        return order
      })
      const live = RateLimiter.layer({ limit: 2, window: "200 millis", algorithm: "sliding-log" }).pipe(
        Layer.provide(RedisStores.layer({ url: redis.url }))
      )
      expect(yield* Effect.provide(program, live)).toEqual([1, 2, 3, 4])
    })
  )
})

const options: CircuitBreaker.Options = { window: CircuitBreaker.consecutive(2), open: { jitter: 0 } }

const replica = (store: BreakerStore.BreakerStoreService) =>
  Effect.provideService(CircuitBreaker.makeShared(options), BreakerStore.BreakerStore, store)

const twoReplicas = (redis: TestRedis) =>
  Effect.gen(function* () {
    const [one, other] = [yield* RedisStores.make({ url: redis.url }), yield* RedisStores.make({ url: redis.url })]
    const replicas = [yield* replica(one.breaker), yield* replica(other.breaker)] as const
    // Until both listen.
    yield* Effect.sleep("300 millis")
    return replicas
  })

const fail = (breaker: CircuitBreaker.CircuitBreakerService, key: string) =>
  Effect.forEach([1, 2], () => Effect.ignore(breaker.protect(Effect.fail("down"), { key })), { discard: true })

describe.skipIf(noRedis)(`circuits on Redis (${redisKind})`, () => {
  it.live("one replica's trip opens the other within 250 ms, twenty times over", () =>
    Effect.gen(function* () {
      const redis = yield* startRedis
      const [one, other] = yield* twoReplicas(redis)
      const clock = yield* Clock.Clock
      const took: Array<number> = []
      for (let n = 0; n < 20; n++) {
        const heard = yield* other.transitions.pipe(
          Stream.take(1),
          Stream.runCollect,
          Effect.forkChild({ startImmediately: true })
        )
        const before = clock.monotonicTimeNanosUnsafe()
        yield* fail(one, `provider/model-${n}`)
        expect(yield* Fiber.join(heard)).toMatchObject([{ key: `provider/model-${n}`, to: "open", reason: "shared" }])
        took.push(Number(clock.monotonicTimeNanosUnsafe() - before) / 1e6)
      }
      expect(Math.max(...took)).toBeLessThan(250)
    })
  )

  it.live("a replica that starts late learns what is open", () =>
    Effect.gen(function* () {
      const redis = yield* startRedis
      const [one] = yield* twoReplicas(redis)
      yield* fail(one, "k")
      yield* Effect.sleep("100 millis")
      const late = yield* replica((yield* RedisStores.make({ url: redis.url })).breaker)
      yield* Effect.sleep("300 millis")
      expect((yield* late.snapshot("k")).state).toBe("open")
    })
  )
})

describe.skipIf(noRealRedis)("circuits on Redis, as the server sees them", () => {
  it.live("while closed no call sends a command", () =>
    Effect.gen(function* () {
      const redis = yield* startRedis
      const [one, other] = yield* twoReplicas(redis)
      const before = yield* commandCounts(redis)
      for (let n = 0; n < 1_000; n++) {
        yield* one.protect(Effect.void, { key: "k" })
        yield* other.protect(Effect.void, { key: "k" })
      }
      expect(yield* commandCounts(redis)).toEqual(before)
    })
  )

  it.live("what is over leaves nothing behind", () =>
    Effect.gen(function* () {
      const redis = yield* startRedis
      const { breaker } = yield* RedisStores.make({ url: redis.url })
      const change = { key: "k", state: "open", remainingMs: 200, openings: 1, revision: 1, origin: "a" } as const
      for (let n = 0; n < 10; n++) yield* breaker.publish({ ...change, key: `k${n}` })
      expect(yield* redis.command("DBSIZE")).toBe(":2\r\n")
      yield* Effect.sleep("300 millis")
      expect(yield* redis.command("DBSIZE")).toBe(":0\r\n")
    })
  )

  it.live("nonsense on the channel is not heard", () =>
    Effect.gen(function* () {
      const redis = yield* startRedis
      const { breaker } = yield* RedisStores.make({ url: redis.url })
      const change = { key: "k", state: "open", remainingMs: 200, openings: 1, revision: 1, origin: "a" } as const
      const changes = yield* breaker.subscribe
      for (const text of ["", "null", "[]", "{", '{"key":1}']) {
        yield* redis.command("PUBLISH", "breakwater:v1:{breaker}:told", text)
      }
      yield* breaker.publish(change)
      expect(yield* Stream.runCollect(Stream.take(changes, 1))).toEqual([change])
    })
  )
})

describe("options of the stores on Redis", () => {
  const build = (environment: Record<string, string>) =>
    RedisStores.layerConfig().pipe(
      Layer.build,
      Effect.scoped,
      Effect.provide(ConfigProvider.layer(ConfigProvider.fromUnknown(environment))),
      Effect.exit
    )

  it.effect("a wrong REDIS_URL is refused by name, without its password", () =>
    Effect.gen(function* () {
      for (const url of [
        "localhost",
        "http://host",
        "redis://u:hunter2@host/db/x",
        "redis:///0",
        "redis://u:hunter2@:x"
      ]) {
        const message = messageOf(yield* build({ REDIS_URL: url }))
        expect(message).toContain("REDIS_URL is ")
        expect(message).toContain("allowed: redis://")
        expect(message).not.toContain("hunter2")
      }
      expect(messageOf(yield* build({}))).toContain("REDIS_URL")
    })
  )

  it.effect("other wrong options are refused by name", () =>
    Effect.gen(function* () {
      const url = Redacted.make("redis://127.0.0.1:1")
      const wrong: ReadonlyArray<readonly [string, object]> = [
        ["url", { url: "nothing" }],
        ["prefix", { prefix: "" }],
        ["prefix", { prefix: "a{b}" }],
        ["wait", { wait: 0 }],
        ["wait", { wait: Number.NaN }],
        ["connectTimeout", { connectTimeout: "2 minutes" }],
        ["heartbeat", { heartbeat: Infinity }],
        ["mode", { onLost: { mode: "open" } }]
      ]
      for (const [name, each] of wrong) {
        const exit = yield* Effect.exit(Effect.scoped(RedisStores.make({ url, ...each })))
        expect(messageOf(exit)).toContain(`${name} is `)
      }
    })
  )

  it.live.skipIf(noRedis)("layerConfig gives both stores", () =>
    Effect.gen(function* () {
      const { url } = yield* startRedis
      const program = Effect.gen(function* () {
        const [limiter, breaker] = [yield* LimiterStore.LimiterStore, yield* BreakerStore.BreakerStore]
        return [(yield* limiter.open("n", rulesOf("gcra", 1, 1_000)).take("k", 1)).allowed, yield* breaker.load]
      })
      const environment = ConfigProvider.layer(ConfigProvider.fromUnknown({ REDIS_URL: url }))
      expect(yield* program.pipe(Effect.provide(RedisStores.layerConfig()), Effect.provide(environment))).toEqual([
        true,
        []
      ])
    })
  )
})
