/** Hedged attempts inside the plan: one number of attempts, first to commit wins, nothing is lost. */
import { type Call, CircuitBreaker, type Event, Events, Hedge, LLMError } from "@breakwater/core"
import { ScriptedProvider } from "@breakwater/testing"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import { sweep } from "../support/sweep.ts"
import { inVirtualTime, setup } from "./support.ts"

/** A hedge policy with a fixed delay and a number of hedges. */
const hedgeOf = (delayMs: number, budget = Infinity) => {
  let left = budget
  const observed: Array<number> = []
  const hedger: Hedge.Hedger = {
    delayMs: () => delayMs,
    tryStart: () => left-- > 0,
    onCall: () => {},
    observe: (_key, tookMs) => {
      observed.push(tookMs)
    }
  }
  return { layer: Layer.succeed(Hedge.Hedge, { ...Hedge.noop, ...hedger, hedger }), observed }
}

const slow = ScriptedProvider.delay("10 seconds", "slow")
const quick = ScriptedProvider.delay("100 millis", "quick")
const down = ScriptedProvider.fail(new LLMError.ServerError({ message: "down", status: 500 }))

describe("a hedged call", () => {
  it.effect("gets its answer from the second target when the first is slow, and lets the first go", () =>
    Effect.gen(function* () {
      const { calls, counts, llm } = yield* setup(
        { a: [slow], b: [quick] },
        { targets: ["a/m", "b/m"] },
        {
          hedge: hedgeOf(500).layer
        }
      )
      const answer = yield* inVirtualTime(llm.generate({ prompt: "hi" }), 100, "100 millis")
      assert.strictEqual(answer.text, "quick")
      assert.deepStrictEqual(
        answer.attempts.map(({ outcome, target }) => [target, outcome]),
        [
          ["a/m", "interrupted"],
          ["b/m", "success"]
        ]
      )
      assert.strictEqual((yield* calls("a"))[0]!.outcome, "interrupted")
      assert.strictEqual((yield* counts("a")).open, 0)
    })
  )

  it.effect("starts none where the first answer is quick", () =>
    Effect.gen(function* () {
      const { calls, llm } = yield* setup(
        { a: [quick], b: ["never"] },
        { targets: ["a/m", "b/m"] },
        {
          hedge: hedgeOf(500).layer
        }
      )
      const answer = yield* inVirtualTime(llm.generate({ prompt: "hi" }), 100, "100 millis")
      assert.strictEqual(answer.text, "quick")
      assert.strictEqual((yield* calls("b")).length, 0)
    })
  )

  it.effect("the first may still win, and the hedge is let go", () =>
    Effect.gen(function* () {
      const { calls, llm } = yield* setup(
        { a: [ScriptedProvider.delay("1 second", "first")], b: [slow] },
        { targets: ["a/m", "b/m"] },
        { hedge: hedgeOf(500).layer }
      )
      const answer = yield* inVirtualTime(llm.generate({ prompt: "hi" }), 100, "100 millis")
      assert.strictEqual(answer.text, "first")
      assert.strictEqual((yield* calls("b"))[0]!.outcome, "interrupted")
    })
  )

  it.effect("a failure waits for the other; when both fail the plan goes on from the last", () =>
    Effect.gen(function* () {
      const failing = ScriptedProvider.delay("1 second", down)
      const { llm } = yield* setup(
        { a: [failing], b: [ScriptedProvider.delay("2 seconds", down)], c: ["from c"] },
        { targets: ["a/m", "b/m", "c/m"], retry: { retries: 0 } },
        { hedge: hedgeOf(500, 1).layer }
      )
      const answer = yield* inVirtualTime(llm.generate({ prompt: "hi" }), 100, "100 millis")
      assert.strictEqual(answer.text, "from c")
      assert.deepStrictEqual(
        answer.attempts.map(({ target }) => target),
        ["a/m", "b/m", "c/m"]
      )
    })
  )

  it.effect("attempts stay within describe(), hedges and retries together", () =>
    Effect.gen(function* () {
      const failing = ScriptedProvider.delay("2 seconds", down)
      const { counts, llm } = yield* setup(
        { a: [failing], b: [failing] },
        { targets: ["a/m", "b/m"] },
        {
          hedge: hedgeOf(100).layer
        }
      )
      const { maxAttempts } = yield* llm.describe()
      yield* Effect.flip(inVirtualTime(llm.generate({ prompt: "hi" }), 1000, "100 millis"))
      const made = (yield* counts("a")).calls + (yield* counts("b")).calls
      assert.isAtMost(made, maxAttempts)
      assert.isAbove(made, 1)
    })
  )

  it.effect("an exhausted budget suppresses only the hedge", () =>
    Effect.gen(function* () {
      const { calls, llm } = yield* setup(
        { a: [slow], b: ["never"] },
        { targets: ["a/m", "b/m"] },
        {
          hedge: hedgeOf(100, 0).layer
        }
      )
      const answer = yield* inVirtualTime(llm.generate({ prompt: "hi" }), 200, "100 millis")
      assert.strictEqual(answer.text, "slow")
      assert.strictEqual((yield* calls("b")).length, 0)
    })
  )

  it.effect("with one target the hedge is a repeated attempt there", () =>
    Effect.gen(function* () {
      const { counts, llm } = yield* setup({ a: [slow, quick] }, { targets: ["a/m"] }, { hedge: hedgeOf(500).layer })
      const answer = yield* inVirtualTime(llm.generate({ prompt: "hi" }), 100, "100 millis")
      assert.strictEqual(answer.text, "quick")
      assert.deepStrictEqual([(yield* counts("a")).calls, (yield* counts("a")).open], [2, 0])
    })
  )

  it.effect("a caller that leaves ends both", () =>
    Effect.gen(function* () {
      const { counts, llm } = yield* setup(
        { a: [slow], b: [slow] },
        { targets: ["a/m", "b/m"] },
        {
          hedge: hedgeOf(500).layer
        }
      )
      const fiber = yield* Effect.forkChild(llm.generate({ prompt: "hi" }))
      yield* Effect.yieldNow
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual([(yield* counts("a")).open, (yield* counts("b")).open], [1, 1])
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual([(yield* counts("a")).open, (yield* counts("b")).open], [0, 0])
    })
  )

  it.effect("does not open a breaker: the loser says nothing about its target", () =>
    Effect.gen(function* () {
      const breaker = yield* CircuitBreaker.make({ window: CircuitBreaker.consecutive(1) })
      const { llm } = yield* setup(
        { a: [slow], b: [quick] },
        { targets: ["a/m", "b/m"] },
        {
          hedge: hedgeOf(500).layer,
          breaker: Layer.succeed(CircuitBreaker.CircuitBreaker, breaker)
        }
      )
      yield* inVirtualTime(llm.generate({ prompt: "hi" }), 100, "100 millis")
      assert.strictEqual((yield* breaker.snapshot("a/m")).state, "closed")
      assert.strictEqual((yield* breaker.snapshot("a/m")).calls, 0)
      assert.strictEqual((yield* breaker.snapshot("b/m")).calls, 1)
    })
  )

  it.effect("tells of hedges started, won and lost", () =>
    Effect.gen(function* () {
      const events: Array<Event.PolicyEvent> = []
      const { llm } = yield* setup(
        { a: [slow], b: [quick] },
        { targets: ["a/m", "b/m"] },
        { hedge: hedgeOf(500).layer }
      )
      yield* inVirtualTime(llm.generate({ prompt: "hi" }), 100, "100 millis").pipe(
        Events.listen((event) => events.push(event))
      )
      assert.deepStrictEqual(
        events
          .filter(({ type }) => type.startsWith("hedge"))
          .map((event) => ("target" in event ? [event.type, event.target] : [])),
        [
          ["hedge-started", "b/m"],
          ["hedge-won", "b/m"],
          ["hedge-lost", "a/m"]
        ]
      )
    })
  )
})

