import { LanguageModelBridge, LLM, LLMError, type Request, type Response } from "@breakwater/core"
import { Failures, ScriptedProvider } from "@breakwater/testing"
import { describe, expect, it } from "@effect/vitest"
import * as AiError from "effect/ai/AiError"
import * as EmbeddingModel from "effect/ai/EmbeddingModel"
import * as LanguageModel from "effect/ai/LanguageModel"
import { toCodecOpenAI } from "effect/ai/OpenAiStructuredOutput"
import * as ResponseIdTracker from "effect/ai/ResponseIdTracker"
import * as Telemetry from "effect/ai/Telemetry"
import * as Tool from "effect/ai/Tool"
import * as Toolkit from "effect/ai/Toolkit"
import * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { type Answer, fakeModel, finishPart, layerRetrying, retryingLLM } from "./support/bridge.ts"

const request = (more: Partial<Request.ProviderRequest> = {}): Request.ProviderRequest => ({
  model: "label",
  messages: [{ role: "user", content: "Hello there" }],
  ...more
})

const weather = {
  name: "weather",
  description: "The weather of a city",
  parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] }
} as const

const providerOf = (...answers: ReadonlyArray<Answer>) => {
  const fake = fakeModel(...answers)
  return { ...fake, provider: LanguageModelBridge.fromModels({ languageModel: fake.model }, { name: "inner" }) }
}

const aiError = (reason: AiError.AiErrorReason) => AiError.make({ module: "Fake", method: "generateText", reason })

const networkError = (description: string) =>
  aiError(
    new AiError.NetworkError({
      reason: "TransportError",
      method: "POST",
      url: "https://host.example/v1?key=sk-secret",
      description
    })
  )

const collect = (stream: Stream.Stream<Response.StreamPart, LLMError.AttemptError>) =>
  Effect.gen(function* () {
    const parts: Array<Response.StreamPart> = []
    const exit = yield* Effect.result(Stream.runForEach(stream, (part) => Effect.sync(() => parts.push(part))))
    return { parts, types: parts.map((part) => part.type), error: exit._tag === "Failure" ? exit.failure : undefined }
  })

