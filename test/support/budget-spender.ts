/** A process that spends from a budget on PostgreSQL as fast as it can, and prints how often it was let. */
import { Budget, CallContext, Pricing } from "@breakwater/core"
import { Postgres, SqlBudgetStore } from "@breakwater/stores/sql"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"

const url = Redacted.make(process.argv[2]!)

const program = Effect.gen(function* () {
  const budget = yield* Effect.service(Budget.Budget)
  let admitted = 0
  const one = Effect.gen(function* () {
    const settle = yield* budget.hold({ ...CallContext.single, user: "ada" }, 10_000n)
    admitted++
    const all = yield* budget.snapshot({ ...CallContext.single, user: "ada" })
    for (const { limit, reserved, spent } of all) {
      if (spent + reserved > limit!) return yield* Effect.die(new Error("the limit is passed"))
    }
    settle(10_000n)
  })
  yield* Effect.forEach(
    Array.from({ length: 150 }),
    () => Effect.catchTag(one, "BudgetExceededError", () => Effect.void),
    { concurrency: 8 }
  )
  return admitted
})

const stores = SqlBudgetStore.layer.pipe(Layer.provide(Postgres.layer({ url, maxConnections: 8 })))
const budget = Budget.layer({
  limits: [
    { scope: "global", period: "lifetime", limit: "0.001" },
    { scope: "user", period: { rolling: "1 day" }, limit: "0.01" }
  ]
}).pipe(Layer.provide([stores, Pricing.layer({ "p/a": { input: 0, output: 1 } })]))

process.stdout.write(String(await Effect.runPromise(Effect.provide(program, budget))))
