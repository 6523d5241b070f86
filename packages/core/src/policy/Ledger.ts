/**
 * Writes down what every attempt consumed and cost, and says what became of the money.
 *
 * **When to use**
 *
 * Use it to charge users and projects, to see where the money goes, and to be told what need not be spent.
 *
 * **Details**
 *
 * The pipeline hands every attempt that was sent to the ledger when a call is over; the ledger writes them in batches
 * behind the calls, so that no call waits for a disk. What a store has taken is durable. While a store fails, records
 * wait in memory up to `maxWaiting`; an event says when that begins and ends, and another one what was lost.
 *
 * - `append` is for records of your own, and is done when they are durable
 * - `report` sums by any dimensions, over any time, in intervals of the calendar
 * - `forecast` says what a period will have cost at its end, with an interval
 * - `recommend` names savings, with the numbers they rest on
 *
 * **Gotchas**
 *
 * What waits in memory when a process is killed is gone: at most `flushEvery` of it while the store is well.
 *
 * **Example** (What was spent, by user)
 *
 * ```ts
 * import { Ledger, LedgerStore, Money, Pricing } from "@breakwater/core"
 * import { Effect, Layer } from "effect"
 *
 * const program = Effect.gen(function*() {
 *   const ledger = yield* Ledger.Ledger
 *   yield* ledger.append([
 *     Ledger.entry({ id: "1", atMs: 0, target: "openai/gpt-4o", user: "ada", costNanos: 1_500_000_000n }),
 *     Ledger.entry({ id: "2", atMs: 1, target: "openai/gpt-4o", user: "ada", costNanos: 500_000_000n })
 *   ])
 *   const [first] = yield* ledger.report({ fromMs: 0, toMs: 1_000, by: ["user"] })
 *   return `${first!.by.user} ${Money.format(first!.costNanos)}`
 * })
 *
 * const layer = Ledger.layer().pipe(Layer.provide([LedgerStore.layerMemory, Pricing.layerNoop]))
 *
 * await Effect.runPromise(Effect.provide(program, layer)) // => "ada $2.00"
 * ```
 */
import * as Clock from "effect/Clock"
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import type * as Scope from "effect/Scope"
import type { AttemptRecord } from "../domain/Call.ts"
import type { CallContext } from "../domain/CallContext.ts"
import type { LedgerDimension, LedgerFilter, LedgerGroup, LedgerRecord } from "../domain/Ledger.ts"
import type { NanoDollars } from "../domain/Money.ts"
import { Pricing } from "../domain/Price.ts"
import type { ProviderEmbedRequest, ProviderRequest } from "../domain/Request.ts"
import type { InvalidRequestError, StoreError } from "../errors/LLMError.ts"
import type { CalendarUnit } from "../internal/calendar.ts"
import { millisOf, positiveDuration, validate, wholeInRange } from "../internal/options.ts"
import type { Recommendation } from "../internal/recommend.ts"
import { type LedgerCursor, LedgerStore } from "../store/LedgerStore.ts"
import { Books } from "./Ledger/books.ts"
import { makeWriter } from "./Ledger/writer.ts"

export type { LedgerDimension, LedgerFilter, LedgerGroup, LedgerRecord, LedgerTotals } from "../domain/Ledger.ts"
export { addTotals, mergeGroups, totalsOf, valuesOf } from "../internal/ledgerTotals.ts"
export type { Recommendation } from "../internal/recommend.ts"

/** What reading can fail with; `InvalidRequestError` names what was asked wrongly. */
export type LedgerError = InvalidRequestError | StoreError

/** A call as the ledger sees it. */
export interface LedgerCall {
  readonly context: CallContext
  readonly request: ProviderRequest | ProviderEmbedRequest
  readonly requestId?: string
}

