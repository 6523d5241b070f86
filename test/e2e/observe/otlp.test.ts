/** Spans, metrics and logs over OTLP/HTTP to a collector that decodes them; and collectors that are no help. */
import { Events, Logs, Metrics, Telemetry } from "@breakwater/core"
import { Failures, ScriptedProvider } from "@breakwater/testing"
import { assert, describe, expect, it } from "@effect/vitest"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as Stream from "effect/Stream"
import { FetchHttpClient, HttpClient } from "effect/http"
import { Otlp, OtlpSerialization, OtlpTracer } from "effect/observability"
import { setup } from "../../composition/support.ts"
import { makeCollector, type Manner } from "./collector.ts"

const registry = Layer.sync(Metric.MetricRegistry, () => new Map())

/** Everything that can be told, told to a collector. */
const telling = (url: string, shutdownTimeout: Duration.Input = "3 seconds") =>
  Events.layerAll(Metrics.layer, Logs.layer()).pipe(
    Layer.provideMerge(
      Otlp.layerJson({
        baseUrl: url,
        resource: { serviceName: "test" },
        shutdownTimeout,
        loggerMergeWithExisting: false
      })
    ),
    Layer.provide(FetchHttpClient.layer),
    Layer.provideMerge(registry)
  )

const down = ScriptedProvider.fail(Failures.server())

describe("over OTLP/HTTP", () => {
  it.live("a collector gets the spans, the metrics and the log of a call", () =>
    Effect.gen(function* () {
      const { collector, url } = yield* makeCollector()
      const { llm } = yield* setup(
        { a: [down], b: [ScriptedProvider.text("the answer", { id: "r1", model: "n-2026" })] },
        { targets: ["a/m", "b/n"], retry: { retries: 0 } }
      )
      yield* llm
        .generate({ prompt: "the question", requestId: "q1", temperature: 0.5, context: { tenant: "acme" } })
        .pipe(Effect.provide(Layer.mergeAll(telling(url), Telemetry.layerContent())))

      expect(new Set(collector.paths)).toEqual(new Set(["/v1/traces", "/v1/metrics", "/v1/logs"]))

      const call = collector.spans.find((span) => span.kind === 1)
      const [first, second] = collector.spans.filter((span) => span.kind === 3)
      assert(call !== undefined && first !== undefined && second !== undefined)
      expect([call.name, first.name, second.name]).toEqual(["chat m", "chat m", "chat n"])
      expect([first.parentSpanId, second.parentSpanId]).toEqual([call.spanId, call.spanId])
      expect(second.links).toEqual([{ spanId: first.spanId, attributes: { "breakwater.link": "failover" } }])
      expect([call.status, first.status, second.status]).toEqual([1, 2, 1])
      expect(call.attributes).toMatchObject({ "breakwater.request.id": "q1", "breakwater.attempts": 2 })
      expect(first.attributes).toMatchObject({ "error.type": "ServerError", "http.response.status_code": 500 })
      expect(second.attributes).toMatchObject({
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "b",
        "gen_ai.request.model": "n",
        "gen_ai.request.temperature": 0.5,
        "gen_ai.response.id": "r1",
        "gen_ai.response.model": "n-2026",
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.input.messages": JSON.stringify([{ role: "user", parts: [{ type: "text", content: "the question" }] }]),
        "gen_ai.output.messages": JSON.stringify([
          { role: "assistant", parts: [{ type: "text", content: "the answer" }], finish_reason: "stop" }
        ])
      })

      const point = (metric: string, ...labels: ReadonlyArray<string>) =>
        collector.points.find(
          (each) => each.metric === metric && labels.every((label) => Object.values(each.attributes).includes(label))
        )
      expect(point("breakwater_requests_total", "generate", "success")).toMatchObject({ kind: "sum", value: 1 })
      expect(point("gen_ai.client.operation.duration", "b", "n", "chat")).toMatchObject({ kind: "histogram", value: 1 })
      expect(point("gen_ai.client.token.usage", "b", "output")).toMatchObject({ kind: "histogram", value: 1 })
      expect(point("breakwater_failovers_total", "a/m", "b/n")).toMatchObject({ value: 1 })

      const log = collector.logs.find(({ body }) => JSON.stringify(body).includes("llm.request"))
      assert(log !== undefined)
      expect(log.severity).toBe("Info")
      expect(JSON.stringify(log.body)).toContain("acme")
    }).pipe(Effect.scoped)
  )

  it.live("nothing of a prompt or an answer is sent without being asked for, whatever breaks", () =>
    Effect.gen(function* () {
      const { collector, url } = yield* makeCollector()
      const { llm } = yield* setup(
        { a: [ScriptedProvider.cut("confidential half"), ScriptedProvider.text("confidential whole"), down] },
        { targets: ["a/m"], retry: { retries: 0 } }
      )
      yield* Effect.gen(function* () {
        yield* Effect.exit(Stream.runDrain(llm.stream({ prompt: "private one" })))
        yield* llm.generate({ prompt: "private two" })
        yield* Effect.exit(llm.generate({ prompt: "private three" }))
      }).pipe(Effect.provide(telling(url)))
      expect(collector.spans.filter((span) => span.kind === 3)).toHaveLength(3)
      for (const body of collector.bodies) expect(body).not.toMatch(/confidential|private/)
    }).pipe(Effect.scoped)
  )
})

