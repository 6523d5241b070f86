import { Event, Events, LLMError, Metrics } from "@breakwater/core"
import { ScriptedProvider } from "@breakwater/testing"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as PrometheusMetrics from "effect/observability/PrometheusMetrics"
import * as Stream from "effect/Stream"
import { inVirtualTime, setup } from "../../../composition/support.ts"

const registry = Layer.sync(Metric.MetricRegistry, () => new Map())

/** Runs with metrics in a registry of their own, and answers with their Prometheus text. */
const scrape = <A, E>(effect: Effect.Effect<A, E>) =>
  Effect.andThen(effect, PrometheusMetrics.format()).pipe(
    Effect.provide(Metrics.layer.pipe(Layer.provideMerge(registry)))
  )

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
