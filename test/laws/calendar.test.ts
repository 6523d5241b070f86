import { describe, expect, it } from "@effect/vitest"
import * as Schema from "effect/Schema"
import { calendar, type CalendarUnit } from "../../packages/core/src/internal/calendar.ts"

const units: ReadonlyArray<CalendarUnit> = ["minute", "hour", "day", "week", "month", "quarter", "year"]

/** Changes at midnight (Beirut, Santiago, Cairo), by half an hour (Lord Howe), a day left out (Apia), no changes (Kolkata). */
const zones = [
  "UTC",
  "Europe/Berlin",
  "America/New_York",
  "Asia/Beirut",
  "America/Santiago",
  "Africa/Cairo",
  "Australia/Lord_Howe",
  "Pacific/Apia",
  "Asia/Kolkata",
  "Africa/Casablanca"
]

const at = (text: string) => Date.parse(text)
const text = (ms: number) => new Date(ms).toISOString().replace(".000Z", "Z")

describe("laws of calendar periods", () => {
  // From 1972 on: before it, zones had offsets of odd seconds.
  const Instant = Schema.Int.check(Schema.isBetween({ minimum: 63_072_000_000, maximum: 4_102_444_800_000 }))

  it.prop(
    "an instant is in its period, and periods tile time",
    { atMs: Instant },
    ({ atMs }) => {
      for (const zone of zones) {
        for (const unit of units) {
          const { endMs, startMs } = calendar(unit, zone)(atMs)
          expect(startMs).toBeLessThanOrEqual(atMs)
          expect(endMs).toBeGreaterThan(atMs)
          // A calendar of its own each time, so that nothing remembered helps.
          expect(calendar(unit, zone)(startMs)).toEqual({ startMs, endMs })
          expect(calendar(unit, zone)(endMs - 1)).toEqual({ startMs, endMs })
          expect(calendar(unit, zone)(endMs).startMs).toBe(endMs)
          expect(calendar(unit, zone)(startMs - 1).endMs).toBe(startMs)
        }
      }
    },
    { arbitrary: { runs: 40 } }
  )

  it("a year of days tiles, whatever the clocks do", () => {
    for (const zone of zones) {
      for (const year of [2011, 2022, 2026]) {
        let now = at(`${year}-01-01T12:00:00Z`)
        for (let days = 0; days < 366; days++) {
          const { endMs, startMs } = calendar("day", zone)(now)
          expect(endMs - startMs).toBeGreaterThanOrEqual(22 * 3_600_000)
          expect(endMs - startMs).toBeLessThanOrEqual(26 * 3_600_000)
          expect(calendar("day", zone)(endMs).startMs).toBe(endMs)
          now = endMs
        }
      }
    }
  })

  it.each<readonly [string, CalendarUnit, string, string, string]>([
    ["2026-03-29T10:00:00Z", "day", "Europe/Berlin", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"], // 23 hours
    ["2026-10-25T10:00:00Z", "day", "Europe/Berlin", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"], // 25 hours
    ["2026-11-22T23:30:00Z", "day", "Europe/Berlin", "2026-11-22T23:00:00Z", "2026-11-23T23:00:00Z"],
    ["2026-03-15T00:00:00Z", "month", "Europe/Berlin", "2026-02-28T23:00:00Z", "2026-03-31T22:00:00Z"],
    ["2026-11-22T12:00:00Z", "week", "UTC", "2026-11-16T00:00:00Z", "2026-11-23T00:00:00Z"],
    ["2026-11-22T12:00:00Z", "quarter", "America/New_York", "2026-10-01T04:00:00Z", "2027-01-01T05:00:00Z"],
    ["2026-02-11T12:34:56Z", "hour", "Asia/Kolkata", "2026-02-11T12:00:00Z", "2026-02-11T13:00:00Z"],
    // In Beirut the clocks leap from midnight to one: the day begins at one.
    ["2024-03-31T12:00:00Z", "day", "Asia/Beirut", "2024-03-30T22:00:00Z", "2024-03-31T21:00:00Z"],
    // Apia left out the 30th of December 2011.
    ["2011-12-30T11:00:00Z", "day", "Pacific/Apia", "2011-12-30T10:00:00Z", "2011-12-31T10:00:00Z"],
    ["2024-02-29T12:00:00Z", "year", "UTC", "2024-01-01T00:00:00Z", "2025-01-01T00:00:00Z"]
  ])("%s is in the %s of %s from %s to %s", (now, unit, zone, start, end) => {
    const { endMs, startMs } = calendar(unit, zone)(at(now))
    expect([text(startMs), text(endMs)]).toEqual([start, end])
  })

  it("a week may start on any day", () => {
    const sunday = calendar("week", "UTC", 0)(at("2026-11-22T12:00:00Z"))
    expect(text(sunday.startMs)).toBe("2026-11-22T00:00:00Z")
  })

  it("a zone that does not exist throws", () => {
    expect(() => calendar("day", "Mars/Olympus")).toThrow(RangeError)
  })
})
