import { LLMError, Pricing, type Usage } from "@breakwater/core"
import { assert, describe, expect, it } from "@effect/vitest"
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { costOf, worstCost } from "../../../../packages/core/src/internal/priceArithmetic.ts"

/** Published in dollars for a million tokens; a dollar for a million tokens is 1,000 nano-dollars a token. */
const table: Pricing.Table = {
  // 2,500 nano-dollars a token in, 1,250 cached, 10,000 out; batch at half, priority at 1.7 times
  "openai/gpt-4o": { input: "2.50", cachedInput: "1.25", output: "10", modes: { batch: "0.5", priority: "1.7" } },
  // 3,000 in, 300 cached, 3,750 written, 6,000 written for an hour, 15,000 out; above 200,000 tokens about twice
  "anthropic/sonnet": {
    input: 3,
    cachedInput: 0.3,
    cacheWrite: 3.75,
    longCacheWrite: 6,
    output: 15,
    tiers: [{ above: 200_000, input: 6, cachedInput: 0.6, cacheWrite: 7.5, longCacheWrite: 12, output: 22.5 }]
  },
  // 1,250 in, 125 cached, 10,000 out; above 200,000 tokens 2,500, 250, 15,000
  "gemini/pro": {
    input: "1.25",
    cachedInput: "0.125",
    output: "10",
    tiers: [{ above: 200_000, input: "2.50", cachedInput: "0.25", output: "15" }]
  },
  // 300 in, 1,000 for audio in, 2,500 out, 12,000 for audio out, 30,000 for images out, 3,500 for thoughts
  "gemini/flash": {
    input: "0.30",
    audioInput: "1",
    imageInput: "0.5",
    output: "2.50",
    audioOutput: "12",
    imageOutput: "30",
    reasoning: "3.50"
  },
  // 37.5 nano-dollars a token in, 0.000001 dollars is the finest rate; half a cent a request
  "other/fine": { input: "0.0375", output: "0.000001", request: "0.005" }
}

const pricing = Pricing.makeTable(table)

interface Case {
  readonly name: string
  readonly target: string
  readonly usage: Usage.Usage
  readonly mode?: Pricing.ServiceMode
  readonly nano: bigint
}

