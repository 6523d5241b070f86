import { Budget, BudgetStore, type Call, CallContext, Event, LLMError, Pricing, type Request } from "@breakwater/core"
import { assert, describe, expect, it } from "@effect/vitest"
import * as Config from "effect/Config"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/testing/TestClock"

/** A thousand nano-dollars a token of the answer, nothing for the prompt: a request's worst case is its `maxTokens`. */
const prices = Pricing.makeTable({
  "p/a": { input: 0, output: 1 },
  "p/dear": { input: 0, output: 10 },
  "p/known": { input: 0, output: 1, maxOutputTokens: 50 },
  "p/in": { input: 1, output: 1 }
})

const token = 1_000n

const make = (options: Budget.Options) => Effect.provide(Budget.make(options), Pricing.layerFrom(prices))

const request = (
  maxTokens: number | undefined,
  extra: Partial<Request.ProviderRequest> = {}
): Request.ProviderRequest => ({
  model: "a",
  messages: [{ role: "user", content: "hi" }],
  ...(maxTokens === undefined ? {} : { maxTokens }),
  ...extra
})

const call = (maxTokens: number | undefined, over: Partial<Budget.BudgetCall> = {}): Budget.BudgetCall => ({
  context: CallContext.single,
  request: request(maxTokens),
  targets: ["p/a"],
  maxAttempts: 1,
  ...over
})

const record = (over: Partial<Call.AttemptRecord> = {}): Call.AttemptRecord => ({
  attempt: 1,
  target: "p/a",
  outcome: "success",
  startedAt: 0,
  tookMs: 1,
  waitedMs: 0,
  ...over
})

const used = (outputTokens: number, over: Partial<Call.AttemptRecord> = {}) =>
  record({ usage: { inputTokens: 0, outputTokens }, ...over })

const failed = (error: LLMError.AttemptError, over: Partial<Call.AttemptRecord> = {}) =>
  record({ outcome: "failure", error, ...over })

const global = (limit: string, over: Partial<Budget.Limit> = {}): Budget.Options => ({
  limits: [{ scope: "global", period: "day", limit, ...over }]
})

const standing = (budget: Budget.BudgetService, context = CallContext.single, targets: ReadonlyArray<string> = []) =>
  Effect.map(budget.snapshot(context, targets), (all) => all.map(({ reserved, spent }) => [spent, reserved] as const))

const heard = <A, E, R>(effect: Effect.Effect<A, E, R>) => {
  const events: Array<Event.PolicyEvent> = []
  return Effect.map(
    Effect.provideService(effect, Event.EventSink, (event) => {
      events.push(event)
    }),
    (value) => ({ value, events })
  )
}

