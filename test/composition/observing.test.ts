/** What the end of a call tells, and what the service knows of itself without anybody listening. */
import {
  Bulkhead,
  CircuitBreaker,
  type Event,
  Events,
  Hedge,
  LLM,
  LLMProvider,
  type LLMError,
  type Pipeline,
  Pricing,
  ResponseCache,
  Summary,
  TokenQuota
} from "@breakwater/core"
import { Failures, ScriptedProvider } from "@breakwater/testing"
import { assert, describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import { inVirtualTime } from "./support.ts"

/** A thousand nano-dollars a token of the answer at `a`, ten thousand at `b`. */
const table: Pricing.Table = { "a/m": { input: 0, output: 1 }, "b/m": { input: 0, output: 10 } }

const embedding = ScriptedProvider.embeddings([[1, 0]])

const hedgeAfter = (delayMs: number) => {
  const hedger: Hedge.Hedger = {
    delayMs: () => delayMs,
    tryStart: () => true,
    onCall: () => {},
    observe: () => {}
  }
  return Layer.succeed(Hedge.Hedge, { ...Hedge.noop, ...hedger, hedger })
}

interface Setup {
  readonly scripts: Readonly<Record<string, ScriptedProvider.Script>>
  readonly options?: Partial<Pipeline.PipelineOptions>
  /** Policies other than the usual ones. */
  readonly layers?: Layer.Layer<never> | Layer.Layer<Exclude<Pipeline.PipelineServices, LLMProvider.Providers>>
}

/** The service with prices and a cache, and the ends of its calls. */
const setup = ({ layers, options, scripts }: Setup) =>
  Effect.gen(function* () {
    const providers = []
    for (const [name, script] of Object.entries(scripts)) {
      providers.push((yield* ScriptedProvider.make({ name, script })).provider)
    }
    const context = yield* Layer.build(
      LLM.layer({ targets: ["a/m"], ...options }).pipe(
        Layer.provide(
          Layer.mergeAll(
            LLM.layerNoPolicies,
            Pricing.layer(table),
            ResponseCache.layer(),
            LLMProvider.layerOf(...providers),
            layers ?? Layer.empty
          )
        )
      )
    )
    const llm = yield* Effect.provide(Effect.service(LLM.LLM), context)
    const ends: Array<Event.RequestFinished> = []
    const heard = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
      Events.listen((event) => {
        if (event.type === "request-finished") ends.push(event)
      })(effect)
    return { llm, ends, heard }
  })

const ask = { prompt: "hi", temperature: 0 } as const
const context = { tenant: "acme", user: "u1", project: "p1", key: "k1", tags: ["t"] }
const nanosOf = (tokens: number): bigint => BigInt(tokens) * 1_000n

describe("the end of a call tells", () => {
  it.effect("whose it was, when it began, who answered, what it cost", () =>
    Effect.gen(function* () {
      const { ends, heard, llm } = yield* setup({ scripts: { a: ["hello there, world"] } })
      yield* TestClock.setTime(86_400_000)
      const answer = yield* heard(llm.generate({ ...ask, context, requestId: "r1" }))
      const [end] = ends
      assert(end !== undefined)
      expect(end).toMatchObject({
        requestId: "r1",
        operation: "generate",
        outcome: "success",
        context,
        startedAt: 86_400_000,
        target: "a/m",
        cost: { nanoDollars: nanosOf(answer.usage.outputTokens), unknownAttempts: 0 },
        finishReason: "stop",
        retries: 0,
        failovers: 0,
        hedges: 0
      })
      for (const absent of ["cached", "savedNanos", "error", "promptHash", "firstTokenMs"]) {
        expect(end).not.toHaveProperty(absent)
      }
    })
  )

  it.effect("a cached answer: that it was cached, what it would have cost, and no cost of its own", () =>
    Effect.gen(function* () {
      const { ends, heard, llm } = yield* setup({ scripts: { a: ["hello there, world"] } })
      const first = yield* llm.generate(ask)
      yield* TestClock.adjust("5 seconds")
      yield* heard(llm.generate(ask))
      expect(ends[0]).toMatchObject({
        outcome: "success",
        target: "a/m",
        attempts: [],
        cached: { source: "exact", ageMs: 5_000 },
        savedNanos: nanosOf(first.usage.outputTokens),
        cost: { nanoDollars: 0n, estimated: false, unknownAttempts: 0 },
        finishReason: "stop"
      })
    })
  )

  it.effect("a cached stream tells the same", () =>
    Effect.gen(function* () {
      const { ends, heard, llm } = yield* setup({ scripts: { a: ["hello there, world"] } })
      const first = yield* Stream.runCollect(llm.stream(ask))
      const finish = Array.from(first).at(-1)
      assert(finish?.type === "finish")
      yield* heard(Stream.runDrain(llm.stream(ask)))
      expect(ends[0]).toMatchObject({
        operation: "stream",
        attempts: [],
        cached: { source: "exact" },
        savedNanos: nanosOf(finish.usage.outputTokens),
        finishReason: "stop"
      })
    })
  )

  it.effect("a shared call in flight: who waited tells that it was cached, who called pays", () =>
    Effect.gen(function* () {
      const { ends, heard, llm } = yield* setup({ scripts: { a: [ScriptedProvider.delay("1 second", "hello")] } })
      const both = Effect.all([llm.generate(ask), llm.generate(ask)], { concurrency: 2 })
      yield* inVirtualTime(heard(both))
      expect(new Set(ends.map((end) => end.cached?.source))).toEqual(new Set(["in-flight", undefined]))
      const shared = ends.find((end) => end.cached !== undefined)
      expect(shared?.savedNanos).toBe(ends.find((end) => end.cached === undefined)?.cost?.nanoDollars)
    })
  )

  it.effect("a stream: when its first content came, counted from the start of the call", () =>
    Effect.gen(function* () {
      const { ends, heard, llm } = yield* setup({
        scripts: { a: [ScriptedProvider.fail(Failures.server()), ScriptedProvider.delay("2 seconds", "hello")] },
        options: { retry: { retries: 1 } }
      })
      yield* inVirtualTime(heard(Stream.runDrain(llm.stream(ask))), 100, "500 millis")
      const end = ends[0]
      assert(end !== undefined)
      expect(end.attempts.map((attempt) => attempt.outcome)).toEqual(["failure", "success"])
      const second = end.attempts[1]
      expect(second?.firstTokenMs).toBeCloseTo(2_000, 6)
      expect(end.firstTokenMs).toBeCloseTo(second!.startedAt - end.startedAt + 2_000, 6)
      expect(end).toMatchObject({ retries: 1, failovers: 0, target: "a/m", finishReason: "stop" })
      expect(end.cost?.nanoDollars).toBeGreaterThan(0n)
    })
  )

  it.effect("a failed call: its error, and what its attempts cost", () =>
    Effect.gen(function* () {
      const { ends, heard, llm } = yield* setup({
        scripts: {
          a: [ScriptedProvider.fail(Failures.server())],
          b: [ScriptedProvider.fail(Failures.authentication())]
        },
        options: { targets: ["a/m", "b/m"], retry: { retries: 0 } }
      })
      yield* Effect.exit(heard(llm.generate({ ...ask, context })))
      expect(ends[0]).toMatchObject({
        outcome: "failure",
        context,
        error: { _tag: "AllTargetsFailedError" },
        failovers: 1,
        retries: 0,
        cost: { nanoDollars: 0n }
      })
      expect(ends[0]).not.toHaveProperty("target")
      expect(ends[0]).not.toHaveProperty("finishReason")
    })
  )

  it.effect("an interrupted call", () =>
    Effect.gen(function* () {
      const { ends, heard, llm } = yield* setup({ scripts: { a: [ScriptedProvider.delay("1 hour", "late")] } })
      const fiber = yield* Effect.forkChild(heard(llm.generate(ask)))
      yield* Effect.yieldNow
      yield* TestClock.adjust("3 seconds")
      yield* Fiber.interrupt(fiber)
      expect(ends[0]).toMatchObject({ outcome: "interrupted", tookMs: 3_000, attempts: [{ outcome: "interrupted" }] })
    })
  )

  it.effect("an embedding", () =>
    Effect.gen(function* () {
      const { ends, heard, llm } = yield* setup({ scripts: { a: [embedding] } })
      yield* heard(llm.embed({ input: ["x"], context }))
      expect(ends[0]).toMatchObject({ operation: "embed", outcome: "success", target: "a/m", context })
      expect(ends[0]).not.toHaveProperty("finishReason")
    })
  )

  it.effect("a hash of the prompt on demand: the same for the same, and with a key another", () =>
    Effect.gen(function* () {
      const { ends, heard, llm } = yield* setup({ scripts: { a: ["x", "x", "x", "x"] } })
      const hashed = Effect.provide(Events.layerPromptHash())
      yield* heard(llm.generate(ask)).pipe(hashed)
      yield* heard(Stream.runDrain(llm.stream(ask))).pipe(hashed)
      yield* heard(llm.generate({ prompt: "other" })).pipe(hashed)
      yield* heard(llm.generate(ask)).pipe(Effect.provide(Events.layerPromptHash({ key: "secret" })))
      const [whole, streamed, other, keyed] = ends.map((end) => end.promptHash)
      expect(whole).toMatch(/^[A-Za-z0-9_-]{43}$/)
      expect(streamed).toBe(whole)
      expect(other).not.toBe(whole)
      expect(keyed).not.toBe(whole)
    })
  )
})

describe("an attempt that is broken off", () => {
  const interruptions = (events: ReadonlyArray<Event.PolicyEvent>) =>
    events.flatMap((event) => (event.type === "attempt-interrupted" ? [event] : []))

  it.effect(
    "is told: of a call that is interrupted, a stream that is left with what it had, and a hedge that lost",
    () =>
      Effect.gen(function* () {
        const events: Array<Event.PolicyEvent> = []
        const listen = Events.listen((event) => events.push(event))
        const { llm } = yield* setup({
          scripts: {
            a: [
              ScriptedProvider.stall,
              ScriptedProvider.stream(["a few words", ScriptedProvider.stall]),
              ScriptedProvider.delay("10 seconds", "slow")
            ],
            b: ["quick"]
          }
        })
        const fiber = yield* Effect.forkChild(listen(llm.generate({ ...ask, requestId: "r1" })))
        yield* Effect.yieldNow
        yield* TestClock.adjust("2 seconds")
        yield* Fiber.interrupt(fiber)
        yield* listen(Stream.runDrain(Stream.take(llm.stream({ ...ask, requestId: "r2" }), 2)))
        expect(interruptions(events)).toMatchObject([
          { requestId: "r1", attempt: 1, target: "a/m", tookMs: 2_000 },
          { requestId: "r2", attempt: 1, target: "a/m", usage: { estimated: true } }
        ])
        expect(interruptions(events)[0]).not.toHaveProperty("usage")

        const hedged = yield* setup({
          scripts: { a: [ScriptedProvider.delay("10 seconds", "slow")], b: ["quick"] },
          options: { targets: ["a/m", "b/m"] },
          layers: hedgeAfter(500)
        })
        events.length = 0
        yield* inVirtualTime(listen(hedged.llm.generate(ask)))
        expect(interruptions(events)).toMatchObject([{ attempt: 1, target: "a/m" }])
        const ended = (type: string) => events.filter((event) => event.type === type).length
        expect(ended("attempt-started")).toBe(ended("attempt-succeeded") + ended("attempt-interrupted"))
      })
  )
})

describe("the service's own snapshot", () => {
  it.effect("counts every call though nobody listens: whole, streamed, cached, embedded and failed", () =>
    Effect.gen(function* () {
      const { llm } = yield* setup({
        scripts: {
          a: ["hello", embedding, "streamed text", ScriptedProvider.fail(Failures.authentication())]
        }
      })
      yield* llm.generate(ask)
      yield* llm.embed({ input: "x" })
      yield* Stream.runDrain(llm.stream({ prompt: "two" }))
      yield* llm.generate(ask)
      yield* Stream.runDrain(llm.stream(ask))
      yield* Effect.exit(llm.generate({ prompt: "three" }))
      // What is refused before it begins is no call.
      yield* Effect.exit(llm.generate({ prompt: "four", temperature: -1 }))
      const { summary } = yield* llm.snapshot
      expect(summary.totals).toMatchObject({ requests: 6, success: 5, failure: 1, cached: 2, attempts: 4 })
      expect(summary.totals.costNanos).toBeGreaterThan(0n)
      expect(summary.totals.savedNanos).toBeGreaterThan(0n)
      expect(summary.errors).toEqual({ AuthenticationError: 1 })
      expect(summary.firstToken.count).toBe(1)
      expect(summary.targets["a/m"]).toMatchObject({ attempts: 4, success: 3, failure: 1 })
    })
  )

  it.effect("counts a stream without a cache: read, failed, broken, left, interrupted, once each", () =>
    Effect.gen(function* () {
      const outcomes = function* (
        step: ScriptedProvider.Step,
        read: (parts: Stream.Stream<unknown, LLMError.LLMError>) => Effect.Effect<unknown, unknown>
      ) {
        const { llm } = yield* setup({
          scripts: { a: [step] },
          layers: ResponseCache.layerNoop,
          options: { retry: { retries: 0 } }
        })
        yield* Effect.exit(inVirtualTime(read(llm.stream(ask))))
        const { failure, interrupted, requests, success, tokens } = (yield* llm.snapshot).summary.totals
        return [requests, success, failure, interrupted, tokens.output > 0]
      }
      const hello = ScriptedProvider.text("hello there world")
      const broken = ScriptedProvider.cut("hello there")
      const down = ScriptedProvider.fail(Failures.server())
      expect(yield* outcomes(hello, Stream.runDrain)).toEqual([1, 1, 0, 0, true])
      expect(yield* outcomes(down, Stream.runDrain)).toEqual([1, 0, 1, 0, false])
      expect(yield* outcomes(broken, Stream.runDrain)).toEqual([1, 0, 1, 0, true])
      expect(yield* outcomes(hello, (parts) => Stream.runDrain(Stream.take(parts, 2)))).toEqual([1, 1, 0, 0, true])
      expect(
        yield* outcomes(ScriptedProvider.stall, (parts) => Effect.timeoutOption(Stream.runDrain(parts), "3 seconds"))
      ).toEqual([1, 0, 0, 1, false])
    })
  )

  it.effect("counts retries, failovers and hedges as what they are", () =>
    Effect.gen(function* () {
      const { ends, heard, llm } = yield* setup({
        scripts: {
          a: [ScriptedProvider.fail(Failures.server())],
          b: [ScriptedProvider.delay("10 seconds", "slow")],
          c: ["quick"]
        },
        options: { targets: ["a/m", "b/m", "c/m"], retry: { retries: 1 } },
        layers: hedgeAfter(500)
      })
      yield* inVirtualTime(heard(llm.generate(ask)))
      expect(ends[0]).toMatchObject({ retries: 1, failovers: 1, hedges: 1, target: "c/m" })
      expect((yield* llm.snapshot).summary.totals).toMatchObject({ attempts: 4, retries: 1, failovers: 1, hedges: 1 })
    })
  )

  it.effect("says how the policies stand", () =>
    Effect.gen(function* () {
      const { llm } = yield* setup({
        scripts: { a: ["hello"] },
        layers: Layer.mergeAll(
          CircuitBreaker.layer(),
          Bulkhead.layer({ limit: 3 }),
          TokenQuota.layer({ rpm: 60 })
        ).pipe(Layer.orDie)
      })
      yield* llm.generate(ask)
      yield* llm.generate(ask)
      const { breakers, budgets, bulkheads, cache, quotas } = yield* llm.snapshot
      expect(breakers).toMatchObject([{ key: "a/m", state: "closed", calls: 1 }])
      expect(bulkheads).toMatchObject([{ key: "a/m", limit: 3, active: 0 }])
      expect(quotas).toMatchObject([{ key: "a/m", requests: { limit: 60 } }])
      expect(cache).toMatchObject({ hits: 1, misses: 1 })
      expect(budgets).toBeUndefined()
    })
  )

  it.effect("the Layer's summary of events is the same", () =>
    Effect.gen(function* () {
      const { llm } = yield* setup({
        scripts: { a: ["hello there", ScriptedProvider.fail(Failures.server()), "streamed text"] },
        options: { retry: { retries: 1 } }
      })
      const heard = yield* Effect.gen(function* () {
        yield* llm.generate(ask)
        yield* llm.generate(ask)
        yield* inVirtualTime(Stream.runDrain(llm.stream({ prompt: "two" })))
        return yield* Summary.snapshot
      }).pipe(Effect.provide(Summary.layer))
      const { sinceAt, ...own } = (yield* llm.snapshot).summary
      expect(heard).toEqual({ ...own, sinceAt })
      expect(heard.totals).toMatchObject({ requests: 3, retries: 1, cached: 1 })
    })
  )
})
