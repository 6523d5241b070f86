// A daily budget that falls to a cheaper model: the good one answers as long as its own budget lasts, then the cheap
// one does, and no more is spent than both of them together.
//
// What a call can cost at worst is reserved before it is made, and replaced by what it did cost. So the budget is never
// passed, however many calls run at once: the one that could pass it is not made. `maxTokens` and few attempts keep the
// worst case near what a call really costs.
//
// Run: npx node examples/11-daily-budget.ts
// expect: 1. shop/large, $0.00303, $0.00697 left of its budget
// expect: 3. shop/small, $0.000101, $0.000899 left of its budget
// expect: today: large $0.00606 of $0.01, small $0.000202 of $0.001
// expect: the small one is spent, too: BudgetExceededError
import { Budget, CallContext, Events, LLM, LLMProvider, Money, Pricing } from "@breakwater/core"
import { ScriptedProvider } from "@breakwater/testing"
import { Console, Effect, Layer } from "effect"

const [large, small] = ["shop/large", "shop/small"]

// Dollars for a million tokens. A program that asks real models takes `Prices.layer()` of @breakwater/prices.
const prices = Pricing.layer({
  [large]: { input: "3", output: "15" },
  [small]: { input: "0.10", output: "0.50" }
})

const budget = Budget.layer({
  limits: [
    { name: "large", scope: "model", only: [large], period: "day", limit: "0.01" },
    { name: "small", scope: "model", only: [small], period: "day", limit: "0.001" }
  ]
})

/** Asks the good model, and the cheap one when the good one has no money left today. */
const ask = (prompt: string) => {
  const options = { prompt, maxTokens: 300 }
  return LLM.generate({ ...options, model: large }).pipe(
    Effect.catchTag("BudgetExceededError", () => LLM.generate({ ...options, model: small }))
  )
}

const program = Effect.gen(function* () {
  for (let i = 1; i <= 4; i++) {
    const { cost, remainingNanos, target } = yield* ask(`Describe product ${i}.`)
    const left = `${Money.format(remainingNanos!)} left of its budget`
    yield* Console.log(`${i}. ${target}, ${Money.format(cost!.nanoDollars)}, ${left}`)
  }

  const accounts = yield* (yield* Budget.Budget).snapshot(CallContext.single, [large, small])
  const today = accounts.map((each) => `${each.budget} ${Money.format(each.spent)} of ${Money.format(each.limit!)}`)
  yield* Console.log(`today: ${today.join(", ")}`)

  // A loop that has gone wild ends by itself.
  const wild = Effect.forever(ask("Describe everything."))
  const error = yield* Effect.flip(wild)
  yield* Console.log(`the small one is spent, too: ${error._tag}`)
  const left = yield* (yield* Budget.Budget).snapshot(CallContext.single, [small])
  if (left[0]!.spent > left[0]!.limit!) return yield* Effect.die(new Error("more was spent than was allowed"))
}).pipe(
  Events.listen((event) => {
    if (event.type === "budget-threshold") {
      console.log(`  (${event.budget}: ${Number(event.threshold) * 100} % of today's budget is spent)`)
    }
  })
)

const shop = ScriptedProvider.layer({
  name: "shop",
  script: [ScriptedProvider.text("It is made of wood.", { usage: { inputTokens: 10, outputTokens: 200 } })]
})

await Effect.runPromise(
  Effect.provide(
    program,
    LLM.layer({ targets: [large], maxAttempts: 1 }).pipe(
      Layer.provideMerge(budget),
      Layer.provide(prices),
      Layer.provide([LLM.layerNoPolicies, LLMProvider.layer(shop)])
    )
  )
)