describe("a LanguageModel as a provider", () => {
  it.effect("answers with the model's parts, usage and finish reason", () =>
    Effect.gen(function* () {
      const { asked, provider } = providerOf({
        parts: [
          { type: "response-metadata", id: "resp_1", modelId: "exact-model" },
          { type: "reasoning", text: "Hm.", metadata: { vendor: { signature: "sig" } } },
          { type: "text", text: "Hi." },
          { type: "file", mediaType: "image/png", data: "AQID" },
          finishPart("length", {
            inputTokens: { total: 10, cacheRead: 4, cacheWrite: 1 },
            outputTokens: { total: 6, reasoning: 2 }
          })
        ]
      })
      expect(yield* provider.generate(request())).toEqual({
        content: [
          { type: "reasoning", text: "Hm.", metadata: { vendor: { signature: "sig" } } },
          { type: "text", text: "Hi." },
          { type: "file", mediaType: "image/png", data: "AQID" }
        ],
        finishReason: "length",
        usage: { inputTokens: 10, outputTokens: 6, cachedInputTokens: 4, cacheWriteTokens: 1, reasoningTokens: 2 },
        id: "resp_1",
        model: "exact-model"
      })
      expect(asked.length).toBe(1)
      expect(asked[0]?.prompt.content[0]?.role).toBe("user")
    })
  )

  it.effect("hides in its errors what the model's service repeats of the prompt", () =>
    Effect.gen(function* () {
      const prompt = "the patient Ada, born 1815, has the condition"
      const failing = { error: networkError(`cannot send ${JSON.stringify({ content: prompt })}`) }
      const { provider } = providerOf(failing, failing)
      const asked = request({ messages: [{ role: "user", content: prompt }] })
      const whole = yield* Effect.flip(provider.generate(asked))
      const streamed = (yield* collect(provider.stream(asked))).error
      for (const error of [whole, streamed]) {
        expect(error?.message).toContain("[prompt]")
        expect(String(error)).not.toContain("Ada")
      }
    })
  )

  it.effect("declares tools and runs none, and hands on calls as they are", () =>
    Effect.gen(function* () {
      const { asked, provider } = providerOf({
        parts: [
          { type: "tool-call", id: "c1", name: "weather", params: { city: 7 }, metadata: { vendor: { x: 1 } } },
          { type: "tool-call", id: "c2", name: "undeclared", params: [] },
          finishPart("tool-calls")
        ]
      })
      const turn = yield* provider.generate(
        request({ tools: [{ ...weather, strict: true }], toolChoice: { tool: "weather" } })
      )
      expect(turn.content).toEqual([
        { type: "tool-call", id: "c1", name: "weather", params: { city: 7 }, metadata: { vendor: { x: 1 } } },
        { type: "tool-call", id: "c2", name: "undeclared", params: [] }
      ])
      const tool = asked[0]!.tools[0]!
      expect(Tool.getJsonSchema(tool)).toEqual(weather.parameters)
      expect(Tool.getDescription(tool)).toBe(weather.description)
      expect(Tool.getStrictMode(tool)).toBe(true)
      expect(asked[0]?.toolChoice).toEqual({ tool: "weather" })
      expect(asked[0]?.toolCallValidation).toBe("deferred")
    })
  )

  it.effect("keeps what the provider ran itself apart from calls that wait for an answer", () =>
    Effect.gen(function* () {
      const { provider } = providerOf({
        parts: [
          { type: "tool-call", id: "c1", name: "weather", params: {}, providerExecuted: true },
          {
            type: "tool-result",
            id: "c1",
            name: "weather",
            result: { degrees: 3 },
            isFailure: false,
            providerExecuted: true
          },
          { type: "source", sourceType: "url", id: "s1", url: "https://host.example/a", title: "A" },
          { type: "text", text: "Cold." },
          finishPart()
        ]
      })
      const turn = yield* provider.generate(request({ tools: [weather] }))
      expect(turn.content).toEqual([{ type: "text", text: "Cold." }])
      expect(JSON.stringify(turn.extra)).toContain('"degrees":3')
      // and comes out again in its place
      const parts = yield* LanguageModelBridge.languageModel().pipe(
        Effect.provide(layerRetrying(provider)),
        Effect.flatMap((model) =>
          model.generateText({
            prompt: "?",
            toolkit: { tools: { weather: Tool.dynamic("weather", { parameters: weather.parameters }) } } as never,
            disableToolCallResolution: true
          })
        ),
        Effect.map((response) => response.content as ReadonlyArray<{ readonly type: string }>)
      )
      expect(parts.map((part) => part.type)).toEqual([
        "response-metadata",
        "tool-call",
        "tool-result",
        "source",
        "text",
        "finish"
      ])
      expect(parts[2]).toMatchObject({ providerExecuted: true, encodedResult: { degrees: 3 } })
    })
  )

  it.effect("gives objects as the JSON of the asked schema", () =>
    Effect.gen(function* () {
      const { asked, provider } = providerOf({
        parts: [{ type: "text", text: '{ "name": "Ada", ' }, { type: "text", text: '"age": 36 }' }, finishPart()]
      })
      const turn = yield* provider.generate(
        request({
          responseFormat: {
            type: "json",
            name: "person",
            schema: {
              type: "object",
              properties: { name: { type: "string" }, age: { type: "integer" } },
              required: ["name", "age"]
            }
          }
        })
      )
      expect(turn.content).toEqual([{ type: "text", text: '{"name":"Ada","age":36}' }])
      const format = asked[0]!.responseFormat
      expect(format.type === "json" && format.objectName).toBe("person")
      // a model with strict answers can take the schema
      expect(format.type === "json" && toCodecOpenAI(format.schema as never).jsonSchema).toMatchObject({
        type: "object",
        required: ["name", "age"],
        additionalProperties: false
      })
    })
  )

  it.effect("says what is wrong with an object that does not fit", () =>
    Effect.gen(function* () {
      const { provider } = providerOf({ parts: [{ type: "text", text: '{"age":"old"}' }, finishPart()] })
      const schema = { type: "object", properties: { age: { type: "integer" } }, required: ["age"] } as const
      const error = yield* Effect.flip(
        provider.generate(request({ responseFormat: { type: "json", name: "person", schema } }))
      )
      expect(error).toMatchObject({ _tag: "StructuredOutputError", rawText: '{"age":"old"}', provider: "inner" })
      expect(error._tag === "StructuredOutputError" && error.issues.length).toBeGreaterThan(0)
    })
  )

  it.effect("lets a model call a tool before it gives the object", () =>
    Effect.gen(function* () {
      const { provider } = providerOf(
        {
          parts: [{ type: "tool-call", id: "c1", name: "weather", params: { city: "Ulm" } }, finishPart("tool-calls")]
        },
        { parts: [{ type: "text", text: "no object" }, finishPart()] }
      )
      const asked = request({
        tools: [weather],
        responseFormat: { type: "json", name: "x", schema: { type: "object", properties: { a: { type: "number" } } } }
      })
      expect(yield* provider.generate(asked)).toEqual({
        content: [{ type: "tool-call", id: "c1", name: "weather", params: { city: "Ulm" } }],
        finishReason: "tool-calls",
        usage: { inputTokens: 7, outputTokens: 3 }
      })
      expect((yield* Effect.flip(provider.generate(asked)))._tag).toBe("StructuredOutputError")
    })
  )

  it.effect("shows what a model said to the span transformer of the caller, too", () =>
    Effect.gen(function* () {
      const { provider } = providerOf({ parts: [{ type: "text", text: '{"a":1}' }, finishPart()] })
      let seen = 0
      yield* provider
        .generate(
          request({
            tools: [weather],
            responseFormat: {
              type: "json",
              name: "x",
              schema: { type: "object", properties: { a: { type: "number" } } }
            }
          })
        )
        .pipe(
          Effect.provideService(Telemetry.CurrentSpanTransformer, (options) => {
            seen += options.response.length
          })
        )
      expect(seen).toBe(2)
    })
  )

  it.effect("refuses a schema that cannot be expressed, before anything is sent", () =>
    Effect.gen(function* () {
      const { asked, provider } = providerOf({ parts: [finishPart()] })
      const responseFormat = { type: "json", name: "x", schema: { not: { type: "string" } } } as const
      expect(yield* Effect.flip(provider.generate(request({ responseFormat })))).toMatchObject({
        _tag: "InvalidRequestError",
        parameter: "responseFormat",
        provider: "inner",
        model: "label"
      })
      expect(asked.length).toBe(0)
    })
  )

  it.effect.each([
    ["temperature", { temperature: 0 }],
    ["topP", { topP: 0.5 }],
    ["topK", { topK: 1 }],
    ["maxTokens", { maxTokens: 5 }],
    ["stop", { stop: ["\n"] }],
    ["seed", { seed: 1 }],
    ["presencePenalty", { presencePenalty: 1 }],
    ["frequencyPenalty", { frequencyPenalty: 1 }],
    ["reasoning", { reasoning: { effort: "low" } }],
    ["user", { user: "u" }],
    ["extra", { extra: {} }]
  ] as ReadonlyArray<[string, Partial<Request.ProviderRequest>]>)(
    "refuses %s, which no LanguageModel takes",
    ([parameter, more]) =>
      Effect.gen(function* () {
        const { asked, model, provider } = providerOf({ parts: [finishPart()] })
        expect(yield* Effect.flip(provider.generate(request(more)))).toMatchObject({
          _tag: "InvalidRequestError",
          parameter
        })
        expect((yield* collect(provider.stream(request(more)))).error).toMatchObject({ parameter })
        expect(asked.length).toBe(0)
        const lenient = LanguageModelBridge.fromModels({ languageModel: model }, { name: "x", unsupported: "ignore" })
        yield* lenient.generate(request(more))
        expect(asked.length).toBe(1)
      })
  )

  it.effect("passes on what the option `context` takes", () =>
    Effect.gen(function* () {
      class Config extends Context.Service<Config, { readonly temperature?: number | undefined }>()("test/Config") {}
      const seen: Array<unknown> = []
      const languageModel = yield* LanguageModel.make({
        generateText: () =>
          Effect.map(Effect.serviceOption(Config), (config) => {
            seen.push(Option.getOrUndefined(config))
            return [finishPart()]
          }),
        streamText: () =>
          Stream.unwrap(
            Effect.map(Effect.serviceOption(Config), (config) => {
              seen.push(Option.getOrUndefined(config))
              return Stream.make(finishPart())
            })
          )
      })
      const provider = LanguageModelBridge.fromModels(
        { languageModel },
        {
          name: "inner",
          supports: ["temperature"],
          context: (asked) =>
            Context.make(Config, { temperature: "temperature" in asked ? asked.temperature : undefined })
        }
      )
      yield* provider.generate(request({ temperature: 0.3 }))
      yield* Stream.runDrain(provider.stream(request({ temperature: 0.4 })))
      expect(seen).toEqual([{ temperature: 0.3 }, { temperature: 0.4 }])
      expect(yield* Effect.flip(provider.generate(request({ seed: 1 })))).toMatchObject({ parameter: "seed" })
    })
  )

  it.effect("never runs a call that a user has approved", () =>
    Effect.gen(function* () {
      const { asked, provider } = providerOf({ parts: [finishPart()] })
      const messages: Request.ProviderRequest["messages"] = [
        { role: "user", content: "go" },
        {
          role: "assistant",
          content: [
            { type: "tool-call", id: "c1", name: "weather", params: { city: "Ulm" } },
            { type: "tool-approval-request", approvalId: "a1", toolCallId: "c1" }
          ]
        },
        { role: "tool", content: [{ type: "tool-approval-response", approvalId: "a1", approved: true }] }
      ]
      for (const tools of [[], [weather]]) {
        expect(yield* Effect.flip(provider.generate(request({ messages, tools })))).toMatchObject({
          _tag: "InvalidRequestError",
          parameter: "messages"
        })
      }
      expect(asked.length).toBe(0)
    })
  )

  it.effect("refuses messages that are none", () =>
    Effect.gen(function* () {
      const { asked, provider } = providerOf({ parts: [finishPart()] })
      const error = yield* Effect.flip(provider.generate(request({ messages: [{ role: "nobody" } as never] })))
      expect(error).toMatchObject({ _tag: "InvalidRequestError", parameter: "messages" })
      expect(asked.length).toBe(0)
    })
  )

  it.effect("infers what a model does not say, and says that it did", () =>
    Effect.gen(function* () {
      const { provider } = providerOf(
        { parts: [{ type: "text", text: "12345678" }] },
        { parts: [{ type: "tool-call", id: "c", name: "t", params: {} }] },
        { parts: [{ type: "text", text: "1234" }, finishPart("unknown", { inputTokens: {}, outputTokens: {} })] },
        {
          parts: [
            finishPart("stop", { inputTokens: { uncached: 3, cacheRead: 2 }, outputTokens: { text: 4, reasoning: 1 } })
          ]
        }
      )
      const first = yield* provider.generate(request())
      expect(first).toMatchObject({
        finishReason: "stop",
        usage: { inputTokens: 3, outputTokens: 2, estimated: true }
      })
      expect(yield* provider.generate(request())).toMatchObject({ finishReason: "tool-calls" })
      expect(yield* provider.generate(request())).toMatchObject({
        finishReason: "other",
        usage: { inputTokens: 3, outputTokens: 1, estimated: true }
      })
      expect((yield* provider.generate(request())).usage).toEqual({
        inputTokens: 5,
        outputTokens: 5,
        cachedInputTokens: 2,
        reasoningTokens: 1
      })
    })
  )

  it.effect("takes an answer that ended in an error for a failure", () =>
    Effect.gen(function* () {
      const { provider } = providerOf({ parts: [{ type: "text", text: "Hi" }, finishPart("error")] })
      expect((yield* Effect.flip(provider.generate(request())))._tag).toBe("ServerError")
    })
  )

  it.effect("asks with the whole prompt, whatever id another provider's response had", () =>
    Effect.gen(function* () {
      const { asked, provider } = providerOf({ parts: [{ type: "response-metadata", id: "resp_1" }, finishPart()] })
      const tracker = yield* ResponseIdTracker.make
      let marked = 0
      const spied = {
        ...tracker,
        markParts: (...args: Parameters<typeof tracker.markParts>) => {
          marked += 1
          tracker.markParts(...args)
        }
      }
      yield* provider.generate(request()).pipe(Effect.provideService(ResponseIdTracker.ResponseIdTracker, spied))
      yield* Stream.runDrain(provider.stream(request())).pipe(
        Effect.provideService(ResponseIdTracker.ResponseIdTracker, spied)
      )
      expect(marked).toBe(0)
      expect(asked.map((each) => each.previousResponseId)).toEqual([undefined, undefined])
    })
  )

  it.effect("knows what it can do", () =>
    Effect.sync(() => {
      const { model, provider } = providerOf()
      expect(provider.capabilities("x")).toEqual({ tools: true, jsonSchema: true, embeddings: false })
      const told = LanguageModelBridge.fromModels(
        { languageModel: model },
        {
          name: "x",
          capabilities: (name) => ({ vision: name === "v", jsonSchema: false })
        }
      )
      expect(told.capabilities("v")).toMatchObject({ vision: true, jsonSchema: false, tools: true })
    })
  )
})

