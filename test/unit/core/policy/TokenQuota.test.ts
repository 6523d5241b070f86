import { type Attempt, CallContext, Event, LLMError, TokenQuota } from "@breakwater/core"
import { describe, expect, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { TestClock } from "effect/testing"

const callOf = (
  characters: number,
  maxTokens?: number,
  more: Partial<Attempt.AttemptCall> = {}
): Attempt.AttemptCall => ({
  requestId: "request",
  target: "p/m",
  provider: "p",
  model: "m",
  attempt: 1,
  // Sixteen characters are the message's own.
  request: {
    model: "m",
    messages: [{ role: "user", content: "x".repeat(characters - 16) }],
    ...(maxTokens === undefined ? {} : { maxTokens })
  },
  context: CallContext.single,
  deadlineMs: Infinity,
  ...more
})

const small = callOf(40, 10)

const success = (inputTokens = 10, outputTokens = 10, limits?: unknown): Attempt.AttemptOutcome => ({
  _tag: "success",
  usage: { inputTokens, outputTokens },
  tookMs: 1,
  ...(limits === undefined ? {} : { limits: limits as {} })
})

const refusal = (retryAfter?: Duration.Input, source: "provider" | "local" = "provider"): Attempt.AttemptOutcome => ({
  _tag: "failure",
  tookMs: 1,
  error: new LLMError.RateLimitError({
    message: "too many",
    source,
    scope: "requests",
    ...(retryAfter === undefined ? {} : { retryAfter: Duration.fromInputUnsafe(retryAfter) })
  })
})

const failure = (error: LLMError.LLMError): Attempt.AttemptOutcome => ({
  _tag: "failure",
  error: error as never,
  tookMs: 1
})

const steady = { ramp: false, adaptive: false } as const

const retryMs = (error: { readonly retryAfter?: Duration.Duration | undefined }) =>
  Duration.toMillis(error.retryAfter ?? Duration.zero)

const make = (options: TokenQuota.Options) =>
  Effect.map(TokenQuota.make(options), (quota) => ({ ...quota, admit: quota.admit!, snapshot: quota.snapshot("p/m") }))

/** Admits so many calls, one after the other, and says when each began. */
const times = (admit: Attempt.Admit, count: number, outcome: Attempt.AttemptOutcome | undefined, call = small) =>
  Effect.gen(function* () {
    const began: Array<number> = []
    for (let i = 0; i < count; i++) {
      const settle = yield* admit(call)
      began.push(yield* Clock.currentTimeMillis)
      if (outcome !== undefined) settle(outcome)
    }
    return began
  })

const inTime = <A, E>(effect: Effect.Effect<A, E>) =>
  Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(effect, { startImmediately: true })
    yield* TestClock.adjust("10 minutes")
    return yield* Fiber.join(fiber)
  })

