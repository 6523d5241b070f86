import { LLMProvider, type Request, type Response } from "@breakwater/core"
import { Gemini, HttpPool } from "@breakwater/providers"
import { describe, expect, it } from "@effect/vitest"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import { readFileSync } from "node:fs"
import * as WireServer from "../wireServer.ts"

const recorded = readFileSync(new URL("../../../fixtures/providers/gemini/stream.sse", import.meta.url))
const apiKey = Redacted.make("AIza-test")

const request: Request.ProviderRequest = {
  model: "gemini-2.5-flash",
  messages: [
    { role: "system", content: "Be brief." },
    { role: "user", content: "Hi" }
  ],
  maxTokens: 100
}

const turn = {
  responseId: "r1",
  modelVersion: "gemini-2.5-flash",
  candidates: [{ content: { role: "model", parts: [{ text: "Hello" }] }, finishReason: "STOP" }],
  usageMetadata: { promptTokenCount: 3, candidatesTokenCount: 4, thoughtsTokenCount: 5, totalTokenCount: 12 }
}

const withProvider = <A, E>(
  answer: WireServer.Answer,
  use: (provider: LLMProvider.Provider, server: WireServer.WireServer) => Effect.Effect<A, E>,
  options: Partial<Gemini.Options> = {}
) =>
  Effect.scoped(
    Effect.gen(function* () {
      const server = yield* WireServer.make(answer)
      const provider = yield* Gemini.make({ apiKey, baseUrl: server.url, ...options })
      return yield* use(provider, server)
    })
  ).pipe(Effect.provide(HttpPool.layer()))

