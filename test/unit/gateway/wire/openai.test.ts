import { LLMError } from "@breakwater/core"
import * as Duration from "effect/Duration"
import { assert, describe, it } from "@effect/vitest"
import { isProblem, problem } from "../../../../packages/gateway/src/internal/Problem.ts"
import { decodeChat, decodeEmbeddings } from "../../../../packages/gateway/src/wire/openai/Decode.ts"
import { ChatStreamEncoder, encodeChat } from "../../../../packages/gateway/src/wire/openai/Encode.ts"
import { encodeError } from "../../../../packages/gateway/src/wire/openai/Errors.ts"
import { answerOf, finish } from "./answers.ts"

const decoded = (body: Record<string, unknown>) => {
  const asked = decodeChat({ model: "p/m", messages: [{ role: "user", content: "Hi" }], ...body })
  if (isProblem(asked)) throw new Error(asked.message)
  return asked
}

const refusedParam = (body: Record<string, unknown>) => {
  const asked = decodeChat({ model: "p/m", messages: [{ role: "user", content: "Hi" }], ...body })
  return isProblem(asked) ? asked.param : undefined
}

describe("decoding a chat", () => {
  it("puts every known field in its place and hands the others on", () => {
    const { call, fallbacks, includeUsage, model, stream } = decoded({
      fallbacks: ["q/n"],
      stream: true,
      stream_options: { include_usage: true },
      temperature: 0.5,
      top_p: 0.9,
      max_completion_tokens: 10,
      stop: "END",
      seed: 7,
      presence_penalty: 1,
      frequency_penalty: -1,
      user: "u",
      reasoning_effort: "low",
      logit_bias: { 5: 1 },
      service_tier: "flex"
    })
    assert.deepStrictEqual(
      { model, fallbacks, stream, includeUsage },
      { model: "p/m", fallbacks: ["q/n"], stream: true, includeUsage: true }
    )
    assert.deepStrictEqual(call, {
      prompt: [{ role: "user", content: "Hi" }],
      temperature: 0.5,
      topP: 0.9,
      maxTokens: 10,
      stop: ["END"],
      seed: 7,
      presencePenalty: 1,
      frequencyPenalty: -1,
      user: "u",
      reasoning: { effort: "low" },
      extra: { logit_bias: { 5: 1 }, service_tier: "flex" }
    })
  })

  it("reads a conversation with tools, images and files", () => {
    const { call } = decoded({
      messages: [
        {
          role: "developer",
          content: [
            { type: "text", text: "Be " },
            { type: "text", text: "brief." }
          ]
        },
        {
          role: "user",
          content: [
            { type: "text", text: "What is this?" },
            { type: "image_url", image_url: { url: "data:image/png;base64,aGk=", detail: "low" } },
            { type: "image_url", image_url: { url: "https://a.example/b.jpg" } },
            { type: "input_audio", input_audio: { data: "aGk=", format: "mp3" } }
          ]
        },
        {
          role: "assistant",
          content: null,
          tool_calls: [{ id: "c1", type: "function", function: { name: "look", arguments: '{"at":1}' } }]
        },
        { role: "tool", tool_call_id: "c1", content: "a cat" },
        { role: "assistant", content: "A cat." },
        { role: "user", content: "Thanks" }
      ]
    })
    assert.deepStrictEqual(call.prompt, [
      { role: "system", content: "Be brief." },
      {
        role: "user",
        content: [
          { type: "text", text: "What is this?" },
          {
            type: "file",
            mediaType: "image/png",
            data: "data:image/png;base64,aGk=",
            options: { "openai-compatible": { detail: "low" } }
          },
          { type: "file", mediaType: "image/*", data: "https://a.example/b.jpg" },
          { type: "file", mediaType: "audio/mpeg", data: "aGk=" }
        ]
      },
      { role: "assistant", content: [{ type: "tool-call", id: "c1", name: "look", params: { at: 1 } }] },
      {
        role: "tool",
        content: [{ type: "tool-result", id: "c1", name: "look", isFailure: false, result: "a cat" }]
      },
      { role: "assistant", content: "A cat." },
      { role: "user", content: "Thanks" }
    ])
  })

  it("reads tools and every way to choose among them", () => {
    const tools = [{ type: "function", function: { name: "a", parameters: { type: "object" }, strict: true } }]
    const choice = (tool_choice: unknown) => decoded({ tools, tool_choice }).call.toolChoice
    assert.deepStrictEqual(decoded({ tools }).call.tools, [{ name: "a", parameters: { type: "object" }, strict: true }])
    assert.strictEqual(choice("required"), "required")
    assert.deepStrictEqual(choice({ type: "function", function: { name: "a" } }), { tool: "a" })
    const allowed = { mode: "required", tools: [{ type: "function", function: { name: "a" } }] }
    assert.deepStrictEqual(choice({ type: "allowed_tools", allowed_tools: allowed }), {
      oneOf: ["a"],
      mode: "required"
    })
  })

  it("hands on tools that are the provider's own, and formats it does not know", () => {
    const tools = [{ type: "web_search" }]
    const { call } = decoded({ tools, tool_choice: "auto", response_format: { type: "json_object" } })
    assert.isUndefined(call.tools)
    assert.deepStrictEqual(call.extra, { tools, tool_choice: "auto", response_format: { type: "json_object" } })
  })

  it("names the field that is wrong", () => {
    assert.strictEqual(
      refusedParam({
        messages: [{ role: "user", content: [{ type: "image_url", image_url: { url: "file:///etc/passwd" } }] }]
      }),
      "messages[0].content[0].image_url.url"
    )
    assert.strictEqual(refusedParam({ messages: [{ role: "tool", content: "x" }] }), "messages[0].tool_call_id")
    assert.strictEqual(refusedParam({ tools: [{ type: "function", function: {} }] }), "tools[0].function.name")
    assert.strictEqual(refusedParam({ tool_choice: { type: "function" } }), "tool_choice.function")
    assert.strictEqual(refusedParam({ reasoning_effort: 3 }), "reasoning_effort")
  })

  it("reads embeddings, of texts and of tokens", () => {
    const asked = decodeEmbeddings({
      model: "p/m",
      input: "one",
      encoding_format: "base64",
      dimensions: 3,
      truncate: true
    })
    assert.deepInclude(asked, { base64: true, call: { input: ["one"], dimensions: 3, extra: { truncate: true } } })
    const tokens = decodeEmbeddings({ model: "p/m", input: [[1, 2], [3]] })
    assert.deepInclude(tokens, { tokens: true, call: { input: ["1 2", "3"], extra: { input: [[1, 2], [3]] } } })
    const refused = decodeEmbeddings({ model: "p/m", input: [1, "two"] })
    assert.isTrue(isProblem(refused) && refused.param === "input[1]")
  })
})