describe("reserve and settle", () => {
  it.effect("reserves characters ÷ 4 and maxTokens, and settles what was used", () =>
    Effect.gen(function* () {
      const { admit, snapshot } = yield* make({ rpm: 10, tpm: 1_000, inputTpm: 800, outputTpm: 500, ...steady })
      const settle = yield* admit(callOf(400, 300))
      expect(yield* snapshot).toMatchObject({
        requests: { remaining: 9 },
        tokens: { remaining: 600 },
        inputTokens: { remaining: 700 },
        outputTokens: { remaining: 200 }
      })
      settle(success(120, 30))
      expect(yield* snapshot).toMatchObject({
        requests: { remaining: 9 },
        tokens: { remaining: 850 },
        inputTokens: { remaining: 680 },
        outputTokens: { remaining: 470 }
      })
    })
  )

  it.effect("counts a default for an answer without a bound, and takes another estimate", () =>
    Effect.gen(function* () {
      const byDefault = yield* make({ tpm: 10_000, ...steady })
      yield* byDefault.admit(callOf(400))
      expect((yield* byDefault.snapshot)?.tokens?.remaining).toBe(10_000 - 100 - 1_024)
      const own = yield* make({ tpm: 10_000, estimate: () => ({ inputTokens: 1, outputTokens: 2 }), ...steady })
      yield* own.admit(callOf(400))
      expect((yield* own.snapshot)?.tokens?.remaining).toBe(9_997)
    })
  )

  it.effect("counts the texts of an embedding", () =>
    Effect.gen(function* () {
      const { admit, snapshot } = yield* make({ tpm: 1_000, outputTpm: 1, ...steady })
      yield* admit(callOf(16, 1, { request: { model: "m", input: ["x".repeat(200), "y".repeat(200)] } }))
      expect((yield* snapshot)?.tokens?.remaining).toBe(900)
    })
  )

  it.effect("goes below zero by a debit, which delays the next", () =>
    Effect.gen(function* () {
      const { admit, snapshot } = yield* make({ tpm: 600, maxWait: "5 minutes", ...steady })
      ;(yield* admit(callOf(400, 100)))(success(500, 400))
      expect((yield* snapshot)?.tokens?.remaining).toBe(-300)
      // Ten tokens a second come back: 300 of debt, and 20 for the call.
      const [began] = yield* inTime(times(admit, 1, success()))
      expect(began).toBe(30_000 + 2_000)
    })
  )

  it.effect("settles once, however often it is told", () =>
    Effect.gen(function* () {
      const { admit, snapshot } = yield* make({ tpm: 1_000, ...steady })
      const settle = yield* admit(callOf(400, 100))
      settle(success(50, 50))
      settle(success(0, 0))
      expect((yield* snapshot)?.tokens?.remaining).toBe(900)
    })
  )

  const outcomes: ReadonlyArray<readonly [string, Attempt.AttemptOutcome, number, number]> = [
    ["an interruption", { _tag: "interrupted", tookMs: 1 }, 9, 800],
    [
      "an interruption with known usage",
      { _tag: "interrupted", tookMs: 1, usage: { inputTokens: 1, outputTokens: 1 } },
      9,
      998
    ],
    ["an answered server error", failure(new LLMError.ServerError({ message: "" })), 9, 1_000],
    [
      "a broken stream",
      failure(new LLMError.StreamInterruptedError({ message: "", partialText: "", parts: [] })),
      9,
      800
    ],
    ["a connection never made", failure(new LLMError.TransportError({ message: "", phase: "connect" })), 10, 1_000],
    [
      "a full bulkhead",
      failure(new LLMError.BulkheadFullError({ message: "", key: "k", queued: 0, waited: Duration.zero })),
      10,
      1_000
    ]
  ]
  for (const [name, outcome, requests, tokens] of outcomes) {
    it.effect(`settles ${name}`, () =>
      Effect.gen(function* () {
        const { admit, snapshot } = yield* make({ rpm: 10, tpm: 1_000, ...steady })
        ;(yield* admit(callOf(400, 100)))(outcome)
        expect(yield* snapshot).toMatchObject({
          requests: { remaining: requests },
          tokens: { remaining: tokens },
          pausedMs: 0
        })
      })
    )
  }
})

