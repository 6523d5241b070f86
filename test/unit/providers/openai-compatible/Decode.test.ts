import { assert, describe, it } from "@effect/vitest"
import type { LLMError, Response } from "@breakwater/core"
import { Response as CoreResponse } from "@breakwater/core"
import * as Schema from "effect/Schema"
import { readdirSync, readFileSync } from "node:fs"
import type { AnswerContext } from "../../../../packages/providers/src/openai-compatible/Answer.ts"
import { decodeChat, decodeEmbeddings } from "../../../../packages/providers/src/openai-compatible/Decode.ts"
import { ChatStreamDecoder } from "../../../../packages/providers/src/openai-compatible/StreamDecode.ts"
import { decodeUsage } from "../../../../packages/providers/src/openai-compatible/Usage.ts"
import { StreamReader } from "../../../../packages/providers/src/internal/StreamReader.ts"

const target = { provider: "test", model: "m" }
const head = { status: 200, headers: {}, nowMs: 0 }
const context: AnswerContext = { target, head, promptCharacters: () => 40, errorsInText: false }

const whole = (body: object, extra?: Partial<AnswerContext>): Response.Turn => {
  const turn = decodeChat({ ...head, text: JSON.stringify(body) }, { ...context, ...extra })
  if ("_tag" in turn) throw turn
  return turn
}

const wholeError = (body: object, extra?: Partial<AnswerContext>): LLMError.AttemptError => {
  const turn = decodeChat({ ...head, text: JSON.stringify(body) }, { ...context, ...extra })
  assert.isTrue("_tag" in turn)
  return turn as LLMError.AttemptError
}

const choice = (message: object, finish_reason = "stop", more: object = {}) => ({
  id: "r1",
  choices: [{ index: 0, message, finish_reason, ...more }],
  usage: { prompt_tokens: 5, completion_tokens: 7 }
})

/** The parts of a stream, and the error it ends with. */
const streamed = (text: string, extra?: Partial<AnswerContext>, size = 1 << 20) => {
  const reader = new StreamReader({
    decoder: new ChatStreamDecoder({ ...context, ...extra }),
    origin: target,
    onMalformed: () => {},
    onText: () => []
  })
  const bytes = new TextEncoder().encode(text)
  const parts: Array<Response.StreamPart> = []
  for (let at = 0; at < bytes.length; at += size) {
    reader.feed(bytes.subarray(at, at + size))
    parts.push(...reader.take())
  }
  reader.close()
  parts.push(...reader.take())
  return { parts, error: reader.failure }
}

const chunks = (...list: ReadonlyArray<object | string>): string =>
  list.map((each) => `data: ${typeof each === "string" ? each : JSON.stringify(each)}\n\n`).join("")

const delta = (fields: object, finish_reason: string | null = null, more: object = {}) => ({
  id: "r1",
  model: "m-1",
  choices: [{ index: 0, delta: fields, finish_reason }],
  ...more
})

const usage = { usage: { prompt_tokens: 5, completion_tokens: 7 }, choices: [] }

