/**
 * When an attempt and the hedge beside it both failed, the hedge's target was asked again for the other one's error: one
 * that had refused the key, say, and not the one that was only busy.
 */
import { Hedge, LLMError } from "@breakwater/core"
import { ScriptedProvider } from "@breakwater/testing"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { inVirtualTime, setup } from "../composition/support.ts"

const known = 30
const busy = ScriptedProvider.fail(new LLMError.ModelOverloadError({ message: "busy" }))
const refused = ScriptedProvider.fail(new LLMError.AuthenticationError({ message: "no", kind: "invalid" }))

describe("after a hedge, the target whose error it was is asked again", () => {
  it.effect.each(["generate", "stream"] as const)("%s", (operation) =>
    Effect.gen(function* () {
      const { calls, llm } = yield* setup(
        {
          a: (_, number) =>
            number <= known
              ? ScriptedProvider.delay("100 millis", "fast")
              : number === known + 1
                ? ScriptedProvider.delay("3 seconds", busy)
                : "at last",
          b: [refused]
        },
        { targets: ["a/m", "b/m"], maxAttempts: 6, retry: { retries: 3 } },
        { hedge: Layer.orDie(Hedge.layer({ minSamples: 20, budget: 1 })) }
      )
      let text = ""
      const call =
        operation === "generate"
          ? Effect.map(llm.generate({ prompt: "hi" }), (answer) => void (text = answer.text))
          : Stream.runForEach(llm.stream({ prompt: "hi" }), (part) =>
              Effect.sync(() => {
                if (part.type === "text-delta") text += part.delta
              })
            )
      for (let i = 0; i < known; i++) yield* inVirtualTime(call, 10, "100 millis")
      text = ""
      yield* inVirtualTime(call, 100, "1 second")
      assert.strictEqual(text, "at last")
      assert.strictEqual((yield* calls("b")).length, 1)
      assert.strictEqual((yield* calls("a")).length, known + 2)
    })
  )
})
