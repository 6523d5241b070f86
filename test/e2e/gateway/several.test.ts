/**
 * Two gateways, each a process, on one real Redis and one real PostgreSQL, under load: what they share holds together to
 * the last, and whoever is killed, no client sees anything but an answer or a typed error, and nothing hangs.
 */
import { ApiKeys } from "@breakwater/gateway"
import { Upstream } from "@breakwater/testing"
import { afterAll, assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { askAny, type Came, load, type Question, startGateway, tally } from "../../support/gateway.ts"
import { startPostgres } from "../../support/postgres.ts"
import { noRealRedis, startRedis } from "../../support/redis.ts"
import { configOf, eventually, type Json, promised } from "./support.ts"

const key = "bw_client"
const headers = { authorization: `Bearer ${key}` }
const root = { authorization: "Bearer bw_root" }

const configFor = (upstream: string, more: object) =>
  configOf(upstream, upstream, {
    auth: {
      keys: [
        { id: "client", hash: ApiKeys.hashOf(key) },
        { id: "root", hash: ApiKeys.hashOf("bw_root"), scopes: ["admin"] }
      ]
    },
    ...more
  })

let started: ReturnType<typeof startPostgres> | undefined
/** One for all tests, with a database of its own for each: whoever kills it starts it again. */
const postgresServer = promised(() => (started ??= startPostgres()))

afterAll(async () => {
  const server = await started
  if (server !== undefined && typeof server !== "string") await server.stop().catch(() => undefined)
})

/** Waits until it is so, for half a minute: how long it takes is the machine's affair. */
const until = (isSo: () => boolean) => Effect.repeat(Effect.sleep("20 millis"), { until: isSo, times: 1_500 })

/** Waits for so many more answers, each to a question that was asked after now: sixteen may be under way. */
const more = (running: { readonly came: ReadonlyArray<Came> }, n: number) =>
  Effect.suspend(() => {
    const before = running.came.length
    return until(() => running.came.length >= before + 16 + n)
  })

const two = (config: object) => Effect.all([startGateway(config), startGateway(config)], { concurrency: 2 })

const wrongs = (came: ReadonlyArray<Came>): ReadonlyArray<string> => [
  ...new Set(came.flatMap(({ wrong }) => (wrong === undefined ? [] : [wrong])))
]

/** Nothing but answers and errors of the wire, each in time. */
const assertSound = (came: ReadonlyArray<Came>, withinMs: number): void => {
  assert.deepStrictEqual(wrongs(came), [])
  const slowest = came.reduce((most, { tookMs }) => Math.max(most, tookMs), 0)
  assert.isBelow(slowest, withinMs, "the slowest request")
}

const many = (n: number, urls: ReadonlyArray<string>, question: Question) =>
  Effect.forEach(
    Array.from({ length: n }, (_, i) => (i % 2 === 0 ? urls : [...urls].reverse())),
    (order) => promised(() => askAny(order, question)),
    { concurrency: 16 }
  )

const snapshotOf = (url: string) =>
  promised(async () => (await (await fetch(`${url}/admin/snapshot`, { headers: root })).json()) as Json)

describe.skipIf(noRealRedis)("two gateways on one Redis and one PostgreSQL", () => {
  it.live(
    "keep limits, quotas of defaults and of routes, and budgets together, to the last",
    (context) =>
      Effect.gen(function* () {
        const postgres = yield* postgresServer
        if (typeof postgres === "string") return context.skip(postgres)
        const redis = yield* startRedis
        const upstream = yield* Upstream.make()
        const quota = (rpm: number) => ({ rpm, maxWait: "1ms", learn: false, adaptive: false, ramp: false })
        const config = configFor(upstream.url, {
          // On a busy machine an answer may take its time, and is no loss.
          stores: { redis: redis.url, wait: "5s", postgres: yield* promised(() => postgres.database()) },
          prices: { overrides: { "claude/good": { input: "0", output: "1000" } }, free: ["first", "second"] },
          budgets: [{ scope: "global", period: "day", limit: "1" }],
          tiers: { t: [{ limit: 160, window: "1h", algorithm: "fixed-window" }] },
          routes: {
            narrow: { targets: ["second/good"], quota: quota(20), retries: 0 },
            wide: { targets: ["first/good"], quota: false, retries: 0 },
            paid: { targets: ["claude/good"], quota: false, retries: 0 }
          },
          defaults: { retries: 0, quota: quota(30) }
        })
        const gateways = yield* two(config)
        const urls = gateways.map(({ url }) => url)

        // Money: each answer is 40 to 60 thousandths of a dollar, and may be 60.
        const paid = yield* many(50, urls, { model: "paid", headers, more: { max_tokens: 60 } })
        assertSound(paid, 20_000)
        const spent = paid.reduce((sum, { cost }) => sum + cost, 0)
        assert.isAtMost(spent, 1.000_000_001)
        assert.isAbove(spent, 0.85)
        assert.deepStrictEqual(Object.keys(tally(paid)).sort(), ["budget_exceeded", "ok"])
        const accounts = yield* Effect.map(snapshotOf(urls[1]!), (body) => body["budgets"] as ReadonlyArray<Json>)
        assert.isAtMost(Math.abs(Number(accounts[0]!["spentNanos"]) / 1e9 - spent), 1e-6)

        // Requests a minute: of the defaults, and of a route that sets its own. They refill at 30 and 20 a minute.
        const began = performance.now()
        const plain = yield* many(50, urls, { model: "first/good", headers })
        const refilled = ((performance.now() - began) / 60_000) * 30
        assert.isAtMost(tally(plain)["ok"] ?? 0, 30 + Math.ceil(refilled))
        assert.isAtLeast(tally(plain)["ok"] ?? 0, 30)
        const narrow = yield* many(40, urls, { model: "narrow", headers })
        assert.isAtLeast(tally(narrow)["ok"] ?? 0, 20)
        assert.isAtMost(tally(narrow)["ok"] ?? 0, 20 + Math.ceil(((performance.now() - began) / 60_000) * 20))
        assertSound([...plain, ...narrow], 10_000)
        assert.include(Object.keys(tally(narrow)), "rate_limit_exceeded")

        // What is left of the key's 160 requests in the hour, after 140: exactly twenty.
        const last = yield* many(60, urls, { model: "wide", headers })
        assert.deepStrictEqual(tally(last), { ok: 20, rate_limit_exceeded: 40 })
      }).pipe(Effect.scoped),
    120_000
  )

  it.live(
    "lose Redis under load and find it again",
    () =>
      Effect.gen(function* () {
        const redis = yield* startRedis
        const upstream = yield* Upstream.make({ wordDelay: 1 })
        const config = configFor(upstream.url, {
          stores: { redis: redis.url },
          cache: {},
          tiers: { t: [{ limit: 1_000_000, window: "1h" }] },
          defaults: { retries: 1, quota: { rpm: 1_000_000, maxWait: "1s" } }
        })
        const gateways = yield* two(config)
        const urls = gateways.map(({ url }) => url)
        const running = load(
          urls,
          [
            { model: "first/good", headers },
            { model: "second/good", headers, stream: true },
            { model: "first/good", headers, more: { temperature: 0 } }
          ],
          8
        )
        yield* more(running, 60)
        yield* redis.kill
        const lost = running.came.length
        yield* more(running, 60)
        assert.isAbove(running.came.length, lost + 20)
        yield* redis.restart
        assert.isTrue(
          yield* eventually(Effect.map(snapshotOf(urls[0]!), (body) => body["stores"].redis.reachable === true)).pipe(
            Effect.repeat({ until: (found) => found, times: 10 })
          )
        )
        yield* more(running, 60)
        yield* promised(() => running.stop())
        assertSound(running.came, 5_000)
        assert.deepStrictEqual(Object.keys(tally(running.came)), ["ok"])
      }).pipe(Effect.scoped),
    60_000
  )

  it.live(
    "are as sound on a Redis that holds its connections and answers nothing",
    () =>
      Effect.gen(function* () {
        const redis = yield* startRedis
        const upstream = yield* Upstream.make({ wordDelay: 1 })
        const config = configFor(upstream.url, {
          stores: { redis: redis.url },
          tiers: { t: [{ limit: 1_000_000, window: "1h" }] },
          defaults: { retries: 0 }
        })
        const gateways = yield* two(config)
        const running = load(
          gateways.map(({ url }) => url),
          [{ model: "first/good", headers }],
          8
        )
        yield* more(running, 30)
        yield* redis.freeze
        yield* Effect.sleep("2 seconds")
        yield* redis.thaw
        yield* Effect.sleep("500 millis")
        yield* promised(() => running.stop())
        assertSound(running.came, 5_000)
        assert.deepStrictEqual(Object.keys(tally(running.came)), ["ok"])
      }).pipe(Effect.scoped),
    60_000
  )

  it.live.each(["fail-closed", "local"] as const)(
    "lose PostgreSQL under load (%s), find it again, and their ledger has every answer",
    (onStoreError, context) =>
      Effect.gen(function* () {
        const postgres = yield* postgresServer
        if (typeof postgres === "string") return context.skip(postgres)
        const upstream = yield* Upstream.make({ wordDelay: 1 })
        const config = configFor(upstream.url, {
          stores: { postgres: yield* promised(() => postgres.database()) },
          prices: { overrides: { "first/good": { input: "0", output: "1" } } },
          budgets: [{ scope: "key", period: "day", limit: "1000" }],
          budgetPolicy: { onStoreError },
          ledger: { postgres: true },
          defaults: { retries: 0 }
        })
        const gateways = yield* two(config)
        const urls = gateways.map(({ url }) => url)
        const running = load(
          urls,
          [
            { model: "first/good", headers, more: { max_tokens: 100 } },
            { model: "first/good", headers, stream: true, more: { max_tokens: 100 } }
          ],
          8
        )
        yield* more(running, 40)
        yield* promised(() => postgres.killNine())
        const lost = running.came.length
        yield* more(running, 40)
        const meanwhile = running.came.slice(lost + 16)
        yield* promised(() => postgres.restart())
        // Each gateway has found it again when sixteen answers in a row are none that tell of it.
        yield* until(() => running.came.slice(-16).every(({ said }) => said === "ok"))
        yield* more(running, 0)
        const back = running.came.length
        yield* more(running, 30)
        yield* promised(() => running.stop())
        assertSound(running.came, 15_000)
        assert.isAbove(meanwhile.length, 0)
        if (onStoreError === "local") assert.deepStrictEqual(Object.keys(tally(running.came)), ["ok"])
        else assert.isUndefined(tally(meanwhile)["ok"])
        assert.deepStrictEqual(Object.keys(tally(running.came.slice(back + 16))), ["ok"])
        const answered = tally(running.came)["ok"]!
        const records = promised(async () => {
          const response = await fetch(`${urls[0]}/admin/usage?by=outcome`, { headers: root })
          const { groups } = (await response.json()) as { readonly groups: ReadonlyArray<Json> }
          return groups.find(({ outcome }) => outcome === "success")?.["records"] as number
        })
        const whole = eventually(Effect.map(records, (n) => n >= answered))
        assert.isTrue(yield* Effect.repeat(whole, { until: (found) => found, times: 10 }))
      }).pipe(Effect.scoped),
    90_000
  )

  it.live(
    "lose one of them under load: its clients go to the other, and what it held stays held",
    () =>
      Effect.gen(function* () {
        const redis = yield* startRedis
        const upstream = yield* Upstream.make({ wordDelay: 2 })
        const config = configFor(upstream.url, {
          stores: { redis: redis.url },
          prices: { overrides: { "first/good": { input: "0", output: "1000" } } },
          budgets: [{ scope: "global", period: "day", limit: "100" }],
          tiers: { t: [{ limit: 1_000_000, window: "1h" }] },
          defaults: { retries: 0 }
        })
        const [one, other] = yield* two(config)
        const running = load([one.url, other.url], [{ model: "first/good", headers, more: { max_tokens: 60 } }], 8)
        yield* more(running, 40)
        yield* one.kill
        const before = running.came.length
        yield* more(running, 40)
        yield* promised(() => running.stop())
        assertSound(running.came, 10_000)
        assert.deepStrictEqual(Object.keys(tally(running.came)), ["ok"])
        assert.isAbove(running.came.length, before + 10)
        assert.isTrue(running.came.some(({ broke }) => broke > 0))
        // Nobody knows what became of the calls it was making: they count at their worst.
        const [account] = yield* Effect.map(snapshotOf(other.url), (body) => body["budgets"] as ReadonlyArray<Json>)
        const spent = running.came.reduce((sum, { cost }) => sum + cost, 0)
        const booked = (Number(account!["spentNanos"]) + Number(account!["reservedNanos"])) / 1e9
        assert.isAtLeast(booked, spent - 1e-6)
      }).pipe(Effect.scoped),
    60_000
  )
})
