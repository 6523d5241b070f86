import { Embedder, Events, SemanticCache } from "@breakwater/core"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import { readFileSync } from "node:fs"
import {
  callOf,
  type CallParts,
  counted,
  down,
  finishOf,
  partsOf,
  recorder,
  responseOf,
  textOf
} from "../support/cache.ts"

/** Places texts by hand: every text is at an angle of its own. */
const angles = (degrees: Readonly<Record<string, number>>): Embedder.EmbedderService => ({
  name: "angles",
  embed: (texts) =>
    Effect.succeed(
      texts.map((text) => {
        const angle = ((degrees[text] ?? 90) * Math.PI) / 180
        return [3 * Math.cos(angle), 3 * Math.sin(angle)]
      })
    )
})

const questions = {
  "How do I reset my password?": 0,
  "How can I reset my password?": 5,
  "Can you tell me how I reset my password": 20,
  "How do I reset my router?": 2,
  "Convert 10 USD": 40,
  "Convert 100 USD": 40
}
const [first, same, far] = Object.keys(questions) as [string, string, string]

const make = (options?: SemanticCache.Options, embedder = angles(questions)) =>
  SemanticCache.make(options).pipe(
    Effect.provideService(Embedder.Embedder, embedder),
    Effect.map((cache) => ({ ...cache, around: cache.around! }))
  )

type Cache = Effect.Success<ReturnType<typeof make>>

const ask = (cache: Cache, prompt: string, parts?: CallParts, text = "answer") => {
  const { run, state } = counted(Effect.succeed(responseOf(text)))
  return Effect.map(cache.around.generate(callOf({ prompt, ...parts }), run), (response) => ({
    response,
    runs: state.runs
  }))
}

describe("a semantic hit", () => {
  it.effect("answers a question of the same meaning, and says how near it was", () =>
    Effect.gen(function* () {
      const cache = yield* make()
      yield* ask(cache, first)
      yield* TestClock.adjust("2 seconds")
      const { response, runs } = yield* ask(cache, same)
      expect(runs).toBe(0)
      expect(response).toMatchObject({ text: "answer", requestId: "mine", attempts: [] })
      expect(response.cached).toMatchObject({ source: "semantic", ageMs: 2000 })
      expect(response.cached!.similarity).toBeCloseTo(Math.cos((5 * Math.PI) / 180), 5)
    })
  )

  it.effect("needs the threshold", () =>
    Effect.gen(function* () {
      const cache = yield* make()
      yield* ask(cache, first)
      expect((yield* ask(cache, far)).runs).toBe(1)
      const lax = yield* make({ threshold: 0.9 })
      yield* ask(lax, first)
      expect((yield* ask(lax, far)).runs).toBe(0)
    })
  )

  for (const [name, parts] of Object.entries<CallParts>({
    "another tenant": { tenant: "other" },
    "another namespace": { controls: { namespace: "n" } },
    "another target": { rest: { target: "openai/other" } },
    "another parameter": { request: { maxTokens: 5 } },
    "another system prompt": {
      request: {
        messages: [
          { role: "system", content: "Answer in French" },
          { role: "user", content: same }
        ]
      }
    },
    "earlier messages": {
      request: {
        messages: [
          { role: "user", content: "Hi" },
          { role: "assistant", content: "Hello" },
          { role: "user", content: same }
        ]
      }
    },
    "another image": {
      request: {
        messages: [
          {
            role: "user",
            content: [
              { type: "text", text: same },
              { type: "file", mediaType: "image/png", data: new Uint8Array([1]) }
            ]
          }
        ]
      }
    }
  })) {
    it.effect(`is none across ${name}`, () =>
      Effect.gen(function* () {
        const cache = yield* make()
        yield* ask(cache, first)
        expect((yield* ask(cache, same, parts)).runs).toBe(1)
      })
    )
  }

  it.effect("is refused by the guard; the next nearest may answer", () =>
    Effect.gen(function* () {
      const { record, told } = recorder()
      const cache = yield* make()
      yield* ask(cache, "Convert 10 USD")
      yield* Events.listen(record)(ask(cache, "Convert 100 USD"))
      expect(told()).toEqual(["cache-miss:guard", "cache-stored"])
      yield* ask(cache, "How do I reset my router?", {}, "router")
      yield* ask(cache, first, {}, "password")
      const { response } = yield* ask(cache, same)
      expect(response.text).toBe("password")
      expect(yield* cache.stats).toMatchObject({ guarded: 2 + 1, hits: 1, entries: 4 })
    })
  )

  it.effect("is decided by a guard of one's own; one that throws refuses; off is off", () =>
    Effect.gen(function* () {
      const off = yield* make({ guard: "off" })
      yield* ask(off, "Convert 10 USD")
      expect((yield* ask(off, "Convert 100 USD")).runs).toBe(0)
      const broken = yield* make({
        guard: () => {
          throw new Error("bug")
        }
      })
      yield* ask(broken, first)
      expect((yield* ask(broken, same)).runs).toBe(1)
    })
  )

  it.effect("is over with its time, and with maxAge", () =>
    Effect.gen(function* () {
      const cache = yield* make({ ttl: "1 minute" })
      yield* ask(cache, first)
      yield* TestClock.adjust("59 seconds")
      expect((yield* ask(cache, same, { controls: { maxAge: "58 seconds", readOnly: true } })).runs).toBe(1)
      expect((yield* ask(cache, same)).runs).toBe(0)
      yield* TestClock.adjust("1 second")
      expect((yield* ask(cache, same)).runs).toBe(1)
      expect(yield* cache.stats).toMatchObject({ entries: 1 })
    })
  )

  it.effect("comes for streams, too", () =>
    Effect.gen(function* () {
      const cache = yield* make()
      const live = cache.around.stream(callOf({ prompt: first }), Stream.fromIterable(partsOf("a", "b")))
      expect(textOf(yield* Stream.runCollect(live))).toBe("ab")
      const again = yield* Stream.runCollect(cache.around.stream(callOf({ prompt: same }), Stream.die("no call")))
      expect(textOf(again)).toBe("ab")
      expect(finishOf(again)!.cached).toMatchObject({ source: "semantic" })
    })
  )
})

