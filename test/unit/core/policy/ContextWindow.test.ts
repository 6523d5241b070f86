import { ContextWindow, LLMError, Message, type Request, Tokenizer } from "@breakwater/core"
import { Tokenizers } from "@breakwater/tokenizers"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"

const words = (count: number): string => Array.from({ length: count }, () => "table").join(" ")
const user = (content: string): Message.Message => ({ role: "user", content })
const assistant = (content: string): Message.Message => ({ role: "assistant", content })
const system = (content: string): Message.Message => ({ role: "system", content })
const call = (id: string): Message.Message => ({
  role: "assistant",
  content: [{ type: "tool-call", id, name: "look", params: { at: words(40) } }]
})
const result = (id: string): Message.Message => ({
  role: "tool",
  content: [{ type: "tool-result", id, name: "look", isFailure: false, result: words(40) }]
})

const request = (messages: ReadonlyArray<Message.Message>, more: Partial<Request.ProviderRequest> = {}) =>
  ({ model: "gpt-4o", messages, ...more }) satisfies Request.ProviderRequest

/** Exact counts: a word is a token. */
const window = (options: ContextWindow.Options = {}) =>
  ContextWindow.make(options).pipe(Effect.provide(Tokenizers.layer()))

const fit = (
  options: ContextWindow.Options,
  messages: ReadonlyArray<Message.Message>,
  size: number,
  more: Partial<Request.ProviderRequest> = {}
) =>
  Effect.flatMap(window(options), (context) => context.fit(request(messages, more), { model: "gpt-4o", window: size }))

const chat = [
  system("Be brief."),
  user(`first ${words(100)}`),
  assistant(words(100)),
  user(`second ${words(100)}`),
  assistant(words(100)),
  user("third")
]

describe("what is kept", () => {
  it.effect("all of it, where it fits: the very same request", () =>
    Effect.gen(function* () {
      const asked = request(chat)
      const context = yield* window()
      for (const size of [1_000, 1_000_000]) {
        const fitted = yield* context.fit(asked, { model: "gpt-4o", window: size })
        expect(fitted.request).toBe(asked)
        expect(fitted.dropped).toEqual({ messages: 0, tokens: 0 })
        expect(ContextWindow.changed(fitted)).toBe(false)
      }
      expect((yield* context.fit(asked, { model: "gpt-4o", window: 1_000_000 })).method).toBe("bound")
      expect(yield* context.fit(asked, { model: "gpt-4o", window: 1_000 })).toMatchObject({
        method: "exact",
        inputTokens: (yield* Effect.flatMap(Tokenizers.make(), (each) => each.countMessages("gpt-4o", chat))).tokens
      })
    })
  )

  it.effect("keepNewest drops the oldest turns, whole", () =>
    Effect.gen(function* () {
      const fitted = yield* fit({}, chat, 320, { maxTokens: 50 })
      expect(fitted.request.messages).toEqual([chat[0], chat[3], chat[4], chat[5]])
      expect(fitted.dropped.messages).toBe(2)
      expect(fitted.dropped.tokens).toBeGreaterThan(180)
    })
  )

  it.effect("dropMiddle keeps the first turn as well", () =>
    Effect.gen(function* () {
      const fitted = yield* fit({ strategy: "dropMiddle" }, chat, 320, { maxTokens: 50 })
      expect(fitted.request.messages).toEqual([chat[0], chat[1], chat[2], chat[5]])
    })
  )

  it.effect("fail drops nothing", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(fit({ strategy: "fail" }, chat, 320, { maxTokens: 50 }))
      expect(error).toMatchObject({ _tag: "ContextLengthError", maxTokens: 320 })
      expect((error as LLMError.ContextLengthError).requestedTokens).toBeGreaterThan(400)
    })
  )

  it.effect("a call and its results stay together; of a long turn the oldest rounds go", () =>
    Effect.gen(function* () {
      const rounds = ["a", "b", "c"].flatMap((id) => [call(id), result(id)])
      const messages = [user("look around"), ...rounds]
      const fitted = yield* fit({}, messages, 320, { maxTokens: 10 })
      expect(fitted.request.messages).toEqual([messages[0], ...rounds.slice(2)])
    })
  )

  it.effect("also where a user's message stands between them", () =>
    Effect.gen(function* () {
      const messages = [user(words(200)), assistant("ok"), user("do"), call("a"), user("hurry"), result("a")]
      const fitted = yield* fit({ keepTurns: 0 }, messages, 220, { maxTokens: 10 })
      expect(fitted.request.messages).toEqual(messages.slice(2))
    })
  )

  it.effect("keepTurns turns are never dropped", () =>
    Effect.gen(function* () {
      expect((yield* Effect.flip(fit({ keepTurns: 3 }, chat, 320, { maxTokens: 50 })))._tag).toBe("ContextLengthError")
      expect((yield* fit({ keepTurns: 3 }, chat, 500, { maxTokens: 50 })).request.messages).toEqual(chat)
    })
  )

  it.effect("system messages and the last user's message are never dropped, wherever they stand", () =>
    Effect.gen(function* () {
      const messages = [user(words(50)), assistant("a"), system("late"), assistant(words(50)), user("last")]
      const fitted = yield* fit({ keepTurns: 0 }, messages, 40, { maxTokens: 10 })
      expect(fitted.request.messages).toEqual([messages[2], messages[4]])
    })
  )
})