const http = (status: number, more: { readonly body?: string; readonly headers?: Record<string, string> } = {}) => ({
  http: { response: { status, headers: more.headers ?? {} }, ...(more.body === undefined ? {} : { body: more.body }) }
})

const reasons: ReadonlyArray<[string, AiError.AiErrorReason, Record<string, unknown>]> = [
  [
    "RateLimitError",
    new AiError.RateLimitError({ retryAfter: Duration.seconds(3), ...http(429) }),
    {
      status: 429,
      source: "provider",
      retryAfter: Duration.seconds(3)
    }
  ],
  ["QuotaExhaustedError", new AiError.QuotaExhaustedError({ resetAt: DateTime.makeUnsafe(5000) }), { resetsAt: 5000 }],
  ["AuthenticationError", new AiError.AuthenticationError({ kind: "ExpiredKey" }), { kind: "invalid" }],
  ["AuthenticationError", new AiError.AuthenticationError({ kind: "MissingKey" }), { kind: "missing" }],
  ["AuthenticationError", new AiError.AuthenticationError({ kind: "InsufficientPermissions" }), { kind: "forbidden" }],
  ["ContentFilterError", new AiError.ContentPolicyError({ description: "no" }), { stage: "input", reason: "no" }],
  ["InvalidRequestError", new AiError.InvalidRequestError({ parameter: "tools" }), { parameter: "tools" }],
  ["ContextLengthError", new AiError.InvalidRequestError({ description: "maximum context length is 8192 tokens" }), {}],
  [
    "ContextLengthError",
    new AiError.InvalidRequestError(http(400, { body: '{"code":"context_length_exceeded"}' })),
    {}
  ],
  [
    "InvalidRequestError",
    new AiError.InvalidRequestError({ description: "context window full: too many tokens per minute" }),
    {}
  ],
  ["ModelNotFoundError", new AiError.InvalidRequestError({ description: "The model `x` does not exist" }), {}],
  [
    "InvalidResponseError",
    new AiError.InvalidResponseError({ description: "html", ...http(200, { body: "<html>" }) }),
    { excerpt: "<html>" }
  ],
  [
    "ServerError",
    new AiError.InternalProviderError({ description: "oops", ...http(500, { headers: { "retry-after": "1.5" } }) }),
    {
      status: 500,
      retryAfter: Duration.millis(1500)
    }
  ],
  ["ModelOverloadError", new AiError.InternalProviderError({ description: "busy", ...http(529) }), { status: 529 }],
  ["TransportError", networkError("connect ECONNREFUSED").reason, { phase: "connect" }],
  ["TransportError", networkError("getaddrinfo ENOTFOUND host").reason, { phase: "dns" }],
  ["TransportError", networkError("read ECONNRESET").reason, { phase: "reset" }],
  ["InvalidRequestError", new AiError.NetworkError({ reason: "InvalidUrlError", method: "POST", url: "::" }), {}],
  ["InvalidResponseError", new AiError.InvalidOutputError({ description: "bad part" }), {}],
  [
    "StructuredOutputError",
    new AiError.StructuredOutputError({ description: "a\nb", responseText: "{}" }),
    {
      issues: ["a", "b"],
      rawText: "{}"
    }
  ],
  ["InvalidRequestError", new AiError.UnsupportedSchemaError({ description: "x" }), { parameter: "responseFormat" }],
  ["ServerError", new AiError.UnknownError({ description: "?" }), { isRetryable: false }],
  ["ModelNotFoundError", new AiError.UnknownError(http(404)), {}],
  ["QuotaExhaustedError", new AiError.UnknownError(http(402)), {}],
  ["ServerError", new AiError.UnknownError(http(409)), { isRetryable: true }],
  ["InvalidResponseError", new AiError.ToolNotFoundError({ toolName: "x", availableTools: [] }), {}],
  ["InvalidResponseError", new AiError.ToolParameterValidationError({ toolName: "x", description: "y" }), {}],
  ["InvalidResponseError", new AiError.InvalidToolResultError({ toolName: "x", description: "y" }), {}],
  [
    "InvalidRequestError",
    new AiError.ToolResultEncodingError({ toolName: "x", toolResult: 1, description: "y" }),
    { parameter: "tools" }
  ],
  [
    "InvalidRequestError",
    new AiError.ToolConfigurationError({ toolName: "x", description: "y" }),
    { parameter: "tools" }
  ],
  ["InvalidRequestError", new AiError.ToolkitRequiredError({ pendingApprovals: [] }), { parameter: "messages" }],
  ["InvalidRequestError", new AiError.InvalidUserInputError({ description: "y" }), { parameter: "messages" }]
]