describe("what is not kept", () => {
  it.effect("failures, streams left early, calls with noStore or readOnly, requests that are not deterministic", () =>
    Effect.gen(function* () {
      const cache = yield* make()
      yield* Effect.flip(cache.around.generate(callOf({ prompt: first }), Effect.fail(down)))
      const parts = Stream.fromIterable(partsOf("a", "b")).pipe(Stream.rechunk(1))
      yield* Stream.runDrain(Stream.take(cache.around.stream(callOf({ prompt: first }), parts), 2))
      yield* ask(cache, first, { controls: { noStore: true } })
      yield* ask(cache, first, { controls: { readOnly: true } })
      yield* ask(cache, first, { request: { temperature: 1 } })
      expect(yield* cache.stats).toMatchObject({ entries: 0 })
    })
  )

  it.effect("a conversation that does not end with a question", () =>
    Effect.gen(function* () {
      const cache = yield* make()
      const messages = [
        { role: "user" as const, content: first },
        { role: "assistant" as const, content: "Well" }
      ]
      expect((yield* ask(cache, "", { request: { messages } })).runs).toBe(1)
      expect(yield* cache.stats).toMatchObject({ entries: 0, misses: 0 })
    })
  )
})

describe("the bounds", () => {
  it.effect("hold over all partitions; the one that was used stays", () =>
    Effect.gen(function* () {
      const cache = yield* make({ maxEntries: 2 })
      yield* ask(cache, first, { tenant: "a" })
      yield* ask(cache, first, { tenant: "b" })
      yield* ask(cache, same, { tenant: "a" })
      yield* ask(cache, first, { tenant: "c" })
      expect((yield* ask(cache, same, { tenant: "a", controls: { readOnly: true } })).runs).toBe(0)
      expect((yield* ask(cache, same, { tenant: "b", controls: { readOnly: true } })).runs).toBe(1)
      expect(yield* cache.stats).toMatchObject({ entries: 2, evicted: 1 })
    })
  )

  it.effect("the same question has one entry; noCache replaces it", () =>
    Effect.gen(function* () {
      const cache = yield* make()
      yield* ask(cache, first, {}, "old")
      yield* ask(cache, first, { controls: { noCache: true } }, "new")
      expect((yield* ask(cache, same)).response.text).toBe("new")
      expect(yield* cache.stats).toMatchObject({ entries: 1 })
    })
  )

  it.effect("clear removes a tenant's entries", () =>
    Effect.gen(function* () {
      const cache = yield* make()
      yield* ask(cache, first)
      yield* ask(cache, first, { tenant: "b" })
      expect(yield* cache.clear("acme")).toBe(1)
      expect(yield* cache.stats).toMatchObject({ entries: 1 })
    })
  )
})

