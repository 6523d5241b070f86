/**
 * Where spending will be at the end of a period.
 *
 * From full days of the past: the mean of a day, times what its day of the week usually is of it once there are two
 * weeks to tell. The interval is that of a prediction: the days to come scatter like those past, and the mean itself is
 * only known from so many of them: ± z · s · √(h + h² / n) for h days to come and n past. With fewer than three days there
 * is only the pace so far, and no interval.
 */

export interface ForecastDay {
  /** 0 to 6. */
  readonly weekday: number
  readonly amount: number
}

export interface ForecastRest {
  readonly weekday: number
  /** How much of the day is left, over 0 and at most 1. */
  readonly share: number
}

export interface ForecastResult {
  readonly expected: number
  readonly low: number
  /** `undefined` where there is too little to tell. */
  readonly high: number | undefined
  readonly method: "weekdays" | "mean" | "pace"
}

/** The z of a two-sided interval that holds four fifths. */
const z80 = 1.2816

const mean = (values: ReadonlyArray<number>): number => values.reduce((a, b) => a + b, 0) / values.length

const usualOf = (past: ReadonlyArray<ForecastDay>, average: number): ReadonlyArray<number> =>
  Array.from({ length: 7 }, (_, weekday) => {
    const same = past.filter((day) => day.weekday === weekday)
    return same.length === 0 ? average : mean(same.map((day) => day.amount))
  })

/** `elapsedShare` is how much of the period is over. */
export const forecast = (
  spent: number,
  past: ReadonlyArray<ForecastDay>,
  rest: ReadonlyArray<ForecastRest>,
  elapsedShare: number
): ForecastResult => {
  if (past.length < 3) {
    const expected = elapsedShare > 0 ? Math.max(spent, spent / elapsedShare) : spent
    return { expected, low: spent, high: undefined, method: "pace" }
  }
  const average = mean(past.map((day) => day.amount))
  const byWeekday = past.length >= 14
  const usual = byWeekday ? usualOf(past, average) : Array.from({ length: 7 }, () => average)
  const known = byWeekday ? 7 : 1
  const squares = past.reduce((sum, day) => sum + (day.amount - usual[day.weekday]!) ** 2, 0)
  const deviation = Math.sqrt(squares / Math.max(1, past.length - known))
  let toCome = 0
  let days = 0
  for (const { share, weekday } of rest) {
    toCome += usual[weekday]! * share
    days += share
  }
  const margin = z80 * deviation * Math.sqrt(days + days ** 2 / past.length)
  const expected = spent + toCome
  return {
    expected,
    low: Math.max(spent, expected - margin),
    high: expected + margin,
    method: byWeekday ? "weekdays" : "mean"
  }
}
