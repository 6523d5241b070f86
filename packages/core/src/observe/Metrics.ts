/**
 * Metrics of what the policies did, made from their events: one family a policy, and the client metrics of the
 * OpenTelemetry conventions for generative AI. They are Effect metrics: `PrometheusMetrics` and `Otlp` of
 * `effect/observability` export them.
 *
 * The number of series is bounded by construction: labels are targets, kinds and outcomes, never users or requests,
 * and past {@link maxSeries} of a family everything else is counted as `other`.
 */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import { EventSink, type PolicyEvent, type RequestStarted } from "../domain/Event.ts"
import { joined } from "../internal/emit.ts"
import { operationName, providerName } from "../internal/genAi.ts"
import type { RateLimits } from "../domain/RateLimits.ts"

/** Series of one family at most. */
export const maxSeries = 1_000

/** Calls whose operation is remembered until they end; the oldest are forgotten first. */
const maxCalls = 100_000

/** Buckets in seconds, as the conventions give them. */
const durationBuckets = [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92]
const tokenBuckets = [
  1, 4, 16, 64, 256, 1_024, 4_096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304, 16_777_216, 67_108_864
]
const chunkBuckets = [0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5]
const firstChunkBuckets = [0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10]

type Labels = Readonly<Record<string, string>>

/** Makes a metric, or one series of it. */
type Make = (attributes?: Labels) => Metric.Metric<number, unknown>

/**
 * The series of one family, each built once, with labels of its own: what `Metric.withAttributes` makes of a metric that
 * several share works out its key again at every update.
 */
class Family {
  private readonly make: Make
  private readonly context: Context.Context<never>
  private readonly series = new Map<string, Metric.Metric<number, unknown>>()

  constructor(make: Make, context: Context.Context<never>) {
    this.make = make
    this.context = context
  }

  update(value: number, labels: Labels): void {
    this.of(labels).updateUnsafe(value, this.context)
  }

  private of(labels: Labels): Metric.Metric<number, unknown> {
    const key = Object.values(labels).join("\n")
    const known = this.series.get(key)
    if (known !== undefined) return known
    if (this.series.size < maxSeries) return this.add(key, labels)
    return (
      this.series.get("other") ??
      this.add("other", Object.fromEntries(Object.keys(labels).map((name) => [name, "other"])))
    )
  }

  private add(key: string, labels: Labels): Metric.Metric<number, unknown> {
    const metric = this.make(labels)
    this.series.set(key, metric)
    return metric
  }
}

const labelled = (attributes: Labels | undefined) => (attributes === undefined ? {} : { attributes })
const counter =
  (name: string, description: string): Make =>
  (attributes) =>
    Metric.counter(name, { description, incremental: true, ...labelled(attributes) })
const gauge =
  (name: string, description: string): Make =>
  (attributes) =>
    Metric.gauge(name, { description, ...labelled(attributes) })
const histogram =
  (name: string, description: string, boundaries: ReadonlyArray<number>): Make =>
  (attributes) =>
    Metric.histogram(name, { description, boundaries, ...labelled(attributes) })

/** Every metric this module writes. */
const metrics = {
  operationDuration: histogram("gen_ai.client.operation.duration", "Seconds of a provider call", durationBuckets),
  tokenUsage: histogram("gen_ai.client.token.usage", "Tokens of a provider call", tokenBuckets),
  firstChunk: histogram(
    "gen_ai.client.operation.time_to_first_chunk",
    "Seconds from the start of a streamed provider call to its first content",
    firstChunkBuckets
  ),
  perChunk: histogram(
    "gen_ai.client.operation.time_per_output_chunk",
    "Seconds a token of a streamed answer took after the first",
    chunkBuckets
  ),
  requests: counter("breakwater_requests_total", "Calls of the service, by how they ended"),
  attempts: counter("breakwater_attempts_total", "Provider calls, by how they ended"),
  retries: counter("breakwater_retries_total", "Attempts repeated at the same target"),
  failovers: counter("breakwater_failovers_total", "Attempts moved to another target"),
  continuations: counter("breakwater_stream_continuations_total", "Broken streams that another attempt went on with"),
  malformed: counter("breakwater_malformed_events_total", "Events of streams that could not be read"),
  circuitState: gauge("breakwater_circuit_state", "0 closed, 1 half-open, 2 open or forced open"),
  transitions: counter("breakwater_circuit_transitions_total", "Changes of circuits"),
  rejections: counter("breakwater_rejections_total", "Attempts turned away, by policy and reason"),
  wait: histogram("breakwater_wait_seconds", "Seconds waited in a policy's queue", durationBuckets),
  quotaLimit: gauge("breakwater_quota_limit", "The provider's limit in its window, as learned"),
  quotaRemaining: gauge("breakwater_quota_remaining", "What is left of the provider's limit, as it last said"),
  pauses: counter("breakwater_quota_pauses_total", "Pauses after a provider's refusal"),
  adaptedLimit: gauge("breakwater_adapted_limit", "The limit an adaptive policy has found"),
  hedges: counter("breakwater_hedges_total", "Hedged attempts, by outcome"),
  cache: counter("breakwater_cache_lookups_total", "Lookups in a cache, by outcome"),
  storeUp: gauge("breakwater_store_up", "1 while a store of policy state answers")
} satisfies Record<string, Make>

/** The names of the metrics, for tables and dashboards. */
export const names: ReadonlyArray<string> = Object.values(metrics).map((make) => make().id)

type Families = { readonly [Name in keyof typeof metrics]: Family }

const halves = (target: string): readonly [provider: string, model: string] => {
  const slash = target.indexOf("/")
  return slash < 0 ? [target, ""] : [target.slice(0, slash), target.slice(slash + 1)]
}

