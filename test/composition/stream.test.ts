import { type Call, type Event, Events, LLMError, type Response } from "@breakwater/core"
import { ScriptedProvider } from "@breakwater/testing"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import { inVirtualTime, setup } from "./support.ts"

const overload = new LLMError.ModelOverloadError({ message: "busy" })
const usage = { inputTokens: 5, outputTokens: 7 }
const finish: Response.StreamPart = { type: "finish", reason: "stop", usage }

const textOf = (parts: ReadonlyArray<Call.LLMStreamPart>): string =>
  parts.map((part) => (part.type === "text-delta" ? part.delta : "")).join("")

const completeOf = (parts: ReadonlyArray<Call.LLMStreamPart>): Call.CompletePart | undefined => {
  const last = parts[parts.length - 1]
  return last?.type === "finish" ? last : undefined
}

/** Runs a stream and keeps what was handed on before it failed. */
const collect = (stream: Stream.Stream<Call.LLMStreamPart, LLMError.LLMError>) =>
  Effect.gen(function* () {
    const parts: Array<Call.LLMStreamPart> = []
    const exit = yield* Effect.exit(
      inVirtualTime(
        Stream.runForEach(stream, (part) =>
          Effect.sync(() => {
            parts.push(part)
          })
        )
      )
    )
    const error =
      exit._tag === "Failure" ? exit.cause.reasons.find((reason) => reason._tag === "Fail")?.error : undefined
    return { parts, text: textOf(parts), complete: completeOf(parts), error }
  })

describe("stream, before the commit point", () => {
  it.effect("hands the parts on and ends with where they came from", () =>
    Effect.gen(function* () {
      const { llm } = yield* setup({ a: [ScriptedProvider.stream(["Hel", "lo", finish])] }, { targets: ["a/m"] })
      const { complete, parts, text } = yield* collect(llm.stream({ prompt: "hi" }))
      assert.strictEqual(text, "Hello")
      assert.deepStrictEqual(parts[0], { type: "target", target: "a/m", attempt: 1, continues: false })
      assert.deepStrictEqual(complete?.usage, usage)
      assert.strictEqual(complete?.target, "a/m")
      assert.deepStrictEqual(
        complete?.attempts.map((attempt) => attempt.outcome),
        ["success"]
      )
    })
  )

  it.effect("replays a failure that nobody has seen anything of", () =>
    Effect.gen(function* () {
      const { llm } = yield* setup(
        {
          a: [ScriptedProvider.fail(overload), ScriptedProvider.cut(""), ScriptedProvider.text("whole")]
        },
        { targets: ["a/m"] }
      )
      const { complete, error, text } = yield* collect(llm.stream({ prompt: "hi" }))
      assert.isUndefined(error)
      assert.strictEqual(text, "whole")
      assert.strictEqual(complete?.attempts.length, 3)
    })
  )

  it.effect("empty deltas and metadata do not commit", () =>
    Effect.gen(function* () {
      const { llm } = yield* setup(
        {
          a: [
            ScriptedProvider.stream([
              { type: "response-metadata", id: "r1", model: "m-1" },
              { type: "text-delta", delta: "" },
              ScriptedProvider.fail(overload)
            ])
          ],
          b: [ScriptedProvider.stream([{ type: "response-metadata", model: "m-2" }, "from b", finish])]
        },
        { targets: ["a/m", "b/m"], retry: { retries: 0 } }
      )
      const { parts, text } = yield* collect(llm.stream({ prompt: "hi" }))
      assert.strictEqual(text, "from b")
      assert.deepStrictEqual(
        parts.flatMap((part) => (part.type === "response-metadata" ? [part.model] : [])),
        ["m-2"]
      )
    })
  )

  it.effect("metadata that comes after the first content is handed on all the same", () =>
    Effect.gen(function* () {
      const late: Response.StreamPart = { type: "response-metadata", id: "r1", model: "m-1" }
      const { llm } = yield* setup({ a: [ScriptedProvider.stream(["one", late, "two", finish])] }, { targets: ["a/m"] })
      const { parts, text } = yield* collect(llm.stream({ prompt: "hi" }))
      assert.strictEqual(text, "onetwo")
      assert.deepStrictEqual(
        parts.filter((part) => part.type === "response-metadata"),
        [late]
      )
    })
  )

  it.effect("a silent first token fails over and the silent target is not asked again", () =>
    Effect.gen(function* () {
      const { llm, calls } = yield* setup(
        { a: [ScriptedProvider.stall], b: ["from b"] },
        { targets: ["a/m", "b/m"], timeouts: { firstToken: "3 seconds" } }
      )
      const { complete, text } = yield* collect(llm.stream({ prompt: "hi" }))
      assert.strictEqual(text, "from b")
      const error = complete?.attempts[0]?.error
      assert.isTrue(error?._tag === "RequestTimeoutError" && error.phase === "firstToken")
      assert.deepStrictEqual(
        (yield* calls("a")).map((call) => call.outcome),
        ["interrupted"]
      )
    })
  )

  it.effect("a stream that ends without a finish part is no success", () =>
    Effect.gen(function* () {
      const { llm } = yield* setup(
        { a: [ScriptedProvider.unfinished("")] },
        { targets: ["a/m"], retry: { retries: 0 } }
      )
      const { complete, error } = yield* collect(llm.stream({ prompt: "hi" }))
      assert.isUndefined(complete)
      assert.strictEqual(error?._tag, "StreamInterruptedError")
    })
  )
})

