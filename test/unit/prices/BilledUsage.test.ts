/**
 * From the bytes a provider counts with to nano-dollars: every field that is billed, against sums by hand.
 *
 * Rates are dollars for a million tokens, which are thousands of nano-dollars a token: 3 dollars are 3,000.
 */
import { Pricing, type Response } from "@breakwater/core"
import { describe, expect, it } from "vitest"
import * as Anthropic from "../../../packages/providers/src/anthropic/Codec.ts"
import { AnthropicDecoder } from "../../../packages/providers/src/anthropic/StreamDecoder.ts"
import * as Gemini from "../../../packages/providers/src/gemini/Codec.ts"
import * as OpenAI from "../../../packages/providers/src/openai-compatible/Usage.ts"

const prices = Pricing.makeTable({
  "p/m": {
    input: "3",
    cachedInput: "0.30",
    cacheWrite: "3.75",
    longCacheWrite: "6",
    output: "15",
    reasoning: "20",
    audioInput: "40",
    audioOutput: "80",
    imageInput: "10",
    imageOutput: "30"
  },
  "p/plain": { input: "3", cachedInput: "0.30", cacheWrite: "3.75", output: "15", request: "0.005" }
})

const nanos = (usage: Parameters<typeof prices.cost>[0]["usage"] | undefined, model = "m") =>
  prices.cost({ provider: "p", model, usage: usage!, atMs: 0 })

describe("Anthropic", () => {
  const usage = {
    input_tokens: 1_000,
    cache_read_input_tokens: 20_000,
    cache_creation_input_tokens: 7_001,
    cache_creation: { ephemeral_5m_input_tokens: 4_001, ephemeral_1h_input_tokens: 3_000 },
    output_tokens: 501,
    output_tokens_details: { thinking_tokens: 100 }
  }
  // 1,000 fresh, 20,000 read, 4,001 written for five minutes, 3,000 for an hour; 401 of answer and 100 of thoughts.
  const cost = 1_000n * 3_000n + 20_000n * 300n + 4_001n * 3_750n + 3_000n * 6_000n + 401n * 15_000n + 100n * 20_000n

  it("whole: what is written to the cache for an hour costs more than for five minutes", () => {
    const decoded = Anthropic.decodeUsage(usage)
    expect(decoded).toEqual({
      inputTokens: 28_001,
      outputTokens: 501,
      cachedInputTokens: 20_000,
      cacheWriteTokens: 7_001,
      longCacheWriteTokens: 3_000,
      reasoningTokens: 100
    })
    expect(cost).toBe(50_018_750n)
    expect(nanos(decoded)).toBe(cost)
  })

  it("streamed: the counts of the beginning and of the end together", () => {
    const decoder = new AnthropicDecoder({ origin: { provider: "p", model: "m", status: 200 } })
    const parts: Array<Response.StreamPart> = []
    const { output_tokens, output_tokens_details, ...prompt } = usage
    const events = [
      { type: "message_start", message: { id: "1", model: "m", usage: { ...prompt, output_tokens: 1 } } },
      { type: "content_block_delta", index: 0, delta: { type: "text_delta", text: "Hi" } },
      {
        type: "message_delta",
        delta: { stop_reason: "end_turn" },
        // Some servers repeat the counts of the prompt as null.
        usage: { output_tokens, output_tokens_details, cache_creation: null, cache_creation_input_tokens: null }
      }
    ]
    for (const event of events) {
      decoder.event(event, { id: "", event: event.type, data: JSON.stringify(event) }, parts)
    }
    const finish = parts.find((part) => part.type === "finish")
    expect(finish?.usage).toEqual(Anthropic.decodeUsage(usage))
    expect(nanos(finish?.usage)).toBe(cost)
  })

  it("a total or a part that is missing loses no tokens", () => {
    const { cache_creation_input_tokens: _, ...parts } = usage
    expect(nanos(Anthropic.decodeUsage(parts))).toBe(cost)
    const { cache_creation: __, ...total } = usage
    expect(nanos(Anthropic.decodeUsage(total))).toBe(cost - 3_000n * (6_000n - 3_750n))
  })
})

