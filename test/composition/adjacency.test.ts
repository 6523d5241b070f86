/** How neighbouring policies treat each other inside one attempt (ADR 0001). */
import { AdaptiveLimit, type Attempt, Bulkhead, CircuitBreaker, LLMError, TokenQuota } from "@breakwater/core"
import { ScriptedProvider } from "@breakwater/testing"
import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import { TestClock } from "effect/testing"
import { inVirtualTime, setup } from "./support.ts"

const down = ScriptedProvider.fail(new LLMError.ServerError({ message: "down", status: 500 }))

/** A service of an admission that keeps what it was settled with. */
const watched = (answer: Effect.Effect<void, LLMError.AttemptError> = Effect.void) => {
  const outcomes: Array<Attempt.AttemptOutcome["_tag"]> = []
  const admit: Attempt.Admit = () =>
    Effect.as(answer, (outcome) => {
      outcomes.push(outcome._tag)
    })
  return { admit, outcomes }
}

const full = Effect.fail(
  new LLMError.BulkheadFullError({ message: "full", key: "a/m", queued: 1, waited: Duration.zero })
)

const breakerOf = (service: Partial<CircuitBreaker.CircuitBreakerService>) =>
  Layer.succeed(CircuitBreaker.CircuitBreaker, { ...CircuitBreaker.noop, ...service })
const quotaOf = (admit: Attempt.Admit) => Layer.succeed(TokenQuota.TokenQuota, { ...TokenQuota.noop, admit })
const bulkheadOf = (admit: Attempt.Admit) => Layer.succeed(Bulkhead.Bulkhead, { ...Bulkhead.noop, admit })

describe("breaker and retry", () => {
  it.effect("an open circuit ends the retries at its target at once and routes on", () =>
    Effect.gen(function* () {
      const breaker = yield* CircuitBreaker.make({ window: CircuitBreaker.consecutive(2) })
      const { calls, llm } = yield* setup(
        { a: [down], b: ["from b"] },
        { targets: ["a/m", "b/m"], retry: { retries: 5 } },
        { breaker: breakerOf(breaker) }
      )
      const answer = yield* inVirtualTime(llm.generate({ prompt: "hi" }), 100, "1 second")
      assert.strictEqual(answer.text, "from b")
      // Two failures open it; the third attempt is refused, and there is no fourth.
      assert.deepStrictEqual(
        answer.attempts.map((attempt) => attempt.error?._tag),
        ["ServerError", "ServerError", "CircuitOpenError", undefined]
      )
      assert.strictEqual((yield* calls("a")).length, 2)
    })
  )

  it.effect("a retry that rescues a call does not hide the failures it met", () =>
    Effect.gen(function* () {
      const breaker = yield* CircuitBreaker.make()
      const { llm } = yield* setup({ a: [down, "well"] }, { targets: ["a/m"] }, { breaker: breakerOf(breaker) })
      yield* inVirtualTime(llm.generate({ prompt: "hi" }), 100, "1 second")
      const snapshot = yield* breaker.snapshot("a/m")
      assert.strictEqual(snapshot.failures, 1)
      assert.strictEqual(snapshot.calls, 2)
    })
  )
})

