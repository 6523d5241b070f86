import { LLMProvider, type Request, type Response } from "@breakwater/core"
import { Anthropic, HttpPool } from "@breakwater/providers"
import { describe, expect, it } from "@effect/vitest"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import { readFileSync } from "node:fs"
import * as WireServer from "../wireServer.ts"

const recorded = readFileSync(new URL("../../../fixtures/providers/anthropic/stream.sse", import.meta.url))
const apiKey = Redacted.make("sk-ant-test")

const request: Request.ProviderRequest = {
  model: "claude-sonnet-4-5",
  messages: [{ role: "user", content: "Hi" }],
  maxTokens: 100
}

const turn = {
  id: "msg_1",
  type: "message",
  role: "assistant",
  model: "claude-sonnet-4-5-20250929",
  content: [{ type: "text", text: "Hello" }],
  stop_reason: "end_turn",
  stop_sequence: null,
  usage: { input_tokens: 3, cache_read_input_tokens: 10, output_tokens: 4 }
}

const withProvider = <A, E>(
  answer: WireServer.Answer,
  use: (provider: LLMProvider.Provider, server: WireServer.WireServer) => Effect.Effect<A, E>,
  options: Partial<Anthropic.Options> = {}
) =>
  Effect.scoped(
    Effect.gen(function* () {
      const server = yield* WireServer.make(answer)
      const provider = yield* Anthropic.make({ apiKey, baseUrl: server.url, ...options })
      return yield* use(provider, server)
    })
  ).pipe(Effect.provide(HttpPool.layer()))

describe("generate", () => {
  it.live("sends one request and reads the turn, its limits too", () =>
    withProvider(
      WireServer.json(200, turn, {
        "anthropic-ratelimit-requests-limit": "50",
        "anthropic-ratelimit-requests-remaining": "49"
      }),
      (provider, server) =>
        Effect.gen(function* () {
          const answer = yield* provider.generate(request)
          expect(answer).toEqual({
            id: "msg_1",
            model: "claude-sonnet-4-5-20250929",
            content: [{ type: "text", text: "Hello" }],
            finishReason: "stop",
            usage: { inputTokens: 13, outputTokens: 4, cachedInputTokens: 10 },
            limits: { requests: { limit: 50, remaining: 49 } }
          })
          expect(server.requests).toHaveLength(1)
          const [sent] = server.requests
          expect(sent).toMatchObject({ method: "POST", url: "/v1/messages" })
          expect(sent!.headers).toMatchObject({
            "x-api-key": "sk-ant-test",
            "anthropic-version": "2023-06-01",
            "anthropic-beta": "a,b",
            "content-type": "application/json"
          })
          expect(sent!.body).toEqual({
            model: "claude-sonnet-4-5",
            max_tokens: 100,
            messages: [{ role: "user", content: [{ type: "text", text: "Hi" }] }]
          })
        }),
      { betas: ["a", "b"] }
    )
  )

  it.live("nothing is sent before it is run", () =>
    withProvider(WireServer.json(200, turn), (provider, server) =>
      Effect.sync(() => {
        provider.generate(request)
        provider.stream(request)
        expect(server.requests).toHaveLength(0)
      })
    )
  )

  it.live.each([
    [401, "authentication_error", "AuthenticationError"],
    [429, "rate_limit_error", "RateLimitError"],
    [529, "overloaded_error", "ModelOverloadError"]
  ] as const)("status %d, whole and streamed", ([status, type, tag]) =>
    withProvider(
      WireServer.json(status, { type: "error", error: { type, message: "No" } }, { "request-id": "req_1" }),
      (provider) =>
        Effect.gen(function* () {
          const expected = { _tag: tag, status, provider: "anthropic", model: request.model, requestId: "req_1" }
          expect(yield* Effect.flip(provider.generate(request))).toMatchObject(expected)
          expect(yield* Effect.flip(Stream.runDrain(provider.stream(request)))).toMatchObject(expected)
        })
    )
  )

  it.live("a 200 that is an error, a refusal, or no answer at all", () =>
    Effect.gen(function* () {
      const failure = (body: unknown) =>
        withProvider(WireServer.json(200, body), (provider) => Effect.flip(provider.generate(request)))
      expect((yield* failure({ type: "error", error: { type: "overloaded_error", message: "No" } }))._tag).toBe(
        "ModelOverloadError"
      )
      expect((yield* failure({ ...turn, stop_reason: "refusal" }))._tag).toBe("ContentFilterError")
      expect((yield* failure({ ...turn, stop_reason: "model_context_window_exceeded" }))._tag).toBe(
        "ContextLengthError"
      )
      for (const body of ["", "Hello", "[]", "{}", "null"]) {
        expect(yield* failure(body)).toMatchObject({ _tag: "InvalidResponseError", provider: "anthropic" })
      }
    })
  )

  it.live("a refused key is replaced by the next", () =>
    withProvider(
      (response, sent) =>
        sent.headers["x-api-key"] === "good"
          ? WireServer.json(200, turn)(response, sent)
          : WireServer.json(401, {
              type: "error",
              error: { type: "authentication_error", message: "invalid x-api-key" }
            })(response, sent),
      (provider, server) =>
        Effect.gen(function* () {
          expect((yield* provider.generate(request)).id).toBe("msg_1")
          expect(server.requests.map(({ headers }) => headers["x-api-key"])).toEqual(["bad", "good"])
        }),
      { apiKey: [Redacted.make("bad"), Redacted.make("good")] }
    )
  )

  it.live("a provider that cannot be reached", () =>
    Effect.gen(function* () {
      const provider = yield* Anthropic.make({ apiKey, baseUrl: "http://127.0.0.1:1" })
      expect(yield* Effect.flip(provider.generate(request))).toMatchObject({ _tag: "TransportError", phase: "connect" })
    }).pipe(Effect.provide(HttpPool.layer()))
  )
})

