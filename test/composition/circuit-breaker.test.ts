/**
 * The breaker on the path of a call: outermost of each attempt.
 */
import { CircuitBreaker, LLMError } from "@breakwater/core"
import { ScriptedProvider } from "@breakwater/testing"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as TestClock from "effect/testing/TestClock"
import { sweep } from "../support/sweep.ts"
import { setup } from "./support.ts"

const down = new LLMError.ServerError({ message: "down", status: 500 })
const options = { window: CircuitBreaker.consecutive(2), open: { jitter: 0 }, halfOpen: { calls: 1, successes: 1 } }

describe("the circuit breaker in the pipeline", () => {
  it.effect("an open target is not asked; the next one answers; a probe brings the first back", () =>
    Effect.gen(function* () {
      const breaker = yield* CircuitBreaker.make(options)
      let healthy = false
      const { calls, llm } = yield* setup(
        { a: () => (healthy ? "from a" : ScriptedProvider.fail(down)), b: () => "from b" },
        { targets: ["a/m", "b/m"], retry: { retries: 0 } },
        { breaker: Layer.succeed(CircuitBreaker.CircuitBreaker, breaker) }
      )
      const ask = Effect.map(llm.generate({ prompt: "hello" }), ({ attempts, text }) => ({ attempts, text }))
      yield* ask
      yield* ask
      expect((yield* breaker.snapshot("a/m")).state).toBe("open")
      const asked = (yield* calls("a")).length
      const answer = yield* ask
      expect(answer.text).toBe("from b")
      expect(answer.attempts[0]!.error?._tag).toBe("CircuitOpenError")
      expect((yield* calls("a")).length).toBe(asked)
      healthy = true
      yield* TestClock.adjust("30 seconds")
      expect((yield* ask).text).toBe("from a")
      expect((yield* breaker.snapshot("a/m")).state).toBe("closed")
    })
  )

  it("a call interrupted at any operation gives its probe's place back", async () => {
    let breaker: CircuitBreaker.CircuitBreakerService | undefined
    const leaks: Array<number> = []
    const program = Effect.gen(function* () {
      breaker = yield* CircuitBreaker.make({ ...options, open: { duration: 1, jitter: 0 } })
      const { llm } = yield* setup(
        { a: (_, call) => (call <= 2 ? ScriptedProvider.fail(down) : "well") },
        { targets: ["a/m"], retry: { retries: 0 } },
        { breaker: Layer.succeed(CircuitBreaker.CircuitBreaker, breaker) }
      )
      const ask = llm.generate({ prompt: "hello" })
      yield* Effect.ignore(ask)
      yield* Effect.ignore(ask)
      yield* Effect.sleep(5)
      yield* ask
    })
    const points = await sweep(
      () => Effect.scoped(program),
      ({ point }) => {
        if (breaker !== undefined && Effect.runSync(breaker.snapshot("a/m")).probes.inFlight > 0) leaks.push(point)
      }
    )
    expect(points).toBeGreaterThan(100)
    expect(leaks).toEqual([])
  })
})