describe("OpenAI", () => {
  it("cached, written, audio, images and reasoning are taken from their totals, each once", () => {
    const decoded = OpenAI.decodeUsage({
      prompt_tokens: 10_000,
      completion_tokens: 2_000,
      total_tokens: 12_000,
      prompt_tokens_details: {
        cached_tokens: 4_000,
        cached_tokens_details: { text_tokens: 3_500, audio_tokens: 400, image_tokens: 100 },
        cache_write_tokens: 1_000,
        audio_tokens: 1_400,
        image_tokens: 600
      },
      completion_tokens_details: {
        reasoning_tokens: 300,
        audio_tokens: 500,
        image_tokens: 200,
        accepted_prediction_tokens: 50,
        rejected_prediction_tokens: 70
      }
    })
    // 4,000 cached, 1,000 written, 1,000 of audio, 500 of images, 3,500 else; predictions are part of the answer.
    const input = 4_000n * 300n + 1_000n * 3_750n + 1_000n * 40_000n + 500n * 10_000n + 3_500n * 3_000n
    const output = 500n * 80_000n + 200n * 30_000n + 300n * 20_000n + 1_000n * 15_000n
    expect(input + output).toBe(127_450_000n)
    expect(nanos(decoded)).toBe(input + output)
  })

  it("the fee of a request is added once, and a rate that is missing is that of the whole", () => {
    const decoded = OpenAI.decodeUsage({
      prompt_tokens: 7,
      completion_tokens: 3,
      completion_tokens_details: { reasoning_tokens: 2 }
    })
    expect(nanos(decoded, "plain")).toBe(7n * 3_000n + 3n * 15_000n + 5_000_000n)
  })

  it("what a router reports wins: with one's own key its fee and what the provider takes", () => {
    const usage = { prompt_tokens: 7, completion_tokens: 3 }
    const reported = (more: object) => OpenAI.decodeUsage({ ...usage, ...more })?.reportedCostUsd
    expect(reported({ cost: 0.25, cost_details: { upstream_inference_cost: 0.2 } })).toBe(0.25)
    expect(reported({ cost: 0.25, is_byok: true, cost_details: { upstream_inference_cost: 5 } })).toBe(5.25)
    expect(reported({ cost: { total_cost: 0.5 } })).toBe(0.5)
    expect(reported({ cost: "0.5" })).toBeUndefined()
    expect(nanos(OpenAI.decodeUsage({ ...usage, cost: 0.000000123 }))).toBe(123n)
  })
})

describe("Gemini", () => {
  it("thoughts and the prompts of tools are added, and what was cached is no audio a second time", () => {
    const decoded = Gemini.decodeUsage({
      promptTokenCount: 9_000,
      cachedContentTokenCount: 2_500,
      toolUsePromptTokenCount: 100,
      candidatesTokenCount: 700,
      thoughtsTokenCount: 250,
      promptTokensDetails: [
        { modality: "TEXT", tokenCount: 6_000 },
        { modality: "AUDIO", tokenCount: 2_000 },
        { modality: "IMAGE", tokenCount: 1_000 }
      ],
      cacheTokensDetails: [
        { modality: "AUDIO", tokenCount: 1_500 },
        { modality: "TEXT", tokenCount: 1_000 }
      ],
      candidatesTokensDetails: [
        { modality: "TEXT", tokenCount: 400 },
        { modality: "IMAGE", tokenCount: 200 },
        { modality: "AUDIO", tokenCount: 100 }
      ]
    })
    // 2,500 cached, 500 of audio, 1,000 of images, 5,100 of text; 100 spoken, 200 drawn, 250 thought, 400 written.
    const input = 2_500n * 300n + 500n * 40_000n + 1_000n * 10_000n + 5_100n * 3_000n
    const output = 100n * 80_000n + 200n * 30_000n + 250n * 20_000n + 400n * 15_000n
    expect(input + output).toBe(71_050_000n)
    expect(nanos(decoded)).toBe(input + output)
  })
})
