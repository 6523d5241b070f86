/**
 * An attempt that had waited for its admission got the time that was left before it waited: a call with a limit of ten
 * seconds took sixteen.
 */
import { Bulkhead } from "@breakwater/core"
import { ScriptedProvider } from "@breakwater/testing"
import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { inVirtualTime, setup } from "../composition/support.ts"

const script = [ScriptedProvider.delay("6 seconds", "first"), ScriptedProvider.stall]
const options = {
  targets: ["a/m"],
  timeouts: { total: "10 seconds", attempt: "10 seconds", firstToken: "10 seconds", idle: "10 seconds" }
} as const
const bulkhead = Layer.orDie(Bulkhead.layer({ limit: 1, maxQueue: 10, maxWait: "8 seconds" }))

describe("waiting for admission takes from the time of the call", () => {
  it.effect.each(["generate", "stream"] as const)("%s", (operation) =>
    Effect.gen(function* () {
      const { calls, llm } = yield* setup({ a: script }, options, { bulkhead })
      const call =
        operation === "generate" ? llm.generate({ prompt: "hi" }) : Stream.runDrain(llm.stream({ prompt: "hi" }))
      yield* Effect.forkChild(call)
      yield* Effect.yieldNow
      const began = yield* Clock.currentTimeMillis
      const error = yield* Effect.flip(inVirtualTime(call, 60, "500 millis"))
      assert.strictEqual(error._tag, "DeadlineExceededError")
      assert.isAtMost((yield* Clock.currentTimeMillis) - began, 10_500)
      assert.strictEqual((yield* calls("a")).length, 2)
    })
  )
})
