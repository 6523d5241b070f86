/**
 * A process that spends from a budget on PostgreSQL or Redis as fast as it can, and prints how often it was let and what it
 * spent, in nano-dollars.
 *
 * Arguments: URL, calls, calls at once. It says `ready`, and begins when it is told anything. A call reserves 10,000
 * nano-dollars of a thousandth of a dollar, and uses a part of it that follows its number, or all of it with `all` as
 * the fourth argument.
 */
import { Budget, type BudgetStore, CallContext, Pricing } from "@breakwater/core"
import { RedisStores } from "@breakwater/stores"
import { Postgres, SqlBudgetStore } from "@breakwater/stores/sql"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { once } from "node:events"

const [url = "", calls = "150", atOnce = "8", all] = process.argv.slice(2)
const context = { ...CallContext.single, user: "ada" }

const program = Effect.gen(function* () {
  const budget = yield* Effect.service(Budget.Budget)
  yield* budget.snapshot(context)
  process.stdout.write("ready\n")
  yield* Effect.promise(() => once(process.stdin, "data"))
  const seen = { admitted: 0, refused: 0, spent: 0n }
  const one = (number: number) =>
    Effect.gen(function* () {
      const settle = yield* budget.hold(context, 10_000n)
      seen.admitted++
      for (const { limit, reserved, spent } of yield* budget.snapshot(context)) {
        if (spent + reserved > limit!) return yield* Effect.die(new Error("the limit is passed"))
      }
      const charge = all === "all" ? 10_000n : BigInt((number * 7_919) % 10_001)
      seen.spent += charge
      settle(charge)
    })
  yield* Effect.forEach(
    Array.from({ length: Number(calls) }, (_, number) => number),
    (number) =>
      Effect.catchTag(one(number), "BudgetExceededError", () =>
        Effect.sync(() => {
          seen.refused++
        })
      ),
    { concurrency: Number(atOnce), discard: true }
  )
  return seen
})

const stores: Layer.Layer<BudgetStore.BudgetStore, unknown> = url.startsWith("redis:")
  ? RedisStores.layer({ url, wait: "30 seconds" })
  : SqlBudgetStore.layer.pipe(Layer.provide(Postgres.layer({ url: Redacted.make(url), maxConnections: 8 })))

const budget = Budget.layer({
  limits: [
    { scope: "global", period: "lifetime", limit: "0.001" },
    { scope: "user", period: { rolling: "1 day" }, limit: "0.01" }
  ],
  storeTimeout: "10 minutes"
}).pipe(Layer.provide([stores, Pricing.layer({ "p/a": { input: 0, output: 1 } })]))

const { admitted, refused, spent } = await Effect.runPromise(Effect.provide(program, budget))
process.stdout.write(JSON.stringify({ admitted, refused, spent: `${spent}` }))
process.exit(0)