const cases: ReadonlyArray<Case> = [
  {
    name: "OpenAI: plain",
    target: "openai/gpt-4o",
    usage: { inputTokens: 1_000, outputTokens: 200 },
    nano: 1_000n * 2_500n + 200n * 10_000n // 4,500,000: $0.0045
  },
  {
    name: "OpenAI: cached tokens are part of the prompt, and cost half",
    target: "openai/gpt-4o",
    usage: { inputTokens: 10_000, cachedInputTokens: 7_168, outputTokens: 333 },
    nano: 2_832n * 2_500n + 7_168n * 1_250n + 333n * 10_000n // 19,370,000
  },
  {
    name: "OpenAI: thoughts are part of the answer, and cost what it costs",
    target: "openai/gpt-4o",
    usage: { inputTokens: 75, outputTokens: 1_186, reasoningTokens: 1_024 },
    nano: 75n * 2_500n + 1_186n * 10_000n // 12,047,500
  },
  {
    name: "OpenAI: in a batch for half",
    target: "openai/gpt-4o",
    usage: { inputTokens: 1_001, outputTokens: 201 },
    mode: "batch",
    nano: (1_001n * 2_500n + 201n * 10_000n) / 2n // 2,256,250
  },
  {
    name: "OpenAI: with priority for 1.7 times",
    target: "openai/gpt-4o",
    usage: { inputTokens: 1_000, outputTokens: 200 },
    mode: "priority",
    nano: (4_500_000n * 17n) / 10n // 7,650,000
  },
  {
    name: "Anthropic: cached reads and writes are part of the prompt, each at its rate",
    target: "anthropic/sonnet",
    usage: { inputTokens: 20_000, cachedInputTokens: 12_000, cacheWriteTokens: 5_000, outputTokens: 700 },
    nano: 3_000n * 3_000n + 12_000n * 300n + 5_000n * 3_750n + 700n * 15_000n // 41,850,000
  },
  {
    name: "Anthropic: of the writes, those for an hour are dearer",
    target: "anthropic/sonnet",
    usage: { inputTokens: 9_000, cacheWriteTokens: 8_000, longCacheWriteTokens: 3_000, outputTokens: 10 },
    nano: 1_000n * 3_000n + 5_000n * 3_750n + 3_000n * 6_000n + 10n * 15_000n // 39,900,000
  },
  {
    name: "Anthropic: exactly at the tier's size the lower rates hold",
    target: "anthropic/sonnet",
    usage: { inputTokens: 200_000, outputTokens: 1 },
    nano: 200_000n * 3_000n + 15_000n // 600,015,000
  },
  {
    name: "Anthropic: one token more, and all tokens cost the higher rates",
    target: "anthropic/sonnet",
    usage: { inputTokens: 200_001, cachedInputTokens: 150_000, cacheWriteTokens: 1, outputTokens: 1 },
    nano: 50_000n * 6_000n + 150_000n * 600n + 7_500n + 22_500n // 390,030,000
  },
  {
    name: "Gemini: cached and thoughts",
    target: "gemini/pro",
    usage: { inputTokens: 32_768, cachedInputTokens: 30_000, outputTokens: 900, reasoningTokens: 600 },
    nano: 2_768n * 1_250n + 30_000n * 125n + 900n * 10_000n // 16,210,000
  },
  {
    name: "Gemini: above the tier",
    target: "gemini/pro",
    usage: { inputTokens: 250_000, cachedInputTokens: 100_000, outputTokens: 2_000 },
    nano: 150_000n * 2_500n + 100_000n * 250n + 2_000n * 15_000n // 430,000,000
  },
  {
    name: "Gemini: audio and images in and out, thoughts at their own rate",
    target: "gemini/flash",
    usage: {
      inputTokens: 5_000,
      audioInputTokens: 3_000,
      imageInputTokens: 500,
      outputTokens: 2_600,
      audioOutputTokens: 100,
      imageOutputTokens: 1_290,
      reasoningTokens: 210
    },
    // in: 1,500 text, 3,000 audio, 500 images; out: 1,000 text, 100 audio, 1,290 images, 210 thoughts
    nano:
      1_500n * 300n +
      3_000n * 1_000n +
      500n * 500n +
      1_000n * 2_500n +
      100n * 12_000n +
      1_290n * 30_000n +
      210n * 3_500n // 46,835,000
  },
  {
    name: "a fee for each request, and half a nano-dollar rounded up",
    target: "other/fine",
    usage: { inputTokens: 3, outputTokens: 0 },
    nano: 5_000_000n + 113n // 3 × 37.5 = 112.5
  },
  {
    name: "an answer of 499 tokens at a thousandth of a nano-dollar rounds to nothing",
    target: "other/fine",
    usage: { inputTokens: 0, outputTokens: 499 },
    nano: 5_000_000n
  },
  {
    name: "the provider's own cost wins over the table",
    target: "openai/gpt-4o",
    usage: { inputTokens: 1_000, outputTokens: 200, reportedCostUsd: 0.00123456789 },
    nano: 1_234_568n
  },
  {
    name: "a reported cost needs no price",
    target: "openrouter/unheard-of",
    usage: { inputTokens: 1_000, outputTokens: 200, reportedCostUsd: 0 },
    nano: 0n
  },
  {
    name: "more cached tokens than there are in the prompt do not make a negative rest",
    target: "openai/gpt-4o",
    usage: { inputTokens: 100, cachedInputTokens: 140, outputTokens: 0 },
    nano: 100n * 1_250n
  },
  {
    name: "nothing used costs nothing",
    target: "openai/gpt-4o",
    usage: { inputTokens: 0, outputTokens: 0 },
    nano: 0n
  }
]

const ask = (target: string, usage: Usage.Usage, mode?: Pricing.ServiceMode, from = pricing) => {
  const slash = target.indexOf("/")
  return from.cost({
    provider: target.slice(0, slash),
    model: target.slice(slash + 1),
    usage,
    atMs: 0,
    ...(mode === undefined ? {} : { mode })
  })
}

