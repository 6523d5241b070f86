import { Event, Events, LLMError, Logs, Metrics, Summary } from "@breakwater/core"
import { Failures, ScriptedProvider } from "@breakwater/testing"
import { assert, describe, expect, it } from "@effect/vitest"
import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as References from "effect/References"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import { inVirtualTime, setup } from "../../../composition/support.ts"

interface Line {
  readonly level: string
  readonly annotations: Readonly<Record<string, unknown>>
  readonly message: Readonly<Record<string, unknown>>
}

/** Runs with logs as lines of JSON, and answers with the lines. */
const logged = <A, E>(effect: Effect.Effect<A, E>, options?: Logs.Options, level: "Debug" | "Info" = "Debug") =>
  Effect.gen(function* () {
    const lines: Array<string> = []
    const logger = Logger.map(Logger.formatJson, (line) => {
      lines.push(line)
    })
    yield* Effect.exit(effect).pipe(
      Effect.provide(Layer.mergeAll(Logs.layer(options), Logger.layer([logger]))),
      Effect.provideService(References.MinimumLogLevel, level)
    )
    return lines
  })

const parsed = (lines: ReadonlyArray<string>): ReadonlyArray<Line> => lines.map((line) => JSON.parse(line) as Line)

const emit = (events: ReadonlyArray<Event.PolicyEvent>) =>
  Effect.map(Event.EventSink, (sink) => {
    for (const event of events) sink?.(event)
  })

const finished = (more: Partial<Event.RequestFinished> = {}): Event.RequestFinished => ({
  type: "request-finished",
  requestId: "r1",
  operation: "generate",
  outcome: "success",
  context: { tenant: "acme" },
  startedAt: 0,
  tookMs: 12,
  attempts: [],
  retries: 0,
  failovers: 0,
  hedges: 0,
  ...more
})

