/**
 * Retries after an error that no other target can answer (a 400 with `x-should-retry: true`) took the attempts that are
 * kept back for the targets to come: one was asked more often than `describe()` said.
 */
import { LLMError } from "@breakwater/core"
import { ScriptedProvider } from "@breakwater/testing"
import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { inVirtualTime, setup } from "../composition/support.ts"

it.effect("no target is asked more often than described, whatever a provider says of retries", () =>
  Effect.gen(function* () {
    const again = new LLMError.InvalidRequestError({ message: "again, please", shouldRetry: true })
    const { calls, llm } = yield* setup(
      { a: [ScriptedProvider.fail(again)], b: ["from b"] },
      { targets: ["a/m", "b/m"], maxAttempts: 3, retry: { retries: 4 } }
    )
    const { maxAttemptsPerTarget } = yield* llm.describe()
    yield* Effect.flip(inVirtualTime(llm.generate({ prompt: "hi" })))
    assert.strictEqual((yield* calls("a")).length, maxAttemptsPerTarget)
  })
)