describe("a whole answer", () => {
  it("text, reasoning, tool calls, files and unknown fields", () => {
    const turn = whole({
      ...choice({
        role: "assistant",
        content: "It is 4.",
        reasoning_content: "2+2",
        tool_calls: [
          { id: "t1", type: "function", function: { name: "add", arguments: '{"a":1}' } },
          { type: "function", function: { name: "none", arguments: "" } },
          { id: "t3", type: "function", function: { name: "broken", arguments: '{"a":' } },
          { id: "t4", type: "function", function: { name: "object", arguments: { a: 2 } } }
        ],
        images: [{ image_url: { url: "data:image/png;base64,AQID" } }],
        annotations: [{ type: "url_citation" }]
      }),
      system_fingerprint: "fp",
      model: "m-1"
    })
    assert.deepStrictEqual(turn, {
      id: "r1",
      model: "m-1",
      finishReason: "tool-calls",
      usage: { inputTokens: 5, outputTokens: 7 },
      content: [
        { type: "reasoning", text: "2+2" },
        { type: "text", text: "It is 4." },
        { type: "file", mediaType: "image/png", data: "AQID" },
        { type: "tool-call", id: "t1", name: "add", params: { a: 1 } },
        { type: "tool-call", id: "r1:1", name: "none", params: {} },
        { type: "tool-call", id: "t3", name: "broken", params: '{"a":' },
        { type: "tool-call", id: "t4", name: "object", params: { a: 2 } }
      ],
      extra: { system_fingerprint: "fp", annotations: [{ type: "url_citation" }] }
    })
    Schema.decodeUnknownSync(CoreResponse.Turn)(turn)
  })

  it("content in parts, with thinking among them", () => {
    const turn = whole(
      choice({
        content: [
          { type: "thinking", thinking: [{ type: "text", text: "hm" }] },
          { type: "text", text: "a" },
          { type: "text", text: "b" }
        ]
      })
    )
    assert.deepStrictEqual(turn.content, [
      { type: "reasoning", text: "hm" },
      { type: "text", text: "ab" }
    ])
  })

  it("finish reasons", () => {
    for (const [wire, reason] of [
      ["length", "length"],
      ["eos", "stop"],
      ["tool_calls", "tool-calls"],
      ["odd", "other"]
    ] as const) {
      assert.strictEqual(whole(choice({ content: "x" }, wire)).finishReason, reason)
    }
  })

  it("a filter or a refusal is a ContentFilterError of the output", () => {
    const filtered = wholeError(
      choice({ content: "" }, "content_filter", {
        content_filter_results: { hate: { filtered: true }, self_harm: { filtered: false } }
      })
    )
    assert.strictEqual(filtered._tag, "ContentFilterError")
    assert.deepInclude(filtered, { stage: "output", categories: ["hate"] })
    const refusal = wholeError(choice({ content: null, refusal: "I can't." }))
    assert.deepInclude(refusal, { _tag: "ContentFilterError", stage: "output", reason: "I can't." })
  })

  it("silent overflow is an error where the numbers allow it", () => {
    const error = wholeError(choice({ content: "x" }), { contextWindow: 4 })
    assert.deepInclude(error, { _tag: "ContextLengthError", maxTokens: 4, requestedTokens: 5 })
    const cut = { ...choice({ content: "" }, "length"), usage: { prompt_tokens: 4096, completion_tokens: 0 } }
    assert.deepInclude(wholeError(cut), { _tag: "ContextLengthError", requestedTokens: 4096 })
  })

  it("usage is estimated where there is none", () => {
    assert.deepStrictEqual(whole({ choices: [{ message: { content: "12345678" }, finish_reason: "stop" }] }).usage, {
      inputTokens: 10,
      outputTokens: 2,
      estimated: true
    })
  })
})

describe("usage", () => {
  it("totals include their parts", () => {
    assert.deepStrictEqual(
      decodeUsage({
        prompt_tokens: 100,
        completion_tokens: 50,
        total_tokens: 150,
        prompt_tokens_details: { cached_tokens: 80, audio_tokens: 4, cache_write_tokens: 10 },
        completion_tokens_details: { reasoning_tokens: 30, audio_tokens: 2 },
        cost: 0.0123
      }),
      {
        inputTokens: 100,
        outputTokens: 50,
        cachedInputTokens: 80,
        cacheWriteTokens: 10,
        reasoningTokens: 30,
        audioInputTokens: 4,
        audioOutputTokens: 2,
        reportedCostUsd: 0.0123
      }
    )
  })

  it("reasoning that a server counts apart is added", () => {
    const details = { completion_tokens_details: { reasoning_tokens: 30 } }
    const apart = decodeUsage({ prompt_tokens: 10, completion_tokens: 50, total_tokens: 90, ...details })
    assert.deepStrictEqual(apart, { inputTokens: 10, outputTokens: 80, reasoningTokens: 30 })
    assert.strictEqual(decodeUsage({ prompt_tokens: 10, completion_tokens: 5, ...details })?.outputTokens, 35)
  })

  it("DeepSeek's cache, and nonsense", () => {
    const cached = decodeUsage({ prompt_tokens: 10, completion_tokens: 1, prompt_cache_hit_tokens: 8 })
    assert.strictEqual(cached?.cachedInputTokens, 8)
    for (const bad of [
      null,
      {},
      { prompt_tokens: 0, completion_tokens: 0 },
      { prompt_tokens: "5" },
      { prompt_tokens: -1 }
    ]) {
      assert.strictEqual(decodeUsage(bad), undefined)
    }
  })
})

