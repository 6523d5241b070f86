import { type Call, CallContext, Event, Ledger, LedgerStore, LLMError, Pricing } from "@breakwater/core"
import { assert, describe, expect, it } from "@effect/vitest"
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as TestClock from "effect/testing/TestClock"
import { forecast } from "../../../../packages/core/src/internal/forecast.ts"

const prices = Pricing.layer({
  "openai/gpt": { input: 10, output: 10 },
  "openai/mini": { input: 1, output: 1 },
  "openai/tiny": { input: "0.5", output: "0.5" }
})

const down = new LLMError.StoreError({ message: "down", store: "flaky", operation: "append" })

/** A ledger on a store in memory that can be made to fail, and to take its time. */
const setup = (options: Ledger.Options = {}, over: Partial<LedgerStore.LedgerStoreService> = {}) =>
  Effect.gen(function* () {
    const memory = yield* LedgerStore.makeMemory
    const state = { failing: false, appends: 0 }
    const store: LedgerStore.LedgerStoreService = {
      ...memory,
      name: "flaky",
      append: (records) =>
        Effect.suspend(() => {
          state.appends++
          return state.failing ? Effect.fail(down) : memory.append(records)
        }),
      ...over
    }
    const events: Array<Event.PolicyEvent> = []
    const ledger = yield* Ledger.make(options).pipe(
      Effect.provideService(LedgerStore.LedgerStore, store),
      Effect.provide(prices),
      Effect.provideService(Event.EventSink, (event) => {
        events.push(event)
      })
    )
    return { ledger, memory, state, events }
  })

const call: Ledger.LedgerCall = {
  context: { tenant: "t", user: "ada", project: "p", key: "k", tags: ["x"] },
  request: { model: "gpt", messages: [{ role: "user", content: "hi" }], maxTokens: 99 },
  requestId: "req"
}

const attempt = (over: Partial<Call.AttemptRecord> = {}): Call.AttemptRecord => ({
  attempt: 1,
  target: "openai/gpt",
  outcome: "success",
  startedAt: 5,
  tookMs: 12.6,
  waitedMs: 0,
  usage: { inputTokens: 10, cachedInputTokens: 4, outputTokens: 6, reasoningTokens: 2 },
  ...over
})

const everything: Ledger.LedgerFilter = { fromMs: 0, toMs: 1e15 }

