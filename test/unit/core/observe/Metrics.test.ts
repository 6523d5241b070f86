import { Event, Events, LLMError, Metrics } from "@breakwater/core"
import { ScriptedProvider } from "@breakwater/testing"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as PrometheusMetrics from "effect/observability/PrometheusMetrics"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import { inVirtualTime, setup } from "../../../composition/support.ts"

const registry = Layer.sync(Metric.MetricRegistry, () => new Map())

/** Runs with metrics in a registry of their own, and answers with their Prometheus text. */
const scrape = <A, E>(effect: Effect.Effect<A, E>, classic = false) =>
  Effect.andThen(effect, PrometheusMetrics.format()).pipe(
    Effect.provide((classic ? Metrics.layerWith({ classic }) : Metrics.layer).pipe(Layer.provideMerge(registry)))
  )

const finished = (more: Partial<Event.RequestFinished> = {}): Event.RequestFinished => ({
  type: "request-finished",
  requestId: "r",
  operation: "generate",
  outcome: "success",
  context: { tenant: "t" },
  startedAt: 0,
  tookMs: 12,
  attempts: [],
  retries: 0,
  failovers: 0,
  hedges: 0,
  ...more
})

const value = (text: string, name: string, ...labels: ReadonlyArray<string>): number | undefined => {
  const line = text
    .split("\n")
    .find((each) => each.startsWith(name + "{") && labels.every((label) => each.includes(label)))
  return line === undefined ? undefined : Number(line.slice(line.lastIndexOf(" ") + 1))
}

/** Sends events as a policy would. */
const emit = (events: ReadonlyArray<Event.PolicyEvent>) =>
  Effect.withFiber<void>((fiber) =>
    Effect.sync(() => {
      for (const event of events) fiber.getRef(Event.EventSink)?.(event)
    })
  )