describe("room for the answer", () => {
  it.effect("maxTokens is kept free, or else the reserve", () =>
    Effect.gen(function* () {
      expect((yield* fit({}, chat, 1_000, { maxTokens: 123 })).reserved).toBe(123)
      expect((yield* fit({}, chat, 1_000)).reserved).toBe(250)
      expect((yield* fit({ reserve: 0.5 }, chat, 1_000)).reserved).toBe(500)
      expect((yield* fit({ reserve: 77 }, chat, 1_000)).reserved).toBe(77)
      const context = yield* window()
      const target = { model: "gpt-4o", window: 1_000, maxOutput: 60 }
      expect((yield* context.fit(request(chat), target)).reserved).toBe(60)
    })
  )

  it.effect("it is lowered before a call fails, but not below minAnswer", () =>
    Effect.gen(function* () {
      const messages = [user(words(500))]
      const fitted = yield* fit({ minAnswer: 100 }, messages, 1_000, { maxTokens: 900 })
      expect(fitted.request.maxTokens).toBe(1_000 - fitted.inputTokens)
      expect(fitted.request.messages).toBe(messages)
      const error = yield* Effect.flip(fit({ minAnswer: 600 }, messages, 1_000, { maxTokens: 900 }))
      expect(error._tag).toBe("ContextLengthError")
    })
  )

  it.effect("bestMaxTokens is what is left, at most the model's largest answer", () =>
    Effect.gen(function* () {
      const context = yield* window()
      const prompt = request([user(words(100))])
      const target = { model: "gpt-4o", window: 1_000 }
      const { tokens } = yield* Effect.flatMap(Tokenizers.make(), (each) =>
        each.countMessages("gpt-4o", prompt.messages)
      )
      expect(yield* context.bestMaxTokens(prompt, target)).toBe(1_000 - tokens)
      expect(yield* context.bestMaxTokens(prompt, { ...target, maxOutput: 50 })).toBe(50)
      expect(yield* context.bestMaxTokens(prompt, { model: "gpt-4o" })).toBeUndefined()
      expect((yield* Effect.flip(context.bestMaxTokens(prompt, { ...target, window: 90 })))._tag).toBe(
        "ContextLengthError"
      )
    })
  )
})