describe("Budget", () => {
  it.effect("reserves the worst case, and settles what was used", () =>
    Effect.gen(function* () {
      const budget = yield* make(global("1"))
      const settle = yield* budget.reserve!(call(100))
      expect(yield* standing(budget)).toEqual([[0n, 100n * token]])
      settle([used(30)])
      expect(yield* standing(budget)).toEqual([[30n * token, 0n]])
    })
  )

  it.effect("the worst case counts every attempt, at the dearest of the targets", () =>
    Effect.gen(function* () {
      const budget = yield* make(global("1"))
      yield* budget.reserve!(call(100, { targets: ["p/a", "p/dear"], maxAttempts: 3 }))
      expect(yield* standing(budget)).toEqual([[0n, 3n * 100n * 10n * token]])
    })
  )

  it.effect("an answer without a bound counts as the model's largest, or as the assumed one", () =>
    Effect.gen(function* () {
      const budget = yield* make({ ...global("1"), assumedOutputTokens: 7 })
      const known = yield* budget.reserve!(call(undefined, { targets: ["p/known"] }))
      expect(yield* standing(budget)).toEqual([[0n, 50n * token]])
      known([])
      yield* budget.reserve!(call(undefined))
      expect(yield* standing(budget)).toEqual([[0n, 7n * token]])
    })
  )

  it.effect("several answers to one prompt add up", () =>
    Effect.gen(function* () {
      const budget = yield* make(global("1"))
      yield* budget.reserve!(call(10, { request: request(10, { extra: { n: 4 } }) }))
      expect(yield* standing(budget)).toEqual([[0n, 40n * token]])
    })
  )

  it.effect("the prompt is guessed high, beyond ASCII a token for each unit, or counted by the counter given", () =>
    Effect.gen(function* () {
      const reserved = (content: string, options: Partial<Budget.Options> = {}) =>
        Effect.gen(function* () {
          const budget = yield* make({ ...global("1"), ...options })
          yield* budget.reserve!(
            call(1, { targets: ["p/in"], request: request(1, { messages: [{ role: "user", content }] }) })
          )
          return Number((yield* standing(budget))[0]![1] / token) - 1
        })
      expect(yield* reserved("x".repeat(4_000))).toBe(2_008)
      expect(yield* reserved("x".repeat(4_000), { inputMargin: 1 })).toBe(1_008)
      expect(yield* reserved("語".repeat(4_000))).toBe(4_008)
      expect(yield* reserved("x".repeat(4_000), { countTokens: () => 12 })).toBe(12)
      expect(yield* reserved("x".repeat(4_000), { countTokens: () => Number.NaN })).toBe(2_008)
    })
  )

  it.effect("a call that could pass the limit is turned away, with all there is to know", () =>
    Effect.gen(function* () {
      yield* TestClock.adjust("90 minutes")
      const budget = yield* make(global("0.001", { name: "daily" }))
      const first = yield* budget.reserve!(call(600))
      first([used(500)])
      yield* budget.reserve!(call(300))
      const error = yield* Effect.flip(budget.reserve!(call(201)))
      assert.instanceOf(error, LLMError.BudgetExceededError)
      expect(error).toMatchObject({
        scope: "global",
        period: "day",
        limit: 1_000n * token,
        spent: 500n * token,
        reserved: 300n * token,
        needed: 201n * token,
        resetsAt: 86_400_000,
        isRetryable: false
      })
      expect(Duration.toMillis(error.retryAfter!)).toBe(22.5 * 3_600_000)
      expect(error.message).toContain("daily")
      expect(error.message).toContain("$0.0002 is left")
    })
  )

  it.effect("exactly the limit still fits", () =>
    Effect.gen(function* () {
      const budget = yield* make(global("0.001"))
      const settle = yield* budget.reserve!(call(1_000))
      settle([used(1_000)])
      expect(yield* standing(budget)).toEqual([[1_000n * token, 0n]])
      const error = yield* Effect.flip(budget.hold(CallContext.single, 1n))
      expect(error._tag).toBe("BudgetExceededError")
    })
  )

  it.effect("ten thousand calls at once never pass the limit by a nano-dollar", () =>
    Effect.gen(function* () {
      const budget = yield* make(global("0.5"))
      const one = Effect.gen(function* () {
        const settle = yield* budget.reserve!(call(100))
        yield* Effect.yieldNow
        const [{ remaining, reserved, spent } = { remaining: 0n, reserved: 0n, spent: 0n }] = yield* budget.snapshot(
          CallContext.single
        )
        assert.isTrue(spent + reserved + remaining! === 500_000n * token)
        yield* Effect.yieldNow
        settle([used(100)])
      })
      const exits = yield* Effect.forEach(Array.from({ length: 10_000 }), () => Effect.exit(one), {
        concurrency: "unbounded"
      })
      expect(exits.filter(Exit.isSuccess).length).toBe(5_000)
      expect(yield* standing(budget)).toEqual([[500_000n * token, 0n]])
    })
  )

  it.effect("a call without attempts, and one that was refused, release what they reserved", () =>
    Effect.gen(function* () {
      const budget = yield* make(global("1"))
      const refusals: ReadonlyArray<Call.AttemptRecord> = [
        failed(new LLMError.RateLimitError({ message: "", source: "provider", scope: "requests" })),
        failed(new LLMError.ServerError({ message: "", status: 500 })),
        failed(new LLMError.AuthenticationError({ message: "", kind: "invalid" })),
        failed(new LLMError.TransportError({ message: "", phase: "connect" })),
        failed(new LLMError.RequestTimeoutError({ message: "", phase: "connect", limit: Duration.seconds(1) })),
        failed(new LLMError.CircuitOpenError({ message: "", key: "p/a" }), { sent: false }),
        record({ outcome: "interrupted", sent: false })
      ]
      for (const records of [[], ...refusals.map((each) => [each])]) {
        const settle = yield* budget.reserve!(call(100))
        settle(records)
        expect(yield* standing(budget)).toEqual([[0n, 0n]])
      }
    })
  )

  it.effect("an attempt that was given up after it was sent, and never said, counts at its worst", () =>
    Effect.gen(function* () {
      const unknown: ReadonlyArray<Call.AttemptRecord> = [
        record({ outcome: "interrupted" }),
        failed(new LLMError.TransportError({ message: "", phase: "reset" })),
        failed(new LLMError.RequestTimeoutError({ message: "", phase: "firstToken", limit: Duration.seconds(1) })),
        failed(new LLMError.StreamInterruptedError({ message: "", partialText: "", parts: [] })),
        failed(new LLMError.DeadlineExceededError({ message: "", elapsed: Duration.zero, limit: Duration.zero })),
        record({ target: "p/a" })
      ]
      for (const each of unknown) {
        const budget = yield* make(global("1"))
        const settle = yield* budget.reserve!(call(100, { targets: ["p/a", "p/dear"], maxAttempts: 3 }))
        settle([each])
        expect(yield* standing(budget), each.error?._tag ?? each.outcome).toEqual([[100n * token, 0n]])
      }
    })
  )

  it.effect("failed and hedged attempts are billed as far as their usage is known", () =>
    Effect.gen(function* () {
      const budget = yield* make(global("1"))
      const settle = yield* budget.reserve!(call(100, { maxAttempts: 4 }))
      settle([
        used(5, { outcome: "failure", error: new LLMError.ServerError({ message: "", status: 500 }) }),
        used(7, { outcome: "interrupted", usage: { inputTokens: 0, outputTokens: 7, estimated: true } }),
        failed(
          new LLMError.StructuredOutputError({
            message: "",
            issues: [],
            rawText: "",
            usage: { inputTokens: 0, outputTokens: 11 }
          })
        ),
        used(13)
      ])
      expect(yield* standing(budget)).toEqual([[36n * token, 0n]])
    })
  )

  it.effect("a cost that the record names is taken as it is", () =>
    Effect.gen(function* () {
      const budget = yield* make(global("1"))
      const settle = yield* budget.reserve!(call(100))
      settle([used(30, { costNanos: 77n })])
      expect(yield* standing(budget)).toEqual([[77n, 0n]])
    })
  )

  it.effect("an answer that was longer than its bound is spent all the same, and stops the next call", () =>
    Effect.gen(function* () {
      const budget = yield* make({ ...global("0.001"), assumedOutputTokens: 100 })
      const settle = yield* budget.reserve!(call(undefined))
      settle([used(5_000)])
      expect((yield* budget.snapshot(CallContext.single))[0]).toMatchObject({ spent: 5_000n * token, remaining: 0n })
      expect((yield* Effect.flip(budget.reserve!(call(1))))._tag).toBe("BudgetExceededError")
    })
  )

  it.effect("settling twice counts once", () =>
    Effect.gen(function* () {
      const budget = yield* make(global("1"))
      const settle = yield* budget.reserve!(call(100))
      settle([used(30)])
      settle([used(30)])
      expect(yield* standing(budget)).toEqual([[30n * token, 0n]])
    })
  )

  it.effect("all limits take part or none", () =>
    Effect.gen(function* () {
      const budget = yield* make({
        limits: [
          { scope: "global", period: "day", limit: "1" },
          { scope: "user", period: "day", limit: "0.0001" }
        ]
      })
      const ada = { ...CallContext.single, user: "ada" }
      yield* Effect.flip(budget.reserve!(call(101, { context: ada })))
      expect(yield* standing(budget, ada)).toEqual([
        [0n, 0n],
        [0n, 0n]
      ])
      const error = yield* Effect.flip(budget.reserve!(call(101, { context: ada })))
      expect(error).toMatchObject({ scope: "user ada", period: "day" })
    })
  )

  it.effect("every value of a scope has its own account, and those who do not say share one", () =>
    Effect.gen(function* () {
      for (const scope of ["tenant", "project", "user", "key"] as const) {
        const budget = yield* make({ limits: [{ scope, period: "day", limit: "0.0001" }] })
        const as = (value: string | undefined): CallContext.CallContext => ({
          ...CallContext.single,
          ...(value === undefined ? {} : { [scope]: value })
        })
        yield* budget.reserve!(call(100, { context: as("one") }))
        yield* budget.reserve!(call(100, { context: as("two") }))
        yield* Effect.flip(budget.reserve!(call(1, { context: as("one") })))
        yield* budget.reserve!(call(100, { context: as(undefined) }))
        yield* Effect.flip(budget.reserve!(call(1, { context: as(undefined) })))
      }
    })
  )

  it.effect("a call counts in full for each of its tags, and once for a tag it has twice", () =>
    Effect.gen(function* () {
      const budget = yield* make({ limits: [{ scope: "tag", period: "day", limit: "0.0001" }] })
      const tagged = (...tags: ReadonlyArray<string>) => ({ ...CallContext.single, tags })
      yield* budget.reserve!(call(60, { context: tagged("x", "y", "x") }))
      expect(yield* standing(budget, tagged("x"))).toEqual([[0n, 60n * token]])
      expect(yield* standing(budget, tagged("y"))).toEqual([[0n, 60n * token]])
      yield* Effect.flip(budget.reserve!(call(60, { context: tagged("z", "y") })))
      yield* budget.reserve!(call(60, { context: tagged("z") }))
    })
  )

  it.effect("each model pays for its own attempts", () =>
    Effect.gen(function* () {
      const budget = yield* make({ limits: [{ scope: "model", period: "day", limit: "0.1" }] })
      const targets = ["p/a", "p/dear"]
      const settle = yield* budget.reserve!(call(100, { targets, maxAttempts: 2 }))
      expect(yield* standing(budget, CallContext.single, targets)).toEqual([
        [0n, 200n * token],
        [0n, 2_000n * token]
      ])
      settle([failed(new LLMError.ServerError({ message: "" })), used(20, { target: "p/dear" })])
      expect(yield* standing(budget, CallContext.single, targets)).toEqual([
        [0n, 0n],
        [200n * token, 0n]
      ])
    })
  )

  it.effect("a limit can be for some values only, and another for single ones", () =>
    Effect.gen(function* () {
      const budget = yield* make({
        limits: [{ scope: "user", period: "day", limit: "0.0001", only: ["ada", "vip"], overrides: { vip: "0.001" } }]
      })
      const as = (user: string) => ({ ...CallContext.single, user })
      yield* budget.reserve!(call(100_000, { context: as("bob") }))
      yield* Effect.flip(budget.reserve!(call(101, { context: as("ada") })))
      yield* budget.reserve!(call(1_000, { context: as("vip") }))
      yield* Effect.flip(budget.reserve!(call(1, { context: as("vip") })))
    })
  )

  it.effect("a new period begins with nothing spent; a call counts in the one it began in", () =>
    Effect.gen(function* () {
      const budget = yield* make(global("0.0001", { period: "hour" }))
      const settle = yield* budget.reserve!(call(100))
      yield* Effect.flip(budget.reserve!(call(1)))
      yield* TestClock.adjust("59 minutes")
      yield* Effect.flip(budget.reserve!(call(1)))
      yield* TestClock.adjust("1 minute")
      yield* budget.reserve!(call(100))
      settle([used(100)])
      expect(yield* standing(budget)).toEqual([[0n, 100n * token]])
    })
  )

  it.effect("a rolling period forgets nothing too early", () =>
    Effect.gen(function* () {
      const budget = yield* make(global("0.0001", { period: { rolling: "1 hour" } }))
      yield* TestClock.adjust("10 minutes")
      const settle = yield* budget.reserve!(call(100))
      settle([used(60)])
      yield* TestClock.adjust("30 minutes")
      const later = yield* budget.reserve!(call(40))
      later([used(40)])
      yield* TestClock.adjust("30 minutes")
      const error = yield* Effect.flip(budget.reserve!(call(1)))
      expect(error).not.toHaveProperty("resetsAt")
      yield* TestClock.adjust("1 minute")
      yield* budget.reserve!(call(60))
      yield* Effect.flip(budget.reserve!(call(1)))
    })
  )

  it.effect("a lifetime has no end", () =>
    Effect.gen(function* () {
      const budget = yield* make(global("0.0001", { period: "lifetime" }))
      const settle = yield* budget.reserve!(call(100))
      settle([used(100)])
      yield* TestClock.adjust("1000 days")
      const error = yield* Effect.flip(budget.reserve!(call(1)))
      expect(error).toMatchObject({ period: "lifetime" })
      expect(error.retryAfter).toBeUndefined()
    })
  )

  it.effect("half, four fifths and all of a limit are events, each once; so is the soft limit", () =>
    Effect.gen(function* () {
      const budget = yield* make(global("0.001", { soft: "0.0006", name: "daily" }))
      const spend = (tokens: number) =>
        heard(Effect.map(budget.reserve!(call(tokens)), (settle) => settle([used(tokens)])))
      const thresholds = (events: ReadonlyArray<Event.PolicyEvent>) =>
        events.flatMap((event) => (event.type === "budget-threshold" ? [event.threshold] : []))
      expect(thresholds((yield* spend(499)).events)).toEqual([])
      const { events } = yield* spend(1)
      expect(events).toEqual([
        {
          type: "budget-threshold",
          budget: "daily",
          scope: "global",
          value: "",
          period: "day",
          limit: 1_000n * token,
          spent: 500n * token,
          threshold: 0.5
        }
      ])
      expect(thresholds((yield* spend(400)).events)).toEqual(["soft", 0.8])
      expect(thresholds((yield* spend(50)).events)).toEqual([])
      expect(thresholds((yield* spend(50)).events)).toEqual([1])
    })
  )

  it.effect("a soft limit alone turns nobody away", () =>
    Effect.gen(function* () {
      const budget = yield* make({ limits: [{ scope: "global", period: "day", soft: "0.0001" }] })
      const { events } = yield* heard(Effect.map(budget.reserve!(call(1_000)), (settle) => settle([used(1_000)])))
      expect(events.map((event) => event.type === "budget-threshold" && event.threshold)).toContain("soft")
      yield* budget.reserve!(call(1_000))
      expect((yield* budget.snapshot(CallContext.single))[0]).toMatchObject({ limit: undefined, remaining: undefined })
    })
  )

  it.effect("a rejection is an event", () =>
    Effect.gen(function* () {
      const budget = yield* make(global("0.0001"))
      const { events } = yield* heard(Effect.flip(budget.reserve!(call(101, { requestId: "r1" }))))
      expect(events).toEqual([
        {
          type: "budget-rejected",
          budget: "global day",
          scope: "global",
          value: "",
          period: "day",
          limit: 100n * token,
          spent: 0n,
          reserved: 0n,
          needed: 101n * token,
          requestId: "r1"
        }
      ])
    })
  )

  it.effect("a model without a price is an error, for a fallback too, or is let go with an event", () =>
    Effect.gen(function* () {
      const strict = yield* make(global("1"))
      const error = yield* Effect.flip(strict.reserve!(call(1, { targets: ["p/a", "p/who"] })))
      expect(error).toMatchObject({ _tag: "UnpricedModelError", provider: "p", model: "who" })
      const lax = yield* make({ ...global("1"), unpriced: "allow" })
      const { events, value: settle } = yield* heard(lax.reserve!(call(10, { targets: ["p/who"] })))
      expect(events).toEqual([{ type: "budget-unpriced", target: "p/who" }])
      settle([used(10, { target: "p/who" })])
      expect(yield* standing(lax)).toEqual([[0n, 0n]])
    })
  )

  it.effect("a mode of service without a price is unpriced", () =>
    Effect.gen(function* () {
      const budget = yield* make(global("1"))
      const priority = call(1, { request: request(1, { extra: { service_tier: "priority" } }) })
      expect((yield* Effect.flip(budget.reserve!(priority))).message).toContain("mode priority")
    })
  )

  it.effect("protect holds the most, and settles what the end says", () =>
    Effect.gen(function* () {
      const budget = yield* make(global("0.001"))
      const context = CallContext.single
      const run = <A, E>(effect: Effect.Effect<A, E>, cost?: (exit: Exit.Exit<A, E>) => bigint | undefined) =>
        Budget.protect(effect, { context, atMost: "0.0001", ...(cost === undefined ? {} : { cost }) }).pipe(
          Effect.provideService(Budget.Budget, budget)
        )
      yield* run(Effect.void, () => 10n)
      expect(yield* standing(budget)).toEqual([[10n, 0n]])
      yield* Effect.flip(run(Effect.fail("no"), (exit) => (Exit.isFailure(exit) ? 0n : 10n)))
      expect(yield* standing(budget)).toEqual([[10n, 0n]])
      const fiber = yield* Effect.forkChild(run(Effect.never))
      yield* Effect.yieldNow
      expect(yield* standing(budget)).toEqual([[10n, 100_000n]])
      yield* Fiber.interrupt(fiber)
      expect(yield* standing(budget)).toEqual([[100_010n, 0n]])
    })
  )

  it.effect("accounts whose time is over make room; one too many is refused rather than forgotten", () =>
    Effect.gen(function* () {
      const store = yield* BudgetStore.makeMemory({ maxAccounts: 100 })
      const budget = yield* make({ limits: [{ scope: "user", period: "minute", limit: "1" }] }).pipe(
        Effect.provideService(BudgetStore.BudgetStore, store)
      )
      const spend = (user: string) =>
        Effect.map(budget.reserve!(call(1, { context: { ...CallContext.single, user } })), (settle) =>
          settle([used(1)])
        )
      for (let i = 0; i < 100; i++) yield* spend(`u${i}`)
      const error = yield* Effect.flip(spend("one too many"))
      expect(error._tag).toBe("StoreError")
      yield* TestClock.adjust("1 minute")
      for (let i = 0; i < 100; i++) yield* spend(`v${i}`)
    })
  )

  it.effect.each<readonly [string, unknown, string]>([
    ["no limits", { limits: [] }, "limits"],
    ["a limit of nothing", global("0"), "limits[0].limit"],
    ["a negative limit", global("-1"), "limits[0].limit"],
    ["a limit that is NaN", { limits: [{ scope: "global", period: "day", limit: Number.NaN }] }, "limits[0].limit"],
    ["an endless limit", { limits: [{ scope: "global", period: "day", limit: Infinity }] }, "limits[0].limit"],
    ["neither limit nor soft", { limits: [{ scope: "global", period: "day" }] }, "limits[0].limit"],
    ["soft above hard", global("1", { soft: "2" }), "limits[0].soft"],
    ["an unknown scope", { limits: [{ scope: "planet", period: "day", limit: 1 }] }, "limits[0].scope"],
    ["an unknown period", { limits: [{ scope: "global", period: "fortnight", limit: 1 }] }, "limits[0].period"],
    [
      "a zone that does not exist",
      global("1", { period: { calendar: "day", timeZone: "Mars/Olympus" } }),
      "limits[0].period.timeZone"
    ],
    [
      "a week that starts on an eighth day",
      global("1", { period: { calendar: "week", weekStartsOn: 7 } }),
      "weekStartsOn"
    ],
    ["a rolling nothing", global("1", { period: { rolling: 0 } }), "limits[0].period.rolling"],
    ["a rolling eternity", global("1", { period: { rolling: Infinity } }), "limits[0].period.rolling"],
    ["no buckets", global("1", { period: { rolling: "1 hour", buckets: 0 } }), "limits[0].period.buckets"],
    ["a threshold of nothing", global("1", { thresholds: [0] }), "limits[0].thresholds"],
    ["a threshold above all", global("1", { thresholds: [1.1] }), "limits[0].thresholds"],
    ["only nobody", { limits: [{ scope: "user", period: "day", limit: 1, only: [] }] }, "limits[0].only"],
    [
      "a wrong override",
      { limits: [{ scope: "user", period: "day", limit: 1, overrides: { ada: -1 } }] },
      "limits[0].overrides.ada"
    ],
    [
      "the same twice",
      {
        limits: [
          { scope: "user", period: "day", limit: 1 },
          { scope: "user", period: "day", limit: 2 }
        ]
      },
      "limits[1]"
    ],
    [
      "values in two limits",
      {
        limits: [
          { scope: "user", period: "day", limit: 1, only: ["ada", "bob"] },
          { scope: "user", period: "day", limit: 2, only: ["bob"] }
        ]
      },
      "limits[1]"
    ],
    ["an assumed answer of nothing", { ...global("1"), assumedOutputTokens: 0 }, "assumedOutputTokens"],
    ["a margin below one", { ...global("1"), inputMargin: 0.5 }, "inputMargin"],
    ["a margin that is NaN", { ...global("1"), inputMargin: Number.NaN }, "inputMargin"],
    ["unpriced by a wrong word", { ...global("1"), unpriced: "free" }, "unpriced"],
    ["a wrong word for a lost store", { ...global("1"), onStoreError: "panic" }, "onStoreError"]
  ])("%s is a configuration error", ([_, options, field]) =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(make(options as Budget.Options))
      assert.instanceOf(error, Config.ConfigError)
      expect(error.message).toContain(field)
    })
  )

  it.effect("the same scope in two periods, or for other values, is no overlap", () =>
    Effect.gen(function* () {
      yield* make({
        limits: [
          { scope: "user", period: "day", limit: 1, only: ["ada"] },
          { scope: "user", period: "day", limit: 2, only: ["bob"] },
          { scope: "user", period: "month", limit: 20 },
          { scope: "user", period: { calendar: "day", timeZone: "Europe/Berlin" }, limit: 20 }
        ]
      })
    })
  )

  it.effect("without prices there is no budget", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(Effect.provide(Budget.make(global("1")), Pricing.layerNoop))
      assert.instanceOf(error, Config.ConfigError)
      expect(error.message).toContain("pricing")
    })
  )
})