describe("stream policy fail", () => {
  it.effect("ends with StreamInterruptedError that holds what had arrived", () =>
    Effect.gen(function* () {
      const { llm, calls } = yield* setup(
        { a: [ScriptedProvider.cut("one two three")], b: ["never"] },
        { targets: ["a/m", "b/m"] }
      )
      const { error, text } = yield* collect(llm.stream({ prompt: "hi" }))
      assert.strictEqual(text, "one two three")
      assert.isTrue(error?._tag === "StreamInterruptedError" && error.partialText === "one two three")
      assert.isTrue(error?._tag === "StreamInterruptedError" && error.parts.length > 0 && error.provider === "a")
      assert.strictEqual((yield* calls("b")).length, 0)
    })
  )

  it.effect("an idle stream is cut at its limit; keep-alives and empty deltas do not count", () =>
    Effect.gen(function* () {
      const keepAlive = [ScriptedProvider.wait("2 seconds"), { type: "text-delta", delta: "" }] as const
      const { llm } = yield* setup(
        {
          a: [ScriptedProvider.stream(["one", ...keepAlive, ...keepAlive, ...keepAlive, ...keepAlive, finish])]
        },
        { targets: ["a/m"], timeouts: { idle: "5 seconds" } }
      )
      const { error, text } = yield* collect(llm.stream({ prompt: "hi" }))
      assert.strictEqual(text, "one")
      assert.isTrue(error?._tag === "StreamInterruptedError" && /silent for 5000 ms/.test(error.message))
    })
  )

  it.effect("a content filter in the middle is a clean error", () =>
    Effect.gen(function* () {
      const filtered = new LLMError.ContentFilterError({ message: "no", stage: "output" })
      const { llm, calls } = yield* setup(
        { a: [ScriptedProvider.stream(["bad", ScriptedProvider.fail(filtered)])], b: ["never"] },
        { targets: ["a/m", "b/m"], streamPolicy: "continue" }
      )
      const { error } = yield* collect(llm.stream({ prompt: "hi" }))
      assert.strictEqual(error?._tag, "ContentFilterError")
      assert.strictEqual((yield* calls("b")).length, 0)
    })
  )
})

