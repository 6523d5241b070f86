// Testing what a program does in an outage, in no time: the provider follows a script, and the clock is moved by hand.
//
// The first provider limits the rate for a whole minute and then goes silent, until the time of an attempt is over and
// the second one answers. In real time this takes eleven minutes; here it takes milliseconds, and goes the same way
// every time.
//
// Run: npx node examples/08-testing-with-scripts.ts
// expect: after 59 s: still waiting
// expect: after 11 min: answered by second/model
// expect: RateLimitError, RequestTimeoutError, success
import { LLM, LLMProvider } from "@breakwater/core"
import { Failures, ScriptedProvider } from "@breakwater/testing"
import { Console, Effect, Fiber, Layer } from "effect"
import { TestClock } from "effect/testing"

const test = Effect.gen(function* () {
  const first = yield* ScriptedProvider.make({
    name: "first",
    script: [ScriptedProvider.fail(Failures.rateLimit("1 minute")), ScriptedProvider.stall]
  })
  const second = yield* ScriptedProvider.make({ name: "second", script: ["Good morning."] })
  const layer = LLM.layerPreset("batch", { targets: ["first/model", "second/model"] }).pipe(
    Layer.provide(LLMProvider.layer(first.layer, second.layer))
  )

  const call = yield* Effect.forkChild(Effect.provide(LLM.generate({ prompt: "Hello?", timeout: "30 minutes" }), layer))
  yield* TestClock.adjust("59 seconds")
  yield* Console.log(`after 59 s: ${call.pollUnsafe() === undefined ? "still waiting" : "over"}`)

  yield* TestClock.adjust("20 minutes")
  const answer = yield* Fiber.join(call)
  const took = answer.attempts.reduce((sum, each) => sum + each.waitedMs + each.tookMs, 0)
  yield* Console.log(`after ${Math.round(took / 60_000)} min: answered by ${answer.target}`)
  yield* Console.log(answer.attempts.map((each) => each.error?._tag ?? each.outcome).join(", "))

  // Nothing was left behind: the silent call was interrupted.
  const { open } = yield* first.counts
  if (open !== 0) return yield* Effect.die(new Error("a call is still open"))
})

await Effect.runPromise(Effect.provide(test, TestClock.layer()))