describe("stream", () => {
  const collect = (provider: LLMProvider.Provider) => {
    const parts: Array<Response.StreamPart> = []
    return Effect.map(
      Effect.result(Stream.runForEach(provider.stream(request), (part) => Effect.sync(() => void parts.push(part)))),
      (result) => ({ parts, result })
    )
  }

  it.live("a recorded stream, cut in the middle of its characters", () =>
    withProvider(
      WireServer.sse(
        Array.from({ length: Math.ceil(recorded.length / 61) }, (_, i) => recorded.subarray(i * 61, (i + 1) * 61))
      ),
      (provider, server) =>
        Effect.gen(function* () {
          const { parts, result } = yield* collect(provider)
          expect(result._tag).toBe("Success")
          expect(parts).toHaveLength(12)
          expect(parts.at(-1)).toMatchObject({ type: "finish", reason: "tool-calls", usage: { inputTokens: 142 } })
          expect(server.requests[0]!.body).toMatchObject({ stream: true })
        })
    )
  )

  it.live("an error event after the first content", () =>
    withProvider(
      WireServer.sse([
        recorded.subarray(0, recorded.indexOf("event: content_block_stop")),
        'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}\n\n'
      ]),
      (provider) =>
        Effect.gen(function* () {
          const { parts, result } = yield* collect(provider)
          expect(parts.length).toBeGreaterThan(1)
          expect(result).toMatchObject({
            _tag: "Failure",
            failure: { _tag: "ModelOverloadError", provider: "anthropic" }
          })
        })
    )
  )

  it.live.each(["end", "destroy"] as const)("a connection that breaks off (%s) before the end", (end) =>
    withProvider(WireServer.sse([recorded.subarray(0, recorded.indexOf("event: message_delta"))], end), (provider) =>
      Effect.gen(function* () {
        const { parts, result } = yield* collect(provider)
        expect(result).toMatchObject({
          _tag: "Failure",
          failure: { _tag: "StreamInterruptedError", partialText: "Let me see — 日本語 too.", model: request.model }
        })
        expect(parts.some((part) => part.type === "finish")).toBe(false)
      })
    )
  )

  it.live.each(["hang", "destroy"] as const)("a stream without message_stop (%s) is a success", (end) =>
    withProvider(WireServer.sse([recorded.subarray(0, recorded.indexOf("event: message_stop"))], end), (provider) =>
      Effect.gen(function* () {
        const { parts, result } = yield* collect(provider)
        expect(result._tag).toBe("Success")
        expect(parts.filter((part) => part.type === "finish")).toHaveLength(1)
      })
    )
  )

  it.live("a server that does not stream", () =>
    withProvider(WireServer.json(200, turn), (provider) =>
      Effect.gen(function* () {
        const { parts } = yield* collect(provider)
        expect(parts.map((part) => part.type)).toEqual(["response-metadata", "text-delta", "finish"])
      })
    )
  )

  it.live("interruption closes the connection", () =>
    withProvider(
      WireServer.sse([recorded.subarray(0, recorded.indexOf("event: content_block_stop"))], "hang"),
      (provider, server) =>
        Effect.gen(function* () {
          const begun = yield* Deferred.make<void>()
          const fiber = yield* Effect.forkChild(
            Stream.runForEach(provider.stream(request), () => Deferred.succeed(begun, undefined))
          )
          yield* Deferred.await(begun)
          yield* Fiber.interrupt(fiber)
          yield* Effect.promise(() => server.aborted)
          expect(server.requests).toHaveLength(1)
        })
    )
  )

  it.live("interruption while nothing has come closes the connection", () =>
    Effect.gen(function* () {
      const asked = yield* Deferred.make<void>()
      yield* withProvider(
        () => Deferred.doneUnsafe(asked, Effect.void),
        (provider, server) =>
          Effect.gen(function* () {
            const fiber = yield* Effect.forkChild(provider.generate(request))
            yield* Deferred.await(asked)
            yield* Fiber.interrupt(fiber)
            yield* Effect.promise(() => server.aborted)
            expect(server.requests).toHaveLength(1)
          })
      )
    })
  )
})