describe("stream policy continue", () => {
  it.effect("goes on from a prefill where the target accepts one", () =>
    Effect.gen(function* () {
      const { llm, calls } = yield* setup(
        { a: [ScriptedProvider.cut("The sea ")], b: [ScriptedProvider.stream([" is", " wide.", finish])] },
        { targets: ["a/m", "b/m"], streamPolicy: "continue" },
        { capabilities: { prefill: true } }
      )
      const { complete, parts, text } = yield* collect(llm.stream({ prompt: "hi" }))
      assert.strictEqual(text, "The sea is wide.")
      assert.deepStrictEqual(
        parts.flatMap((part) => (part.type === "target" ? [[part.target, part.continues]] : [])),
        [
          ["a/m", false],
          ["b/m", true]
        ]
      )
      assert.strictEqual(complete?.target, "b/m")
      const request = (yield* calls("b"))[0]!.request
      assert.isTrue("messages" in request && request.prefill === true)
      assert.deepStrictEqual("messages" in request ? request.messages.at(-1) : undefined, {
        role: "assistant",
        content: "The sea"
      })
      assert.isTrue(complete?.attempts[0]?.usage?.estimated)
    })
  )

  it.effect("restarts and drops what was already handed on where the target does not", () =>
    Effect.gen(function* () {
      const { llm, calls } = yield* setup(
        {
          a: [ScriptedProvider.cut("The sea is ")],
          b: [ScriptedProvider.stream(["The ", "sea is wi", "de.", finish])]
        },
        { targets: ["a/m", "b/m"], streamPolicy: "continue" }
      )
      const { error, text } = yield* collect(llm.stream({ prompt: "hi" }))
      assert.isUndefined(error)
      assert.strictEqual(text, "The sea is wide.")
      const request = (yield* calls("b"))[0]!.request
      assert.strictEqual("messages" in request ? request.messages.length : 0, 1)
    })
  )

  it.effect("ends with the original error when a restart does not agree", () =>
    Effect.gen(function* () {
      const { llm } = yield* setup(
        { a: [ScriptedProvider.cut("The sea is ")], b: [ScriptedProvider.stream(["An ocean", finish])] },
        { targets: ["a/m", "b/m"], streamPolicy: "continue" }
      )
      const { error, text } = yield* collect(llm.stream({ prompt: "hi" }))
      assert.strictEqual(text, "The sea is ")
      assert.isTrue(error?._tag === "StreamInterruptedError" && error.provider === "a")
    })
  )

  it.effect("a restart that ends too early does not agree", () =>
    Effect.gen(function* () {
      const { llm } = yield* setup(
        { a: [ScriptedProvider.cut("The sea is ")], b: [ScriptedProvider.stream(["The sea", finish])] },
        { targets: ["a/m", "b/m"], streamPolicy: "continue" }
      )
      const { complete, error } = yield* collect(llm.stream({ prompt: "hi" }))
      assert.isUndefined(complete)
      assert.strictEqual(error?._tag, "StreamInterruptedError")
    })
  )

  it.effect("a refused prefill becomes a restart, never the caller's error", () =>
    Effect.gen(function* () {
      const refused = ScriptedProvider.fail(
        new LLMError.InvalidRequestError({ message: "no prefill", status: 400, parameter: "messages" })
      )
      const { llm } = yield* setup(
        { a: [ScriptedProvider.cut("The sea ")], b: [refused, ScriptedProvider.stream(["The sea is wide.", finish])] },
        { targets: ["a/m", "b/m"], streamPolicy: "continue" },
        { capabilities: { prefill: true } }
      )
      const { error, text } = yield* collect(llm.stream({ prompt: "hi" }))
      assert.isUndefined(error)
      assert.strictEqual(text, "The sea is wide.")
    })
  )

  it.effect("a refused prefill without an attempt left ends with the original error", () =>
    Effect.gen(function* () {
      const refused = ScriptedProvider.fail(new LLMError.InvalidRequestError({ message: "no prefill" }))
      const { llm } = yield* setup(
        { a: [ScriptedProvider.cut("The sea ")], b: [refused] },
        { targets: ["a/m", "b/m"], streamPolicy: "continue", maxAttempts: 2 },
        { capabilities: { prefill: true } }
      )
      const { error } = yield* collect(llm.stream({ prompt: "hi" }))
      assert.isTrue(error?._tag === "StreamInterruptedError" && error.partialText === "The sea ")
    })
  )

  it.effect("a single target is asked to go on itself", () =>
    Effect.gen(function* () {
      const { llm } = yield* setup(
        { a: [ScriptedProvider.cut("The sea "), ScriptedProvider.stream(["The sea is wide.", finish])] },
        { targets: ["a/m"], streamPolicy: "continue" }
      )
      const { complete, text } = yield* collect(llm.stream({ prompt: "hi" }))
      assert.strictEqual(text, "The sea is wide.")
      assert.strictEqual(complete?.attempts.length, 2)
    })
  )

  it.effect("continues over several breaks, within describe()", () =>
    Effect.gen(function* () {
      const { llm } = yield* setup(
        {
          a: [ScriptedProvider.cut("1 2 ")],
          b: [ScriptedProvider.cut("1 2 3 4 ")],
          c: [ScriptedProvider.stream(["1 2 3 4 5", finish])]
        },
        { targets: ["a/m", "b/m", "c/m"], streamPolicy: "continue" }
      )
      const { complete, text } = yield* collect(llm.stream({ prompt: "hi" }))
      assert.strictEqual(text, "1 2 3 4 5")
      assert.isAtMost(complete?.attempts.length ?? 99, (yield* llm.describe()).maxAttempts)
    })
  )

  it.effect("a tool call that was begun is never continued", () =>
    Effect.gen(function* () {
      const { llm, calls } = yield* setup(
        {
          a: [
            ScriptedProvider.stream([
              "let me see",
              { type: "tool-params-start", id: "t1", name: "pay" },
              ScriptedProvider.cut("")
            ])
          ],
          b: ["never"]
        },
        { targets: ["a/m", "b/m"], streamPolicy: "continue" }
      )
      const { error } = yield* collect(llm.stream({ prompt: "hi" }))
      assert.strictEqual(error?._tag, "StreamInterruptedError")
      assert.strictEqual((yield* calls("b")).length, 0)
    })
  )

  it.effect("reasoning of the second target is not handed on after reasoning of the first", () =>
    Effect.gen(function* () {
      const { llm } = yield* setup(
        {
          a: [ScriptedProvider.stream([{ type: "reasoning-delta", delta: "hmm" }, ScriptedProvider.cut("")])],
          b: [ScriptedProvider.stream([{ type: "reasoning-delta", delta: "well" }, "answer", finish])]
        },
        { targets: ["a/m", "b/m"], streamPolicy: "continue" }
      )
      const { parts, text } = yield* collect(llm.stream({ prompt: "hi" }))
      assert.strictEqual(text, "answer")
      assert.deepStrictEqual(
        parts.flatMap((part) => (part.type === "reasoning-delta" ? [part.delta] : [])),
        ["hmm"]
      )
    })
  )
})