describe("waiting", () => {
  it.effect("keeps requests and tokens a minute", () =>
    Effect.gen(function* () {
      const byRequests = yield* make({ rpm: 6, maxWait: "5 minutes", ...steady })
      expect(yield* inTime(times(byRequests.admit, 8, success()))).toEqual([0, 0, 0, 0, 0, 0, 10_000, 20_000])
      const start = yield* Clock.currentTimeMillis
      const byTokens = yield* make({ tpm: 60, maxWait: "5 minutes", ...steady })
      expect((yield* inTime(times(byTokens.admit, 5, undefined))).map((at) => at - start)).toEqual([
        0, 0, 0, 20_000, 40_000
      ])
    })
  )

  it.effect("fails at once with a local error when the deadline or maxWait cannot be met", () =>
    Effect.gen(function* () {
      const { admit, snapshot } = yield* make({ rpm: 1, maxWait: "2 minutes", ...steady })
      yield* admit(small)
      const error = yield* Effect.flip(admit(callOf(40, 10, { deadlineMs: 59_999 })))
      expect(error).toMatchObject({ _tag: "RateLimitError", source: "local", scope: "requests" })
      expect(retryMs(error)).toBe(60_000)
      const impatient = yield* make({ rpm: 1, maxWait: "59 seconds", ...steady })
      yield* impatient.admit(small)
      expect((yield* Effect.flip(impatient.admit(small)))._tag).toBe("RateLimitError")
      expect((yield* snapshot)?.waiting).toBe(0)
      expect(yield* Clock.currentTimeMillis).toBe(0)
      const [at] = yield* inTime(times(admit, 1, success(), callOf(40, 10, { deadlineMs: 60_000 })))
      expect(at).toBe(60_000)
    })
  )

  it.effect("fails for good, and names the scope, with a call above the limit", () =>
    Effect.gen(function* () {
      const { admit } = yield* make({ tpm: 1_000, outputTpm: 500, ...steady })
      expect(yield* Effect.flip(admit(callOf(4_000, 10)))).toMatchObject({
        scope: "tokens",
        limit: 1_000,
        isRetryable: false
      })
      expect(yield* Effect.flip(admit(callOf(40, 501)))).toMatchObject({ scope: "output-tokens", limit: 500 })
    })
  )

  it.effect("lets interactive calls go before batch", () =>
    Effect.gen(function* () {
      const { admit } = yield* make({ rpm: 1, maxWait: "5 minutes", patience: "10 minutes", ...steady })
      yield* admit(small)
      const order: Array<string> = []
      for (const priority of ["batch", "interactive"] as const) {
        const call = callOf(40, 10, { context: { ...CallContext.single, priority } })
        yield* Effect.forkChild(
          Effect.tap(admit(call), () => Effect.sync(() => order.push(priority))),
          {
            startImmediately: true
          }
        )
      }
      yield* TestClock.adjust("2 minutes")
      expect(order).toEqual(["interactive", "batch"])
    })
  )

  it.effect("holds nothing for a waiter that is interrupted", () =>
    Effect.gen(function* () {
      const { admit, snapshot } = yield* make({ rpm: 1, maxWait: "5 minutes", ...steady })
      yield* admit(small)
      const fibers = yield* Effect.forEach(Array.from({ length: 100 }), () =>
        Effect.forkChild(Effect.flip(Effect.timeout(admit(small), "1 hour")), { startImmediately: true }).pipe(
          Effect.map((fiber) => fiber as Fiber.Fiber<unknown, unknown>)
        )
      )
      for (const fiber of fibers) yield* Fiber.interrupt(fiber)
      expect(yield* snapshot).toMatchObject({ waiting: 0, requests: { remaining: 0 } })
      yield* TestClock.adjust("1 minute")
      expect((yield* snapshot)?.requests?.remaining).toBe(1)
    })
  )

  it.effect("keeps targets apart, and tenants if told so", () =>
    Effect.gen(function* () {
      const shared = yield* make({ rpm: 1, maxWait: 0, ...steady })
      yield* shared.admit(small)
      yield* shared.admit(callOf(40, 10, { target: "p/other" }))
      expect((yield* Effect.flip(shared.admit(callOf(40, 10, { context: { tenant: "b" } }))))._tag).toBe(
        "RateLimitError"
      )
      const own = yield* make({ rpm: 1, maxWait: 0, keyBy: "target-and-tenant", ...steady })
      yield* own.admit(small)
      yield* own.admit(callOf(40, 10, { context: { tenant: "b" } }))
      expect(yield* Effect.flip(own.admit(small))).toMatchObject({ key: "p/m#default" })
    })
  )

  it.effect("has limits of its own for a target or a provider", () =>
    Effect.gen(function* () {
      const { admit } = yield* make({ rpm: 100, maxWait: 0, targets: { "p/m": { rpm: 1 }, q: { rpm: 2 } }, ...steady })
      yield* admit(small)
      yield* Effect.flip(admit(small))
      const other = callOf(40, 10, { target: "q/x" })
      yield* admit(other)
      yield* admit(other)
      yield* Effect.flip(admit(other))
    })
  )
})

