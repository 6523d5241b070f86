/** With prices an answer says what it cost, in a BigInt: the cache could not write it down, and so never kept it. */
import { LLM, LLMProvider, Pricing, ResponseCache } from "@breakwater/core"
import { ScriptedProvider } from "@breakwater/testing"
import { expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"

const policies = Layer.mergeAll(
  LLM.layerNoPolicies,
  ResponseCache.layer(),
  Pricing.layer({ "a/m": { input: 0, output: 1 } })
)

const layer = () =>
  LLM.layer({ targets: ["a/m"] }).pipe(
    Layer.provide(policies),
    Layer.provide(LLMProvider.layer(ScriptedProvider.layer({ name: "a", script: ["hello there"] })))
  )

it.effect("a priced answer is kept, and costs nothing the second time", () =>
  Effect.gen(function* () {
    const first = yield* LLM.generate({ prompt: "hi", temperature: 0 })
    const second = yield* LLM.generate({ prompt: "hi", temperature: 0 })
    expect(first.cost?.nanoDollars).toBeGreaterThan(0n)
    expect(second).toMatchObject({ text: "hello there", cached: { source: "exact" }, attempts: [] })
    expect(second).not.toHaveProperty("cost")
  }).pipe(Effect.provide(layer()))
)

it.effect("so is a priced stream", () =>
  Effect.gen(function* () {
    const ask = Stream.runCollect(LLM.stream({ prompt: "hi", temperature: 0 }))
    const [first, second] = [Array.from(yield* ask).at(-1), Array.from(yield* ask).at(-1)]
    expect(first).toMatchObject({ type: "finish", cost: { unknownAttempts: 0 } })
    expect(second).toMatchObject({ type: "finish", cached: { source: "exact" } })
    expect(second).not.toHaveProperty("cost")
  }).pipe(Effect.provide(layer()))
)

it.live("one who shares a call in flight does not pay for it again", () =>
  Effect.gen(function* () {
    const ask = LLM.generate({ prompt: "hi", temperature: 0 })
    const answers = yield* Effect.all([ask, ask, ask], { concurrency: 3 })
    expect(answers.filter((answer) => answer.cost !== undefined)).toHaveLength(1)
  }).pipe(Effect.provide(layer()))
)
