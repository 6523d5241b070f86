import { describe, expect, it } from "vitest"
import type { Attempt, RecentRequest, RequestEvent } from "../../../packages/dashboard/web/api/types.ts"
import { eventText, ticksOf, timelineOf } from "../../../packages/dashboard/web/lib/timeline.ts"

const began = 1_700_000_000_000

const attempt = (n: number, startMs: number, tookMs: number, more: Partial<Attempt> = {}): Attempt => ({
  attempt: n,
  target: "a/m",
  outcome: "failure",
  startedAt: began + startMs,
  tookMs,
  waitedMs: 0,
  ...(more.outcome === "success" ? {} : { error: { _tag: "ServerError", message: "it failed" } }),
  ...more
})

const request = (
  tookMs: number,
  attempts: ReadonlyArray<Attempt>,
  events: ReadonlyArray<RequestEvent> = []
): RecentRequest => ({
  requestId: "r",
  at: began,
  operation: "generate",
  outcome: "success",
  tookMs,
  context: {},
  attempts,
  events
})

describe("a timeline", () => {
  it("lays attempts and waits where they were, and ties them together", () => {
    const { rows, totalMs } = timelineOf(
      request(1_000, [
        attempt(1, 0, 200),
        attempt(2, 500, 100, { waitedMs: 300 }),
        attempt(3, 600, 400, { target: "b/m", outcome: "success", firstTokenMs: 100 })
      ])
    )
    expect(totalMs).toBe(1_000)
    expect(rows.map(({ bar }) => bar)).toEqual([
      { left: 0, width: 20 },
      { left: 50, width: 10 },
      { left: 60, width: 40 }
    ])
    expect(rows.map(({ wait }) => wait)).toEqual([undefined, { left: 20, width: 30 }, undefined])
    expect(rows.map(({ cause }) => cause)).toEqual(["first", "retry", "failover"])
    expect(rows[1]!.link).toMatch(/^retry after server error, 300/)
    expect(rows[2]!.link).toBe("failover from a/m after server error")
    expect(rows[2]!.firstToken).toBe(70)
  })

  it("tells a hedge and a stream that goes on from a failover", () => {
    const { rows } = timelineOf(
      request(
        100,
        [
          attempt(1, 0, 90, { outcome: "interrupted" }),
          attempt(2, 40, 50, { target: "b/m", outcome: "interrupted" }),
          attempt(3, 90, 10, { target: "c/m", outcome: "success" })
        ],
        [
          { atMs: 40, type: "hedge-started", attempt: 2, key: "a/m", reason: "slow", afterMs: 40 },
          { atMs: 90, type: "stream-continued", attempt: 3, target: "c/m", method: "prefill", characters: 12 }
        ]
      )
    )
    expect(rows.map(({ cause }) => cause)).toEqual(["first", "hedge", "continued"])
    expect(rows[2]!.link).toMatch(/after 12 characters/)
  })

  it("keeps every bar within the line and wide enough to be seen, whatever the clocks said", () => {
    const { rows } = timelineOf(
      request(10, [
        attempt(1, -5, 0),
        attempt(2, 9_999, 0, { waitedMs: 50_000 }),
        attempt(3, 3, 100_000, { outcome: "success", firstTokenMs: 200_000 })
      ])
    )
    for (const { bar, firstToken, wait } of rows) {
      for (const span of [bar, ...(wait === undefined ? [] : [wait])]) {
        expect(span.left).toBeGreaterThanOrEqual(0)
        expect(span.width).toBeGreaterThan(0.5)
        expect(span.left + span.width).toBeLessThanOrEqual(100.0001)
      }
      if (firstToken !== undefined) expect(firstToken).toBeLessThanOrEqual(100)
    }
  })

  it("has room for a request without attempts, and one that took no time", () => {
    expect(timelineOf(request(0, [])).rows).toEqual([])
    expect(timelineOf(request(0, [attempt(1, 0, 0)])).rows[0]!.bar.width).toBeGreaterThan(0)
  })
})

describe("ticks", () => {
  it.each([0, 1, 7, 180, 999, 1_750, 30_000, 300_000, 86_400_000])("of %d ms are few, even and within", (totalMs) => {
    const ticks = ticksOf(totalMs)
    expect(ticks.length).toBeLessThanOrEqual(7)
    expect(ticks[0]!.at).toBe(0)
    for (const { at } of ticks) expect(at).toBeLessThanOrEqual(100)
  })
})

describe("what happened", () => {
  it("is a sentence, also for a kind that is not known", () => {
    expect(eventText({ atMs: 0, type: "failed-over", from: "a/m", to: "b/m", error: { _tag: "ServerError" } })).toBe(
      "fails over from a/m to b/m: server error"
    )
    expect(eventText({ atMs: 0, type: "something-new", target: "a/m" })).toBe("something new at a/m")
  })
})
