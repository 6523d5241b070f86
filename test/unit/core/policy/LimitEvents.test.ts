import { AdaptiveLimit, type Attempt, type Event, Events, LLMError, TokenQuota } from "@breakwater/core"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/testing/TestClock"

describe("events of limits", () => {
  it.effect("say which attempt they are about: quotas, pauses and adaptive limits", () =>
    Effect.gen(function* () {
      const heard: Array<Event.PolicyEvent> = []
      const attempt = (requestId: string): Attempt.AttemptCall => ({
        requestId,
        target: "a/m",
        provider: "a",
        model: "m",
        attempt: 2,
        request: { model: "m", messages: [] } as never,
        context: { tenant: "t" },
        deadlineMs: Infinity
      })
      const listening = Events.listen((event) => void heard.push(event))
      const success: Attempt.AttemptOutcome = {
        _tag: "success",
        usage: { inputTokens: 1, outputTokens: 1 },
        tookMs: 1,
        limits: { requests: { limit: 7, remaining: 6 } }
      }
      const refused: Attempt.AttemptOutcome = {
        _tag: "failure",
        tookMs: 1,
        error: new LLMError.RateLimitError({ message: "no", source: "provider", scope: "requests" })
      }
      const quota = yield* TokenQuota.make({ targets: { "a/m": { rpm: 2 } }, ramp: false, maxWait: "2 minutes" })
      const adaptive = yield* AdaptiveLimit.make({ initial: 1, min: 1, max: 1, maxWaiting: 1, maxWait: "1 minute" })
      yield* listening(
        Effect.gen(function* () {
          const learning = yield* TokenQuota.make()
          const learned = yield* learning.admit!(attempt("learns"))
          learned(success)
          const settle = yield* quota.admit!(attempt("first"))
          settle(success)
          const second = yield* quota.admit!(attempt("is refused"))
          second(refused)
          const waiting = yield* Effect.forkChild(quota.admit!(attempt("waits")))
          yield* Effect.yieldNow
          yield* TestClock.adjust("2 minutes")
          yield* Fiber.join(waiting)
          settle(success)
          yield* quota.reset("a/m")
          for (const id of ["one", "two"]) yield* quota.admit!(attempt(id))
          yield* Effect.exit(quota.admit!({ ...attempt("is late"), deadlineMs: 0 }))

          const place = yield* adaptive.admit!(attempt("goes"))
          const next = yield* Effect.forkChild(adaptive.admit!(attempt("queues")))
          yield* Effect.yieldNow
          yield* Effect.exit(adaptive.admit!(attempt("is too many")))
          place({ _tag: "unsent" })
          yield* Fiber.join(next)
        })
      )
      const told = heard.map((event) => [
        event.type,
        "limiter" in event ? event.limiter : "",
        "requestId" in event ? event.requestId : undefined,
        "attempt" in event ? event.attempt : undefined
      ])
      expect(told).toContainEqual(["quota-learned", "", "learns", 2])
      expect(told).toContainEqual(["quota-paused", "", "is refused", 2])
      expect(told).toContainEqual(["limit-waited", "token-quota", "waits", 2])
      expect(told).toContainEqual(["limit-rejected", "token-quota", "is late", 2])
      expect(told).toContainEqual(["limit-waited", "adaptive-limit", "queues", 2])
      expect(told).toContainEqual(["limit-rejected", "adaptive-limit", "is too many", 2])
    }).pipe(Effect.scoped)
  )
})
