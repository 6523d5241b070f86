/** The gateway's sparse series as even steps, for charts: pure, and bounded by the number of steps asked for. */
import type { Point } from "../api/types.ts"
import { dollarsOf } from "./format.ts"

/** How far back a chart looks. */
export interface Range {
  readonly id: "15m" | "1h"
  readonly label: string
  readonly ms: number
  /** Milliseconds of one bar. */
  readonly stepMs: number
}

export const ranges: ReadonlyArray<Range> = [
  { id: "15m", label: "15 min", ms: 15 * 60_000, stepMs: 20_000 },
  { id: "1h", label: "1 hour", ms: 60 * 60_000, stepMs: 60_000 }
]

/** Even steps, the oldest first. Latencies are `null` where nothing ended. */
export interface Steps {
  readonly stepMs: number
  /** The beginning of each step, in milliseconds since 1970. */
  readonly at: ReadonlyArray<number>
  readonly requests: ReadonlyArray<number>
  readonly success: ReadonlyArray<number>
  readonly failure: ReadonlyArray<number>
  readonly interrupted: ReadonlyArray<number>
  readonly cached: ReadonlyArray<number>
  readonly retries: ReadonlyArray<number>
  readonly inputTokens: ReadonlyArray<number>
  readonly outputTokens: ReadonlyArray<number>
  /** Dollars. */
  readonly cost: ReadonlyArray<number>
  readonly saved: ReadonlyArray<number>
}

const counted = [
  "requests",
  "success",
  "failure",
  "interrupted",
  "cached",
  "retries",
  "inputTokens",
  "outputTokens"
] as const

/**
 * Gathers points into steps that end with the one `nowAt` falls in. A point counts in the step its own beginning falls in;
 * steps are multiples of their length, so that a bar does not change its content as time goes by.
 */
export const stepsOf = (points: ReadonlyArray<Point>, range: Range, nowAt: number): Steps => {
  const { ms, stepMs } = range
  const size = Math.round(ms / stepMs)
  const last = Math.floor(nowAt / stepMs)
  const first = last - size + 1
  const zeros = () => Array.from({ length: size }, () => 0)
  const sums = Object.fromEntries(counted.map((name) => [name, zeros()])) as Record<(typeof counted)[number], number[]>
  const cost = zeros()
  const saved = zeros()
  for (const point of points) {
    const i = Math.floor(point.at / stepMs) - first
    if (i < 0 || i >= size) continue
    for (const name of counted) sums[name][i]! += point[name]
    cost[i]! += dollarsOf(point.costNanos) ?? 0
    saved[i]! += dollarsOf(point.savedNanos) ?? 0
  }
  return { stepMs, at: Array.from({ length: size }, (_, i) => (first + i) * stepMs), ...sums, cost, saved }
}

/** Percentiles of latency over time. They cannot be added up, so these are the gateway's own steps. */
export interface LatencySteps {
  readonly at: ReadonlyArray<number>
  readonly p50: ReadonlyArray<number | null>
  readonly p95: ReadonlyArray<number | null>
  readonly p99: ReadonlyArray<number | null>
}

export const latencyOf = (points: ReadonlyArray<Point>, stepMs: number, range: Range, nowAt: number): LatencySteps => {
  const size = Math.round(range.ms / stepMs)
  const first = Math.floor(nowAt / stepMs) - size + 1
  const nulls = () => Array.from({ length: size }, (): number | null => null)
  const out = { p50: nulls(), p95: nulls(), p99: nulls() }
  for (const point of points) {
    const i = Math.floor(point.at / stepMs) - first
    // A step in which every request was interrupted has no latency.
    if (i < 0 || i >= size || point.success + point.failure === 0) continue
    out.p50[i] = point.p50Ms
    out.p95[i] = point.p95Ms
    out.p99[i] = point.p99Ms
  }
  return { at: Array.from({ length: size }, (_, i) => (first + i) * stepMs), ...out }
}

export const sum = (values: ReadonlyArray<number>): number => values.reduce((total, each) => total + each, 0)

/**
 * Points of a small line in a box of 100 by 100: gaps are left out, and so is the last step, which is not over yet. A line
 * of nothing is drawn at the bottom.
 */
export const sparkPoints = (all: ReadonlyArray<number | null>): ReadonlyArray<readonly [x: number, y: number]> => {
  const values = all.slice(0, -1)
  const most = values.reduce<number>((max, each) => (each !== null && each > max ? each : max), 0)
  const step = values.length > 1 ? 100 / (values.length - 1) : 0
  return values.flatMap((each, i) =>
    each === null ? [] : [[i * step, most === 0 ? 100 : 100 - (each / most) * 100] as const]
  )
}

/** The last value there is. */
export const latest = (values: ReadonlyArray<number | null>): number | undefined =>
  values.findLast((each) => each !== null) ?? undefined
