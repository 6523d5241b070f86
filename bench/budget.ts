/** What a budget costs a call: a reservation in memory and its settlement. There is no peer that keeps budgets so. */
import { Budget, type Call, CallContext, Pricing } from "@breakwater/core"
import * as Effect from "effect/Effect"
import { bareEffect, type Benchmark, ofEffect, ofSync, type Subject } from "./harness.ts"

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
    }
  ]
})

export default benchmark