describe("Ledger", () => {
  it.effect("writes every attempt that was sent, with whose it was, what it used and what it cost", () =>
    Effect.gen(function* () {
      const { ledger } = yield* setup()
      ledger.record!(call, [
        attempt({ outcome: "failure", error: new LLMError.ServerError({ message: "" }), usage: undefined } as never),
        attempt({ attempt: 2, sent: false, outcome: "failure" }),
        attempt({ attempt: 3, costNanos: 7n })
      ])
      const records = yield* ledger.records(everything, 10)
      expect(records).toHaveLength(2)
      expect(records[0]).toMatchObject({
        attempt: 1,
        outcome: "failure",
        error: "ServerError",
        counted: "unknown",
        inputTokens: 0
      })
      expect(records[0]).not.toHaveProperty("costNanos")
      expect(records[1]).toMatchObject({
        requestId: "req",
        attempt: 3,
        atMs: 5,
        tenant: "t",
        user: "ada",
        project: "p",
        key: "k",
        tags: ["x"],
        operation: "generate",
        provider: "openai",
        model: "gpt",
        outcome: "success",
        tookMs: 13,
        inputTokens: 10,
        outputTokens: 6,
        cachedInputTokens: 4,
        cacheWriteTokens: 0,
        reasoningTokens: 2,
        counted: "reported",
        costNanos: 7n,
        maxTokens: 99
      })
      expect(records[1]!.id).not.toBe(records[0]!.id)
    }).pipe(Effect.scoped)
  )

  it.effect("prices attempts that do not say what they cost", () =>
    Effect.gen(function* () {
      const { ledger } = yield* setup()
      ledger.record!(call, [attempt()])
      expect((yield* ledger.records(everything, 1))[0]!.costNanos).toBe(160_000n)
    }).pipe(Effect.scoped)
  )

  it.effect("the same request has the same fingerprint, another one another, and none if they are off", () =>
    Effect.gen(function* () {
      const { ledger } = yield* setup()
      const other = { ...call, request: { ...call.request, messages: [{ role: "user" as const, content: "ho" }] } }
      ledger.record!(call, [attempt()])
      ledger.record!({ ...call, requestId: "again" }, [attempt()])
      ledger.record!(other, [attempt()])
      const [a, b, c] = (yield* ledger.records(everything, 3)).map((record) => record.fingerprint)
      expect(a).toBeDefined()
      expect(a).toBe(b)
      expect(a).not.toBe(c)
      const off = yield* setup({ fingerprints: false })
      off.ledger.record!(call, [attempt()])
      expect((yield* off.ledger.records(everything, 3))[0]).not.toHaveProperty("fingerprint")
    }).pipe(Effect.scoped)
  )

  it.effect("no call waits: records are written together, a moment later", () =>
    Effect.gen(function* () {
      const { ledger, memory, state } = yield* setup()
      for (let i = 0; i < 100; i++) ledger.record!(call, [attempt()])
      expect(yield* ledger.waiting).toBe(100)
      expect(state.appends).toBe(0)
      yield* Effect.yieldNow
      yield* TestClock.adjust("50 millis")
      expect(state.appends).toBe(1)
      expect(yield* ledger.waiting).toBe(0)
      expect((yield* memory.totals(everything, []))[0]!.records).toBe(100)
      // And once more, from rest.
      ledger.record!(call, [attempt()])
      yield* Effect.yieldNow
      yield* TestClock.adjust("50 millis")
      yield* TestClock.adjust("50 millis")
      expect((yield* memory.totals(everything, []))[0]!.records).toBe(101)
    }).pipe(Effect.scoped)
  )

  it.effect("while the store fails records wait, nothing is lost, and two events say so", () =>
    Effect.gen(function* () {
      const { events, ledger, memory, state } = yield* setup()
      state.failing = true
      for (let i = 0; i < 10; i++) ledger.record!(call, [attempt()])
      yield* Effect.yieldNow
      yield* TestClock.adjust("5 seconds")
      expect(yield* ledger.waiting).toBe(10)
      expect(yield* Effect.flip(ledger.flush)).toBe(down)
      expect(events).toEqual([
        { type: "ledger-store-changed", store: "flaky", available: false, waiting: 10, error: down }
      ])
      state.failing = false
      yield* TestClock.adjust("20 seconds")
      expect((yield* memory.totals(everything, []))[0]!.records).toBe(10)
      expect(events.at(-1)).toEqual({ type: "ledger-store-changed", store: "flaky", available: true, waiting: 0 })
      expect(events).toHaveLength(2)
    }).pipe(Effect.scoped)
  )

  it.effect("past the bound records are lost, and counted", () =>
    Effect.gen(function* () {
      const { events, ledger, memory, state } = yield* setup({ maxWaiting: 5 })
      state.failing = true
      for (let i = 0; i < 7; i++) ledger.record!(call, [attempt()])
      expect(events).toEqual([1, 2].map(() => ({ type: "ledger-records-lost", store: "flaky", count: 1 })))
      state.failing = false
      yield* ledger.flush
      expect((yield* memory.totals(everything, []))[0]!.records).toBe(5)
    }).pipe(Effect.scoped)
  )

  it.effect("the end of the scope writes what is left", () =>
    Effect.gen(function* () {
      const memory = yield* Effect.scoped(
        Effect.gen(function* () {
          const { ledger, memory } = yield* setup()
          for (let i = 0; i < 1_200; i++) ledger.record!(call, [attempt()])
          return memory
        })
      )
      expect((yield* memory.totals(everything, []))[0]!.records).toBe(1_200)
    })
  )

  it.effect("what the end of the scope cannot write is said to be lost", () =>
    Effect.gen(function* () {
      const { events } = yield* Effect.scoped(
        Effect.gen(function* () {
          const all = yield* setup()
          all.state.failing = true
          all.ledger.record!(call, [attempt(), attempt({ attempt: 2 })])
          return all
        })
      )
      expect(events.at(-1)).toEqual({ type: "ledger-records-lost", store: "flaky", count: 2 })
    })
  )

  it.effect("a write that is interrupted after it was done is not done twice", () =>
    Effect.gen(function* () {
      const memory = yield* LedgerStore.makeMemory
      let hangs = true
      const { ledger } = yield* setup(
        {},
        {
          ...memory,
          append: (records) =>
            Effect.andThen(
              memory.append(records),
              Effect.suspend(() => (hangs ? Effect.never : Effect.void))
            )
        }
      )
      ledger.record!(call, [attempt()])
      const fiber = yield* Effect.forkChild(ledger.flush)
      yield* Effect.yieldNow
      yield* Fiber.interrupt(fiber)
      hangs = false
      yield* ledger.flush
      expect((yield* memory.totals(everything, []))[0]!.records).toBe(1)
    }).pipe(Effect.scoped)
  )

  it.effect("reports in intervals of the calendar, also where the clocks change", () =>
    Effect.gen(function* () {
      const { ledger } = yield* setup()
      const at = (text: string) => Date.parse(text)
      yield* ledger.append([
        Ledger.entry({ id: "1", atMs: at("2026-10-24T21:59:59Z"), target: "openai/gpt", costNanos: 1n }),
        Ledger.entry({ id: "2", atMs: at("2026-10-24T22:00:00Z"), target: "openai/gpt", costNanos: 2n }),
        Ledger.entry({ id: "3", atMs: at("2026-10-25T22:59:59Z"), target: "openai/gpt", costNanos: 4n }),
        Ledger.entry({ id: "4", atMs: at("2026-10-25T23:00:00Z"), target: "openai/gpt", costNanos: 8n })
      ])
      const days = yield* ledger.report({
        fromMs: at("2026-10-20T22:00:00Z"),
        toMs: at("2026-10-27T23:00:00Z"),
        interval: "day",
        timeZone: "Europe/Berlin"
      })
      expect(days.map(({ costNanos, startMs }) => [new Date(startMs!).toISOString().slice(0, 13), costNanos])).toEqual([
        ["2026-10-23T22", 1n],
        ["2026-10-24T22", 6n],
        ["2026-10-25T23", 8n]
      ])
    }).pipe(Effect.scoped)
  )

  it.effect.each<
    readonly [string, (ledger: Ledger.LedgerService) => Effect.Effect<unknown, Ledger.LedgerError>, string]
  >([
    ["a time that is none", (ledger) => ledger.report({ fromMs: 5, toMs: 5 }), "toMs"],
    ["an endless time", (ledger) => ledger.report({ fromMs: 0, toMs: Infinity }), "toMs"],
    [
      "a zone that does not exist",
      (ledger) => ledger.report({ fromMs: 0, toMs: 5, interval: "day", timeZone: "Mars/X" }),
      "timeZone"
    ],
    ["too many intervals", (ledger) => ledger.report({ fromMs: 0, toMs: 1e12, interval: "minute" }), "interval"],
    ["a page of nothing", (ledger) => ledger.records(everything, 0), "limit"],
    ["a forecast from one day", (ledger) => ledger.forecast({ days: 1 }), "days"],
    ["a share above all", (ledger) => ledger.recommend({ ...everything, share: 2 }), "share"]
  ])("%s is refused by name", ([_, ask, parameter]) =>
    Effect.gen(function* () {
      const { ledger } = yield* setup()
      expect(yield* Effect.flip(ask(ledger))).toMatchObject({ _tag: "InvalidRequestError", parameter })
    }).pipe(Effect.scoped)
  )

  it.effect.each<readonly [string, Ledger.Options, string]>([
    ["no time between writes", { flushEvery: 0 }, "flushEvery"],
    ["an endless one", { flushEvery: Infinity }, "flushEvery"],
    ["batches of nothing", { batch: 0 }, "batch"],
    ["no room to wait", { maxWaiting: 0 }, "maxWaiting"],
    ["room that is NaN", { maxWaiting: Number.NaN }, "maxWaiting"]
  ])("%s is a configuration error", ([_, options, field]) =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(setup(options))
      assert.instanceOf(error, Config.ConfigError)
      expect(error.message).toContain(field)
    }).pipe(Effect.scoped)
  )

  it.effect("forecasts the month from the days of the week that were", () =>
    Effect.gen(function* () {
      const { ledger } = yield* setup()
      // Four weeks before Sunday, 22 November 2026, noon: 10 on working days, 2 on Saturdays and Sundays.
      yield* TestClock.setTime(Date.parse("2026-11-22T12:00:00Z"))
      const today = Date.parse("2026-11-22T00:00:00Z")
      const dear = (at: number) => ([0, 6].includes(new Date(at).getUTCDay()) ? 2_000n : 10_000n)
      yield* ledger.append(
        Array.from({ length: 28 }, (_, day) => {
          const atMs = today - (day + 1) * 86_400_000 + 3_600_000
          return Ledger.entry({ id: `d${day}`, atMs, target: "openai/gpt", costNanos: dear(atMs) })
        })
      )
      yield* ledger.append([Ledger.entry({ id: "now", atMs: today, target: "openai/gpt", costNanos: 1_000n })])
      const found = yield* ledger.forecast()
      // 1 to 21 November: 15 working days and 6 others, and 1,000 today.
      expect(found.spent).toBe(15n * 10_000n + 6n * 2_000n + 1_000n)
      // To come: half a Sunday, 23 to 27, 28 and 29, and Monday the 30th.
      expect(found.expected).toBe(found.spent + 1_000n + 6n * 10_000n + 2n * 2_000n)
      expect(found).toMatchObject({
        method: "weekdays",
        days: 28,
        startMs: Date.parse("2026-11-01T00:00:00Z"),
        endMs: Date.parse("2026-12-01T00:00:00Z")
      })
      expect(found.low).toBe(found.expected)
      expect(found.high).toBe(found.expected)
    }).pipe(Effect.scoped)
  )

  it.effect("with nothing to go by it forecasts the pace, without an interval", () =>
    Effect.gen(function* () {
      const { ledger } = yield* setup()
      yield* TestClock.setTime(Date.parse("2026-11-16T00:00:00Z"))
      yield* ledger.append([
        Ledger.entry({ id: "1", atMs: Date.parse("2026-11-15T12:00:00Z"), target: "openai/gpt", costNanos: 500n })
      ])
      expect(yield* ledger.forecast()).toMatchObject({ method: "pace", spent: 500n, expected: 1_000n, low: 500n })
      expect(yield* ledger.forecast({ user: "nobody" })).toMatchObject({ spent: 0n, expected: 0n })
    }).pipe(Effect.scoped)
  )

  it("the interval of a forecast holds about four fifths of what comes", () => {
    let seed = 42
    const random = () => (seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31) / 2 ** 31
    const amount = () => 100 + 30 * (random() + random() + random() + random() - 2)
    let held = 0
    for (let round = 0; round < 2_000; round++) {
      const past = Array.from({ length: 13 }, (_, day) => ({ weekday: day % 7, amount: amount() }))
      const rest = Array.from({ length: 9 }, (_, day) => ({ weekday: day % 7, share: 1 }))
      const { high, low } = forecast(0, past, rest, 0.5)
      const actual = rest.reduce((sum) => sum + amount(), 0)
      if (actual >= low && actual <= high!) held++
    }
    expect(held / 2_000).toBeGreaterThan(0.74)
    expect(held / 2_000).toBeLessThan(0.86)
  })

  it.effect("recommends what the numbers say, the largest saving first", () =>
    Effect.gen(function* () {
      const { ledger } = yield* setup()
      const many = (count: number, prefix: string, over: Partial<Ledger.EntryOptions>) =>
        Array.from({ length: count }, (_, index) =>
          Ledger.entry({ id: `${prefix}${index}`, atMs: index, target: "openai/gpt", ...over })
        )
      yield* ledger.append([
        // 100 × (300 + 100) tokens at 10,000 nano-dollars each
        ...many(100, "short", { inputTokens: 300, outputTokens: 100, maxTokens: 8_000, costNanos: 4_000_000n }),
        ...many(40, "same", { inputTokens: 3_000, outputTokens: 100, fingerprint: "f", costNanos: 31_000_000n }),
        ...many(10, "failed", { outcome: "failure", inputTokens: 1_000, costNanos: 10_000_000n })
      ])
      const found = yield* ledger.recommend({
        ...everything,
        toMs: 1_000,
        alternatives: ["openai/mini", "openai/tiny", "who/knows"]
      })
      expect(found.map(({ rule, saving, target, use }) => ({ rule, saving, target, use }))).toEqual([
        { rule: "cache", saving: 39n * 31_000_000n, target: "openai/gpt", use: undefined },
        // 100 × 400 tokens at 500 instead of 10,000
        { rule: "cheaper-model", saving: 100n * 3_800_000n, target: "openai/gpt", use: "openai/tiny" },
        { rule: "retry-bill", saving: 100_000_000n, target: "openai/gpt", use: undefined },
        { rule: "max-tokens", saving: 0n, target: "openai/gpt", use: 160 }
      ])
      for (const each of found) expect(each.evidence).toMatch(/\d/)
      expect(found[3]!.reservedLess).toBe(7_840n * 10_000n)
    }).pipe(Effect.scoped)
  )

  it.effect("recommends nothing where there is nothing to say", () =>
    Effect.gen(function* () {
      const { ledger } = yield* setup()
      yield* ledger.append(
        Array.from({ length: 200 }, (_, index) =>
          Ledger.entry({
            id: `${index}`,
            atMs: index,
            target: "openai/tiny",
            inputTokens: 300,
            outputTokens: 100,
            maxTokens: 150,
            fingerprint: `${index}`,
            costNanos: 200_000n
          })
        )
      )
      expect(yield* ledger.recommend({ ...everything, alternatives: ["openai/gpt"] })).toEqual([])
    }).pipe(Effect.scoped)
  )

  it.effect("the Noop records nothing", () =>
    Effect.gen(function* () {
      const ledger = yield* Effect.service(Ledger.Ledger)
      expect(ledger.record).toBeUndefined()
      expect(yield* ledger.report(everything)).toEqual([])
    }).pipe(Effect.provide(Ledger.layerNoop))
  )

  it.effect("the layer needs a store", () =>
    Effect.gen(function* () {
      const ledger = yield* Effect.service(Ledger.Ledger)
      ledger.record!({ context: CallContext.single, request: { model: "m", input: ["a"] } }, [attempt()])
      expect((yield* ledger.report({ ...everything, by: ["operation"] }))[0]!.by).toEqual({ operation: "embed" })
    }).pipe(Effect.provide(Ledger.layer().pipe(Layer.provide([LedgerStore.layerMemory, prices]))))
  )
})