describe("generate", () => {
  it.live("sends one request and reads the turn", () =>
    withProvider(WireServer.json(200, turn), (provider, server) =>
      Effect.gen(function* () {
        expect(yield* provider.generate(request)).toEqual({
          id: "r1",
          model: "gemini-2.5-flash",
          content: [{ type: "text", text: "Hello" }],
          finishReason: "stop",
          usage: { inputTokens: 3, outputTokens: 9, reasoningTokens: 5 }
        })
        expect(server.requests).toHaveLength(1)
        const [sent] = server.requests
        expect(sent).toMatchObject({ method: "POST", url: "/v1beta/models/gemini-2.5-flash:generateContent" })
        // The key is in a header, never in the address.
        expect(sent!.headers["x-goog-api-key"]).toBe("AIza-test")
        expect(sent!.body).toEqual({
          systemInstruction: { parts: [{ text: "Be brief." }] },
          contents: [{ role: "user", parts: [{ text: "Hi" }] }],
          generationConfig: { maxOutputTokens: 100 }
        })
      })
    )
  )

  it.live("addresses: names with a folder, names that need quoting", () =>
    withProvider(WireServer.json(200, turn), (provider, server) =>
      Effect.gen(function* () {
        for (const model of ["models/gemini-2.5-pro", "tunedModels/mine", "a b?"])
          yield* provider.generate({ ...request, model })
        expect(server.requests.map(({ url }) => url)).toEqual([
          "/v1beta/models/gemini-2.5-pro:generateContent",
          "/v1beta/tunedModels/mine:generateContent",
          "/v1beta/models/a%20b%3F:generateContent"
        ])
      })
    )
  )

  it.live("a minute's limit with its wait, whole and streamed", () =>
    withProvider(
      WireServer.json(429, {
        error: {
          code: 429,
          status: "RESOURCE_EXHAUSTED",
          message: "Slow down",
          details: [{ "@type": "type.googleapis.com/google.rpc.RetryInfo", retryDelay: "45.8s" }]
        }
      }),
      (provider) =>
        Effect.gen(function* () {
          const expected = { _tag: "RateLimitError", status: 429, provider: "gemini", model: request.model }
          const whole = yield* Effect.flip(provider.generate(request))
          expect(whole).toMatchObject(expected)
          expect(Duration.toMillis(whole.retryAfter!)).toBe(45_800)
          expect(yield* Effect.flip(Stream.runDrain(provider.stream(request)))).toMatchObject(expected)
        })
    )
  )

  it.live("a 200 that is an error, a filter, or no answer at all", () =>
    Effect.gen(function* () {
      const failure = (body: unknown) =>
        withProvider(WireServer.json(200, body), (provider) => Effect.flip(provider.generate(request)))
      expect((yield* failure({ error: { status: "UNAVAILABLE", message: "No" } }))._tag).toBe("ModelOverloadError")
      expect(yield* failure({ promptFeedback: { blockReason: "SAFETY" } })).toMatchObject({
        _tag: "ContentFilterError",
        stage: "input"
      })
      expect(yield* failure({ candidates: [{ finishReason: "SAFETY" }] })).toMatchObject({
        _tag: "ContentFilterError",
        stage: "output"
      })
      expect((yield* failure({ candidates: [{ finishReason: "MALFORMED_FUNCTION_CALL" }] }))._tag).toBe(
        "InvalidResponseError"
      )
      for (const body of ["", "Hello", "[]", "{}", { candidates: [] }]) {
        expect(yield* failure(body)).toMatchObject({ _tag: "InvalidResponseError", provider: "gemini" })
      }
    })
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
  const firstEvents = recorded.subarray(0, recorded.lastIndexOf("data: ", recorded.indexOf("finishReason")))

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
          expect(parts.at(-1)).toMatchObject({ type: "finish", reason: "tool-calls", usage: { inputTokens: 120 } })
          expect(server.requests[0]!.url).toBe("/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse")
        })
    )
  )

  it.live("an error after the first content", () =>
    withProvider(
      WireServer.sse([firstEvents, 'data: {"error":{"code":503,"status":"UNAVAILABLE","message":"Overloaded"}}\n\n']),
      (provider) =>
        Effect.gen(function* () {
          const { parts, result } = yield* collect(provider)
          expect(parts.length).toBeGreaterThan(1)
          expect(result).toMatchObject({ _tag: "Failure", failure: { _tag: "ModelOverloadError", provider: "gemini" } })
        })
    )
  )

  it.live.each(["end", "destroy"] as const)("a connection that breaks off (%s) before the end", (end) =>
    withProvider(WireServer.sse([firstEvents], end), (provider) =>
      Effect.gen(function* () {
        const { parts, result } = yield* collect(provider)
        expect(result).toMatchObject({
          _tag: "Failure",
          failure: { _tag: "StreamInterruptedError", partialText: "Let me see — ", model: request.model }
        })
        expect(parts.some((part) => part.type === "finish")).toBe(false)
      })
    )
  )

  it.live("a connection that breaks off after the finish reason is a success", () =>
    withProvider(WireServer.sse([recorded], "destroy"), (provider) =>
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
    withProvider(WireServer.sse([firstEvents], "hang"), (provider, server) =>
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
})

describe("embed", () => {
  it.live("one call for a batch", () =>
    withProvider(WireServer.json(200, { embeddings: [{ values: [1, 2] }, { values: [3, 4] }] }), (provider, server) =>
      Effect.gen(function* () {
        const answer = yield* provider.embed({ model: "gemini-embedding-001", input: ["a", "b"] })
        expect(answer.vectors).toEqual([
          [1, 2],
          [3, 4]
        ])
        expect(answer.usage.estimated).toBe(true)
        expect(server.requests.map(({ url }) => url)).toEqual([
          "/v1beta/models/gemini-embedding-001:batchEmbedContents"
        ])
      })
    )
  )

  it.live("too few vectors are no answer", () =>
    withProvider(WireServer.json(200, { embeddings: [{ values: [1, 2] }] }), (provider) =>
      Effect.gen(function* () {
        expect(yield* Effect.flip(provider.embed({ model: "gemini-embedding-001", input: ["a", "b"] }))).toMatchObject({
          _tag: "InvalidResponseError",
          provider: "gemini"
        })
      })
    )
  )
})

describe("what it is made with", () => {
  it.live("a missing key", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(Gemini.make({}))
      expect(error.cause.message).toContain("apiKey is missing")
    }).pipe(Effect.provide(HttpPool.layer()))
  )

  const sentWith = (env: Record<string, string>) =>
    Effect.scoped(
      Effect.gen(function* () {
        const server = yield* WireServer.make(WireServer.json(200, turn))
        yield* LLMProvider.LLMProvider.pipe(
          Effect.flatMap((provider) => provider.generate(request)),
          Effect.provide(Gemini.layerConfig()),
          Effect.provide(HttpPool.layer()),
          Effect.provide(
            ConfigProvider.layer(ConfigProvider.fromUnknown({ GEMINI_BASE_URL: `${server.url}/v1beta`, ...env }))
          )
        )
        return [server.requests[0]!.url, server.requests[0]!.headers["x-goog-api-key"]]
      })
    )

  it.live("reads the key from either variable, its own first", () =>
    Effect.gen(function* () {
      const url = "/v1beta/models/gemini-2.5-flash:generateContent"
      expect(yield* sentWith({ GOOGLE_API_KEY: "google" })).toEqual([url, "google"])
      expect(yield* sentWith({ GEMINI_API_KEY: "gemini", GOOGLE_API_KEY: "google" })).toEqual([url, "gemini"])
      const error = yield* Effect.flip(sentWith({}))
      expect(error).toMatchObject({ cause: { message: expect.stringContaining("GEMINI_API_KEY") } })
    })
  )

  it.live("capabilities by the model's name", () =>
    withProvider(WireServer.json(200, turn), (provider) =>
      Effect.sync(() => {
        expect(provider.capabilities("models/gemini-2.5-pro")).toMatchObject({
          contextWindow: 1_048_576,
          maxOutputTokens: 65_536
        })
        expect(provider.capabilities("gemini-embedding-001")).toMatchObject({ embeddings: true })
      })
    )
  )
})
