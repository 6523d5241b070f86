import { QuantileWindow, RatioWindow } from "../../../packages/alerts/src/internal/windows.ts"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

const whole = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

const Samples = Schema.Array(Schema.Struct({ waitMs: whole(0, 5_000), bad: Schema.Boolean, ms: whole(1, 100_000) }))

interface Sample {
  readonly atMs: number
  readonly bad: boolean
  readonly ms: number
}

const timed = (samples: typeof Samples.Type): ReadonlyArray<Sample> => {
  let atMs = 0
  return samples.map(({ bad, ms, waitMs }) => ({ atMs: (atMs += waitMs), bad, ms }))
}

describe("a window of ratios", () => {
  it.effect.prop(
    "holds everything of its time, and nothing older than a bucket more",
    { samples: Samples, windowMs: whole(600, 60_000), later: whole(0, 90_000) },
    ({ later, samples, windowMs }) =>
      Effect.sync(() => {
        const all = timed(samples)
        const nowMs = (all.at(-1)?.atMs ?? 0) + later
        const window = new RatioWindow(windowMs, 0)
        for (const { atMs, bad } of all) window.add(atMs, 1, bad ? 1 : 0)
        const within = (ms: number) => all.filter(({ atMs }) => atMs > nowMs - ms)
        const least = within(windowMs)
        const most = within(windowMs * (1 + 1 / 60) + 1)
        expect(window.all(nowMs)).toBeGreaterThanOrEqual(least.length)
        expect(window.all(nowMs)).toBeLessThanOrEqual(most.length)
        expect(window.bad(nowMs)).toBeGreaterThanOrEqual(least.filter(({ bad }) => bad).length)
        expect(window.bad(nowMs)).toBeLessThanOrEqual(most.filter(({ bad }) => bad).length)
        expect(window.all(nowMs + 2 * windowMs)).toBe(0)
      })
  )

  it("does not lose a cent of large sums", () => {
    const window = new RatioWindow(1_000, 0)
    for (let i = 0; i < 10_000; i++) window.add(i, 1_234_567_891, 0)
    window.all(20_000)
    window.add(20_000, 1, 0)
    expect(window.all(20_000)).toBe(1)
  })

  it("takes a time that goes back for the last one", () => {
    const window = new RatioWindow(1_000, 0)
    window.add(500, 1, 1)
    window.add(400, 1, 0)
    expect(window.ratio(500)).toBe(0.5)
  })
})

describe("a window of quantiles", () => {
  it.effect.prop(
    "answers at most 8.5 % above the true quantile",
    { samples: Samples, q: whole(1, 99) },
    ({ q, samples }) =>
      Effect.sync(() => {
        const window = new QuantileWindow(1e9, 0)
        for (const { ms } of samples) window.add(0, ms)
        if (samples.length === 0) return expect(window.quantile(0, q / 100)).toBe(0)
        const sorted = samples.map(({ ms }) => ms).sort((a, b) => a - b)
        const truth = sorted[Math.max(1, Math.ceil((q / 100) * sorted.length)) - 1]!
        const said = window.quantile(0, q / 100)
        expect(said).toBeGreaterThanOrEqual(truth * 0.999999)
        expect(said).toBeLessThanOrEqual(truth * 1.0851)
      })
  )

  it("forgets", () => {
    const window = new QuantileWindow(12_000, 0)
    window.add(0, 10_000)
    window.add(6_000, 10)
    expect(window.quantile(6_000, 1)).toBeGreaterThan(9_000)
    expect(window.quantile(13_500, 1)).toBeLessThan(11)
    expect(window.count(60_000)).toBe(0)
  })
})
