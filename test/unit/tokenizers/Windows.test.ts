import { ContextWindow, Tokenizer } from "@breakwater/core"
import { Windows } from "@breakwater/tokenizers"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"

describe("windows of models", () => {
  it.effect("a model is found under its provider, a prefix, or its maker", () =>
    Effect.gen(function* () {
      const gpt = { contextWindow: 128_000, maxOutputTokens: 16_384 }
      expect(yield* Windows.lookup("openai", "gpt-4o")).toEqual(gpt)
      expect(yield* Windows.lookup("router", "openai/gpt-4o")).toEqual(gpt)
      expect(yield* Windows.lookup(undefined, "gpt-4o")).toEqual(gpt)
    })
  )

  it.effect("the largest answer is that of the maker's page, and is left out where it is not known", () =>
    Effect.gen(function* () {
      const outputOf = (provider: string, model: string) =>
        Effect.map(Windows.lookup(provider, model), (limits) => limits?.maxOutputTokens)
      expect(yield* outputOf("openai", "gpt-4.1-mini")).toBe(32_768)
      expect(yield* outputOf("openai", "gpt-5")).toBe(128_000)
      expect(yield* outputOf("anthropic", "claude-sonnet-4-5")).toBe(64_000)
      expect(yield* outputOf("anthropic", "claude-opus-4-5")).toBe(64_000)
      expect(yield* outputOf("google", "gemini-2.5-pro")).toBe(65_536)
      expect(yield* outputOf("openrouter", "anthropic/claude-sonnet-4.5")).toBe(64_000)
      expect(yield* outputOf("google", "gemini-2.5-flash-image")).toBeUndefined()
      // It has a window in the table.
      expect(yield* Windows.lookup("groq", "llama-3.3-70b-versatile")).toEqual({ contextWindow: 131_072 })
    })
  )

  it.effect("the best maxTokens of a request is bounded by it", () =>
    Effect.gen(function* () {
      const context = yield* ContextWindow.make({ lookup: Windows.lookup })
      const request = { model: "gpt-4o", messages: [{ role: "user", content: "Hello" }] } as const
      expect(yield* context.bestMaxTokens(request, { model: "gpt-4o", provider: "openai" })).toBe(16_384)
    }).pipe(Effect.provide(Tokenizer.layer()))
  )

  it.effect("an unknown model has none", () =>
    Effect.gen(function* () {
      expect(yield* Windows.lookup("openai", "no-such-model")).toBeUndefined()
      expect(yield* Windows.lookup("toString", "constructor")).toBeUndefined()
    })
  )
})