const median = (values: ReadonlyArray<number>): number => values.toSorted((a, b) => a - b)[values.length >> 1]!

/** Milliseconds of the median call, and of closing everything afterwards. */
const measured = (url: string) =>
  Effect.gen(function* () {
    const { llm } = yield* setup({ a: () => "x" }, { targets: ["a/m"] })
    let calls: ReadonlyArray<number> = []
    let ended = 0
    yield* Effect.gen(function* () {
      const one = Effect.suspend(() => {
        const start = performance.now()
        return Effect.map(llm.generate({ prompt: "hi" }), () => performance.now() - start)
      })
      yield* Effect.replicateEffect(one, 300)
      // Long enough for the exporters to have tried.
      yield* Effect.sleep("1200 millis")
      calls = yield* Effect.replicateEffect(one, 1_500)
      ended = performance.now()
    }).pipe(Effect.provide(telling(url, "1 second")))
    return { callMs: median(calls), closeMs: performance.now() - ended }
  })

describe("a collector that is no help", () => {
  const manners: ReadonlyArray<Manner | "refuses"> = ["refuses", "silent", 500]
  it.live.each(manners)("%s: costs a call nothing, holds up nothing, and the end comes in time", (manner) =>
    Effect.gen(function* () {
      const well = yield* makeCollector("well")
      const other = manner === "refuses" ? { url: "http://127.0.0.1:9" } : yield* makeCollector(manner)
      const best = yield* measured(well.url)
      const worst = yield* measured(other.url)
      expect(worst.callMs).toBeLessThan(best.callMs * 3 + 0.5)
      expect(worst.callMs).toBeLessThan(2)
      expect(worst.closeMs).toBeLessThan(3_500)
    }).pipe(Effect.scoped)
  )
})

describe("bounded exports", () => {
  const bounded = (options: Telemetry.ExportOptions) =>
    Layer.effect(
      HttpClient.HttpClient,
      Effect.map(HttpClient.HttpClient, (client) =>
        HttpClient.transformResponse(HttpClient.withScope(client), Telemetry.boundedExports(options))
      )
    ).pipe(Layer.provide(FetchHttpClient.layer))
  const tracing = (url: string, options: Telemetry.ExportOptions) =>
    OtlpTracer.layer({
      url: `${url}/v1/traces`,
      resource: { serviceName: "test" },
      exportInterval: "10 millis",
      maxBatchSize: 10,
      shutdownTimeout: "100 millis"
    }).pipe(Layer.provide([OtlpSerialization.layerJson, bounded(options)]))

  it.live.each(["silent", "stalls"] as const)("a collector that %s gathers no sockets", (manner) =>
    Effect.gen(function* () {
      const { sockets, url } = yield* makeCollector(manner)
      const { llm } = yield* setup({ a: () => "x" }, { targets: ["a/m"] })
      const most = yield* Effect.gen(function* () {
        let most = 0
        for (let i = 0; i < 20; i++) {
          yield* Effect.replicateEffect(llm.generate({ prompt: "hi" }), 20, { discard: true })
          yield* Effect.sleep("5 millis")
          most = Math.max(most, yield* sockets)
        }
        // All are given up in time, and the next minute is quiet.
        yield* Effect.sleep("600 millis")
        return Math.max(most, yield* sockets)
      }).pipe(Effect.provide(tracing(url, { timeout: "400 millis", atOnce: 3, waiting: 5 })))
      expect(most).toBeGreaterThan(0)
      // One for each turn; for one that is broken off, Node's `fetch` opens another to have it at hand.
      expect(most).toBeLessThanOrEqual(6)
    }).pipe(Effect.scoped)
  )

  it.live("a collector that is well gets everything", () =>
    Effect.gen(function* () {
      const { collector, url } = yield* makeCollector()
      const { llm } = yield* setup({ a: () => "x" }, { targets: ["a/m"] })
      yield* Effect.provide(
        Effect.replicateEffect(Effect.andThen(llm.generate({ prompt: "hi" }), Effect.sleep("1 millis")), 100, {
          discard: true
        }),
        tracing(url, {})
      )
      expect(collector.spans).toHaveLength(200)
    }).pipe(Effect.scoped)
  )

  it("refuse wrong options", () => {
    for (const options of [{ timeout: 0 }, { atOnce: 0 }, { waiting: Number.NaN }]) {
      expect(() => Telemetry.boundedExports(options)).toThrow(Object.keys(options)[0]!)
    }
  })
})
