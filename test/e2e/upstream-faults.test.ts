/**
 * The classic faults of a provider over real sockets, on both wires: the caller gets the whole answer or a clean
 * typed error, never a truncated answer called success, never a hang, and no provider is hammered.
 */
import { LLM, LLMError, LLMProvider, Pipeline, Retry } from "@breakwater/core"
import { Anthropic, HttpPool, OpenAICompatible } from "@breakwater/providers"
import { Upstream } from "@breakwater/testing"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import { assert, describe, it } from "@effect/vitest"

type Wire = "openai" | "anthropic"

const providerOf = (wire: Wire, name: string, url: string) =>
  wire === "openai"
    ? OpenAICompatible.layer({ name, baseUrl: `${url}/v1`, apiKey: Redacted.make("test-key") })
    : Anthropic.layer({ name, baseUrl: url, apiKey: Redacted.make("test-key") })

/** A service over two servers: the first misbehaves as its model says, the second is good. */
const withService = <A, E>(
  wire: Wire,
  fault: string,
  use: (context: {
    readonly llm: LLM.LLMService
    readonly first: Upstream.Upstream
    readonly second: Upstream.Upstream
  }) => Effect.Effect<A, E>,
  options: Partial<Pipeline.PipelineOptions> = {}
) =>
  Effect.gen(function* () {
    const first = yield* Upstream.make()
    const second = yield* Upstream.make()
    const providers = LLMProvider.layer(
      providerOf(wire, "first", first.url),
      providerOf(wire, "second", second.url)
    ).pipe(Layer.provide(HttpPool.layer({ connectTimeout: "2 seconds" })))
    const services = yield* Layer.build(Layer.merge(LLM.layerNoPolicies, providers))
    const llm = yield* Pipeline.make({
      targets: [`first/${fault}`, "second/good"],
      retry: { schedule: Retry.exponential({ base: "20 millis", jitter: "none" }), retries: 2 },
      timeouts: {
        firstToken: "300 millis",
        idle: "300 millis",
        attempt: "3 seconds",
        total: "20 seconds"
      },
      streamPolicy: "continue",
      ...options
    }).pipe(Effect.provide(services))
    return yield* use({ llm, first, second })
  }).pipe(Effect.scoped)

const prompt = "Tell me of the harbour."

const collect = (llm: LLM.LLMService) =>
  Effect.gen(function* () {
    let text = ""
    let attempts: ReadonlyArray<{ readonly target: string; readonly outcome: string }> = []
    let target = ""
    const exit = yield* Effect.exit(
      Stream.runForEach(llm.stream({ prompt }), (part) =>
        Effect.sync(() => {
          if (part.type === "text-delta") text += part.delta
          if (part.type === "finish") {
            attempts = part.attempts
            target = part.target
          }
        })
      )
    )
    const error =
      exit._tag === "Failure" ? exit.cause.reasons.find((reason) => reason._tag === "Fail")?.error : undefined
    return { text, attempts, target, error }
  })

/** The answer the good model gives to the prompt. */
const wholeAnswer = (wire: Wire) =>
  withService(wire, "good", ({ llm }) => Effect.map(llm.generate({ prompt }), (answer) => answer.text))

const rescued: ReadonlyArray<readonly [fault: string, by: "first" | "second"]> = [
  ["good", "first"],
  ["rate-limit-no-hint", "second"],
  ["rate-limit-once", "first"],
  ["rate-limit-body-hint", "second"],
  ["quota-exhausted", "second"],
  ["error-500-once", "first"],
  ["error-500", "second"],
  ["overloaded-503", "second"],
  ["overloaded-529", "second"],
  ["reset-before-headers", "second"],
  ["silence", "second"],
  ["slow-first-token:1500", "second"],
  ["cut-stream", "second"],
  ["cut-stream-once", "second"],
  ["end-without-done-mid", "second"],
  ["stalled-stream:100", "second"],
  ["malformed-event", "first"],
  ["malformed-events", "second"],
  ["missing-done", "first"],
  ["missing-done-open", "first"],
  ["context-overflow", "second"],
  ["flapping", "first"],
  ["wrong-content-type", "second"],
  ["huge-event", "second"],
  ["slow-drip:600", "first"],
  ["error-in-stream", "second"],
  ["empty-200", "second"],
  ["auth-401", "second"],
  ["not-found-404", "second"]
]

