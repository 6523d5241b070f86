/** The policies that a preset brings along, at work inside the pipeline. */
import {
  Budget,
  CircuitBreaker,
  Ledger,
  LedgerStore,
  LLM,
  LLMError,
  LLMProvider,
  Pricing,
  ResponseCache
} from "@breakwater/core"
import { ScriptedProvider } from "@breakwater/testing"
import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { inVirtualTime } from "./support.ts"

const down = ScriptedProvider.fail(new LLMError.ServerError({ message: "down", status: 500 }))

/** The `interactive` preset over two scripted providers. */
const preset = (a: ScriptedProvider.Script, b: ScriptedProvider.Script) =>
  Effect.gen(function* () {
    const first = yield* ScriptedProvider.make({ name: "a", script: a })
    const second = yield* ScriptedProvider.make({ name: "b", script: b })
    const layer = LLM.layerPreset("interactive", { targets: ["a/m", "b/m"] }).pipe(
      Layer.provide(LLMProvider.layerOf(first.provider, second.provider))
    )
    const context = yield* Layer.build(layer)
    const ask = LLM.generate({ prompt: "hi" }).pipe(Effect.provide(context))
    return { ask, first, second }
  })

describe("the policies of a preset", () => {
  it.effect("an outage opens the circuit: the target is left alone, and asked again when its time is over", () =>
    Effect.gen(function* () {
      let healthy = false
      const { ask, first } = yield* preset(() => (healthy ? "from a" : down), ["from b"])
      for (let i = 0; i < 4; i++) assert.strictEqual((yield* inVirtualTime(ask, 100, "1 second")).text, "from b")
      const asked = (yield* first.counts).calls
      assert.isAtMost(asked, 12)
      const answer = yield* ask
      assert.strictEqual(answer.attempts[0]!.error?._tag, "CircuitOpenError")
      assert.strictEqual((yield* first.counts).calls, asked)
      healthy = true
      // Open for 30 s at first, growing with each failed probe up to 5 min.
      yield* inVirtualTime(Effect.sleep("6 minutes"))
      assert.strictEqual((yield* ask).text, "from a")
    }).pipe(Effect.scoped)
  )

  it.effect("a rate limit keeps every caller off the target for as long as it says", () =>
    Effect.gen(function* () {
      const limited = ScriptedProvider.fail(
        new LLMError.RateLimitError({
          message: "slow down",
          source: "provider",
          scope: "requests",
          retryAfter: Duration.seconds(30)
        })
      )
      const { ask, first } = yield* preset([limited, "from a"], ["from b"])
      assert.strictEqual((yield* ask).text, "from b")
      const answer = yield* ask
      assert.strictEqual(answer.text, "from b")
      const refused = answer.attempts[0]!.error
      assert.isTrue(refused?._tag === "RateLimitError" && refused.source === "local")
      assert.strictEqual((yield* first.counts).calls, 1)
      yield* inVirtualTime(Effect.sleep("40 seconds"))
      assert.strictEqual((yield* ask).text, "from a")
    }).pipe(Effect.scoped)
  )

  const money = Layer.mergeAll(
    ResponseCache.layer(),
    Budget.layer({ limits: [{ scope: "global", period: "lifetime", limit: "0.005" }] }),
    Ledger.layer().pipe(Layer.provide(LedgerStore.layerMemory))
  ).pipe(Layer.provideMerge(Pricing.layer({ "a/m": { input: 0, output: 10 } })))
  const answer = ScriptedProvider.text("yes", { usage: { inputTokens: 1, outputTokens: 100 } })
  const provider = LLMProvider.layer(ScriptedProvider.layer({ name: "a", script: () => answer }))
  const ask = (prompt: string) => LLM.generate({ prompt, temperature: 0, maxTokens: 100 })

  it.effect.each([
    ["given to the preset", LLM.layerPreset("interactive", { targets: ["a/m"] }).pipe(Layer.provide(money))],
    [
      "given after the preset's policies",
      LLM.layer({ targets: ["a/m"], maxAttempts: 1 }).pipe(
        Layer.provide(LLM.layerPolicies("interactive")),
        Layer.provide(money)
      )
    ]
  ] as const)("a cache, a budget, prices and a ledger %s are at work", ([, llm]) =>
    Effect.gen(function* () {
      const path = (yield* LLM.describe()).path.filter(({ setting }) => setting !== "off").map(({ step }) => step)
      assert.includeMembers(path, ["cache", "budget", "ledger"])
      const first = yield* ask("one")
      assert.strictEqual(first.cost?.nanoDollars, 1_000_000n)
      assert.strictEqual((yield* ask("one")).cached?.source, "exact")
      let error: unknown
      for (let i = 0; i < 10 && error === undefined; i++)
        error = yield* Effect.catch(Effect.as(ask(`${i}`), undefined), Effect.succeed)
      assert.strictEqual((error as LLMError.LLMError)._tag, "BudgetExceededError")
    }).pipe(Effect.provide(llm.pipe(Layer.provide(provider))))
  )

  it.effect("a circuit breaker that is given goes before the preset's", () =>
    Effect.gen(function* () {
      const context = yield* Layer.build(
        LLM.layerPreset("interactive", { targets: ["a/m"] }).pipe(
          Layer.provideMerge(CircuitBreaker.layerNoop),
          Layer.provide(provider)
        )
      )
      const { path } = yield* Effect.provide(LLM.describe(), context)
      assert.strictEqual(path.find(({ step }) => step === "circuit breaker")?.setting, "off")
    }).pipe(Effect.scoped)
  )

  it.effect("what one service is given is not another's", () =>
    Effect.gen(function* () {
      const base = () => LLM.layerPreset("interactive", { targets: ["a/m"] }).pipe(Layer.provide(provider))
      const isOn = Effect.map(
        LLM.describe(),
        ({ path }) => path.find(({ step }) => step === "budget")?.setting !== "off"
      )
      const memo = yield* Layer.makeMemoMap
      const scope = yield* Effect.scope
      const given = yield* Layer.buildWithMemoMap(base().pipe(Layer.provide(money)), memo, scope)
      const alone = yield* Layer.buildWithMemoMap(base(), memo, scope)
      assert.isTrue(yield* Effect.provide(isOn, given))
      assert.isFalse(yield* Effect.provide(isOn, alone))
    }).pipe(Effect.scoped)
  )
})
