/** The spans through OpenTelemetry's own SDK, as a program with an existing setup would have them. */
import { LLMError } from "@breakwater/core"
import { ScriptedProvider } from "@breakwater/testing"
import * as NodeSdk from "@effect/opentelemetry/NodeSdk"
import { assert, describe, it } from "@effect/vitest"
import { SpanKind, SpanStatusCode } from "@opentelemetry/api"
import { InMemorySpanExporter, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-base"
import * as Effect from "effect/Effect"
import { setup } from "../../../composition/support.ts"

describe("spans in OpenTelemetry's SDK", () => {
  it.live("arrive at its exporter: names, kinds, parents, links and attributes", () =>
    Effect.gen(function* () {
      const exporter = new InMemorySpanExporter()
      const sdk = NodeSdk.layer(() => ({
        resource: { serviceName: "test" },
        spanProcessor: new SimpleSpanProcessor(exporter)
      }))
      const { llm } = yield* setup(
        {
          a: [ScriptedProvider.fail(new LLMError.ServerError({ message: "down", status: 500 }))],
          b: [ScriptedProvider.text("hello", { model: "n-2026" })]
        },
        { targets: ["a/m", "b/n"], retry: { retries: 0 } }
      )
      const spans = yield* llm
        .generate({ prompt: "hi" })
        .pipe(Effect.andThen(Effect.sync(() => exporter.getFinishedSpans())), Effect.provide(sdk))
      const request = spans.find((span) => span.kind === SpanKind.INTERNAL)!
      const attempts = spans.filter((span) => span.kind === SpanKind.CLIENT)
      assert.strictEqual(request.name, "chat m")
      assert.deepStrictEqual(
        attempts.map((span) => span.name),
        ["chat m", "chat n"]
      )
      for (const attempt of attempts) {
        assert.strictEqual(attempt.parentSpanContext?.spanId, request.spanContext().spanId)
        assert.strictEqual(attempt.spanContext().traceId, request.spanContext().traceId)
      }
      assert.strictEqual(attempts[0]!.status.code, SpanStatusCode.ERROR)
      assert.strictEqual(attempts[0]!.attributes["error.type"], "ServerError")
      assert.strictEqual(attempts[1]!.links[0]?.context.spanId, attempts[0]!.spanContext().spanId)
      assert.strictEqual(attempts[1]!.attributes["gen_ai.response.model"], "n-2026")
      assert.isAbove(attempts[1]!.attributes["gen_ai.usage.input_tokens"] as number, 0)
      assert.deepStrictEqual(request.attributes["gen_ai.response.finish_reasons"], ["stop"])
    })
  )
})
