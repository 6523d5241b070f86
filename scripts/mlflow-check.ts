/**
 * Tries tracking against a real MLflow server, and reads back what it kept:
 *
 * ```sh
 * pip install mlflow && mlflow server --backend-store-uri sqlite:///mlflow.db --host 127.0.0.1 --port 5000
 * MLFLOW_URL=http://127.0.0.1:5000 npm run mlflow:check
 * ```
 *
 * Makes an experiment of its own, and leaves it there to look at.
 */
import { LLM, LLMProvider } from "@breakwater/core"
import { MLflow } from "@breakwater/mlflow"
import { Failures, ScriptedProvider } from "@breakwater/testing"
import * as Effect from "effect/Effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as Layer from "effect/Layer"

const url = process.argv[2] ?? process.env["MLFLOW_URL"] ?? "http://127.0.0.1:5000"
const experiment = `breakwater-check-${Date.now()}`
let failures = 0

const check = (what: string, passed: boolean, found: unknown): void => {
  if (!passed) failures++
  console.log(`${passed ? "ok  " : "FAIL"} ${what}${passed ? "" : `: ${JSON.stringify(found)}`}`)
}

const ask = async <A>(path: string, body?: unknown): Promise<A> => {
  const response = await fetch(`${url}${path}`, {
    ...(body === undefined ? {} : { method: "POST", body: JSON.stringify(body) }),
    headers: { "content-type": "application/json" }
  })
  if (!response.ok) throw new Error(`${path}: ${response.status} ${(await response.text()).slice(0, 300)}`)
  return (await response.json()) as A
}

interface Found {
  readonly runs?: ReadonlyArray<{
    readonly info: { readonly run_id: string; readonly run_name: string; readonly status: string; end_time?: number }
    readonly data: {
      readonly metrics?: ReadonlyArray<{ readonly key: string; readonly value: number }>
      readonly params?: ReadonlyArray<{ readonly key: string; readonly value: string }>
      readonly tags?: ReadonlyArray<{ readonly key: string; readonly value: string }>
    }
  }>
}

const calls = 200

const llm = LLM.layerPreset("interactive", { targets: ["first/m", "second/m"] }).pipe(
  Layer.provide(
    LLMProvider.layer(
      ScriptedProvider.layer({
        name: "first",
        script: (_, call) =>
          call % 10 === 0 ? ScriptedProvider.fail(Failures.quota()) : ScriptedProvider.text("From the first.")
      }),
      ScriptedProvider.layer({ name: "second", script: ["From the second."] })
    )
  )
)

const mlflow = MLflow.layer({
  url,
  experiment,
  runName: "a check",
  params: { prompt: "v3", "long/name: with spaces": "x".repeat(7_000) },
  tags: { team: "größe" },
  traces: true,
  flushEvery: "1 second",
  farewell: "20 seconds"
}).pipe(Layer.provide(FetchHttpClient.layer))

const session = Effect.gen(function* () {
  const service = yield* MLflow.MLflow
  for (let i = 0; i < calls; i++) yield* LLM.generateText(`question ${i}`)
  yield* service.flush
  yield* service.logArtifact("report/summary.json", JSON.stringify({ calls }), "application/json")
  yield* service.logParam("prompt", "another value")
  yield* service.setTag("phase", "done")
  // Spans that are sent from here on know the run.
  yield* LLM.generateText("one more")
  yield* service.flush
  return yield* service.stats
}).pipe(Effect.provide(Layer.merge(llm, mlflow)))

const stats = await Effect.runPromise(session)
console.log(`${url}: ${JSON.stringify(stats)}`)
check("nothing was refused or dropped", stats.refused === 0 && stats.dropped === 0, stats)

const { experiment: kept } = await ask<{ experiment: { experiment_id: string } }>(
  `/api/2.0/mlflow/experiments/get-by-name?experiment_name=${encodeURIComponent(experiment)}`
)
const { runs = [] } = await ask<Found>("/api/2.0/mlflow/runs/search", { experiment_ids: [kept.experiment_id] })
const run = runs[0]
const pairs = (list: ReadonlyArray<{ readonly key: string; readonly value: unknown }> = []) =>
  new Map(list.map(({ key, value }) => [key, value]))
const [metrics, params, tags] = [pairs(run?.data.metrics), pairs(run?.data.params), pairs(run?.data.tags)]
check("there is one run, and it is finished", runs.length === 1 && run?.info.status === "FINISHED", runs)
check("it has its name and an end", run?.info.run_name === "a check" && run.info.end_time !== undefined, run?.info)
check("its parameters", params.get("prompt") === "v3" && params.get("targets") === "first/m, second/m", [...params])
check("a long parameter was cut", String(params.get("long/name: with spaces")).length === 6_000, [...params.keys()])
check("its tags", tags.get("team") === "größe" && tags.get("phase") === "done", [...tags])
check("the sums", metrics.get("total.requests") === calls + 1, [...metrics])
check("failovers are counted", Number(metrics.get("total.failovers")) >= calls / 10, metrics.get("total.failovers"))
const history = await ask<{ metrics?: ReadonlyArray<unknown> }>(
  `/api/2.0/mlflow/metrics/get-history?run_id=${run?.info.run_id}&metric_key=latency_ms`
)
check("a metric for each call", history.metrics?.length === calls + 1, history.metrics?.length)
const artifacts = await ask<{ files?: ReadonlyArray<{ path: string; file_size?: number | string }> }>(
  `/api/2.0/mlflow/artifacts/list?run_id=${run?.info.run_id}&path=report`
)
check("the artifact", artifacts.files?.[0]?.path === "report/summary.json", artifacts)

interface Trace {
  readonly trace_id: string
  readonly state?: string
  readonly trace_metadata?: Readonly<Record<string, string>>
  readonly tags?: Readonly<Record<string, string>>
}
const search = async (): Promise<ReadonlyArray<Trace>> => {
  const { traces = [] } = await ask<{ traces?: ReadonlyArray<Trace> }>("/api/3.0/mlflow/traces/search", {
    locations: [{ type: "MLFLOW_EXPERIMENT", mlflow_experiment: { experiment_id: kept.experiment_id } }],
    max_results: 500
  })
  return traces
}
// The server takes its time for spans.
let traces = await search()
for (let tries = 0; tries < 30 && traces.length < calls + 1; tries++) {
  await new Promise((resolve) => setTimeout(resolve, 1_000))
  traces = await search()
}
check("a trace for each call", traces.length === calls + 1, traces.length)
check(
  "traces have their tokens",
  traces.every(({ trace_metadata }) => trace_metadata?.["mlflow.trace.tokenUsage"] !== undefined),
  traces[0]
)
console.log(`a trace: ${JSON.stringify(traces[0])}`)
console.log(failures === 0 ? "All is as it should be." : `${failures} checks failed.`)
process.exitCode = failures === 0 ? 0 : 1