describe("an AiError as a failed attempt", () => {
  it.effect.each(reasons.map(([tag, reason, fields]) => ({ name: `${reason._tag} → ${tag}`, tag, reason, fields })))(
    "$name",
    ({ fields, reason, tag }) =>
      Effect.gen(function* () {
        const { provider } = providerOf({ error: aiError(reason) })
        const expected = { _tag: tag, provider: "inner", model: "label", ...fields }
        expect(yield* Effect.flip(provider.generate(request()))).toMatchObject(expected)
        expect((yield* collect(provider.stream(request()))).error).toMatchObject(expected)
      })
  )

  it("knows every reason there is", () => {
    const covered = new Set(reasons.map(([, reason]) => reason._tag))
    for (const member of AiError.AiErrorReason.members) expect(covered).toContain(member.fields._tag.schema.literal)
  })

  it.effect("never holds a key from an address", () =>
    Effect.gen(function* () {
      for (const reason of [
        networkError("failed at https://h.example/?key=sk-secret").reason,
        networkError("x").reason
      ]) {
        const { provider } = providerOf({ error: aiError(reason) })
        const error = yield* Effect.flip(provider.generate(request()))
        expect(JSON.stringify(error) + error.message).not.toContain("sk-secret")
      }
    })
  )
})

describe("a stream of a LanguageModel", () => {
  const streamed = [
    { type: "response-metadata", id: "resp_1", modelId: "exact" },
    { type: "reasoning-start", id: "r" },
    { type: "reasoning-delta", id: "r", delta: "Hm" },
    { type: "reasoning-end", id: "r", metadata: { vendor: { signature: "sig" } } },
    { type: "text-start", id: "t" },
    { type: "text-delta", id: "t", delta: "Hel" },
    { type: "text-delta", id: "t", delta: "lo" },
    { type: "text-end", id: "t" },
    { type: "tool-params-start", id: "c1", name: "weather" },
    { type: "tool-params-delta", id: "c1", delta: '{"city":"Ulm"}' },
    { type: "tool-params-end", id: "c1" },
    { type: "tool-call", id: "c1", name: "weather", params: { city: "Ulm" } },
    { type: "file", mediaType: "image/png", data: "AQID" },
    finishPart("tool-calls")
  ] as const

  it.effect("arrives as the parts of a turn", () =>
    Effect.gen(function* () {
      const { provider } = providerOf({ parts: streamed })
      const { error, parts } = yield* collect(provider.stream(request({ tools: [weather] })))
      expect(error).toBeUndefined()
      expect(parts).toEqual([
        { type: "response-metadata", id: "resp_1", model: "exact" },
        { type: "reasoning-delta", delta: "Hm" },
        { type: "reasoning-delta", delta: "", metadata: { vendor: { signature: "sig" } } },
        { type: "text-delta", delta: "Hel" },
        { type: "text-delta", delta: "lo" },
        { type: "tool-params-start", id: "c1", name: "weather" },
        { type: "tool-params-delta", id: "c1", delta: '{"city":"Ulm"}' },
        { type: "tool-call", id: "c1", name: "weather", params: { city: "Ulm" } },
        { type: "file", mediaType: "image/png", data: "AQID" },
        { type: "finish", reason: "tool-calls", usage: { inputTokens: 7, outputTokens: 3 } }
      ])
    })
  )

  it.effect("holds metadata back until there is content", () =>
    Effect.gen(function* () {
      const { provider } = providerOf(
        {
          parts: [{ type: "response-metadata", id: "resp_1" }],
          error: aiError(new AiError.InternalProviderError({ description: "no" }))
        },
        { parts: [{ type: "response-metadata", id: "resp_2" }, finishPart()] }
      )
      expect(yield* collect(provider.stream(request()))).toMatchObject({ types: [], error: { _tag: "ServerError" } })
      expect((yield* collect(provider.stream(request()))).types).toEqual(["response-metadata", "finish"])
    })
  )

  it.effect("has one end, and nothing after it", () =>
    Effect.gen(function* () {
      const { provider } = providerOf({
        parts: [
          { type: "text-delta", id: "t", delta: "a" },
          finishPart(),
          finishPart("length"),
          { type: "text-delta", id: "t", delta: "b" }
        ],
        error: networkError("read ECONNRESET")
      })
      expect(yield* collect(provider.stream(request()))).toMatchObject({
        types: ["text-delta", "finish"],
        error: undefined
      })
    })
  )

  it.effect("that just stops is no success", () =>
    Effect.gen(function* () {
      const parts = [
        { type: "text-delta", id: "t", delta: "Hel" },
        { type: "text-delta", id: "t", delta: "lo" }
      ] as const
      for (const answer of [{ parts }, { parts, error: networkError("read ECONNRESET") }]) {
        const { provider } = providerOf(answer)
        const { error, types } = yield* collect(provider.stream(request()))
        expect(types).toEqual(["text-delta", "text-delta"])
        expect(error).toMatchObject({
          _tag: "StreamInterruptedError",
          partialText: "Hello",
          parts: [{ delta: "Hel" }, { delta: "lo" }],
          provider: "inner",
          model: "label"
        })
      }
      const { provider } = providerOf({ parts: [] })
      expect((yield* collect(provider.stream(request()))).error?._tag).toBe("StreamInterruptedError")
    })
  )

  it.effect("is a call of its own each time it is run", () =>
    Effect.gen(function* () {
      const { asked, provider } = providerOf(
        { parts: [{ type: "text-delta", id: "t", delta: "lost" }] },
        { parts: [{ type: "text-delta", id: "t", delta: "kept" }, finishPart()] }
      )
      const stream = provider.stream(request())
      expect(asked.length).toBe(0)
      expect((yield* collect(stream)).error).toMatchObject({ partialText: "lost" })
      expect(yield* collect(stream)).toMatchObject({ types: ["text-delta", "finish"], error: undefined })
      expect(asked.length).toBe(2)
    })
  )

  it.effect("may fail in the band, after what it has already said", () =>
    Effect.gen(function* () {
      const said = { type: "text-delta", id: "t", delta: "Hi" } as const
      const cases = [
        [aiError(new AiError.RateLimitError({})), "RateLimitError"],
        [new AiError.InternalProviderError({ description: "x" }), "ServerError"],
        ["boom", "ServerError"]
      ] as const
      for (const [error, tag] of cases) {
        const { provider } = providerOf({ parts: [said, { type: "error", error }, finishPart()] })
        expect(yield* collect(provider.stream(request()))).toMatchObject({
          types: ["text-delta"],
          error: { _tag: tag }
        })
      }
      const { provider } = providerOf({ parts: [said, finishPart("error")] })
      expect(yield* collect(provider.stream(request()))).toMatchObject({
        types: ["text-delta"],
        error: { _tag: "ServerError" }
      })
    })
  )

  it.effect("gives a call that comes whole the beginning it lacks", () =>
    Effect.gen(function* () {
      const { provider } = providerOf({
        parts: [{ type: "tool-call", id: "c", name: "weather", params: { city: "Ulm" } }, finishPart("tool-calls")]
      })
      expect((yield* collect(provider.stream(request({ tools: [weather] })))).parts.slice(0, 3)).toEqual([
        { type: "tool-params-start", id: "c", name: "weather" },
        { type: "tool-params-delta", id: "c", delta: '{"city":"Ulm"}' },
        { type: "tool-call", id: "c", name: "weather", params: { city: "Ulm" } }
      ])
    })
  )

  it.effect("of an object arrives in one piece", () =>
    Effect.gen(function* () {
      const { provider } = providerOf({
        parts: [{ type: "response-metadata", id: "i" }, { type: "text", text: '{"a": 1}' }, finishPart()]
      })
      const responseFormat = {
        type: "json",
        name: "x",
        schema: { type: "object", properties: { a: { type: "number" } } }
      } as const
      expect((yield* collect(provider.stream(request({ responseFormat })))).parts).toEqual([
        { type: "response-metadata", id: "i" },
        { type: "text-delta", delta: '{"a":1}' },
        { type: "finish", reason: "stop", usage: { inputTokens: 7, outputTokens: 3 } }
      ])
    })
  )

  it.effect("closes the model's stream when it is let go", () =>
    Effect.gen(function* () {
      const opened = yield* Deferred.make<void>()
      let closed = 0
      const languageModel = yield* LanguageModel.make({
        generateText: () => Effect.never,
        streamText: () =>
          Stream.make({ type: "text-delta" as const, id: "t", delta: "a" }).pipe(
            Stream.tap(() => Deferred.succeed(opened, undefined)),
            Stream.concat(Stream.never),
            Stream.ensuring(
              Effect.sync(() => {
                closed += 1
              })
            )
          )
      })
      const provider = LanguageModelBridge.fromModels({ languageModel }, { name: "inner" })
      const fiber = yield* Effect.forkChild(Stream.runDrain(provider.stream(request())))
      yield* Deferred.await(opened)
      yield* Fiber.interrupt(fiber)
      expect(closed).toBe(1)
      yield* Stream.runDrain(Stream.take(provider.stream(request()), 1))
      expect(closed).toBe(2)
    })
  )
})