const naming = { requestId: "r1", created: 5 }

describe("encoding a chat", () => {
  it("gives back what the provider said besides", () => {
    const body = JSON.parse(
      encodeChat(
        answerOf({ extra: { system_fingerprint: "fp", logprobs: { content: [] }, annotations: [1], created: 9 } }),
        naming
      )
    )
    assert.deepInclude(body, {
      id: "x1",
      object: "chat.completion",
      created: 9,
      model: "m-1",
      system_fingerprint: "fp"
    })
    assert.deepStrictEqual(body.choices[0], {
      index: 0,
      message: { role: "assistant", content: "Hello", refusal: null, annotations: [1] },
      logprobs: { content: [] },
      finish_reason: "stop"
    })
    assert.strictEqual(body.usage.total_tokens, 5)
    assert.isUndefined(body.logprobs)
  })

  it("encodes tools and thoughts", () => {
    const body = JSON.parse(
      encodeChat(
        answerOf({
          text: "",
          finishReason: "tool-calls",
          content: [
            { type: "reasoning", text: "Hm." },
            { type: "tool-call", id: "c1", name: "look", params: { at: 1 } }
          ]
        }),
        naming
      )
    )
    assert.deepInclude(body.choices[0].message, { content: null, reasoning_content: "Hm." })
    assert.deepStrictEqual(body.choices[0].message.tool_calls, [
      { id: "c1", type: "function", function: { name: "look", arguments: '{"at":1}' } }
    ])
    assert.strictEqual(body.choices[0].finish_reason, "tool_calls")
  })

  it("streams chunks that name the model that writes", () => {
    const encoder = new ChatStreamEncoder(naming, true)
    const text = [
      encoder.part({ type: "target", target: "p/m", attempt: 1, continues: false }),
      encoder.part({ type: "response-metadata", id: "x1", model: "m-1" }),
      encoder.part({ type: "text-delta", delta: "Hel" }),
      encoder.part({ type: "target", target: "q/n", attempt: 2, continues: true }),
      encoder.part({ type: "text-delta", delta: "lo" }),
      encoder.part(finish({ target: "q/n" }))
    ].join("")
    const events = text.split("\n\n").filter((each) => each !== "")
    assert.strictEqual(events.pop(), "data: [DONE]")
    const chunks = events.map((each) => JSON.parse(each.slice(6)))
    assert.deepStrictEqual(
      chunks.map(({ model }) => model),
      ["m-1", "n", "n", "n"]
    )
    assert.deepStrictEqual(
      chunks.map(({ id }) => id),
      ["x1", "x1", "x1", "x1"]
    )
    assert.deepStrictEqual(chunks[0].choices[0].delta, { role: "assistant", content: "Hel" })
    assert.deepStrictEqual(chunks[1].choices[0].delta, { content: "lo" })
    assert.strictEqual(chunks[2].choices[0].finish_reason, "stop")
    assert.deepStrictEqual(chunks[2].breakwater, { target: "q/n", attempts: 1 })
    assert.strictEqual(chunks[3].usage.total_tokens, 5)
  })

  it("streams calls of tools by their index", () => {
    const encoder = new ChatStreamEncoder(naming, false)
    const text = [
      encoder.part({ type: "tool-params-start", id: "a", name: "one" }),
      encoder.part({ type: "tool-params-start", id: "b", name: "two" }),
      encoder.part({ type: "tool-params-delta", id: "a", delta: "{}" }),
      encoder.part({ type: "tool-params-delta", id: "b", delta: "[]" }),
      encoder.part({ type: "tool-call", id: "a", name: "one", params: {} }),
      encoder.part({ type: "tool-call", id: "c", name: "three", params: { x: 1 } })
    ].join("")
    const calls = text
      .split("\n\n")
      .filter((each) => each !== "")
      .map((each) => JSON.parse(each.slice(6)).choices[0].delta.tool_calls[0])
    assert.deepStrictEqual(
      calls.map(({ index }) => index),
      [0, 1, 0, 1, 2]
    )
    assert.strictEqual(calls[4].function.arguments, '{"x":1}')
  })
})

