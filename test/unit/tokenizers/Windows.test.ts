import { Windows } from "@breakwater/tokenizers"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"

describe("windows of models", () => {
  it.effect("a model is found under its provider, a prefix, or its maker", () =>
    Effect.gen(function* () {
      const gpt = { contextWindow: 128_000 }
      expect(yield* Windows.lookup("openai", "gpt-4o")).toEqual(gpt)
      expect(yield* Windows.lookup("router", "openai/gpt-4o")).toEqual(gpt)
      expect(yield* Windows.lookup(undefined, "gpt-4o")).toEqual(gpt)
    })
  )

  it.effect("an unknown model has none", () =>
    Effect.gen(function* () {
      expect(yield* Windows.lookup("openai", "no-such-model")).toBeUndefined()
      expect(yield* Windows.lookup("toString", "constructor")).toBeUndefined()
    })
  )
})