describe("learning from headers", () => {
  it.effect("takes limit and what is left, less what was sent since", () =>
    Effect.gen(function* () {
      const { admit, snapshot } = yield* make(steady)
      const first = yield* admit(small)
      const second = yield* admit(small)
      first(
        success(10, 10, {
          requests: { limit: 100, remaining: 40, resetMs: 36_000 },
          tokens: { limit: 1_000, remaining: 500 }
        })
      )
      expect(yield* snapshot).toMatchObject({
        requests: { limit: 100, remaining: 39, windowMs: 60_000 },
        tokens: { limit: 1_000, remaining: 480 }
      })
      second(success(10, 10))
      expect((yield* snapshot)?.requests?.remaining).toBe(39)
    })
  )

  it.effect("recognises a limit for a day by its reset", () =>
    Effect.gen(function* () {
      const { admit, snapshot } = yield* make(steady)
      ;(yield* admit(small))(success(1, 1, { requests: { limit: 14_400, remaining: 14_370, resetMs: 179_560 } }))
      expect((yield* snapshot)?.requests).toEqual({ limit: 14_400, remaining: 14_370, windowMs: 86_400_000 })
    })
  )

  it.effect("does not let a provider raise a limit of the options, only lower it", () =>
    Effect.gen(function* () {
      const { admit, snapshot } = yield* make({ rpm: 10, ...steady })
      ;(yield* admit(small))(success(1, 1, { requests: { limit: 500, remaining: 400, resetMs: 12_000 } }))
      expect((yield* snapshot)?.requests).toMatchObject({ limit: 10, remaining: 9 })
      ;(yield* admit(small))(success(1, 1, { requests: { limit: 500, remaining: 3, resetMs: 59_000 } }))
      expect((yield* snapshot)?.requests?.remaining).toBe(3)
      ;(yield* admit(small))(success(1, 1, { requests: { limit: 5, remaining: 2, resetMs: 36_000 } }))
      expect((yield* snapshot)?.requests).toMatchObject({ limit: 5, remaining: 2 })
    })
  )

  it.effect("is full again when the provider said so", () =>
    Effect.gen(function* () {
      const { admit, snapshot } = yield* make(steady)
      ;(yield* admit(small))(success(1, 1, { requests: { limit: 100, remaining: 0, resetMs: 5_000 } }))
      const [at] = yield* inTime(Effect.andThen(times(admit, 1, undefined), (began) => Effect.succeed(began)))
      expect(at).toBeLessThanOrEqual(5_000)
      expect((yield* snapshot)?.requests?.limit).toBe(100)
    })
  )

  it.effect("ignores absurd headers, and everything if told so", () =>
    Effect.gen(function* () {
      const { admit, snapshot } = yield* make(steady)
      ;(yield* admit(small))(
        success(1, 1, { requests: { limit: -1, remaining: -1, resetMs: 0 }, tokens: { limit: 0, remaining: 0 } })
      )
      expect(yield* snapshot).toEqual({ pausedMs: 0, waiting: 0 })
      const deaf = yield* make({ learn: false, ...steady })
      ;(yield* deaf.admit(small))(success(1, 1, { requests: { limit: 1, remaining: 0 } }))
      expect(yield* deaf.snapshot).toEqual({ pausedMs: 0, waiting: 0 })
    })
  )
})

