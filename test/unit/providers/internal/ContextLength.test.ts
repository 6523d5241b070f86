import { assert, describe, it } from "@effect/vitest"
import { contextOverflow, silentOverflow } from "../../../../packages/providers/src/internal/ContextLength.ts"

const rows: ReadonlyArray<readonly [provider: string, message: string, max?: number, requested?: number]> = [
  [
    "OpenAI",
    "This model's maximum context length is 8192 tokens. However, your messages resulted in 9001 tokens. Please reduce the length of the messages.",
    8192,
    9001
  ],
  [
    "OpenAI, with completion",
    "This model's maximum context length is 4097 tokens, however you requested 5360 tokens (1360 in your prompt; 4000 for the completion).",
    4097,
    5360
  ],
  ["OpenAI, newer", "Your input exceeds the context window of this model. Please adjust your input and try again."],
  ["Anthropic", "prompt is too long: 208310 tokens > 200000 maximum", 200_000, 208_310],
  [
    "Anthropic, with max_tokens",
    "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000, decrease input length or `max_tokens`",
    200_000,
    210_000
  ],
  [
    "Gemini",
    "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
    1_048_576,
    1_200_000
  ],
  [
    "OpenRouter",
    "This endpoint's maximum context length is 131072 tokens. However, you requested about 140123 tokens (136027 of text input, 4096 in the output).",
    131_072,
    140_123
  ],
  ["Ollama, prompt", "prompt is longer than the context length currently available"],
  ["Ollama, embedding", "the input length exceeds the context length"],
  [
    "llama.cpp",
    "request (5000 tokens) exceeds the available context size (4096 tokens), try increasing it",
    4096,
    5000
  ],
  [
    "LM Studio, keep",
    "The number of tokens to keep from the initial prompt is greater than the context length. Try to load the model with a larger context length, or provide a shorter input"
  ],
  ["LM Studio, n_keep", "Cannot truncate prompt with n_keep (5214) >= n_ctx (4096)", 4096, 5214],
  [
    "vLLM",
    "This model's maximum context length is 32768 tokens. However, your request has 40000 input tokens.",
    32_768,
    40_000
  ],
  [
    "Hugging Face",
    "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 5000 `inputs` tokens and 100 `max_new_tokens`",
    4096,
    5000
  ],
  ["thousands with commas", "maximum context length is 1,047,576 tokens", 1_047_576]
]

describe("overflows, in every provider's words", () => {
  for (const [provider, message, max, requested] of rows) {
    it(provider, () => {
      assert.deepStrictEqual(contextOverflow({ message }), {
        ...(max === undefined ? {} : { maxTokens: max }),
        ...(requested === undefined ? {} : { requestedTokens: requested })
      })
    })
  }

  it("a code is enough, and numbers beside the message count", () => {
    assert.deepStrictEqual(contextOverflow({ message: "Too much", codes: ["context_length_exceeded"] }), {})
    assert.deepStrictEqual(
      contextOverflow({
        message: "the request exceeds the available context size",
        codes: ["exceed_context_size_error"],
        error: { n_prompt_tokens: 5000, n_ctx: 4096 }
      }),
      { maxTokens: 4096, requestedTokens: 5000 }
    )
  })
})

describe("look-alikes are none", () => {
  for (const message of [
    "Too many tokens per minute. Please wait before trying again.",
    "Rate limit reached for gpt-4o on tokens per min (TPM): Limit 30000, Requested 40000. Visit … maximum context length",
    "Request too large for model: tokens per minute limit exceeded the context window",
    "Invalid 'messages[0].content': string too long. Expected a string with maximum length 1048576",
    "Your request was throttled",
    "max_tokens is too large: 100000. This model supports at most 16384 completion tokens",
    "The model does not exist"
  ]) {
    it(message.slice(0, 60), () => assert.strictEqual(contextOverflow({ message }), undefined))
  }

  it("string_above_max_length, by its code", () => {
    const message = "maximum context length"
    assert.strictEqual(contextOverflow({ message, codes: ["string_above_max_length"] }), undefined)
  })
})

describe("silent overflow", () => {
  it("a prompt above the window, or an answer cut before its first token", () => {
    const above = { inputTokens: 5000, outputTokens: 10 }
    assert.deepStrictEqual(silentOverflow(above, "stop", true, 4096), { maxTokens: 4096, requestedTokens: 5000 })
    const cut = { inputTokens: 4096, outputTokens: 0 }
    assert.deepStrictEqual(silentOverflow(cut, "length", false, undefined), { requestedTokens: 4096 })
  })

  it("is not concluded from estimates, from reasoning that used up the answer, or from a full answer", () => {
    assert.strictEqual(
      silentOverflow({ inputTokens: 5000, outputTokens: 0, estimated: true }, "stop", true, 10),
      undefined
    )
    assert.strictEqual(silentOverflow({ inputTokens: 10, outputTokens: 50 }, "length", false, 4096), undefined)
    assert.strictEqual(silentOverflow({ inputTokens: 10, outputTokens: 5 }, "stop", true, 4096), undefined)
  })
})
