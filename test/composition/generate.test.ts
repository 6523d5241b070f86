import { LLM, LLMError, LLMProvider, Retry, type Pipeline } from "@breakwater/core"
import { ScriptedProvider } from "@breakwater/testing"
import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { inVirtualTime, setup } from "./support.ts"

const overload = new LLMError.ModelOverloadError({ message: "busy" })
const rateLimit = (seconds: number) =>
  new LLMError.RateLimitError({
    message: "slow down",
    source: "provider",
    scope: "requests",
    retryAfter: Duration.seconds(seconds)
  })

describe("generate", () => {
  it.effect("says which target answered, with what usage, and after which attempts", () =>
    Effect.gen(function* () {
      const { llm } = yield* setup({ a: ["hello"] }, { targets: ["a/m"] })
      const answer = yield* llm.generate({ prompt: "hi" })
      assert.strictEqual(answer.text, "hello")
      assert.strictEqual(answer.target, "a/m")
      assert.strictEqual(answer.attempts.length, 1)
      assert.strictEqual(answer.attempts[0]!.outcome, "success")
      assert.deepStrictEqual(answer.attempts[0]!.usage, answer.usage)
    })
  )

  it.effect("asks the same target again after an overload, after a wait", () =>
    Effect.gen(function* () {
      const { llm, calls } = yield* setup({ a: [ScriptedProvider.fail(overload), "hello"] }, { targets: ["a/m"] })
      const answer = yield* inVirtualTime(llm.generate({ prompt: "hi" }))
      assert.strictEqual(answer.text, "hello")
      assert.deepStrictEqual(
        answer.attempts.map((attempt) => attempt.outcome),
        ["failure", "success"]
      )
      assert.strictEqual(answer.attempts[0]!.error?._tag, "ModelOverloadError")
      assert.strictEqual(answer.attempts[0]!.error?.provider, "a")
      assert.strictEqual(answer.attempts[0]!.error?.attempt, 1)
      assert.isAbove(answer.attempts[1]!.waitedMs, 0)
      assert.strictEqual((yield* calls("a")).length, 2)
    })
  )

  it.effect("waits as long as the provider says, and not less", () =>
    Effect.gen(function* () {
      const { llm } = yield* setup({ a: [ScriptedProvider.fail(rateLimit(20)), "hello"] }, { targets: ["a/m"] })
      const answer = yield* inVirtualTime(llm.generate({ prompt: "hi" }))
      assert.isAtLeast(answer.attempts[1]!.waitedMs, 20_000)
      assert.isAtMost(answer.attempts[1]!.waitedMs, 22_000)
    })
  )

  it.effect("fails over rather than wait for a hint past the limit", () =>
    Effect.gen(function* () {
      const { llm, calls } = yield* setup(
        { a: [ScriptedProvider.fail(rateLimit(600))], b: ["from b"] },
        { targets: ["a/m", "b/m"] }
      )
      const answer = yield* llm.generate({ prompt: "hi" })
      assert.strictEqual(answer.target, "b/m")
      assert.strictEqual((yield* calls("a")).length, 1)
    })
  )

  it.effect("keeps one attempt for every target not asked yet", () =>
    Effect.gen(function* () {
      const fail = ScriptedProvider.fail(overload)
      const { llm, calls } = yield* setup(
        { a: [fail], b: [fail], c: ["from c"] },
        { targets: ["a/m", "b/m", "c/m"], maxAttempts: 4 }
      )
      const answer = yield* inVirtualTime(llm.generate({ prompt: "hi" }))
      assert.strictEqual(answer.text, "from c")
      assert.deepStrictEqual(
        answer.attempts.map((attempt) => attempt.target),
        ["a/m", "a/m", "b/m", "c/m"]
      )
      assert.strictEqual((yield* calls("b")).length, 1)
    })
  )

  it.effect("never makes more attempts than describe() said", () =>
    Effect.gen(function* () {
      const fail = ScriptedProvider.fail(overload)
      const { llm, calls } = yield* setup({ a: [fail], b: [fail] }, { targets: ["a/m", "b/m"] })
      const description = yield* llm.describe()
      const error = yield* Effect.flip(inVirtualTime(llm.generate({ prompt: "hi" })))
      const made = (yield* calls("a")).length + (yield* calls("b")).length
      assert.strictEqual(description.maxAttempts, 4)
      assert.strictEqual(made, 4)
      assert.strictEqual(error._tag, "AllTargetsFailedError")
      if (error._tag !== "AllTargetsFailedError") return
      assert.deepStrictEqual(
        error.attempts.map((attempt) => attempt.target),
        ["a/m", "a/m", "a/m", "b/m"]
      )
    })
  )

  it.effect("fails with the target's own error when there is one target", () =>
    Effect.gen(function* () {
      const { llm } = yield* setup({ a: [ScriptedProvider.fail(overload)] }, { targets: ["a/m"] })
      const error = yield* Effect.flip(inVirtualTime(llm.generate({ prompt: "hi" })))
      assert.strictEqual(error._tag, "ModelOverloadError")
      assert.strictEqual(error.attempt, 3)
    })
  )

  it.effect("does not retry or fail over what no target can answer", () =>
    Effect.gen(function* () {
      const refused = new LLMError.ContentFilterError({ message: "no", stage: "input" })
      const { llm, calls } = yield* setup(
        { a: [ScriptedProvider.fail(refused)], b: ["never"] },
        { targets: ["a/m", "b/m"] }
      )
      const error = yield* Effect.flip(llm.generate({ prompt: "hi" }))
      assert.strictEqual(error._tag, "ContentFilterError")
      assert.strictEqual((yield* calls("a")).length, 1)
      assert.strictEqual((yield* calls("b")).length, 0)
    })
  )

  it.effect("strict never asks another target", () =>
    Effect.gen(function* () {
      const { llm, calls } = yield* setup(
        { a: [ScriptedProvider.fail(overload)], b: ["never"] },
        { targets: ["a/m", "b/m"] }
      )
      const error = yield* Effect.flip(inVirtualTime(llm.generate({ prompt: "hi", strict: true })))
      assert.strictEqual(error._tag, "ModelOverloadError")
      assert.strictEqual((yield* calls("a")).length, 3)
      assert.strictEqual((yield* calls("b")).length, 0)
    })
  )

  it.effect("a silent target is given up after the attempt's limit and not asked again", () =>
    Effect.gen(function* () {
      const { llm, calls } = yield* setup(
        { a: [ScriptedProvider.stall], b: ["from b"] },
        { targets: ["a/m", "b/m"], timeouts: { attempt: "5 seconds", total: "1 minute" } }
      )
      const answer = yield* inVirtualTime(llm.generate({ prompt: "hi" }))
      assert.strictEqual(answer.target, "b/m")
      assert.strictEqual(answer.attempts[0]!.error?._tag, "RequestTimeoutError")
      assert.strictEqual((yield* calls("a"))[0]!.outcome, "interrupted")
      assert.strictEqual((yield* calls("a")).length, 1)
    })
  )

  it.effect("the deadline of the call ends an attempt with DeadlineExceededError", () =>
    Effect.gen(function* () {
      const { llm } = yield* setup({ a: [ScriptedProvider.stall] }, { targets: ["a/m"] })
      const error = yield* Effect.flip(inVirtualTime(llm.generate({ prompt: "hi", timeout: "2 seconds" })))
      assert.strictEqual(error._tag, "DeadlineExceededError")
    })
  )

  it.effect("never sleeps past the deadline: the original error comes at once", () =>
    Effect.gen(function* () {
      const { llm } = yield* setup({ a: [ScriptedProvider.fail(rateLimit(30))] }, { targets: ["a/m"] })
      const error = yield* Effect.flip(llm.generate({ prompt: "hi", timeout: "10 seconds" }))
      assert.strictEqual(error._tag, "RateLimitError")
    })
  )

  it.effect("one call may name its own model and fallbacks", () =>
    Effect.gen(function* () {
      const { llm } = yield* setup(
        {
          a: ["from a"],
          b: [ScriptedProvider.fail(new LLMError.ModelNotFoundError({ message: "none" }))],
          c: ["from c"]
        },
        { targets: ["a/m"] }
      )
      const answer = yield* llm.generate({ prompt: "hi", model: "b/other", fallbacks: ["c/m"] })
      assert.strictEqual(answer.target, "c/m")
      assert.deepStrictEqual(
        answer.attempts.map((attempt) => attempt.target),
        ["b/other", "c/m"]
      )
    })
  )

  it.effect("a defect of a provider stays a defect", () =>
    Effect.gen(function* () {
      const { llm } = yield* setup({ a: [ScriptedProvider.die("bug")] }, { targets: ["a/m"] })
      const exit = yield* Effect.exit(llm.generate({ prompt: "hi" }))
      assert.isTrue(exit._tag === "Failure" && exit.cause.reasons[0]?._tag === "Die")
    })
  )

  it.effect("embeddings never fail over to a model that the call does not name", () =>
    Effect.gen(function* () {
      const gone = new LLMError.ModelNotFoundError({ message: "none" })
      const { llm, calls } = yield* setup(
        { a: [ScriptedProvider.fail(gone)], b: [ScriptedProvider.embeddings([[1, 0]])] },
        { targets: ["a/m", "b/m"] }
      )
      const error = yield* Effect.flip(llm.embed({ input: "text" }))
      assert.strictEqual(error._tag, "ModelNotFoundError")
      assert.strictEqual((yield* calls("b")).length, 0)
      const answer = yield* llm.embed({ input: "text", fallbacks: ["b/m"] })
      assert.deepStrictEqual(answer.vectors, [[1, 0]])
      assert.strictEqual(answer.target, "b/m")
    })
  )
})

