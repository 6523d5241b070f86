import type { LLMError, Response } from "@breakwater/core"
import { describe, expect, it } from "@effect/vitest"
import * as Schema from "effect/Schema"
import { readFileSync } from "node:fs"
import { AnthropicDecoder } from "../../../../packages/providers/src/anthropic/StreamDecoder.ts"
import { StreamReader } from "../../../../packages/providers/src/internal/StreamReader.ts"

const bytes = readFileSync(new URL("../../../fixtures/providers/anthropic/stream.sse", import.meta.url))
const origin = { provider: "anthropic", model: "claude-sonnet-4-5", status: 200 }

interface Read {
  readonly parts: ReadonlyArray<Response.StreamPart>
  readonly error: LLMError.AttemptError | undefined
  readonly finished: boolean
}

const read = (chunks: ReadonlyArray<Uint8Array>, trimmed?: string): Read => {
  const reader = new StreamReader({
    decoder: new AnthropicDecoder({ origin, ...(trimmed === undefined ? {} : { trimmed }) }),
    origin,
    onMalformed: () => {},
    onText: () => []
  })
  const parts: Array<Response.StreamPart> = []
  for (const chunk of chunks) {
    reader.feed(chunk)
    parts.push(...reader.take())
  }
  reader.close()
  parts.push(...reader.take())
  return { parts, error: reader.failure, finished: reader.finished }
}

const encode = (...events: ReadonlyArray<object>): Uint8Array =>
  new TextEncoder().encode(events.map((event) => `data: ${JSON.stringify(event)}\n\n`).join(""))

const start = {
  type: "message_start",
  message: { id: "msg_1", model: "m", usage: { input_tokens: 5, output_tokens: 1 } }
}
const text = (text: string) => ({ type: "content_block_delta", index: 0, delta: { type: "text_delta", text } })
const stop = (stop_reason: string, more: object = {}) => ({
  type: "message_delta",
  delta: { stop_reason, stop_sequence: null, ...more },
  usage: { output_tokens: 7 }
})

const expected: ReadonlyArray<Response.StreamPart> = [
  { type: "response-metadata", id: "msg_01", model: "claude-sonnet-4-5-20250929" },
  { type: "reasoning-delta", delta: "Weather in Zürich 🌦, " },
  { type: "reasoning-delta", delta: "so a tool." },
  { type: "reasoning-delta", delta: "", metadata: { anthropic: { signature: "c2lnbmF0dXJl" } } },
  { type: "reasoning-delta", delta: "", metadata: { anthropic: { redactedData: "cmVkYWN0ZWQ=" } } },
  { type: "text-delta", delta: "Let me see — " },
  { type: "text-delta", delta: "日本語 too." },
  { type: "tool-params-start", id: "toolu_01", name: "weather" },
  { type: "tool-params-delta", id: "toolu_01", delta: '{"city": "Zür' },
  { type: "tool-params-delta", id: "toolu_01", delta: 'ich"}' },
  { type: "tool-call", id: "toolu_01", name: "weather", params: { city: "Zürich" } },
  {
    type: "finish",
    reason: "tool-calls",
    usage: { inputTokens: 142, outputTokens: 89, cachedInputTokens: 100, cacheWriteTokens: 30, reasoningTokens: 40 }
  }
]

describe("a recorded stream", () => {
  it("gives its parts", () => {
    expect(read([bytes])).toEqual({ parts: expected, error: undefined, finished: true })
  })

  it.prop(
    "gives the same parts however its bytes are cut",
    [Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 400 })))],
    ([sizes]) => {
      const chunks: Array<Uint8Array> = []
      let at = 0
      for (const size of sizes) {
        if (at >= bytes.length) break
        chunks.push(bytes.subarray(at, at + size))
        at += size
      }
      chunks.push(bytes.subarray(at))
      expect(read(chunks).parts).toEqual(expected)
    }
  )

  it("gives the same parts byte by byte", () => {
    expect(read(Array.from(bytes, (byte) => new Uint8Array([byte]))).parts).toEqual(expected)
  })

  it("breaks off anywhere before the stop reason as an interruption, with what had come", () => {
    const end = bytes.indexOf("event: message_delta")
    for (let cut = 0; cut < end; cut += 97) {
      const { error, finished, parts } = read([bytes.subarray(0, cut)])
      expect(finished).toBe(false)
      expect(error).toMatchObject({ _tag: "StreamInterruptedError", parts, provider: "anthropic" })
    }
  })

  it("is complete without message_stop", () => {
    expect(read([bytes.subarray(0, bytes.indexOf("event: message_stop"))])).toMatchObject({
      parts: expected,
      finished: true
    })
  })
})