describe("a stream", () => {
  it("text, reasoning and usage after the finish reason", () => {
    const { parts, error } = streamed(
      chunks(
        delta({ role: "assistant", content: "" }),
        delta({ reasoning_content: "hm" }),
        delta({ content: "It " }),
        delta({ content: "is." }),
        delta({}, "stop", { system_fingerprint: "fp" }),
        usage,
        "[DONE]"
      )
    )
    assert.strictEqual(error, undefined)
    assert.deepStrictEqual(parts, [
      { type: "response-metadata", id: "r1", model: "m-1" },
      { type: "reasoning-delta", delta: "hm" },
      { type: "text-delta", delta: "It " },
      { type: "text-delta", delta: "is." },
      {
        type: "finish",
        reason: "stop",
        usage: { inputTokens: 5, outputTokens: 7 },
        extra: { system_fingerprint: "fp" }
      }
    ])
    Schema.decodeUnknownSync(Schema.Array(CoreResponse.StreamPart))(parts)
  })

  it("tool calls in fragments, interleaved", () => {
    const call = (index: number, fields: object) => delta({ tool_calls: [{ index, ...fields }] })
    const { parts } = streamed(
      chunks(
        call(0, { id: "a", function: { name: "add", arguments: "" } }),
        call(0, { function: { arguments: '{"x":' } }),
        call(1, { id: "b", function: { name: "sub", arguments: "{" } }),
        call(0, { function: { arguments: "1}" } }),
        call(1, { function: { arguments: "}" } }),
        delta({}, "tool_calls"),
        usage,
        "[DONE]"
      )
    )
    assert.deepStrictEqual(parts.slice(1, -1), [
      { type: "tool-params-start", id: "a", name: "add" },
      { type: "tool-params-delta", id: "a", delta: '{"x":' },
      { type: "tool-params-start", id: "b", name: "sub" },
      { type: "tool-params-delta", id: "b", delta: "{" },
      { type: "tool-params-delta", id: "a", delta: "1}" },
      { type: "tool-params-delta", id: "b", delta: "}" },
      { type: "tool-call", id: "a", name: "add", params: { x: 1 } },
      { type: "tool-call", id: "b", name: "sub", params: {} }
    ])
    assert.deepInclude(parts.at(-1), { type: "finish", reason: "tool-calls" })
  })

  it("tool calls without index or id, or all with index 0, or with an object of arguments", () => {
    const names = (text: string) =>
      streamed(text).parts.flatMap((part) => (part.type === "tool-call" ? [[part.id, part.name, part.params]] : []))
    const end = [delta({}, "stop"), usage]
    const f = (name: string, args: unknown) => ({ function: { name, arguments: args } })
    assert.deepStrictEqual(
      names(
        chunks(
          delta({ tool_calls: [{ id: "a", index: 0, ...f("x", "{}") }] }),
          delta({ tool_calls: [{ id: "b", index: 0, ...f("y", '{"k":1}') }] }),
          ...end
        )
      ),
      [
        ["a", "x", {}],
        ["b", "y", { k: 1 }]
      ]
    )
    assert.deepStrictEqual(
      names(
        chunks(
          delta({ tool_calls: [{ id: "a", ...f("x", '{"k"') }] }),
          delta({ tool_calls: [{ function: { arguments: ":2}" } }] }),
          ...end
        )
      ),
      [["a", "x", { k: 2 }]]
    )
    assert.deepStrictEqual(names(chunks(delta({ tool_calls: [{ index: 0, ...f("x", { k: 3 }) }] }), ...end)), [
      ["r1:0", "x", { k: 3 }]
    ])
  })

  it("usage wherever it comes", () => {
    const u = { prompt_tokens: 5, completion_tokens: 7 }
    const last = (text: string) => streamed(text).parts.at(-1)
    const expected = { inputTokens: 5, outputTokens: 7 }
    for (const text of [
      chunks(delta({ content: "a" }, null), delta({}, "stop", { usage: u })),
      chunks(delta({ content: "a" }, null), delta({}, "stop", { x_groq: { usage: u } })),
      chunks(delta({ content: "a" }, null, { usage: u }), delta({}, "stop"), "[DONE]"),
      chunks(delta({ content: "a" }), delta({}, "stop"), delta({ content: "" }, "stop", { usage: u }), "[DONE]")
    ]) {
      assert.deepInclude(last(text), { type: "finish", usage: expected })
    }
    assert.deepInclude(last(chunks(delta({ content: "12345678" }), delta({}, "stop"), "[DONE]")), {
      usage: { inputTokens: 10, outputTokens: 2, estimated: true }
    })
  })

  it("without [DONE] after the finish reason, or without its last blank line, it is complete", () => {
    for (const cut of [0, 1, 2]) {
      const text = chunks(delta({ content: "a" }), delta({}, "stop"), usage)
      const { parts, error } = streamed(text.slice(0, text.length - cut))
      assert.strictEqual(error, undefined)
      assert.deepInclude(parts.at(-1), { type: "finish", usage: { inputTokens: 5, outputTokens: 7 } })
    }
  })

  it("[DONE] without a finish reason is an end; nothing at all is none", () => {
    assert.deepInclude(streamed(chunks(delta({ content: "a" }), "[DONE]")).parts.at(-1), {
      type: "finish",
      reason: "other"
    })
    assert.strictEqual(streamed(chunks("[DONE]")).error?._tag, "InvalidResponseError")
    assert.strictEqual(streamed(chunks("[DONE]"), { errorsInText: true }).error?._tag, "ContextLengthError")
    assert.strictEqual(streamed(chunks(delta({ content: "a" }))).error?._tag, "StreamInterruptedError")
    assert.strictEqual(streamed("").error?._tag, "StreamInterruptedError")
    assert.strictEqual(streamed(": keep-alive\n\n").error?._tag, "StreamInterruptedError")
  })

  it("a call that was cut off is never handed on as a whole one", () => {
    const { parts } = streamed(
      chunks(delta({ tool_calls: [{ index: 0, id: "a", function: { name: "x", arguments: '{"k"' } }] }))
    )
    assert.isFalse(parts.some((part) => part.type === "tool-call"))
  })

  it("errors inside: a chunk, an event, OpenRouter's finish reason, llama.cpp's field", () => {
    const error = (text: string) => streamed(chunks(delta({ content: "a" })) + text).error
    assert.strictEqual(error(chunks({ error: { message: "Overloaded", code: 503 } }))?._tag, "ModelOverloadError")
    assert.strictEqual(
      error('event: error\ndata: {"message":"slow","type":"rate_limit_error"}\n\n')?._tag,
      "RateLimitError"
    )
    const router = {
      id: "x",
      error: { code: 429, message: "Rate limited" },
      choices: [{ delta: { content: "" }, finish_reason: "error" }]
    }
    assert.strictEqual(error(chunks(router))?._tag, "RateLimitError")
    assert.strictEqual(error(chunks(delta({}, "error")))?._tag, "ServerError")
    assert.strictEqual(
      error('error: {"code":500,"message":"slot unavailable","type":"server_error"}\n\n')?._tag,
      "ServerError"
    )
    assert.strictEqual(error(chunks({ error: null, ...delta({}, "stop") }, usage)), undefined)
  })

  it("a filter or a refusal ends it with an error", () => {
    assert.strictEqual(
      streamed(chunks(delta({ content: "a" }), delta({}, "content_filter"))).error?._tag,
      "ContentFilterError"
    )
    const refused = streamed(
      chunks(delta({ refusal: "I " }), delta({ refusal: "can't." }), delta({}, "stop"), usage)
    ).error
    assert.deepInclude(refused, { _tag: "ContentFilterError", reason: "I can't." })
  })

  it("LM Studio's error as the first text is an error, only there", () => {
    const text = chunks(
      delta({ content: "Cannot truncate prompt with n_keep (5214) >= n_ctx (4096)" }),
      delta({}, "stop"),
      "[DONE]"
    )
    assert.deepInclude(streamed(text, { errorsInText: true }).error, { _tag: "ContextLengthError", maxTokens: 4096 })
    assert.strictEqual(streamed(text).error, undefined)
  })

  it("only the first of several choices is read", () => {
    const { parts } = streamed(
      chunks(delta({ content: "a" }), { choices: [{ index: 1, delta: { content: "B" } }] }, delta({}, "stop"), usage)
    )
    assert.deepStrictEqual(
      parts.flatMap((part) => (part.type === "text-delta" ? [part.delta] : [])),
      ["a"]
    )
  })

  it("the same parts however the bytes are cut", () => {
    const folder = new URL("../../../fixtures/providers/openai-compatible/", import.meta.url)
    const files = readdirSync(folder).filter((name) => name.endsWith(".sse"))
    assert.isAbove(files.length, 3)
    for (const name of files) {
      const text = readFileSync(new URL(name, folder), "utf8")
      const all = streamed(text)
      assert.strictEqual(all.error, undefined, name)
      assert.strictEqual(all.parts.at(-1)?.type, "finish", name)
      for (const size of [1, 3, 17, 200]) assert.deepStrictEqual(streamed(text, {}, size), all, `${name} by ${size}`)
    }
  })
})

