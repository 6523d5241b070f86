/** W3C trace context through the gateway: from the client's span by the request's and the attempt's to the provider. */
import { Gateway } from "@breakwater/gateway"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Tracer from "effect/Tracer"
import { createServer, type IncomingHttpHeaders } from "node:http"
import type { AddressInfo } from "node:net"
import { chat, post, promised } from "./support.ts"

const answer = JSON.stringify({
  id: "c1",
  model: "m",
  choices: [{ message: { content: "Hi" }, finish_reason: "stop" }],
  usage: { prompt_tokens: 3, completion_tokens: 1 }
})

/** A provider that answers the second time it is asked. */
const provider = Effect.map(
  Effect.acquireRelease(
    Effect.promise(async () => {
      const heard: Array<IncomingHttpHeaders> = []
      const server = createServer((request, response) => {
        heard.push(request.headers)
        request.resume().on("end", () => {
          response.writeHead(heard.length === 1 ? 500 : 200, { "content-type": "application/json" })
          response.end(heard.length === 1 ? "{}" : answer)
        })
      })
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
      return { heard, server }
    }),
    ({ server }) =>
      Effect.sync(() => {
        server.closeAllConnections()
        server.close()
      })
  ),
  ({ heard, server }) => ({ heard, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1` })
)

const trace = "4bf92f3577b34da6a3ce929d0e0e4736"
const client = "00f067aa0ba902b7"

const asked = (
  headers: Readonly<Record<string, string>>
): Effect.Effect<ReadonlyArray<IncomingHttpHeaders>, unknown, Scope.Scope> =>
  Effect.gen(function* () {
    const { heard, url } = yield* provider
    const gateway = yield* Gateway.make({
      providers: { p: { type: "openai-compatible", baseUrl: url, apiKey: "k" } },
      defaults: { backoff: { base: "1ms", cap: "1ms" } }
    })
    const response = yield* post(`${gateway.url}/v1/chat/completions`, chat("p/m"), headers)
    assert.strictEqual(response.status, 200)
    yield* promised(() => response.text())
    return heard
  })

const tracing = <A, E, R>(effect: Effect.Effect<A, E, R>) => {
  const spans: Array<Tracer.NativeSpan> = []
  const tracer = Tracer.make({
    span: (options) => {
      const span = new Tracer.NativeSpan(options)
      spans.push(span)
      return span
    }
  })
  return Effect.map(Effect.provideService(effect, Tracer.Tracer, tracer), (value) => [value, spans] as const)
}

describe("trace context", () => {
  it.live("goes from the client's span to the provider, with the span of each attempt", () =>
    Effect.gen(function* () {
      const state = "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"
      const [heard, spans] = yield* tracing(asked({ traceparent: `00-${trace}-${client}-01`, tracestate: state }))
      const [request, first, second] = spans.filter(({ name }) => name.startsWith("chat"))
      assert.strictEqual(request?.traceId, trace)
      assert.strictEqual(Option.getOrThrow(request!.parent).spanId, client)
      assert.deepStrictEqual(
        heard.map(({ traceparent, tracestate }) => [traceparent, tracestate]),
        [first, second].map((span) => [`00-${trace}-${span!.spanId}-01`, state])
      )
      assert.notStrictEqual(first!.spanId, second!.spanId)
    }).pipe(Effect.scoped)
  )

  it.live("that is not sampled stays so", () =>
    Effect.gen(function* () {
      const [heard] = yield* tracing(asked({ traceparent: `00-${trace}-${client}-00` }))
      assert.match(String(heard[0]!["traceparent"]), new RegExp(`^00-${trace}-[0-9a-f]{16}-00$`))
      assert.isUndefined(heard[0]!["tracestate"])
    }).pipe(Effect.scoped)
  )

  it.live("that is not valid is ignored: the trace begins here", () =>
    Effect.gen(function* () {
      const [heard, spans] = yield* tracing(asked({ traceparent: `00-${trace}-nonsense-01`, tracestate: "a=1" }))
      const request = spans.find(({ name }) => name.startsWith("chat"))!
      assert.isTrue(Option.isNone(request.parent))
      assert.notStrictEqual(request.traceId, trace)
      assert.include(String(heard[0]!["traceparent"]), request.traceId)
      assert.isUndefined(heard[0]!["tracestate"])
    }).pipe(Effect.scoped)
  )

  it.live("is nobody's without a tracer", () =>
    Effect.gen(function* () {
      const heard = yield* asked({ traceparent: `00-${trace}-${client}-01`, tracestate: "a=1" })
      assert.deepStrictEqual(
        heard.map(({ b3, traceparent, tracestate }) => [b3, traceparent, tracestate]),
        [1, 2].map(() => [undefined, undefined, undefined])
      )
    }).pipe(Effect.scoped)
  )
})