describe("breaker, quota and bulkhead", () => {
  it.effect("a call to an open circuit takes neither quota nor a slot", () =>
    Effect.gen(function* () {
      const breaker = yield* CircuitBreaker.make()
      yield* breaker.forceOpen("a/m")
      const quota = watched()
      const bulkhead = watched()
      const { llm } = yield* setup(
        { a: ["never"] },
        { targets: ["a/m"] },
        {
          breaker: breakerOf(breaker),
          quota: quotaOf(quota.admit),
          bulkhead: bulkheadOf(bulkhead.admit)
        }
      )
      const error = yield* Effect.flip(llm.generate({ prompt: "hi" }))
      assert.strictEqual(error._tag, "CircuitOpenError")
      assert.deepStrictEqual([quota.outcomes, bulkhead.outcomes], [[], []])
    })
  )

  it.effect("a full bulkhead gives the quota back whole and counts nothing against the provider", () =>
    Effect.gen(function* () {
      const breaker = yield* CircuitBreaker.make()
      const quota = watched()
      const { calls, llm } = yield* setup(
        { a: ["never"] },
        { targets: ["a/m"], retry: { retries: 0 } },
        {
          breaker: breakerOf(breaker),
          quota: quotaOf(quota.admit),
          bulkhead: bulkheadOf(() => full)
        }
      )
      const error = yield* Effect.flip(llm.generate({ prompt: "hi" }))
      assert.strictEqual(error._tag, "BulkheadFullError")
      assert.deepStrictEqual(quota.outcomes, ["unsent"])
      assert.strictEqual((yield* breaker.snapshot("a/m")).calls, 0)
      assert.strictEqual((yield* calls("a")).length, 0)
    })
  )

  it.effect("a local refusal of the quota is not counted as the provider's failure", () =>
    Effect.gen(function* () {
      const breaker = yield* CircuitBreaker.make({ window: CircuitBreaker.consecutive(1) })
      const quota = yield* TokenQuota.make({ rpm: 1, maxWait: "1 second", ramp: false })
      const { llm } = yield* setup(
        { a: ["one", "two"], b: ["from b"] },
        { targets: ["a/m", "b/m"], retry: { retries: 0 } },
        {
          breaker: breakerOf(breaker),
          quota: Layer.succeed(TokenQuota.TokenQuota, quota)
        }
      )
      assert.strictEqual((yield* llm.generate({ prompt: "hi" })).target, "a/m")
      const second = yield* llm.generate({ prompt: "hi" })
      assert.strictEqual(second.target, "b/m")
      const refused = second.attempts[0]!.error
      assert.isTrue(refused?._tag === "RateLimitError" && refused.source === "local")
      assert.strictEqual((yield* breaker.snapshot("a/m")).state, "closed")
    }).pipe(Effect.scoped)
  )

  it.effect("a wait for quota is over with the call's deadline", () =>
    Effect.gen(function* () {
      const quota = yield* TokenQuota.make({ rpm: 1, maxWait: "5 minutes", ramp: false })
      const { calls, llm } = yield* setup(
        { a: ["one", "two"] },
        { targets: ["a/m"], retry: { retries: 0 } },
        {
          quota: Layer.succeed(TokenQuota.TokenQuota, quota)
        }
      )
      yield* llm.generate({ prompt: "hi" })
      const fiber = yield* Effect.forkChild(Effect.flip(llm.generate({ prompt: "hi", timeout: "3 seconds" })))
      yield* Effect.yieldNow
      yield* TestClock.adjust("4 seconds")
      const error = fiber.pollUnsafe() === undefined ? undefined : yield* Fiber.join(fiber)
      assert.isTrue(error?._tag === "RateLimitError" && error.source === "local")
      assert.strictEqual((yield* calls("a")).length, 1)
    }).pipe(Effect.scoped)
  )

  it.effect("a wait for quota counts for nothing in the attempt's own limit", () =>
    Effect.gen(function* () {
      const quota = yield* TokenQuota.make({ rpm: 1, maxWait: "5 minutes", ramp: false })
      const { llm } = yield* setup(
        { a: ["one", ScriptedProvider.delay("2 seconds", "two")] },
        { targets: ["a/m"], retry: { retries: 0 }, timeouts: { attempt: "3 seconds", total: "10 minutes" } },
        { quota: Layer.succeed(TokenQuota.TokenQuota, quota) }
      )
      yield* llm.generate({ prompt: "hi" })
      const answer = yield* inVirtualTime(llm.generate({ prompt: "hi" }), 200, "1 second")
      assert.strictEqual(answer.text, "two")
    }).pipe(Effect.scoped)
  )
})

describe("timeout and breaker", () => {
  it.effect("a silent target opens its circuit", () =>
    Effect.gen(function* () {
      const breaker = yield* CircuitBreaker.make({ window: CircuitBreaker.consecutive(1) })
      const { llm } = yield* setup(
        { a: [ScriptedProvider.stall], b: ["from b"] },
        { targets: ["a/m", "b/m"], timeouts: { attempt: "2 seconds" } },
        { breaker: breakerOf(breaker) }
      )
      yield* inVirtualTime(llm.generate({ prompt: "hi" }), 100, "1 second")
      assert.strictEqual((yield* breaker.snapshot("a/m")).state, "open")
    })
  )

  it.effect("a caller that leaves says nothing about the target", () =>
    Effect.gen(function* () {
      const breaker = yield* CircuitBreaker.make({ window: CircuitBreaker.consecutive(1) })
      const { llm } = yield* setup(
        { a: [ScriptedProvider.stall] },
        { targets: ["a/m"] },
        { breaker: breakerOf(breaker) }
      )
      const fiber = yield* Effect.forkChild(llm.generate({ prompt: "hi" }))
      yield* Effect.yieldNow
      yield* Fiber.interrupt(fiber)
      const snapshot = yield* breaker.snapshot("a/m")
      assert.deepStrictEqual([snapshot.state, snapshot.failures], ["closed", 0])
    })
  )
})

describe("admissions of the program's own", () => {
  it.effect("are asked last, in their order, and settled first", () =>
    Effect.gen(function* () {
      const order: Array<string> = []
      const named =
        (name: string): Attempt.Admit =>
        () =>
          Effect.sync(() => {
            order.push(`admit ${name}`)
            return () => {
              order.push(`settle ${name}`)
            }
          })
      const { llm } = yield* setup(
        { a: ["one"] },
        { targets: ["a/m"], admissions: [named("x"), named("y")] },
        {
          bulkhead: bulkheadOf(named("bulkhead"))
        }
      )
      yield* llm.generate({ prompt: "hi" })
      assert.deepStrictEqual(order, ["admit bulkhead", "admit x", "admit y", "settle y", "settle x", "settle bulkhead"])
    })
  )

  it.effect("an adaptive limit is one of them", () =>
    Effect.gen(function* () {
      const adaptive = yield* AdaptiveLimit.make({})
      const { llm } = yield* setup(
        { a: ["one"] },
        {
          targets: ["a/m"],
          admissions: adaptive.admit === undefined ? [] : [adaptive.admit]
        }
      )
      assert.strictEqual((yield* llm.generate({ prompt: "hi" })).text, "one")
      assert.isDefined(yield* adaptive.snapshot("a/m"))
    }).pipe(Effect.scoped)
  )
})
