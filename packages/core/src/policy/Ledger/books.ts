/**
 * Reading the ledger: reports, forecasts, recommendations.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { LedgerFilter, LedgerGroup } from "../../domain/Ledger.ts"
import type { NanoDollars } from "../../domain/Money.ts"
import type { PricingService } from "../../domain/Price.ts"
import { InvalidRequestError, type StoreError } from "../../errors/LLMError.ts"
import { calendar, type CalendarUnit, type Span } from "../../internal/calendar.ts"
import { forecast as predict, type ForecastDay, type ForecastRest } from "../../internal/forecast.ts"
import { recommend as find } from "../../internal/recommend.ts"
import type { LedgerStoreService } from "../../store/LedgerStore.ts"
import type { Forecast, ForecastOptions, LedgerError, LedgerService, RecommendOptions, Report } from "../Ledger.ts"

const maxIntervals = 1_000

const invalid = (parameter: string, message: string): InvalidRequestError =>
  new InvalidRequestError({ message, parameter })

/** The calendar of a zone, or what is wrong with it. */
const calendarOf = (
  unit: CalendarUnit,
  zone: string | undefined
): Effect.Effect<(atMs: number) => Span, InvalidRequestError> =>
  Effect.try({
    try: () => calendar(unit, zone),
    catch: () => invalid("timeZone", `${zone} is no time zone; an IANA name such as Europe/Berlin is`)
  })

const checkRange = ({ fromMs, toMs }: LedgerFilter): Effect.Effect<void, InvalidRequestError> =>
  Number.isFinite(fromMs) && Number.isFinite(toMs) && fromMs < toMs
    ? Effect.void
    : Effect.fail(invalid("toMs", `from ${fromMs} to ${toMs} is no time: both are finite, and fromMs is below toMs`))

const nano = (amount: number): NanoDollars => BigInt(Math.round(Math.min(amount, Number.MAX_SAFE_INTEGER)))

export class Books {
  private readonly store: LedgerStoreService
  private readonly prices: PricingService | undefined
  /** Writes what waits, if it can: a report is to hold what was recorded before it. */
  private readonly settle: Effect.Effect<void>

  constructor(store: LedgerStoreService, prices: PricingService | undefined, settle: Effect.Effect<void>) {
    this.store = store
    this.prices = prices
    this.settle = settle
  }

  readonly report = (report: Report): Effect.Effect<ReadonlyArray<LedgerGroup>, LedgerError> =>
    Effect.gen({ self: this }, function* () {
      const { by = [], interval, timeZone, ...filter } = report
      yield* checkRange(filter)
      yield* this.settle
      if (interval === undefined) return yield* this.store.totals(filter, by)
      const spans = yield* this.spansOf(filter, interval, timeZone)
      const parts = yield* Effect.forEach(spans, ({ endMs, startMs }) =>
        Effect.map(
          this.store.totals(
            { ...filter, fromMs: Math.max(startMs, filter.fromMs), toMs: Math.min(endMs, filter.toMs) },
            by
          ),
          (groups) => groups.map((group): LedgerGroup => ({ ...group, startMs }))
        )
      )
      return parts.flat()
    })

  readonly records: LedgerService["records"] = (filter, limit, after) =>
    Effect.gen({ self: this }, function* () {
      yield* checkRange(filter)
      if (!Number.isSafeInteger(limit) || limit < 1 || limit > 10_000) {
        return yield* Effect.fail(invalid("limit", `${limit} is not a whole number from 1 to 10000`))
      }
      yield* this.settle
      return yield* this.store.records(filter, limit, after)
    })