const bridged = (options: ScriptedProvider.Options["script"], more?: LanguageModelBridge.LanguageModelOptions) =>
  Effect.map(ScriptedProvider.make({ script: options }), (scripted) => ({
    scripted,
    layer: LanguageModelBridge.layerLanguageModel(more).pipe(Layer.provide(layerRetrying(scripted.provider, 1)))
  }))

const Weather = Tool.make("weather", {
  description: "The weather of a city",
  parameters: Schema.Struct({ city: Schema.String }),
  success: Schema.Struct({ degrees: Schema.Number })
})
const Tools = Toolkit.make(Weather)

describe("an LLM as a LanguageModel", () => {
  it.effect("answers with text and how it came about", () =>
    Effect.gen(function* () {
      const { layer, scripted } = yield* bridged(
        [
          ScriptedProvider.text("Hello.", {
            id: "resp_1",
            usage: { inputTokens: 9, outputTokens: 4, cachedInputTokens: 2, reasoningTokens: 1 }
          })
        ],
        { temperature: 0.2, maxTokens: 50, model: "m1" }
      )
      const response = yield* LanguageModel.generateText({
        prompt: [
          { role: "system", content: "Be kind" },
          { role: "user", content: "Hi" }
        ]
      }).pipe(Effect.provide(layer))
      expect(response.text).toBe("Hello.")
      expect(response.finishReason).toBe("stop")
      expect(response.usage.inputTokens).toMatchObject({ total: 9, uncached: 7, cacheRead: 2 })
      expect(response.usage.outputTokens).toMatchObject({ total: 4, text: 3, reasoning: 1 })
      expect(response.content[0]).toMatchObject({ type: "response-metadata", id: "resp_1", modelId: "scripted/m1" })
      expect(response.content.at(-1)?.metadata).toMatchObject({
        breakwater: { requestId: "r1", target: "scripted/m1" }
      })
      const asked = (yield* scripted.calls)[0]!.request as Request.ProviderRequest
      expect(asked).toMatchObject({ model: "m1", temperature: 0.2, maxTokens: 50 })
      expect(asked.messages.map((message) => message.role)).toEqual(["system", "user"])
      expect("tools" in asked || "toolChoice" in asked).toBe(false)
    })
  )

  it.effect("declares tools to the provider and runs them outside", () =>
    Effect.gen(function* () {
      const ran: Array<string> = []
      const { layer, scripted } = yield* bridged([ScriptedProvider.toolCall("weather", { city: "Ulm" }, { id: "c1" })])
      const response = yield* LanguageModel.generateText({ prompt: "?", toolkit: Tools, toolChoice: "required" }).pipe(
        Effect.provide([
          layer,
          Tools.toLayer({ weather: ({ city }) => Effect.sync(() => ({ degrees: ran.push(city) })) })
        ])
      )
      expect(ran).toEqual(["Ulm"])
      expect(response.toolResults[0]).toMatchObject({ id: "c1", name: "weather", result: { degrees: 1 } })
      expect((yield* scripted.calls)[0]?.request).toMatchObject({
        tools: [{ name: "weather", description: "The weather of a city", parameters: { required: ["city"] } }],
        toolChoice: "required"
      })
    })
  )

  it.effect("generates objects", () =>
    Effect.gen(function* () {
      const { layer, scripted } = yield* bridged([ScriptedProvider.text('{"when":"2026-01-02T00:00:00.000Z"}')])
      const response = yield* LanguageModel.generateObject({
        prompt: "?",
        objectName: "date",
        schema: Schema.Struct({ when: Schema.DateTimeUtcFromString })
      }).pipe(Effect.provide(layer))
      expect(DateTime.formatIso(response.value.when)).toBe("2026-01-02T00:00:00.000Z")
      expect((yield* scripted.calls)[0]?.request).toMatchObject({
        responseFormat: { type: "json", name: "date", schema: { type: "object", required: ["when"] } }
      })
    })
  )

  it.effect("rewrites schemas where a provider wants them so", () =>
    Effect.gen(function* () {
      const { layer, scripted } = yield* bridged([ScriptedProvider.text('{"a":null}')], {
        codecTransformer: toCodecOpenAI
      })
      const response = yield* LanguageModel.generateObject({
        prompt: "?",
        schema: Schema.Struct({ a: Schema.optionalKey(Schema.String) })
      }).pipe(Effect.provide(layer))
      expect(response.value).toEqual({})
      expect((yield* scripted.calls)[0]?.request).toMatchObject({
        responseFormat: { schema: { required: ["a"], additionalProperties: false } }
      })
      const refused = yield* LanguageModel.generateObject({
        prompt: "?",
        schema: Schema.Array(Schema.String) as never
      }).pipe(Effect.provide(layer), Effect.flip)
      expect((refused as AiError.AiError).reason._tag).toBe("UnsupportedSchemaError")
    })
  )

  it.effect("refuses tools that only one provider has", () =>
    Effect.gen(function* () {
      const { layer, scripted } = yield* bridged([ScriptedProvider.text("x")])
      const search = Tool.providerDefined({
        id: "vendor.search",
        customName: "Search",
        providerName: "search"
      })()
      const error = yield* LanguageModel.generateText({ prompt: "?", toolkit: Toolkit.make(search) }).pipe(
        Effect.provide(layer),
        Effect.flip
      )
      expect(error.reason).toMatchObject({ _tag: "InvalidRequestError", parameter: "tools" })
      expect(error.message).toContain("Search")
      expect((yield* scripted.counts).calls).toBe(0)
    })
  )

  it.effect("streams blocks with a beginning and an end", () =>
    Effect.gen(function* () {
      const { layer } = yield* bridged([
        ScriptedProvider.stream([
          { type: "response-metadata", id: "resp_1", model: "exact" },
          { type: "reasoning-delta", delta: "H" },
          { type: "reasoning-delta", delta: "m", metadata: { vendor: { signature: "s" } } },
          "Hel",
          "lo",
          { type: "tool-params-start", id: "c1", name: "weather" },
          { type: "tool-params-delta", id: "c1", delta: "{}" },
          { type: "tool-call", id: "c1", name: "weather", params: {} },
          "!",
          { type: "finish", reason: "stop", usage: { inputTokens: 1, outputTokens: 2 } }
        ])
      ])
      const parts = yield* LanguageModel.streamText({
        prompt: "?",
        toolkit: Tools,
        disableToolCallResolution: true,
        toolCallValidation: "deferred"
      }).pipe(Stream.runCollect, Effect.provide([layer, Tools.toLayer({ weather: () => Effect.die("not run") })]))
      expect(parts.map((part) => ("id" in part ? `${part.type} ${part.id}` : part.type))).toEqual([
        "response-metadata resp_1",
        "reasoning-start reasoning-1",
        "reasoning-delta reasoning-1",
        "reasoning-delta reasoning-1",
        "reasoning-end reasoning-1",
        "text-start text-2",
        "text-delta text-2",
        "text-delta text-2",
        "text-end text-2",
        "tool-params-start c1",
        "tool-params-delta c1",
        "tool-params-end c1",
        "tool-call c1",
        "text-start text-3",
        "text-delta text-3",
        "text-end text-3",
        "finish"
      ])
    })
  )

  it.effect("drops target parts and keeps the metadata of the answer that was taken", () =>
    Effect.gen(function* () {
      const llm: LLM.LLMService = {
        ...retryingLLM(providerOf().provider),
        stream: () =>
          Stream.make(
            { type: "target" as const, target: "a/m", attempt: 1, continues: false },
            { type: "response-metadata" as const, id: "lost" },
            { type: "target" as const, target: "b/m", attempt: 2, continues: false },
            { type: "text-delta" as const, delta: "Hel" },
            { type: "target" as const, target: "c/m", attempt: 3, continues: true },
            { type: "response-metadata" as const, id: "late" },
            { type: "text-delta" as const, delta: "lo" },
            {
              type: "finish" as const,
              reason: "stop" as const,
              usage: { inputTokens: 1, outputTokens: 1 },
              requestId: "r",
              target: "c/m",
              attempts: []
            }
          )
      }
      const parts = yield* LanguageModel.streamText({ prompt: "?" }).pipe(
        Stream.runCollect,
        Effect.provide(LanguageModelBridge.layerLanguageModel().pipe(Layer.provide(Layer.succeed(LLM.LLM, llm))))
      )
      expect(parts.map((part) => part.type)).toEqual([
        "response-metadata",
        "text-start",
        "text-delta",
        "text-delta",
        "text-end",
        "finish"
      ])
      expect(parts[0]).toMatchObject({ modelId: "b/m" })
      expect("id" in parts[0]!).toBe(false)
      expect(parts.at(-1)?.metadata).toMatchObject({ breakwater: { target: "c/m" } })
    })
  )

  it.effect("names a file that is elsewhere as a source", () =>
    Effect.gen(function* () {
      const file = (data: string) =>
        ScriptedProvider.turn({
          content: [{ type: "file", mediaType: "image/png", data }],
          finishReason: "stop",
          usage: { inputTokens: 1, outputTokens: 1 }
        })
      const { layer } = yield* bridged([
        file("AQID"),
        file("data:image/png;base64,AQID"),
        file("https://host.example/cat.png")
      ])
      const ask = LanguageModel.generateText({ prompt: "?" }).pipe(
        Effect.map((response) => response.content[1]),
        Effect.provide(layer)
      )
      expect(yield* ask).toMatchObject({ type: "file", data: new Uint8Array([1, 2, 3]) })
      expect(yield* ask).toMatchObject({ type: "file", data: new Uint8Array([1, 2, 3]) })
      expect(yield* ask).toMatchObject({ type: "source", url: new URL("https://host.example/cat.png") })
    })
  )

  it.effect("takes controls from its Layer, and from the part of the program that asks", () =>
    Effect.gen(function* () {
      const seen: Array<unknown> = []
      const service = retryingLLM(providerOf({ parts: [finishPart()] }).provider)
      const llm: LLM.LLMService = {
        ...service,
        generate: (options) => {
          seen.push(options)
          return service.generate({ prompt: options.prompt })
        },
        stream: (options) => {
          seen.push(options)
          return service.stream({ prompt: options.prompt })
        }
      }
      const layer = LanguageModelBridge.layerLanguageModel({
        strict: true,
        timeout: "9 seconds",
        streamPolicy: "buffer",
        context: { tenant: "one" }
      }).pipe(Layer.provide(Layer.succeed(LLM.LLM, llm)))
      const program = Effect.gen(function* () {
        yield* LanguageModel.generateText({ prompt: "a" })
        yield* LanguageModel.generateText({ prompt: "b" }).pipe(
          LanguageModelBridge.withControls({ context: { tenant: "two" } }),
          LanguageModelBridge.withControls({ requestId: "r9" })
        )
        yield* LanguageModel.streamText({ prompt: "c" }).pipe(
          LanguageModelBridge.withControlsStream({ context: { tenant: "three" } }),
          Stream.runDrain
        )
      })
      yield* Effect.provide(program, layer)
      const fixed = { strict: true, timeout: "9 seconds" }
      expect(seen[0]).toMatchObject({ ...fixed, context: { tenant: "one" } })
      expect(seen[0]).not.toHaveProperty("streamPolicy")
      expect(seen[1]).toMatchObject({ ...fixed, context: { tenant: "two" }, requestId: "r9" })
      expect(seen[2]).toMatchObject({ ...fixed, context: { tenant: "three" }, streamPolicy: "buffer" })
    })
  )
})

