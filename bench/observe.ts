/**
 * What it costs to be observed: a call and a stream part with nobody listening, with each listener alone, and with all of
 * them, over a provider whose answer is there at once.
 */
import { Event, Events, type LLM, Logs, Metrics, Summary, Telemetry } from "@breakwater/core"
import { generateText } from "ai"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Function from "effect/Function"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Metric from "effect/Metric"
import * as Stream from "effect/Stream"
import * as Tracer from "effect/Tracer"
import { type Benchmark, ofEffect, ofPromise, ofSync, type Subject, type Work } from "./harness.ts"
import { languageModel, partCount, prompt, provider, sdkModel, service } from "./support/fakes.ts"

/** A tracer that makes spans and keeps none. */
const tracer = Tracer.make({ span: (options) => new Tracer.NativeSpan(options) })

const registry = Layer.sync(Metric.MetricRegistry, () => new Map())

/** Loggers that make the line and write it nowhere. */
const lines: Array<unknown> = []
const keep = (line: unknown): void => {
  lines[0] = line
}
const nullLogger = Logger.layer([Logger.make(({ message }) => keep(message))])
const jsonLogger = Logger.layer([Logger.map(Logger.formatJson, keep)])

const noop = Layer.succeed(Event.EventSink, keep)

const setups = {
  "events, to a listener that does nothing": noop,
  summary: Summary.layer,
  metrics: Metrics.layer.pipe(Layer.provideMerge(registry)),
  "metrics, classic names too": Metrics.layerWith({ classic: true }).pipe(Layer.provideMerge(registry)),
  "logs, to a null sink": Layer.merge(Logs.layer(), nullLogger),
  "logs, as lines of JSON": Layer.merge(Logs.layer(), jsonLogger),
  spans: Layer.succeed(Tracer.Tracer, tracer),
  "spans with content": Layer.merge(Layer.succeed(Tracer.Tracer, tracer), Telemetry.layerContent()),
  "all: spans, metrics, summary, logs": Events.layerAll(Metrics.layer, Summary.layer, Logs.layer()).pipe(
    Layer.provideMerge(registry),
    Layer.merge(nullLogger),
    Layer.merge(Layer.succeed(Tracer.Tracer, tracer))
  )
} as const

/** The same effect in the context of each setup. */
const subjectsOf = (bare: string, make: () => Effect.Effect<unknown>) =>
  Effect.map(
    Effect.forEach(Object.entries(setups), ([name, layer]) =>
      Effect.map(Layer.build(layer as Layer.Layer<never>), (context): Subject => {
        const provided = Effect.provideContext(make(), context)
        return { subject: `breakwater, ${name}`, peer: false, bare, run: ofEffect(() => provided) }
      })
    ),
    (subjects): ReadonlyArray<Subject> => [
      { subject: bare, peer: false, run: ofEffect(Function.constant(make())) },
      ...subjects
    ]
  )

const off = "breakwater, all off"
const plainModel = "effect LanguageModel, not traced"
const plainSdk = "ai generateText, no telemetry"

const calls = (llm: LLM.LLMService) =>
  Effect.gen(function* () {
    const model = yield* languageModel(1)
    const sdk = sdkModel()
    const own = yield* subjectsOf(off, () => Effect.orDie(llm.generate({ prompt })))
    const work: Work = {
      work: "observed, one call",
      subjects: [
        ...own,
        { subject: plainModel, peer: true, run: ofEffect(() => Effect.orDie(model.generateText({ prompt }))) },
        {
          subject: "effect LanguageModel, traced",
          peer: true,
          bare: plainModel,
          run: ofEffect(() => Effect.withTracer(Effect.orDie(model.generateText({ prompt })), tracer))
        },
        { subject: plainSdk, peer: true, run: ofPromise(() => generateText({ model: sdk, prompt })) },
        {
          subject: "ai generateText, experimental_telemetry",
          peer: true,
          bare: plainSdk,
          run: ofPromise(() => generateText({ model: sdk, prompt, experimental_telemetry: { isEnabled: true } }))
        }
      ]
    }
    return work
  })

const parts = (llm: LLM.LLMService) =>
  Effect.map(
    subjectsOf(off, () => Effect.orDie(Stream.runDrain(llm.stream({ prompt })))),
    (subjects): Work => ({ work: "observed, a stream", unit: "part", unitsPerRun: partCount, subjects })
  )

/** What one finished call costs each listener, by itself. */
const alone = Effect.gen(function* () {
  const finished: Event.RequestFinished = {
    type: "request-finished",
    requestId: "r-1",
    operation: "generate",
    outcome: "success",
    context: { tenant: "acme", user: "u1", project: "p", key: "k", tags: ["a", "b"] },
    startedAt: 1_700_000_000_000,
    tookMs: 812,
    attempts: [
      {
        attempt: 1,
        target: "fake/model",
        outcome: "success",
        startedAt: 1_700_000_000_000,
        tookMs: 812,
        waitedMs: 0,
        usage: { inputTokens: 12, outputTokens: 10 },
        costNanos: 1_234n
      }
    ],
    retries: 0,
    failovers: 0,
    hedges: 0,
    target: "fake/model",
    cost: { nanoDollars: 1_234n, estimated: false, unknownAttempts: 0 },
    finishReason: "stop"
  }
  const sinkOf = (layer: Layer.Layer<never>) =>
    Effect.map(Layer.build(layer), (context) => Context.get(context, Event.EventSink) ?? keep)
  const { metrics, summary } = setups
  const subjects: Array<Subject> = []
  for (const [name, layer] of Object.entries({ summary: summary as Layer.Layer<never>, metrics })) {
    const sink = yield* sinkOf(layer)
    subjects.push({ subject: `breakwater, ${name}`, peer: false, run: ofSync(() => sink(finished)) })
  }
  const context = yield* Layer.build(Layer.merge(Logs.layer(), nullLogger))
  const log = Effect.withFiber<void>((fiber) => Effect.sync(() => fiber.getRef(Event.EventSink)?.(finished)))
  const logged = Effect.provideContext(log, context)
  subjects.push({ subject: "breakwater, logs to a null sink", peer: false, run: ofEffect(() => logged) })
  const work: Work = { work: "one finished call, told to one listener", unit: "event", subjects }
  return work
})

const benchmark: Benchmark = Effect.gen(function* () {
  const llm = yield* service(provider(1))
  return [yield* calls(llm), yield* parts(llm), yield* alone]
})

export default benchmark