describe("a refusal", () => {
  it.effect("pauses every caller of the target for the provider's hint", () =>
    Effect.gen(function* () {
      const { admit, snapshot } = yield* make({ maxWait: "5 minutes", ...steady })
      const one = yield* admit(small)
      ;(yield* admit(small))(refusal("20 seconds"))
      expect((yield* snapshot)?.pausedMs).toBe(20_000)
      const error = yield* Effect.flip(admit(callOf(40, 10, { deadlineMs: 19_000 })))
      expect(retryMs(error)).toBe(20_000)
      // A later, shorter hint does not shorten the pause.
      one(refusal("1 second"))
      expect((yield* snapshot)?.pausedMs).toBe(20_000)
      yield* admit(callOf(40, 10, { target: "p/other" }))
      expect(yield* inTime(times(admit, 1, success()))).toEqual([20_000])
    })
  )

  it.effect("without a hint pauses longer each time, until a call goes well", () =>
    Effect.gen(function* () {
      const { admit, snapshot } = yield* make({ maxWait: "5 minutes", ...steady })
      const pauses: Array<number | undefined> = []
      for (const outcome of [refusal(), refusal(), refusal(), success(), refusal()]) {
        ;(yield* admit(small))(outcome)
        const paused = (yield* snapshot)?.pausedMs
        pauses.push(paused)
        yield* TestClock.adjust(paused ?? 0)
      }
      expect(pauses).toEqual([1_000, 2_000, 4_000, 0, 1_000])
    })
  )

  it.effect("of our own is not the provider's: it pauses nothing and counts nothing", () =>
    Effect.gen(function* () {
      const { admit, snapshot } = yield* make({ rpm: 10, ramp: false })
      ;(yield* admit(small))(refusal("20 seconds", "local"))
      expect(yield* snapshot).toEqual({
        requests: { limit: 10, remaining: 10, windowMs: 60_000 },
        pausedMs: 0,
        waiting: 0
      })
    })
  )

  it.effect("halves the adaptive rate, once for a burst, down to its bound", () =>
    Effect.gen(function* () {
      const { admit, snapshot } = yield* make({ ramp: false, maxWait: "5 minutes" })
      const burst = yield* Effect.forEach(Array.from({ length: 10 }), () => admit(small))
      yield* TestClock.adjust(1)
      for (const settle of burst) settle(refusal("10 millis"))
      expect((yield* snapshot)?.callsPerSecond).toBe(10)
      for (let i = 0; i < 10; i++) {
        yield* TestClock.adjust("5 seconds")
        ;(yield* admit(small))(refusal("10 millis"))
      }
      expect((yield* snapshot)?.callsPerSecond).toBe(0.5)
    })
  )

  it.effect("is made good by ten clean calls at a time, at the adapted pace", () =>
    Effect.gen(function* () {
      const { admit, snapshot } = yield* make({ ramp: false, maxWait: "5 minutes" })
      ;(yield* admit(small))(refusal("1 milli"))
      const began = yield* inTime(times(admit, 11, success()))
      expect(began.slice(1).map((at, i) => at - began[i]!)).toEqual(Array.from({ length: 10 }, () => 100))
      expect((yield* snapshot)?.callsPerSecond).toBeCloseTo(11)
      yield* inTime(times(admit, 100, success()))
      expect((yield* snapshot)?.callsPerSecond).toBeUndefined()
    })
  )
})

describe("the ramp", () => {
  it.effect("lets the allowance grow after a cold start", () =>
    Effect.gen(function* () {
      const { admit } = yield* make({ rpm: 100, adaptive: false, maxWait: 0, ramp: { from: 0.1, over: "10 seconds" } })
      let gone = 0
      const counted = Effect.forever(Effect.tap(admit(small), () => Effect.sync(() => gone++)))
      yield* Effect.exit(counted)
      expect(gone).toBe(10)
      yield* TestClock.adjust("5 seconds")
      yield* Effect.exit(counted)
      // Half way: 55 of the allowance, and the eight that refilled.
      expect(gone).toBeGreaterThanOrEqual(62)
      expect(gone).toBeLessThanOrEqual(64)
      yield* TestClock.adjust("5 seconds")
      yield* Effect.exit(counted)
      expect(gone).toBeLessThanOrEqual(117)
      expect(gone).toBeGreaterThanOrEqual(115)
    })
  )

  it.effect("starts again after a pause", () =>
    Effect.gen(function* () {
      const { admit } = yield* make({ rpm: 100, adaptive: false, maxWait: 0 })
      yield* admit(small)
      yield* TestClock.adjust("1 hour")
      ;(yield* admit(small))(refusal("30 seconds"))
      yield* TestClock.adjust("90 seconds")
      // The ramp began when the pause ended, a minute ago, and is over.
      let gone = 0
      const counted = Effect.forever(Effect.tap(admit(small), () => Effect.sync(() => gone++)))
      yield* Effect.exit(counted)
      expect(gone).toBe(100)
      yield* TestClock.adjust("1 hour")
      gone = 0
      ;(yield* admit(small))(refusal("30 seconds"))
      yield* TestClock.adjust("30 seconds")
      yield* Effect.exit(counted)
      expect(gone).toBe(10)
    })
  )

  it.effect("never holds back a single call", () =>
    Effect.gen(function* () {
      const { admit } = yield* make({ tpm: 1_000, maxWait: 0 })
      yield* admit(callOf(400, 900))
      expect((yield* Effect.flip(admit(small))).retryAfter).toBeDefined()
    })
  )
})