describe("Logs", () => {
  it.effect("write one line for a call, with whose it was, who answered and what it took", () =>
    Effect.gen(function* () {
      const { llm } = yield* setup({ a: [ScriptedProvider.delay("2 seconds", "the answer")] }, { targets: ["a/m"] })
      const lines = yield* logged(
        inVirtualTime(
          llm.generate({
            prompt: "the question",
            requestId: "r1",
            context: { tenant: "acme", user: "u", project: "p", key: "k", tags: ["x", "y"], priority: "batch" }
          })
        ).pipe(Effect.annotateLogs("service", "shop"), Effect.provide(Events.layerPromptHash()))
      )
      expect(lines).toHaveLength(1)
      const [line] = parsed(lines)
      assert(line !== undefined)
      expect(line.level).toBe("INFO")
      expect(line.annotations).toEqual({ service: "shop" })
      expect(line.message).toEqual({
        event: "llm.request",
        requestId: "r1",
        operation: "generate",
        outcome: "success",
        tenant: "acme",
        user: "u",
        project: "p",
        key: "k",
        tags: ["x", "y"],
        priority: "batch",
        target: "a/m",
        tookMs: 2_000,
        attempts: 1,
        inputTokens: expect.any(Number),
        outputTokens: expect.any(Number),
        finishReason: "stop",
        promptHash: expect.stringMatching(/^[\w-]{43}$/)
      })
      expect(lines[0]).not.toContain("the question")
      expect(lines[0]).not.toContain("the answer")
    })
  )

  it.effect("tell retries and failovers at debug, and the failed call once", () =>
    Effect.gen(function* () {
      const { llm } = yield* setup(
        { a: [ScriptedProvider.fail(Failures.server())], b: [ScriptedProvider.fail(Failures.authentication())] },
        { targets: ["a/m", "b/m"], retry: { retries: 1 } }
      )
      const lines = parsed(yield* logged(inVirtualTime(llm.generate({ prompt: "hi" }))))
      expect(lines.map(({ level, message }) => [level, message["event"]])).toEqual([
        ["DEBUG", "llm.retry"],
        ["DEBUG", "llm.failover"],
        ["ERROR", "llm.request"]
      ])
      expect(lines[0]!.message).toMatchObject({ target: "a/m", attempt: 1, error: { tag: "ServerError", status: 500 } })
      expect(lines[1]!.message).toMatchObject({ from: "a/m", to: "b/m" })
      expect(lines[2]!.message).toMatchObject({
        outcome: "failure",
        attempts: 3,
        retries: 1,
        failovers: 1,
        error: { tag: "AllTargetsFailedError" }
      })
    })
  )

  it.effect("choose the level by the outcome", () =>
    Effect.gen(function* () {
      const of = (more: Partial<Event.RequestFinished>) =>
        Effect.map(logged(emit([finished(more)])), (lines) => parsed(lines)[0]!.level)
      expect(yield* of({})).toBe("INFO")
      expect(yield* of({ outcome: "interrupted" })).toBe("INFO")
      expect(yield* of({ outcome: "failure", error: Failures.rateLimit() })).toBe("WARN")
      expect(yield* of({ outcome: "failure", error: Failures.invalidRequest() })).toBe("WARN")
      expect(yield* of({ outcome: "failure", error: Failures.server() })).toBe("ERROR")
      expect(yield* of({ outcome: "failure", error: Failures.authentication() })).toBe("ERROR")
    })
  )

  it.effect("tell an interrupted call, and a cached one with what it saved", () =>
    Effect.gen(function* () {
      const { llm } = yield* setup({ a: [ScriptedProvider.stall] }, { targets: ["a/m"] })
      const lines = yield* logged(
        Effect.gen(function* () {
          const fiber = yield* Effect.forkChild(Stream.runDrain(llm.stream({ prompt: "hi" })))
          yield* Effect.yieldNow
          yield* TestClock.adjust("1 second")
          yield* Fiber.interrupt(fiber)
          yield* emit([finished({ cached: { source: "exact", ageMs: 5 }, savedNanos: 7n })])
        })
      )
      expect(parsed(lines).map((line) => line.message)).toMatchObject([
        { outcome: "interrupted", operation: "stream", tookMs: 1_000 },
        { outcome: "success", cached: "exact", savedNanos: "7" }
      ])
    })
  )

  it.effect("tell at debug what took long, attempt by attempt", () =>
    Effect.gen(function* () {
      const { llm } = yield* setup({ a: [ScriptedProvider.delay("6 seconds", "x")] }, { targets: ["a/m"] })
      const lines = yield* logged(inVirtualTime(llm.generate({ prompt: "hi" }), 100, "1 second"), {
        slowerThan: "5 seconds"
      })
      expect(parsed(lines).map((line) => line.message)).toMatchObject([
        { event: "llm.slow", tookMs: 6_000, attempts: [{ attempt: 1, target: "a/m", outcome: "success" }] },
        { event: "llm.request" }
      ])
      const quick = yield* logged(emit([finished()]), { slowerThan: "5 seconds" })
      expect(quick).toHaveLength(1)
    })
  )

  it.effect("build nothing below the level in force", () =>
    Effect.gen(function* () {
      const trap = { ...finished(), type: "retry-scheduled" as const, attempt: 1, target: "a/m", delayMs: 1 }
      Object.defineProperty(trap, "error", { get: () => assert.fail("looked at") })
      const lines = yield* logged(emit([trap as never, finished()]), {}, "Info")
      expect(lines).toHaveLength(1)
    })
  )

  it.effect("log a share of the successes, and every failure", () =>
    Effect.gen(function* () {
      const failed = finished({ outcome: "failure", error: Failures.server() })
      const many = Array.from({ length: 4_000 }, (_, n) => (n % 10 === 0 ? failed : finished()))
      const lines = parsed(yield* logged(emit(many), { successes: 0.1 }))
      const successes = lines.filter(({ message }) => message["outcome"] === "success")
      expect(lines.length - successes.length).toBe(400)
      expect(successes.length).toBeGreaterThan(270)
      expect(successes.length).toBeLessThan(450)
      expect(successes[0]!.message["sampled"]).toBe(0.1)
      expect(parsed(yield* logged(emit(many), { successes: 0 }))).toHaveLength(400)
    })
  )

  it.effect("tell what changes in the policies, unless they shall not", () =>
    Effect.gen(function* () {
      const error = new LLMError.StoreError({ message: "refused", store: "redis", operation: "get" })
      const events: ReadonlyArray<Event.PolicyEvent> = [
        { type: "circuit-changed", key: "a/m", from: "closed", to: "open", reason: "failure-rate", openForMs: 30_000 },
        { type: "store-lost", store: "redis", mode: "local", error },
        { type: "store-recovered", store: "redis", mode: "local", lostMs: 9 },
        { type: "circuit-store-changed", available: false, error },
        { type: "ledger-store-changed", store: "sql", available: false, waiting: 7, error },
        { type: "ledger-records-lost", store: "sql", count: 3 },
        { type: "audit-store-changed", store: "sql", available: false, waiting: 7, reason: "store" },
        { type: "audit-entries-lost", store: "sql", count: 3 },
        { type: "budget-store-failed", store: "sql", operation: "settle", handled: "left-reserved", error },
        {
          type: "budget-threshold",
          budget: "b",
          scope: "user",
          value: "u",
          period: "day",
          limit: 10n,
          spent: 8n,
          threshold: 0.8
        },
        { type: "quota-paused", key: "a/m", pauseMs: 1_000, hinted: true },
        { type: "cache-miss", cache: "exact", tenant: "t", namespace: "n", target: "a/m", reason: "absent" }
      ]
      const lines = parsed(yield* logged(emit(events)))
      expect(lines.map(({ level, message }) => `${level} ${String(message["event"])}`)).toEqual([
        "WARN llm.circuit",
        "WARN llm.store",
        "INFO llm.store",
        "WARN llm.store",
        "WARN llm.store",
        "ERROR llm.ledger",
        "WARN llm.store",
        "ERROR llm.audit",
        "WARN llm.store",
        "WARN llm.budget",
        "INFO llm.pause"
      ])
      expect(lines[1]!.message).toMatchObject({ available: false, mode: "local", error: { tag: "StoreError" } })
      expect(yield* logged(emit(events), { policies: false })).toEqual([])
    })
  )

  it.effect("hold nothing of an answer that an error holds", () =>
    Effect.gen(function* () {
      const secret = "the launch code is 0000-1111-2222"
      const errors = [
        new LLMError.StreamInterruptedError({
          message: `cut after "${secret}"`,
          partialText: `Well, ${secret}, and so`,
          parts: [{ type: "text-delta", delta: secret }]
        }),
        new LLMError.StructuredOutputError({
          message: `Expected a number, got ${secret}`,
          issues: [`got ${secret}`],
          rawText: secret
        }),
        new LLMError.InvalidResponseError({ message: `no JSON: ${secret}`, excerpt: `no JSON: ${secret} …` })
      ]
      for (const error of errors) {
        const attempt = {
          attempt: 1,
          target: "a/m",
          outcome: "failure" as const,
          error,
          startedAt: 0,
          tookMs: 1,
          waitedMs: 0
        }
        const lines = yield* logged(
          emit([
            { type: "retry-scheduled", requestId: "r", attempt: 1, target: "a/m", delayMs: 1, error },
            finished({ outcome: "failure", error, attempts: [attempt] })
          ]),
          { slowerThan: 1 }
        )
        expect(lines).toHaveLength(3)
        for (const line of lines) {
          expect(line).not.toContain("launch")
          expect(line).toContain(error._tag)
        }
      }
      const own = new LLMError.StreamInterruptedError({
        message: "The stream ended before its finish part",
        partialText: secret,
        parts: []
      })
      const [line] = yield* logged(emit([finished({ outcome: "failure", error: own })]))
      expect(line).toContain("The stream ended before its finish part")
    })
  )

  it.effect("hold no key", () =>
    Effect.gen(function* () {
      const keys = [
        "sk-proj-abcdefghijklmnop1234",
        "sk-ant-api03-abcdefghijklmnopqrst",
        "AIzaSyA1234567890abcdefghijklmnop",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"
      ]
      for (const key of keys) {
        const error = new LLMError.AuthenticationError({
          message: `Wrong key: ${key}, or Bearer ${key}`,
          kind: "invalid"
        })
        const lines = yield* logged(
          emit([finished({ outcome: "failure", error, context: { tenant: "t", key, user: `Bearer ${key}` } })])
        )
        expect(lines[0]).not.toContain(key)
        expect(lines[0]).toContain("[key]")
      }
    })
  )

  // oxlint-disable-next-line no-control-regex
  const unsafe = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e]/
  const Nasty = Schema.Array(
    Schema.Literals([
      "\n",
      "\r",
      "\u0000",
      "\u001b[31m",
      "\u001b]0;title\u0007",
      "\u009b2J",
      "\u2028",
      "\u202e",
      '"}\n{"level":"INFO"',
      "\\",
      "\ud83d",
      "\ude00",
      "😀",
      "é",
      "a",
      "x".repeat(300),
      "😀".repeat(300)
    ])
  )

  it.effect.prop(
    "are one short, safe line whatever names and messages hold",
    { id: Nasty, tag: Nasty, message: Nasty },
    (parts) =>
      Effect.gen(function* () {
        const [id, tag, message] = [parts.id.join(""), parts.tag.join(""), parts.message.join("")]
        const error = new LLMError.ServerError({ message, provider: tag, model: id, requestId: id })
        const context = { tenant: tag, user: id, project: tag, key: id, tags: Array.from({ length: 50 }, () => tag) }
        const [line, ...more] = yield* logged(
          emit([
            finished({ requestId: id, context, target: `${tag}/${id}`, outcome: "failure", error, promptHash: tag })
          ])
        )
        assert(line !== undefined)
        expect(more).toEqual([])
        expect(line).not.toMatch(unsafe)
        expect(line.isWellFormed()).toBe(true)
        const values = JSON.stringify(JSON.parse(line), (_key, value: unknown) => {
          if (typeof value === "string") {
            expect(value).not.toMatch(unsafe)
            expect(value.isWellFormed()).toBe(true)
            expect(value.length).toBeLessThanOrEqual(501)
          }
          return value
        })
        expect(values.length).toBeLessThan(40_000)
        expect(JSON.parse(line).message.outcome).toBe("failure")
      })
  )

  it.effect("cut a megabyte without reading it", () =>
    Effect.gen(function* () {
      const huge = "\u001b[31m\n".repeat(150_000)
      const start = process.hrtime.bigint()
      const error = new LLMError.StreamInterruptedError({ message: huge, partialText: huge, parts: [] })
      const [line] = yield* logged(
        emit([finished({ requestId: huge, context: { tenant: huge, tags: [huge] }, outcome: "failure", error })])
      )
      expect(Number(process.hrtime.bigint() - start) / 1e6).toBeLessThan(200)
      expect(line!.length).toBeLessThan(2_000)
    })
  )

  it.effect("name a wrong option", () =>
    Effect.gen(function* () {
      for (const options of [{ successes: 1.5 }, { successes: NaN }, { slowerThan: -1 }, { slowerThan: Infinity }]) {
        const error = yield* Effect.flip(Layer.build(Logs.layer(options)))
        expect(String(error)).toContain(Object.keys(options)[0])
      }
    })
  )

  it.effect("take their options from configuration", () =>
    Effect.gen(function* () {
      const lines: Array<unknown> = []
      const layer = Logs.layerConfig({ successes: Config.Number("SHARE") })
      const provider = ConfigProvider.fromEnv({ env: { SHARE: "0" } })
      yield* emit([finished()]).pipe(
        Effect.provide(Layer.mergeAll(layer, Logger.layer([Logger.make((each) => lines.push(each))]))),
        Effect.provideService(ConfigProvider.ConfigProvider, provider)
      )
      expect(lines).toEqual([])
    })
  )

  it.effect("are heard beside metrics, summary and listeners, though one of them throws", () =>
    Effect.gen(function* () {
      const heard: Array<string> = []
      const lines: Array<unknown> = []
      const all = Events.layerAll(
        Events.layer((event) => heard.push(event.type)),
        Events.layer(() => {
          throw new Error("broken")
        }),
        Metrics.layer,
        Summary.layer,
        Logs.layer()
      )
      const { totals } = yield* Effect.andThen(emit([finished()]), Summary.snapshot).pipe(
        Effect.provide(Layer.mergeAll(all, Logger.layer([Logger.make((each) => lines.push(each))])))
      )
      expect([totals.requests, heard, lines.length]).toEqual([1, ["request-finished"], 1])
    })
  )
})