  readonly forecast = (options: ForecastOptions = {}): Effect.Effect<Forecast, LedgerError> =>
    Effect.gen({ self: this }, function* () {
      const { days = 28, period = "month", timeZone, ...filter } = options
      if (!Number.isSafeInteger(days) || days < 3 || days > 366) {
        return yield* Effect.fail(invalid("days", `${days} is not a whole number from 3 to 366`))
      }
      const now = yield* Clock.currentTimeMillis
      const dayAt = yield* calendarOf("day", timeZone)
      const weekdayOf = weekdayIn(yield* calendarOf("week", timeZone))
      const { endMs, startMs } = (yield* calendarOf(period, timeZone))(now)
      yield* this.settle
      const spent = startMs === now ? 0n : yield* this.spent({ ...filter, fromMs: startMs, toMs: now })
      const past = yield* this.pastDays(filter, days, dayAt, weekdayOf, now)
      const rest: Array<ForecastRest> = []
      for (let day = dayAt(now), from = now; from < endMs; from = day.endMs, day = dayAt(from)) {
        rest.push({ weekday: weekdayOf(day), share: (Math.min(day.endMs, endMs) - from) / (day.endMs - day.startMs) })
      }
      const { expected, high, low, method } = predict(Number(spent), past, rest, (now - startMs) / (endMs - startMs))
      return {
        startMs,
        endMs,
        spent,
        expected: nano(expected),
        low: nano(low),
        ...(high === undefined ? undefined : { high: nano(high) }),
        days: past.length,
        method
      }
    })

  readonly recommend: LedgerService["recommend"] = (options: RecommendOptions) =>
    Effect.gen({ self: this }, function* () {
      const {
        alternatives,
        atLeast = 50,
        share = 0.01,
        short = { inputTokens: 500, outputTokens: 200 },
        ...filter
      } = options
      yield* checkRange(filter)
      if (!(share >= 0 && share <= 1)) return yield* Effect.fail(invalid("share", `${share} is not from 0 to 1`))
      yield* this.settle
      const insights = yield* this.store.insights(filter, short)
      return find(
        insights,
        {
          short,
          atLeast,
          share,
          alternatives: alternatives ?? insights.map(({ model, provider }) => `${provider}/${model}`)
        },
        this.prices,
        filter.toMs
      )
    })

  private spent(filter: LedgerFilter): Effect.Effect<NanoDollars, StoreError> {
    return Effect.map(this.store.totals(filter, []), ([all]) => all?.costNanos ?? 0n)
  }

  private spansOf(filter: LedgerFilter, unit: CalendarUnit, zone: string | undefined) {
    return Effect.flatMap(calendarOf(unit, zone), (spanAt): Effect.Effect<ReadonlyArray<Span>, InvalidRequestError> => {
      const spans: Array<Span> = []
      for (let at = filter.fromMs; at < filter.toMs; at = spans.at(-1)!.endMs) {
        spans.push(spanAt(at))
        if (spans.length > maxIntervals) {
          return Effect.fail(
            invalid("interval", `there are more than ${maxIntervals} times a ${unit} in the time asked for`)
          )
        }
      }
      return Effect.succeed(spans)
    })
  }

  /** Full days before today, the latest first, from the first one on in which anything was recorded. */
  private pastDays(
    filter: Omit<LedgerFilter, "fromMs" | "toMs">,
    count: number,
    dayAt: (atMs: number) => Span,
    weekdayOf: (day: Span) => number,
    now: number
  ): Effect.Effect<ReadonlyArray<ForecastDay>, StoreError> {
    const days: Array<Span> = []
    for (let at = dayAt(now).startMs - 1; days.length < count; at = days.at(-1)!.startMs - 1) days.push(dayAt(at))
    return Effect.map(
      Effect.forEach(days, (day) => this.store.totals({ ...filter, fromMs: day.startMs, toMs: day.endMs }, [])),
      (totals) => {
        // Days before there was a ledger are not days without spending.
        const first = totals.findLastIndex((each) => each.length > 0)
        return days.slice(0, first + 1).map((day, index) => ({
          weekday: weekdayOf(day),
          amount: Number(totals[index]![0]?.costNanos ?? 0n)
        }))
      }
    )
  }
}

/** Days since the week began, whatever the clocks do in it. */
const weekdayIn =
  (weekAt: (atMs: number) => Span) =>
  ({ startMs }: Span): number =>
    Math.round((startMs - weekAt(startMs).startMs) / 86_400_000) % 7