describe("the service", () => {
  it.effect("runs any effect within a quota", () =>
    Effect.gen(function* () {
      const quota = yield* TokenQuota.TokenQuota
      const options = { key: "any", inputTokens: 100, outputTokens: 100 }
      yield* TokenQuota.limit(Effect.succeed(7), { ...options, usage: (n) => ({ inputTokens: n, outputTokens: 0 }) })
      expect((yield* quota.snapshot("any"))?.tokens?.remaining).toBe(993)
      yield* Effect.exit(TokenQuota.limit(Effect.fail("no"), options))
      expect((yield* quota.snapshot("any"))?.tokens?.remaining).toBe(793)
      yield* quota.reset("any")
      expect((yield* quota.snapshot("any"))?.tokens?.remaining).toBe(1_000)
    }).pipe(Effect.provide(TokenQuota.layer({ tpm: 1_000, ...steady })))
  )

  it.effect("refuses bad reservations with typed errors", () =>
    Effect.gen(function* () {
      const quota = yield* TokenQuota.make({ tpm: 1_000 })
      const good = { key: "k", inputTokens: 1, outputTokens: 1 }
      for (const [wrong, parameter] of [
        [{ ...good, key: "" }, "key"],
        [{ ...good, inputTokens: NaN }, "inputTokens"],
        [{ ...good, outputTokens: -1 }, "outputTokens"],
        [{ ...good, priority: NaN }, "priority"],
        [{ ...good, maxWait: -1 }, "maxWait"]
      ] as const) {
        expect(yield* Effect.flip(quota.reserve(wrong))).toMatchObject({ _tag: "InvalidRequestError", parameter })
      }
    })
  )

  const wrong: ReadonlyArray<readonly [TokenQuota.Options, string]> = [
    [{ rpm: 0 }, "rpm is 0"],
    [{ tpm: NaN }, "tpm is NaN"],
    [{ inputTpm: -1 }, "inputTpm is -1"],
    [{ outputTpm: Infinity }, "outputTpm is Infinity"],
    [{ targets: { "p/m": { rpm: 0 } } }, "targets.p/m.rpm is 0"],
    [{ defaultOutputTokens: -1 }, "defaultOutputTokens is -1"],
    [{ maxWait: -1 }, "maxWait is -1"],
    [{ maxWaiting: 0 }, "maxWaiting is 0"],
    [{ ramp: { from: 0 } }, "ramp.from is 0"],
    [{ ramp: { over: 0 } }, "ramp.over is 0"],
    [{ adaptive: { min: 30 } }, "adaptive.max is 20"],
    [{ adaptive: { decrease: 1 } }, "adaptive.decrease is 1"],
    [{ adaptive: { increase: NaN } }, "adaptive.increase is NaN"],
    [{ adaptive: { after: 0 } }, "adaptive.after is 0"],
    [{ pause: 0 }, "pause is 0"],
    [{ keyBy: "user" as "target" }, 'keyBy is "user"']
  ]
  for (const [options, message] of wrong) {
    it.effect(`refuses the option: ${message}`, () =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(TokenQuota.make(options))
        expect(error._tag).toBe("ConfigError")
        expect(error.message).toContain(message)
      })
    )
  }

  it.effect("tells what it learned, and of pauses and adaptations", () =>
    Effect.gen(function* () {
      const events: Array<Event.PolicyEvent> = []
      yield* Effect.gen(function* () {
        const { admit } = yield* make({ ramp: false })
        ;(yield* admit(small))(success(1, 1, { requests: { limit: 10, remaining: 9 } }))
        ;(yield* admit(small))(refusal("1 second"))
      }).pipe(Effect.provideService(Event.EventSink, (event) => void events.push(event)))
      expect(events).toEqual([
        {
          type: "quota-learned",
          key: "p/m",
          scope: "requests",
          limit: 10,
          windowMs: 60_000,
          requestId: "request",
          attempt: 1
        },
        { type: "quota-paused", key: "p/m", pauseMs: 1_000, hinted: true, requestId: "request", attempt: 1 },
        {
          type: "limit-adapted",
          limiter: "token-quota",
          key: "p/m",
          unit: "calls-per-second",
          from: 20,
          to: 10,
          requestId: "request",
          attempt: 1
        }
      ])
    })
  )

  it.effect("a noop has no admission", () =>
    Effect.gen(function* () {
      const quota = yield* TokenQuota.TokenQuota
      expect(quota.admit).toBeUndefined()
      ;(yield* quota.reserve({ key: "k", inputTokens: 1e9, outputTokens: 1e9 }))(success())
      expect(yield* quota.snapshot("k")).toBeUndefined()
    }).pipe(Effect.provide(TokenQuota.layerNoop))
  )
})