describe("an embedder", () => {
  for (const [name, embed] of Object.entries<Embedder.EmbedderService["embed"]>({
    "that fails": () => Effect.fail(down),
    "with a bug": () => Effect.die("bug"),
    "that answers nothing": () => Effect.succeed([]),
    "that answers zeros": () => Effect.succeed([[0, 0]]),
    "that answers NaN": () => Effect.succeed([[NaN, 1]])
  })) {
    it.effect(`${name} is a miss, and costs no answer`, () =>
      Effect.gen(function* () {
        const { record, told } = recorder()
        const cache = yield* make({}, { name: "broken", embed })
        expect((yield* Events.listen(record)(ask(cache, first))).response.text).toBe("answer")
        expect(told()).toContain("cache-miss:embedder")
        expect(yield* cache.stats).toMatchObject({ misses: 1, entries: 0 })
      })
    )
  }

  it.effect("that hangs is a miss after its timeout, and interrupted", () =>
    Effect.gen(function* () {
      let interrupted = 0
      const embed = () => Effect.onInterrupt(Effect.never, () => Effect.sync(() => interrupted++))
      const cache = yield* make({ embedTimeout: "1 second" }, { name: "hung", embed })
      const fiber = yield* Effect.forkChild(ask(cache, first))
      yield* Effect.yieldNow
      yield* TestClock.adjust("1 second")
      const exit = fiber.pollUnsafe()!
      expect(Exit.isSuccess(exit) && exit.value.response.text).toBe("answer")
      expect(interrupted).toBe(1)
    })
  )

  it.effect("is interrupted with its caller", () =>
    Effect.gen(function* () {
      let interrupted = 0
      const embed = () => Effect.onInterrupt(Effect.never, () => Effect.sync(() => interrupted++))
      const cache = yield* make({}, { name: "hung", embed })
      const fiber = yield* Effect.forkChild(ask(cache, first))
      yield* Effect.yieldNow
      yield* Fiber.interrupt(fiber)
      expect(interrupted).toBe(1)
    })
  )

  it.effect("of another length starts anew", () =>
    Effect.gen(function* () {
      let length = 2
      const cache = yield* make(
        {},
        { name: "two", embed: (texts) => Effect.succeed(texts.map(() => Array.from({ length }, () => 1))) }
      )
      yield* ask(cache, first)
      length = 3
      expect((yield* ask(cache, same)).runs).toBe(1)
      expect((yield* ask(cache, same)).runs).toBe(0)
    })
  )

  it.effect("can be a provider", () =>
    Effect.gen(function* () {
      const asked: Array<unknown> = []
      const embedder = Embedder.fromProvider(
        {
          name: "openai",
          embed: (request) => {
            asked.push(request)
            return Effect.succeed({ vectors: request.input.map(() => [1]), usage: { inputTokens: 1, outputTokens: 0 } })
          }
        },
        { model: "small", dimensions: 1 }
      )
      expect(embedder.name).toBe("openai/small")
      expect(yield* embedder.embed(["a", "b"])).toEqual([[1], [1]])
      expect(asked).toEqual([{ model: "small", dimensions: 1, input: ["a", "b"] }])
    })
  )
})

