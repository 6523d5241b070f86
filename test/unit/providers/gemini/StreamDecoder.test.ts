import type { LLMError, Response } from "@breakwater/core"
import { describe, expect, it } from "@effect/vitest"
import * as Schema from "effect/Schema"
import { readFileSync } from "node:fs"
import { GeminiDecoder } from "../../../../packages/providers/src/gemini/StreamDecoder.ts"
import { StreamReader } from "../../../../packages/providers/src/internal/StreamReader.ts"

const bytes = readFileSync(new URL("../../../fixtures/providers/gemini/stream.sse", import.meta.url))
const origin = { provider: "gemini", model: "gemini-3-pro", status: 200 }

interface Read {
  readonly parts: ReadonlyArray<Response.StreamPart>
  readonly error: LLMError.AttemptError | undefined
  readonly finished: boolean
}

const read = (chunks: ReadonlyArray<Uint8Array>): Read => {
  const reader = new StreamReader({
    decoder: new GeminiDecoder({ origin, seed: "seed" }),
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

const chunk = (parts: ReadonlyArray<object>, finishReason?: string, more: object = {}) => ({
  candidates: [{ content: { parts }, ...(finishReason === undefined ? {} : { finishReason }) }],
  ...more
})

const expected: ReadonlyArray<Response.StreamPart> = [
  { type: "response-metadata", id: "resp-01_A", model: "gemini-3-pro-preview" },
  { type: "reasoning-delta", delta: "Zürich 🌦, so a tool." },
  { type: "text-delta", delta: "Let me see — " },
  { type: "text-delta", delta: "日本語 too." },
  { type: "tool-params-start", id: "gemini-call-resp-01_A-0", name: "weather" },
  { type: "tool-params-delta", id: "gemini-call-resp-01_A-0", delta: '{"city":"Zürich"}' },
  {
    type: "tool-call",
    id: "gemini-call-resp-01_A-0",
    name: "weather",
    params: { city: "Zürich" },
    metadata: { gemini: { thoughtSignature: "c2lnbmF0dXJl" } }
  },
  { type: "tool-params-start", id: "given", name: "clock" },
  { type: "tool-params-delta", id: "given", delta: "{}" },
  { type: "tool-call", id: "given", name: "clock", params: {} },
  { type: "reasoning-delta", delta: "", metadata: { gemini: { thoughtSignature: "bGF0ZQ==" } } },
  {
    type: "finish",
    reason: "tool-calls",
    usage: { inputTokens: 120, outputTokens: 69, cachedInputTokens: 100, reasoningTokens: 40 }
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

  it("breaks off before the finish reason as an interruption, with what had come", () => {
    const end = bytes.lastIndexOf("data: ", bytes.indexOf("finishReason"))
    for (let cut = 0; cut < end; cut += 53) {
      const { error, finished, parts } = read([bytes.subarray(0, cut)])
      expect(finished).toBe(false)
      expect(error).toMatchObject({ _tag: "StreamInterruptedError", parts, provider: "gemini" })
    }
  })
})

describe("ends", () => {
  it("the length", () => {
    expect(
      read([
        encode(
          chunk([{ text: "Hi" }], "MAX_TOKENS", { usageMetadata: { promptTokenCount: 1, candidatesTokenCount: 2 } })
        )
      ]).parts.at(-1)
    ).toEqual({ type: "finish", reason: "length", usage: { inputTokens: 1, outputTokens: 2 } })
  })

  it("without usage it is estimated, and says so", () => {
    expect(read([encode(chunk([{ text: "Hello" }], "STOP"))]).parts.at(-1)).toMatchObject({
      usage: { outputTokens: 2, estimated: true }
    })
  })

  it.each([
    ["SAFETY", "ContentFilterError"],
    ["MALFORMED_FUNCTION_CALL", "InvalidResponseError"]
  ])("%s is a %s", (reason, tag) => {
    const failed = read([encode(chunk([{ text: "Hi" }]), chunk([], reason))])
    expect(failed.error?._tag).toBe(tag)
    expect(failed.finished).toBe(false)
  })

  it("a blocked prompt is a filter of the input", () => {
    expect(read([encode({ promptFeedback: { blockReason: "PROHIBITED_CONTENT" } })]).error).toMatchObject({
      _tag: "ContentFilterError",
      stage: "input",
      reason: "PROHIBITED_CONTENT"
    })
  })

  it("an error inside the stream is the error, with the wait it names", () => {
    const failed = read([
      encode(chunk([{ text: "Hi" }]), { error: { code: 503, status: "UNAVAILABLE", message: "Overloaded" } })
    ])
    expect(failed.error).toMatchObject({ _tag: "ModelOverloadError", provider: "gemini" })
    expect(failed.parts).toHaveLength(2)
  })
})