describe("windows", () => {
  it.effect("the options' word goes before the provider's, the table's before the default", () =>
    Effect.gen(function* () {
      const context = yield* window({
        windows: { "a/m": 100, n: { contextWindow: 200 } },
        lookup: (_, model) => Effect.succeed(model === "t" ? { contextWindow: 300 } : undefined),
        defaultWindow: 400,
        reserve: 10
      })
      const windowOf = (provider: string, model: string, size?: number) =>
        Effect.map(context.fit(request([user("hi")]), { model, provider, window: size }), (fitted) => fitted.window)
      expect(yield* windowOf("a", "m", 999)).toBe(100)
      expect(yield* windowOf("b", "n")).toBe(200)
      expect(yield* windowOf("b", "t")).toBe(300)
      expect(yield* windowOf("b", "t", 350)).toBe(350)
      expect(yield* windowOf("b", "unknown")).toBe(400)
    })
  )

  it.effect("a model nobody knows is left alone", () =>
    Effect.gen(function* () {
      const asked = request([user(words(5_000))])
      const fitted = yield* Effect.flatMap(window(), (context) => context.fit(asked, { model: "x" }))
      expect(fitted.request).toBe(asked)
      expect(fitted.window).toBeUndefined()
    })
  )

  it.effect("a window that is no whole number above zero is an error of the call", () =>
    Effect.gen(function* () {
      const context = yield* window()
      for (const size of [0, -1, Number.NaN, 1.5, Infinity]) {
        const error = yield* Effect.flip(context.fit(request(chat), { model: "m", window: size }))
        expect(error).toMatchObject({ _tag: "InvalidRequestError", parameter: "window" })
      }
    })
  )

  it.effect("noop leaves everything as it is", () =>
    Effect.gen(function* () {
      const asked = request(chat)
      expect((yield* ContextWindow.noop.fit(asked, { model: "m", window: 1 })).request).toBe(asked)
      expect(ContextWindow.noop.enabled).toBe(false)
    })
  )
})

describe("summaries", () => {
  it.effect("stand after the system message, and fit", () =>
    Effect.gen(function* () {
      const seen: Array<ContextWindow.SummaryTask> = []
      const summarise = (task: ContextWindow.SummaryTask) =>
        Effect.sync(() => {
          seen.push(task)
          return words(500)
        })
      const fitted = yield* fit({ strategy: { summarise, maxTokens: 60 } }, chat, 320, { maxTokens: 50 })
      expect(fitted.summary).toBe("added")
      expect(seen.length).toBe(1)
      expect(seen[0]!.dropped.length).toBe(fitted.dropped.messages)
      const [first, second, ...rest] = fitted.request.messages
      expect(first).toEqual(chat[0])
      expect(second).toMatchObject({ role: "system" })
      expect(Message.textOf(second!).startsWith("Summary of the earlier conversation:\ntable")).toBe(true)
      expect(rest.at(-1)).toEqual(chat.at(-1))
      const counted = yield* Effect.flatMap(Tokenizers.make(), (each) =>
        each.countMessages("gpt-4o", fitted.request.messages)
      )
      expect(counted.tokens).toBe(fitted.inputTokens)
      expect(counted.tokens + 50).toBeLessThanOrEqual(320)
    })
  )

  it.effect("one that fails or says nothing costs the summary, not the call", () =>
    Effect.gen(function* () {
      for (const summarise of [() => Effect.fail("down"), () => Effect.succeed("  ")]) {
        const fitted = yield* fit({ strategy: { summarise } }, chat, 320, { maxTokens: 50 })
        expect(fitted.summary).toBe("failed")
        expect(fitted.request.messages.at(-1)).toEqual(chat.at(-1))
        expect(fitted.dropped.messages).toBeGreaterThan(0)
      }
    })
  )

  it.effect("nothing dropped, nothing summarised", () =>
    Effect.gen(function* () {
      const fitted = yield* fit({ strategy: { summarise: () => Effect.die("not asked") } }, chat, 10_000)
      expect(fitted.summary).toBe("none")
    })
  )

  it.effect("an emoji is not cut in two", () =>
    Effect.gen(function* () {
      for (let length = 40; length < 60; length++) {
        const summarise = () => Effect.succeed("👩‍👩‍👧‍👦🇩🇪👍🏽".repeat(length))
        const fitted = yield* fit({ strategy: { summarise, maxTokens: 40 + length } }, chat, 400, { maxTokens: 50 })
        const content = Message.textOf(fitted.request.messages[1]!)
        expect(content.isWellFormed()).toBe(true)
        const last = Array.from(new Intl.Segmenter().segment(content), ({ segment }) => segment).at(-1)
        expect(["👩‍👩‍👧‍👦", "🇩🇪", "👍🏽", "\n"]).toContain(last)
      }
    })
  )
})