/** Options of {@link make}. */
export interface Options {
  /** The longest time between an attempt's end and its writing, while the store is well. Default 50 ms. */
  readonly flushEvery?: Duration.Input
  /** Records written at once, about; 1 to 10,000. Default 500. */
  readonly batch?: number
  /** Attempts that may wait in memory while the store fails; more are lost, with an event. Default 100,000. */
  readonly maxWaiting?: number
  /** Tells requests that ask the same apart from others, by a hash of 53 bits. Default true. */
  readonly fingerprints?: boolean
}

/** Defaults of {@link make}. */
export const defaults = {
  flushEvery: "50 millis",
  batch: 500,
  maxWaiting: 100_000,
  fingerprints: true
} as const satisfies Options

/** What to report. */
export interface Report extends LedgerFilter {
  /** By what to tell sums apart. Default: by nothing. */
  readonly by?: ReadonlyArray<LedgerDimension>
  /** Sums for each of these, too; at most 1,000 of them. Default: the whole time. */
  readonly interval?: CalendarUnit
  /** Of the intervals, as in `Europe/Berlin`. Default UTC. */
  readonly timeZone?: string
}

/** What to forecast: the period that it is now. */
export interface ForecastOptions extends Omit<LedgerFilter, "fromMs" | "toMs"> {
  /** Default `month`. */
  readonly period?: "week" | "month" | "quarter" | "year"
  readonly timeZone?: string
  /** Full days of the past to go by; 3 to 366. Default 28. */
  readonly days?: number
}

/** What a period will have cost. Amounts are nano-dollars. */
export interface Forecast {
  readonly startMs: number
  readonly endMs: number
  readonly spent: NanoDollars
  readonly expected: NanoDollars
  /** Four times out of five it will be between these. `high` is left out where there is too little to tell. */
  readonly low: NanoDollars
  readonly high?: NanoDollars
  /** Full days it rests on. */
  readonly days: number
  /** By the mean of each day of the week, by that of all days, or by the pace of the period itself. */
  readonly method: "weekdays" | "mean" | "pace"
}

/** What to recommend from. */
export interface RecommendOptions extends LedgerFilter {
  /** Models to compare with, `provider/model`. Default: all that the ledger knows of this time. */
  readonly alternatives?: ReadonlyArray<string>
  /** What counts as a short call, in tokens. Default: 500 in and 200 out. */
  readonly short?: { readonly inputTokens: number; readonly outputTokens: number }
  /** Fewer answers of a model than this prove nothing. Default 50. */
  readonly atLeast?: number
  /** Savings below this share of a model's cost are left out; 0 to 1. Default 0.01. */
  readonly share?: number
}

export interface LedgerService {
  /** For the pipeline: puts down the attempts of a call. Never waits, never fails; `undefined` for no ledger. */
  readonly record: ((call: LedgerCall, attempts: ReadonlyArray<AttemptRecord>) => void) | undefined
  /** Writes records, each once; done when they are durable. */
  readonly append: (records: ReadonlyArray<LedgerRecord>) => Effect.Effect<void, StoreError>
  /** Writes what waits. Fails when the store does not take it; it goes on waiting then. */
  readonly flush: Effect.Effect<void, StoreError>
  /** Attempts that wait to be written. */
  readonly waiting: Effect.Effect<number>
  /** Sums, the dearest first; with an `interval`, in the order of time. What waits is written first. */
  readonly report: (report: Report) => Effect.Effect<ReadonlyArray<LedgerGroup>, LedgerError>
  /** Single records in the order of their time, at most `limit` (1 to 10,000) of them. */
  readonly records: (
    filter: LedgerFilter,
    limit: number,
    after?: LedgerCursor
  ) => Effect.Effect<ReadonlyArray<LedgerRecord>, LedgerError>
  readonly forecast: (options?: ForecastOptions) => Effect.Effect<Forecast, LedgerError>
  readonly recommend: (options: RecommendOptions) => Effect.Effect<ReadonlyArray<Recommendation>, LedgerError>
}