const textOf = (parts: ReadonlyArray<Call.LLMStreamPart>): string =>
  parts.map((part) => (part.type === "text-delta" ? part.delta : "")).join("")

describe("a hedged stream", () => {
  it.effect("comes from the first to have content; the other is closed and nothing of it is seen", () =>
    Effect.gen(function* () {
      const late = ScriptedProvider.stream([
        { type: "response-metadata", model: "a-model" },
        ScriptedProvider.wait("10 seconds"),
        "late"
      ])
      const prompt = ScriptedProvider.stream([
        { type: "response-metadata", model: "b-model" },
        ScriptedProvider.wait("100 millis"),
        "in ",
        ScriptedProvider.wait("2 seconds"),
        "time"
      ])
      const { counts, llm } = yield* setup(
        { a: [late], b: [prompt] },
        { targets: ["a/m", "b/m"] },
        {
          hedge: hedgeOf(500).layer
        }
      )
      const parts = yield* inVirtualTime(Stream.runCollect(llm.stream({ prompt: "hi" })), 200, "100 millis")
      assert.strictEqual(textOf(parts), "in time")
      assert.deepStrictEqual(
        parts.flatMap((part) => (part.type === "response-metadata" ? [part.model] : [])),
        ["b-model"]
      )
      const complete = parts.at(-1)
      assert.deepStrictEqual(complete?.type === "finish" ? complete.attempts.map(({ outcome }) => outcome) : [], [
        "interrupted",
        "success"
      ])
      assert.strictEqual((yield* counts("a")).open, 0)
    })
  )

  it.effect("learns from the time to the first content, not to the end", () =>
    Effect.gen(function* () {
      const hedge = hedgeOf(5_000)
      const { llm } = yield* setup(
        {
          a: [
            ScriptedProvider.stream([ScriptedProvider.wait("1 second"), "x", ScriptedProvider.wait("9 seconds"), "y"])
          ]
        },
        { targets: ["a/m"] },
        { hedge: hedge.layer }
      )
      yield* inVirtualTime(Stream.runDrain(llm.stream({ prompt: "hi" })), 200, "100 millis")
      assert.strictEqual(hedge.observed.length, 1)
      assert.closeTo(hedge.observed[0]!, 1000, 150)
    })
  )

  it.effect("both fail: the plan goes on", () =>
    Effect.gen(function* () {
      const failing = ScriptedProvider.delay("1 second", down)
      const { llm } = yield* setup(
        { a: [failing], b: [failing], c: ["from c"] },
        { targets: ["a/m", "b/m", "c/m"], retry: { retries: 0 } },
        { hedge: hedgeOf(500, 1).layer }
      )
      const parts = yield* inVirtualTime(Stream.runCollect(llm.stream({ prompt: "hi" })), 200, "100 millis")
      assert.strictEqual(textOf(parts), "from c")
    })
  )
})

describe("hedges interrupted at every operation", () => {
  it.each(["generate", "stream"] as const)(
    "of %s leave no call open and no timer running",
    async (kind) => {
      let open = 0
      const points = await sweep(
        () =>
          Effect.gen(function* () {
            const { counts, llm } = yield* setup(
              { a: [ScriptedProvider.delay("50 millis", "slow")], b: [ScriptedProvider.delay("10 millis", "quick")] },
              { targets: ["a/m", "b/m"] },
              { hedge: hedgeOf(5).layer }
            )
            const call =
              kind === "generate"
                ? Effect.asVoid(llm.generate({ prompt: "hi" }))
                : Stream.runDrain(llm.stream({ prompt: "hi" }))
            yield* Effect.ensuring(
              call,
              Effect.gen(function* () {
                open = (yield* counts("a")).open + (yield* counts("b")).open
              })
            )
          }),
        ({ clock, point }) => {
          assert.strictEqual(open, 0, `provider calls at point ${point}`)
          assert.strictEqual(clock.sleeping(), 0, `timers at point ${point}`)
        }
      )
      assert.isAbove(points, 50)
    },
    120_000
  )
})
