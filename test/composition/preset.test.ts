/** The policies that a preset brings along, at work inside the pipeline. */
import { LLM, LLMError, LLMProvider } from "@breakwater/core"
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
})
