/**
 * A call that was interrupted between its first event and the finalizer that tells its end was started and never
 * finished: an open span, and a gauge of calls under way that only rose. The same of an attempt and its record.
 */
import { type Event, Events, LLMError } from "@breakwater/core"
import { ScriptedProvider } from "@breakwater/testing"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { assert, describe, it } from "vitest"
import { setup } from "../composition/support.ts"
import { sweep } from "../support/sweep.ts"

const busy = ScriptedProvider.fail(new LLMError.ModelOverloadError({ message: "busy" }))
const broken = ScriptedProvider.stream([ScriptedProvider.wait("10 millis"), "one ", ScriptedProvider.cut("")])
const scripts = {
  a: [ScriptedProvider.delay("10 millis", busy), broken],
  b: [ScriptedProvider.stream(["one ", "two"])]
}

describe("interrupted at any operation, what was started is finished", () => {
  for (const operation of ["generate", "stream"] as const) {
    it.each([undefined, 3])(
      `${operation} (yielding every %s)`,
      async (yieldEvery) => {
        let events: Array<Event.PolicyEvent> = []
        const count = (type: Event.PolicyEvent["type"]) => events.filter((event) => event.type === type).length
        const points = await sweep(
          () => {
            events = []
            return Effect.gen(function* () {
              const { llm } = yield* setup(scripts, { targets: ["a/m", "b/m"], streamPolicy: "continue" })
              const call =
                operation === "generate"
                  ? Effect.asVoid(llm.generate({ prompt: "hi" }))
                  : Stream.runDrain(llm.stream({ prompt: "hi" }))
              yield* Events.listen((event) => events.push(event))(call)
            })
          },
          ({ point }) => {
            assert.strictEqual(count("request-finished"), count("request-started"), `calls at point ${point}`)
            const finished = events.find((event) => event.type === "request-finished")
            if (finished === undefined) return
            assert.strictEqual(finished.attempts.length, count("attempt-started"), `attempts at point ${point}`)
          },
          yieldEvery === undefined ? {} : { yieldEvery }
        )
        assert.isAbove(points, 100)
      },
      60_000
    )
  }
})
