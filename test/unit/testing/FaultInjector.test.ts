import { LLMProvider, type Request } from "@breakwater/core"
import { FaultInjector, ScriptedProvider } from "@breakwater/testing"
import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"

const ask: Request.ProviderRequest = { model: "m", messages: [{ role: "user", content: "hello" }] }

const wrap = (options: FaultInjector.Options, script: ScriptedProvider.Script = ["one two three four five six"]) =>
  Effect.gen(function* () {
    const scripted = yield* ScriptedProvider.make({ name: "first", script })
    const injector = yield* FaultInjector.make(scripted.provider, { enabled: true, ...options })
    return { scripted, injector, provider: injector.provider }
  })

const tagOf = (provider: LLMProvider.Provider) =>
  Effect.match(provider.generate(ask), { onSuccess: () => "ok", onFailure: (error) => error._tag as string })

describe("FaultInjector", () => {
  it.effect("is off by default, switches, and puts the switch back after `during`", () =>
    Effect.gen(function* () {
      const scripted = yield* ScriptedProvider.make({ script: ["fine"] })
      const injector = yield* FaultInjector.make(scripted.provider, { errors: { rate: 1, mix: { server: 1 } } })
      assert.strictEqual(yield* tagOf(injector.provider), "ok")
      assert.strictEqual(yield* injector.during(tagOf(injector.provider)), "ServerError")
      assert.isFalse(yield* injector.enabled)
      yield* injector.enable
      assert.strictEqual(yield* tagOf(injector.provider), "ServerError")
      yield* Effect.exit(injector.during(Effect.interrupt))
      assert.isTrue(yield* injector.enabled)
      yield* injector.disable
      assert.strictEqual(yield* tagOf(injector.provider), "ok")
      assert.deepStrictEqual(yield* injector.injected, { calls: 2, delayed: 0, faults: { error: 2 } })
    })
  )

  it.effect("stays on until the last of several effects is done", () =>
    Effect.gen(function* () {
      const { injector } = yield* wrap({ enabled: false })
      const long = yield* Effect.forkChild(injector.during(Effect.sleep("2 seconds")), { startImmediately: true })
      const short = yield* Effect.forkChild(injector.during(Effect.sleep("1 second")), { startImmediately: true })
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(short)
      assert.isTrue(yield* injector.enabled)
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(long)
      assert.isFalse(yield* injector.enabled)
    })
  )

  it.effect("a seed means the same faults, another seed others", () =>
    Effect.gen(function* () {
      const run = (seed: string) =>
        Effect.gen(function* () {
          const { provider } = yield* wrap({ seed, errors: { rate: 0.3 }, rateLimits: { rate: 0.2 } })
          return yield* Effect.forEach(Array.from({ length: 60 }), () => tagOf(provider))
        })
      const first = yield* run("a")
      assert.deepStrictEqual(first, yield* run("a"))
      assert.notDeepEqual(first, yield* run("b"))
      assert.isAbove(new Set(first).size, 3)
    })
  )

  it.effect("keeps to its rates and weights", () =>
    Effect.gen(function* () {
      const { injector, provider } = yield* wrap({
        errors: { rate: 0.4, mix: { server: 3, quota: 1 } },
        rateLimits: { rate: 0.1 }
      })
      const tags = yield* Effect.forEach(Array.from({ length: 4_000 }), () => tagOf(provider))
      const share = (tag: string) => tags.filter((each) => each === tag).length / tags.length
      assert.closeTo(share("ServerError"), 0.3, 0.03)
      assert.closeTo(share("QuotaExhaustedError"), 0.1, 0.03)
      assert.closeTo(share("RateLimitError"), 0.1, 0.03)
      assert.closeTo(share("ok"), 0.5, 0.03)
      assert.strictEqual((yield* injector.injected).calls, 4_000)
    })
  )

  it.effect("failed calls never reach the provider; errors name provider and model", () =>
    Effect.gen(function* () {
      const { provider, scripted } = yield* wrap({
        rateLimits: { rate: 1, retryAfter: { min: "1 second", max: "3 seconds" } }
      })
      for (let i = 0; i < 20; i++) {
        const error = yield* Effect.flip(i % 2 === 0 ? provider.generate(ask) : Stream.runDrain(provider.stream(ask)))
        assert.deepStrictEqual([error._tag, error.provider, error.model], ["RateLimitError", "first", "m"])
        const hint = Duration.toMillis(error.retryAfter!)
        assert.isTrue(hint >= 1_000 && hint <= 3_000)
      }
      assert.strictEqual((yield* scripted.counts).calls, 0)
    })
  )

  it.effect("delays by each distribution, in virtual time", () =>
    Effect.gen(function* () {
      const latencies: ReadonlyArray<readonly [FaultInjector.Latency, number, number]> = [
        [{ kind: "constant", delay: "2 seconds" }, 2_000, 2_000],
        [{ kind: "uniform", min: "1 second", max: "2 seconds" }, 1_000, 2_000],
        [{ kind: "exponential", mean: "1 second", max: "4 seconds" }, 0, 4_000],
        [{ kind: "lognormal", median: "1 second", sigma: 1, max: "5 seconds" }, 0, 5_000]
      ]
      for (const [latency, min, max] of latencies) {
        const { provider, scripted } = yield* wrap({ latency })
        const fiber = yield* Effect.forkChild(Effect.forEach(Array.from({ length: 50 }), () => provider.generate(ask)))
        yield* TestClock.adjust("10 minutes")
        yield* Fiber.join(fiber)
        const starts = (yield* scripted.calls).map((call) => call.startedAt)
        const waits = starts.slice(1).map((start, i) => start - starts[i]!)
        assert.isTrue(
          waits.every((wait) => wait >= min - 0.01 && wait <= max + 0.01),
          `${latency.kind}: ${waits.join(", ")}`
        )
        if (latency.kind !== "constant") assert.isAbove(new Set(waits).size, 20)
      }
    })
  )

  it.effect("cuts streams within so many parts and says what had arrived; a cut answer is paid for and lost", () =>
    Effect.gen(function* () {
      const { provider, scripted } = yield* wrap({ cut: { rate: 1, withinParts: 3 } })
      const lengths = new Set<number>()
      for (let i = 0; i < 30; i++) {
        let text = ""
        const error = yield* Effect.flip(
          Stream.runForEach(provider.stream(ask), (part) =>
            Effect.sync(() => {
              assert.notStrictEqual(part.type, "finish")
              if (part.type === "text-delta") text += part.delta
            })
          )
        )
        assert.isTrue(error._tag === "StreamInterruptedError" && error.partialText === text)
        lengths.add(text.length)
      }
      assert.strictEqual(lengths.size, 4)
      const before = (yield* scripted.counts).calls
      assert.strictEqual(yield* tagOf(provider), "TransportError")
      assert.strictEqual((yield* scripted.counts).calls, before + 1)
      assert.strictEqual((yield* scripted.counts).open, 0)
    })
  )

  it.effect("a cut beyond the end of the answer still comes before the finish", () =>
    Effect.gen(function* () {
      const { provider } = yield* wrap({ cut: { rate: 1, withinParts: 1_000_000 } }, ["a b"])
      const error = yield* Effect.flip(Stream.runDrain(provider.stream(ask)))
      assert.isTrue(error._tag === "StreamInterruptedError" && error.partialText === "a b")
    })
  )

  it.effect("stalls until interrupted, and closes the provider's stream then", () =>
    Effect.gen(function* () {
      const { provider, scripted } = yield* wrap({ stall: { rate: 1, withinParts: 0 } })
      const stream = yield* Effect.forkChild(Stream.runDrain(provider.stream(ask)))
      const whole = yield* Effect.forkChild(provider.generate(ask))
      yield* TestClock.adjust("1 day")
      assert.isUndefined(stream.pollUnsafe())
      assert.isUndefined(whole.pollUnsafe())
      assert.deepStrictEqual(yield* scripted.counts, { calls: 1, open: 1, maxOpen: 1 })
      yield* Fiber.interrupt(stream)
      yield* Fiber.interrupt(whole)
      assert.strictEqual((yield* scripted.counts).open, 0)
    })
  )

  it.effect("malforms answers: unreadable, or good with half of the text missing", () =>
    Effect.gen(function* () {
      const unreadable = yield* wrap({ malformed: { rate: 1 } })
      assert.strictEqual(yield* tagOf(unreadable.provider), "InvalidResponseError")
      assert.strictEqual(
        (yield* Effect.flip(Stream.runDrain(unreadable.provider.stream(ask))))._tag,
        "InvalidResponseError"
      )
      const half = yield* wrap({ malformed: { rate: 1, as: "text", withinParts: 0 } }, ['{"answer": 42}'])
      assert.deepStrictEqual((yield* half.provider.generate(ask)).content, [{ type: "text", text: '{"answe' }])
      const parts = yield* Stream.runCollect(half.provider.stream(ask))
      assert.deepStrictEqual(
        parts.map((part) => part.type),
        ["finish"]
      )
    })
  )

  it.effect("leaves alone what `only` does not name, embeds included", () =>
    Effect.gen(function* () {
      const { provider } = yield* wrap({ errors: { rate: 1 }, only: (request) => request.model === "bad" })
      assert.strictEqual(yield* tagOf(provider), "ok")
      assert.strictEqual((yield* provider.embed({ model: "e", input: ["a"] })).vectors.length, 1)
      yield* Effect.flip(provider.embed({ model: "bad", input: ["a"] }))
    })
  )

  it.effect("refuses wrong options, naming the field", () =>
    Effect.gen(function* () {
      const scripted = yield* ScriptedProvider.make({ script: [] })
      const wrong: ReadonlyArray<readonly [FaultInjector.Options, string]> = [
        [{ errors: { rate: NaN } }, "errors.rate"],
        [{ errors: { rate: 1.1 } }, "errors.rate"],
        [{ cut: { rate: -0.1 } }, "cut.rate"],
        [{ errors: { rate: 0.6 }, stall: { rate: 0.6 } }, "rates"],
        [{ errors: { rate: 0.1, mix: { server: 0 } } }, "errors.mix"],
        [{ errors: { rate: 0.1, mix: { server: NaN } } }, "errors.mix.server"],
        [{ errors: { rate: 0.1, mix: { nonsense: 1 } as object } }, "errors.mix"],
        [{ cut: { rate: 0.1, withinParts: 1.5 } }, "cut.withinParts"],
        [{ latency: { kind: "constant", delay: Infinity } }, "latency.delay"],
        [{ latency: { kind: "uniform", min: "2 seconds", max: "1 second" } }, "latency.max"],
        [{ latency: { kind: "lognormal", median: "1 second", sigma: 9 } }, "latency.sigma"],
        [{ rateLimits: { rate: 0.1, retryAfter: { min: -1, max: 2 } } }, "rateLimits.retryAfter.min"]
      ]
      for (const [options, field] of wrong) {
        const error = yield* Effect.flip(FaultInjector.make(scripted.provider, options))
        assert.include(error.message, `${field} is`)
      }
    })
  )

  it.effect("is a Layer around a Layer", () =>
    Effect.gen(function* () {
      const injector = yield* FaultInjector.FaultInjector
      const provider = yield* LLMProvider.LLMProvider
      assert.strictEqual(yield* tagOf(provider), "ok")
      assert.strictEqual(yield* injector.during(tagOf(provider)), "ServerError")
    }).pipe(
      Effect.provide(
        FaultInjector.layer({ errors: { rate: 1, mix: { server: 1 } } }).pipe(
          Layer.provide(ScriptedProvider.layer({ script: ["fine"] }))
        )
      )
    )
  )
})
