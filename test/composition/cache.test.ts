/** The caches in the pipeline: what they save, and what they leave to the policies around them. */
import {
  Budget,
  CacheStore,
  Embedder,
  Events,
  LLM,
  LLMProvider,
  Pipeline,
  ResponseCache,
  SemanticCache
} from "@breakwater/core"
import { Failures, ScriptedProvider } from "@breakwater/testing"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import { inVirtualTime } from "./support.ts"

const embedder = Embedder.layer({
  name: "test",
  embed: (texts) => Effect.succeed(texts.map((text) => (text.includes("password") ? [1, 0] : [0, 1])))
})

interface Setup {
  readonly script: ScriptedProvider.Script
  readonly second?: ScriptedProvider.Script
  readonly semantic?: boolean
  readonly cache?: Layer.Layer<ResponseCache.ResponseCache, unknown>
  readonly options?: Partial<Pipeline.PipelineOptions>
}

const setup = ({ cache, options, script, second, semantic }: Setup) =>
  Effect.gen(function* () {
    const first = yield* ScriptedProvider.make({ name: "first", script })
    const other = yield* ScriptedProvider.make({ name: "second", script: second ?? [] })
    const reserved: Array<string> = []
    const budget = Layer.mock(Budget.Budget, {
      reserve: (call) =>
        Effect.sync(() => {
          reserved.push(call.context.tenant)
          return () => {}
        })
    })
    const layers = Layer.mergeAll(
      LLM.layerNoPolicies,
      cache ?? ResponseCache.layer(),
      budget,
      LLMProvider.layerOf(first.provider, other.provider),
      semantic === true ? SemanticCache.layer().pipe(Layer.provide(embedder)) : Layer.empty
    )
    const llm = yield* Pipeline.make({ targets: ["first/m"], ...options }).pipe(
      Effect.provide(layers as Layer.Layer<Pipeline.PipelineServices>)
    )
    return { llm, reserved, calls: Effect.zipWith(first.calls, other.calls, (a, b) => a.length + b.length) }
  })

const ask = { prompt: "How do I reset my password?", temperature: 0 } as const