const origin = { message: "why", provider: "p", model: "m" }
const zero = Duration.zero
const failures: ReadonlyArray<[string, LLMError.LLMError]> = [
  [
    "RateLimitError",
    new LLMError.RateLimitError({ ...origin, source: "local", scope: "tokens", retryAfter: Duration.seconds(2) })
  ],
  ["QuotaExhaustedError", new LLMError.QuotaExhaustedError({ ...origin, resetsAt: 5 })],
  ["InternalProviderError", new LLMError.ModelOverloadError(origin)],
  ["InternalProviderError", new LLMError.ServerError(origin)],
  ["NetworkError", new LLMError.TransportError({ ...origin, phase: "dns" })],
  ["InternalProviderError", new LLMError.RequestTimeoutError({ ...origin, phase: "idle", limit: zero })],
  ["InternalProviderError", new LLMError.StreamInterruptedError({ ...origin, partialText: "", parts: [] })],
  ["InvalidResponseError", new LLMError.InvalidResponseError(origin)],
  ["InvalidRequestError", new LLMError.ContextLengthError({ ...origin, maxTokens: 3 })],
  ["ContentPolicyError", new LLMError.ContentFilterError({ ...origin, stage: "output" })],
  ["AuthenticationError", new LLMError.AuthenticationError({ ...origin, kind: "forbidden" })],
  ["InvalidRequestError", new LLMError.ModelNotFoundError(origin)],
  ["InvalidRequestError", new LLMError.InvalidRequestError({ ...origin, parameter: "tools" })],
  ["StructuredOutputError", new LLMError.StructuredOutputError({ ...origin, issues: [], rawText: "raw" })],
  ["InternalProviderError", new LLMError.CircuitOpenError({ ...origin, key: "p/m" })],
  ["RateLimitError", new LLMError.BulkheadFullError({ ...origin, key: "k", queued: 1, waited: zero })],
  [
    "QuotaExhaustedError",
    new LLMError.BudgetExceededError({
      ...origin,
      scope: "s",
      period: "day",
      limit: 1n,
      spent: 1n,
      reserved: 0n,
      needed: 1n
    })
  ],
  ["ContentPolicyError", new LLMError.InputRejectedError({ ...origin, rules: ["r"] })],
  ["ContentPolicyError", new LLMError.OutputRejectedError({ ...origin, rules: ["r"] })],
  ["UnknownError", new LLMError.DeadlineExceededError({ ...origin, elapsed: zero, limit: zero })],
  ["UnknownError", new LLMError.UnpricedModelError(origin)],
  ["UnknownError", new LLMError.StoreError({ ...origin, store: "s", operation: "get" })],
  [
    "UnknownError",
    new LLMError.AllTargetsFailedError({
      ...origin,
      attempts: [{ target: "p/m", error: new LLMError.ServerError(origin), startedAt: 0, took: zero }]
    })
  ]
]

