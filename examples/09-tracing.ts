// Spans for any OpenTelemetry backend: one for the request, one for each attempt, by the conventions for generative AI.
//
// The exporter is Effect's own, and speaks OTLP over HTTP to a collector. Here a tiny one stands in for it and prints
// what it gets; point `url` at a real one instead. Without a tracer no span is built at all.
//
// Run: npx node examples/09-tracing.ts
// expect: chat model gen_ai.operation.name=chat
// expect: error.type=ModelOverloadError
// expect: breakwater.attempts=2
import { LLM, LLMProvider } from "@breakwater/core"
import { Failures, ScriptedProvider } from "@breakwater/testing"
import { Console, Effect, Layer } from "effect"
import { FetchHttpClient } from "effect/http"
import { OtlpSerialization, OtlpTracer } from "effect/observability"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"

interface Attribute {
  readonly key: string
  readonly value: Readonly<Record<string, unknown>>
}
interface Span {
  readonly name: string
  readonly attributes: ReadonlyArray<Attribute>
}

const received: Array<Span> = []
const collector = createServer((request, response) => {
  let body = ""
  request.setEncoding("utf8").on("data", (text: string) => (body += text))
  request.on("end", () => {
    for (const { scopeSpans } of JSON.parse(body).resourceSpans) {
      for (const { spans } of scopeSpans) received.push(...spans)
    }
    response.end("{}")
  })
})
await new Promise<void>((resolve) => void collector.listen(0, "127.0.0.1", resolve))
const url = `http://127.0.0.1:${(collector.address() as AddressInfo).port}/v1/traces`

const tracing = OtlpTracer.layer({ url, resource: { serviceName: "example" } }).pipe(
  Layer.provide([OtlpSerialization.layerJson, FetchHttpClient.layer])
)
const provider = ScriptedProvider.layer({
  name: "first",
  script: [ScriptedProvider.fail(Failures.overload("10 millis")), "Hello!"]
})
const llm = LLM.layerPreset("interactive", { targets: ["first/model"] }).pipe(
  Layer.provide(LLMProvider.layer(provider))
)

// What has been recorded is sent when the Layer of the tracer is closed.
await Effect.runPromise(Effect.provide(LLM.generateText("Hello?"), Layer.merge(llm, tracing)))
collector.close()

const show = ({ attributes, name }: Span): string =>
  [name, ...attributes.map(({ key, value }) => `${key}=${Object.values(value).join()}`)].join(" ")
for (const span of received) await Effect.runPromise(Console.log(show(span)))
