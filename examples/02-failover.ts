// A provider is down: the call goes on to the next one, and the answer says how it came about.
//
// What is repeated, and what is taken elsewhere, depends on the kind of the failure: an overload is worth another try
// at the same target, a wrong key is not. All attempts of a call are drawn from one number.
//
// Run: npx node examples/02-failover.ts
// expect: answered by second/model
// expect: 1. first/model: ModelOverloadError
// expect: 2. first/model: AuthenticationError
// expect: 3. second/model: success
import { LLM, LLMProvider } from "@breakwater/core"
import { Failures, ScriptedProvider } from "@breakwater/testing"
import { Console, Effect, Layer } from "effect"

const first = ScriptedProvider.layer({
  name: "first",
  script: [
    // Asked again, after the time that the provider names.
    ScriptedProvider.fail(Failures.overload("50 millis")),
    // Not asked again: the next target gets the call at once.
    ScriptedProvider.fail(Failures.authentication())
  ]
})
const second = ScriptedProvider.layer({ name: "second", script: ["Here I am."] })

const program = Effect.gen(function* () {
  const worst = yield* LLM.describe()
  yield* Console.log(`at worst ${worst.maxAttempts} attempts and ${worst.maxDurationMs / 1000} s`)

  const answer = yield* LLM.generate({ prompt: "Is anybody there?" })
  yield* Console.log(`${answer.text} (answered by ${answer.target})`)
  for (const { attempt, error, outcome, target } of answer.attempts) {
    yield* Console.log(`${attempt}. ${target}: ${error?._tag ?? outcome}`)
  }
})

const layer = LLM.layerPreset("interactive", { targets: ["first/model", "second/model"] }).pipe(
  Layer.provide(LLMProvider.layer(first, second))
)

await Effect.runPromise(Effect.provide(program, layer))
