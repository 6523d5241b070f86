/**
 * The estimator beside exact quantiles, and the budget beside plain counting.
 */
import { HedgeState } from "../../packages/core/src/internal/hedgeState.ts"
import { LatencyHistogram } from "../../packages/core/src/internal/latencyHistogram.ts"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

const Latency = Schema.Finite.check(Schema.isBetween({ minimum: 1, maximum: 3_600_000 }))
const Latencies = Schema.Array(Latency).check(Schema.isMinLength(1))
const Quantile = Schema.Finite.check(Schema.isBetween({ minimum: 0.5, maximum: 0.999 }))

const exact = (values: ReadonlyArray<number>, q: number) =>
  values.toSorted((a, b) => a - b)[Math.max(0, Math.ceil(q * values.length * (1 - 1e-6)) - 1)]!

describe("the latency histogram", () => {
  it.effect.prop(
    "answers with no less than the quantile, and at most 8.5 % more",
    { values: Latencies, q: Quantile },
    ({ q, values }) =>
      Effect.sync(() => {
        const histogram = new LatencyHistogram(60_000, 0)
        for (const value of values) histogram.add(value, 0)
        const answer = histogram.quantile(q, 0)!
        const truth = exact(values, q)
        expect(answer).toBeGreaterThanOrEqual(truth * (1 - 1e-9))
        expect(answer).toBeLessThanOrEqual(truth * 1.085 * (1 + 1e-9))
      })
  )

  it.effect.prop(
    "does not fall as the quantile rises, and forgets in half-lives",
    { values: Latencies, a: Quantile, b: Quantile },
    ({ a, b, values }) =>
      Effect.sync(() => {
        const histogram = new LatencyHistogram(1_000, 0)
        for (const value of values) histogram.add(value, 0)
        expect(histogram.quantile(Math.max(a, b), 0)!).toBeGreaterThanOrEqual(histogram.quantile(Math.min(a, b), 0)!)
        expect(histogram.weight(999)).toBe(values.length)
        expect(histogram.weight(3_500)).toBeCloseTo(values.length / 8, 3)
        expect(histogram.weight(1e9)).toBe(0)
        expect(histogram.quantile(a, 1e9)).toBeUndefined()
      })
  )

  it("leaves out what is no latency, and keeps to its range", () => {
    const histogram = new LatencyHistogram(1_000, 0)
    for (const value of [NaN, -1, -Infinity]) histogram.add(value, 0)
    expect(histogram.weight(0)).toBe(0)
    histogram.add(0, 0)
    expect(histogram.quantile(0.99, 0)).toBe(1)
    histogram.add(Infinity, 0)
    expect(histogram.quantile(0.99, 0)).toBeGreaterThanOrEqual(3_600_000)
  })
})

describe("the budget", () => {
  it.effect.prop(
    "never lets go more than its share of all calls, nor more than its burst at once",
    {
      tries: Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 3 }))),
      ratio: Schema.Literals([0.01, 0.05, 0.1, 0.3, 1]),
      burst: Schema.Literals([1, 2, 10])
    },
    ({ burst, ratio, tries }) =>
      Effect.sync(() => {
        const state = new HedgeState(
          {
            quantile: 0.95,
            minSamples: 1,
            minDelayMs: 1,
            maxDelayMs: 10,
            halfLifeMs: 1_000,
            ratio,
            burst
          },
          0
        )
        let started = 0
        tries.forEach((count, index) => {
          state.onCall()
          let now = 0
          for (let i = 0; i < count; i++) if (state.tryStart()) now++
          started += now
          expect(now).toBeLessThanOrEqual(burst)
          expect(started).toBeLessThanOrEqual((index + 1) * ratio + 1e-6)
        })
      })
  )
})
