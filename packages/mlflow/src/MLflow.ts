/**
 * Calls as runs of an MLflow server: the metrics of each call, their sums, parameters, tags, artifacts, and traces.
 *
 * **When to use**
 *
 * Use it where experiments are compared in MLflow: each session of the program (or each hour of a service) is a run.
 *
 * **Details**
 *
 * Nothing waits for the server. Metrics wait in a bounded queue and are sent in batches behind the calls; while the
 * server is away it is asked again with growing waits of up to a minute, and the oldest metrics give way. The end of
 * the scope sends what is left, within `farewell`, and ends the run: `FINISHED`, `FAILED`, or `KILLED` when it was
 * interrupted.
 *
 * Prompts and answers are in none of it. Spans hold what the documentation of observability says.
 *
 * **Gotchas**
 *
 * A run is begun at the server when there is something to say: a program without calls, parameters and tags leaves none.
 *
 * **Example** (A run for a program)
 *
 * ```ts no-run
 * import { LLM, LLMProvider } from "@breakwater/core"
 * import { MLflow } from "@breakwater/mlflow"
 * import { HttpPool, OpenAI } from "@breakwater/providers"
 * import { Effect, Layer } from "effect"
 *
 * const http = HttpPool.layer()
 * const mlflow = MLflow.layer({ url: "http://127.0.0.1:5000", experiment: "summaries", params: { prompt: "v3" } })
 * const llm = LLM.layerPreset("interactive", { targets: ["openai/gpt-4.1-mini"] }).pipe(
 *   Layer.provide(LLMProvider.layer(OpenAI.layerConfig()))
 * )
 *
 * const program = LLM.generateText("Hello?")
 * Effect.runPromise(Effect.provide(program, Layer.merge(llm, mlflow).pipe(Layer.provide(http))))
 * ```
 */
import { Event, Options as Checks, Retry, Telemetry } from "@breakwater/core"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import type * as Config from "effect/Config"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Latch from "effect/Latch"
import * as Layer from "effect/Layer"
import * as OtlpExporter from "effect/observability/OtlpExporter"
import * as OtlpSerialization from "effect/observability/OtlpSerialization"
import * as OtlpTracer from "effect/observability/OtlpTracer"
import * as Random from "effect/Random"
import type * as Scope from "effect/Scope"
import * as Tracer from "effect/Tracer"
import { Tracking } from "./internal/tracking.ts"
import * as MLflowClient from "./MLflowClient.ts"

/** Options of {@link make}. */
export interface Options extends MLflowClient.Options {
  /** The experiment's name, 1 to 500 characters; it is made if there is none. */
  readonly experiment: string
  /** The runs' name; those after the first have a number behind it. Default `breakwater`. */
  readonly runName?: string
  /** Begins another run after this time, for services. Default: one run for the scope. */
  readonly runEvery?: Duration.Input
  /** Parameters of every run. Default: none. */
  readonly params?: Readonly<Record<string, string>>
  /** Tags of every run. Default: none. */
  readonly tags?: Readonly<Record<string, string>>
  /** `calls`: metrics of each call, and the sums of the run. `totals`: the sums only. Default `calls`. */
  readonly metrics?: "calls" | "totals"
  /** Sends spans to the server's `/v1/traces`, too. Default false. */
  readonly traces?: boolean
  /** The longest time between a call's end and its sending, while the server is well. Default 5 seconds. */
  readonly flushEvery?: Duration.Input
  /** Metrics that may wait; the oldest give way. 100 to 1,000,000. Default 20,000. */
  readonly capacity?: number
  /** How long the end of the scope waits for the server. Default 5 seconds. */
  readonly farewell?: Duration.Input
}

/** Defaults of {@link make}. */
export const defaults = {
  ...MLflowClient.defaults,
  runName: "breakwater",
  metrics: "calls",
  traces: false,
  flushEvery: "5 seconds",
  capacity: 20_000,
  farewell: "5 seconds"
} as const satisfies Partial<Options>

