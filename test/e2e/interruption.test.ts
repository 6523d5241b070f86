/** Interruption over real sockets: the connection is closed at once, and nothing is left. */
import { LLM, LLMProvider, Pipeline } from "@breakwater/core"
import { HttpPool, OpenAICompatible } from "@breakwater/providers"
import { Upstream } from "@breakwater/testing"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"

const service = Effect.gen(function* () {
  const upstream = yield* Upstream.make({ wordDelay: "20 millis" })
  const providers = LLMProvider.layer(
    OpenAICompatible.layer({ name: "up", baseUrl: `${upstream.url}/v1`, apiKey: Redacted.make("k") })
  ).pipe(Layer.provide(HttpPool.layer()))
  const services = yield* Layer.build(Layer.merge(LLM.layerNoPolicies, providers))
  const llm = yield* Pipeline.make({ targets: ["up/good"] }).pipe(Effect.provide(services))
  return { llm, upstream }
})

/** Milliseconds until the upstream has no request under way. */
const untilIdle = (upstream: Upstream.Upstream) =>
  Effect.gen(function* () {
    const started = performance.now()
    while ((yield* upstream.stats).inFlight > 0) {
      if (performance.now() - started > 2000) return Infinity
      yield* Effect.sleep("1 millis")
    }
    return performance.now() - started
  })

describe("interruption closes the socket within 50 ms", () => {
  it.live.each(["good", "silence", "slow-first-token", "stalled-stream", "slow-drip", "missing-done-open"])(
    "of a stream from %s",
    (model) =>
      Effect.gen(function* () {
        const { llm, upstream } = yield* service
        for (const waitMs of [1, 5, 20, 60, 150]) {
          const fiber = yield* Effect.forkChild(Stream.runDrain(llm.stream({ prompt: "hi", model: `up/${model}` })))
          yield* Effect.sleep(waitMs)
          yield* Fiber.interrupt(fiber)
          assert.isBelow(yield* untilIdle(upstream), 50, `after ${waitMs} ms`)
        }
      }).pipe(Effect.scoped)
  )

  it.live.each(["good", "silence", "slow-drip"])("of a whole answer from %s", (model) =>
    Effect.gen(function* () {
      const { llm, upstream } = yield* service
      for (const waitMs of [1, 5, 20, 60, 150]) {
        const fiber = yield* Effect.forkChild(Effect.exit(llm.generate({ prompt: "hi", model: `up/${model}` })))
        yield* Effect.sleep(waitMs)
        yield* Fiber.interrupt(fiber)
        assert.isBelow(yield* untilIdle(upstream), 50, `after ${waitMs} ms`)
      }
    }).pipe(Effect.scoped)
  )

  it.live("a hundred callers that leave at once leave no request", () =>
    Effect.gen(function* () {
      const { llm, upstream } = yield* service
      const fibers = yield* Effect.forEach(Array.from({ length: 100 }), () =>
        Effect.forkChild(Stream.runDrain(llm.stream({ prompt: "hi", model: "up/stalled-stream" })))
      )
      while ((yield* upstream.stats).inFlight < 100) yield* Effect.sleep("5 millis")
      yield* Fiber.interruptAll(fibers)
      assert.isBelow(yield* untilIdle(upstream), 50)
    }).pipe(Effect.scoped)
  )

  it.live(
    "finished streams give their connection back",
    () =>
      Effect.gen(function* () {
        const { llm, upstream } = yield* service
        for (let i = 0; i < 6; i++) yield* Stream.runDrain(llm.stream({ prompt: "hi", model: "up/good" }))
        // A new call may begin before the pool has the last connection back, but no third one is ever needed.
        assert.isAtMost((yield* upstream.stats).totalSockets, 2)
      }).pipe(Effect.scoped),
    30_000
  )
})
