/**
 * The breaker and the adaptive limit judged an attempt by the time since it was begun, the wait for its own admission
 * included: a full bulkhead opened the circuit of a target that was as fast as ever.
 */
import { type Attempt, Bulkhead, CircuitBreaker } from "@breakwater/core"
import { ScriptedProvider } from "@breakwater/testing"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { inVirtualTime, setup } from "../composition/support.ts"

const breaker = Layer.succeed(CircuitBreaker.CircuitBreaker)

describe("waiting for admission is not the target's slowness", () => {
  it.effect.each(["generate", "stream"] as const)("%s", (operation) =>
    Effect.gen(function* () {
      const outcomes: Array<Attempt.AttemptOutcome> = []
      const admit: Attempt.Admit = () => Effect.succeed((outcome) => void outcomes.push(outcome))
      const { llm } = yield* setup(
        { a: [ScriptedProvider.delay("3 seconds", "hello")] },
        { targets: ["a/m"] },
        {
          breaker: breaker({ admit } as CircuitBreaker.CircuitBreaker["Service"]),
          bulkhead: Layer.orDie(Bulkhead.layer({ limit: 1, maxQueue: 10, maxWait: "1 minute" }))
        }
      )
      const call =
        operation === "generate"
          ? Effect.asVoid(llm.generate({ prompt: "hi" }))
          : Stream.runDrain(llm.stream({ prompt: "hi" }))
      yield* inVirtualTime(Effect.all([call, call, call], { concurrency: 3 }), 60, "500 millis")
      assert.strictEqual(outcomes.length, 3)
      for (const outcome of outcomes) {
        assert.strictEqual(outcome._tag, "success")
        if (outcome._tag !== "success") continue
        assert.isAtMost(outcome.tookMs, 3_500)
        assert.isAtMost(outcome.firstTokenMs ?? 0, 3_500)
      }
    })
  )
})
