/**
 * How the provider behaves over a real connection that misbehaves.
 */
import { assert, describe, it } from "@effect/vitest"
import { Event, type LLMError, LLMProvider, type Request, type Response } from "@breakwater/core"
import { HttpPool, OpenAICompatible } from "@breakwater/providers"
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import type * as Config from "effect/Config"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as HttpClient from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Http from "node:http"
import * as Net from "node:net"
import type { AddressInfo } from "node:net"

type Handler = (request: Http.IncomingMessage, response: Http.ServerResponse, body: string) => void

interface Upstream {
  readonly url: string
  readonly connections: () => number
}

const serve = (handler: Handler): Effect.Effect<Upstream, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.callback<{ server: Http.Server; upstream: Upstream }>((resume) => {
      let connections = 0
      const server = Http.createServer((request, response) => {
        let body = ""
        request.setEncoding("utf8")
        request.on("data", (chunk: string) => (body += chunk))
        request.on("end", () => handler(request, response, body))
        request.on("error", () => {})
      })
      server.on("connection", () => connections++)
      server.listen(0, "127.0.0.1", () => {
        const { port } = server.address() as AddressInfo
        resume(
          Effect.succeed({ server, upstream: { url: `http://127.0.0.1:${port}/v1`, connections: () => connections } })
        )
      })
    }),
    ({ server }) =>
      Effect.callback<void>((resume) => {
        server.closeAllConnections()
        server.close(() => resume(Effect.void))
      })
  ).pipe(Effect.map(({ upstream }) => upstream))

const request: Request.ProviderRequest = { model: "m", messages: [{ role: "user", content: "Hello" }] }

const chunk = (fields: object): string => `data: ${JSON.stringify({ id: "c1", model: "m-1", ...fields })}\n\n`
const text = (content: string) => chunk({ choices: [{ index: 0, delta: { content } }] })
const finished = chunk({ choices: [{ index: 0, delta: {}, finish_reason: "stop" }] })
const usage = chunk({ choices: [], usage: { prompt_tokens: 3, completion_tokens: 2 } })
const done = "data: [DONE]\n\n"
const sse = { "content-type": "text/event-stream" }

const clients: ReadonlyArray<readonly [string, Layer.Layer<HttpClient.HttpClient, Config.ConfigError>]> = [
  ["the pool", HttpPool.layer({ connectTimeout: "1 second" })],
  ["node:http", NodeHttpClient.layerNodeHttp],
  ["fetch", NodeHttpClient.layerFetch]
]

const textOf = (parts: ReadonlyArray<Response.StreamPart>): string =>
  parts.map((part) => (part.type === "text-delta" ? part.delta : "")).join("")

const finishOf = (parts: ReadonlyArray<Response.StreamPart>) => {
  const last = parts[parts.length - 1]
  assert.strictEqual(last?.type, "finish")
  assert.strictEqual(parts.filter((part) => part.type === "finish").length, 1)
  return last as Response.FinishPart
}

const waitFor = (condition: () => boolean) =>
  Effect.repeat(Effect.andThen(Effect.sleep("1 millis"), Effect.sync(condition)), { until: (ok) => ok })

