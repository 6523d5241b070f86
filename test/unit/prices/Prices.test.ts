import { LLMError, Pricing, type Usage } from "@breakwater/core"
import { Prices } from "@breakwater/prices"
import * as GenaiPrices from "@pydantic/genai-prices"
import { assert, describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { readFileSync } from "node:fs"
import { createRequire } from "node:module"
import { dirname, join } from "node:path"

const day = Date.UTC(2026, 9, 1)
const prices = Prices.makeUnsafe()

const ask = (provider: string, model: string, usage: Usage.Usage, atMs = day, from = prices) =>
  from.cost({ provider, model, usage, atMs })

describe("Prices", () => {
  it.each<readonly [string, string, Usage.Usage, bigint]>([
    // $2.50 in, $1.25 cached, $10 out
    [
      "openai",
      "gpt-4o-2024-08-06",
      { inputTokens: 2_000, cachedInputTokens: 1_024, outputTokens: 100 },
      976n * 2_500n + 1_024n * 1_250n + 100n * 10_000n
    ],
    // $1.25 in, $0.125 cached, $10 out; thoughts are part of the answer
    [
      "openai",
      "gpt-5",
      { inputTokens: 1_000, cachedInputTokens: 100, outputTokens: 500, reasoningTokens: 400 },
      900n * 1_250n + 100n * 125n + 500n * 10_000n
    ],
    // up to 272,000 tokens exclusive $2.50 and $15; from there on $5 and $22.50
    ["openai", "gpt-5.4", { inputTokens: 271_999, outputTokens: 10 }, 271_999n * 2_500n + 10n * 15_000n],
    ["openai", "gpt-5.4", { inputTokens: 272_000, outputTokens: 10 }, 272_000n * 5_000n + 10n * 22_500n],
    // $3 in, $0.30 read, $3.75 written, $6 written for an hour, $15 out
    [
      "anthropic",
      "claude-sonnet-4-20250514",
      {
        inputTokens: 10_000,
        cachedInputTokens: 6_000,
        cacheWriteTokens: 3_000,
        longCacheWriteTokens: 1_000,
        outputTokens: 50
      },
      1_000n * 3_000n + 6_000n * 300n + 2_000n * 3_750n + 1_000n * 6_000n + 50n * 15_000n
    ],
    // up to 200,000 tokens $1.25, $0.125, $10; above $2.50, $0.25, $15
    ["gemini", "gemini-2.5-pro", { inputTokens: 200_000, outputTokens: 100 }, 200_000n * 1_250n + 100n * 10_000n],
    [
      "gemini",
      "gemini-2.5-pro",
      { inputTokens: 200_001, cachedInputTokens: 1, outputTokens: 100 },
      200_000n * 2_500n + 250n + 100n * 15_000n
    ],
    // $0.30 in, $1 for audio
    [
      "gemini",
      "gemini-2.5-flash",
      { inputTokens: 1_000, audioInputTokens: 600, outputTokens: 10 },
      400n * 300n + 600n * 1_000n + 10n * 2_500n
    ]
  ])("%s/%s, %j", (provider, model, usage, nano) => {
    expect(ask(provider, model, usage)).toBe(nano)
  })

  it.each([
    ["openai", "gpt-99"],
    ["nobody", "gpt-4o"],
    ["my-openai-proxy", "gpt-4o"],
    ["ollama", "llama3"]
  ])("%s/%s has no price", (provider, model) => {
    assert.instanceOf(ask(provider, model, { inputTokens: 1, outputTokens: 1 }), LLMError.UnpricedModelError)
  })

  it("options say whose prices hold, what is free, and what is paid instead", () => {
    const own = Prices.makeUnsafe({
      providers: { "my-openai-proxy": "openai" },
      free: ["ollama"],
      overrides: { "openai/gpt-4o": { input: 1, output: 2 } }
    })
    const usage = { inputTokens: 1_000, outputTokens: 0 }
    expect(ask("my-openai-proxy", "gpt-4o", usage, day, own)).toBe(2_500_000n)
    expect(ask("ollama", "anything", usage, day, own)).toBe(0n)
    expect(ask("openai", "gpt-4o", usage, day, own)).toBe(1_000_000n)
  })

  it("a provider that the list does not have is a configuration error", () =>
    Effect.runPromise(
      Effect.gen(function* () {
        const error = yield* Effect.flip(Prices.make({ providers: { mine: "nobody" } }))
        expect(error.message).toContain("providers.mine")
      })
    ))

  it("prices that depend on the hour are looked up again", () => {
    const usage = { inputTokens: 1_000_000, outputTokens: 0 }
    const at = (hour: number) => {
      const atMs = Date.UTC(2026, 9, 1, hour)
      const provider = GenaiPrices.findProvider({ providerId: "deepseek" })!
      const wanted = GenaiPrices.calcPrice({ input_tokens: 1_000_000 }, "deepseek-chat", {
        provider,
        timestamp: new Date(atMs)
      })!
      expect(ask("deepseek", "deepseek-chat", usage, atMs)).toBe(BigInt(Math.round(wanted.total_price * 1e9)))
      return ask("deepseek", "deepseek-chat", usage, atMs)
    }
    expect(at(12)).not.toBe(at(20))
    expect(at(12)).not.toBe(at(0))
  })

  it("says which version of the list it is", () => {
    const main = createRequire(join(import.meta.dirname, "../../../packages/prices/package.json")).resolve(
      "@pydantic/genai-prices"
    )
    const { version } = JSON.parse(readFileSync(join(dirname(main), "../package.json"), "utf8")) as { version: string }
    expect(Prices.origin.version).toBe(version)
    expect(prices.origin).toBe(Prices.origin)
  })

  it("is a layer", () =>
    Effect.runPromise(
      Effect.gen(function* () {
        const found = yield* Pricing.Pricing
        expect(found.prices?.priceOf("openai", "gpt-4o", day)).toMatchObject({
          input: 2_500_000n,
          contextWindow: 128_000
        })
      }).pipe(Effect.provide(Prices.layer()))
    ))

  const count = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 300_000 }))
  it.prop(
    "agrees with the list's own arithmetic to the nano-dollar",
    { a: count, b: count, c: count, out: count },
    ({ a, b, c, out }) => {
      for (const [ours, theirs, model] of [
        ["openai", "openai", "gpt-5.4"],
        ["anthropic", "anthropic", "claude-sonnet-4-5"],
        ["gemini", "google", "gemini-2.5-pro"],
        ["groq", "groq", "llama-3.1-8b-instant"]
      ] as const) {
        const written = ours === "anthropic" ? c : 0
        const provider = GenaiPrices.findProvider({ providerId: theirs })!
        const total = GenaiPrices.calcPrice(
          {
            input_tokens: a + b + written,
            cache_read_tokens: b,
            ...(written === 0 ? {} : { cache_write_tokens: written }),
            output_tokens: out
          },
          model,
          { provider, timestamp: new Date(day) }
        )!.total_price
        const cost = ask(ours, model, {
          inputTokens: a + b + written,
          cachedInputTokens: b,
          cacheWriteTokens: written,
          outputTokens: out
        })
        // Theirs is a float: its error at a few dollars is far below half a nano-dollar, but halves may fall either way.
        expect(Math.abs(Number(cost) - total * 1e9)).toBeLessThan(0.501)
      }
    }
  )
})