describe("repair", () => {
  const long = request(chat)
  const tokens = (messages: ReadonlyArray<Message.Message>) => JSON.stringify(messages).length

  it("drops as much as the numbers say, and more where there are none", () => {
    const some = ContextWindow.repair(long, { maxTokens: 400, requestedTokens: 450 })!
    expect(some.messages).toEqual([chat[0], ...chat.slice(3)])
    expect(ContextWindow.repair(long, {})!.messages.length).toBeLessThan(chat.length)
    expect(ContextWindow.repair(long, { maxTokens: 150 })!.messages).toEqual([chat[0], chat[5]])
  })

  it("is smaller than what was refused, whatever the numbers", () => {
    for (const numbers of [
      {},
      { maxTokens: 0 },
      { requestedTokens: 0 },
      { maxTokens: 0, requestedTokens: 0 },
      { maxTokens: 1e9, requestedTokens: 5 },
      { maxTokens: 100, requestedTokens: 1e9 },
      { maxTokens: 400 }
    ]) {
      const repaired = ContextWindow.repair(request(chat, { maxTokens: 100 }), numbers)
      if (repaired === undefined) continue
      const smaller = tokens(repaired.messages) < tokens(chat) || repaired.maxTokens! < 100
      expect([numbers, smaller]).toEqual([numbers, true])
    }
  })

  it("asks for a shorter answer where that is what did not fit", () => {
    const asked = request([user(words(200))], { maxTokens: 4_000 })
    const repaired = ContextWindow.repair(asked, { maxTokens: 4_096, requestedTokens: 4_207 })!
    expect(repaired.messages).toBe(asked.messages)
    expect(repaired.maxTokens).toBe(4_096 - 207)
  })

  it("knows nothing better for a single message that is too long", () => {
    expect(ContextWindow.repair(request([user(words(500))]), { maxTokens: 100, requestedTokens: 507 })).toBeUndefined()
  })

  it.effect("is off with the strategy fail, or on request", () =>
    Effect.gen(function* () {
      const error = new LLMError.ContextLengthError({ message: "too long", maxTokens: 400 })
      expect((yield* window({ strategy: "fail" })).repair(long, error)).toBeUndefined()
      expect((yield* window({ repair: false })).repair(long, error)).toBeUndefined()
      expect((yield* window()).repair(long, error)).toBeDefined()
    })
  )
})

describe("compaction", () => {
  const compactedText = (text: string, compaction: ContextWindow.Compaction | boolean = true) =>
    Effect.map(fit(compaction === false ? {} : { compaction }, [user(text)], 1_000_000), (fitted) => ({
      text: Message.textOf(fitted.request.messages[0]!),
      saved: fitted.compactedCharacters
    }))

  it.effect("is off by default", () =>
    Effect.gen(function* () {
      expect(yield* compactedText("a    b\n\n\n\n\nc", false)).toEqual({ text: "a    b\n\n\n\n\nc", saved: 0 })
    })
  )

  it.effect("takes white space out of lines and between paragraphs, and says what it saved", () =>
    Effect.gen(function* () {
      expect(yield* compactedText("a    b   \n\n\n\n\n    c")).toEqual({ text: "a b\n\n    c", saved: 9 })
    })
  )

  it.effect("leaves code and JSON as they are", () =>
    Effect.gen(function* () {
      for (const text of [
        "```ts\nconst  a   =  1\n\n\n\n\nconst b\n```",
        "~~~\na    b\n~~~",
        "```\nnever    closed",
        "`a    b`",
        '{ "a":    1,\n\n\n\n\n "b":   "c    d" }',
        '[ "a    b",    2 ]',
        '{"cut":    "off'
      ])
        expect(yield* compactedText(text)).toEqual({ text, saved: 0 })
      const mixed = 'see    this: {"a":    1} and    `b    c`'
      expect((yield* compactedText(mixed)).text).toBe('see this: {"a":    1} and `b    c`')
    })
  )

  it.effect("a paragraph that was there already is not sent again", () =>
    Effect.gen(function* () {
      const paragraph = words(40)
      const { saved, text } = yield* compactedText(`${paragraph}\n\nbetween\n\n${paragraph}`)
      expect(text).toBe(`${paragraph}\n\nbetween\n\n[the same paragraph as above]`)
      expect(saved).toBeGreaterThan(200)
    })
  )

  it.effect("long pastes lose their middle, but not in the last message of the user", () =>
    Effect.gen(function* () {
      const paste = words(1_000)
      const fitted = yield* fit({ compaction: { paste: 300 } }, [user(paste), assistant("ok"), user(paste)], 1_000_000)
      const [first, , last] = fitted.request.messages.map((message) => Message.textOf(message))
      expect(first!.length).toBeLessThanOrEqual(300)
      expect(first).toMatch(/^table [\s\S]*\n\[\d+ characters left out\]\n[\s\S]*table$/)
      expect(last).toBe(paste)
    })
  )
})