describe("errors", () => {
  const of = (error: LLMError.LLMError) => encodeError(error)

  it("have the status of their kind", () => {
    const message = "x"
    const cases: ReadonlyArray<readonly [LLMError.LLMError, number, string | null]> = [
      [new LLMError.RateLimitError({ message, source: "provider", scope: "requests" }), 429, "rate_limit_exceeded"],
      [new LLMError.QuotaExhaustedError({ message }), 429, "insufficient_quota"],
      [new LLMError.ModelOverloadError({ message }), 503, "overloaded"],
      [new LLMError.ServerError({ message }), 502, "upstream_error"],
      [new LLMError.AuthenticationError({ message, kind: "invalid" }), 502, "upstream_authentication_error"],
      [new LLMError.ContextLengthError({ message }), 400, "context_length_exceeded"],
      [new LLMError.ModelNotFoundError({ message }), 404, "model_not_found"],
      [
        new LLMError.RequestTimeoutError({ message, phase: "firstToken", limit: Duration.seconds(1) }),
        504,
        "upstream_timeout"
      ],
      [new LLMError.CircuitOpenError({ message, key: "k" }), 503, "overloaded"],
      [new LLMError.InvalidRequestError({ message, parameter: "topP" }), 400, null]
    ]
    for (const [error, status, code] of cases) {
      const encoded = of(error)
      assert.strictEqual(encoded.status, status, error._tag)
      assert.strictEqual(JSON.parse(encoded.body).error.code, code, error._tag)
    }
  })

  it("say when to come again, rounded up, where that helps", () => {
    const hint = new LLMError.RateLimitError({
      message: "x",
      source: "provider",
      scope: "requests",
      retryAfter: Duration.millis(1_200)
    })
    assert.strictEqual(of(hint).headers["retry-after"], "2")
    assert.strictEqual(of(new LLMError.ModelOverloadError({ message: "x" })).headers["retry-after"], "1")
    assert.isUndefined(of(new LLMError.ServerError({ message: "x" })).headers["retry-after"])
    assert.strictEqual(encodeError(problem("rate-limited", "x", { retryAfterMs: 100 })).headers["retry-after"], "1")
  })

  it("of several targets are those of the most telling one", () => {
    const attempt = (error: LLMError.AttemptError) => ({ target: "p/m", error, startedAt: 0, took: Duration.zero })
    const all = (...errors: ReadonlyArray<LLMError.AttemptError>) =>
      of(new LLMError.AllTargetsFailedError({ message: "x", attempts: errors.map(attempt) })).status
    const server = new LLMError.ServerError({ message: "x" })
    const open = new LLMError.CircuitOpenError({ message: "x", key: "k" })
    const long = new LLMError.ContextLengthError({ message: "x" })
    assert.strictEqual(all(server, open), 502)
    assert.strictEqual(all(open, open), 503)
    assert.strictEqual(all(long, server), 400)
  })

  it("name fields as the wire does", () => {
    const { error } = JSON.parse(
      of(new LLMError.InvalidRequestError({ message: "topP: 9 is not allowed", parameter: "topP" })).body
    )
    assert.deepInclude(error, { param: "top_p", message: "top_p: 9 is not allowed" })
  })
})