for (const [clientName, client] of clients) {
  const provider = (url: string, options?: Partial<OpenAICompatible.Options>) =>
    OpenAICompatible.make({ name: "test", baseUrl: url, ...options })
  const run = <A, E>(
    name: string,
    handler: Handler,
    body: (provider: LLMProvider.Provider, upstream: Upstream) => Effect.Effect<A, E, Scope.Scope>,
    options?: Partial<OpenAICompatible.Options>
  ) =>
    it.live(name, () =>
      Effect.scoped(
        Effect.gen(function* () {
          const upstream = yield* serve(handler)
          return yield* body(yield* provider(upstream.url, options), upstream)
        })
      ).pipe(Effect.provide(client))
    )
  const collect = (self: LLMProvider.Provider) => Stream.runCollect(self.stream(request))
  const failure = (self: LLMProvider.Provider): Effect.Effect<LLMError.AttemptError, unknown> =>
    Effect.flip(collect(self))

  describe(`over ${clientName}`, () => {
    run(
      "a whole answer",
      (incoming, response, body) => {
        assert.strictEqual(incoming.url, "/v1/chat/completions")
        assert.strictEqual(incoming.headers.authorization, "Bearer key-1")
        assert.strictEqual(incoming.headers["content-type"], "application/json")
        assert.strictEqual((JSON.parse(body) as { model: string }).model, "m")
        response.writeHead(200, { "content-type": "application/json", "x-ratelimit-limit-requests": "60" })
        response.end(
          JSON.stringify({
            id: "c1",
            model: "m-1",
            choices: [{ message: { content: "Hi" }, finish_reason: "stop" }],
            usage: { prompt_tokens: 3, completion_tokens: 1 }
          })
        )
      },
      (self) =>
        Effect.gen(function* () {
          const turn = yield* self.generate(request)
          assert.deepStrictEqual(turn, {
            content: [{ type: "text", text: "Hi" }],
            finishReason: "stop",
            usage: { inputTokens: 3, outputTokens: 1 },
            id: "c1",
            model: "m-1",
            limits: { requests: { limit: 60 } }
          })
        }),
      { apiKey: Redacted.make("key-1") }
    )

    run(
      "streams reuse their connection after [DONE]",
      (_, response) => {
        response.writeHead(200, sse)
        response.write(text("a") + finished + usage + done)
        setTimeout(() => response.end(), 5)
      },
      (self, upstream) =>
        Effect.gen(function* () {
          for (let i = 0; i < 5; i++) assert.strictEqual(textOf(yield* collect(self)), "a")
          // A second one may be made while the first is just being given back.
          if (clientName === "the pool") assert.isAtMost(upstream.connections(), 2)
        })
    )

    run(
      "a slow drip of bytes, cut within characters",
      (_, response) => {
        response.writeHead(200, sse)
        const all = Buffer.from(text("héllo 你好 👍") + finished + usage + done)
        let at = 0
        const drip = () => {
          if (at >= all.length) return void response.end()
          response.write(all.subarray(at, (at += 11)))
          setImmediate(drip)
        }
        drip()
      },
      (self) =>
        Effect.gen(function* () {
          const parts = yield* collect(self)
          assert.strictEqual(textOf(parts), "héllo 你好 👍")
          assert.deepStrictEqual(finishOf(parts).usage, { inputTokens: 3, outputTokens: 2 })
        })
    )

    run(
      "reset before the head is a TransportError",
      (incoming) => void incoming.socket.resetAndDestroy(),
      (self) =>
        Effect.gen(function* () {
          const generated = yield* Effect.flip(self.generate(request))
          const streamed = yield* failure(self)
          for (const error of [generated, streamed]) {
            assert.strictEqual(error._tag, "TransportError")
            assert.strictEqual(error._tag === "TransportError" && error.phase, "reset")
            assert.strictEqual(error.provider, "test")
            assert.strictEqual(error.model, "m")
            assert.isTrue(error.isRetryable)
          }
        })
    )

    run(
      "reset in the middle of a stream keeps what had arrived",
      (incoming, response) => {
        response.writeHead(200, sse)
        response.write(text("one ") + text("two"))
        setTimeout(() => incoming.socket.resetAndDestroy(), 20)
      },
      (self) =>
        Effect.gen(function* () {
          const error = yield* failure(self)
          assert.strictEqual(error._tag, "StreamInterruptedError")
          if (error._tag !== "StreamInterruptedError") return
          assert.strictEqual(error.partialText, "one two")
          assert.deepStrictEqual(
            error.parts.map((part) => part.type),
            ["response-metadata", "text-delta", "text-delta"]
          )
        })
    )

    run(
      "an end before the finish reason is no success",
      (_, response) => {
        response.writeHead(200, sse)
        response.end(text("half"))
      },
      (self) =>
        Effect.gen(function* () {
          const error = yield* failure(self)
          assert.strictEqual(error._tag, "StreamInterruptedError")
          assert.strictEqual(error._tag === "StreamInterruptedError" && error.partialText, "half")
        })
    )

    run(
      "a reset in the middle of a whole answer is a TransportError",
      (incoming, response) => {
        response.writeHead(200, { "content-type": "application/json", "content-length": "500" })
        response.write('{"choices":')
        setTimeout(() => incoming.socket.resetAndDestroy(), 20)
      },
      (self) =>
        Effect.gen(function* () {
          const error = yield* Effect.flip(self.generate(request))
          assert.strictEqual(error._tag, "TransportError")
        })
    )

    run(
      "a missing [DONE] after the finish reason is a success, with usage",
      (_, response) => {
        response.writeHead(200, sse)
        response.end(text("a") + finished + usage)
      },
      (self) =>
        Effect.gen(function* () {
          assert.deepStrictEqual(finishOf(yield* collect(self)).usage, { inputTokens: 3, outputTokens: 2 })
        })
    )

    run(
      "usage ends the wait even if the server never closes",
      (_, response) => {
        response.writeHead(200, sse)
        response.write(text("a") + finished + usage)
      },
      (self) =>
        Effect.gen(function* () {
          const parts = yield* Effect.timeout(collect(self), "1 second")
          assert.strictEqual(finishOf(parts).usage.outputTokens, 2)
        })
    )

    run(
      "a server that sends no usage and never closes is waited for briefly",
      (_, response) => {
        response.writeHead(200, sse)
        response.write(text("twelve chars") + finished)
      },
      (self) =>
        Effect.gen(function* () {
          const parts = yield* Effect.timeout(collect(self), "4 seconds")
          assert.deepStrictEqual(finishOf(parts).usage, { inputTokens: 2, outputTokens: 3, estimated: true })
        })
    )

    run(
      "one malformed event is skipped and reported, three in a row end the stream",
      (_, response, body) => {
        response.writeHead(200, sse)
        const bad = 'data: {"cho\n\n'
        const count = (JSON.parse(body) as { seed: number }).seed
        response.end(text("a") + bad.repeat(count) + text("b") + bad + finished + usage + done)
      },
      (self) =>
        Effect.gen(function* () {
          const events: Array<Event.PolicyEvent> = []
          const withSink = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
            Effect.provideService(effect, Event.EventSink, (event) => void events.push(event))
          const parts = yield* withSink(Stream.runCollect(self.stream({ ...request, seed: 2 })))
          assert.strictEqual(textOf(parts), "ab")
          assert.deepStrictEqual(
            events.map((event) => (event.type === "malformed-event" ? event.inARow : event.type)),
            [1, 2, 1]
          )
          const error = yield* withSink(Effect.flip(Stream.runCollect(self.stream({ ...request, seed: 3 }))))
          assert.strictEqual(error._tag, "InvalidResponseError")
        })
    )

    run(
      "a huge event is refused",
      (_, response) => {
        response.writeHead(200, sse)
        response.on("error", () => {})
        response.write("data: ")
        const block = "x".repeat(64 * 1024)
        const flood = () => {
          while (!response.destroyed && response.write(block)) {
            /* until the buffer is full */
          }
          if (!response.destroyed) response.once("drain", flood)
        }
        flood()
      },
      (self) =>
        Effect.gen(function* () {
          const error = yield* failure(self)
          assert.strictEqual(error._tag, "InvalidResponseError")
          assert.match(error.message, /larger/)
        })
    )

    run(
      "a web page is an InvalidResponseError with the beginning of it",
      (_, response) => {
        response.writeHead(200, { "content-type": "text/html" })
        response.end("<!doctype html>" + "x".repeat(2000))
      },
      (self) =>
        Effect.gen(function* () {
          for (const error of [yield* Effect.flip(self.generate(request)), yield* failure(self)]) {
            assert.strictEqual(error._tag, "InvalidResponseError")
            assert.strictEqual(error._tag === "InvalidResponseError" && error.excerpt?.length, 500)
          }
        })
    )

    run(
      "a 502 page of a proxy is a ServerError without the page",
      (_, response) => {
        response.writeHead(502, { "content-type": "text/html" })
        response.end("<html><body>Bad gateway</body></html>")
      },
      (self) =>
        Effect.gen(function* () {
          const error = yield* failure(self)
          assert.strictEqual(error._tag, "ServerError")
          assert.strictEqual(error.status, 502)
          assert.notInclude(error.message, "<")
        })
    )

    run(
      "a server that ignores `stream` is understood",
      (_, response) => {
        response.writeHead(200, { "content-type": "application/json; charset=utf-8" })
        response.end(JSON.stringify({ choices: [{ message: { content: "whole" }, finish_reason: "stop" }] }))
      },
      (self) =>
        Effect.gen(function* () {
          const parts = yield* collect(self)
          assert.strictEqual(textOf(parts), "whole")
          assert.strictEqual(finishOf(parts).usage.estimated, true)
        })
    )

    run(
      "a text instead of a stream says what it says (LM Studio)",
      (_, response, body) => {
        const { seed } = JSON.parse(body) as { seed: number }
        response.writeHead(200, seed === 1 ? {} : { "content-type": "text/plain" })
        response.end(seed === 1 ? "Cannot truncate prompt with n_keep (5214) >= n_ctx (4096)" : "Unexpected endpoint")
      },
      (self) =>
        Effect.gen(function* () {
          const error = yield* Effect.flip(Stream.runCollect(self.stream({ ...request, seed: 1 })))
          assert.deepInclude(error, { _tag: "ContextLengthError", maxTokens: 4096, requestedTokens: 5214 })
          const other = yield* Effect.flip(Stream.runCollect(self.stream({ ...request, seed: 2 })))
          assert.deepInclude(other, { _tag: "InvalidResponseError", excerpt: "Unexpected endpoint" })
        })
    )

    run(
      "an answer larger than allowed is not read to its end",
      (_, response) => {
        response.writeHead(200, { "content-type": "application/json" })
        response.end(JSON.stringify({ text: "x".repeat(100_000) }))
      },
      (self) =>
        Effect.gen(function* () {
          const error = yield* Effect.flip(self.generate(request))
          assert.strictEqual(error._tag, "InvalidResponseError")
          assert.match(error.message, /larger than 2048 bytes/)
        }),
      { maxBodyBytes: 2048 }
    )

    run(
      "embeddings",
      (incoming, response, body) => {
        assert.strictEqual(incoming.url, "/v1/embeddings")
        const { input } = JSON.parse(body) as { input: ReadonlyArray<string> }
        response.writeHead(200, { "content-type": "application/json" })
        response.end(JSON.stringify({ data: input.map((text, index) => ({ index, embedding: [text.length, 0] })) }))
      },
      (self) =>
        Effect.gen(function* () {
          const { usage, vectors } = yield* self.embed({ model: "e", input: ["a", "bcde"] })
          assert.deepStrictEqual(vectors, [
            [1, 0],
            [4, 0]
          ])
          assert.deepStrictEqual(usage, { inputTokens: 2, outputTokens: 0, estimated: true })
        })
    )

    for (const kind of ["before the head", "in a stalled stream", "in a stalled body"] as const) {
      let closedAt: number | undefined
      let asked = false
      run(
        `interruption closes the connection within 50 ms, ${kind}`,
        (incoming, response) => {
          asked = true
          closedAt = undefined
          incoming.socket.once("close", () => (closedAt = performance.now()))
          if (kind === "in a stalled stream") {
            response.writeHead(200, sse)
            response.write(text("begun"))
          } else if (kind === "in a stalled body") {
            response.writeHead(200, { "content-type": "application/json" })
            response.write('{"choices": [')
          }
        },
        (self) =>
          Effect.gen(function* () {
            asked = false
            const first = yield* Deferred.make<void>()
            const call =
              kind === "in a stalled stream"
                ? Stream.runForEach(self.stream(request), () => Deferred.succeed(first, undefined))
                : Effect.asVoid(self.generate(request))
            const fiber = yield* Effect.forkChild(call)
            yield* waitFor(() => asked)
            if (kind === "in a stalled stream") yield* Deferred.await(first)
            else yield* Effect.sleep("20 millis")
            const before = performance.now()
            yield* Fiber.interrupt(fiber)
            yield* Effect.timeout(
              waitFor(() => closedAt !== undefined),
              "1 second"
            )
            assert.isBelow(closedAt! - before, 50)
          })
      )
    }

    run(
      "a reader that stops early closes the connection",
      (incoming, response) => {
        response.writeHead(200, sse)
        response.write(text("one"))
        const timer = setInterval(() => response.write(text("more")), 5)
        incoming.socket.once("close", () => clearInterval(timer))
      },
      (self, upstream) =>
        Effect.gen(function* () {
          const parts = yield* Stream.runCollect(Stream.take(self.stream(request), 3))
          assert.strictEqual(parts.length, 3)
          assert.strictEqual(upstream.connections(), 1)
        })
    )

    it.live("a closed port is a TransportError of connecting", () =>
      Effect.gen(function* () {
        const self = yield* provider("http://127.0.0.1:1/v1")
        const error = yield* Effect.flip(self.generate(request))
        assert.strictEqual(error._tag, "TransportError")
        // fetch refuses port 1 by its own rules before it tries.
        if (clientName !== "fetch") assert.strictEqual(error._tag === "TransportError" && error.phase, "connect")
      }).pipe(Effect.provide(client))
    )

    it.live("an unknown host is a TransportError of name resolution", () =>
      Effect.gen(function* () {
        const self = yield* provider("http://nowhere.invalid/v1")
        const error = yield* Effect.flip(self.generate(request))
        assert.strictEqual(error._tag, "TransportError")
        assert.strictEqual(error._tag === "TransportError" && error.phase, "dns")
      }).pipe(Effect.provide(client))
    )

    it.live("a server that speaks no TLS is a TransportError of TLS", () =>
      Effect.scoped(
        Effect.gen(function* () {
          const port = yield* Effect.acquireRelease(
            Effect.callback<{ port: number; server: Net.Server }>((resume) => {
              const server = Net.createServer((socket) => socket.end("this is no TLS\n"))
              server.listen(0, "127.0.0.1", () =>
                resume(Effect.succeed({ port: (server.address() as AddressInfo).port, server }))
              )
            }),
            ({ server }) => Effect.sync(() => server.close())
          )
          const self = yield* provider(`https://127.0.0.1:${port.port}/v1`)
          const error = yield* Effect.flip(self.generate(request))
          assert.strictEqual(error._tag, "TransportError")
          assert.strictEqual(error._tag === "TransportError" && error.phase, "tls")
        })
      ).pipe(Effect.provide(client))
    )

    run(
      "a refused key is replaced within the call, in streams too",
      (incoming, response) => {
        if (incoming.headers.authorization === "Bearer bad") {
          response.writeHead(401, { "content-type": "application/json" })
          return void response.end(
            '{"error":{"message":"Incorrect API key provided: sk-bad***","code":"invalid_api_key"}}'
          )
        }
        response.writeHead(200, sse)
        response.end(text("good") + finished + usage + done)
      },
      (self) =>
        Effect.gen(function* () {
          assert.strictEqual(textOf(yield* collect(self)), "good")
        }),
      { apiKey: [Redacted.make("bad"), Redacted.make("good")] }
    )
  })
}

describe("the layer", () => {
  it.live("gives the provider as a service", () =>
    Effect.gen(function* () {
      const provider = yield* LLMProvider.LLMProvider
      assert.strictEqual(provider.name, "x")
    }).pipe(
      Effect.provide(
        Layer.provide(OpenAICompatible.layer({ name: "x", baseUrl: "http://127.0.0.1:1" }), HttpPool.layer())
      )
    )
  )
})