describe("stream policy buffer", () => {
  it.effect("hands on whole answers only, and so can replay any break", () =>
    Effect.gen(function* () {
      const { llm } = yield* setup(
        { a: [ScriptedProvider.cut("half an ans")], b: [ScriptedProvider.stream(["a whole ", "answer", finish])] },
        { targets: ["a/m", "b/m"], retry: { retries: 0 } }
      )
      const { complete, parts, text } = yield* collect(llm.stream({ prompt: "hi", streamPolicy: "buffer" }))
      assert.strictEqual(text, "a whole answer")
      assert.deepStrictEqual(
        parts.flatMap((part) => (part.type === "target" ? [part.target] : [])),
        ["b/m"]
      )
      assert.strictEqual(complete?.attempts.length, 2)
    })
  )
})

describe("stream policy buffer, without another attempt", () => {
  it.effect("says what had arrived, of the last attempt only", () =>
    Effect.gen(function* () {
      const { llm } = yield* setup(
        { a: [ScriptedProvider.unfinished("first half"), ScriptedProvider.unfinished("second half")] },
        { targets: ["a/m"], streamPolicy: "buffer", retry: { retries: 1 } }
      )
      const { error, text } = yield* collect(llm.stream({ prompt: "hi" }))
      assert.strictEqual(text, "")
      assert.isTrue(error?._tag === "StreamInterruptedError" && error.partialText === "second half")
      assert.isTrue(error?._tag === "StreamInterruptedError" && error.parts.length === 2)
    })
  )
})

