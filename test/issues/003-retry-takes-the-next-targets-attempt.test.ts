/**
 * A retry after an error that no other target can answer (a 400 with `x-should-retry: true`) took the attempt that is
 * kept back for the next target: the target was asked more often than `describe()` said, and the next one never.
 */
import { LLMError } from "@breakwater/core"
import { ScriptedProvider } from "@breakwater/testing"
import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { inVirtualTime, setup } from "../composition/support.ts"

it.effect("a retry that the provider asked for leaves the other targets their attempts", () =>
  Effect.gen(function* () {
    const { calls, llm } = yield* setup(
      {
        a: [
          ScriptedProvider.fail(new LLMError.InvalidRequestError({ message: "again, please", shouldRetry: true })),
          ScriptedProvider.fail(new LLMError.ServerError({ message: "failed" }))
        ],
        b: ["from b"]
      },
      { targets: ["a/m", "b/m"], maxAttempts: 3, retry: { retries: 4 } }
    )
    const { maxAttemptsPerTarget } = yield* llm.describe()
    const answer = yield* inVirtualTime(llm.generate({ prompt: "hi" }))
    assert.isAtMost((yield* calls("a")).length, maxAttemptsPerTarget)
    assert.strictEqual(answer.text, "from b")
  })
)
