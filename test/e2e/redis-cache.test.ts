/**
 * Answers on Redis: what they cost, what is left of them, what happens when the server is away, slow, full or
 * emptied, and two processes that share one.
 */
import { CacheStore, Event, LLM, LLMProvider, ResponseCache } from "@breakwater/core"
import { RedisStores } from "@breakwater/stores"
import { ScriptedProvider } from "@breakwater/testing"
import { describe, expect, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import { execFile } from "node:child_process"
import { fileURLToPath } from "node:url"
import { freePort, noRealRedis, noRedis, redisKind, slowWayTo, startRedis, type TestRedis } from "../support/redis.ts"

const keyOf = (digest: string, tenant = "acme", namespace = "default"): CacheStore.CacheKey => ({
  tenant,
  namespace,
  digest
})

const entryOf = (text: string): CacheStore.CacheEntry => ({
  format: CacheStore.format,
  target: "provider/model",
  bytes: text.length,
  answer: {
    kind: "turn",
    turn: { content: [{ type: "text", text }], finishReason: "stop", usage: { inputTokens: 3, outputTokens: 2 } }
  }
})

/** An effect's result, and the milliseconds it took. */
const timed = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const clock = yield* Clock.Clock
    const before = clock.monotonicTimeNanosUnsafe()
    const value = yield* effect
    return [value, Number(clock.monotonicTimeNanosUnsafe() - before) / 1e6] as const
  })

/** Waits until something is so, for ten seconds at the most. */
const until = <E, R>(check: Effect.Effect<boolean, E, R>) =>
  Effect.gen(function* () {
    for (let tries = 0; tries < 200; tries++) {
      if (yield* check) return true
      yield* Effect.sleep("50 millis")
    }
    return false
  })

/** How often each command ran; what scripts call is counted with it. */
const commandCounts = (redis: TestRedis) =>
  Effect.map(redis.command("INFO", "commandstats"), (text) => {
    const counts: Record<string, number> = {}
    for (const [, name, calls] of text.matchAll(/cmdstat_([^:]+):calls=(\d+)/g)) {
      if (name !== "info") counts[name!] = Number(calls)
    }
    return counts
  })

/** More than the wait of 250 ms, for a machine that is busy with other things. */
const soonMs = 1_000

/** Gathers what the caches in a test tell, also when it comes after an answer. */
const listening = <A, E, R>(test: (told: Array<Event.PolicyEvent>) => Effect.Effect<A, E, R>) =>
  Effect.suspend(() => {
    const told: Array<Event.PolicyEvent> = []
    return Effect.provideService(test(told), Event.EventSink, (event) => {
      if (/^(cache|store)-/.test(event.type)) told.push(event)
    })
  })

const countOf = (told: ReadonlyArray<Event.PolicyEvent>, part: object): number =>
  told.filter((event) => Object.entries(part).every(([name, value]) => event[name as keyof typeof event] === value))
    .length

/** A service whose cache is on Redis. Its provider never tires. */
const serviceAt = (url: string, options: Partial<RedisStores.StoreOptions> = {}) =>
  Effect.gen(function* () {
    const script = Array.from({ length: 5_000 }, (_, n) => ScriptedProvider.text(`${n + 1}`))
    const layer = LLM.layer({ targets: ["demo/any"] }).pipe(
      Layer.provide(ResponseCache.layerShared().pipe(Layer.provide(RedisStores.layerCache({ url, ...options })))),
      Layer.provide(LLM.layerNoPolicies),
      Layer.provide(LLMProvider.layer(ScriptedProvider.layer({ name: "demo", script })))
    )
    const llm = Context.get(yield* Layer.build(layer), LLM.LLM)
    const generate = (prompt = "Capital of France?") => llm.generate({ prompt, temperature: 0 })
    const kept = until(Effect.map(generate(), ({ cached }) => cached?.source === "exact"))
    // A call in flight is shared, and so is what it found: the next one begins after it.
    return { generate, isKept: Effect.tap(kept, () => Effect.sleep("30 millis")) }
  })