describe("large prompts", () => {
  const turns = Array.from({ length: 200 }, (_, i) => [user(`${i} ${words(4_000)}`), assistant(words(4_000))]).flat()

  for (const [what, messages] of [
    ["in one message", [user(words(1_700_000))]],
    ["in many", [...turns, user("and?")]]
  ] as const) {
    it.live(`ten megabytes ${what}: decided soon, with other fibers running meanwhile`, () =>
      Effect.gen(function* () {
        const context = yield* window()
        yield* context.fit(request([user(words(3_000))]), { model: "gpt-4o", window: 3_000 }).pipe(Effect.ignore)
        let longest = 0
        let last = performance.now()
        const began = last
        const fiber = yield* Effect.forkChild(
          Effect.exit(context.fit(request(messages), { model: "gpt-4o", window: 128_000 }))
        )
        while (fiber.pollUnsafe() === undefined) {
          yield* Effect.yieldNow
          const now = performance.now()
          longest = Math.max(longest, now - last)
          last = now
        }
        expect(longest).toBeLessThan(500)
        expect(performance.now() - began).toBeLessThan(5_000)
        expect((yield* Fiber.join(fiber))._tag).toBe(what === "in one message" ? "Failure" : "Success")
      })
    )
  }
})

describe("wrong options", () => {
  for (const [field, options] of [
    ["strategy", { strategy: "shrink" as never }],
    ["strategy", { strategy: {} as never }],
    ["strategy.maxTokens", { strategy: { summarise: () => Effect.succeed(""), maxTokens: 1 } }],
    ["keepTurns", { keepTurns: -1 }],
    ["keepTurns", { keepTurns: 1.5 }],
    ["reserve", { reserve: 0 }],
    ["reserve", { reserve: Number.NaN }],
    ["reserve", { reserve: 1.5 }],
    ["reserve", { reserve: 500, windows: { m: 500 } }],
    ["reserve", { reserve: 500, defaultWindow: 400 }],
    ["minAnswer", { minAnswer: 0 }],
    ["margin", { margin: 1 }],
    ["margin", { margin: -0.1 }],
    ['windows["m"]', { windows: { m: 0 } }],
    ['windows["m"]', { windows: { m: { contextWindow: -5 } } }],
    ['windows["m"].maxOutputTokens', { windows: { m: { contextWindow: 5_000, maxOutputTokens: 0 } } }],
    ["defaultWindow", { defaultWindow: Infinity }],
    ["compaction.paste", { compaction: { paste: 10 } }]
  ] as ReadonlyArray<readonly [string, ContextWindow.Options]>) {
    it.effect(`${field}: ${JSON.stringify(options)}`, () =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(ContextWindow.make(options).pipe(Effect.provide(Tokenizer.layer())))
        expect(error.message).toContain(`${field} is `)
      })
    )
  }
})
