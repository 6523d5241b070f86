/** What a call that is interrupted while a hedged attempt is given up has cost. */
import { Budget, CallContext, Hedge, LLM, LLMProvider, type Pipeline, Pricing } from "@breakwater/core"
import { ScriptedProvider } from "@breakwater/testing"
import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as TestClock from "effect/testing/TestClock"

const pricing = Pricing.layer({ "a/m": { input: 0, output: 1 }, "b/m": { input: 0, output: 1 } })
const always: Hedge.Hedger = { delayMs: () => 10, tryStart: () => true, onCall: () => {}, observe: () => {} }

it.effect("an attempt that takes long to give up is settled with its call", () =>
  Effect.gen(function* () {
    const stub = yield* ScriptedProvider.make({ name: "a", script: ["never"] })
    const stubborn: LLMProvider.Provider = {
      ...stub.provider,
      generate: () => Effect.onInterrupt(Effect.never, () => Effect.sleep("10 seconds"))
    }
    const quick = yield* ScriptedProvider.make({
      name: "b",
      script: [ScriptedProvider.text("yes", { usage: { inputTokens: 0, outputTokens: 3 } })]
    })
    const layers = Layer.mergeAll(
      LLM.layerNoPolicies,
      pricing,
      Layer.succeed(Hedge.Hedge, { ...Hedge.noop, ...always, hedger: always }),
      Layer.provide(Budget.layer({ limits: [{ scope: "global", period: "lifetime", limit: "1" }] }), pricing),
      LLMProvider.layerOf(stubborn, quick.provider)
    ) as Layer.Layer<Pipeline.PipelineServices>
    const context = yield* Layer.build(layers)
    const { llm, budget } = yield* Effect.provide(
      Effect.gen(function* () {
        const built = yield* Layer.build(LLM.layer({ targets: ["a/m", "b/m"] }))
        return {
          llm: yield* Effect.provide(Effect.service(LLM.LLM), built),
          budget: yield* Budget.Budget
        }
      }),
      context
    )
    const call = yield* Effect.forkChild(llm.generate({ prompt: "hi", maxTokens: 100 }))
    yield* TestClock.adjust("1 second")
    assert.isUndefined(call.pollUnsafe())
    const interrupting = yield* Effect.forkChild(Fiber.interrupt(call))
    yield* TestClock.adjust("1 minute")
    yield* Fiber.join(interrupting)
    const [all] = yield* budget.snapshot(CallContext.single)
    // Three tokens of the answer, and the worst of the attempt that never said.
    assert.deepInclude(all, { spent: 103_000n, reserved: 0n })
  }).pipe(Effect.scoped)
)
