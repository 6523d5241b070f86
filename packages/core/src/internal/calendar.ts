/**
 * Periods of time that follow a calendar: in UTC, or in a time zone with its changes to and from daylight-saving time.
 *
 * Periods tile time: each ends where the next one begins. A period begins at the first instant at which the zone's
 * clocks show its first moment or, where a change of the clocks leaves that moment out, something later.
 */

export type CalendarUnit = "minute" | "hour" | "day" | "week" | "month" | "quarter" | "year"

/** From `startMs` to before `endMs`, in milliseconds since 1970. */
export interface Span {
  readonly startMs: number
  readonly endMs: number
}

const dayMs = 86_400_000

/** What a zone's clocks show at an instant, as if it were UTC. Throws a `RangeError` for a zone that does not exist. */
type WallClock = (atMs: number) => number

const fields = ["year", "month", "day", "hour", "minute", "second"] as const

const wallClock = (zone: string): WallClock => {
  if (zone === "UTC") return (atMs) => atMs
  const format = new Intl.DateTimeFormat("en-US", {
    timeZone: zone,
    calendar: "iso8601",
    numberingSystem: "latn",
    hourCycle: "h23",
    year: "numeric",
    month: "2-digit",
    day: "2-digit",
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit"
  })
  return (atMs) => {
    const values: Record<string, number> = {}
    for (const { type, value } of format.formatToParts(atMs)) values[type] = Number(value)
    const [year, month, day, hour, minute, second] = fields.map((field) => values[field]!)
    const fraction = ((atMs % 1000) + 1000) % 1000
    return Date.UTC(year!, month! - 1, day!, hour!, minute!, second!) + fraction
  }
}

/** The first instant at which the clocks show `wall` or later, having shown less before. */
const instantOf = (clock: WallClock, wall: number): number => {
  const offsets = [clock(wall - dayMs) - (wall - dayMs), clock(wall + dayMs) - (wall + dayMs)]
  const candidates = offsets.map((offset) => wall - offset).sort((a, b) => a - b)
  for (const candidate of candidates) if (clock(candidate) === wall) return candidate
  // The clocks leap over it: the leap is between the two readings.
  let [before, after] = candidates as [number, number]
  while (after - before > 1) {
    const middle = Math.floor((before + after) / 2)
    if (clock(middle) >= wall) after = middle
    else before = middle
  }
  return clock(before) >= wall ? before : after
}

/** The beginning of a period, `shift` periods from the one that the wall time is in. */
const beginOf = (unit: CalendarUnit, wall: number, shift: number, weekStart: number): number => {
  const date = new Date(wall)
  const [year, month, day] = [date.getUTCFullYear(), date.getUTCMonth(), date.getUTCDate()]
  switch (unit) {
    case "year":
      return Date.UTC(year + shift, 0, 1)
    case "quarter":
      return Date.UTC(year, month - (month % 3) + 3 * shift, 1)
    case "month":
      return Date.UTC(year, month + shift, 1)
    case "week":
      return Date.UTC(year, month, day - ((date.getUTCDay() - weekStart + 7) % 7) + 7 * shift)
    case "day":
      return Date.UTC(year, month, day + shift)
    default: {
      const unitMs = unit === "hour" ? 3_600_000 : 60_000
      return Math.floor(wall / unitMs) * unitMs + shift * unitMs
    }
  }
}

/**
 * Finds the period that an instant is in. Remembers the last one, so that the calendar is only asked when a period is
 * over. Minutes and hours are those of UTC in every zone. `weekStart` is 0 for Sunday to 6.
 *
 * Throws a `RangeError` for a zone that does not exist.
 */
export const calendar = (unit: CalendarUnit, zone = "UTC", weekStart = 1): ((atMs: number) => Span) => {
  const zoned = wallClock(zone)
  const clock: WallClock = unit === "minute" || unit === "hour" ? (atMs) => atMs : zoned
  const find = (atMs: number): Span => {
    const wall = clock(atMs)
    const begin = (shift: number) => instantOf(clock, beginOf(unit, wall, shift, weekStart))
    // Around a change of the clocks, what they show and the period may be one apart.
    for (const shift of [0, -1, 1]) {
      const span = { startMs: begin(shift), endMs: begin(shift + 1) }
      if (span.startMs <= atMs && atMs < span.endMs) return span
    }
    throw new Error(`No ${unit} of ${zone} holds ${atMs}`)
  }
  let last: Span = { startMs: 0, endMs: 0 }
  return (atMs) => (atMs >= last.startMs && atMs < last.endMs ? last : (last = find(atMs)))
}