describe("Pricing", () => {
  it.each(cases)("$name", ({ mode, nano, target, usage }) => {
    expect(ask(target, usage, mode)).toBe(nano)
  })

  it("an unknown model is an error that names it, never zero", () => {
    const cost = ask("openai/gpt-9", { inputTokens: 1, outputTokens: 1 })
    assert.instanceOf(cost, LLMError.UnpricedModelError)
    expect(cost).toMatchObject({ _tag: "UnpricedModelError", provider: "openai", model: "gpt-9", isRetryable: false })
  })

  it("a model of the same name at another provider is not priced by it", () => {
    assert.instanceOf(ask("azure/gpt-4o", { inputTokens: 1, outputTokens: 1 }), LLMError.UnpricedModelError)
  })

  it("a cheaper mode without a price costs the standard rates; a dearer one is unpriced", () => {
    const usage = { inputTokens: 1_000, outputTokens: 0 }
    expect(ask("openai/gpt-4o", usage, "flex")).toBe(2_500_000n)
    expect(ask("anthropic/sonnet", usage, "batch")).toBe(3_000_000n)
    assert.instanceOf(ask("anthropic/sonnet", usage, "priority"), LLMError.UnpricedModelError)
  })

  it("asks the fallback for what the table does not have", () => {
    const over = Pricing.makeTable({ "openai/gpt-4o": { input: 1, output: 1 } }, { fallback: pricing })
    expect(ask("openai/gpt-4o", { inputTokens: 1, outputTokens: 0 }, undefined, over)).toBe(1_000n)
    expect(ask("gemini/pro", { inputTokens: 1, outputTokens: 0 }, undefined, over)).toBe(1_250n)
  })

  it.each<readonly [string, Pricing.Table, string]>([
    ["a negative rate", { "a/b": { input: "-1", output: 1 } }, "a/b.input"],
    ["NaN", { "a/b": { input: 1, output: Number.NaN } }, "a/b.output"],
    ["Infinity", { "a/b": { input: Infinity, output: 1 } }, "a/b.input"],
    ["a rate finer than the unit", { "a/b": { input: "0.0000001", output: 1 } }, "a/b.input"],
    ["a text that is no number", { "a/b": { input: "two", output: 1 } }, "a/b.input"],
    ["a key without a provider", { gpt: { input: 1, output: 1 } }, "prices"],
    [
      "tiers out of order",
      {
        "a/b": {
          input: 1,
          output: 1,
          tiers: [
            { above: 9, input: 1, output: 1 },
            { above: 9, input: 2, output: 2 }
          ]
        }
      },
      "a/b.tiers[1].above"
    ],
    ["a negative factor", { "a/b": { input: 1, output: 1, modes: { batch: -0.5 } } }, "a/b.modes.batch"],
    ["a largest answer of none", { "a/b": { input: 1, output: 1, maxOutputTokens: 0 } }, "a/b.maxOutputTokens"]
  ])("%s is a configuration error that names the field", (_, table, field) =>
    Effect.runPromise(
      Effect.gen(function* () {
        const error = yield* Effect.flip(Pricing.make(table))
        assert.instanceOf(error, Config.ConfigError)
        expect(error.message).toContain(field)
      })
    )
  )

  it("without prices there is a layer that says so", () =>
    Effect.runPromise(
      Effect.gen(function* () {
        const { prices } = yield* Pricing.Pricing
        expect(prices).toBeUndefined()
      }).pipe(Effect.provide(Pricing.layerNoop))
    ))

  const count = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 400_000 }))
  const Random = {
    inputTokens: count,
    outputTokens: count,
    cachedInputTokens: count,
    cacheWriteTokens: count,
    longCacheWriteTokens: count,
    audioInputTokens: count,
    reasoningTokens: count,
    imageOutputTokens: count
  }

  it.prop("no usage costs more than the worst case of its tokens, nor less than nothing", Random, (usage) => {
    for (const target of Object.values(table)) {
      const price = Pricing.price(target)
      const cost = costOf(price, usage)!
      expect(cost).toBeLessThanOrEqual(worstCost(price, usage.inputTokens, usage.outputTokens)!)
      expect(cost).toBeGreaterThanOrEqual(0n)
    }
  })

  it.prop(
    "a prompt or an answer that is longer has no smaller worst case",
    { a: count, b: count, more: count },
    ({ a, b, more }) => {
      for (const target of Object.values(table)) {
        const price = Pricing.price(target)
        expect(worstCost(price, a + more, b)! >= worstCost(price, a, b)!).toBe(true)
        expect(worstCost(price, a, b + more)! >= worstCost(price, a, b)!).toBe(true)
      }
    }
  )

  const large = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER }))

  it.prop(
    "the worst case is exact, rounded up, whether a double holds it or not",
    { input: large, output: large, small: count, rate: large, other: count },
    ({ input, output, other, rate, small }) => {
      for (const [inputRate, outputRate, a, b] of [
        [BigInt(rate), BigInt(other), input, small],
        [BigInt(other), BigInt(small), small, other],
        [BigInt(rate) * 3n, BigInt(rate), small % 3, output % 2],
        [2n ** 53n + 1n, 1n, small % 2, small]
      ] as const) {
        const pico = BigInt(a) * inputRate + BigInt(b) * outputRate
        expect(worstCost({ input: inputRate, output: outputRate }, a, b)).toBe((pico + 999n) / 1_000n)
      }
    }
  )
})
