/** What no tracer, redaction, error or clock may do to a call, or let out of it. */
import { Event, Events, LLMError, type Message, Metrics, Summary, Telemetry } from "@breakwater/core"
import { ScriptedProvider } from "@breakwater/testing"
import { assert, describe, expect, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as PrometheusMetrics from "effect/observability/PrometheusMetrics"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import * as Tracer from "effect/Tracer"
import { SummaryBook } from "../../../../packages/core/src/internal/summaryBook.ts"
import { inputMessages, Output } from "../../../../packages/core/src/internal/spanContent.ts"
import { setup } from "../../../composition/support.ts"

const recording = (
  make = (options: ConstructorParameters<typeof Tracer.NativeSpan>[0]) => new Tracer.NativeSpan(options)
) => {
  const spans: Array<Tracer.NativeSpan> = []
  const tracer = Tracer.make({
    span: (options) => {
      const span = make(options)
      spans.push(span)
      return span
    }
  })
  return { spans, run: Effect.withTracer(tracer) }
}

const everything = (value: unknown, seen = new Set<unknown>()): string => {
  if (typeof value !== "object" || value === null) return String(value)
  if (seen.has(value)) return ""
  seen.add(value)
  const own = Reflect.ownKeys(value).map((key) => everything(Reflect.get(value, key), seen))
  const map = value instanceof Map ? Array.from(value, (entry) => everything(entry, seen)) : []
  return [...own, ...map].join("\n")
}

describe("a tracer", () => {
  it.effect("that throws fails no call, whatever it is that throws", () =>
    Effect.gen(function* () {
      const throwing = (method: "attribute" | "end" | "span") =>
        recording((options) => {
          if (method === "span") throw new Error("no span")
          const span = new Tracer.NativeSpan(options)
          span[method] = () => {
            throw new Error(method)
          }
          return span
        })
      for (const method of ["span", "attribute", "end"] as const) {
        const { run } = throwing(method)
        const { llm } = yield* setup({ a: () => "x" }, { targets: ["a/m"] })
        const content = Telemetry.layerContent()
        const whole = yield* run(Effect.provide(llm.generate({ prompt: "hi" }), content))
        assert.strictEqual(whole.text, "x")
        const parts = yield* run(Effect.provide(Stream.runCollect(llm.stream({ prompt: "hi" })), content))
        assert.isAbove(parts.length, 1)
      }
    })
  )

  it.effect("sees nothing of an answer, by no way that a span has: values, messages, stacks, causes", () =>
    Effect.gen(function* () {
      const secret = "the launch code is 0000-1111-2222"
      const cause = new SyntaxError(`Unexpected token, "${secret}" is not valid JSON`)
      const errors: ReadonlyArray<LLMError.AttemptError> = [
        new LLMError.StructuredOutputError({
          message: `Expected a number, got ${secret}`,
          issues: [secret],
          rawText: secret
        }),
        new LLMError.StreamInterruptedError({
          message: `cut after "${secret}"`,
          partialText: `Well, ${secret}, and so`,
          parts: [{ type: "text-delta", delta: secret }],
          cause
        }),
        new LLMError.InvalidResponseError({ message: `no JSON: ${secret}`, excerpt: `no JSON: ${secret} …` }),
        new LLMError.TransportError({ message: "gone", phase: "read", cause })
      ]
      for (const error of errors) {
        const { run, spans } = recording()
        const { llm } = yield* setup(
          { a: [ScriptedProvider.fail(error)], b: [secret] },
          { targets: ["a/m", "b/m"], retry: { retries: 0 } }
        )
        yield* run(llm.generate({ prompt: "hi" }))
        const alone = yield* setup({ a: [ScriptedProvider.fail(error)] }, { targets: ["a/m"], retry: { retries: 0 } })
        yield* run(Effect.exit(alone.llm.generate({ prompt: "hi" })))
        assert.strictEqual(spans.length, 5)
        for (const span of spans)
          expect(everything([span.status, span.attributes, span.events])).not.toContain("0000-1111")
        // What happened is told all the same.
        const statuses = spans.map(({ status }) => (status._tag === "Ended" ? everything(status.exit) : ""))
        expect(statuses.filter((text) => text.includes(error._tag)).length).toBe(3)
      }
    })
  )
})

describe("content", () => {
  const settings = { redact: undefined, maxCharacters: 1_000 }

  it("that is no JSON breaks nothing", () => {
    const circular: Record<string, unknown> = {}
    circular["self"] = circular
    for (const params of [{ n: 1n }, circular]) {
      const { json } = inputMessages(
        [{ role: "assistant", content: [{ type: "tool-call", id: "1", name: "t", params }] }] as never,
        settings
      )
      expect(json).toContain("[not JSON]")
    }
  })

  it("of a file is told by kind and size, also where its address is the file", () => {
    const message = (data: unknown): ReadonlyArray<Message.Message> =>
      [{ role: "user", content: [{ type: "file", mediaType: "image/png", data }] }] as never
    const bytes = Buffer.from("confidential picture").toString("base64")
    for (const data of [new URL(`data:image/png;base64,${bytes}`), `data:image/png;base64,${bytes}`]) {
      const { json, truncated } = inputMessages(message(data), settings)
      expect(json).not.toContain(bytes)
      expect(json).toContain('"type":"blob"')
      expect(truncated).toBe(true)
    }
    expect(inputMessages(message(new URL("gs://bucket/a.png")), settings).json).toContain("gs://bucket/a.png")
  })

  it("shows no half of what a redaction would have taken, wherever the text is cut", () => {
    const redact = (text: string) => text.replace(/card \d{400}/g, "")
    const card = `card ${"4".repeat(400)}`
    for (let pad = 0; pad < 900; pad += 30) {
      // Half a card stands where the text is cut to be read at all, and moves into what is kept.
      const text = `${card}${"x".repeat(pad)}${card.repeat(3)}${card}`
      const bounds = { redact, maxCharacters: 1_000 }
      const input = inputMessages([{ role: "user", content: text }] as never, bounds)
      expect(input.json).not.toContain("4444")
      const output = new Output(bounds)
      for (let at = 0; at < text.length; at += 7) output.add([{ type: "text-delta", delta: text.slice(at, at + 7) }])
      const told = output.end(undefined, "stop")
      expect(told.json).not.toContain("4444")
      expect(told.truncated).toBe(true)
    }
  })

  it("of many messages is put down in no time", () => {
    const messages = Array.from({ length: 200_000 }, () => ({ role: "user", content: "" })) as never
    const start = performance.now()
    inputMessages(messages, settings)
    expect(performance.now() - start).toBeLessThan(2_000)
  })
})

const registry = Layer.sync(Metric.MetricRegistry, () => new Map())
const valueOf = (text: string, start: string): number | undefined => {
  const line = text.split("\n").find((each) => each.startsWith(start))
  return line === undefined ? undefined : Number(line.slice(line.lastIndexOf(" ") + 1))
}
const started = (requestId: string): Event.PolicyEvent => ({
  type: "request-started",
  requestId,
  operation: "generate",
  targets: ["a/m"],
  maxAttempts: 1,
  context: { tenant: "t" }
})
const finished = (requestId: string): Event.PolicyEvent => ({
  type: "request-finished",
  requestId,
  operation: "generate",
  outcome: "success",
  context: { tenant: "t" },
  startedAt: 0,
  tookMs: 1,
  attempts: [],
  retries: 0,
  failovers: 0,
  hedges: 0
})

describe("gauges", () => {
  it.effect("of calls under way add up, where there are several of them", () =>
    Effect.gen(function* () {
      const one = Context.get(yield* Layer.build(Layer.fresh(Metrics.layer)), Event.EventSink)!
      const two = Context.get(yield* Layer.build(Layer.fresh(Metrics.layer)), Event.EventSink)!
      one(started("1"))
      one(started("2"))
      two(started("3"))
      const name = 'breakwater_requests_in_flight{operation="generate"}'
      assert.strictEqual(valueOf(yield* PrometheusMetrics.format(), name), 3)
      one(finished("1"))
      one(finished("2"))
      two(finished("3"))
      // Whose beginning nobody has heard.
      two(finished("4"))
      assert.strictEqual(valueOf(yield* PrometheusMetrics.format(), name), 0)
    }).pipe(Effect.provide(registry))
  )

  it.effect("of circuits that nobody asks for any more go", () =>
    Effect.gen(function* () {
      const sink = Context.get(yield* Layer.build(Metrics.layer), Event.EventSink)!
      const change = (key: string, to: Event.CircuitState): void =>
        sink({ type: "circuit-changed", key, from: "closed", to, reason: "failure-rate", openForMs: 60_000 })
      change("gone/m", "open")
      change("asked/m", "open")
      change("held/m", "forced-open")
      const states = Effect.map(PrometheusMetrics.format(), (text) =>
        text
          .split("\n")
          .filter((line) => line.startsWith("breakwater_circuit_state{"))
          .map((line) => line.slice(30))
      )
      assert.strictEqual((yield* states).length, 3)
      yield* TestClock.adjust("50 minutes")
      sink({ type: "circuit-rejected", key: "asked/m", state: "open", retryAfterMs: 1 })
      yield* TestClock.adjust("30 minutes")
      sink(finished("1"))
      expect((yield* states).map((line) => line.split('"')[0])).toHaveLength(2)
      expect((yield* states).join()).not.toContain("gone/m")
      change("gone/m", "open")
      expect((yield* states).join()).toContain("gone/m")
    }).pipe(Effect.provide(registry))
  )

  it.effect("of a budget say nothing is spent when its period is over, and go on after a look that hangs or dies", () =>
    Effect.gen(function* () {
      const account = (spent: bigint) => ({
        budget: "b",
        scope: "global" as const,
        value: "",
        period: "day",
        limit: 10_000_000_000n,
        soft: undefined,
        spent,
        reserved: 1_000_000_000n,
        remaining: 9_000_000_000n - spent
      })
      const looks: Array<Effect.Effect<ReadonlyArray<unknown>>> = [
        Effect.succeed([account(2_000_000_000n)]),
        Effect.never,
        Effect.die(new Error("a bug")),
        Effect.succeed([]),
        Effect.succeed([account(1_000_000_000n)])
      ]
      const accounts = () => Effect.suspend(() => looks.shift() ?? Effect.succeed([]))
      yield* Metrics.watchBudget({ accounts } as never, { every: "10 seconds" })
      const gauge = (name: string) =>
        Effect.map(PrometheusMetrics.format(), (text) => valueOf(text, `breakwater_budget_${name}{`))
      const all = Effect.all([
        gauge("spent_dollars"),
        gauge("reserved_dollars"),
        gauge("remaining_dollars"),
        gauge("accounts")
      ])
      yield* Effect.yieldNow
      assert.deepStrictEqual(yield* all, [2, 1, 7, 1])
      yield* TestClock.adjust("40 seconds")
      assert.deepStrictEqual(yield* all, [0, 0, 10, 0])
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(yield* all, [1, 1, 8, 1])
      const wrong = yield* Effect.flip(Metrics.watchBudget({ accounts } as never, { maxAccounts: 0 }))
      assert.include(String(wrong), "maxAccounts")
    }).pipe(Effect.scoped, Effect.provide(registry))
  )
})

describe("a summary", () => {
  const call = (startedAt: number) => ({
    outcome: "success" as const,
    startedAt,
    tookMs: 5,
    attempts: [],
    retries: 0,
    failovers: 0,
    hedges: 0
  })

  it("keeps its series when the clock is put back or forward by hours while calls are under way", () => {
    const start = Date.UTC(2026, 0, 1, 12)
    for (const shift of [-86_400_000, -3_600_000, 3_600_000, 86_400_000]) {
      const book = new SummaryBook(start)
      const now = start + shift
      // Calls that began before the clock was put end among those that began after it.
      for (let i = 0; i < 50; i++) {
        book.record(call(start), now)
        book.record(call(now), now)
      }
      const { series, totals } = book.view(now)
      expect(totals.requests).toBe(100)
      expect(series.points.map(({ requests }) => requests)).toEqual([100])
    }
  })

  it.effect("of a Layer keeps to the clock, too", () =>
    Effect.gen(function* () {
      const clock = yield* Clock.Clock
      let shift = 0
      const shifted: Clock.Clock = {
        ...clock,
        currentTimeMillisUnsafe: () => clock.currentTimeMillisUnsafe() + shift,
        monotonicTimeNanosUnsafe: () => clock.monotonicTimeNanosUnsafe(),
        sleep: (duration) => clock.sleep(duration)
      }
      const context = yield* Effect.provideService(Layer.build(Summary.layer), Clock.Clock, shifted)
      const sink = Context.get(context, Event.EventSink)!
      shift = 7_200_000
      sink(finished("began before"))
      sink({ ...finished("began after"), startedAt: shift } as Event.RequestFinished)
      const { series } = yield* Context.get(context, Summary.Summary).snapshot
      expect(series.points.map(({ requests }) => requests)).toEqual([2])
    })
  )

  it("from elsewhere is refused where its bins are none", () => {
    const state = new SummaryBook(0).state(0)
    const decode = Schema.decodeUnknownSync(Summary.State)
    expect(decode(state)).toEqual(state)
    for (const bins of [[1], [1, -1], [1.5, 1], [1e9, 1], [1, 1, 2]]) {
      expect(() => decode({ ...state, latency: { ...state.latency, bins } })).toThrow()
    }
  })
})

describe("a stream of events", () => {
  it("has a bound, whatever is asked for", () => {
    for (const capacity of [Number.NaN, Infinity, 0, -1, 1.5]) {
      expect(() => Events.withStream(Effect.void, Stream.runDrain, { capacity })).toThrow("capacity")
    }
  })
})