/** What became of the entries so far. */
export interface Stats {
  /** The run in force; left out before the server was reached, and between two runs. */
  readonly runId?: string
  /** Metrics, parameters and tags. */
  readonly waiting: number
  readonly sent: number
  /** Pushed out, because there was no room. */
  readonly dropped: number
  /** Refused by the server for good. */
  readonly refused: number
  readonly lastError?: string
}

export interface MLflowService {
  /** Takes an event; the Layer puts this in place. Never throws, never waits. */
  readonly handle: (event: Event.PolicyEvent) => void
  /** A metric of your own. Never waits; what is no finite number is left out. */
  readonly logMetric: (key: string, value: number, step?: number) => Effect.Effect<void>
  /** A parameter; its first value in a run counts. Never waits. */
  readonly logParam: (key: string, value: string) => Effect.Effect<void>
  /** A tag; its last value counts. Never waits. */
  readonly setTag: (key: string, value: string) => Effect.Effect<void>
  /** Puts a file among the run's artifacts, and waits for it. */
  readonly logArtifact: (
    path: string,
    content: string | Uint8Array,
    contentType?: string
  ) => Effect.Effect<void, MLflowClient.MLflowError>
  /** Sends what waits now. Fails at the first failure; what was not sent still waits. */
  readonly flush: Effect.Effect<void, MLflowClient.MLflowError>
  readonly stats: Effect.Effect<Stats>
}

/** The tracking in the context. */
export class MLflow extends Context.Service<MLflow, MLflowService>()("@breakwater/mlflow/MLflow") {}

const check = (options: Options): Effect.Effect<void, Config.ConfigError> => {
  const { capacity = defaults.capacity, experiment, farewell, flushEvery, runEvery } = options
  return Checks.validate([
    experiment.length >= 1 && experiment.length <= 500
      ? undefined
      : Checks.optionError("experiment", experiment.slice(0, 50), "1 to 500 characters"),
    Checks.wholeInRange("capacity", capacity, 100, 1_000_000),
    Checks.positiveDuration("flushEvery", flushEvery ?? defaults.flushEvery),
    Checks.positiveDuration("farewell", farewell ?? defaults.farewell),
    ...(runEvery === undefined ? [] : [Checks.positiveDuration("runEvery", runEvery)])
  ])
}

const statusOf = (exit: Exit.Exit<unknown, unknown>): MLflowClient.RunStatus =>
  exit._tag === "Success" ? "FINISHED" : Cause.hasInterruptsOnly(exit.cause) ? "KILLED" : "FAILED"

/** Waits between two tries while the server is away. */
const backoff = Retry.exponential({ base: "1 second", cap: "1 minute", jitter: "equal" })

const trackingOf = (options: Options) =>
  Effect.gen(function* () {
    yield* check(options)
    const client = yield* MLflowClient.make(options)
    const clock = yield* Clock.Clock
    const { metrics, ...settings } = { ...defaults, ...options }
    const tracking = new Tracking(
      client,
      {
        experiment: settings.experiment,
        runName: settings.runName,
        runMs: settings.runEvery === undefined ? Infinity : Checks.millisOf(settings.runEvery)!,
        params: settings.params ?? {},
        tags: settings.tags ?? {},
        calls: metrics === "calls",
        capacity: settings.capacity,
        session: `${(yield* Random.nextIntBetween(0, 2 ** 31)).toString(36)}${(yield* Random.nextIntBetween(0, 2 ** 31)).toString(36)}`
      },
      clock
    )
    const work = Latch.makeUnsafe(tracking.outbox.size > 0)
    const full = Latch.makeUnsafe(false)
    tracking.listen(() => {
      work.openUnsafe()
      if (tracking.outbox.isFull) full.openUnsafe()
    })
    const round = Effect.andThen(
      Effect.sync(() => {
        work.closeUnsafe()
        full.closeUnsafe()
      }),
      tracking.flush
    )
    yield* Effect.forkScoped(
      Effect.forever(
        work.await.pipe(
          Effect.raceFirst(tracking.over),
          Effect.andThen(Effect.raceFirst(Effect.sleep(settings.flushEvery), full.await)),
          Effect.andThen(Effect.retry(round, { schedule: backoff })),
          Effect.ignore
        )
      )
    )
    yield* Effect.addFinalizer((exit) =>
      Effect.ignore(Effect.timeout(Effect.interruptible(tracking.finish(statusOf(exit))), settings.farewell))
    )
    return { tracking, client }
  })

