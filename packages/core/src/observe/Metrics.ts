/**
 * Metrics of what the policies did, made from their events: one family a policy, and the client metrics of the
 * OpenTelemetry conventions for generative AI. They are Effect metrics: `PrometheusMetrics` and `Otlp` of
 * `effect/observability` export them.
 *
 * The number of series is bounded by construction: labels are targets, kinds and outcomes, never users or requests,
 * and past {@link maxSeries} of a family everything else is counted as `other`.
 */
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { EventSink, type PolicyEvent } from "../domain/Event.ts"
import { joined } from "../internal/emit.ts"
import { catalogue, classic } from "./Metrics/catalogue.ts"
import { ClassicRecorder } from "./Metrics/classic.ts"
import type { Definition } from "./Metrics/Family.ts"
import { Recorder } from "./Metrics/recorder.ts"

export { type BudgetOptions, watchBudget } from "./Metrics/budgets.ts"
export { type Definition, maxSeries } from "./Metrics/Family.ts"

/** Every metric of {@link layer}, for tables and dashboards. */
export const definitions: ReadonlyArray<Definition> = Object.values(catalogue)

/** Every metric that the option `classic` adds. */
export const classicDefinitions: ReadonlyArray<Definition> = Object.values(classic)

/** The names of the metrics of {@link layer}. */
export const names: ReadonlyArray<string> = definitions.map(({ name }) => name)

/** What is counted. */
export interface Options {
  /** Whether to keep the `llm_…` metrics, too, that many dashboards for language models expect. Default false. */
  readonly classic?: boolean
}

/** {@link layer} with options. */
export const layerWith = (options: Options): Layer.Layer<never> =>
  Layer.effect(
    EventSink,
    Effect.gen(function* () {
      const context = yield* Effect.context<never>()
      const outer = yield* EventSink
      const recorder = new Recorder(context)
      const record = (event: PolicyEvent): void => recorder.record(event)
      if (options.classic !== true) return joined(record, outer)
      const second = new ClassicRecorder(context)
      return joined(
        record,
        joined((event) => second.record(event), outer)
      )
    })
  )

/**
 * Keeps the metrics of everything that is given this Layer. Another listener that is already in place goes on
 * hearing the events.
 */
export const layer: Layer.Layer<never> = layerWith({})

/** {@link layerWith} with its options from the environment. */
export const layerConfig = (options: Config.Wrap<Options>): Layer.Layer<never, Config.ConfigError> =>
  Layer.unwrap(Effect.map(Config.unwrap(options), layerWith))

/**
 * The name of a metric in Prometheus, with its unit: for `PrometheusMetrics.format({ metricNameMapper })`, which by itself
 * leaves out the units of the conventions' metrics. Names that say their unit stay as they are.
 */
export const prometheusName = (name: string): string => (inSeconds.has(name) ? `${name}_seconds` : name)

const inSeconds = new Set(definitions.filter(({ unit }) => unit === "seconds").map(({ name }) => name))