describe("construction", () => {
  const build = (options: Pipeline.PipelineOptions) =>
    Effect.flatMap(ScriptedProvider.make({ name: "a", script: ["x"] }), ({ layer }) =>
      LLM.LLM.pipe(
        Effect.provide(LLM.layerPreset("interactive", options).pipe(Layer.provide(LLMProvider.layer(layer)))),
        Effect.flip
      )
    )

  it.effect.each([
    [{ targets: [] }, "targets"],
    [{ targets: ["a/m", "a/m"] }, "targets"],
    [{ targets: ["a model"] }, "targets"],
    [{ targets: ["a/m"], maxAttempts: 0 }, "maxAttempts"],
    [{ targets: ["a/m"], maxAttempts: Number.NaN }, "maxAttempts"],
    [{ targets: ["a/m"], timeouts: { total: -1 } }, "total"],
    [{ targets: ["a/m"], timeouts: { idle: Number.NaN } }, "idle"],
    [{ targets: ["a/m"], retry: { retries: 1.5 } }, "retries"],
    [{ targets: ["a/m"], defaults: { temperature: 3 } }, "temperature"]
  ] as const)("a wrong option is a ConfigError that names it: %j", ([options, field]) =>
    Effect.gen(function* () {
      const error = yield* build(options)
      assert.strictEqual(error._tag, "ConfigError")
      assert.include(error.message, field)
    })
  )

  it.effect("a schedule of the user's own is a retry policy", () =>
    Effect.gen(function* () {
      const { llm } = yield* setup(
        { a: [ScriptedProvider.fail(overload), "hello"] },
        { targets: ["a/m"], retry: { schedule: Retry.constant({ base: "250 millis", jitter: "none" }) } }
      )
      const answer = yield* inVirtualTime(llm.generate({ prompt: "hi" }))
      assert.strictEqual(answer.attempts[1]!.waitedMs, 250)
    })
  )
})
