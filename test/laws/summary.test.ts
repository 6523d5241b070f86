/** The sketch against exact quantiles, and what can be said of sums of sketches and summaries. */
import { Summary } from "@breakwater/core"
import { QuantileSketch, relativeError } from "../../packages/core/src/internal/quantileSketch.ts"
import { SummaryBook } from "../../packages/core/src/internal/summaryBook.ts"
import type { FinishedCall } from "../../packages/core/src/internal/summaryState.ts"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

const whole = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

/** A time as mantissa and exponent: from a tenth of a microsecond to twelve days, every size as likely as any other. */
const Time = Schema.Struct({ mantissa: whole(1, 999), exponent: whole(-4, 6) })
const Times = Schema.Array(Time)
const millisOf = ({ exponent, mantissa }: typeof Time.Type): number => mantissa * 10 ** exponent

const sketchOf = (times: ReadonlyArray<typeof Time.Type>): QuantileSketch => {
  const sketch = new QuantileSketch()
  for (const time of times) sketch.add(millisOf(time))
  return sketch
}

/** The value at the rank below, as the sketch counts ranks. */
const exact = (sorted: ReadonlyArray<number>, q: number): number => sorted[Math.floor(q * (sorted.length - 1))]!

describe("laws of the sketch", () => {
  it.effect.prop(
    "any quantile is within one percent of the exact one",
    { times: Times, q: whole(0, 100) },
    ({ q, times }) =>
      Effect.sync(() => {
        if (times.length === 0) return
        const sorted = times.map(millisOf).toSorted((a, b) => a - b)
        const truth = exact(sorted, q / 100)
        // Times below a microsecond are not told apart.
        const margin = truth * relativeError * 1.0001 + 1e-3
        expect(Math.abs(sketchOf(times).quantile(q / 100) - truth)).toBeLessThanOrEqual(margin)
      }),
    { arbitrary: { runs: 500 } }
  )

  it.effect.prop(
    "a sum of sketches is the sketch of all, in any order and grouping",
    { a: Times, b: Times, c: Times },
    ({ a, b, c }) =>
      Effect.sync(() => {
        const sum = (...parts: ReadonlyArray<QuantileSketch>): QuantileSketch => {
          const all = new QuantileSketch()
          for (const part of parts) all.merge(JSON.parse(JSON.stringify(part.state())))
          return all
        }
        const [x, y, z] = [sketchOf(a), sketchOf(b), sketchOf(c)]
        const all = sketchOf([...a, ...b, ...c]).state()
        expect(sum(x, y, z).state()).toEqual(all)
        expect(sum(z, sum(y, x)).state()).toEqual(all)
        expect(sum(sum(x, z), y).count).toBe(a.length + b.length + c.length)
      })
  )
})

const Call = Schema.Struct({
  atMs: whole(0, 5_000_000),
  tookMs: whole(0, 100_000),
  target: whole(0, 5),
  outcome: Schema.Literals(["success", "failure", "interrupted"]),
  tokens: whole(0, 10_000),
  nanos: whole(0, 1_000_000_000),
  cached: Schema.Boolean
})
const Calls = Schema.Array(Call)

const finished = (call: typeof Call.Type): FinishedCall => ({
  outcome: call.outcome,
  startedAt: call.atMs,
  tookMs: call.tookMs,
  attempts: call.cached
    ? []
    : [
        {
          attempt: 1,
          target: `a/${call.target}`,
          outcome: call.outcome,
          startedAt: call.atMs,
          tookMs: call.tookMs,
          waitedMs: 0,
          usage: { inputTokens: call.tokens, outputTokens: 1 },
          costNanos: BigInt(call.nanos)
        }
      ],
  retries: call.tokens % 3,
  failovers: call.tokens % 2,
  hedges: 0,
  cost: { nanoDollars: BigInt(call.nanos), estimated: false, unknownAttempts: 0 },
  ...(call.cached ? { cached: true, savedNanos: BigInt(call.nanos) } : {})
})

const bookOf = (calls: ReadonlyArray<typeof Call.Type>): SummaryBook => {
  const book = new SummaryBook(0)
  for (const call of calls) book.record(finished(call))
  return book
}

/** As another process would get it. */
const sent = (state: Summary.State): Summary.State =>
  Schema.decodeUnknownSync(Summary.State)(JSON.parse(JSON.stringify(state)))

describe("laws of summaries", () => {
  it.effect.prop(
    "a sum is the summary of all calls, in any order and grouping, sent as JSON or not",
    { a: Calls, b: Calls, c: Calls },
    ({ a, b, c }) =>
      Effect.sync(() => {
        const now = 5_200_000
        // A ring forgets what is older than an hour; the laws are about what it keeps.
        const kept = [a, b, c].map((calls) => calls.filter(({ atMs, tookMs }) => atMs + tookMs > now - 3_500_000))
        const [x, y, z] = kept.map((calls) => bookOf(calls).state(now)) as [Summary.State, Summary.State, Summary.State]
        const all = bookOf(kept.flat())
        const sums = [
          Summary.merge([x, y, z]),
          Summary.merge([sent(z), sent(Summary.merge([y, x]))]),
          Summary.merge([Summary.merge([x, z]), Summary.merge([]), y])
        ]
        for (const sum of sums) {
          expect(sum).toEqual(sums[0])
          expect(Summary.view(sum)).toEqual(Summary.view(all.state(now)))
        }
        expect(Summary.view(sums[0]!)).toEqual(all.view(now))
      })
  )
})
