/**
 * Interrupting a limited program at every one of its operations: what was taken is used or given back.
 */
import { AdaptiveLimit, QuotaStore, RateLimiter, TokenQuota } from "@breakwater/core"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import { describe, expect, it } from "vitest"
import { sweep } from "../../../support/sweep.ts"

const yields = [undefined, 3, 5]

describe("interrupted at every operation", () => {
  for (const yieldEvery of yields) {
    const options = yieldEvery === undefined ? {} : { yieldEvery }
    const name = yieldEvery === undefined ? "" : `, giving way every ${yieldEvery} operations`

    it(`a rate limiter counts what began, and nothing else${name}`, async () => {
      let limiter: RateLimiter.RateLimiterService
      let begun = 0
      const program = () => {
        begun = 0
        return Effect.gen(function* () {
          limiter = yield* Scope.provide(
            RateLimiter.make({ limit: 2, window: "1 hour", burst: 2, algorithm: "sliding-log", maxWait: "3 hours" }),
            Scope.makeUnsafe()
          )
          const work = RateLimiter.limitWith(
            limiter,
            Effect.sync(() => void begun++),
            { key: "key" }
          )
          yield* Effect.forEach([1, 2, 3], () => work, { concurrency: 3 })
        })
      }
      const points = await sweep(
        program,
        ({ clock }) => {
          if (limiter === undefined) return
          const used = Effect.runSync(Effect.provideService(limiter.snapshot("key"), Clock.Clock, clock))
          expect(used.waiting).toBe(0)
          // Within the first hour nothing leaves the log.
          if (clock.currentTimeMillisUnsafe() < 3_600_000) expect(2 - used.remaining).toBe(begun)
        },
        options
      )
      expect(points).toBeGreaterThan(20)
    })

    it(`a quota's reservation comes back or is settled${name}`, async () => {
      let quota: TokenQuota.TokenQuotaService | undefined
      let used = 0
      const program = () => {
        quota = undefined
        used = 0
        return Effect.gen(function* () {
          quota = yield* Scope.provide(
            TokenQuota.make({ tpm: 100, ramp: false, adaptive: false, maxWait: "5 minutes" }),
            Scope.makeUnsafe()
          )
          const work = TokenQuota.limit(
            Effect.sync(() => {
              used += 10
            }),
            { key: "key", inputTokens: 60, outputTokens: 0, usage: () => ({ inputTokens: 10, outputTokens: 0 }) }
          ).pipe(Effect.provideService(TokenQuota.TokenQuota, quota))
          yield* Effect.forEach([1, 2, 3], () => work, { concurrency: 3 })
        })
      }
      const points = await sweep(
        program,
        ({ clock }) => {
          if (quota === undefined) return
          const state = Effect.runSync(Effect.provideService(quota.snapshot("key"), Clock.Clock, clock))
          if (state === undefined) return
          expect(state.waiting).toBe(0)
          // An interruption before the end keeps the estimate of sixty, once at most.
          if (clock.currentTimeMillisUnsafe() === 0) {
            const taken = 100 - state.tokens!.remaining
            expect([used, used + 50, used + 60]).toContain(taken)
          }
        },
        options
      )
      expect(points).toBeGreaterThan(20)
    })

    it(`a shared quota holds in its store what began, and nothing else${name}`, async () => {
      let store: QuotaStore.QuotaStoreService | undefined
      let quota: TokenQuota.TokenQuotaService | undefined
      let used = 0
      const limits = [Infinity, 100, Infinity, Infinity].map((limit) => ({ limit, windowMs: 60_000 }))
      const program = () => {
        store = quota = undefined
        used = 0
        return Effect.gen(function* () {
          const memory = yield* QuotaStore.makeMemory()
          store = memory
          // An answer that takes a while, as from far away.
          const slow: QuotaStore.QuotaStoreService = {
            name: "slow",
            open: (namespace) => {
              const inner = memory.open(namespace)
              return { ...inner, reserve: (...args) => Effect.tap(inner.reserve(...args), () => Effect.sleep(5)) }
            }
          }
          quota = yield* Scope.provide(
            Effect.provideService(
              TokenQuota.makeShared({ tpm: 100, ramp: false, adaptive: false, maxWait: "5 minutes" }),
              QuotaStore.QuotaStore,
              slow
            ),
            Scope.makeUnsafe()
          )
          const work = TokenQuota.limit(
            Effect.sync(() => {
              used += 10
            }),
            { key: "key", inputTokens: 60, outputTokens: 0, usage: () => ({ inputTokens: 10, outputTokens: 0 }) }
          ).pipe(Effect.provideService(TokenQuota.TokenQuota, quota))
          yield* Effect.forEach([1, 2, 3], () => work, { concurrency: 3 })
        })
      }
      let looked = 0
      const points = await sweep(
        program,
        ({ clock }) => {
          if (store === undefined || quota === undefined) return
          const look = store.open("quota").reserve("key", limits as never, [0, 0, 0, 0])
          const { remaining } = Effect.runSync(Effect.provideService(look, Clock.Clock, clock))
          const nowMs = clock.currentTimeMillisUnsafe()
          if (nowMs > 20) return
          looked++
          // What refills in twenty milliseconds is a thirtieth; an estimate of sixty stays once at most.
          const taken = 100 - remaining[1]
          const near = (amount: number) => Math.abs(taken - amount) < 0.1
          expect([used, used + 50, used + 60].some(near), `${taken} taken, ${used} used, at ${nowMs}`).toBe(true)
        },
        options
      )
      expect(points).toBeGreaterThan(20)
      expect(looked).toBeGreaterThan(20)
    })

    it(`an adaptive limit has no call under way${name}`, async () => {
      let limit: AdaptiveLimit.AdaptiveLimitService | undefined
      const program = () => {
        limit = undefined
        return Effect.gen(function* () {
          const made = yield* Scope.provide(AdaptiveLimit.make({ initial: 1, max: 1 }), Scope.makeUnsafe())
          limit = made
          const work = made.limit(Effect.sleep("1 second"), { key: "key" })
          yield* Effect.forEach([1, 2, 3], () => work, { concurrency: 3 })
        })
      }
      const points = await sweep(
        program,
        ({ clock }) => {
          if (limit === undefined) return
          const state = Effect.runSync(Effect.provideService(limit.snapshot("key"), Clock.Clock, clock))
          if (state !== undefined) expect(state).toMatchObject({ inFlight: 0, waiting: 0 })
          expect(clock.sleeping()).toBe(0)
        },
        options
      )
      expect(points).toBeGreaterThan(20)
    })
  }

  it("leaves no timer of its own when its scope ends", async () => {
    await sweep(
      () =>
        Effect.gen(function* () {
          const scope = yield* Scope.make()
          const limiter = yield* Scope.provide(RateLimiter.make({ limit: 1, window: "1 second" }), scope)
          yield* limiter.acquire("key")
          yield* limiter.acquire("key")
        }).pipe(
          Effect.scoped,
          Effect.exit,
          Effect.tap((exit) => Effect.sync(() => Exit.isExit(exit)))
        ),
      () => {}
    )
  })
})
