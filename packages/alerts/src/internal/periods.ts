/** When the period of a budget ends, from the words that its events use for it. */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"

const units = new Set(["minute", "hour", "day", "week", "month", "year"])

type Unit = "minute" | "hour" | "day" | "week" | "month" | "year"

/**
 * The end of `day`, `month Europe/Berlin`, `rolling 30d` and the like, in milliseconds since 1970; `Infinity` for
 * `lifetime`, and an hour from now for words that are not known.
 */
export const endOfPeriod = (period: string, wallMs: number): number => {
  const [word = "", detail] = period.split(" ")
  if (word === "lifetime") return Infinity
  if (word === "rolling") return wallMs + rollingMs(period.slice("rolling ".length))
  if (word === "quarter") return endOfQuarter(wallMs)
  if (!units.has(word)) return wallMs + 3_600_000
  const zoned = DateTime.makeZoned(wallMs, { timeZone: detail ?? "UTC" })
  if (zoned._tag === "None") return wallMs + 3_600_000
  return DateTime.toEpochMillis(DateTime.endOf(zoned.value, word as Unit, { weekStartsOn: 1 })) + 1
}

const rollingMs = (text: string): number => {
  const short = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(text)
  if (short !== null) {
    const unit = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }[short[2]!]
    return Number(short[1]) * (unit ?? 1)
  }
  const parsed = Duration.fromInput(text as Duration.Input)
  return parsed._tag === "Some" ? Duration.toMillis(parsed.value) : 86_400_000
}

const endOfQuarter = (wallMs: number): number => {
  const date = new Date(wallMs)
  return Date.UTC(date.getUTCFullYear(), Math.floor(date.getUTCMonth() / 3) * 3 + 3, 1)
}