describe("ends", () => {
  it.each([
    ["end_turn", "stop"],
    ["max_tokens", "length"],
    ["pause_turn", "pause"]
  ])("%s means %s", (reason, expected) => {
    expect(read([encode(start, text("Hi"), stop(reason))]).parts.at(-1)).toEqual({
      type: "finish",
      reason: expected,
      usage: { inputTokens: 5, outputTokens: 7 }
    })
  })

  it("a refusal is a content filter", () => {
    expect(
      read([encode(start, text("Hi"), stop("refusal", { stop_details: { category: "bio" } }))]).error
    ).toMatchObject({ _tag: "ContentFilterError", stage: "output", categories: ["bio"] })
  })

  it("a full window is a context length", () => {
    expect(read([encode(start, stop("model_context_window_exceeded"))]).error?._tag).toBe("ContextLengthError")
  })

  it("an error event is the error, with what had come before it", () => {
    const failed = read([
      encode(start, text("Hi"), { type: "error", error: { type: "overloaded_error", message: "Overloaded" } })
    ])
    expect(failed.error).toMatchObject({ _tag: "ModelOverloadError", provider: "anthropic" })
    expect(failed.parts).toHaveLength(2)
  })

  it("usage is cumulative: the last word counts, and silence does not erase", () => {
    expect(
      read([
        encode(
          start,
          text("Hi"),
          { type: "message_delta", delta: { stop_reason: null }, usage: { output_tokens: 3 } },
          { ...stop("end_turn"), usage: { input_tokens: null, cache_read_input_tokens: 50, output_tokens: 9 } }
        )
      ]).parts.at(-1)
    ).toMatchObject({ usage: { inputTokens: 55, outputTokens: 9, cachedInputTokens: 50 } })
  })
})

describe("odd streams", () => {
  const tool = (json: string, input: object = {}) => [
    { type: "content_block_start", index: 1, content_block: { type: "tool_use", id: "t", name: "clock", input } },
    { type: "content_block_delta", index: 1, delta: { type: "input_json_delta", partial_json: json } },
    { type: "content_block_stop", index: 1 }
  ]
  const call = (json: string, input?: object) =>
    read([encode(start, ...tool(json, input), stop("tool_use"))]).parts.find((part) => part.type === "tool-call")

  it("a tool without arguments, with arguments at once, with broken ones", () => {
    expect(call("")).toMatchObject({ params: {} })
    expect(call("", { zone: "UTC" })).toMatchObject({ params: { zone: "UTC" } })
    expect(call('{"zone": "U')).toMatchObject({ params: '{"zone": "U' })
  })

  it("skips what it does not know", () => {
    const { parts } = read([
      encode(
        start,
        { type: "something_new" },
        {
          type: "content_block_start",
          index: 0,
          content_block: { type: "server_tool_use", id: "s", name: "web_search", input: {} }
        },
        { type: "content_block_delta", index: 0, delta: { type: "input_json_delta", partial_json: "{}" } },
        { type: "content_block_stop", index: 0 },
        { type: "content_block_delta", index: 0, delta: { type: "citations_delta", citation: {} } },
        text("Hi"),
        stop("end_turn")
      )
    ])
    expect(parts.map((part) => part.type)).toEqual(["response-metadata", "text-delta", "finish"])
  })

  it("does not repeat the blanks cut off a prefill, over as many deltas as it takes", () => {
    const answer = (deltas: ReadonlyArray<string>) =>
      read([encode(start, ...deltas.map(text), stop("end_turn"))], "\n ")
        .parts.map((part) => (part.type === "text-delta" ? part.delta : ""))
        .join("")
    expect(answer(["\n two"])).toBe("two")
    expect(answer(["\n", " ", "two"])).toBe("two")
    expect(answer(["two"])).toBe("two")
    expect(answer([" two"])).toBe(" two")
  })
})