describe("leaving a stream", () => {
  it.effect("interruption ends the provider's stream at once", () =>
    Effect.gen(function* () {
      const { counts, llm } = yield* setup(
        { a: [ScriptedProvider.stream(["one", ScriptedProvider.stall])] },
        { targets: ["a/m"] }
      )
      const fiber = yield* Effect.forkChild(Stream.runDrain(llm.stream({ prompt: "hi" })))
      yield* Effect.yieldNow
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* counts("a")).open, 1)
      yield* Fiber.interrupt(fiber)
      assert.strictEqual((yield* counts("a")).open, 0)
    })
  )

  it.effect("taking only the first parts closes the attempt", () =>
    Effect.gen(function* () {
      const { calls, counts, llm } = yield* setup(
        { a: [ScriptedProvider.stream(["one", ScriptedProvider.wait("1 second"), "two", finish])] },
        { targets: ["a/m"] }
      )
      const parts = yield* inVirtualTime(Stream.runCollect(Stream.take(llm.stream({ prompt: "hi" }), 2)))
      assert.strictEqual(textOf(parts), "one")
      assert.strictEqual((yield* counts("a")).open, 0)
      assert.strictEqual((yield* calls("a"))[0]!.outcome, "interrupted")
    })
  )

  it.effect("a stream can be run again, and each run is a call of its own", () =>
    Effect.gen(function* () {
      const { calls, llm } = yield* setup({ a: ["one", "two"] }, { targets: ["a/m"] })
      const stream = llm.stream({ prompt: "hi" })
      assert.strictEqual((yield* calls("a")).length, 0)
      const first = yield* collect(stream)
      const second = yield* collect(stream)
      assert.deepStrictEqual([first.text, second.text], ["one", "two"])
      assert.notStrictEqual(first.complete?.requestId, second.complete?.requestId)
    })
  )
})

describe("progress and events", () => {
  it.effect("progress counts what was handed on", () =>
    Effect.gen(function* () {
      const seen: Array<Call.Progress> = []
      const { llm } = yield* setup(
        {
          a: [ScriptedProvider.stream(["four", ScriptedProvider.wait("1 second"), "more", finish])]
        },
        { targets: ["a/m"] }
      )
      yield* collect(llm.stream({ prompt: "hi", onProgress: (progress) => seen.push(progress) }))
      assert.isAtLeast(seen.length, 2)
      assert.strictEqual(seen.at(-1)!.tokens, 2)
      assert.isAtLeast(seen.at(-1)!.elapsedMs, 1000)
    })
  )

  it.effect("events tell the story of a call, with ids that tie it together", () =>
    Effect.gen(function* () {
      const events: Array<Event.PolicyEvent> = []
      const { llm } = yield* setup(
        { a: [ScriptedProvider.cut("one ")], b: [ScriptedProvider.stream(["one two", finish])] },
        { targets: ["a/m", "b/m"], streamPolicy: "continue" }
      )
      yield* collect(llm.stream({ prompt: "hi", requestId: "r-1" })).pipe(Events.listen((event) => events.push(event)))
      assert.deepStrictEqual(
        events.map((event) => event.type),
        [
          "request-started",
          "attempt-started",
          "stream-committed",
          "attempt-failed",
          "failed-over",
          "attempt-started",
          "stream-continued",
          "attempt-succeeded",
          "request-finished"
        ]
      )
      assert.isTrue(events.every((event) => !("requestId" in event) || event.requestId === "r-1"))
    })
  )

  it.effect("a listener that throws harms nothing", () =>
    Effect.gen(function* () {
      const { llm } = yield* setup({ a: ["fine"] }, { targets: ["a/m"] })
      const { text } = yield* collect(llm.stream({ prompt: "hi" })).pipe(
        Events.listen(() => {
          throw new Error("listener")
        })
      )
      assert.strictEqual(text, "fine")
    })
  )
})
