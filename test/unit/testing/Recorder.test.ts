import type { Request } from "@breakwater/core"
import { Failures, Recorder, ScriptedProvider } from "@breakwater/testing"
import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"

const ask = (content: string): Request.ProviderRequest => ({ model: "m", messages: [{ role: "user", content }] })

const record = (script: ScriptedProvider.Script) =>
  Effect.flatMap(ScriptedProvider.make({ name: "first", script }), (scripted) => Recorder.make(scripted.provider))

describe("Recorder", () => {
  it.effect("plays turns, streams, embeddings and errors back as they were, through JSON", () =>
    Effect.gen(function* () {
      const recorder = yield* record([
        ScriptedProvider.toolCall("add", { a: 1 }),
        "one two",
        "any",
        ScriptedProvider.fail(Failures.rateLimit("1500 millis")),
        ScriptedProvider.cut("half an")
      ])
      const { provider } = recorder
      const turn = yield* provider.generate(ask("1"))
      const parts = yield* Stream.runCollect(provider.stream(ask("2")))
      const vectors = yield* provider.embed({ model: "e", input: ["a"] })
      yield* Effect.flip(provider.generate(ask("4")))
      yield* Effect.flip(Stream.runDrain(provider.stream(ask("5"))))

      const json = yield* recorder.json
      assert.strictEqual(JSON.parse(json).exchanges.length, 5)
      const replayed = (yield* Recorder.replay(json)).provider
      assert.strictEqual(replayed.name, "first")
      // Not in the recorded order, and with the fields of the request in another.
      assert.deepStrictEqual(yield* replayed.embed({ input: ["a"], model: "e" }), vectors)
      const limited = yield* Effect.flip(replayed.generate(ask("4")))
      assert.strictEqual(limited._tag, "RateLimitError")
      assert.strictEqual(Duration.toMillis(limited.retryAfter!), 1500)
      assert.deepStrictEqual(yield* Stream.runCollect(replayed.stream(ask("2"))), parts)
      assert.deepStrictEqual(yield* replayed.generate(ask("1")), turn)
      const broken = yield* Effect.flip(Stream.runDrain(replayed.stream(ask("5"))))
      assert.isTrue(broken._tag === "StreamInterruptedError" && broken.partialText === "half an")
    })
  )

  it.effect("equal requests get their answers in order, then the last; unknown ones are a defect", () =>
    Effect.gen(function* () {
      const recorder = yield* record([ScriptedProvider.fail(Failures.server()), "fine"])
      yield* Effect.flip(recorder.provider.generate(ask("x")))
      yield* recorder.provider.generate(ask("x"))
      const { provider } = yield* Recorder.replay(yield* recorder.json, { name: "second" })
      assert.strictEqual((yield* Effect.flip(provider.generate(ask("x")))).provider, "first")
      for (let i = 0; i < 2; i++) {
        assert.deepStrictEqual((yield* provider.generate(ask("x"))).content, [{ type: "text", text: "fine" }])
      }
      assert.isTrue(Exit.hasDies(yield* Effect.exit(provider.generate(ask("y")))))
    })
  )

  it.effect("keeps the timing of a stream, and plays it if asked to", () =>
    Effect.gen(function* () {
      const recorder = yield* record([
        ScriptedProvider.stream([ScriptedProvider.wait("1 second"), "a", ScriptedProvider.wait("2 seconds"), "b"])
      ])
      const fiber = yield* Effect.forkChild(Stream.runDrain(recorder.provider.stream(ask("x"))))
      yield* TestClock.adjust("3 seconds")
      yield* Fiber.join(fiber)
      const [exchange] = (yield* recorder.recording).exchanges
      assert.deepStrictEqual(
        exchange!.parts.map((each) => each.atMs),
        [1000, 3000, 3000]
      )
      const json = yield* recorder.json
      yield* Stream.runDrain((yield* Recorder.replay(json)).provider.stream(ask("x")))
      const timed = (yield* Recorder.replay(json, { timing: true })).provider
      const slow = yield* Effect.forkChild(Stream.runDrain(timed.stream(ask("x"))))
      yield* TestClock.adjust("2999 millis")
      assert.isUndefined(slow.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      yield* Fiber.join(slow)
    })
  )

  it.effect("a call nobody waited for never answers", () =>
    Effect.gen(function* () {
      const recorder = yield* record([ScriptedProvider.stall, ScriptedProvider.stream(["a", ScriptedProvider.stall])])
      yield* Fiber.interrupt(yield* Effect.forkChild(recorder.provider.generate(ask("x")), { startImmediately: true }))
      yield* Stream.runDrain(Stream.take(recorder.provider.stream(ask("y")), 1))
      const outcomes = (yield* recorder.recording).exchanges.map((exchange) => exchange.outcome.type)
      assert.deepStrictEqual(outcomes, ["interrupted", "interrupted"])
      const { provider } = yield* Recorder.replay(yield* recorder.json)
      const again = yield* Effect.forkChild(provider.generate(ask("x")), { startImmediately: true })
      yield* TestClock.adjust("1 day")
      assert.isUndefined(again.pollUnsafe())
      yield* Fiber.interrupt(again)
    })
  )

  it.effect("refuses what is no recording", () =>
    Effect.gen(function* () {
      for (const text of ["", "{}", '{"version":2,"provider":"x","exchanges":[]}']) {
        assert.strictEqual((yield* Effect.flip(Recorder.replay(text)))._tag, "SchemaError")
      }
    })
  )
})