describe("what it is made with", () => {
  const failure = (options: Anthropic.Options) =>
    Effect.flip(Anthropic.make(options)).pipe(
      Effect.provide(HttpPool.layer()),
      Effect.map((error) => String(error.cause.message))
    )

  it.live("a wrong option is named, and a key never shown", () =>
    Effect.gen(function* () {
      expect(yield* failure({})).toContain("apiKey is missing")
      expect(yield* failure({ apiKey: [] })).toContain("apiKey is missing")
      const key = yield* failure({ apiKey: Redacted.make("se cret\n") })
      expect(key).toContain("apiKey")
      expect(key).not.toContain("cret")
      expect(yield* failure({ apiKey, baseUrl: "ftp://example.com" })).toContain("baseUrl")
      expect(yield* failure({ apiKey, name: "a/b" })).toContain("name")
      for (const value of [0, -1, 1.5, NaN, Infinity]) {
        expect(yield* failure({ apiKey, defaultMaxTokens: value })).toContain("defaultMaxTokens")
        expect(yield* failure({ apiKey, maxEventBytes: value })).toContain("maxEventBytes")
      }
      expect(yield* failure({ apiKey, keySetAside: 0 })).toContain("keySetAside")
      expect(yield* failure({ apiKey, headers: { "x-a": "b\r\nc: d" } })).toContain("headers.x-a")
    })
  )

  it.live("reads key and address from the configuration", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const server = yield* WireServer.make(WireServer.json(200, turn))
        const env = ConfigProvider.fromUnknown({ ANTHROPIC_API_KEY: "k1, k2", ANTHROPIC_BASE_URL: `${server.url}/v1/` })
        const turned = yield* LLMProvider.LLMProvider.pipe(
          Effect.flatMap((provider) => Effect.andThen(provider.generate(request), provider.generate(request))),
          Effect.provide(Anthropic.layerConfig()),
          Effect.provide(HttpPool.layer()),
          Effect.provide(ConfigProvider.layer(env))
        )
        expect(turned.id).toBe("msg_1")
        expect(server.requests.map(({ headers, url }) => [url, headers["x-api-key"]])).toEqual([
          ["/v1/messages", "k1"],
          ["/v1/messages", "k2"]
        ])
      })
    )
  )

  it.live("a missing key is named by its variable", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(
        LLMProvider.LLMProvider.pipe(
          Effect.provide(Anthropic.layerConfig()),
          Effect.provide(HttpPool.layer()),
          Effect.provide(ConfigProvider.layer(ConfigProvider.fromUnknown({})))
        )
      )
      expect(error.cause.message).toContain("ANTHROPIC_API_KEY")
    })
  )

  it.live("has no embeddings, and says so without a call", () =>
    withProvider(WireServer.json(200, {}), (provider, server) =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(provider.embed({ model: "claude-sonnet-4-5", input: ["a"] }))
        expect(error).toMatchObject({ _tag: "InvalidRequestError", provider: "anthropic" })
        expect(error.message).toContain("embed")
        expect(server.requests).toHaveLength(0)
      })
    )
  )

  it.live("capabilities decide the length of an answer", () =>
    withProvider(
      WireServer.json(200, turn),
      (provider, server) =>
        Effect.gen(function* () {
          const { maxTokens: _, ...open } = request
          yield* provider.generate(open)
          expect(server.requests[0]!.body).toMatchObject({ max_tokens: 1234 })
        }),
      { capabilities: { maxOutputTokens: 1234 } }
    )
  )
})