describe("wrong options are named", () => {
  for (const [field, options] of [
    ["threshold", { threshold: 0 }],
    ["threshold", { threshold: 1.01 }],
    ["threshold", { threshold: NaN }],
    ["threshold", { threshold: -0.5 }],
    ["ttl", { ttl: 0 }],
    ["ttl", { ttl: NaN }],
    ["maxEntries", { maxEntries: 0 }],
    ["maxBytes", { maxBytes: -1 }],
    ["maxEntryBytes", { maxEntryBytes: NaN }],
    ["embedTimeout", { embedTimeout: Infinity }],
    ["maxQuestionCharacters", { maxQuestionCharacters: 0 }]
  ] as const) {
    it.effect(`${field} of ${String(Object.values(options)[0])}`, () =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(make(options))
        expect(String(error.message)).toContain(`semanticCache.${field}`)
      })
    )
  }
})

describe("the guard against near misses", () => {
  const pairs = JSON.parse(
    readFileSync(new URL("../../../fixtures/semantic-cache/pairs.json", import.meta.url), "utf8")
  ) as ReadonlyArray<{ readonly kind: string; readonly a: string; readonly b: string }>
  const of = (kind: string) => pairs.filter((pair) => pair.kind === kind)

  it("refuses every near miss of the labelled set, in both directions", () => {
    expect(of("near-miss").length).toBeGreaterThan(100)
    const through = of("near-miss").filter(
      ({ a, b }) => SemanticCache.nearMiss(a, b) === undefined || SemanticCache.nearMiss(b, a) === undefined
    )
    expect(through).toEqual([])
  })

  it("lets two thirds of the paraphrases through", () => {
    const passed = of("paraphrase").filter(({ a, b }) => SemanticCache.nearMiss(a, b) === undefined)
    expect(passed.length / of("paraphrase").length).toBeGreaterThan(0.64)
  })

  it("lets a question through to itself, whatever its case and courtesy", () => {
    expect(SemanticCache.nearMiss("Why is the sky blue?", "Why is the sky blue?")).toBeUndefined()
    expect(SemanticCache.nearMiss("why is the sky blue", "Please tell me: why is the sky blue?")).toBeUndefined()
  })

  for (const [reason, a, b] of [
    ["numbers", "Costs of 1,000 calls", "Costs of 10,000 calls"],
    ["numbers", "the first ten", "the first 12"],
    ["units", "10km in hours", "10kg in hours"],
    ["negation", "Does it work?", "Doesn't it work?"],
    ["quoted", 'Define "a"', 'Define "b"'],
    ["names", "who lives in Rome now", "who lives in Oslo now"],
    ["opposites", "enabling it", "disabling it"],
    ["order", "Does a dog chase a fox?", "Does a fox chase a dog?"],
    ["words", "cook rice", "cook pasta"],
    ["names", "Wie koche ich Reis?", "Wie koche ich Nudeln?"]
  ] as const) {
    it(`sees ${reason}: ${a} / ${b}`, () => {
      expect(SemanticCache.nearMiss(a, b)).toBe(reason)
      expect(SemanticCache.nearMiss(b, a)).toBe(reason)
    })
  }

  it("takes numbers in words and digits, and a unit with and without a space, for the same", () => {
    expect(SemanticCache.nearMiss("list three rivers", "list 3 rivers")).toBeUndefined()
    expect(SemanticCache.nearMiss("how far is 10km", "how far is 10 km")).toBeUndefined()
  })

  it("takes no time on long and strange texts", () => {
    const strange = [
      "a".repeat(100_000),
      '"'.repeat(50_000),
      "1,".repeat(50_000),
      "a.b@".repeat(25_000),
      "’".repeat(9_999)
    ]
    const began = performance.now()
    for (const text of strange) SemanticCache.nearMiss(text, `${text}x`)
    expect(performance.now() - began).toBeLessThan(2_000)
  })
})

it.effect("the noop has no answer", () =>
  Effect.gen(function* () {
    expect(SemanticCache.noop.around).toBeUndefined()
    expect(yield* SemanticCache.noop.stats).toMatchObject({ hits: 0, entries: 0 })
    expect(yield* SemanticCache.noop.clear("any")).toBe(0)
  })
)
