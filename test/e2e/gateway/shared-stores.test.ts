/** Several gateways on one Redis: limits, circuits and the cache are theirs together, and its loss costs no answer. */
import { ApiKeys, Gateway } from "@breakwater/gateway"
import { Upstream } from "@breakwater/testing"
import * as Effect from "effect/Effect"
import { assert, describe, it } from "@effect/vitest"
import { startPostgres } from "../../support/postgres.ts"
import { noRedis, startRedis } from "../../support/redis.ts"
import { chat, configOf, eventually, post, promised } from "./support.ts"

const key = "bw_alice"

const two = Effect.gen(function* () {
  const redis = yield* startRedis
  const first = yield* Upstream.make()
  const second = yield* Upstream.make()
  const config = configOf(first.url, second.url, {
    // On a busy machine an answer of Redis may take its time, and is no loss of it.
    stores: { redis: redis.url, wait: "5s" },
    cache: {},
    auth: { keys: [{ id: "alice", hash: ApiKeys.hashOf(key) }] },
    tiers: { plain: [{ limit: 10, window: "1m" }] }
  })
  const left = yield* Gateway.make(config)
  const right = yield* Gateway.make(config)
  const ask = (gateway: Gateway.Gateway, model: string, more: object = {}) =>
    Effect.gen(function* () {
      const response = yield* post(`${gateway.url}/v1/chat/completions`, chat(model, more), {
        authorization: `Bearer ${key}`
      })
      yield* promised(() => response.text())
      return { status: response.status, cache: response.headers.get("x-breakwater-cache") }
    })
  // The connections are made in the background.
  yield* Effect.sleep("300 millis")
  return { redis, first, left, right, ask }
})

describe.skipIf(noRedis)("two gateways on one Redis", () => {
  it.live(
    "keep one limit",
    () =>
      Effect.gen(function* () {
        const { ask, left, right } = yield* two
        const answers = yield* Effect.forEach(
          Array.from({ length: 24 }, (_, i) => (i % 2 === 0 ? left : right)),
          (gateway) => ask(gateway, "first/good"),
          { concurrency: 8 }
        )
        assert.strictEqual(answers.filter(({ status }) => status === 200).length, 10)
        assert.strictEqual(answers.filter(({ status }) => status === 429).length, 14)
      }).pipe(Effect.scoped),
    20_000
  )

  it.live(
    "tell each other of a target that is down",
    () =>
      Effect.gen(function* () {
        const { ask, first, left, right } = yield* two
        for (let i = 0; i < 3; i++) yield* ask(left, "first/error-500")
        const before = (yield* first.stats).total
        assert.isAbove(before, 4)
        // The news takes a moment.
        yield* Effect.sleep("300 millis")
        assert.strictEqual((yield* ask(right, "first/error-500")).status, 503)
        assert.strictEqual((yield* first.stats).total, before)
      }).pipe(Effect.scoped),
    20_000
  )

  it.live(
    "answer from one cache",
    () =>
      Effect.gen(function* () {
        const { ask, first, left, right } = yield* two
        assert.strictEqual((yield* ask(left, "first/good", { temperature: 0 })).cache, "miss")
        const hit = eventually(
          Effect.map(ask(right, "first/good", { temperature: 0 }), ({ cache }) => cache === "exact")
        )
        assert.isTrue(yield* hit)
        assert.isAtMost((yield* first.stats).total, 3)
      }).pipe(Effect.scoped),
    20_000
  )

  it.live(
    "answer without it",
    () =>
      Effect.gen(function* () {
        const { ask, left, redis, right } = yield* two
        yield* redis.kill
        for (const gateway of [left, right]) {
          assert.strictEqual((yield* ask(gateway, "first/good", { temperature: 0 })).status, 200)
        }
      }).pipe(Effect.scoped),
    20_000
  )
})

describe("two gateways on one PostgreSQL", () => {
  it.live(
    "keep one budget, and still answer when it has crashed",
    (context) =>
      Effect.gen(function* () {
        const postgres = yield* Effect.acquireRelease(promised(startPostgres), (server) =>
          typeof server === "string" ? Effect.void : Effect.promise(() => server.stop())
        )
        // Says why there is none.
        if (typeof postgres === "string") return context.skip(postgres)
        const url = yield* promised(() => postgres.database())
        const upstream = yield* Upstream.make()
        const config = configOf(upstream.url, upstream.url, {
          stores: { postgres: url },
          prices: { overrides: { "first/good": { input: "1000", output: "1000" } } },
          budgets: [{ scope: "global", period: "day", limit: "1" }],
          defaults: { retries: 0 }
        })
        const left = yield* Gateway.make(config)
        const right = yield* Gateway.make(config)
        const ask = (gateway: Gateway.Gateway) =>
          Effect.gen(function* () {
            const response = yield* post(`${gateway.url}/v1/chat/completions`, chat("first/good", { max_tokens: 60 }))
            yield* promised(() => response.text())
            return { status: response.status, cost: Number(response.headers.get("x-breakwater-cost") ?? 0) }
          })
        const answers = yield* Effect.forEach(
          Array.from({ length: 60 }, (_, i) => (i % 2 === 0 ? left : right)),
          ask,
          { concurrency: 6 }
        )
        const spent = answers.reduce((sum, { cost }) => sum + cost, 0)
        assert.isTrue(answers.some(({ status }) => status === 429))
        assert.isTrue(answers.every(({ status }) => status === 200 || status === 429))
        assert.isAtMost(spent, 1)
        assert.isAbove(spent, 0.5)
        yield* promised(() => postgres.crash())
        const { status } = yield* ask(left)
        assert.include([200, 429, 503], status)
      }).pipe(Effect.scoped),
    90_000
  )
})
