/**
 * What happened, in numbers that fit on one page: requests and how they ended, latencies, tokens, money, errors, by
 * target and over the last hour.
 *
 * **When to use**
 *
 * Use it for a status page, a dashboard, or a health report of one's own, where no metrics system is at hand. Every
 * `LLM` keeps one for itself ({@link LLM.snapshot}); this Layer keeps one of everything that is given it.
 *
 * **Details**
 *
 * - Memory is bounded, whatever comes: 100 targets and 100 kinds of errors are told apart, quantiles are those of
 *   DDSketch (within 1 %), and the series has 360 points.
 * - Summaries of several processes can be added up: `state` is plain JSON, {@link merge} adds, {@link view} reads.
 *   Quantiles of the sum are as exact as those of the parts.
 * - A request counts when it is over.
 *
 * **Example** (Reading what a program did)
 *
 * ```ts
 * import { LLM, LLMProvider, Summary } from "@breakwater/core"
 * import { ScriptedProvider } from "@breakwater/testing"
 * import { Effect, Layer } from "effect"
 *
 * const llm = LLM.layerPreset("interactive", { targets: ["demo/any"] }).pipe(
 *   Layer.provide(LLMProvider.layer(ScriptedProvider.layer({ name: "demo", script: ["Hello!"] })))
 * )
 *
 * const program = Effect.andThen(LLM.generateText("Hello?"), Summary.snapshot)
 * const { totals } = await Effect.runPromise(Effect.provide(program, Layer.merge(llm, Summary.layer)))
 *
 * totals.requests // => 1
 * ```
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { EventSink, type PolicyEvent } from "../domain/Event.ts"
import { joined } from "../internal/emit.ts"
import { mergeStates, SummaryBook, viewState } from "../internal/summaryBook.ts"
import type { SummaryState, SummaryView } from "../internal/summaryState.ts"

export { relativeError } from "../internal/quantileSketch.ts"
export type {
  ErrorCounts,
  Latency,
  PointView as Point,
  SummaryView as Snapshot,
  TargetView as Target,
  Tokens,
  TotalsView as Totals
} from "../internal/summaryState.ts"
export { maxPoints, maxTargets, stepMs } from "../internal/summaryState.ts"

// --- the form in which summaries are sent -------------------------------------------------------------------------

const Count = Schema.Finite.check(Schema.isGreaterThanOrEqualTo(0))
const Nanos = Schema.String.check(Schema.isPattern(/^-?\d{1,40}$/))
const Counts = Schema.Record(Schema.String, Count)
const outcomes = { success: Count, failure: Count, interrupted: Count }

const TokenCounts = Schema.Struct({ input: Count, output: Count, cachedInput: Count, reasoning: Count })

const Sketch = Schema.Struct({
  zero: Count,
  bins: Schema.Array(Schema.Int).check(
    Schema.makeFilter(
      (bins: ReadonlyArray<number>) =>
        (bins.length % 2 === 0 && bins.every((each, at) => (at % 2 === 0 ? Math.abs(each) < 10_000 : each >= 0))) ||
        "bins are pairs of an index and a count"
    )
  ),
  sumMicros: Count,
  minMs: Count,
  maxMs: Count
})

/**
 * A summary as plain JSON, which can be added to others. Amounts are nano-dollars as decimal texts. Decode with it what
 * comes from another process.
 */
export const State = Schema.Struct({
  version: Schema.Literal(1),
  sinceAt: Schema.Finite,
  nowAt: Schema.Finite,
  totals: Schema.Struct({
    requests: Count,
    ...outcomes,
    cached: Count,
    attempts: Count,
    retries: Count,
    failovers: Count,
    hedges: Count,
    tokens: TokenCounts,
    costNanos: Nanos,
    savedNanos: Nanos,
    unknownCostAttempts: Count
  }),
  latency: Sketch,
  firstToken: Sketch,
  errors: Counts,
  targets: Schema.Record(
    Schema.String,
    Schema.Struct({
      attempts: Count,
      ...outcomes,
      tokens: TokenCounts,
      costNanos: Nanos,
      latency: Sketch,
      firstToken: Sketch,
      errors: Counts
    })
  ),
  series: Schema.Array(
    Schema.Struct({
      at: Schema.Finite,
      requests: Count,
      ...outcomes,
      cached: Count,
      retries: Count,
      inputTokens: Count,
      outputTokens: Count,
      costNanos: Nanos,
      savedNanos: Nanos,
      latency: Sketch
    })
  )
})
export type State = typeof State.Type

/** Adds summaries up. The order and the grouping do not matter; nothing is counted twice or lost. */
export const merge: (states: ReadonlyArray<State>) => State = mergeStates

/** Reads a summary that was sent or added up. */
export const view: (state: State) => SummaryView = viewState

/** The snapshot as JSON: amounts become decimal texts, in the fields of the same names. */
export const toJson = (snapshot: SummaryView): Schema.Json => {
  const encode = (value: unknown): unknown => {
    if (typeof value === "bigint") return value.toString()
    if (Array.isArray(value)) return value.map(encode)
    if (typeof value !== "object" || value === null) return value
    return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, encode(each)]))
  }
  return encode(snapshot) as Schema.Json
}

// --- the service --------------------------------------------------------------------------------------------------

export interface SummaryService {
  /** What happened since the service was made. */
  readonly snapshot: Effect.Effect<SummaryView>
  /** The same in the form that can be sent and added up. */
  readonly state: Effect.Effect<SummaryState>
}

export class Summary extends Context.Service<Summary, SummaryService>()("@breakwater/core/Summary") {}

/**
 * Keeps a summary of everything that is given this Layer. Another listener that is already in place goes on hearing the
 * events.
 */
export const layer: Layer.Layer<Summary> = Layer.effectContext(
  Effect.gen(function* () {
    const clock = yield* Clock.Clock
    const outer = yield* EventSink
    const book = new SummaryBook(clock.currentTimeMillisUnsafe())
    const listen = (event: PolicyEvent): void => {
      if (event.type === "request-finished") book.record(event, clock.currentTimeMillisUnsafe())
    }
    return Context.make(Summary, {
      snapshot: Effect.sync(() => book.view(clock.currentTimeMillisUnsafe())),
      state: Effect.sync(() => book.state(clock.currentTimeMillisUnsafe()))
    }).pipe(Context.add(EventSink, joined(listen, outer)))
  })
)

/** {@link SummaryService.snapshot} of the service in the context. */
export const snapshot: Effect.Effect<SummaryView, never, Summary> = Effect.flatMap(Summary, (each) => each.snapshot)

/** {@link SummaryService.state} of the service in the context. */
export const state: Effect.Effect<State, never, Summary> = Effect.flatMap(Summary, (each) => each.state)