/** The ledger in the context. */
export class Ledger extends Context.Service<Ledger, LedgerService>()("@breakwater/core/Ledger") {}

/** What {@link entry} needs; all else has a default. */
export interface EntryOptions extends Partial<Omit<LedgerRecord, "provider" | "model">> {
  readonly id: string
  readonly atMs: number
  /** `provider/model` */
  readonly target: string
}

/** A record of your own: of a call that was made elsewhere, say. */
export const entry = ({ target, ...given }: EntryOptions): LedgerRecord => {
  const slash = target.indexOf("/")
  return {
    requestId: given.id,
    attempt: 1,
    tenant: "default",
    tags: [],
    operation: "generate",
    provider: target.slice(0, Math.max(0, slash)),
    model: target.slice(slash + 1),
    outcome: "success",
    tookMs: 0,
    inputTokens: 0,
    outputTokens: 0,
    cachedInputTokens: 0,
    cacheWriteTokens: 0,
    reasoningTokens: 0,
    counted: "reported",
    ...given
  }
}

/**
 * A ledger on the {@link LedgerStore} in the context. Prices are for attempts that do not say what they cost, and for
 * recommendations; they may be a Noop. The end of the scope writes what is left.
 *
 * Fails with a `ConfigError` for a wrong option.
 */
export const make = (
  options: Options = {}
): Effect.Effect<LedgerService, Config.ConfigError, LedgerStore | Pricing | Scope.Scope> =>
  Effect.gen(function* () {
    const settings = { ...defaults, ...options }
    yield* validate([
      positiveDuration("flushEvery", settings.flushEvery),
      wholeInRange("batch", settings.batch, 1, 10_000),
      wholeInRange("maxWaiting", settings.maxWaiting, 1)
    ])
    const store = yield* LedgerStore
    const { prices } = yield* Pricing
    const half = Effect.map(Random.nextIntBetween(0, 2 ** 31), (value) => value.toString(36))
    const startedMs = yield* Clock.currentTimeMillis
    const writer = yield* makeWriter(
      store,
      {
        flushMs: millisOf(settings.flushEvery)!,
        batch: settings.batch,
        maxWaiting: settings.maxWaiting,
        fingerprints: settings.fingerprints,
        // Ids must differ from those of every process that ever wrote here.
        idPrefix: `${Math.floor(startedMs).toString(36)}-${yield* half}${yield* half}`
      },
      prices
    )
    const books = new Books(store, prices, Effect.ignore(Effect.suspend(() => writer.flush)))
    return {
      record: writer.record,
      append: (records) => store.append(records),
      flush: writer.flush,
      waiting: Effect.sync(() => writer.size),
      report: books.report,
      records: books.records,
      forecast: books.forecast,
      recommend: books.recommend
    }
  })

/** {@link make} as a Layer. */
export const layer = (options?: Options): Layer.Layer<Ledger, Config.ConfigError, LedgerStore | Pricing> =>
  Layer.effect(Ledger, make(options))

/** {@link layer} with its options from the environment. */
export const layerConfig = (
  options: Config.Wrap<Options>
): Layer.Layer<Ledger, Config.ConfigError, LedgerStore | Pricing> =>
  Layer.effect(Ledger, Effect.flatMap(Config.unwrap(options), make))

/** A ledger that keeps nothing. */
export const noop: LedgerService = {
  record: undefined,
  append: () => Effect.void,
  flush: Effect.void,
  waiting: Effect.succeed(0),
  report: () => Effect.succeed([]),
  records: () => Effect.succeed([]),
  forecast: () =>
    Effect.map(Clock.currentTimeMillis, (now) => ({
      startMs: now,
      endMs: now,
      spent: 0n,
      expected: 0n,
      low: 0n,
      days: 0,
      method: "pace"
    })),
  recommend: () => Effect.succeed([])
}

/** No ledger, at no cost. */
export const layerNoop: Layer.Layer<Ledger> = Layer.succeed(Ledger, noop)
