/** The metrics as Prometheus's own tools read them. */
import { Budget, Event, Events, LLM, LLMProvider, Metrics, Pricing, ResponseCache } from "@breakwater/core"
import { Failures, ScriptedProvider } from "@breakwater/testing"
import { assert, describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import { PrometheusMetrics } from "effect/observability"
import * as Stream from "effect/Stream"
import { createServer, type Server } from "node:http"
import type { AddressInfo } from "node:net"
import { makePrometheus, noPrometheus, promtool } from "../../support/prometheus.ts"

const registry = Layer.sync(Metric.MetricRegistry, () => new Map())

const observed = Events.layerAll(Metrics.layerWith({ classic: true })).pipe(Layer.provideMerge(registry))

const format = PrometheusMetrics.format({ metricNameMapper: Metrics.prometheusName })

/** A service with everything that has metrics of its own. */
const makeService = Effect.gen(function* () {
  const a = yield* ScriptedProvider.make({
    name: "a",
    script: [ScriptedProvider.fail(Failures.server()), "hello there, world", ScriptedProvider.stream(["one ", "two"])]
  })
  const b = yield* ScriptedProvider.make({ name: "b", script: () => "from another" })
  const pricing = Pricing.layer({ "a/m": { input: 1, output: 10 }, "b/n": { input: 1, output: 10 } })
  const context = yield* Layer.build(
    Layer.mergeAll(
      LLM.layerNoPolicies,
      pricing,
      ResponseCache.layer(),
      Budget.layer({ limits: [{ scope: "tenant", period: "day", limit: "1" }] }).pipe(Layer.provide(pricing)),
      LLMProvider.layerOf(a.provider, b.provider)
    )
  )
  const llm = yield* Effect.provide(Layer.build(LLM.layer({ targets: ["a/m", "b/n"], retry: { retries: 0 } })), context)
  const budget = yield* Effect.provide(Effect.service(Budget.Budget), context)
  const ask = (prompt: string) => Effect.provide(LLM.generate({ prompt, temperature: 0 }), llm)
  const stream = (prompt: string) => Stream.runDrain(Stream.provideContext(LLM.stream({ prompt }), llm))
  return { ask, stream, budget }
})

/** Events that the service above does not make. */
const rest: ReadonlyArray<Event.PolicyEvent> = [
  { type: "circuit-changed", key: 'a/"m"\n\\', from: "closed", to: "open", reason: "failure-rate" },
  { type: "circuit-rejected", key: "a/m", state: "open", retryAfterMs: 5 },
  { type: "limit-adapted", limiter: "l", key: "a/m", unit: "calls-per-second", from: 1, to: 2 },
  { type: "limit-adapted", limiter: "l", key: "a/m", unit: "concurrent-calls", from: 1, to: 3 },
  { type: "bulkhead-waited", key: "a/m", waitedMs: 20 },
  { type: "quota-learned", key: "a/m", scope: "tokens", limit: 60, windowMs: 1 },
  { type: "ledger-store-changed", store: "sql", available: false, waiting: 3 },
  { type: "ledger-records-lost", store: "sql", count: 2 },
  { type: "malformed-event", provider: "a", model: "\u0000 ü 😀 \ud83d", inARow: 1 }
]

const work = Effect.gen(function* () {
  const { ask, budget, stream } = yield* makeService
  yield* Metrics.watchBudget(budget, { every: "50 millis" })
  yield* ask("first")
  yield* ask("second")
  yield* ask("second")
  yield* stream("third")
  const sink = yield* Event.EventSink
  for (const event of rest) sink?.(event)
  yield* Effect.sleep("150 millis")
})

describe.skipIf(noPrometheus)("metrics for Prometheus", () => {
  it.live("promtool has nothing to say against them: names, units, HELP and TYPE", () =>
    Effect.gen(function* () {
      const text = yield* Effect.andThen(work, format).pipe(Effect.scoped, Effect.provide(observed))
      expect(promtool(text)).toEqual({ ok: true, says: "" })
      for (const name of [
        "gen_ai_client_operation_duration_seconds",
        "llm_cost_dollars_total",
        "breakwater_budget_spent_dollars"
      ]) {
        expect(text).toMatch(new RegExp(`^# HELP ${name} .+\n# TYPE ${name} (histogram|counter|gauge)$`, "m"))
      }
    })
  )

  it.live(
    "a Prometheus scrapes them and answers what happened",
    () =>
      Effect.gen(function* () {
        const text = yield* Effect.andThen(work, format).pipe(Effect.scoped, Effect.provide(observed))
        const server = yield* Effect.acquireRelease(
          Effect.promise(
            () =>
              new Promise<Server>((resolve) => {
                const server = createServer((_request, response) => {
                  response.setHeader("content-type", "text/plain; version=0.0.4; charset=utf-8")
                  response.end(text)
                })
                server.listen(0, "127.0.0.1", () => resolve(server))
              })
          ),
          (server) =>
            Effect.sync(() => {
              server.closeAllConnections()
              server.close()
            })
        )
        const prometheus = yield* makePrometheus(`127.0.0.1:${(server.address() as AddressInfo).port}`)
        const value = (promql: string) =>
          Effect.map(
            Effect.promise(() => prometheus.query(promql)),
            (found) => found[0]?.value
          )
        for (let tries = 0; tries < 100; tries++) {
          if ((yield* value("up")) === 1 && (yield* value("llm_requests_total")) !== undefined) break
          yield* Effect.sleep("100 millis")
        }
        const [target] = yield* Effect.promise(() => prometheus.targets())
        expect(target).toMatchObject({ health: "up", lastError: "" })

        expect(yield* value("sum(breakwater_requests_total)")).toBe(4)
        expect(yield* value('breakwater_failovers_total{from="a/m",to="b/n",error="ServerError"}')).toBe(1)
        expect(yield* value('breakwater_cache_lookups_total{outcome="hit"}')).toBe(1)
        expect(yield* value("sum(breakwater_requests_in_flight)")).toBe(0)
        expect(yield* value('llm_requests_total{provider="a",model="m",operation="stream",outcome="success"}')).toBe(1)
        expect(yield* value('llm_errors_total{provider="a",model="m",error="ServerError"}')).toBe(1)
        expect(yield* value("sum(llm_request_duration_seconds_count)")).toBe(4)
        expect(yield* value('sum(llm_tokens_total{type="output"})')).toBeGreaterThan(0)
        expect(yield* value("sum(gen_ai_client_operation_duration_seconds_count)")).toBe(4)
        expect(
          yield* value("histogram_quantile(0.99, sum by (le) (gen_ai_client_operation_duration_seconds_bucket))")
        ).toBeGreaterThan(0)
        expect(yield* value("count(breakwater_adapted_limit)")).toBe(2)
        expect(yield* value('breakwater_lost_records_total{log="ledger"}')).toBe(2)

        const cost = (yield* value("sum(breakwater_cost_dollars_total)"))!
        expect(cost).toBeGreaterThan(0)
        expect(yield* value("sum(llm_cost_dollars_total)")).toBe(cost)
        expect(yield* value("breakwater_saved_dollars_total")).toBeGreaterThan(0)
        // The stream settles its reservation, too: nothing is held any more.
        expect(yield* value('breakwater_budget_reserved_dollars{scope="tenant"}')).toBe(0)
        expect(yield* value('breakwater_budget_spent_dollars{scope="tenant"}')).toBeCloseTo(cost, 9)
        expect(yield* value('breakwater_budget_remaining_dollars{scope="tenant"}')).toBeCloseTo(1 - cost, 9)

        const [odd] = yield* Effect.promise(() => prometheus.query("breakwater_circuit_state == 2"))
        expect(odd?.metric["key"]).toBe('a/"m"\n\\')
        for (const { description, kind, name } of [...Metrics.definitions, ...Metrics.classicDefinitions]) {
          const known = yield* Effect.promise(() =>
            prometheus.metadata(Metrics.prometheusName(name).replaceAll(".", "_"))
          )
          if (known !== undefined) expect(known).toMatchObject({ type: kind, help: description })
        }
        const duration = yield* Effect.promise(() => prometheus.metadata("gen_ai_client_operation_duration_seconds"))
        assert(duration !== undefined)
      }).pipe(Effect.scoped),
    60_000
  )
})