describe("an LLMError as an AiError", () => {
  it("knows every error there is", () => {
    expect(new Set(failures.map(([, error]) => error._tag)).size).toBe(LLMError.LLMError.members.length)
  })

  it.effect.each(failures.map(([tag, error]) => ({ name: `${error._tag} → ${tag}`, tag, error })))(
    "$name, and back",
    ({ error, tag }) =>
      Effect.gen(function* () {
        const service = retryingLLM(providerOf().provider)
        const llm: LLM.LLMService = {
          ...service,
          generate: () => Effect.fail(error),
          stream: () => Stream.fail(error)
        }
        const model = yield* LanguageModelBridge.languageModel().pipe(Effect.provideService(LLM.LLM, llm))
        const whole = yield* Effect.flip(model.generateText({ prompt: "?" }))
        const streamed = yield* Effect.flip(Stream.runDrain(model.streamText({ prompt: "?" })))
        for (const failure of [whole, streamed]) {
          expect(failure.reason._tag).toBe(tag)
          expect(Option.getOrUndefined(LanguageModelBridge.llmError(failure))).toBe(error)
        }
        // a provider made of that model fails as the original did
        const provider = LanguageModelBridge.fromModels({ languageModel: model }, { name: "again" })
        const again = yield* Effect.flip(provider.generate(request()))
        expect(again._tag).toBe(error._tag === "AllTargetsFailedError" ? "ServerError" : error._tag)
        expect(again.provider).toBe("p")
      })
  )

  it.effect("has none of ours for an AiError from elsewhere", () =>
    Effect.sync(() => {
      expect(Option.isNone(LanguageModelBridge.llmError(networkError("x")))).toBe(true)
    })
  )
})

