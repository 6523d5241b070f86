/**
 * Redis away, slow, killed, frozen and emptied: no call hangs, and the declared mode holds.
 */
import { BreakerStore, CircuitBreaker, Event, type LimiterStore, RateLimiter } from "@breakwater/core"
import { RedisStores } from "@breakwater/stores"
import { describe, expect, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { freePort, noRealRedis, noRedis, redisKind, slowWayTo, startRedis } from "../support/redis.ts"

const rule: LimiterStore.Rule = { algorithm: "fixed-window", limit: 5, windowMs: 60_000, burst: 5 }

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

const gather = () => {
  const events: Array<Event.PolicyEvent> = []
  return {
    types: () => events.map((event) => event.type),
    events,
    heard: <A, E, R>(effect: Effect.Effect<A, E, R>) =>
      Effect.provideService(effect, Event.EventSink, (event) => void events.push(event))
  }
}

/** More than the wait of 250 ms, for a machine that is busy with other things. */
const soonMs = 1_000

describe("Redis that is not there", () => {
  it.live("does not keep a program from starting, and no call waits", () =>
    Effect.gen(function* () {
      const port = yield* Effect.promise(freePort)
      const [stores, startMs] = yield* timed(RedisStores.make({ url: `redis://127.0.0.1:${port}` }))
      expect(startMs).toBeLessThan(2_500)
      const limits = stores.limiter.open("n", [rule])
      const [error, tookMs] = yield* timed(Effect.flip(limits.take("k", 1)))
      expect(error).toMatchObject({ _tag: "StoreError", store: "redis", operation: "take" })
      expect(error.message).toContain("ECONNREFUSED")
      expect(tookMs).toBeLessThan(soonMs)
      expect((yield* Effect.flip(stores.breaker.load))._tag).toBe("StoreError")
      expect((yield* Effect.flip(Effect.scoped(stores.breaker.subscribe)))._tag).toBe("StoreError")
    })
  )

  it.live("a hundred calls are answered at once, each limiter as it was told", () =>
    Effect.gen(function* () {
      const port = yield* Effect.promise(freePort)
      const { limiter: store } = yield* RedisStores.make({ url: `redis://127.0.0.1:${port}` })
      const admitted = (onStoreError: "local" | "fail-open" | "fail-closed") =>
        Effect.gen(function* () {
          const limiter = yield* RateLimiter.makeWith(
            { limit: 5, window: "1 minute", algorithm: "fixed-window", onStoreError },
            store
          )
          const results = yield* Effect.forEach(Array(100).fill("k"), (key) => Effect.result(limiter.consume(key)), {
            concurrency: "unbounded"
          })
          return results.filter((result) => result._tag === "Success").length
        })
      const [counts, tookMs] = yield* timed(
        Effect.all([admitted("local"), admitted("fail-open"), admitted("fail-closed")])
      )
      expect(counts).toEqual([5, 100, 0])
      expect(tookMs).toBeLessThan(2 * soonMs)
    })
  )
})

describe.skipIf(noRealRedis)("Redis that is killed", () => {
  for (const mode of ["local", "fail-open", "fail-closed"] as const) {
    it.live(
      `${mode}: the mode holds under load, no call hangs, and it is used again when it is back`,
      () =>
        Effect.gen(function* () {
          const redis = yield* startRedis
          const { limiter: store } = yield* RedisStores.make({
            url: redis.url,
            onLost: { mode, longestProbe: "400 millis" }
          })
          const { events, heard, types } = gather()
          const limits = store.open("n", [rule])
          const seen = { calls: 0, admitted: 0, failed: 0, slowestMs: 0 }
          const one = Effect.gen(function* () {
            const [result, tookMs] = yield* timed(Effect.result(heard(limits.take("k", 1))))
            seen.calls++
            seen.slowestMs = Math.max(seen.slowestMs, tookMs)
            if (result._tag === "Failure") seen.failed++
            else if (result.success.allowed) seen.admitted++
            yield* Effect.sleep("2 millis")
          })
          const load = yield* Effect.forkScoped(
            Effect.all(
              Array.from({ length: 10 }, () => Effect.forever(one)),
              { concurrency: "unbounded" }
            )
          )
          yield* Effect.sleep("300 millis")
          expect([seen.admitted, seen.failed]).toEqual([5, 0])
          yield* redis.kill
          yield* Effect.sleep("700 millis")
          const whileAway = { ...seen }
          yield* redis.restart
          const back = yield* until(Effect.sync(() => types().at(-1) === "store-recovered"))
          yield* Effect.sleep("200 millis")
          yield* Fiber.interrupt(load)

          expect(back).toBe(true)
          expect(types()).toEqual(["store-lost", "store-recovered"])
          expect(events[0]).toMatchObject({ store: "redis", mode })
          expect(whileAway.calls).toBeGreaterThan(100)
          expect(seen.slowestMs).toBeLessThan(soonMs)
          if (mode === "local") expect([whileAway.admitted, seen.failed]).toEqual([10, 0])
          if (mode === "fail-open") expect([whileAway.admitted > 100, seen.failed]).toEqual([true, 0])
          if (mode === "fail-closed") expect([whileAway.admitted, whileAway.failed > 100]).toEqual([5, true])
          // The server came back empty: it admits its limit again, and no more.
          if (mode === "fail-closed") expect(seen.admitted).toBe(10)
        }),
      30_000
    )
  }
})

describe.skipIf(noRedis)(`Redis that is slow (${redisKind})`, () => {
  it.live(
    "answers after 5 seconds: calls fail within the wait, and late grants are given back",
    () =>
      Effect.gen(function* () {
        const redis = yield* startRedis
        const way = yield* slowWayTo(redis.port)
        const direct = (yield* RedisStores.make({ url: redis.url })).limiter.open("n", [rule])
        const { limiter } = yield* RedisStores.make({ url: way.url, onLost: { mode: "fail-closed" } })
        const limits = limiter.open("n", [rule])
        yield* limits.take("k", 1)
        way.delayMs = 600
        const [error, tookMs] = yield* timed(Effect.flip(limits.take("k", 3)))
        expect(error.message).toContain("no answer within 250 ms")
        expect(tookMs).toBeGreaterThan(240)
        expect(tookMs).toBeLessThan(soonMs)
        expect((yield* direct.check("k", 1)).remaining).toBe(1)
        expect(yield* until(Effect.map(direct.check("k", 1), ({ remaining }) => remaining === 4))).toBe(true)
        way.delayMs = 5_000
        const [, manyMs] = yield* timed(
          Effect.forEach(Array(1_000).fill("k"), (key) => Effect.exit(limits.take(key, 1)), {
            concurrency: "unbounded"
          })
        )
        expect(manyMs).toBeLessThan(2 * soonMs)
        way.delayMs = 0
        expect(yield* until(Effect.map(Effect.exit(limits.check("k", 1)), (exit) => exit._tag === "Success"))).toBe(
          true
        )
      }),
    30_000
  )

  it.live(
    "a caller that is interrupted while it waits leaves nothing counted",
    () =>
      Effect.gen(function* () {
        const redis = yield* startRedis
        const way = yield* slowWayTo(redis.port)
        const direct = (yield* RedisStores.make({ url: redis.url })).limiter.open("n", [rule])
        const limits = (yield* RedisStores.make({ url: way.url })).limiter.open("n", [rule])
        way.delayMs = 200
        const caller = yield* Effect.forkChild(limits.take("k", 5))
        expect(yield* until(Effect.map(direct.check("k", 1), ({ allowed }) => !allowed))).toBe(true)
        yield* Fiber.interrupt(caller)
        expect(yield* until(Effect.map(direct.check("k", 5), ({ allowed }) => allowed))).toBe(true)
      }),
    30_000
  )
})

describe.skipIf(noRedis)(`Redis behind a way that went dead (${redisKind})`, () => {
  it.live("a connection that answers nothing any more is given up for a new one", () =>
    Effect.gen(function* () {
      const redis = yield* startRedis
      const way = yield* slowWayTo(redis.port)
      const { limiter } = yield* RedisStores.make({
        url: way.url,
        wait: "50 millis",
        onLost: { mode: "fail-closed", firstProbe: "20 millis", longestProbe: "100 millis" }
      })
      const limits = limiter.open("n", [rule])
      yield* limits.take("k", 1)
      way.silence()
      expect((yield* Effect.flip(limits.take("k", 1))).message).toContain("no answer within 50 ms")
      const answered = Effect.map(Effect.exit(limits.check("k", 1)), (exit) => exit._tag === "Success")
      const [again, tookMs] = yield* timed(until(answered))
      expect(again).toBe(true)
      // Not before ten waits have passed in silence.
      expect(tookMs).toBeGreaterThan(300)
    })
  )
})

describe.skipIf(noRealRedis)("Redis that is frozen", () => {
  it.live(
    "is noticed by a subscription that hears nothing, and the connection is made anew",
    () =>
      Effect.gen(function* () {
        const redis = yield* startRedis
        const stores = yield* RedisStores.make({
          url: redis.url,
          heartbeat: "100 millis",
          connectTimeout: "300 millis",
          wait: "50 millis",
          onLost: { mode: "fail-closed", firstProbe: "50 millis", longestProbe: "200 millis" }
        })
        const limits = stores.limiter.open("n", [rule])
        const { events, heard } = gather()
        const breaker = yield* heard(
          CircuitBreaker.makeShared({}).pipe(Effect.provideService(BreakerStore.BreakerStore, stores.breaker))
        )
        yield* Effect.sleep("200 millis")
        yield* redis.freeze
        const lost = yield* until(Effect.sync(() => events.some((event) => event.type === "circuit-store-changed")))
        expect(lost).toBe(true)
        expect(yield* breaker.protect(Effect.succeed(1), { key: "k" })).toBe(1)
        // Asked for long enough that the connection is given up.
        const [, tookMs] = yield* timed(
          Effect.forEach(
            Array(20).fill("k"),
            (key) => Effect.andThen(Effect.exit(limits.take(key, 1)), Effect.sleep("50 millis")),
            { discard: true }
          )
        )
        expect(tookMs).toBeLessThan(4_000)
        yield* redis.thaw
        expect(yield* until(Effect.map(Effect.exit(limits.check("k", 1)), (exit) => exit._tag === "Success"))).toBe(
          true
        )
        const again = () =>
          events.filter((event) => event.type === "circuit-store-changed").map((event) => event.available)
        expect(yield* until(Effect.sync(() => again().at(-1) === true))).toBe(true)
      }),
    30_000
  )
})

describe.skipIf(noRedis)(`Redis that forgets (${redisKind})`, () => {
  it.live("emptied in mid-run: no call fails, and at most one more limit goes", () =>
    Effect.gen(function* () {
      const redis = yield* startRedis
      const { limiter } = yield* RedisStores.make({ url: redis.url, wait: "5 seconds" })
      const limits = limiter.open("n", [rule, { ...rule, algorithm: "sliding-log", limit: 50, burst: 50 }])
      let admitted = 0
      for (let n = 0; n < 60; n++) {
        if (n === 30) yield* redis.command("FLUSHALL")
        if ((yield* limits.take("k", 1)).allowed) admitted++
      }
      expect(admitted).toBe(10)
    })
  )

  it.live("a grant from before it was emptied cannot be given back to those after it", () =>
    Effect.gen(function* () {
      const redis = yield* startRedis
      const { limiter } = yield* RedisStores.make({ url: redis.url, wait: "5 seconds" })
      const limits = limiter.open("n", [{ ...rule, algorithm: "token-bucket" }])
      const { at } = yield* limits.take("k", 5)
      yield* redis.command("FLUSHALL")
      yield* limits.take("k", 5)
      yield* limits.give("k", 5, at)
      expect((yield* limits.take("k", 1)).allowed).toBe(false)
    })
  )

  it.live("its scripts only: they are sent again", () =>
    Effect.gen(function* () {
      const redis = yield* startRedis
      const { limiter } = yield* RedisStores.make({ url: redis.url, wait: "5 seconds" })
      const limits = limiter.open("n", [rule])
      yield* limits.take("k", 3)
      yield* redis.command("SCRIPT", "FLUSH")
      expect((yield* limits.take("k", 3)).allowed).toBe(false)
      expect((yield* limits.take("k", 2)).allowed).toBe(true)
    })
  )
})