const scopes = { requests: "requests", tokens: "tokens", inputTokens: "input-tokens", outputTokens: "output-tokens" }

/** Turns events into updates; plain code, called for every event. */
class Recorder {
  private readonly families: Families
  private readonly operations = new Map<string, RequestStarted["operation"]>()

  constructor(context: Context.Context<never>) {
    this.families = Object.fromEntries(
      Object.entries(metrics).map(([name, make]) => [name, new Family(make, context)])
    ) as Families
  }

  record(event: PolicyEvent): void {
    const { families } = this
    switch (event.type) {
      case "request-started":
        return this.started(event.requestId, event.operation)
      case "request-finished": {
        const operation = this.operations.get(event.requestId) ?? "generate"
        this.operations.delete(event.requestId)
        const error = event.error?._tag ?? "none"
        return families.requests.update(1, { operation, outcome: event.outcome, error })
      }
      case "attempt-succeeded":
        return this.succeeded(event)
      case "attempt-failed":
        families.attempts.update(1, { target: event.target, outcome: "failure", error: event.error._tag })
        return families.operationDuration.update(event.tookMs / 1000, {
          ...this.genAi(event.requestId, event.target),
          "error.type": event.error._tag
        })
      case "retry-scheduled":
        return families.retries.update(1, { target: event.target, error: event.error._tag })
      case "failed-over":
        return families.failovers.update(1, { from: event.from, to: event.to, error: event.error._tag })
      case "stream-continued":
        return families.continuations.update(1, { target: event.target, method: event.method })
      case "malformed-event":
        return families.malformed.update(1, { provider: event.provider, model: event.model })
      default:
        return this.policy(event)
    }
  }

  /** What the policies themselves report. */
  private policy(event: PolicyEvent): void {
    const { families } = this
    switch (event.type) {
      case "circuit-changed":
        families.transitions.update(1, { key: event.key, to: event.to })
        return families.circuitState.update(
          event.to === "open" || event.to === "forced-open" ? 2 : event.to === "half-open" ? 1 : 0,
          { key: event.key }
        )
      case "circuit-rejected":
        return families.rejections.update(1, { policy: "circuit-breaker", reason: event.state })
      case "limit-rejected":
        return families.rejections.update(1, { policy: event.limiter, reason: "limit" })
      case "limit-waited":
        return families.wait.update(event.waitedMs / 1000, { policy: event.limiter })
      case "bulkhead-rejected":
        return families.rejections.update(1, { policy: "bulkhead", reason: event.reason })
      case "bulkhead-waited":
        return families.wait.update(event.waitedMs / 1000, { policy: "bulkhead" })
      case "quota-paused":
        return families.pauses.update(1, { key: event.key, hinted: String(event.hinted) })
      case "quota-learned":
        return families.quotaLimit.update(event.limit, { key: event.key, scope: event.scope })
      case "limit-adapted":
        return families.adaptedLimit.update(event.to, { limiter: event.limiter, key: event.key, unit: event.unit })
      case "hedge-started":
        return families.hedges.update(1, { outcome: "started" })
      case "hedge-won":
        return families.hedges.update(1, { outcome: "won" })
      case "hedge-lost":
        return families.hedges.update(1, { outcome: "lost" })
      case "cache-hit":
        return families.cache.update(1, { cache: event.cache, outcome: "hit" })
      case "cache-miss":
        return families.cache.update(1, { cache: event.cache, outcome: "miss" })
      case "store-lost":
        return families.storeUp.update(0, { store: event.store })
      case "store-recovered":
        return families.storeUp.update(1, { store: event.store })
    }
  }

  private started(requestId: string, operation: RequestStarted["operation"]): void {
    if (this.operations.size >= maxCalls) {
      for (const oldest of this.operations.keys()) {
        this.operations.delete(oldest)
        break
      }
    }
    this.operations.set(requestId, operation)
  }

  private genAi(requestId: string, target: string): Labels {
    const [provider, model] = halves(target)
    return {
      "gen_ai.operation.name": operationName(this.operations.get(requestId)),
      "gen_ai.provider.name": providerName(provider),
      "gen_ai.request.model": model
    }
  }

  private succeeded(event: Extract<PolicyEvent, { type: "attempt-succeeded" }>): void {
    const { families } = this
    const labels = this.genAi(event.requestId, event.target)
    families.attempts.update(1, { target: event.target, outcome: "success", error: "none" })
    families.operationDuration.update(event.tookMs / 1000, labels)
    families.tokenUsage.update(event.usage.inputTokens, { ...labels, "gen_ai.token.type": "input" })
    families.tokenUsage.update(event.usage.outputTokens, { ...labels, "gen_ai.token.type": "output" })
    if (event.firstTokenMs !== undefined) {
      families.firstChunk.update(event.firstTokenMs / 1000, labels)
      if (event.usage.outputTokens > 1) {
        const rest = event.tookMs - event.firstTokenMs
        families.perChunk.update(rest / 1000 / (event.usage.outputTokens - 1), labels)
      }
    }
    if (event.limits !== undefined) this.remaining(event.target, event.limits)
  }

  private remaining(key: string, limits: RateLimits): void {
    for (const [name, scope] of Object.entries(scopes)) {
      const left = limits[name as keyof RateLimits]?.remaining
      if (left !== undefined) this.families.quotaRemaining.update(left, { key, scope })
    }
  }
}

/**
 * Keeps the metrics of everything that is given this Layer. Another listener that is already in place goes on
 * hearing the events.
 */
export const layer: Layer.Layer<never> = Layer.effect(
  EventSink,
  Effect.gen(function* () {
    const context = yield* Effect.context<never>()
    const outer = yield* EventSink
    const recorder = new Recorder(context)
    return joined((event) => recorder.record(event), outer)
  })
)