const serviceOf = (tracking: Tracking, client: MLflowClient.Client): MLflowService => ({
  handle: (event) => {
    try {
      tracking.handle(event)
    } catch {
      // What is no event of the library is none of ours; whoever listens beside goes on hearing.
    }
  },
  logMetric: (key, value, step) => Effect.sync(() => tracking.metric(key, value, step)),
  logParam: (key, value) => Effect.sync(() => tracking.param(key, value)),
  setTag: (key, value) => Effect.sync(() => tracking.tag(key, value)),
  logArtifact: (path, content, contentType) =>
    Effect.flatMap(tracking.ensureRun, (run) => client.putArtifact(run, path, content, contentType)),
  flush: tracking.flush,
  stats: Effect.sync(() => ({
    waiting: tracking.waiting,
    sent: tracking.sent,
    dropped: tracking.outbox.dropped,
    refused: tracking.refused,
    ...(tracking.run === undefined ? {} : { runId: tracking.run.runId }),
    ...(tracking.lastError === undefined ? {} : { lastError: tracking.lastError })
  }))
})

/**
 * Tracking that hears nothing until somebody calls `handle`; {@link layer} does. Asks the server nothing before there is
 * something to send.
 *
 * Fails with a `ConfigError` for a wrong option.
 */
export const make = (
  options: Options
): Effect.Effect<MLflowService, Config.ConfigError, HttpClient.HttpClient | Scope.Scope> =>
  Effect.map(trackingOf(options), ({ client, tracking }) => serviceOf(tracking, client))

/** Spans of one export: the server links at most 100 traces to a run at once, and takes its time for each. */
const spansAtOnce = 100

/** A tracer whose spans go to the server, with the experiment in a header once it is known. */
const tracerOf = (options: Options, tracking: Tracking) =>
  Effect.gen(function* () {
    const { base, http } = yield* MLflowClient.prepare(options)
    const { farewell = defaults.farewell, flushEvery = defaults.flushEvery, timeout = defaults.timeout } = options
    const client = http.pipe(
      HttpClient.mapRequestEffect((request) =>
        Effect.map(Effect.orDie(tracking.experiment), (id) => {
          const headers = { "x-mlflow-experiment-id": id }
          return HttpClientRequest.setHeaders(
            request,
            tracking.run === undefined ? headers : { ...headers, "x-mlflow-run-id": tracking.run.runId }
          )
        })
      ),
      HttpClient.withScope,
      HttpClient.transformResponse(Telemetry.boundedExports({ timeout }))
    )
    const exporting = Layer.mergeAll(
      OtlpExporter.layerFlusher,
      OtlpSerialization.layerProtobuf,
      Layer.succeed(HttpClient.HttpClient, client)
    )
    const context = yield* Layer.build(exporting)
    return yield* Effect.provide(
      OtlpTracer.make({
        url: `${base}/v1/traces`,
        resource: { serviceName: options.runName ?? defaults.runName },
        exportInterval: flushEvery,
        maxBatchSize: spansAtOnce,
        shutdownTimeout: farewell
      }),
      context
    )
  })

/**
 * Tracks everything that is given this Layer. Another listener that is already in place goes on hearing the events. With
 * `traces` it is the tracer, too.
 */
export const layer = (options: Options): Layer.Layer<MLflow, Config.ConfigError, HttpClient.HttpClient> =>
  Layer.effectContext(
    Effect.gen(function* () {
      const outer = yield* Event.EventSink
      const { client, tracking } = yield* trackingOf(options)
      const service = serviceOf(tracking, client)
      const context = Context.make(MLflow, service).pipe(
        Context.add(Event.EventSink, (event) => {
          service.handle(event)
          outer?.(event)
        })
      )
      if (options.traces !== true) return context
      // Spans go first: their last ones belong to the run.
      return Context.add(context, Tracer.Tracer, yield* tracerOf(options, tracking)) as typeof context
    })
  )
