import * as BreakerMath from "../../packages/core/src/internal/breakerMath.ts"
import { makeWindow, type WindowSettings } from "../../packages/core/src/internal/breakerWindow.ts"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

const whole = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))
const between = (minimum: number, maximum: number) => Schema.Finite.check(Schema.isBetween({ minimum, maximum }))

const Calls = Schema.Array(Schema.Struct({ waitMs: whole(0, 400), failed: Schema.Boolean, slow: Schema.Boolean }))
const SpanMs = between(10, 2_000)
const Buckets = whole(1, 40)

interface Call {
  readonly atMs: number
  readonly failed: boolean
  readonly slow: boolean
}

const timed = (calls: typeof Calls.Type): ReadonlyArray<Call> => {
  let atMs = 0
  return calls.map(({ failed, slow, waitMs }) => ({ atMs: (atMs += waitMs), failed, slow }))
}

const tallyOf = (calls: ReadonlyArray<Call>) => ({
  calls: calls.length,
  failures: calls.filter((call) => call.failed).length,
  slow: calls.filter((call) => call.slow).length
})

const tally = ({
  calls,
  failures,
  slow
}: {
  readonly calls: number
  readonly failures: number
  readonly slow: number
}) => ({
  calls,
  failures,
  slow
})

const filled = (settings: WindowSettings, calls: ReadonlyArray<Call>) => {
  const window = makeWindow(settings)
  for (const call of calls) window.record(call.atMs, call.failed, call.slow)
  return window
}

describe("laws of the windows", () => {
  it.effect.prop(
    "a time window holds every call of its span, and none a bucket older",
    { calls: Calls, spanMs: SpanMs, buckets: Buckets, later: whole(0, 3_000) },
    ({ buckets, calls, later, spanMs }) =>
      Effect.sync(() => {
        const all = timed(calls)
        const nowMs = (all.at(-1)?.atMs ?? 0) + later
        const window = filled({ kind: "time", spanMs, buckets }, all)
        window.advance(nowMs)
        const younger = (ms: number) => all.filter((call) => nowMs - call.atMs <= ms).length
        expect(window.calls).toBeGreaterThanOrEqual(younger(spanMs))
        expect(window.calls).toBeLessThanOrEqual(younger(spanMs + spanMs / buckets + 1e-6))
      })
  )

  it.effect.prop(
    "a time window is empty after its span and a bucket without traffic",
    { calls: Calls, spanMs: SpanMs, buckets: Buckets },
    ({ buckets, calls, spanMs }) =>
      Effect.sync(() => {
        const all = timed(calls)
        const window = filled({ kind: "time", spanMs, buckets }, all)
        window.advance((all.at(-1)?.atMs ?? 0) + spanMs + spanMs / buckets + 1e-6)
        expect(tally(window)).toEqual({ calls: 0, failures: 0, slow: 0 })
      })
  )

  it.effect.prop(
    "a time window needs a bounded number of buckets",
    { calls: Calls, spanMs: SpanMs, buckets: Buckets },
    ({ buckets, calls, spanMs }) =>
      Effect.sync(() => {
        const all = timed(calls)
        const saved = filled({ kind: "time", spanMs, buckets }, all).save(all.at(-1)?.atMs ?? 0)
        expect(saved.kind === "time" && saved.buckets.length).toBeLessThanOrEqual(buckets + 1)
      })
  )

  it.effect.prop(
    "a count window holds exactly the last calls",
    { calls: Calls, size: whole(1, 50) },
    ({ calls, size }) =>
      Effect.sync(() => {
        const all = timed(calls)
        expect(tally(filled({ kind: "count", size }, all))).toEqual(tallyOf(all.slice(-size)))
      })
  )

  it.effect.prop("runs end with the first call that is not one of them", { calls: Calls }, ({ calls }) =>
    Effect.sync(() => {
      const all = timed(calls)
      const run = (is: (call: Call) => boolean) => all.length - 1 - all.findLastIndex((call) => !is(call))
      expect(tally(filled({ kind: "consecutive", length: 3 }, all))).toEqual({
        calls: all.length,
        failures: run((call) => call.failed),
        slow: run((call) => call.slow)
      })
    })
  )

  it.effect.prop(
    "a window saved and loaded at once is the same window",
    { calls: Calls, spanMs: SpanMs, buckets: Buckets, size: whole(1, 50) },
    ({ buckets, calls, size, spanMs }) =>
      Effect.sync(() => {
        const all = timed(calls)
        const nowMs = all.at(-1)?.atMs ?? 0
        const kinds: ReadonlyArray<WindowSettings> = [
          { kind: "time", spanMs, buckets },
          { kind: "count", size },
          { kind: "consecutive", length: 3 }
        ]
        for (const settings of kinds) {
          const window = filled(settings, all)
          const copy = makeWindow(settings)
          copy.load(window.save(nowMs), nowMs)
          expect(tally(copy)).toEqual(tally(window))
          window.record(nowMs + 5, true, false)
          copy.record(nowMs + 5, true, false)
          expect(tally(copy)).toEqual(tally(window))
        }
      })
  )
})

const open = (openMs: number, openFactor: number, openMaxMs: number, jitter: number): BreakerMath.OpenSettings => ({
  failureRate: 0.5,
  adaptive: undefined,
  openMs,
  openFactor,
  openMaxMs,
  jitter,
  healthyMs: 1
})

describe("laws of the open time", () => {
  const numbers = {
    openMs: between(1, 1e6),
    factor: between(1, 100),
    more: between(1, 1e6),
    jitter: between(0, 0.9),
    luck: between(0, 0.999),
    openings: whole(1, 2_000),
    hintMs: between(0, 1e12)
  }
  it.effect.prop(
    "is positive, finite and at most the cap, for any number of openings and any hint",
    numbers,
    ({ factor, hintMs, jitter, luck, more, openMs, openings }) =>
      Effect.sync(() => {
        const max = openMs + more
        const ms = BreakerMath.openForMs(open(openMs, factor, max, jitter), openings, hintMs, () => luck)
        expect(ms).toBeGreaterThan(0)
        expect(ms).toBeLessThanOrEqual(max)
        expect(ms).toBeGreaterThanOrEqual(Math.min(max, hintMs))
      })
  )

  it.effect.prop(
    "without chance it never shrinks from one opening to the next",
    numbers,
    ({ factor, more, openMs, openings }) =>
      Effect.sync(() => {
        const settings = open(openMs, factor, openMs + more, 0)
        const at = (n: number) => BreakerMath.openForMs(settings, n, 0, () => 0)
        expect(at(openings + 1)).toBeGreaterThanOrEqual(at(openings))
        expect(at(1)).toBe(openMs)
      })
  )
})

describe("laws of the adaptive threshold", () => {
  it.effect.prop(
    "stays within its bounds, and above the usual rate where they allow",
    { failures: between(0, 1), calls: whole(1, 1_000), sigmas: between(0, 10) },
    ({ calls, failures, sigmas }) =>
      Effect.sync(() => {
        const adaptive = { min: 0.1, max: 0.8, sigmas, halfLifeMs: 1_000, minimumCalls: 10 }
        const baseline = { calls: 100, failures: 100 * failures, atMs: 0 }
        const limit = BreakerMath.threshold({ ...open(1, 1, 1, 0), adaptive }, baseline, calls)
        expect(limit).toBeGreaterThanOrEqual(0.1)
        expect(limit).toBeLessThanOrEqual(0.8)
        expect(limit).toBeGreaterThanOrEqual(Math.min(0.8, failures) - 1e-12)
      })
  )
})
