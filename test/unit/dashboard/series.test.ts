import { describe, expect, it } from "vitest"
import type { Point } from "../../../packages/dashboard/web/api/types.ts"
import { latencyOf, latest, ranges, sparkPoints, stepsOf, sum } from "../../../packages/dashboard/web/lib/series.ts"

const [quarter, hour] = [ranges[0]!, ranges[1]!]

const point = (at: number, more: Partial<Point> = {}): Point => ({
  at,
  requests: 1,
  success: 1,
  failure: 0,
  interrupted: 0,
  cached: 0,
  retries: 0,
  p50Ms: 10,
  p95Ms: 20,
  p99Ms: 30,
  inputTokens: 5,
  outputTokens: 2,
  costNanos: "1000000000",
  savedNanos: "0",
  ...more
})

const now = 1_700_000_012_345

describe("steps", () => {
  it.each(ranges)("of $label are as many as fit, even, and end with the one it is now", (range) => {
    const { at } = stepsOf([], range, now)
    expect(at).toHaveLength(range.ms / range.stepMs)
    expect(at.at(-1)).toBe(Math.floor(now / range.stepMs) * range.stepMs)
    expect(new Set(at.slice(1).map((each, i) => each - at[i]!))).toEqual(new Set([range.stepMs]))
    expect(range.stepMs % 10_000).toBe(0)
  })

  it("add up what falls into each, and leave nothing out that is within the range", () => {
    const points = Array.from({ length: 360 }, (_, i) => point(Math.floor(now / 10_000) * 10_000 - i * 10_000))
    const steps = stepsOf(points, hour, now)
    const first = steps.at[0]!
    const within = points.filter(({ at }) => at >= first).length
    expect(sum(steps.requests)).toBe(within)
    expect(sum(steps.cost)).toBeCloseTo(within)
    expect(sum(steps.outputTokens)).toBe(2 * within)
    expect(Math.max(...steps.requests)).toBe(6)
    expect(within).toBeGreaterThan(350)
  })

  it("do not move their content as time goes by", () => {
    const points = [point(now - 100_000), point(now - 91_000), point(now - 80_000)]
    const early = stepsOf(points, quarter, now)
    const later = stepsOf(points, quarter, now + 7_000)
    const shownAt = (steps: typeof early) => steps.at.filter((_, i) => steps.requests[i]! > 0)
    expect(shownAt(later)).toEqual(shownAt(early))
  })

  it("leave out what is too old or to come", () => {
    const steps = stepsOf([point(now - quarter.ms - 60_000), point(now + 60_000)], quarter, now)
    expect(sum(steps.requests)).toBe(0)
  })
})

describe("latency over time", () => {
  it("is nothing where nothing ended, and where everything was interrupted", () => {
    const at = Math.floor(now / 10_000) * 10_000
    const points = [
      point(at - 20_000),
      point(at - 10_000, { success: 0, interrupted: 1, p50Ms: 0, p95Ms: 0, p99Ms: 0 })
    ]
    const { p50, p99 } = latencyOf(points, 10_000, quarter, now)
    expect(p50.slice(-3)).toEqual([10, null, null])
    expect(p99.filter((each) => each !== null)).toEqual([30])
    expect(latest(p99)).toBe(30)
    expect(latest([null])).toBeUndefined()
  })
})

describe("a small line", () => {
  it("fills its box, and leaves out gaps and the step that is not over", () => {
    expect(sparkPoints([0, 5, null, 10, 99])).toEqual([
      [0, 100],
      [100 / 3, 50],
      [100, 0]
    ])
    expect(sparkPoints([0, 0, 0]).every(([, y]) => y === 100)).toBe(true)
    expect(sparkPoints([])).toEqual([])
    expect(sparkPoints([1])).toEqual([])
  })
})
