import { Hedge, LLMError } from "@breakwater/core"
import { ScriptedProvider } from "@breakwater/testing"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as Tracer from "effect/Tracer"
import { inVirtualTime, setup } from "../../../composition/support.ts"

/** A tracer that keeps its spans. */
const recording = () => {
  const spans: Array<Tracer.NativeSpan> = []
  const tracer = Tracer.make({
    span: (options) => {
      const span = new Tracer.NativeSpan(options)
      spans.push(span)
      return span
    }
  })
  return { spans, run: Effect.withTracer(tracer) }
}

const attributesOf = (span: Tracer.NativeSpan): Record<string, unknown> => Object.fromEntries(span.attributes)
const exitOf = (span: Tracer.NativeSpan) => (span.status._tag === "Ended" ? span.status.exit._tag : "open")

const overload = new LLMError.ModelOverloadError({ message: "busy", status: 503, requestId: "req_7" })

describe("spans", () => {
  it.effect("one for the request, and below it one for each attempt, by the GenAI conventions", () =>
    Effect.gen(function* () {
      const { run, spans } = recording()
      const { llm } = yield* setup(
        { a: [ScriptedProvider.fail(overload)], b: [ScriptedProvider.text("hello", { id: "r1", model: "m-2026" })] },
        { targets: ["a/m", "b/n"], retry: { retries: 0 } }
      )
      const answer = yield* llm.generate({ prompt: "hi", temperature: 0.5, maxTokens: 10, requestId: "q1" }).pipe(run)
      assert.strictEqual(spans.length, 3)
      const [request, first, second] = spans as [Tracer.NativeSpan, Tracer.NativeSpan, Tracer.NativeSpan]
      assert.deepStrictEqual(
        spans.map((span) => [span.name, span.kind, exitOf(span)]),
        [
          ["chat m", "internal", "Success"],
          ["chat m", "client", "Failure"],
          ["chat n", "client", "Success"]
        ]
      )
      assert.strictEqual(Option.getOrThrow(first.parent).spanId, request.spanId)
      assert.strictEqual(Option.getOrThrow(second.parent).spanId, request.spanId)
      assert.deepStrictEqual(
        second.links.map((link) => link.span.spanId),
        [first.spanId]
      )
      assert.deepInclude(attributesOf(request), {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "a",
        "gen_ai.request.model": "m",
        "gen_ai.response.model": "m-2026",
        "gen_ai.response.id": "r1",
        "gen_ai.response.finish_reasons": ["stop"],
        "breakwater.request.id": "q1",
        "breakwater.attempts": 2,
        "breakwater.target": "b/n"
      })
      assert.deepInclude(attributesOf(first), {
        "gen_ai.provider.name": "a",
        "error.type": "ModelOverloadError",
        "http.response.status_code": 503,
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.max_tokens": 10,
        "breakwater.attempt": 1
      })
      assert.deepInclude(attributesOf(second), {
        "gen_ai.provider.name": "b",
        "gen_ai.response.model": "m-2026",
        "gen_ai.usage.input_tokens": answer.usage.inputTokens,
        "gen_ai.usage.output_tokens": answer.usage.outputTokens
      })
      // Tokens stand once, on the attempt.
      assert.notProperty(attributesOf(request), "gen_ai.usage.input_tokens")
    })
  )

  it.effect("are linked to the attempt before, and the link says why: retry, failover or hedge", () =>
    Effect.gen(function* () {
      const { run, spans } = recording()
      const hedger: Hedge.Hedger = { delayMs: () => 500, tryStart: () => true, onCall: () => {}, observe: () => {} }
      const { llm } = yield* setup(
        {
          a: [ScriptedProvider.fail(overload)],
          b: [ScriptedProvider.delay("10 seconds", "slow")],
          c: ["quick"]
        },
        { targets: ["a/m", "b/m", "c/m"], retry: { retries: 1 } },
        { hedge: Layer.succeed(Hedge.Hedge, { ...Hedge.noop, ...hedger, hedger }) }
      )
      yield* inVirtualTime(llm.generate({ prompt: "hi" })).pipe(run)
      const attempts = spans.filter((span) => span.kind === "client")
      assert.deepStrictEqual(
        attempts.map((span, index) => [
          attributesOf(span)["gen_ai.provider.name"],
          span.links.map((link) => link.attributes["breakwater.link"]),
          attributesOf(span)["breakwater.attempt.kind"],
          span.links.every((link) => link.span.spanId === attempts[index - 1]?.spanId)
        ]),
        [
          ["a", [], undefined, true],
          ["a", ["retry"], "retry", true],
          ["b", ["failover"], "failover", true],
          ["c", ["hedge"], "hedge", true]
        ]
      )
    })
  )

  it.effect("of a streamed attempt say so, and carry the id and the end of the answer", () =>
    Effect.gen(function* () {
      const { run, spans } = recording()
      const { llm } = yield* setup(
        {
          a: [ScriptedProvider.text("hello", { id: "r1", model: "m-2026" }), ScriptedProvider.text("x", { id: "r2" })]
        },
        { targets: ["a/m"] }
      )
      yield* Stream.runDrain(llm.stream({ prompt: "hi" })).pipe(run)
      yield* llm.generate({ prompt: "hi" }).pipe(run)
      const [streamed, whole] = spans.filter((span) => span.kind === "client").map(attributesOf)
      assert.deepInclude(streamed, {
        "gen_ai.request.stream": true,
        "gen_ai.response.id": "r1",
        "gen_ai.response.model": "m-2026",
        "gen_ai.response.finish_reasons": ["stop"]
      })
      assert.deepInclude(whole, { "gen_ai.response.id": "r2", "gen_ai.response.finish_reasons": ["stop"] })
      assert.notProperty(whole, "gen_ai.request.stream")
    })
  )

  it.effect("never hold the prompt or the answer", () =>
    Effect.gen(function* () {
      const { run, spans } = recording()
      const { llm } = yield* setup({ a: ["the answer is secret"] }, { targets: ["a/m"] })
      yield* llm.generate({ prompt: "a question that is private" }).pipe(run)
      const text = JSON.stringify(spans.map((span) => [span.name, attributesOf(span), span.events]))
      assert.notInclude(text, "private")
      assert.notInclude(text, "secret")
    })
  )

  it.effect("of a stream carry the time to the first part, and end with it", () =>
    Effect.gen(function* () {
      const { run, spans } = recording()
      const { llm } = yield* setup(
        { a: [ScriptedProvider.stream([ScriptedProvider.wait("2 seconds"), "hello"])] },
        { targets: ["a/m"] }
      )
      yield* inVirtualTime(Stream.runDrain(llm.stream({ prompt: "hi" }))).pipe(run)
      const attempt = spans.find((span) => span.kind === "client")!
      assert.isAtLeast(attributesOf(attempt)["gen_ai.response.time_to_first_chunk"] as number, 2)
      assert.deepStrictEqual(spans.filter((span) => span.name === "chat m").map(exitOf), ["Success", "Success"])
    })
  )

  it.effect("of a stream that is left end as interrupted", () =>
    Effect.gen(function* () {
      const { run, spans } = recording()
      const { llm } = yield* setup(
        { a: [ScriptedProvider.stream(["one", ScriptedProvider.stall])] },
        { targets: ["a/m"] }
      )
      yield* Stream.runDrain(Stream.take(llm.stream({ prompt: "hi" }), 1)).pipe(run)
      assert.isTrue(spans.every((span) => span.status._tag === "Ended"))
      assert.strictEqual(exitOf(spans.find((span) => span.kind === "client")!), "Failure")
    })
  )

  it.effect("run the provider inside the attempt, so that its own spans are children", () =>
    Effect.gen(function* () {
      const { run, spans } = recording()
      const { llm } = yield* setup({ a: ["x"] }, { targets: ["a/m"] })
      yield* Effect.withSpan(llm.generate({ prompt: "hi" }), "outer").pipe(run)
      const outer = spans.find((span) => span.name === "outer")!
      const request = spans.find((span) => span.kind === "internal" && span.name === "chat m")!
      assert.strictEqual(Option.getOrThrow(request.parent).spanId, outer.spanId)
      assert.strictEqual(request.traceId, outer.traceId)
    })
  )

  it.effect("are not made without a tracer", () =>
    Effect.gen(function* () {
      const { llm } = yield* setup({ a: ["x"] }, { targets: ["a/m"] })
      const spans = yield* Effect.withSpan(Effect.andThen(llm.generate({ prompt: "hi" }), Effect.currentSpan), "outer")
      assert.strictEqual(spans.name, "outer")
    })
  )
})
