/**
 * What a budget costs a call: a reservation and its settlement, in memory and on Redis, where each is one round trip.
 * There is no peer that keeps budgets so.
 */
import { Budget, type BudgetStore, type Call, CallContext, Pricing } from "@breakwater/core"
import { RedisStores } from "@breakwater/stores"
import * as Effect from "effect/Effect"
import { noRealRedis, startRedis } from "../test/support/redis.ts"
import { bareEffect, type Benchmark, ofEffect, ofFailing, ofSync, type Subject, type Work } from "./harness.ts"

const prices = Pricing.makeTable({
  "openai/gpt-4o": { input: "2.50", cachedInput: "1.25", output: "10" },
  "anthropic/sonnet": {
    input: 3,
    cachedInput: 0.3,
    cacheWrite: 3.75,
    output: 15,
    tiers: [{ above: 200_000, input: 6, cachedInput: 0.6, cacheWrite: 7.5, output: 22.5 }]
  }
})

const usage = { inputTokens: 1_200, cachedInputTokens: 1_024, outputTokens: 300 }
const at = 1_790_000_000_000

const call: Budget.BudgetCall = {
  context: { ...CallContext.single, user: "ada", project: "p", tags: ["t"] },
  request: { model: "gpt-4o", messages: [{ role: "user", content: "x".repeat(1_000) }], maxTokens: 500 },
  targets: ["openai/gpt-4o"],
  maxAttempts: 3
}

const records: ReadonlyArray<Call.AttemptRecord> = [
  {
    attempt: 1,
    target: "openai/gpt-4o",
    outcome: "success",
    startedAt: at,
    tookMs: 1,
    waitedMs: 0,
    usage,
    costNanos: 1n
  }
]

const limits: ReadonlyArray<readonly [string, ReadonlyArray<Budget.Limit>]> = [
  ["one limit", [{ scope: "global", period: "day", limit: 1e9 }]],
  [
    "three limits",
    [
      { scope: "global", period: "month", limit: 1e9 },
      { scope: "user", period: { calendar: "day", timeZone: "Europe/Berlin" }, limit: 1e9 },
      { scope: "model", period: "hour", limit: 1e9 }
    ]
  ],
  ["a rolling hour", [{ scope: "user", period: { rolling: "1 hour" }, limit: 1e9 }]]
]

const minute = 60_000
const forever: BudgetStore.BudgetWindow = { bucketMs: 0, fromMs: 0, endMs: Infinity }
/** A rolling hour in its last minute. */
const rolling = (bucket: number): BudgetStore.BudgetWindow => ({
  bucketMs: at + bucket * minute,
  fromMs: at + (bucket - 60) * minute,
  endMs: at + (bucket + 61) * minute
})
const roundTrips = "two bare round trips"
/** As many calls at once share what a round trip costs. */
const together = 100

const onRedis = Effect.gen(function* () {
  const { url } = yield* startRedis
  const { budget, cache } = yield* RedisStores.make({ url, wait: "10 seconds" })
  const claim = (account: string, window: BudgetStore.BudgetWindow): BudgetStore.BudgetClaim => ({
    account,
    window,
    amount: 3_250_000n,
    limit: 10n ** 18n
  })
  let ids = 0
  const pay = (claims: ReadonlyArray<BudgetStore.BudgetClaim>, charges: ReadonlyArray<bigint>) => () =>
    Effect.suspend(() => {
      const reservation = { id: `${ids++}`, claims }
      return Effect.andThen(budget.reserve(reservation, at), budget.settle(reservation, charges))
    })
  for (let bucket = 0; bucket <= 60; bucket++) yield* Effect.orDie(pay([claim("hour", rolling(bucket))], [1n])())
  const key = { tenant: "t", namespace: "n", digest: "none" }
  const bare = () => Effect.andThen(cache.remove(key), cache.remove(key))
  const calls = [
    ["breakwater, one limit", pay([claim("a", forever)], [1n])],
    [
      "breakwater, three limits",
      pay(
        ["a", "b", "c"].map((name) => claim(name, forever)),
        [1n, 1n, 1n]
      )
    ],
    ["breakwater, a rolling hour of 61 buckets", pay([claim("hour", rolling(60))], [1n])]
  ] as const
  const batch = Array.from({ length: together }, (_, index) => index)
  const many = (call: () => Effect.Effect<unknown, unknown>) =>
    ofFailing(() => Effect.forEach(batch, call, { concurrency: "unbounded", discard: true }))
  const subjectsOf = (run: (call: () => Effect.Effect<unknown, unknown>) => Subject["run"]): ReadonlyArray<Subject> => [
    { subject: roundTrips, peer: true, run: run(bare) },
    ...calls.map(([subject, call]) => ({ subject, peer: false, bare: roundTrips, run: run(call) }))
  ]
  const works: ReadonlyArray<Work> = [
    { work: "budget on Redis, reserve and settle", subjects: subjectsOf(ofFailing) },
    { work: `budget on Redis, ${together} at once`, unitsPerRun: together, subjects: subjectsOf(many) }
  ]
  return works
})

const benchmark: Benchmark = Effect.gen(function* () {
  const subjects: Array<Subject> = [{ subject: bareEffect, peer: true, run: ofEffect(() => Effect.succeed(1)) }]
  for (const [name, each] of limits) {
    const budget = yield* Effect.provide(Budget.make({ limits: each }), Pricing.layerFrom(prices))
    subjects.push({
      subject: `breakwater, ${name}`,
      peer: false,
      bare: bareEffect,
      run: ofEffect(() => Effect.map(Effect.orDie(budget.reserve!(call)), (settle) => settle(records)))
    })
  }
  const cost = (provider: string, model: string) => ofSync(() => prices.cost({ provider, model, usage, atMs: at }))
  return [
    { work: "budget, reserve and settle", subjects },
    {
      work: "price of a usage",
      subjects: [
        { subject: "breakwater, one rate each", peer: false, run: cost("openai", "gpt-4o") },
        { subject: "breakwater, with tiers", peer: false, run: cost("anthropic", "sonnet") }
      ]
    },
    ...(noRealRedis ? [] : yield* onRedis)
  ]
})

export default benchmark