describe("the exact cache in the pipeline", () => {
  it.effect("stands before the budget: a hit reserves nothing and calls nobody", () =>
    Effect.gen(function* () {
      const { calls, llm, reserved } = yield* setup({
        script: [ScriptedProvider.text("one"), ScriptedProvider.text("two")]
      })
      const made = yield* llm.generate({ ...ask, requestId: "a" })
      const hit = yield* llm.generate({ ...ask, requestId: "b" })
      expect(made).toMatchObject({ text: "one", requestId: "a" })
      expect(made.attempts).toHaveLength(1)
      expect(hit).toMatchObject({ text: "one", requestId: "b", attempts: [], cached: { source: "exact" } })
      expect(yield* calls).toBe(1)
      expect(reserved).toEqual(["default"])
    })
  )

  it.effect("keeps tenants apart, and takes the controls of the call", () =>
    Effect.gen(function* () {
      const script = ["1", "2", "3", "4"].map((text) => ScriptedProvider.text(text))
      const { llm } = yield* setup({ script })
      const texts = [
        yield* llm.generate(ask),
        yield* llm.generate({ ...ask, context: { tenant: "b" } }),
        yield* llm.generate({ ...ask, cache: { namespace: "n" } }),
        yield* llm.generate({ ...ask, cache: { noCache: true } }),
        yield* llm.generate(ask)
      ].map((answer) => answer.text)
      expect(texts).toEqual(["1", "2", "3", "4", "4"])
      const error = yield* Effect.flip(llm.generate({ ...ask, cache: { namespace: "" } }))
      expect(error).toMatchObject({ _tag: "InvalidRequestError", parameter: "cache.namespace" })
    })
  )

  it.effect("keeps the answer of a retried call, and not that of a target failed over to", () =>
    Effect.gen(function* () {
      const { calls, llm } = yield* setup({
        script: [ScriptedProvider.fail(Failures.server()), ScriptedProvider.text("rescued")],
        options: { retry: { retries: 1 } }
      })
      expect((yield* inVirtualTime(llm.generate(ask))).text).toBe("rescued")
      expect((yield* llm.generate(ask)).cached?.source).toBe("exact")
      expect(yield* calls).toBe(2)

      const failing = yield* setup({
        script: [ScriptedProvider.fail(Failures.server()), ScriptedProvider.text("first again")],
        second: [ScriptedProvider.text("second")],
        options: { targets: ["first/m", "second/m"], retry: { retries: 0 } }
      })
      expect((yield* failing.llm.generate(ask)).text).toBe("second")
      expect((yield* failing.llm.generate(ask)).text).toBe("first again")
    })
  )

  it.effect("a failure is not kept", () =>
    Effect.gen(function* () {
      const { llm } = yield* setup({
        script: [ScriptedProvider.fail(Failures.server()), ScriptedProvider.text("later")],
        options: { retry: { retries: 0 } }
      })
      yield* Effect.flip(llm.generate(ask))
      expect((yield* llm.generate(ask)).text).toBe("later")
    })
  )

  it.effect("streams share a call, are kept, and answer generate, too", () =>
    Effect.gen(function* () {
      const { calls, llm } = yield* setup({ script: [ScriptedProvider.delay("1 second", "streamed")] })
      const read = Stream.runCollect(llm.stream(ask))
      const all = yield* inVirtualTime(Effect.all([read, read, read], { concurrency: 3 }))
      expect(all.map((parts) => parts.at(-1))).toMatchObject([
        { type: "finish" },
        { cached: { source: "in-flight" } },
        { cached: { source: "in-flight" } }
      ])
      expect((yield* llm.generate(ask)).text).toBe("streamed")
      expect(yield* calls).toBe(1)
    })
  )

  it.effect("a caller in a hurry does not wait for another's call longer than its own time", () =>
    Effect.gen(function* () {
      const { llm } = yield* setup({ script: [ScriptedProvider.delay("10 seconds", "slow")] })
      const patient = yield* Effect.forkChild(llm.generate(ask))
      yield* Effect.yieldNow
      const hurried = yield* Effect.forkChild(Effect.flip(llm.generate({ ...ask, timeout: "1 second" })))
      yield* Effect.yieldNow
      yield* TestClock.adjust("1 second")
      const error = yield* Fiber.join(hurried)
      expect(error._tag).toBe("DeadlineExceededError")
      yield* TestClock.adjust("10 seconds")
      expect((yield* Fiber.join(patient)).text).toBe("slow")
    })
  )

  it.effect("a store that is down costs no answer", () =>
    Effect.gen(function* () {
      const down = Effect.die("down")
      const store: CacheStore.CacheStoreService = {
        name: "down",
        get: () => down,
        set: () => down,
        remove: () => down,
        clear: () => down,
        size: down
      }
      const cache = ResponseCache.layerShared().pipe(Layer.provide(Layer.succeed(CacheStore.CacheStore, store)))
      const { llm } = yield* setup({ cache, script: [ScriptedProvider.text("1"), ScriptedProvider.text("2")] })
      expect((yield* llm.generate(ask)).text).toBe("1")
      yield* Effect.yieldNow
      expect((yield* llm.generate(ask)).text).toBe("2")
    })
  )
})

describe("the semantic cache in the pipeline", () => {
  it.effect("stands behind the exact one, before the budget, and its answers are not kept as exact ones", () =>
    Effect.gen(function* () {
      const events: Array<string> = []
      const { calls, llm, reserved } = yield* setup({ semantic: true, script: [ScriptedProvider.text("one")] })
      const alike = { ...ask, prompt: "How can I reset my password?" }
      const program = Effect.gen(function* () {
        yield* llm.generate(ask)
        return [yield* llm.generate(alike), yield* llm.generate(alike), yield* llm.generate(ask)]
      })
      const answers = yield* program.pipe(
        Events.listen((event) => {
          if (event.type.startsWith("cache")) events.push(`${event.type} ${"cache" in event ? event.cache : ""}`)
        })
      )
      expect(answers.map((answer) => answer.cached?.source)).toEqual(["semantic", "semantic", "exact"])
      expect(yield* calls).toBe(1)
      expect(reserved).toHaveLength(1)
      expect(events.slice(0, 4)).toEqual([
        "cache-miss exact",
        "cache-miss semantic",
        "cache-stored semantic",
        "cache-stored exact"
      ])
    })
  )

  it.effect("is named in the description of the path, and absent without its Layer", () =>
    Effect.gen(function* () {
      const steps = (setup: { readonly llm: LLM.LLMService }) =>
        Effect.map(setup.llm.describe(), ({ path }) =>
          path.filter(({ step }) => /cache|budget/.test(step)).map(({ setting, step }) => `${step} ${setting}`)
        )
      expect(yield* steps(yield* setup({ semantic: true, script: [] }))).toEqual([
        "cache on",
        "semantic cache on",
        "budget on"
      ])
      expect(yield* steps(yield* setup({ script: [] }))).toEqual(["cache on", "budget on"])
    })
  )
})
