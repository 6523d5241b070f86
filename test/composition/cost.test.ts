import { Budget, CallContext, LLM, LLMError, LLMProvider, Pricing, type Pipeline } from "@breakwater/core"
import { ScriptedProvider } from "@breakwater/testing"
import { assert, describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { inVirtualTime } from "./support.ts"

/** A thousand nano-dollars a token of the answer at `a`, ten thousand at `b`. */
const table: Pricing.Table = { "a/m": { input: 0, output: 1 }, "b/m": { input: 0, output: 10 } }

const setup = (
  scripts: Readonly<Record<string, ScriptedProvider.Script>>,
  options: Pipeline.PipelineOptions,
  limits?: Budget.Options
) =>
  Effect.gen(function* () {
    const providers = []
    for (const [name, script] of Object.entries(scripts)) {
      providers.push((yield* ScriptedProvider.make({ name, script })).provider)
    }
    const pricing = Pricing.layer(table)
    const layer = Layer.mergeAll(
      LLM.layerNoPolicies,
      pricing,
      limits === undefined ? Budget.layerNoop : Layer.provide(Budget.layer(limits), pricing),
      LLMProvider.layerOf(...providers)
    )
    const context = yield* Layer.build(layer)
    const llm = yield* Effect.provide(Layer.build(LLM.layer(options)), context)
    const budget = yield* Effect.provide(Effect.service(Budget.Budget), context)
    return {
      generate: (call: Parameters<LLM.LLMService["generate"]>[0]) => Effect.provide(LLM.generate(call), llm),
      stream: (call: Parameters<LLM.LLMService["stream"]>[0]) => Stream.provideContext(LLM.stream(call), llm),
      budget
    }
  })

const daily: Budget.Options = { limits: [{ scope: "global", period: "day", limit: "0.01" }] }
const overload = ScriptedProvider.fail(new LLMError.ModelOverloadError({ message: "busy" }))
const standing = (budget: Budget.BudgetService) =>
  Effect.map(budget.snapshot(CallContext.single), ([all]) => [all!.spent, all!.reserved])

describe("what a call costs", () => {
  it.effect("an answer says what it cost, attempt by attempt", () =>
    Effect.gen(function* () {
      const { generate } = yield* setup({ a: [overload, "hello there, world"] }, { targets: ["a/m"] })
      const answer = yield* inVirtualTime(generate({ prompt: "hi" }))
      const cost = BigInt(answer.usage.outputTokens) * 1_000n
      expect(cost).toBeGreaterThan(0n)
      expect(answer.cost).toMatchObject({ nanoDollars: cost, unknownAttempts: 0 })
      expect(answer.attempts.map((attempt) => attempt.costNanos)).toEqual([undefined, cost])
    })
  )

  it.effect("the last part of a stream says what it cost", () =>
    Effect.gen(function* () {
      const { stream } = yield* setup({ a: ["hello there, world"] }, { targets: ["a/m"] })
      const parts = yield* Stream.runCollect(stream({ prompt: "hi" }))
      const last = Array.from(parts).at(-1)
      assert(last?.type === "finish")
      expect(last.cost?.nanoDollars).toBe(BigInt(last.usage.outputTokens) * 1_000n)
    })
  )

  it.effect("an attempt at a model without a price is not free, but unknown", () =>
    Effect.gen(function* () {
      const { generate } = yield* setup({ a: ["hello"] }, { targets: ["a/other"] })
      expect((yield* generate({ prompt: "hi" })).cost).toMatchObject({ nanoDollars: 0n, unknownAttempts: 1 })
    })
  )

  it.effect("without prices an answer says nothing of costs", () =>
    Effect.gen(function* () {
      const answer = yield* LLM.generate({ prompt: "hi" }).pipe(
        Effect.provide(
          LLM.layer({ targets: ["a/m"] }).pipe(
            Layer.provide(LLM.layerNoPolicies),
            Layer.provide(LLMProvider.layer(ScriptedProvider.layer({ name: "a", script: ["hello"] })))
          )
        )
      )
      expect(answer).not.toHaveProperty("cost")
    })
  )

  it.effect("the budget holds the worst of all attempts while the call runs, and pays what it used", () =>
    Effect.gen(function* () {
      const { budget, generate } = yield* setup(
        { a: [ScriptedProvider.stall], b: ["from b"] },
        { targets: ["a/m", "b/m"], maxAttempts: 2, timeouts: { attempt: "5 seconds" } },
        daily
      )
      const fiber = yield* Effect.forkChild(inVirtualTime(generate({ prompt: "hi", maxTokens: 100 })))
      yield* Effect.yieldNow
      yield* Effect.yieldNow
      expect(yield* standing(budget)).toEqual([0n, 2n * 100n * 10_000n])
      const answer = yield* Fiber.join(fiber)
      // The silent attempt was sent, and nobody knows what it cost: its worst case stays spent.
      expect(yield* standing(budget)).toEqual([100n * 1_000n + BigInt(answer.usage.outputTokens) * 10_000n, 0n])
      expect(answer.cost).toMatchObject({ unknownAttempts: 1 })
    })
  )

  it.effect("a call that does not fit is turned away before anything is sent", () =>
    Effect.gen(function* () {
      const { budget, generate } = yield* setup({ a: ["hello"] }, { targets: ["a/m"], maxAttempts: 1 }, daily)
      const error = yield* Effect.flip(generate({ prompt: "hi", maxTokens: 10_001 }))
      expect(error._tag).toBe("BudgetExceededError")
      expect(yield* standing(budget)).toEqual([0n, 0n])
    })
  )

  it.effect("interrupted after sending, a call pays its worst case; interrupted before, nothing", () =>
    Effect.gen(function* () {
      const { budget, generate } = yield* setup(
        { a: [ScriptedProvider.stall] },
        { targets: ["a/m"], maxAttempts: 3 },
        daily
      )
      const fiber = yield* Effect.forkChild(generate({ prompt: "hi", maxTokens: 100 }))
      yield* Effect.yieldNow
      yield* Effect.yieldNow
      yield* Fiber.interrupt(fiber)
      expect(yield* standing(budget)).toEqual([100_000n, 0n])
    })
  )

  it.effect("a stream that its reader leaves pays what was produced", () =>
    Effect.gen(function* () {
      const slowly = ScriptedProvider.stream(["x".repeat(40), ScriptedProvider.wait("1 minute"), "never read"])
      const { budget, stream } = yield* setup({ a: [slowly] }, { targets: ["a/m"] }, daily)
      const parts = stream({ prompt: "hi", maxTokens: 1_000 })
      yield* Stream.runDrain(Stream.takeUntil(parts, (part) => part.type === "text-delta"))
      // Forty characters are ten tokens, by the estimate.
      expect(yield* standing(budget)).toEqual([10_000n, 0n])
    })
  )

  it.effect("a stream that broke pays what was produced", () =>
    Effect.gen(function* () {
      const { budget, stream } = yield* setup(
        { a: [ScriptedProvider.cut("x".repeat(80))] },
        { targets: ["a/m"] },
        daily
      )
      const error = yield* Effect.flip(Stream.runDrain(stream({ prompt: "hi", maxTokens: 1_000 })))
      expect(error._tag).toBe("StreamInterruptedError")
      expect(yield* standing(budget)).toEqual([20_000n, 0n])
    })
  )
})