describe.each(["openai", "anthropic"] as const)("%s wire, streaming", (wire) => {
  it.live.each(rescued)(
    "%s is rescued with the whole answer",
    ([fault, by]) =>
      Effect.gen(function* () {
        const expected = yield* wholeAnswer(wire)
        yield* withService(wire, fault, ({ first, llm }) =>
          Effect.gen(function* () {
            const description = yield* llm.describe()
            const { attempts, error, target, text } = yield* collect(llm)
            assert.isUndefined(error, String(error))
            assert.strictEqual(text, expected)
            assert.isTrue(target.startsWith(by), `${target}, after ${JSON.stringify(attempts)}`)
            assert.isAtMost(attempts.length, description.maxAttempts)
            // One call for each attempt, and none behind the plan's back.
            const { inFlight, total } = yield* first.stats
            assert.strictEqual(total, attempts.filter((attempt) => attempt.target.startsWith("first")).length)
            if (fault === "silence") assert.strictEqual(total, 1)
            // What was given up is closed, not left to the server.
            yield* Effect.sleep("50 millis")
            assert.isAtMost(inFlight === 0 ? 0 : (yield* first.stats).inFlight, 0)
          })
        )
      }),
    30_000
  )

  it.live("content-filter is a clean error, and nobody else is asked", () =>
    withService(wire, "content-filter", ({ llm, second }) =>
      Effect.gen(function* () {
        const { error, text } = yield* collect(llm)
        assert.strictEqual(error?._tag, "ContentFilterError")
        assert.strictEqual(text, "")
        assert.strictEqual((yield* second.stats).total, 0)
      })
    )
  )

  it.live("content-filter-output is a clean error", () =>
    withService(wire, "content-filter-output", ({ llm }) =>
      Effect.gen(function* () {
        const { error } = yield* collect(llm)
        assert.strictEqual(error?._tag, "ContentFilterError")
      })
    )
  )

  it.live("a cut stream under the policy fail keeps what arrived and never calls it success", () =>
    withService(
      wire,
      "cut-stream",
      ({ llm }) =>
        Effect.gen(function* () {
          const expected = yield* wholeAnswer(wire)
          const { error, text } = yield* collect(llm)
          assert.isTrue(LLMError.isLLMError(error) && error._tag === "StreamInterruptedError")
          assert.isTrue(error?._tag === "StreamInterruptedError" && error.partialText === text)
          assert.isTrue(text.length > 0 && expected.startsWith(text) && text.length < expected.length)
        }),
      { streamPolicy: "fail" }
    )
  )
})

describe.each(["openai", "anthropic"] as const)("%s wire, whole answers", (wire) => {
  const whole = rescued.filter(
    ([fault]) =>
      ![
        "cut-stream-once",
        "stalled-stream:100",
        "malformed-event",
        "malformed-events",
        "slow-drip:600",
        "slow-first-token:1500",
        "missing-done",
        "missing-done-open",
        "huge-event"
      ].includes(fault)
  )
  it.live.each(whole)(
    "%s is rescued",
    ([fault]) =>
      Effect.gen(function* () {
        const expected = yield* wholeAnswer(wire)
        yield* withService(
          wire,
          fault,
          ({ llm }) =>
            Effect.gen(function* () {
              const description = yield* llm.describe()
              const answer = yield* llm.generate({ prompt })
              assert.strictEqual(answer.text, expected)
              assert.isAtMost(answer.attempts.length, description.maxAttempts)
            }),
          { timeouts: { attempt: "500 millis", total: "20 seconds" } }
        )
      }),
    30_000
  )
})
