import { Ledger, LedgerStore, LLM, LLMError, LLMProvider, Pricing } from "@breakwater/core"
import { ScriptedProvider } from "@breakwater/testing"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { inVirtualTime } from "./support.ts"

const pricing = Pricing.layer({ "a/m": { input: 0, output: 1 }, "b/m": { input: 0, output: 10 } })
const overload = ScriptedProvider.fail(new LLMError.ModelOverloadError({ message: "busy" }))
const slowly = ScriptedProvider.stream(["one two three ", ScriptedProvider.wait("1 minute"), "four five"])
const everything: Ledger.LedgerFilter = { fromMs: 0, toMs: 1e15 }

const layer = (a: ScriptedProvider.Script, b: ScriptedProvider.Script = ["from b"]) => {
  const ledger = Ledger.layer().pipe(Layer.provide([LedgerStore.layerMemory, pricing]))
  const providers = LLMProvider.layer(
    ScriptedProvider.layer({ name: "a", script: a }),
    ScriptedProvider.layer({ name: "b", script: b })
  )
  const policies = Layer.mergeAll(LLM.layerNoPolicies, pricing)
  return LLM.layer({ targets: ["a/m", "b/m"] }).pipe(
    Layer.provideMerge(Layer.merge(policies, ledger)),
    Layer.provide(providers)
  )
}

const records = Effect.flatMap(Effect.service(Ledger.Ledger), (ledger) => ledger.records(everything, 100))

describe("the ledger behind the pipeline", () => {
  it.effect("has every attempt of a call, with whose it was and what it cost", () =>
    Effect.gen(function* () {
      const context = { tenant: "t", user: "ada", project: "p", tags: ["x", "y"] }
      const answer = yield* inVirtualTime(LLM.generate({ prompt: "hi", maxTokens: 50, context, requestId: "r1" }))
      const found = yield* records
      expect(
        found.map(({ attempt, error, model, outcome, provider }) => [attempt, provider, model, outcome, error])
      ).toEqual([
        [1, "a", "m", "failure", "ModelOverloadError"],
        [2, "a", "m", "success", undefined]
      ])
      expect(found[1]).toMatchObject({
        ...context,
        requestId: "r1",
        maxTokens: 50,
        outputTokens: answer.usage.outputTokens,
        costNanos: answer.cost!.nanoDollars
      })
    }).pipe(Effect.provide(layer([overload, "hello there"])))
  )

  it.effect("has streams, those that their reader leaves, and calls that are interrupted", () =>
    Effect.gen(function* () {
      yield* Stream.runDrain(LLM.stream({ prompt: "hi" }))
      yield* Stream.runDrain(Stream.takeUntil(LLM.stream({ prompt: "hi" }), (part) => part.type === "text-delta"))
      const fiber = yield* Effect.forkChild(LLM.generate({ prompt: "hi" }))
      yield* Effect.yieldNow
      yield* Effect.yieldNow
      yield* Fiber.interrupt(fiber)
      const found = yield* records
      expect(found.map(({ counted, outcome }) => [outcome, counted])).toEqual([
        ["success", "reported"],
        ["interrupted", "estimated"],
        ["interrupted", "unknown"]
      ])
    }).pipe(Effect.provide(layer(["one two three four five", slowly, ScriptedProvider.stall])))
  )

  it.effect("has nothing of a call that was never sent", () =>
    Effect.gen(function* () {
      yield* Effect.flip(LLM.generate({ prompt: "hi", maxTokens: -1 }))
      expect(yield* records).toEqual([])
    }).pipe(Effect.provide(layer(["never"])))
  )

  it.effect("says in describe() that it is there", () =>
    Effect.gen(function* () {
      const { path } = yield* LLM.describe()
      expect(path.find(({ step }) => step === "ledger")?.setting).toBe("on")
    }).pipe(Effect.provide(layer(["never"])))
  )
})
