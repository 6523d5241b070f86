/** What an answer says of money beside its cost: what it saved, what is left, and which soft limits are reached. */
import {
  Budget,
  BudgetStore,
  type Call,
  CallContext,
  Embedder,
  Event,
  Ledger,
  LedgerStore,
  LLM,
  type LLMError,
  LLMProvider,
  type Pipeline,
  Pricing,
  ResponseCache,
  SemanticCache
} from "@breakwater/core"
import { ScriptedProvider } from "@breakwater/testing"
import { assert, describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { sweep } from "../support/sweep.ts"
import { inVirtualTime } from "./support.ts"

/** A thousand nano-dollars a token of the answer. */
const pricing = Pricing.layer({ "a/m": { input: 0, output: 1 }, "b/m": { input: 0, output: 10 } })
const token = 1_000n

const answer = (text: string, outputTokens = 30) =>
  ScriptedProvider.text(text, { usage: { inputTokens: 10, outputTokens } })

const embedder = Embedder.layer({ name: "test", embed: (texts) => Effect.succeed(texts.map(() => [1, 0])) })

interface Setup {
  readonly script: ScriptedProvider.Script
  readonly limits?: ReadonlyArray<Budget.Limit>
  readonly cache?: boolean
  readonly semantic?: boolean
  /** A store that answers by effects alone, as one far away does. */
  readonly far?: boolean
  readonly ledger?: boolean
  readonly options?: Partial<Pipeline.PipelineOptions>
}

const setup = ({ cache, far, ledger, limits, options, script, semantic }: Setup) =>
  Effect.gen(function* () {
    const provider = yield* ScriptedProvider.make({ name: "a", script })
    const { local: _, ...store } = yield* BudgetStore.makeMemory()
    const budget = limits === undefined ? Budget.layerNoop : Layer.provide(Budget.layer({ limits }), pricing)
    const layers = Layer.mergeAll(
      LLM.layerNoPolicies,
      pricing,
      far === true ? Layer.provide(budget, Layer.succeed(BudgetStore.BudgetStore, store)) : budget,
      cache === true ? ResponseCache.layer() : Layer.empty,
      semantic === true ? Layer.provide(SemanticCache.layer(), embedder) : Layer.empty,
      ledger === true ? Layer.provide(Ledger.layer(), [pricing, LedgerStore.layerMemory]) : Layer.empty,
      LLMProvider.layerOf(provider.provider)
    ) as Layer.Layer<Pipeline.PipelineServices>
    const context = yield* Layer.build(layers)
    const llm = yield* Effect.provide(
      Effect.flatMap(Layer.build(LLM.layer({ targets: ["a/m"], maxAttempts: 1, ...options })), (built) =>
        Effect.provide(Effect.service(LLM.LLM), built)
      ),
      context
    )
    return {
      llm,
      budget: yield* Effect.provide(Effect.service(Budget.Budget), context),
      read: (options: Parameters<LLM.LLMService["stream"]>[0]) =>
        Effect.map(Stream.runCollect(llm.stream(options)), (parts) => {
          const last = Array.from(parts).at(-1)
          assert(last?.type === "finish")
          return last
        })
    }
  })

const ask = { prompt: "What is it?", temperature: 0, maxTokens: 100 } as const
const day = (limit: string, over: Partial<Budget.Limit> = {}): Budget.Limit => ({
  scope: "global",
  period: "day",
  limit,
  ...over
})

describe("what is left", () => {
  for (const far of [false, true]) {
    const where = far ? "a store far away" : "this process"
    it.effect(`is said of the tightest hard limit, after the call (${where})`, () =>
      Effect.gen(function* () {
        const { budget, llm, read } = yield* setup({
          far,
          script: Array.from({ length: 5 }, () => answer("yes")),
          limits: [
            day("0.01"),
            { scope: "user", period: "month", limit: "0.001" },
            { scope: "tenant", period: "hour", soft: "1" }
          ]
        })
        const one = yield* llm.generate({ ...ask, context: { user: "ada" } })
        expect(one).toMatchObject({ remainingNanos: 1_000n * token - 30n * token })
        expect(one).not.toHaveProperty("softLimits")
        yield* Effect.yieldNow
        const two = yield* read({ ...ask, context: { user: "ada" } })
        expect(two.remainingNanos).toBe(1_000n * token - 60n * token)
        yield* Effect.yieldNow
        const [, month] = yield* budget.snapshot({ ...CallContext.single, user: "ada" })
        expect(month!.remaining).toBe(two.remainingNanos)
        const other = yield* llm.generate({ ...ask, context: { user: "bob" } })
        expect(other.remainingNanos).toBe(1_000n * token - 30n * token)
      }).pipe(Effect.scoped)
    )

    it.effect(`soft limits that are reached are named, and the call is made (${where})`, () =>
      Effect.gen(function* () {
        const { llm, read } = yield* setup({
          far,
          script: Array.from({ length: 5 }, () => answer("yes")),
          limits: [
            { name: "gentle", scope: "user", period: "day", soft: "0.00003" },
            { name: "later", scope: "tenant", period: "day", soft: "0.00006", limit: "1" }
          ]
        })
        const one = yield* llm.generate(ask)
        expect(one.softLimits).toEqual(["gentle"])
        yield* Effect.yieldNow
        expect((yield* read(ask)).softLimits).toEqual(["gentle", "later"])
      }).pipe(Effect.scoped)
    )
  }

  it.effect("what other calls hold is not left", () =>
    Effect.gen(function* () {
      const { budget, llm } = yield* setup({ script: [answer("yes")], limits: [day("0.001")] })
      yield* budget.hold(CallContext.single, 500n * token)
      expect((yield* llm.generate(ask)).remainingNanos).toBe(470n * token)
    }).pipe(Effect.scoped)
  )

  it.effect("is said of embeddings, and with a ledger beside the budget", () =>
    Effect.gen(function* () {
      const { llm, read } = yield* setup({
        ledger: true,
        script: [ScriptedProvider.embeddings([[1]]), answer("yes")],
        limits: [day("0.001")]
      })
      expect((yield* llm.embed({ input: "text" })).remainingNanos).toBe(1_000n * token)
      expect((yield* read(ask)).remainingNanos).toBe(970n * token)
    }).pipe(Effect.scoped)
  )

  it.effect("is never below nothing, and not said without a hard limit", () =>
    Effect.gen(function* () {
      const over = yield* setup({ script: [answer("long", 5_000)], limits: [day("0.0002")] })
      expect((yield* over.llm.generate(ask)).remainingNanos).toBe(0n)
      const none = yield* setup({ script: [answer("yes")] })
      expect(yield* none.llm.generate(ask)).not.toHaveProperty("remainingNanos")
      const soft = yield* setup({ script: [answer("yes")], limits: [{ scope: "global", period: "day", soft: "1" }] })
      expect(yield* soft.llm.generate(ask)).not.toHaveProperty("remainingNanos")
    }).pipe(Effect.scoped)
  )
})

describe("what was saved", () => {
  it.effect("is what the kept answer had cost, for calls and streams of either kind", () =>
    Effect.gen(function* () {
      const { llm, read } = yield* setup({ cache: true, script: [answer("one"), answer("two", 7)], limits: [day("1")] })
      const finished: Array<bigint | undefined> = []
      const program = Effect.gen(function* () {
        const made = yield* llm.generate(ask)
        expect(made.cost?.nanoDollars).toBe(30n * token)
        expect(made).not.toHaveProperty("savedNanos")
        const again = yield* llm.generate(ask)
        expect(again).toMatchObject({ cached: { source: "exact" }, savedNanos: 30n * token })
        // It drew on no budget.
        expect(again).not.toHaveProperty("remainingNanos")
        expect((yield* read(ask)).savedNanos).toBe(30n * token)
        const streamed = yield* read({ ...ask, prompt: "Another." })
        expect(streamed).not.toHaveProperty("savedNanos")
        expect((yield* read({ ...ask, prompt: "Another." })).savedNanos).toBe(7n * token)
        expect((yield* llm.generate({ ...ask, prompt: "Another." })).savedNanos).toBe(7n * token)
      })
      yield* Effect.provideService(program, Event.EventSink, (event) => {
        if (event.type === "request-finished") finished.push(event.savedNanos)
      })
      expect(finished).toEqual([undefined, 30n * token, 30n * token, undefined, 7n * token, 7n * token])
    }).pipe(Effect.scoped)
  )

  it.effect("is told of answers that mean the same", () =>
    Effect.gen(function* () {
      const { llm } = yield* setup({ cache: true, semantic: true, script: [answer("one")] })
      yield* llm.generate(ask)
      const alike = yield* llm.generate({ ...ask, prompt: "What is it, please?" })
      expect(alike).toMatchObject({ cached: { source: "semantic" }, savedNanos: 30n * token })
    }).pipe(Effect.scoped)
  )

  for (const operation of ["generate", "stream"] as const) {
    it.effect(`is told to those who share a call in flight; what is left is the leader's own (${operation})`, () =>
      Effect.gen(function* () {
        const { llm, read } = yield* setup({
          cache: true,
          script: [ScriptedProvider.delay("1 second", answer("one"))],
          limits: [day("1", { soft: "0.00001" })]
        })
        const call: Effect.Effect<Call.LLMResponse | Call.CompletePart, LLMError.LLMError> =
          operation === "generate" ? llm.generate(ask) : read(ask)
        const [leader, follower] = yield* inVirtualTime(Effect.all([call, call], { concurrency: 2 }))
        expect(leader.remainingNanos).toBe(1_000_000_000n - 30n * token)
        expect(leader.softLimits).toEqual(["global day"])
        expect(follower).toMatchObject({ cached: { source: "in-flight" }, savedNanos: 30n * token, attempts: [] })
        for (const field of ["remainingNanos", "softLimits", "cost"]) expect(follower).not.toHaveProperty(field)
        // Nor is it kept with the answer.
        const later = yield* call
        for (const field of ["remainingNanos", "softLimits"]) expect(later).not.toHaveProperty(field)
        expect(later.savedNanos).toBe(30n * token)
      }).pipe(Effect.scoped)
    )
  }
})

describe("a stream that does not end", () => {
  const cases: ReadonlyArray<readonly [string, ScriptedProvider.Script, bigint]> = [
    ["breaks", [ScriptedProvider.cut("x".repeat(80))], 20n],
    ["is left", [ScriptedProvider.stream(["x".repeat(40), ScriptedProvider.wait("1 minute"), "never"])], 10n]
  ]
  for (const far of [false, true]) {
    for (const [how, script, tokens] of cases) {
      it.effect(`that ${how} is settled by what was produced (${far ? "far" : "here"})`, () =>
        Effect.gen(function* () {
          const { budget, llm } = yield* setup({ far, script, limits: [day("1")] })
          const parts = llm.stream({ ...ask, maxTokens: 1_000 })
          yield* Effect.exit(
            Stream.runDrain(Stream.takeUntil(parts, (part) => how === "is left" && part.type === "text-delta"))
          )
          yield* Effect.yieldNow
          expect((yield* budget.snapshot(CallContext.single))[0]).toMatchObject({ spent: tokens * token, reserved: 0n })
        }).pipe(Effect.scoped)
      )
    }
  }
})

describe("interruption at every operation", () => {
  const script: ScriptedProvider.Script = [
    ScriptedProvider.stream([ScriptedProvider.wait("5 millis"), "one ", ScriptedProvider.wait("5 millis"), "two"])
  ]
  for (const operation of ["generate", "stream"] as const) {
    for (const far of [false, true]) {
      it(`leaves nothing reserved, and what is told agrees with what is kept (${operation}, ${far ? "far" : "here"})`, async () => {
        let look: (() => readonly [bigint, bigint]) | undefined
        let told: bigint | undefined
        const points = await sweep(
          () =>
            Effect.gen(function* () {
              told = undefined
              look = undefined
              const limits: ReadonlyArray<Budget.Limit> = [{ scope: "global", period: "lifetime", limit: "1" }]
              const { budget, llm, read } = yield* setup({ far, cache: true, script, limits })
              look = () =>
                Effect.runSync(
                  Effect.map(budget.snapshot(CallContext.single), ([all]) => [all!.reserved, all!.remaining!] as const)
                )
              // The clock of the sweep leaps to the end of a wait as soon as all fibers give way; small steps keep it from
              // passing a settlement far away by.
              yield* Effect.addFinalizer(() => Effect.repeat(Effect.sleep(1), { times: 20 }))
              const done = operation === "generate" ? yield* llm.generate(ask) : yield* read(ask)
              told = done.remainingNanos
              yield* Effect.yieldNow
            }).pipe(Effect.scoped),
          ({ clock, point }) => {
            expect(clock.sleeping(), `timers at ${point}`).toBe(0)
            if (look === undefined) return
            const [reserved, remaining] = look()
            expect(reserved, `interrupted at ${point}`).toBe(0n)
            if (told !== undefined) expect(remaining, `told at ${point}`).toBe(told)
          }
        )
        expect(points).toBeGreaterThan(50)
        expect(told).toBeDefined()
      }, 120_000)
    }
  }
})

describe("ten thousand calls at once", () => {
  it.effect(
    "through the whole pipeline spend what they used, and nothing past the limit",
    () =>
      Effect.gen(function* () {
        const { budget, llm } = yield* setup({
          script: () => ScriptedProvider.delay("1 millis", answer("yes", 40)),
          limits: [day("0.05", { name: "all" }), { scope: "user", period: { rolling: "1 hour" }, limit: "0.02" }]
        })
        const least = { left: 50_000n * token, admitted: 0 }
        const call = (index: number) =>
          Effect.match(llm.generate({ ...ask, context: { user: `user-${index % 4}` } }), {
            onFailure: ({ _tag }) => expect(_tag).toBe("BudgetExceededError"),
            onSuccess: ({ remainingNanos }) => {
              least.admitted++
              if (remainingNanos! < least.left) least.left = remainingNanos!
            }
          })
        const fiber = yield* Effect.forkChild(
          inVirtualTime(
            Effect.forEach(
              Array.from({ length: 10_000 }, (_, index) => index),
              call,
              { concurrency: "unbounded", discard: true }
            )
          )
        )
        yield* Fiber.join(fiber)
        const [all] = yield* budget.snapshot(CallContext.single)
        expect(all!.reserved).toBe(0n)
        expect(all!.spent).toBe(BigInt(least.admitted) * 40n * token)
        expect(all!.spent).toBeLessThanOrEqual(50_000n * token)
        expect(least.admitted).toBeGreaterThanOrEqual(500)
        expect(least.left).toBeGreaterThanOrEqual(0n)
      }).pipe(Effect.scoped),
    60_000
  )
})
