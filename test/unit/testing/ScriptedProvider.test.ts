import { LLMProvider, type Request } from "@breakwater/core"
import { Failures, ScriptedProvider } from "@breakwater/testing"
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"

const ask: Request.ProviderRequest = { model: "m", messages: [{ role: "user", content: "hello" }] }
const { cut, delay, die, fail, stall, stream, text, toolCall, turn, unfinished, wait } = ScriptedProvider

const scripted = (script: ScriptedProvider.Script, options: Partial<ScriptedProvider.Options> = {}) =>
  ScriptedProvider.make({ name: "first", script, ...options })

describe("ScriptedProvider", () => {
  it.effect("answers in order, and then repeats the last step", () =>
    Effect.gen(function* () {
      const { provider, counts } = yield* scripted([text("one"), "two"])
      const answers = []
      for (let i = 0; i < 3; i++) answers.push((yield* provider.generate(ask)).content[0])
      assert.deepStrictEqual(
        answers.map((part) => part?.type === "text" && part.text),
        ["one", "two", "two"]
      )
      assert.deepStrictEqual(yield* counts, { calls: 3, open: 0, maxOpen: 1 })
    })
  )

  it.effect("dies past the end if asked to, and always with an empty script", () =>
    Effect.gen(function* () {
      const strict = yield* scripted([text("one")], { afterLast: "die" })
      yield* strict.provider.generate(ask)
      const second = yield* Effect.exit(strict.provider.generate(ask))
      assert.isTrue(Exit.isFailure(second) && Cause.hasDies(second.cause))
      assert.include(Cause.pretty((second as Exit.Failure<never, never>).cause), "1 steps, and this is call 2")
      const empty = yield* scripted([])
      assert.isTrue(Exit.hasDies(yield* Effect.exit(empty.provider.generate(ask))))
    })
  )

  it.effect("asks a function for the step, with the request and the number of the call", () =>
    Effect.gen(function* () {
      const { provider } = yield* scripted((request, call) => `${request.model} ${call}`)
      yield* provider.generate(ask)
      const second = yield* provider.generate({ ...ask, model: "other" })
      assert.deepStrictEqual(second.content, [{ type: "text", text: "other 2" }])
    })
  )

  it.effect("a script function that throws is a defect of the call, and leaves none open", () =>
    Effect.gen(function* () {
      const { provider, counts } = yield* scripted(() => {
        throw new Error("oops")
      })
      assert.isTrue(Exit.hasDies(yield* Effect.exit(provider.generate(ask))))
      assert.strictEqual((yield* counts).open, 0)
    })
  )

  it.effect("streams a text word by word, ending with one finish that has the usage", () =>
    Effect.gen(function* () {
      const { provider } = yield* scripted([
        text("Hello big world", { usage: { inputTokens: 3, outputTokens: 4 }, id: "r1", model: "m-1" })
      ])
      assert.deepStrictEqual(yield* Stream.runCollect(provider.stream(ask)), [
        { type: "response-metadata", id: "r1", model: "m-1" },
        { type: "text-delta", delta: "Hello" },
        { type: "text-delta", delta: " big" },
        { type: "text-delta", delta: " world" },
        { type: "finish", reason: "stop", usage: { inputTokens: 3, outputTokens: 4 } }
      ])
    })
  )

  it.effect("streams a tool call in its three stages, and generates it whole", () =>
    Effect.gen(function* () {
      const { provider } = yield* scripted([toolCall("add", { a: 1 })])
      const parts = yield* Stream.runCollect(provider.stream(ask))
      assert.deepStrictEqual(
        parts.map((part) => part.type),
        ["tool-params-start", "tool-params-delta", "tool-call", "finish"]
      )
      const whole = yield* provider.generate(ask)
      assert.strictEqual(whole.finishReason, "tool-calls")
      assert.deepStrictEqual(whole.content, [{ type: "tool-call", id: "call_1", name: "add", params: { a: 1 } }])
    })
  )

  it.effect("a turn is answered as it is", () =>
    Effect.gen(function* () {
      const value = {
        content: [
          { type: "reasoning" as const, text: "hm" },
          { type: "text" as const, text: "yes" }
        ],
        finishReason: "length" as const,
        usage: { inputTokens: 1, outputTokens: 2, reasoningTokens: 1 },
        extra: { seen: true }
      }
      const { provider } = yield* scripted([turn(value)])
      assert.strictEqual(yield* provider.generate(ask), value)
    })
  )

  it.effect("delays in virtual time", () =>
    Effect.gen(function* () {
      const { provider, calls } = yield* scripted([delay("3 seconds", "late")])
      const fiber = yield* Effect.forkChild(provider.generate(ask))
      yield* Effect.yieldNow
      yield* TestClock.adjust("2999 millis")
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual((yield* Fiber.join(fiber)).content, [{ type: "text", text: "late" }])
      const [call] = yield* calls
      assert.strictEqual(call!.endedAt! - call!.startedAt, 3000)
      assert.strictEqual(call!.outcome, "success")
    })
  )

  it.effect("a stream pauses between its parts, and the pauses hold generate up too", () =>
    Effect.gen(function* () {
      const { provider } = yield* scripted([stream(["a", wait("1 second"), "b"])])
      const seen: Array<string> = []
      const fiber = yield* Effect.forkChild(
        Stream.runForEach(provider.stream(ask), (part) => Effect.sync(() => seen.push(part.type)))
      )
      yield* TestClock.adjust("999 millis")
      assert.deepStrictEqual(seen, ["text-delta"])
      yield* TestClock.adjust("1 millis")
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(seen, ["text-delta", "text-delta", "finish"])
      const whole = yield* Effect.forkChild(provider.generate(ask))
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual((yield* Fiber.join(whole)).content, [{ type: "text", text: "ab" }])
    })
  )

  it.effect("fails with the error, its origin filled in and the script's own left alone", () =>
    Effect.gen(function* () {
      const error = Failures.rateLimit("2 seconds")
      const { provider, calls } = yield* scripted([fail(error)])
      const failure = yield* Effect.flip(provider.generate(ask))
      const streamed = yield* Effect.flip(Stream.runDrain(provider.stream(ask)))
      for (const each of [failure, streamed]) {
        assert.strictEqual(each._tag, "RateLimitError")
        assert.deepStrictEqual([each.provider, each.model], ["first", "m"])
      }
      assert.isUndefined(error.provider)
      assert.deepStrictEqual(
        (yield* calls).map((call) => call.outcome),
        ["failure", "failure"]
      )
    })
  )

  it.effect("a cut stream fails with what had arrived; a cut answer with a transport error", () =>
    Effect.gen(function* () {
      const { provider } = yield* scripted([cut("half an")])
      const seen: Array<unknown> = []
      const error = yield* Effect.flip(
        Stream.runForEach(provider.stream(ask), (part) => Effect.sync(() => seen.push(part)))
      )
      assert.strictEqual(error._tag, "StreamInterruptedError")
      assert.isTrue(error._tag === "StreamInterruptedError" && error.partialText === "half an")
      assert.strictEqual(seen.length, 2)
      assert.strictEqual((yield* Effect.flip(provider.generate(ask)))._tag, "TransportError")
    })
  )

  it.effect("an unfinished stream ends without finish", () =>
    Effect.gen(function* () {
      const { provider } = yield* scripted([unfinished("half")])
      const parts = yield* Stream.runCollect(provider.stream(ask))
      assert.deepStrictEqual(parts, [{ type: "text-delta", delta: "half" }])
      assert.strictEqual((yield* Effect.flip(provider.generate(ask)))._tag, "TransportError")
    })
  )

  it.effect("a stalled stream hands on what it has and then waits to be interrupted", () =>
    Effect.gen(function* () {
      const { provider, calls, counts } = yield* scripted([stream(["a", stall])])
      const seen: Array<unknown> = []
      const fiber = yield* Effect.forkChild(
        Stream.runForEach(provider.stream(ask), (part) => Effect.sync(() => seen.push(part)))
      )
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(seen.length, 1)
      assert.strictEqual((yield* counts).open, 1)
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual(yield* counts, { calls: 1, open: 0, maxOpen: 1 })
      assert.strictEqual((yield* calls)[0]!.outcome, "interrupted")
    })
  )

  it.effect("a stream its reader leaves early counts as interrupted, one read to the finish as success", () =>
    Effect.gen(function* () {
      const { provider, calls } = yield* scripted([stream(["a", wait("1 second"), "b"]), stream(["a"])])
      yield* Stream.runDrain(Stream.take(provider.stream(ask), 1))
      yield* Stream.runDrain(Stream.takeUntil(provider.stream(ask), (part) => part.type === "finish"))
      assert.deepStrictEqual(
        (yield* calls).map((call) => call.outcome),
        ["interrupted", "success"]
      )
    })
  )

  it.effect("dies when told to", () =>
    Effect.gen(function* () {
      const { provider, calls } = yield* scripted([die("bug"), stream(["a", die("bug")])])
      assert.isTrue(Exit.hasDies(yield* Effect.exit(provider.generate(ask))))
      assert.isTrue(Exit.hasDies(yield* Effect.exit(Stream.runDrain(provider.stream(ask)))))
      assert.deepStrictEqual(
        (yield* calls).map((call) => call.outcome),
        ["died", "died"]
      )
    })
  )

  it.effect("embeds: given vectors, or one of its own for each text", () =>
    Effect.gen(function* () {
      const { provider } = yield* scripted([ScriptedProvider.embeddings([[1, 2]]), text("any")])
      const given = yield* provider.embed({ model: "e", input: ["x"] })
      assert.deepStrictEqual(given.vectors, [[1, 2]])
      const own = yield* provider.embed({ model: "e", input: ["x", "y", "x"], dimensions: 5 })
      assert.deepStrictEqual(own.vectors[0], own.vectors[2])
      assert.notDeepEqual(own.vectors[0], own.vectors[1])
      assert.strictEqual(own.vectors[0]!.length, 5)
    })
  )

  it.effect("does nothing before it is run, and records each run", () =>
    Effect.gen(function* () {
      const { provider, counts, calls } = yield* scripted([text("a")])
      const effect = provider.generate(ask)
      const parts = provider.stream(ask)
      assert.strictEqual((yield* counts).calls, 0)
      yield* effect
      yield* effect
      yield* Stream.runDrain(parts)
      assert.deepStrictEqual(
        (yield* calls).map((call) => call.operation),
        ["generate", "generate", "stream"]
      )
      assert.strictEqual((yield* calls)[0]!.request, ask)
    })
  )

  it.effect("counts the calls under way together", () =>
    Effect.gen(function* () {
      const { provider, counts, calls } = yield* scripted([delay("1 second", "a")], { record: true })
      const fiber = yield* Effect.forkChild(
        Effect.all([provider.generate(ask), provider.generate(ask), provider.generate(ask)], { concurrency: 2 })
      )
      yield* TestClock.adjust("2 seconds")
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(yield* counts, { calls: 3, open: 0, maxOpen: 2 })
      assert.deepStrictEqual(
        (yield* calls).map((call) => call.concurrent),
        [1, 2, 2]
      )
    })
  )

  it.effect("keeps no calls when told not to, but still counts", () =>
    Effect.gen(function* () {
      const { provider, counts, calls } = yield* scripted([text("a")], { record: false })
      yield* provider.generate(ask)
      const parts = yield* Stream.runCollect(provider.stream(ask))
      assert.deepStrictEqual(
        parts.map((part) => part.type),
        ["text-delta", "finish"]
      )
      assert.deepStrictEqual(yield* calls, [])
      assert.strictEqual((yield* counts).calls, 2)
    })
  )

  it.effect("without a record, too, a stream that waits is open until it is left", () =>
    Effect.gen(function* () {
      const { provider, counts } = yield* scripted([stream(["a", stall])], { record: false })
      const fiber = yield* Effect.forkChild(Stream.runDrain(provider.stream(ask)), { startImmediately: true })
      assert.deepStrictEqual(yield* counts, { calls: 1, open: 1, maxOpen: 1 })
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual(yield* counts, { calls: 1, open: 0, maxOpen: 1 })
    })
  )

  it.effect("vectors alone are no answer for generate or stream", () =>
    Effect.gen(function* () {
      const { provider, counts } = yield* scripted([ScriptedProvider.embeddings([[1]])])
      assert.isTrue(Exit.hasDies(yield* Effect.exit(provider.generate(ask))))
      assert.isTrue(Exit.hasDies(yield* Effect.exit(Stream.runDrain(provider.stream(ask)))))
      assert.strictEqual((yield* counts).open, 0)
    })
  )

  it.effect("refuses a name with a slash, and waits that are no time", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(ScriptedProvider.make({ name: "a/b", script: [] }))
      assert.include(error.message, 'name is "a/b"')
      for (const wrong of [NaN, Infinity, -1]) {
        assert.throws(() => wait(wrong), /wait is .*allowed/)
        assert.throws(() => delay(wrong, "x"), /delay is .*allowed/)
      }
    })
  )

  it.effect("is a Layer", () =>
    Effect.gen(function* () {
      const registry = yield* LLMProvider.Providers
      assert.deepStrictEqual(
        registry.all.map((provider) => provider.name),
        ["first", "second"]
      )
    }).pipe(
      Effect.provide(
        LLMProvider.layer(
          ScriptedProvider.layer({ name: "first", script: [] }),
          ScriptedProvider.layer({ name: "second", script: [] })
        )
      )
    )
  )
})
