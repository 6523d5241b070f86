import { type Attempt, CircuitBreaker, Event, LLMError } from "@breakwater/core"
import { describe, expect, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/testing/TestClock"

const target = "provider/model"
const call: Attempt.AttemptCall = {
  requestId: "r1",
  target,
  provider: "provider",
  model: "model",
  attempt: 2,
  request: { model: "model", messages: [] },
  context: { tenant: "default" },
  deadlineMs: Infinity
}
const usage = { inputTokens: 1, outputTokens: 1 }
const down = new LLMError.ServerError({ message: "down" })
const success = (tookMs: number, firstTokenMs?: number): Attempt.AttemptOutcome => ({
  _tag: "success",
  usage,
  tookMs,
  ...(firstTokenMs === undefined ? {} : { firstTokenMs })
})
const failure = (error: LLMError.AttemptError): Attempt.AttemptOutcome => ({ _tag: "failure", error, tookMs: 1 })

const make = (options: CircuitBreaker.Options = {}) =>
  CircuitBreaker.make({ window: CircuitBreaker.count(10), minimumCalls: 2, ...options, open: { jitter: 0 } })

describe("admit, the pipeline's way in", () => {
  it.effect("counts what the settlement says, under the target", () =>
    Effect.gen(function* () {
      const breaker = yield* make({ minimumCalls: 10 })
      const outcomes: ReadonlyArray<Attempt.AttemptOutcome> = [
        success(5),
        failure(down),
        failure(new LLMError.InvalidRequestError({ message: "bad" })),
        { _tag: "interrupted", tookMs: 5 },
        { _tag: "unsent" }
      ]
      for (const outcome of outcomes) (yield* breaker.admit!(call))(outcome)
      expect(yield* breaker.snapshot(target)).toMatchObject({ calls: 2, failures: 1 })
    })
  )

  it.effect("an open circuit rejects with the attempt in its event", () =>
    Effect.gen(function* () {
      const events: Array<Event.PolicyEvent> = []
      const breaker = yield* make()
      const hint = new LLMError.ModelOverloadError({ message: "busy", retryAfter: Duration.seconds(90) })
      for (const error of [down, hint]) (yield* breaker.admit!(call))(failure(error))
      const error = yield* Effect.flip(breaker.admit!(call)).pipe(
        Effect.provideService(Event.EventSink, (event) => void events.push(event))
      )
      expect(error).toMatchObject({ _tag: "CircuitOpenError", key: target })
      expect(Duration.toMillis(error.retryAfter!)).toBe(90_000)
      expect(events).toEqual([
        { type: "circuit-rejected", key: target, state: "open", retryAfterMs: 90_000, requestId: "r1", attempt: 2 }
      ])
    })
  )

  it.effect("an unsent or interrupted probe admits the next", () =>
    Effect.gen(function* () {
      const breaker = yield* make({ halfOpen: { calls: 1, successes: 1 } })
      for (const error of [down, down]) (yield* breaker.admit!(call))(failure(error))
      yield* TestClock.adjust("30 seconds")
      for (const outcome of [{ _tag: "unsent" }, { _tag: "interrupted", tookMs: 1 }] as const) {
        const settle = yield* breaker.admit!(call)
        expect((yield* Effect.flip(breaker.admit!(call)))._tag).toBe("CircuitOpenError")
        settle(outcome)
      }
      ;(yield* breaker.admit!(call))(success(1))
      expect((yield* breaker.snapshot(target)).state).toBe("closed")
    })
  )

  it.effect("slowness is the attempt's own time, or its time to the first token", () =>
    Effect.gen(function* () {
      const whole = yield* make({ slow: { limit: "1 second" }, minimumCalls: 10 })
      for (const outcome of [success(999), success(1000)]) (yield* whole.admit!(call))(outcome)
      expect((yield* whole.snapshot(target)).slow).toBe(1)
      const first = yield* make({ slow: { limit: "1 second", measure: "first-token" }, minimumCalls: 10 })
      for (const outcome of [success(60_000, 999), success(60_000, 1000), success(60_000)]) {
        ;(yield* first.admit!(call))(outcome)
      }
      expect((yield* first.snapshot(target)).slow).toBe(1)
    })
  )

  it.effect("an empty target is a typed error", () =>
    Effect.gen(function* () {
      const breaker = yield* make()
      expect(yield* Effect.flip(breaker.admit!({ ...call, target: "" }))).toMatchObject({
        _tag: "InvalidRequestError",
        parameter: "key"
      })
    })
  )
})
