/**
 * A token quota on Redis: processes together, a refusal that all hear of, and a server that is lost in mid-load.
 */
import { type Attempt, Event, LLMError, QuotaStore, TokenQuota } from "@breakwater/core"
import { RedisStores } from "@breakwater/stores"
import { describe, expect, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { spawn } from "node:child_process"
import { fileURLToPath } from "node:url"
import { freePort, noRealRedis, noRedis, redisKind, slowWayTo, startRedis, type TestRedis } from "../support/redis.ts"

const script = fileURLToPath(new URL("../support/quota-hammer.ts", import.meta.url))
const steady = { ramp: false, adaptive: false } as const
const key = "p/m"
/** More than the wait of 250 ms, for a machine that is busy with other things. */
const soonMs = 1_000

interface Hammered {
  readonly asked: number
  readonly calls: number
  readonly tokens: number
  readonly begunMs: number
  readonly lastMs: number
}

/** A child that is ready to begin, and what it will have got. */
const startChild = (url: string, options: TokenQuota.Options, ms: number) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const args = ["--conditions=breakwater-source", script, url, JSON.stringify(options), `${ms}`]
      const child = spawn(process.execPath, args, { stdio: ["pipe", "pipe", "inherit"] })
      let output = ""
      let ready = () => {}
      const isReady = new Promise<void>((resolve) => {
        ready = resolve
      })
      child.stdout.on("data", (data) => {
        output += String(data)
        if (output.startsWith("ready\n")) ready()
      })
      const result = new Promise<Hammered>((resolve, reject) => {
        child.once("exit", (code) => {
          ready()
          if (code === 0) resolve(JSON.parse(output.split("\n")[1]!))
          else reject(new Error(`the child ended with ${code}: ${output}`))
        })
      })
      result.catch(() => {})
      await isReady
      return { child, result, begin: () => child.stdin.write("go\n") }
    }),
    ({ child }) => Effect.sync(() => void child.kill("SIGKILL"))
  )

const hammer = (options: TokenQuota.Options, ms: number) =>
  Effect.gen(function* () {
    const redis = yield* startRedis
    const start = startChild(redis.url, options, ms)
    const children = yield* Effect.all([start, start], { concurrency: 2 })
    for (const child of children) child.begin()
    const results = yield* Effect.promise(() => Promise.all(children.map((child) => child.result)))
    const sum = (of: (result: Hammered) => number) => results.reduce((total, result) => total + of(result), 0)
    const tookMs =
      Math.max(...results.map((result) => result.lastMs)) - Math.min(...results.map((result) => result.begunMs))
    return { results, calls: sum(({ calls }) => calls), tokens: sum(({ tokens }) => tokens), tookMs }
  })

const quotaOn = (store: QuotaStore.QuotaStoreService, options: TokenQuota.SharedOptions) =>
  Effect.provideService(TokenQuota.makeShared(options), QuotaStore.QuotaStore, store)

const on = (url: string, options: TokenQuota.SharedOptions) =>
  Effect.flatMap(RedisStores.make({ url }), ({ quota }) => quotaOn(quota, options))

const need = (inputTokens: number, more: Partial<TokenQuota.ReserveOptions> = {}) => ({
  key,
  inputTokens,
  outputTokens: 0,
  ...more
})

const refusal = (retryAfter: Duration.Input): Attempt.AttemptOutcome => ({
  _tag: "failure",
  tookMs: 1,
  error: new LLMError.RateLimitError({
    message: "too many",
    source: "provider",
    scope: "requests",
    retryAfter: Duration.fromInputUnsafe(retryAfter)
  })
})

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

/** How often scripts were run. */
const scriptsRun = (redis: TestRedis) =>
  Effect.map(redis.command("INFO", "commandstats"), (text) =>
    Array.from(text.matchAll(/cmdstat_(?:evalsha|eval):calls=(\d+)/g)).reduce(
      (sum, [, calls]) => sum + Number(calls),
      0
    )
  )