describe.skipIf(noRealRedis)("answers on Redis, as the server sees them", () => {
  it.live("a get is one script, a set one command", () =>
    Effect.gen(function* () {
      const redis = yield* startRedis
      const { cache } = yield* RedisStores.make({ url: redis.url })
      yield* cache.get(keyOf("first"))
      const before = yield* commandCounts(redis)
      for (let n = 0; n < 10; n++) yield* cache.set(keyOf(`${n}`), entryOf("x"), 60_000)
      for (let n = 0; n < 20; n++) yield* cache.get(keyOf(`${n}`))
      const after = yield* commandCounts(redis)
      const since = Object.entries(after).map(([name, count]) => [name, count - (before[name] ?? 0)] as const)
      expect(Object.fromEntries(since.filter(([, count]) => count > 0))).toEqual({
        set: 10,
        evalsha: 20,
        get: 20,
        pttl: 10
      })
    })
  )

  it.live("keys say whose they are, and vanish with their time", () =>
    Effect.gen(function* () {
      const redis = yield* startRedis
      const { cache } = yield* RedisStores.make({ url: redis.url, prefix: "app:1" })
      yield* cache.set(keyOf("digest", "a:b", "{n} *"), entryOf("x"), 300)
      expect(yield* redis.command("RANDOMKEY")).toContain("app:1:v1:cache:a%3Ab:%7Bn%7D%20*:digest\r\n")
      yield* Effect.sleep("450 millis")
      expect(yield* redis.command("DBSIZE")).toBe(":0\r\n")
    })
  )

  it.live("clears among many others in bounded steps, without KEYS", () =>
    Effect.gen(function* () {
      const redis = yield* startRedis
      const { cache } = yield* RedisStores.make({ url: redis.url, wait: "5 seconds" })
      const { cache: foreign } = yield* RedisStores.make({ url: redis.url, wait: "5 seconds", prefix: "other" })
      const fill = (store: CacheStore.CacheStoreService, tenant: string, count: number) =>
        Effect.forEach(
          Array.from({ length: count }, (_, n) => keyOf(`${n}`, tenant, `n${n % 2}`)),
          (key) => store.set(key, entryOf("x"), 60_000),
          { concurrency: 200, discard: true }
        )
      yield* fill(cache, "acme", 3_000)
      yield* fill(cache, "acm", 1_000)
      yield* fill(foreign, "acme", 1_000)
      expect(yield* cache.clear("acme", "n1")).toBe(1_500)
      expect(yield* cache.clear("acme")).toBe(1_500)
      expect(yield* cache.clear("acme")).toBe(0)
      expect(yield* redis.command("DBSIZE")).toBe(":2000\r\n")
      const { keys, scan } = yield* commandCounts(redis)
      expect(keys).toBeUndefined()
      expect(scan).toBeGreaterThanOrEqual(9)
      // No step looked at everything.
      const slowest = yield* redis.command("CONFIG", "GET", "slowlog-log-slower-than")
      expect(slowest).toContain("10000")
      expect(yield* redis.command("SLOWLOG", "LEN")).toBe(":0\r\n")
    })
  )

  it.live("a full server that makes no room: what is kept is read, and no answer is lost", () =>
    listening((told) =>
      Effect.gen(function* () {
        const redis = yield* startRedis
        const { generate, isKept } = yield* serviceAt(redis.url)
        expect(yield* isKept).toBe(true)
        yield* redis.command("CONFIG", "SET", "maxmemory", "1")
        told.length = 0
        expect((yield* generate("Another?")).text).not.toBe("")
        expect(yield* until(Effect.sync(() => told.length === 2))).toBe(true)
        expect(told).toMatchObject([
          { type: "cache-miss", reason: "absent" },
          { type: "cache-store-failed", store: "redis", operation: "set", reason: "failed" }
        ])
        expect((yield* generate()).cached?.source).toBe("exact")
      })
    )
  )

  it.live("a server that makes room itself keeps to its memory", () =>
    Effect.gen(function* () {
      const redis = yield* startRedis
      const { cache } = yield* RedisStores.make({ url: redis.url, wait: "5 seconds" })
      const memory = Effect.map(redis.command("INFO", "memory"), (text) => Number(/used_memory:(\d+)/.exec(text)![1]))
      const most = (yield* memory) + 2_000_000
      yield* redis.command("CONFIG", "SET", "maxmemory", `${most}`)
      yield* redis.command("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
      const text = "x".repeat(20_000)
      for (let n = 0; n < 300; n++) expect(yield* cache.set(keyOf(`${n}`), entryOf(text), 60_000)).toBe(true)
      expect(yield* memory).toBeLessThan(most + 500_000)
      const left = Number(/:(\d+)/.exec(yield* redis.command("DBSIZE"))![1])
      expect(left).toBeGreaterThan(20)
      expect(left).toBeLessThan(150)
    })
  )
})

describe.skipIf(noRedis)(`answers on Redis (${redisKind})`, () => {
  const name = "breakwater:v1:cache:acme:default:k"

  it.live("what cannot be read is a miss, and goes", () =>
    Effect.gen(function* () {
      const redis = yield* startRedis
      const { cache } = yield* RedisStores.make({ url: redis.url, wait: "5 seconds" })
      const older = JSON.stringify({ ...entryOf("x"), format: CacheStore.format - 1 })
      const whole = JSON.stringify(entryOf("x"))
      const texts = [
        "",
        "x",
        " ",
        "60000 ",
        "60000",
        "60000 null",
        "60000 []",
        "60000 1",
        `60000 ${older}`,
        `sixty ${whole}`
      ]
      for (const text of [...texts, `60000 ${whole.slice(0, -1)}`, `1e99 ${whole}`, `60000 \u0000${whole}`]) {
        yield* redis.command("SET", name, text, "PX", "60000")
        expect(yield* cache.get(keyOf("k"))).toBeUndefined()
        expect(yield* until(Effect.map(redis.command("EXISTS", name), (reply) => reply === ":0\r\n"))).toBe(true)
      }
      // One of ours to which somebody gave no end.
      yield* redis.command("SET", name, `60000 ${whole}`)
      expect(yield* cache.get(keyOf("k"))).toBeUndefined()
      expect(yield* until(Effect.map(redis.command("EXISTS", name), (reply) => reply === ":0\r\n"))).toBe(true)
      // The form the other tests rely on is the one that is read.
      yield* redis.command("SET", name, `60000 ${whole}`, "PX", "30000")
      const found = (yield* cache.get(keyOf("k")))!
      expect(found.entry).toEqual(entryOf("x"))
      expect(found.ageMs).toBeGreaterThanOrEqual(30_000)
      expect(found.ageMs).toBeLessThan(35_000)
    })
  )

  it.live("something else under an entry's name is an error, until the next answer takes its place", () =>
    Effect.gen(function* () {
      const redis = yield* startRedis
      const { cache } = yield* RedisStores.make({ url: redis.url, wait: "5 seconds" })
      yield* redis.command("HSET", name, "a", "b")
      const error = yield* Effect.flip(cache.get(keyOf("k")))
      expect(error).toMatchObject({ _tag: "StoreError", store: "redis", operation: "get" })
      yield* cache.set(keyOf("k"), entryOf("x"), 60_000)
      expect((yield* cache.get(keyOf("k")))?.entry).toEqual(entryOf("x"))
    })
  )

  it.live("a time of parts of a millisecond, or of ages, is kept to", () =>
    Effect.gen(function* () {
      const redis = yield* startRedis
      const { cache } = yield* RedisStores.make({ url: redis.url, wait: "5 seconds" })
      expect(yield* cache.set(keyOf("short"), entryOf("x"), 0.2)).toBe(true)
      expect(yield* cache.set(keyOf("long"), entryOf("x"), 1e300)).toBe(true)
      yield* Effect.sleep("20 millis")
      expect(yield* cache.get(keyOf("short"))).toBeUndefined()
      expect((yield* cache.get(keyOf("long")))!.ageMs).toBeLessThan(10_000)
    })
  )

  it.live("an answer of five megabytes comes back whole", () =>
    Effect.gen(function* () {
      const redis = yield* startRedis
      const { cache } = yield* RedisStores.make({ url: redis.url, wait: "10 seconds" })
      const entry = entryOf("ü𝄞\n".repeat(700_000))
      yield* cache.set(keyOf("k"), entry, 60_000)
      const found = yield* cache.get(keyOf("k"))
      expect(JSON.stringify(found!.entry) === JSON.stringify(entry)).toBe(true)
    })
  )

  it.live(
    "two processes share an answer",
    () =>
      Effect.gen(function* () {
        const redis = yield* startRedis
        const script = fileURLToPath(new URL("../support/redis-cache-child.ts", import.meta.url))
        const child = (own: string) =>
          Effect.promise(
            () =>
              new Promise<unknown>((resolve, reject) => {
                const args = ["--conditions=breakwater-source", script, redis.url, own]
                execFile(process.execPath, args, { timeout: 20_000 }, (error, stdout, stderr) => {
                  if (error === null) resolve(JSON.parse(stdout))
                  else reject(new Error(`${error.message}${stderr}`))
                })
              })
          )
        expect(yield* child("the first")).toEqual({ text: "the first", source: "model", kept: "exact" })
        expect(yield* child("the second")).toEqual({ text: "the first", source: "exact", kept: "exact" })
      }),
    50_000
  )
})

describe("answers on a Redis that is not there", () => {
  it.live("every call is made, none waits, and each says why", () =>
    listening((told) =>
      Effect.gen(function* () {
        const port = yield* Effect.promise(freePort)
        const { generate } = yield* serviceAt(`redis://127.0.0.1:${port}`)
        const [answers, tookMs] = yield* timed(
          Effect.forEach(
            Array.from({ length: 100 }, (_, n) => n),
            (n) => generate(`${n}`),
            { concurrency: "unbounded" }
          )
        )
        expect(answers.every(({ cached }) => cached === undefined)).toBe(true)
        expect(tookMs).toBeLessThan(2 * soonMs)
        expect(countOf(told, { type: "cache-miss", reason: "store" })).toBe(100)
        // After three the store is lost, and not asked again for a while, neither to read nor to write.
        expect(countOf(told, { type: "cache-store-failed", operation: "get", reason: "failed" })).toBe(3)
        expect(countOf(told, { type: "cache-store-failed", operation: "set" })).toBeLessThan(3)
        expect(countOf(told, { type: "store-lost", store: "redis" })).toBe(1)
      })
    )
  )
})

describe.skipIf(noRealRedis)("answers on a Redis that goes", () => {
  type Fate = (redis: TestRedis) => Effect.Effect<void>

  const underLoad = (gone: Fate, back: Fate) =>
    listening((told) =>
      Effect.gen(function* () {
        const redis = yield* startRedis
        const options = { wait: "100 millis", connectTimeout: "300 millis" } as const
        const { generate } = yield* serviceAt(redis.url, options)
        const seen = { calls: 0, failed: 0, slowestMs: 0, hits: 0 }
        const one = Effect.gen(function* () {
          const [result, tookMs] = yield* timed(Effect.result(generate(`${seen.calls % 5}`)))
          seen.calls++
          seen.slowestMs = Math.max(seen.slowestMs, tookMs)
          if (result._tag === "Failure") seen.failed++
          else if (result.success.cached?.source === "exact") seen.hits++
          yield* Effect.sleep("5 millis")
        })
        const load = yield* Effect.forkScoped(
          Effect.all(
            Array.from({ length: 5 }, () => Effect.forever(one)),
            { concurrency: "unbounded" }
          )
        )
        expect(yield* until(Effect.sync(() => seen.hits > 50))).toBe(true)
        yield* gone(redis)
        yield* Effect.sleep("300 millis")
        const hits = seen.hits
        const calls = seen.calls
        yield* Effect.sleep("700 millis")
        expect(seen.calls).toBeGreaterThan(calls + 5)
        expect(seen.hits).toBe(hits)
        yield* back(redis)
        expect(yield* until(Effect.sync(() => seen.hits > hits + 50))).toBe(true)
        yield* Fiber.interrupt(load)
        expect(seen.failed).toBe(0)
        expect(seen.slowestMs).toBeLessThan(soonMs)
        expect(countOf(told, { type: "cache-store-failed", operation: "get" })).toBeGreaterThan(3)
      })
    )

  it.live(
    "killed and started again: no call fails, and it is used again",
    () =>
      underLoad(
        (redis) => redis.kill,
        (redis) => redis.restart
      ),
    40_000
  )

  it.live(
    "frozen and let go on: no call fails or hangs, and it is used again",
    () =>
      underLoad(
        (redis) => redis.freeze,
        (redis) => redis.thaw
      ),
    40_000
  )
})

describe.skipIf(noRedis)(`answers on a Redis that is slow (${redisKind})`, () => {
  it.live(
    "answers after 5 seconds: the call goes on after the wait, and says so",
    () =>
      listening((told) =>
        Effect.gen(function* () {
          const redis = yield* startRedis
          const way = yield* slowWayTo(redis.port)
          const { generate, isKept } = yield* serviceAt(way.url)
          expect(yield* isKept).toBe(true)
          way.delayMs = 5_000
          told.length = 0
          const [answer, tookMs] = yield* timed(generate())
          expect(answer.cached).toBeUndefined()
          expect(tookMs).toBeGreaterThan(200)
          expect(tookMs).toBeLessThan(soonMs)
          expect(told.slice(0, 2)).toMatchObject([
            { type: "cache-store-failed", store: "redis", operation: "get" },
            { type: "cache-miss", reason: "store" }
          ])
        })
      ),
    30_000
  )

  it.live("emptied: a miss, and kept again", () =>
    Effect.gen(function* () {
      const redis = yield* startRedis
      const { generate, isKept } = yield* serviceAt(redis.url, { wait: "5 seconds" })
      expect(yield* isKept).toBe(true)
      yield* redis.command("FLUSHALL")
      yield* redis.command("SCRIPT", "FLUSH")
      expect((yield* generate()).cached).toBeUndefined()
      expect(yield* isKept).toBe(true)
    })
  )
})
