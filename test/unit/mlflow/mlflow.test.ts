import { LLM, LLMProvider } from "@breakwater/core"
import { MLflow, MLflowClient } from "@breakwater/mlflow"
import { HttpPool } from "@breakwater/providers"
import { Failures, ScriptedProvider } from "@breakwater/testing"
import { describe, expect, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import { startMLflow } from "../../support/mlflow.ts"
import { finished } from "../alerts/support.ts"

const live = <E>(name: string, body: Effect.Effect<void, E, Scope.Scope>) => it.live(name, () => Effect.scoped(body))

const until = (check: () => boolean) =>
  Effect.gen(function* () {
    for (let i = 0; i < 250 && !check(); i++) yield* Effect.sleep("20 millis")
    expect(check()).toBe(true)
  })

/** Tracking that is closed at once when it is asked to. */
const tracked = (options: MLflow.Options) =>
  Effect.gen(function* () {
    const scope = yield* Scope.make()
    yield* Effect.addFinalizer((exit) => Scope.close(scope, exit))
    const http = yield* Layer.buildWithScope(FetchHttpClient.layer, scope)
    const mlflow = yield* MLflow.make({ flushEvery: "20 millis", farewell: "1 second", ...options }).pipe(
      Effect.provide(http),
      Scope.provide(scope)
    )
    return { mlflow, close: (exit: Exit.Exit<unknown, unknown> = Exit.void) => Scope.close(scope, exit) }
  })

const call = (nanoDollars: bigint) =>
  finished("success", {
    tookMs: 120,
    startedAt: 1_767_225_600_000,
    cost: { nanoDollars, estimated: false, unknownAttempts: 0 },
    attempts: [
      {
        attempt: 1,
        target: "a/m",
        outcome: "success",
        startedAt: 0,
        tookMs: 120,
        waitedMs: 0,
        usage: { inputTokens: 10, outputTokens: 5 }
      }
    ]
  })

describe("MLflow", () => {
  live(
    "has a run with the metrics of each call, their sums, parameters and tags",
    Effect.gen(function* () {
      const server = yield* startMLflow
      const { close, mlflow } = yield* tracked({
        url: server.url,
        experiment: "first",
        runName: "a name",
        params: { prompt: "v3" },
        tags: { team: "x" }
      })
      mlflow.handle({
        type: "request-started",
        requestId: "r",
        operation: "generate",
        targets: ["a/m", "b/m"],
        maxAttempts: 6,
        context: { tenant: "t" }
      })
      for (let i = 0; i < 3; i++) mlflow.handle(call(1_000_000n))
      mlflow.handle(finished("failure"))
      yield* mlflow.logMetric("score", 0.5, 7)
      yield* mlflow.logParam("temperature", "0")
      yield* mlflow.logParam("temperature", "1")
      yield* mlflow.setTag("phase", "test")
      yield* mlflow.flush
      yield* mlflow.logArtifact("notes/über uns.txt", "text", "text/plain")
      yield* close()
      expect(server.wrong).toEqual([])
      expect(server.runs.length).toBe(1)
      const [run] = server.runs
      expect(run).toMatchObject({ name: "a name", status: "FINISHED", startTime: 1_767_225_600_000 })
      expect(Object.fromEntries(run!.params)).toEqual({
        prompt: "v3",
        temperature: "0",
        targets: "a/m, b/m",
        max_attempts: "6"
      })
      expect(run!.tags.get("team")).toBe("x")
      expect(run!.tags.get("phase")).toBe("test")
      const series = (key: string) => run!.metrics.filter((metric) => metric.key === key)
      expect(series("latency_ms").map(({ step, value }) => [step, value])).toEqual([
        [0, 120],
        [1, 120],
        [2, 120],
        [3, 100]
      ])
      expect(series("success").map(({ value }) => value)).toEqual([1, 1, 1, 0])
      expect(series("score")).toMatchObject([{ value: 0.5, step: 7 }])
      const totals = Object.fromEntries(
        run!.metrics.filter(({ key }) => key.startsWith("total.")).map(({ key, value }) => [key, value])
      )
      expect(totals).toMatchObject({
        "total.requests": 4,
        "total.success": 3,
        "total.failure": 1,
        "total.input_tokens": 30,
        "total.output_tokens": 15,
        "total.cost_usd": 0.003,
        "total.mean_latency_ms": 115
      })
      expect([...server.artifacts]).toEqual([
        ["1/run0/artifacts/notes/über uns.txt", { content: "text", type: "text/plain" }]
      ])
    })
  )

  live(
    "ends its run as the scope ended",
    Effect.gen(function* () {
      const server = yield* startMLflow
      for (const [exit, status] of [
        [Exit.fail("no"), "FAILED"],
        [Exit.interrupt(1), "KILLED"],
        [Exit.void, "FINISHED"]
      ] as const) {
        const { close, mlflow } = yield* tracked({ url: server.url, experiment: "e" })
        mlflow.handle(call(1n))
        yield* close(exit)
        expect(server.runs.at(-1)!.status).toBe(status)
      }
      expect(server.experiments.size).toBe(1)
      expect(server.wrong).toEqual([])
    })
  )

  live(
    "leaves no run when there is nothing to say",
    Effect.gen(function* () {
      const server = yield* startMLflow
      const { close } = yield* tracked({ url: server.url, experiment: "e" })
      yield* Effect.sleep("60 millis")
      yield* close()
      expect(server.asked).toEqual([])
    })
  )

  live(
    "sends thousands of calls in batches within the limits",
    Effect.gen(function* () {
      const server = yield* startMLflow
      const { close, mlflow } = yield* tracked({ url: server.url, experiment: "e", capacity: 100_000 })
      for (let i = 0; i < 2_000; i++) mlflow.handle(call(1n))
      for (let i = 0; i < 500; i++) yield* mlflow.logParam(`p${i}`, "x".repeat(7_000))
      yield* mlflow.flush
      yield* close()
      expect(server.wrong).toEqual([])
      expect(Math.max(...server.batches)).toBe(1_000)
      expect(server.runs[0]!.metrics.filter(({ key }) => key === "latency_ms").length).toBe(2_000)
      expect(server.runs[0]!.params.size).toBe(500)
    })
  )

  live(
    "begins another run after a time",
    Effect.gen(function* () {
      const server = yield* startMLflow
      const { close, mlflow } = yield* tracked({
        url: server.url,
        experiment: "e",
        runEvery: "100 millis",
        metrics: "totals",
        params: { a: "1" }
      })
      const now = Date.now()
      mlflow.handle(finished("success", { startedAt: now }))
      yield* until(
        () =>
          server.runs[0]?.status === "FINISHED" || (mlflow.handle(finished("interrupted", { startedAt: now })), false)
      )
      // Nothing happens: no empty runs.
      yield* Effect.sleep("250 millis")
      const before = server.runs.length
      yield* Effect.sleep("250 millis")
      expect(server.runs.length).toBe(before)
      mlflow.handle(finished("success", { startedAt: Date.now() }))
      yield* close()
      expect(server.runs.length).toBe(before + 1)
      expect(server.runs.map(({ name }) => name).slice(0, 2)).toEqual(["breakwater", "breakwater-2"])
      expect(server.runs.every(({ params }) => params.get("a") === "1")).toBe(true)
      expect(server.runs.every(({ metrics }) => metrics.every(({ key }) => key.startsWith("total.")))).toBe(true)
      expect(server.wrong).toEqual([])
    })
  )

  live(
    "loses no call that ends while its run is being ended",
    Effect.gen(function* () {
      const server = yield* startMLflow
      const { close, mlflow } = yield* tracked({ url: server.url, experiment: "e", runEvery: "40 millis" })
      let calls = 0
      // A call ends at every request that the server gets, those of a run's end included.
      server.intercept = (path) => {
        if (!path.endsWith("experiments/get-by-name")) mlflow.handle((calls++, call(1n)))
        return undefined
      }
      mlflow.handle((calls++, call(1n)))
      yield* until(() => server.runs.length >= 4)
      server.intercept = () => undefined
      yield* close()
      const sums = server.runs.map(({ metrics }) => metrics.find(({ key }) => key === "total.requests")?.value ?? 0)
      expect(sums.reduce((a, b) => a + b, 0)).toBe(calls)
      for (const [index, run] of server.runs.entries()) {
        const steps = run.metrics.filter(({ key }) => key === "latency_ms").map(({ step }) => step)
        expect(steps).toEqual(Array.from({ length: sums[index]! }, (_, step) => step))
        expect(run.status).toBe("FINISHED")
      }
      expect(server.wrong).toEqual([])
    })
  )

  live(
    "sends what waits and no more: calls that never end do not keep it sending",
    Effect.gen(function* () {
      const server = yield* startMLflow
      const { close, mlflow } = yield* tracked({ url: server.url, experiment: "e", flushEvery: "1 minute" })
      server.intercept = (path) => {
        if (path.endsWith("log-batch") && server.asked.length < 200) mlflow.handle(call(1n))
        return undefined
      }
      mlflow.handle(call(1n))
      yield* mlflow.flush
      expect(server.asked.filter((path) => path === "runs/log-batch").length).toBe(1)
      expect((yield* mlflow.stats).waiting).toBeGreaterThan(0)
      server.intercept = () => undefined
      yield* close()
      expect(server.runs[0]!.metrics.find(({ key }) => key === "total.requests")?.value).toBe(2)
    })
  )

  live(
    "ends a run in time when nothing happens any more, and has sums without anything else",
    Effect.gen(function* () {
      const server = yield* startMLflow
      const { mlflow } = yield* tracked({
        url: server.url,
        experiment: "e",
        runEvery: "100 millis",
        metrics: "totals"
      })
      mlflow.handle(finished("success", { startedAt: Date.now() - 86_400_000 }))
      yield* Effect.sleep("50 millis")
      // The clock of the call was a day behind: its run lasts as long as another.
      expect(server.runs.map(({ status }) => status)).toEqual(["RUNNING"])
      yield* until(() => server.runs[0]?.status === "FINISHED")
      expect(server.runs[0]!.metrics.find(({ key }) => key === "total.requests")?.value).toBe(1)
    })
  )

  live(
    "ends a run that it could not end at once later, and keeps what came meanwhile apart",
    Effect.gen(function* () {
      const server = yield* startMLflow
      let failing = 2
      server.intercept = (path) => (path.endsWith("runs/update") && failing-- > 0 ? 503 : undefined)
      const { close, mlflow } = yield* tracked({ url: server.url, experiment: "e", runEvery: "50 millis" })
      mlflow.handle(call(1n))
      yield* until(() => failing < 2)
      mlflow.handle(call(1n))
      mlflow.handle(call(1n))
      yield* until(() => server.runs[0]?.status === "FINISHED")
      yield* close()
      const sums = server.runs.map(({ metrics }) =>
        metrics.filter(({ key }) => key === "total.requests").map(({ value }) => value)
      )
      expect(sums).toEqual([[1], [2]])
    })
  )

  live(
    "spoils no batch by a step, nor by two keys that become one; the program's parameters count",
    Effect.gen(function* () {
      const server = yield* startMLflow
      const { close, mlflow } = yield* tracked({ url: server.url, experiment: "e", params: { targets: "mine" } })
      mlflow.handle({
        type: "request-started",
        requestId: "r",
        operation: "generate",
        targets: ["a/m"],
        maxAttempts: 6,
        context: { tenant: "t" }
      })
      yield* mlflow.logMetric("a", 1, 1.5)
      yield* mlflow.logMetric("b", 1, Number.NaN)
      yield* mlflow.logMetric("c", 1, 1e300)
      yield* mlflow.logParam("é", "1")
      yield* mlflow.flush
      yield* mlflow.logParam("ü", "2")
      yield* mlflow.flush
      yield* close()
      expect(server.wrong).toEqual([])
      expect((yield* mlflow.stats).refused).toBe(0)
      expect(Object.fromEntries(server.runs[0]!.params)).toEqual({ targets: "mine", max_attempts: "6", _: "1" })
    })
  )

  live(
    "asks again when the server is back, and makes no second run for one it was not sure of",
    Effect.gen(function* () {
      const server = yield* startMLflow
      let down = true
      let late = true
      server.intercept = (path) => {
        if (down) return 503
        if (late && path.endsWith("runs/create")) {
          late = false
          return "answer-late"
        }
        return undefined
      }
      const { close, mlflow } = yield* tracked({ url: server.url, experiment: "e", timeout: "100 millis" })
      mlflow.handle(call(1n))
      yield* until(() => server.asked.length >= 1)
      expect((yield* mlflow.stats).lastError).toBe("experiments/get-by-name: the server answered 503 (no)")
      down = false
      yield* until(() => server.runs[0]?.metrics.some(({ key }) => key === "latency_ms") === true)
      yield* close()
      expect(server.runs.length).toBe(1)
      expect(server.asked).toContain("runs/search")
      expect(server.runs[0]!.status).toBe("FINISHED")
    })
  )

  live(
    "begins anew when somebody deletes its run, and gives up what is refused",
    Effect.gen(function* () {
      const server = yield* startMLflow
      const { close, mlflow } = yield* tracked({ url: server.url, experiment: "e" })
      yield* mlflow.logMetric("a", 1)
      yield* mlflow.flush
      server.runs.splice(0, 1)
      yield* mlflow.logMetric("b", 2)
      yield* until(() => server.runs[0]?.metrics.some(({ key }) => key === "b") === true)
      server.runs[0]!.params.set("taken", "other")
      yield* mlflow.logParam("taken", "mine")
      yield* mlflow.logMetric("c", 3)
      yield* mlflow.flush
      expect(server.runs[0]!.metrics.some(({ key }) => key === "c")).toBe(true)
      const stats = yield* mlflow.stats
      expect(stats).toMatchObject({ refused: 1, waiting: 0 })
      expect(stats.lastError).toContain("the parameter taken has another value")
      yield* close()
    })
  )

  live(
    "costs nothing while the server is dead, and ends in time",
    Effect.gen(function* () {
      const server = yield* startMLflow
      server.intercept = () => "hang"
      const { close, mlflow } = yield* tracked({
        url: server.url,
        experiment: "e",
        capacity: 1_000,
        timeout: "10 seconds",
        farewell: "100 millis"
      })
      const started = performance.now()
      for (let i = 0; i < 20_000; i++) mlflow.handle(call(1n))
      expect(performance.now() - started).toBeLessThan(2_000)
      const { dropped, waiting } = yield* mlflow.stats
      expect(waiting).toBeLessThanOrEqual(1_010)
      expect(dropped).toBeGreaterThan(90_000)
      const before = performance.now()
      yield* close()
      expect(performance.now() - before).toBeLessThan(1_000)
      expect(server.asked.length).toBeLessThan(5)
    })
  )

  live(
    "says who it is, and never to others",
    Effect.gen(function* () {
      const server = yield* startMLflow
      server.authorization = "Bearer the-token"
      const right = yield* tracked({ url: server.url, experiment: "e", token: Redacted.make("the-token") })
      yield* right.mlflow.logMetric("a", 1)
      yield* right.mlflow.flush
      expect(server.runs.length).toBe(1)
      const wrong = yield* tracked({ url: server.url, experiment: "e", token: Redacted.make("another-token") })
      yield* wrong.mlflow.logMetric("a", 1)
      const error = yield* Effect.flip(wrong.mlflow.flush)
      expect(error).toMatchObject({ status: 401, code: "UNAUTHENTICATED", retryable: false })
      expect(JSON.stringify(error)).not.toContain("another-token")
      server.authorization = `Basic ${Buffer.from("ada:pässword").toString("base64")}`
      const basic = yield* tracked({
        url: server.url,
        experiment: "e",
        basic: { username: "ada", password: Redacted.make("pässword") }
      })
      yield* basic.mlflow.logMetric("a", 1)
      yield* basic.mlflow.flush
    })
  )

  live(
    "follows no redirect",
    Effect.gen(function* () {
      const server = yield* startMLflow
      server.intercept = () => 307
      const { close, mlflow } = yield* tracked({ url: server.url, experiment: "e" })
      yield* mlflow.logMetric("a", 1)
      expect((yield* Effect.flip(mlflow.flush)).status).toBe(307)
      yield* close()
    })
  )

  it.effect("refuses wrong options, and shows no URL that may hold a secret", () =>
    Effect.gen(function* () {
      const url = "http://127.0.0.1:1"
      for (const options of [
        { url: "nonsense", experiment: "e" },
        { url: "ftp://x", experiment: "e" },
        { url: "http://ada:hunter2@x", experiment: "e" },
        { url: "http://x?token=hunter2", experiment: "e" },
        { url, experiment: "" },
        { url, experiment: "e", capacity: 1 },
        { url, experiment: "e", timeout: 0 },
        { url, experiment: "e", runEvery: Number.NaN }
      ]) {
        const error = yield* Effect.flip(Effect.scoped(MLflow.make(options)))
        expect(error.cause.message).not.toContain("hunter2")
      }
    }).pipe(Effect.provide(FetchHttpClient.layer))
  )
})

describe("the layer", () => {
  live(
    "tracks calls of the service, and its spans go to the experiment",
    Effect.gen(function* () {
      const server = yield* startMLflow
      const llm = LLM.layerPreset("interactive", { targets: ["first/m", "second/m"] }).pipe(
        Layer.provide(
          LLMProvider.layer(
            ScriptedProvider.layer({ name: "first", script: [ScriptedProvider.fail(Failures.quota())] }),
            ScriptedProvider.layer({ name: "second", script: ["Hello!"] })
          )
        )
      )
      const mlflow = MLflow.layer({
        url: server.url,
        experiment: "traced",
        traces: true,
        flushEvery: "20 millis",
        farewell: "2 seconds"
      }).pipe(Layer.provide(HttpPool.layer()))
      yield* Effect.gen(function* () {
        expect(yield* LLM.generateText("a secret question")).toBe("Hello!")
        const service = Context.get(yield* Effect.context<MLflow.MLflow>(), MLflow.MLflow)
        yield* service.flush
        yield* LLM.generateText("another one")
      }).pipe(Effect.provide(Layer.merge(llm, mlflow)))
      expect(server.wrong).toEqual([])
      const [run] = server.runs
      expect(run!.params.get("targets")).toBe("first/m, second/m")
      expect(run!.metrics.find(({ key }) => key === "total.failovers")?.value).toBe(2)
      expect(server.traces.length).toBeGreaterThan(0)
      expect(server.traces[0]!.headers["x-mlflow-experiment-id"]).toBe(server.experiments.get("traced"))
      expect(server.traces.at(-1)!.headers["x-mlflow-run-id"]).toBe("run0")
      // The exporter's own requests are no spans, and nothing of the prompts is anywhere.
      expect(JSON.stringify([...run!.params, ...run!.tags])).not.toContain("secret")
    })
  )
})

describe("the client", () => {
  live(
    "finds an experiment that somebody else made at the same time",
    Effect.gen(function* () {
      const server = yield* startMLflow
      const client = yield* MLflowClient.make({ url: `${server.url}/` }).pipe(Effect.provide(FetchHttpClient.layer))
      const ids = yield* Effect.all(
        Array.from({ length: 10 }, () => client.experiment("shared")),
        { concurrency: "unbounded" }
      )
      expect(new Set(ids).size).toBe(1)
    })
  )

  live(
    "puts no artifact where it has no business",
    Effect.gen(function* () {
      const server = yield* startMLflow
      const client = yield* MLflowClient.make({ url: server.url }).pipe(Effect.provide(FetchHttpClient.layer))
      const run = { runId: "r", artifactUri: "mlflow-artifacts:/1/r/artifacts" }
      yield* client.putArtifact(run, "../../x/./y", "z")
      expect([...server.artifacts.keys()]).toEqual(["1/r/artifacts/x/y"])
      const s3 = { runId: "r", artifactUri: "s3://bucket/1/r" }
      expect((yield* Effect.flip(client.putArtifact(s3, "a", "z"))).message).toContain("does not take artifacts")
      expect((yield* Effect.flip(client.putArtifact(run, "..", "z"))).message).toContain("needs a name")
    })
  )
})