describe("metrics", () => {
  it.effect("count calls, attempts, retries and failovers, and measure provider calls by the conventions", () =>
    Effect.gen(function* () {
      const down = new LLMError.ServerError({ message: "down", status: 500 })
      const text = yield* scrape(
        Effect.gen(function* () {
          const { llm } = yield* setup(
            { a: [ScriptedProvider.fail(down)], b: [ScriptedProvider.delay("3 seconds", "hello")] },
            { targets: ["a/m", "b/n"], retry: { retries: 1 } }
          )
          yield* inVirtualTime(llm.generate({ prompt: "hi" }))
          yield* inVirtualTime(Stream.runDrain(llm.stream({ prompt: "hi", model: "b/n" })))
        })
      )
      assert.strictEqual(value(text, "breakwater_requests_total", 'operation="generate"', 'outcome="success"'), 1)
      assert.strictEqual(value(text, "breakwater_attempts_total", 'target="a/m"', 'error="ServerError"'), 2)
      assert.strictEqual(value(text, "breakwater_attempts_total", 'target="b/n"', 'outcome="success"'), 2)
      assert.strictEqual(value(text, "breakwater_retries_total", 'target="a/m"'), 1)
      assert.strictEqual(value(text, "breakwater_failovers_total", 'from="a/m"', 'to="b/n"'), 1)
      const labels = ['gen_ai_operation_name="chat"', 'gen_ai_provider_name="b"', 'gen_ai_request_model="n"']
      assert.strictEqual(value(text, "gen_ai_client_operation_duration_count", ...labels), 2)
      assert.strictEqual(value(text, "gen_ai_client_token_usage_count", ...labels, 'gen_ai_token_type="input"'), 2)
      assert.strictEqual(value(text, "gen_ai_client_operation_time_to_first_chunk_count", ...labels), 1)
      assert.strictEqual(value(text, "gen_ai_client_operation_duration_count", 'error_type="ServerError"'), 2)
    })
  )

  it.effect("have a family for each policy", () =>
    Effect.gen(function* () {
      const text = yield* scrape(
        emit([
          { type: "circuit-changed", key: "a/m", from: "closed", to: "open", reason: "failure-rate", openForMs: 1 },
          { type: "circuit-rejected", key: "a/m", state: "open", retryAfterMs: 5 },
          { type: "bulkhead-rejected", key: "a/m", reason: "full", queued: 3, waitedMs: 0 },
          { type: "bulkhead-waited", key: "a/m", waitedMs: 1500 },
          { type: "limit-rejected", limiter: "quota", key: "a/m", weight: 1, waitedMs: 0, retryMs: 9 },
          { type: "limit-waited", limiter: "quota", key: "a/m", weight: 1, waitedMs: 20 },
          { type: "quota-learned", key: "a/m", scope: "requests", limit: 60, windowMs: 60_000 },
          { type: "hedge-started", key: "a/m", attempt: 2, reason: "slow", afterMs: 100 },
          { type: "hedge-won", key: "a/m", attempt: 2, tookMs: 10 }
        ])
      )
      assert.strictEqual(value(text, "breakwater_circuit_state", 'key="a/m"'), 2)
      assert.strictEqual(value(text, "breakwater_circuit_transitions_total", 'to="open"'), 1)
      assert.strictEqual(value(text, "breakwater_rejections_total", 'policy="circuit-breaker"', 'reason="open"'), 1)
      assert.strictEqual(value(text, "breakwater_rejections_total", 'policy="bulkhead"', 'reason="full"'), 1)
      assert.strictEqual(value(text, "breakwater_rejections_total", 'policy="quota"'), 1)
      assert.strictEqual(value(text, "breakwater_wait_seconds_sum", 'policy="bulkhead"'), 1.5)
      assert.strictEqual(value(text, "breakwater_quota_limit", 'scope="requests"'), 60)
      assert.strictEqual(value(text, "breakwater_hedges_total", 'outcome="started"'), 1)
      assert.strictEqual(value(text, "breakwater_hedges_total", 'outcome="won"'), 1)
    })
  )

  it.effect("keep what a provider says is left", () =>
    Effect.gen(function* () {
      const turn = ScriptedProvider.turn({
        content: [{ type: "text", text: "x" }],
        finishReason: "stop",
        usage: { inputTokens: 1, outputTokens: 1 },
        limits: { requests: { limit: 60, remaining: 41 } }
      })
      const text = yield* scrape(
        Effect.gen(function* () {
          const { llm } = yield* setup({ a: [turn] }, { targets: ["a/m"] })
          yield* llm.generate({ prompt: "hi" })
        })
      )
      assert.strictEqual(value(text, "breakwater_quota_remaining", 'key="a/m"', 'scope="requests"'), 41)
    })
  )

  it.effect("stay bounded whatever the labels: past the bound everything is `other`", () =>
    Effect.gen(function* () {
      const events = Array.from({ length: Metrics.maxSeries + 500 }, (_, i): Event.PolicyEvent => ({
        type: "circuit-changed",
        key: `k${i}`,
        from: "closed",
        to: "open",
        reason: "manual"
      }))
      const text = yield* scrape(emit(events))
      const series = text.split("\n").filter((line) => line.startsWith("breakwater_circuit_transitions_total{"))
      assert.strictEqual(series.length, Metrics.maxSeries + 1)
      assert.strictEqual(value(text, "breakwater_circuit_transitions_total", 'key="other"'), 500)
    })
  )

  it.effect("stay bounded under 100,000 users, keys, tenants and requests", () =>
    Effect.gen(function* () {
      const text = yield* scrape(
        Effect.map(Event.EventSink, (sink) => {
          for (let n = 0; n < 100_000; n++) {
            const context = { tenant: `tenant-${n}`, user: `user-${n}`, key: `key-${n}`, tags: [`tag-${n}`] }
            const of = { requestId: `request-${n}`, attempt: 1, target: `a/m` }
            sink?.({
              type: "request-started",
              requestId: of.requestId,
              operation: "generate",
              targets: [],
              maxAttempts: 1,
              context
            })
            sink?.({ type: "attempt-succeeded", ...of, tookMs: 1, usage: { inputTokens: 1, outputTokens: 1 } })
            sink?.({
              type: "cache-miss",
              cache: "exact",
              namespace: "n",
              reason: "absent",
              ...context,
              ...of
            })
            sink?.({
              type: "budget-rejected",
              budget: "b",
              scope: "user",
              value: `user-${n}`,
              period: "day",
              limit: 1n,
              spent: 1n,
              reserved: 0n,
              needed: 1n
            })
            sink?.(finished({ requestId: of.requestId, context }))
          }
        }),
        true
      )
      assert.strictEqual(value(text, "breakwater_requests_total", 'operation="generate"'), 100_000)
      assert.strictEqual(value(text, "breakwater_budget_rejections_total", 'budget="b"', 'scope="user"'), 100_000)
      assert.isBelow(text.split("\n").length, 300)
      assert.notMatch(text, /(user|tenant|key|tag|request)-\d/)
    })
  )

  it.effect("cut names of a megabyte", () =>
    Effect.gen(function* () {
      const huge = `a/${"m".repeat(1_000_000)}`
      const text = yield* scrape(
        emit([{ type: "attempt-interrupted", requestId: "r", attempt: 1, target: huge, tookMs: 1 }])
      )
      assert.isBelow(text.length, 2_000)
      assert.strictEqual(value(text, "breakwater_attempts_total", 'outcome="interrupted"'), 1)
    })
  )

  it.effect("count what is under way, what was broken off, how long calls take, and what they cost", () =>
    Effect.gen(function* () {
      const context = { tenant: "t" }
      const started = (requestId: string): Event.PolicyEvent => ({
        type: "request-started",
        requestId,
        operation: "stream",
        targets: [],
        maxAttempts: 1,
        context
      })
      const attempt = { attempt: 1, target: "a/m", outcome: "success", startedAt: 0, tookMs: 1, waitedMs: 0 } as const
      const text = yield* scrape(
        emit([
          finished({ operation: "stream" }),
          started("r1"),
          started("r2"),
          finished({
            requestId: "r1",
            operation: "stream",
            tookMs: 1_500,
            attempts: [{ ...attempt, costNanos: 2_500_000_000n }],
            cost: { nanoDollars: 2_500_000_000n, estimated: false, unknownAttempts: 2 }
          }),
          finished({ requestId: "r3", cached: { source: "semantic", ageMs: 1 }, savedNanos: 500_000_000n }),
          {
            type: "cache-hit",
            cache: "semantic",
            tenant: "t",
            namespace: "n",
            target: "a/m",
            cached: { source: "semantic", ageMs: 1 },
            usage: { inputTokens: 7, outputTokens: 5 }
          },
          {
            type: "cache-store-failed",
            cache: "exact",
            tenant: "t",
            namespace: "n",
            target: "a/m",
            store: "redis",
            operation: "get",
            reason: "timeout"
          },
          {
            type: "context-fitted",
            requestId: "r",
            target: "a/m",
            window: 1,
            inputTokens: 1,
            droppedMessages: 1,
            droppedTokens: 40,
            compactedCharacters: 0,
            summary: "none"
          },
          {
            type: "budget-threshold",
            budget: "b",
            scope: "user",
            value: "u",
            period: "day",
            limit: 1n,
            spent: 1n,
            threshold: 0.8
          },
          { type: "ledger-store-changed", store: "sql", available: false, waiting: 7 },
          { type: "audit-store-changed", store: "sql", available: true, waiting: 1 },
          { type: "audit-entries-lost", store: "sql", count: 4 },
          { type: "limit-store-failed", limiter: "l", store: "redis", operation: "take", handled: "local" }
        ])
      )
      assert.strictEqual(value(text, "breakwater_requests_in_flight", 'operation="stream"'), 1)
      assert.strictEqual(value(text, "breakwater_request_duration_seconds_sum", 'operation="stream"'), 1.512)
      assert.strictEqual(value(text, "breakwater_cost_dollars_total", 'target="a/m"'), 2.5)
      assert.match(text, /^breakwater_unknown_cost_attempts_total 2$/m)
      assert.strictEqual(value(text, "breakwater_saved_dollars_total", 'cache="semantic"'), 0.5)
      assert.strictEqual(value(text, "breakwater_saved_tokens_total", 'type="input"'), 7)
      assert.strictEqual(value(text, "breakwater_cache_failures_total", 'operation="get"', 'reason="timeout"'), 1)
      assert.strictEqual(value(text, "breakwater_context_dropped_tokens_total", 'target="a/m"'), 40)
      assert.strictEqual(value(text, "breakwater_budget_thresholds_total", 'threshold="0.8"'), 1)
      assert.strictEqual(value(text, "breakwater_unwritten_records", 'log="ledger"'), 7)
      assert.strictEqual(value(text, "breakwater_lost_records_total", 'log="audit"'), 4)
      assert.strictEqual(value(text, "breakwater_store_failures_total", 'handled="local"'), 1)
    })
  )

  it.effect("have classic names beside their own, on demand", () =>
    Effect.gen(function* () {
      const calls = Effect.gen(function* () {
        const { llm } = yield* setup(
          { a: [ScriptedProvider.fail(new LLMError.ServerError({ message: "down" }))], b: () => "hello" },
          { targets: ["a/m", "b/n"], retry: { retries: 1 } }
        )
        yield* inVirtualTime(llm.generate({ prompt: "hi" }))
        yield* inVirtualTime(Stream.runDrain(llm.stream({ prompt: "hi", model: "b/n" })))
      })
      const plain = yield* scrape(calls)
      assert.notInclude(plain, "llm_")
      const text = yield* scrape(calls, true)
      const of = (name: string, ...labels: ReadonlyArray<string>) => value(text, `llm_${name}`, ...labels)
      assert.strictEqual(
        of("requests_total", 'provider="b"', 'model="n"', 'operation="generate"', 'outcome="success"'),
        1
      )
      assert.strictEqual(of("request_duration_seconds_count", 'provider="b"', 'operation="stream"'), 1)
      assert.strictEqual(of("time_to_first_token_seconds_count", 'provider="b"'), 1)
      assert.strictEqual(of("errors_total", 'provider="a"', 'error="ServerError"'), 2)
      assert.strictEqual(of("retries_total", 'provider="a"'), 1)
      assert.strictEqual(of("fallbacks_total", 'provider="b"'), 1)
      assert.isAbove(of("tokens_total", 'provider="b"', 'type="output"') ?? 0, 0)
      for (const { name } of Metrics.classicDefinitions) assert.match(name, /^llm_[a-z_]+(_total|_seconds)$/)
    })
  )

  it.effect("tell how budgets stand, a limit at a time, and forget nothing when the store is away", () =>
    Effect.gen(function* () {
      const account = (value: string, spent: bigint, remaining: bigint) => ({
        budget: "b",
        scope: "user" as const,
        value,
        period: "day",
        limit: 10n,
        soft: undefined,
        spent,
        reserved: 1_000_000_000n,
        remaining
      })
      let looks = 0
      const accounts = () =>
        Effect.suspend(() =>
          looks++ === 0
            ? Effect.succeed([
                account("u1", 2_000_000_000n, 7_000_000_000n),
                account("u2", 3_000_000_000n, 6_000_000_000n)
              ])
            : Effect.fail(new LLMError.StoreError({ message: "away", store: "sql", operation: "read" }))
        )
      const text = yield* scrape(
        Effect.gen(function* () {
          yield* Metrics.watchBudget({ accounts } as never, { every: "10 seconds" })
          yield* Effect.yieldNow
          yield* TestClock.adjust("25 seconds")
        }).pipe(Effect.scoped)
      )
      assert.strictEqual(looks, 3)
      const labels = ['budget="b"', 'scope="user"', 'period="day"']
      assert.strictEqual(value(text, "breakwater_budget_spent_dollars", ...labels), 5)
      assert.strictEqual(value(text, "breakwater_budget_reserved_dollars", ...labels), 2)
      assert.strictEqual(value(text, "breakwater_budget_remaining_dollars", ...labels), 6)
      assert.strictEqual(value(text, "breakwater_budget_accounts", ...labels), 2)
      assert.notInclude(text, "u1")
      const wrong = yield* Effect.flip(Effect.scoped(Metrics.watchBudget({ accounts } as never, { every: 0 })))
      assert.include(String(wrong), "every")
    })
  )

  it.effect("let another listener go on hearing", () =>
    Effect.gen(function* () {
      const heard: Array<string> = []
      const { llm } = yield* setup({ a: ["x"] }, { targets: ["a/m"] })
      yield* scrape(
        Effect.asVoid(llm.generate({ prompt: "hi" })).pipe(Events.listen((event) => heard.push(event.type)))
      )
      assert.include(heard, "request-finished")
    })
  )

  it("have names by the conventions", () => {
    for (const name of Metrics.names) assert.match(name, /^(gen_ai\.client\.[a-z_.]+|breakwater_[a-z_]+)$/)
  })
})