describe("embeddings", () => {
  const embed = (body: object, input = ["a", "b"]) =>
    decodeEmbeddings({ ...head, text: JSON.stringify(body) }, target, input)

  it("in the order of the texts, from numbers or base64", () => {
    const base64 = Buffer.from(new Float32Array([0.5, -1]).buffer).toString("base64")
    assert.deepStrictEqual(
      embed({
        data: [
          { index: 1, embedding: [3, 4] },
          { index: 0, embedding: base64 }
        ],
        model: "e-1",
        usage: { prompt_tokens: 2, total_tokens: 2 }
      }),
      {
        vectors: [
          [0.5, -1],
          [3, 4]
        ],
        model: "e-1",
        usage: { inputTokens: 2, outputTokens: 0 }
      }
    )
  })

  it("too few, none, or not numbers are invalid; an error in a 200 is one", () => {
    for (const body of [
      {},
      { data: [{ embedding: [1] }] },
      { data: [{ embedding: [1] }, { embedding: ["x"] }] },
      {
        data: [
          { index: 0, embedding: [1] },
          { index: 0, embedding: [2] }
        ]
      },
      {
        data: [
          { index: 0, embedding: [1] },
          { index: 9, embedding: [2] }
        ]
      }
    ]) {
      assert.deepInclude(embed(body), { _tag: "InvalidResponseError" })
    }
    assert.deepInclude(embed({ error: { message: "slow down", code: 429 } }), { _tag: "RateLimitError" })
  })
})
