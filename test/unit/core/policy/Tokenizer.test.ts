import { Tokenizer, type Message, type Request } from "@breakwater/core"
import { describe, expect, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import corpus from "../../../fixtures/tokens/corpus.json" with { type: "json" }

const user = (content: string): Message.Message => ({ role: "user", content })
const words = (count: number): string => Array.from({ length: count }, () => "table").join(" ")

describe("estimates", () => {
  // The corpus is not among what the weights were fitted to.
  for (const [model, encoding, mean, sum] of [
    ["unknown", "o200k", 0.095, 0.02],
    ["llama-3", "cl100k", 0.08, 0.025]
  ] as const) {
    it.effect(
      `${encoding}: ${mean * 100} % off for a text of 50 tokens on average, and ${sum * 100} % for all of them`,
      () =>
        Effect.gen(function* () {
          const tokenizer = yield* Tokenizer.make()
          const long = corpus.filter((entry) => entry[encoding] >= 50)
          expect(long.length).toBeGreaterThan(60)
          let [estimated, exact, off] = [0, 0, 0]
          for (const entry of long) {
            const { method, tokens } = yield* tokenizer.count(model, entry.text)
            expect(method).toBe("estimated")
            estimated += tokens
            exact += entry[encoding]
            off += Math.abs(tokens / entry[encoding] - 1)
          }
          expect(off / long.length).toBeLessThan(mean)
          expect(Math.abs(estimated / exact - 1)).toBeLessThan(sum)
        })
    )
  }

  it.effect("no text has no tokens, and any text has one", () =>
    Effect.gen(function* () {
      const tokenizer = yield* Tokenizer.make()
      expect((yield* tokenizer.count("m", "")).tokens).toBe(0)
      for (const text of ["a", " ", "\n", "🎉", "\ud800", "\u0000"]) {
        expect((yield* tokenizer.count("m", text)).tokens).toBeGreaterThanOrEqual(1)
      }
    })
  )

  it.effect("every message, tool and the answer's beginning add their overhead", () =>
    Effect.gen(function* () {
      const tokenizer = yield* Tokenizer.make()
      const one = (yield* tokenizer.countMessages("m", [user("hello")])).tokens
      expect((yield* tokenizer.countMessages("m", [user("hello"), user("hello")])).tokens).toBe(one * 2 - 3)
      const tool = { name: "look", parameters: { type: "object", properties: {} } }
      expect((yield* tokenizer.countMessages("m", [user("hello")], [tool])).tokens).toBeGreaterThan(one + 20)
      const image: Message.Message = {
        role: "user",
        content: [{ type: "file", mediaType: "image/png", data: "iVBORw0KGgo=" }]
      }
      expect((yield* tokenizer.countMessages("m", [image])).tokens).toBeGreaterThan(1_000)
    })
  )
})

describe("what providers report", () => {
  const request = (content: string): Request.ProviderRequest => ({ model: "m", messages: [user(content)] })

  it.effect("reports of half as many again bring the estimate there", () =>
    Effect.gen(function* () {
      const tokenizer = yield* Tokenizer.make()
      const text = words(400)
      const before = (yield* tokenizer.count("m", text)).tokens
      for (let i = 0; i < 20; i++) {
        tokenizer.learn(request(text), { inputTokens: Math.round(before * 1.5) + 7, outputTokens: 1 })
      }
      const after = (yield* tokenizer.count("m", text)).tokens
      expect(Math.abs(after / (before * 1.5) - 1)).toBeLessThan(0.02)
      expect(tokenizer.calibration("m").samples).toBe(20)
      expect(tokenizer.calibration("other")).toEqual({ ratio: 1, samples: 0 })
    })
  )

  it.effect("short prompts, estimated usage, files and wild numbers teach nothing, or little", () =>
    Effect.gen(function* () {
      const tokenizer = yield* Tokenizer.make()
      tokenizer.learn(request("hi"), { inputTokens: 4_000, outputTokens: 1 })
      tokenizer.learn(request(words(400)), { inputTokens: 4_000, outputTokens: 1, estimated: true })
      tokenizer.learn(
        {
          model: "m",
          messages: [
            {
              role: "user",
              content: [
                { type: "text", text: words(400) },
                { type: "file", mediaType: "image/png", data: "" }
              ]
            }
          ]
        },
        { inputTokens: 4_000, outputTokens: 1 }
      )
      expect(tokenizer.calibration("m").samples).toBe(0)
      tokenizer.learn(request(words(400)), { inputTokens: 1e9, outputTokens: 1 })
      expect(tokenizer.calibration("m").ratio).toBe(2)
    })
  )

  it.effect("models are forgotten, the one learned longest ago first", () =>
    Effect.gen(function* () {
      const tokenizer = yield* Tokenizer.make({ maxModels: 2 })
      for (const model of ["a", "b", "a", "c"]) {
        tokenizer.learn({ model, messages: [user(words(400))] }, { inputTokens: 500, outputTokens: 1 })
      }
      expect(["a", "b", "c"].map((model) => tokenizer.calibration(model).samples)).toEqual([2, 0, 1])
    })
  )
})

describe("encodings and endpoints", () => {
  it.effect("an encoding is loaded once, when it is first needed", () =>
    Effect.gen(function* () {
      let loads = 0
      const encoding: Tokenizer.Encoding = {
        name: "letters",
        load: Effect.sync(() => {
          loads++
          return (text: string) => text.length
        })
      }
      const tokenizer = yield* Tokenizer.make({ encodingOf: (model) => (model === "m" ? encoding : undefined) })
      expect(loads).toBe(0)
      expect(yield* tokenizer.count("m", "abc")).toEqual({ tokens: 3, method: "exact" })
      expect(yield* tokenizer.count("m", "de")).toEqual({ tokens: 2, method: "exact" })
      expect(loads).toBe(1)
    })
  )

  it.effect("one that cannot be loaded is replaced by the estimate", () =>
    Effect.gen(function* () {
      const tokenizer = yield* Tokenizer.make({ encodingOf: () => ({ name: "x", load: Effect.fail("gone") }) })
      expect((yield* tokenizer.count("m", "hello there")).method).toBe("estimated")
    })
  )

  it.effect("a provider's count is exact; its failure costs nothing but exactness", () =>
    Effect.gen(function* () {
      const answering = yield* Tokenizer.make({ endpoint: () => Effect.succeed(77) })
      expect(yield* answering.countMessages("m", [user("hello")])).toEqual({ tokens: 77, method: "exact" })
      for (const endpoint of [() => Effect.fail("down"), () => Effect.succeed(Number.NaN), () => undefined]) {
        const failing = yield* Tokenizer.make({ endpoint })
        expect((yield* failing.countMessages("m", [user("hello")])).method).toBe("estimated")
      }
    })
  )

  it.effect("a changed message in a new object is counted anew", () =>
    Effect.gen(function* () {
      const tokenizer = yield* Tokenizer.make()
      const first = { role: "user" as const, content: "one" }
      const before = (yield* tokenizer.countMessages("m", [first])).tokens
      first.content = words(100)
      expect((yield* tokenizer.countMessages("m", [first])).tokens).toBeGreaterThan(before + 50)
    })
  )
})

describe("long texts", () => {
  it.live("ten million characters leave the event loop free, and can be interrupted", () =>
    Effect.gen(function* () {
      const tokenizer = yield* Tokenizer.make()
      const text = words(1_700_000)
      let turns = 0
      const fiber = yield* Effect.forkChild(tokenizer.count("m", text))
      while (fiber.pollUnsafe() === undefined) {
        turns++
        yield* Effect.yieldNow
      }
      expect(turns).toBeGreaterThan(50)
      const other = yield* Effect.forkChild(tokenizer.count("m", text))
      yield* Effect.yieldNow
      yield* Fiber.interrupt(other)
      const exit = yield* Fiber.await(other)
      expect(Exit.isFailure(exit) && Cause.hasInterrupts(exit.cause)).toBe(true)
    })
  )
})

describe("wrong options", () => {
  for (const [field, options] of [
    ["maxModels", { maxModels: 0 }],
    ["maxModels", { maxModels: Number.NaN }],
    ["encodingOf", { encodingOf: "o200k" as never }],
    ["endpoint", { endpoint: 1 as never }]
  ] as const) {
    it.effect(`${field}: ${JSON.stringify(options)}`, () =>
      Effect.gen(function* () {
        expect(String(yield* Effect.flip(Tokenizer.make(options)))).toContain(field)
      })
    )
  }
})