describe("there and back", () => {
  const whole = [
    { type: "response-metadata", id: "resp_1", modelId: "exact" },
    { type: "reasoning", text: "Hm.", metadata: { vendor: { signature: "sig" } } },
    { type: "text", text: "Hi." },
    { type: "source", sourceType: "url", id: "s", url: "https://host.example/", title: "T" },
    { type: "tool-call", id: "c1", name: "weather", params: { city: "Ulm" }, metadata: { vendor: { x: 1 } } },
    { type: "file", mediaType: "image/png", data: "AQID" },
    {
      ...finishPart("tool-calls", {
        inputTokens: { total: 9, uncached: 6, cacheRead: 2, cacheWrite: 1 },
        outputTokens: { total: 5, text: 3, reasoning: 2 }
      }),
      metadata: { vendor: { tier: "x" } }
    }
  ] as const

  const outer = (fake: ReturnType<typeof fakeModel>) =>
    LanguageModelBridge.languageModel().pipe(
      Effect.provide(layerRetrying(LanguageModelBridge.fromModels({ languageModel: fake.model }, { name: "inner" })))
    )

  it.effect("a whole answer is the same, part by part", () =>
    Effect.gen(function* () {
      const fake = fakeModel({ parts: whole })
      const model = yield* outer(fake)
      const options = { prompt: "?", disableToolCallResolution: true, toolCallValidation: "deferred" } as const
      const direct = yield* fake.model.generateText(options)
      const through = yield* model.generateText(options)
      const plain = (parts: ReadonlyArray<object>) =>
        parts.map((part) => {
          const { breakwater: _, ...metadata } = (part as { metadata: Record<string, unknown> }).metadata
          return Object.assign({}, part, { metadata })
        })
      expect(plain(through.content)).toEqual(plain(direct.content))
    })
  )

  it.effect.each(["stop", "length", "content-filter", "tool-calls", "pause", "other"] as const)(
    "the finish reason %s is kept",
    (reason) =>
      Effect.gen(function* () {
        const model = yield* outer(fakeModel({ parts: [finishPart(reason)] }))
        expect((yield* model.generateText({ prompt: "?" })).finishReason).toBe(reason)
        const parts = yield* Stream.runCollect(model.streamText({ prompt: "?" }))
        expect(parts.at(-1)).toMatchObject({ type: "finish", reason })
      })
  )

  it.effect("a stream carries the same content", () =>
    Effect.gen(function* () {
      const fake = fakeModel({
        parts: [
          { type: "response-metadata", id: "resp_1", modelId: "exact" },
          { type: "reasoning-start", id: "0" },
          { type: "reasoning-delta", id: "0", delta: "Hm" },
          { type: "reasoning-end", id: "0", metadata: { vendor: { signature: "sig" } } },
          { type: "text-start", id: "1" },
          { type: "text-delta", id: "1", delta: "Hi" },
          { type: "text-end", id: "1" },
          { type: "tool-params-start", id: "c1", name: "weather" },
          { type: "tool-params-delta", id: "c1", delta: "{}" },
          { type: "tool-params-end", id: "c1" },
          { type: "tool-call", id: "c1", name: "weather", params: {} },
          { type: "file", mediaType: "image/png", data: "AQID" },
          { type: "source", sourceType: "url", id: "s", url: "https://host.example/", title: "T" },
          finishPart("tool-calls")
        ]
      })
      const model = yield* outer(fake)
      const options = { prompt: "?", disableToolCallResolution: true, toolCallValidation: "deferred" } as const
      const direct = yield* Stream.runCollect(fake.model.streamText(options))
      const through = yield* Stream.runCollect(model.streamText(options))
      // Ids of blocks are new, and what is empty but for its metadata is looked at below.
      const bare = (parts: ReadonlyArray<object>) =>
        (parts as ReadonlyArray<{ readonly type: string; readonly delta?: string; readonly id?: string }>)
          .filter((part) => part.delta !== "" && part.type !== "finish")
          .map((part) => Object.assign({}, part, { metadata: {} }, /text|reasoning/.test(part.type) ? { id: "" } : {}))
      expect(bare(through)).toEqual(bare(direct))
      const signed = through.find((part) => part.type === "reasoning-delta" && part.delta === "")
      expect(signed?.metadata).toEqual({ vendor: { signature: "sig" } })
      expect(through.at(-1)).toMatchObject({ usage: { inputTokens: { total: 7 }, outputTokens: { total: 3 } } })
    })
  )

  it.effect("an object keeps its meaning through a model with rules of its own", () =>
    Effect.gen(function* () {
      // A model whose wire has every field, null for those left out.
      const strict = yield* LanguageModel.make({
        codecTransformer: toCodecOpenAI,
        generateText: () => Effect.succeed([{ type: "text", text: '{"name":"Ada","nick":null}' }, finishPart()]),
        streamText: () => Stream.empty
      })
      const model = yield* LanguageModelBridge.languageModel().pipe(
        Effect.provide(layerRetrying(LanguageModelBridge.fromModels({ languageModel: strict }, { name: "strict" })))
      )
      const response = yield* model.generateObject({
        prompt: "?",
        schema: Schema.Struct({ name: Schema.String, nick: Schema.optionalKey(Schema.String) })
      })
      expect(response.value).toEqual({ name: "Ada" })
    })
  )
})

describe("embeddings", () => {
  const fakeEmbeddings = (inputTokens: number | undefined) =>
    EmbeddingModel.make({
      embedMany: ({ inputs }) =>
        inputs.includes("bad")
          ? Effect.fail(aiError(new AiError.RateLimitError({})))
          : Effect.succeed({ results: inputs.map((input) => [input.length, 1]), usage: { inputTokens } })
    })

  it.effect("an EmbeddingModel is a provider", () =>
    Effect.gen(function* () {
      const layer = Layer.effect(EmbeddingModel.EmbeddingModel, fakeEmbeddings(5))
      const provider = yield* LanguageModelBridge.embeddingProvider({ name: "vectors" }).pipe(Effect.provide(layer))
      expect(yield* provider.embed({ model: "m", input: ["a", "bb"] })).toEqual({
        vectors: [
          [1, 1],
          [2, 1]
        ],
        usage: { inputTokens: 5, outputTokens: 0 }
      })
      expect(yield* Effect.flip(provider.embed({ model: "m", input: ["bad"] }))).toMatchObject({
        _tag: "RateLimitError",
        provider: "vectors"
      })
      expect(yield* Effect.flip(provider.embed({ model: "m", input: ["a"], dimensions: 3 }))).toMatchObject({
        parameter: "dimensions"
      })
      expect((yield* Effect.flip(provider.generate(request())))._tag).toBe("InvalidRequestError")
      expect(provider.capabilities("m")).toEqual({ tools: false, jsonSchema: false, embeddings: true })
      const silent = LanguageModelBridge.fromModels({ embeddingModel: yield* fakeEmbeddings(undefined) }, { name: "s" })
      expect((yield* silent.embed({ model: "m", input: ["12345678"] })).usage).toEqual({
        inputTokens: 2,
        outputTokens: 0,
        estimated: true
      })
      expect(yield* Effect.flip(providerOf().provider.embed({ model: "m", input: ["a"] }))).toMatchObject({
        _tag: "InvalidRequestError"
      })
    })
  )

  it.effect("an LLM serves as an EmbeddingModel, and tenants never share a batch", () =>
    Effect.gen(function* () {
      const asked: Array<unknown> = []
      const service = retryingLLM(
        LanguageModelBridge.fromModels(
          { embeddingModel: yield* fakeEmbeddings(2) },
          { name: "vectors", unsupported: "ignore" }
        )
      )
      const llm: LLM.LLMService = {
        ...service,
        embed: (options) => {
          asked.push([options.context?.tenant, options.input, options.dimensions])
          return service.embed(options)
        }
      }
      const model = yield* LanguageModelBridge.embeddingModel({ dimensions: 2, context: { tenant: "one" } }).pipe(
        Effect.provideService(LLM.LLM, llm)
      )
      const response = yield* model.embedMany(["a", "bb"])
      expect(response.embeddings.map((each) => each.vector)).toEqual([
        [1, 1],
        [2, 1]
      ])
      expect(response.usage.inputTokens).toBe(2)
      expect(asked).toEqual([["one", ["a", "bb"], 2]])
      asked.length = 0
      const two = LanguageModelBridge.withControls({ context: { tenant: "two" } })
      yield* Effect.all([model.embed("x"), model.embed("y"), two(model.embed("z"))], { concurrency: "unbounded" })
      expect(asked).toHaveLength(2)
      expect(asked).toContainEqual(["one", ["x", "y"], 2])
      expect(asked).toContainEqual(["two", ["z"], 2])
      const error = yield* Effect.flip(model.embed("bad"))
      expect(Option.getOrUndefined(LanguageModelBridge.llmError(error))?._tag).toBe("RateLimitError")
      expect(Failures.rateLimit()._tag).toBe("RateLimitError")
    })
  )
})