describe.skipIf(noRedis)(`two processes with one token quota (${redisKind})`, () => {
  it.live(
    "stay within the requests a minute together, and use them up",
    () =>
      Effect.gen(function* () {
        const rpm = 240
        const { calls, results, tookMs } = yield* hammer({ rpm, ...steady }, 1_500)
        expect(calls).toBeLessThanOrEqual(rpm + (tookMs * rpm) / 60_000)
        expect(calls).toBeGreaterThan(rpm)
        for (const result of results) expect(result.calls).toBeGreaterThan(10)
      }),
    30_000
  )

  it.live(
    "stay within the tokens a minute together, and use them up",
    () =>
      Effect.gen(function* () {
        const tpm = 40_000
        const { calls, results, tokens, tookMs } = yield* hammer({ rpm: 100_000, tpm, ...steady }, 1_500)
        expect(tokens).toBeLessThanOrEqual(tpm + (tookMs * tpm) / 60_000)
        // With what was reserved too much: 80 calls of 500 would have filled it.
        expect(calls).toBeGreaterThan(150)
        for (const result of results) {
          expect(result.calls).toBeGreaterThan(10)
          expect(result.asked).toBeGreaterThan(result.calls)
        }
      }),
    30_000
  )

  it.live("a 429 that one sees pauses the other", () =>
    Effect.gen(function* () {
      const redis = yield* startRedis
      const [one, other] = [
        yield* on(redis.url, { rpm: 1_000, ...steady }),
        yield* on(redis.url, { rpm: 1_000, ...steady })
      ]
      const settle = yield* one.reserve(need(1))
      yield* other.reserve(need(1))
      settle(refusal("800 millis"))
      expect(yield* until(Effect.map(other.snapshot(key), (state) => state!.pausedMs > 0))).toBe(true)
      expect((yield* Effect.flip(other.reserve(need(1, { maxWait: "100 millis" }))))._tag).toBe("RateLimitError")
      const [, waitedMs] = yield* timed(other.reserve(need(1)))
      expect(waitedMs).toBeGreaterThan(300)
      expect(waitedMs).toBeLessThan(800 + soonMs)
    })
  )

  it.live("an interrupted caller leaves nothing counted, though the answer is on its way", () =>
    Effect.gen(function* () {
      const redis = yield* startRedis
      const way = yield* slowWayTo(redis.port)
      const direct = yield* on(redis.url, { tpm: 100, ...steady })
      const quota = yield* on(way.url, { tpm: 100, ...steady })
      const left = Effect.map(direct.snapshot(key), (state) => state!.tokens!.remaining)
      way.delayMs = 150
      const caller = yield* Effect.forkChild(quota.reserve(need(90)))
      expect(yield* until(Effect.map(left, (remaining) => remaining < 50))).toBe(true)
      yield* Fiber.interrupt(caller)
      expect(yield* until(Effect.map(left, (remaining) => remaining > 99))).toBe(true)
    })
  )

  it.live("without Redis from the start nobody waits, and each counts for itself", () =>
    Effect.gen(function* () {
      const port = yield* Effect.promise(freePort)
      const quota = yield* on(`redis://127.0.0.1:${port}`, { rpm: 5, ...steady })
      const [results, tookMs] = yield* timed(
        Effect.forEach(Array(100).fill(1), (tokens) => Effect.result(quota.reserve(need(tokens, { maxWait: 0 }))), {
          concurrency: "unbounded"
        })
      )
      expect(results.filter((result) => result._tag === "Success").length).toBe(5)
      expect(tookMs).toBeLessThan(soonMs)
    })
  )
})

describe.skipIf(noRealRedis)("a token quota as the server sees it", () => {
  it.live("a reservation is one script, and keys vanish when they are full again", () =>
    Effect.gen(function* () {
      const redis = yield* startRedis
      const quota = yield* on(redis.url, { rpm: 100_000, tpm: 1_000_000, ...steady })
      yield* quota.reserve(need(1))
      const before = yield* scriptsRun(redis)
      yield* Effect.forEach(Array(50).fill(10), (tokens) => quota.reserve(need(tokens)))
      expect((yield* scriptsRun(redis)) - before).toBe(50)
      expect(yield* redis.command("KEYS", "*")).toContain("breakwater:v1:quota:{quota:p/m}")
      expect(yield* until(Effect.map(redis.command("DBSIZE"), (size) => size === ":0\r\n"))).toBe(true)
    })
  )
})

describe.skipIf(noRealRedis)("a token quota whose Redis is killed", () => {
  for (const onStoreError of ["local", "fail-open", "fail-closed"] as const) {
    it.live(
      `${onStoreError}: the mode holds under load, no call hangs, and it is used again when it is back`,
      () =>
        Effect.gen(function* () {
          const redis = yield* startRedis
          const events: Array<Event.PolicyEvent> = []
          const quota = yield* on(redis.url, { rpm: 10, ...steady, onStoreError })
          // Another process has used it all, so that this one has room of its own and asks.
          const other = yield* on(redis.url, { rpm: 10, ...steady })
          yield* Effect.forEach(Array(10).fill(1), (tokens) => other.reserve(need(tokens)))
          const seen = { calls: 0, admitted: 0, failed: 0, slowestMs: 0 }
          const one = Effect.gen(function* () {
            const [result, tookMs] = yield* timed(Effect.result(quota.reserve(need(1, { maxWait: 0 }))))
            seen.calls++
            seen.slowestMs = Math.max(seen.slowestMs, tookMs)
            if (result._tag === "Success") seen.admitted++
            else if (result.failure._tag === "StoreError") seen.failed++
            yield* Effect.sleep("2 millis")
          }).pipe(Effect.provideService(Event.EventSink, (event) => void events.push(event)))
          const load = yield* Effect.forkScoped(
            Effect.all(
              Array.from({ length: 10 }, () => Effect.forever(one)),
              { concurrency: "unbounded" }
            )
          )
          const count = (type: string) => events.filter((event) => event.type === type).length
          yield* Effect.sleep("300 millis")
          expect([seen.admitted, seen.failed]).toEqual([0, 0])
          expect(seen.calls).toBeGreaterThan(50)
          yield* redis.kill
          yield* Effect.sleep("700 millis")
          const away = { ...seen }
          yield* redis.restart
          const back = yield* until(Effect.sync(() => count("store-recovered") === 1))
          yield* Effect.sleep("200 millis")
          yield* Fiber.interrupt(load)
          expect(back).toBe(true)
          expect(away.calls).toBeGreaterThan(100)
          expect(seen.slowestMs).toBeLessThan(soonMs)
          expect(count("store-lost")).toBe(1)
          expect(events.find((event) => event.type === "store-lost")).toMatchObject({ mode: onStoreError })
          if (onStoreError === "local") expect([away.admitted, seen.failed]).toEqual([10, 0])
          if (onStoreError === "fail-open") expect([away.admitted > 100, seen.failed]).toEqual([true, 0])
          if (onStoreError === "fail-closed") {
            expect([away.admitted, away.failed > 100]).toEqual([0, true])
            // The server came back empty.
            expect(seen.admitted).toBe(10)
          }
        }),
      30_000
    )
  }
})
