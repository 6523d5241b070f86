/**
 * Interrupts whole calls at every operation of their run and looks for what is left: admissions that were not given
 * back, provider calls still open, timers still running.
 */
import { type Attempt, Bulkhead, CircuitBreaker, LLMError, TokenQuota } from "@breakwater/core"
import { ScriptedProvider } from "@breakwater/testing"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { assert, describe, it } from "vitest"
import { sweep } from "../support/sweep.ts"
import { setup } from "./support.ts"

/** Admissions that count what is out, each waiting for a moment as a queue would. */
const ledger = () => {
  const counts = { admitted: 0, settled: 0 }
  const outcomes: Array<Attempt.AttemptOutcome["_tag"]> = []
  const admit: Attempt.Admit = () =>
    Effect.andThen(
      Effect.interruptible(Effect.sleep(5)),
      Effect.sync((): Attempt.Settle => {
        counts.admitted++
        return (outcome) => {
          counts.settled++
          outcomes.push(outcome._tag)
        }
      })
    )
  return { admit, counts, outcomes }
}

const admissions = (admit: Attempt.Admit) => ({
  breaker: Layer.succeed(CircuitBreaker.CircuitBreaker, { admit } as CircuitBreaker.CircuitBreaker["Service"]),
  quota: Layer.succeed(TokenQuota.TokenQuota, { admit } as TokenQuota.TokenQuota["Service"]),
  bulkhead: Layer.succeed(Bulkhead.Bulkhead, { admit } as Bulkhead.Bulkhead["Service"])
})

const overload = new LLMError.ModelOverloadError({ message: "busy" })
const script: ScriptedProvider.Script = [
  ScriptedProvider.delay("10 millis", ScriptedProvider.fail(overload)),
  ScriptedProvider.stream([
    ScriptedProvider.wait("10 millis"),
    "one ",
    ScriptedProvider.wait("10 millis"),
    "two ",
    ScriptedProvider.cut("")
  ])
]
const good: ScriptedProvider.Script = [
  ScriptedProvider.stream([
    ScriptedProvider.wait("10 millis"),
    "one ",
    "two ",
    ScriptedProvider.wait("1 millis"),
    "three"
  ])
]

describe("interruption at every operation", () => {
  it.each([undefined, 3, 7])(
    "of generate leaves nothing (yielding every %s)",
    async (yieldEvery) => {
      let book = ledger()
      let open = 0
      let passed = 0
      const points = await sweep(
        () => {
          book = ledger()
          return Effect.gen(function* () {
            const { counts, llm } = yield* setup(
              { a: script, b: good },
              { targets: ["a/m", "b/m"] },
              admissions(book.admit)
            )
            yield* llm.generate({ prompt: "hi" }).pipe(
              Effect.ensuring(
                Effect.gen(function* () {
                  open = (yield* counts("a")).open + (yield* counts("b")).open
                })
              )
            )
          })
        },
        ({ clock, exit, point }) => {
          assert.strictEqual(book.counts.settled, book.counts.admitted, `admissions at point ${point}`)
          assert.strictEqual(open, 0, `provider calls at point ${point}`)
          assert.strictEqual(clock.sleeping(), 0, `timers at point ${point}`)
          if (exit._tag === "Success") passed++
        },
        yieldEvery === undefined ? {} : { yieldEvery }
      )
      assert.isAbove(points, 100)
      // With extra yields the virtual clock can run ahead of the fibers, so that only this run must get through.
      if (yieldEvery === undefined) assert.isAtLeast(passed, 1)
    },
    120_000
  )

  it.each([undefined, 3, 7])(
    "of a continued stream leaves nothing (yielding every %s)",
    async (yieldEvery) => {
      let book = ledger()
      let open = 0
      let texts: Array<string> = []
      const points = await sweep(
        () => {
          book = ledger()
          texts = []
          return Effect.gen(function* () {
            const { counts, llm } = yield* setup(
              { a: script, b: good },
              { targets: ["a/m", "b/m"], streamPolicy: "continue" },
              admissions(book.admit)
            )
            yield* Stream.runForEach(llm.stream({ prompt: "hi" }), (part) =>
              Effect.sync(() => {
                if (part.type === "text-delta") texts.push(part.delta)
              })
            ).pipe(
              Effect.ensuring(
                Effect.gen(function* () {
                  open = (yield* counts("a")).open + (yield* counts("b")).open
                })
              )
            )
          })
        },
        ({ clock, exit, point }) => {
          assert.strictEqual(book.counts.settled, book.counts.admitted, `admissions at point ${point}`)
          assert.strictEqual(open, 0, `provider calls at point ${point}`)
          assert.strictEqual(clock.sleeping(), 0, `timers at point ${point}`)
          assert.isTrue("one two three".startsWith(texts.join("")), `text at point ${point}: ${texts.join("")}`)
          if (exit._tag === "Success") assert.strictEqual(texts.join(""), "one two three")
        },
        yieldEvery === undefined ? {} : { yieldEvery }
      )
      assert.isAbove(points, 100)
    },
    120_000
  )
})
