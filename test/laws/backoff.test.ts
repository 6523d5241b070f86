import * as Backoff from "../../packages/core/src/internal/backoff.ts"
import * as RetryBudget from "../../packages/core/src/internal/retryBudget.ts"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

const between = (minimum: number, maximum: number) => Schema.Finite.check(Schema.isBetween({ minimum, maximum }))
const whole = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

const Base = between(0.001, 1e6)
const Factor = between(1, 1000)
const Cap = between(1, 1e9)
const Attempt = whole(1, 1_100)
const Unit = between(0, 1)
const JitterKind = Schema.Union([
  Schema.Literals(["none", "full", "equal"]),
  Schema.Struct({ proportional: between(0, 1) })
])

const all = (base: number, factor: number, cap: number): ReadonlyArray<Backoff.Delays> => [
  Backoff.constant(base, cap),
  Backoff.linear(base, base * factor, cap),
  Backoff.exponential(base, factor, cap),
  Backoff.fibonacci(base, cap)
]

describe("laws of the delays", () => {
  it.effect.prop(
    "a delay is finite, not negative and at most the cap, up to 1,100 attempts",
    {
      base: Base,
      factor: Factor,
      cap: Cap,
      attempt: Attempt,
      jitter: JitterKind,
      u: Unit
    },
    ({ attempt, base, cap, factor, jitter, u }) =>
      Effect.sync(() => {
        for (const delays of all(base, factor, cap)) {
          for (const delay of [delays(attempt), delays(1_100), Backoff.spread(jitter, delays(attempt), u)]) {
            expect(Number.isFinite(delay)).toBe(true)
            expect(delay).toBeGreaterThanOrEqual(0)
            expect(delay).toBeLessThanOrEqual(cap)
          }
        }
      })
  )

  it.effect.prop(
    "delays do not fall from one attempt to the next",
    { base: Base, factor: Factor, cap: Cap, attempt: Attempt },
    ({ attempt, base, cap, factor }) =>
      Effect.sync(() => {
        for (const delays of all(base, factor, cap)) {
          expect(delays(attempt + 1)).toBeGreaterThanOrEqual(delays(attempt))
        }
      })
  )

  it.effect.prop(
    "a higher cap gives no shorter delay, and a cap is the shorter of delay and cap",
    {
      base: Base,
      factor: Factor,
      cap: Cap,
      more: Cap,
      attempt: Attempt
    },
    ({ attempt, base, cap, factor, more }) =>
      Effect.sync(() => {
        const lower = all(base, factor, cap)
        const higher = all(base, factor, cap + more)
        lower.forEach((delays, i) => {
          expect(higher[i]!(attempt)).toBeGreaterThanOrEqual(delays(attempt))
          expect(delays(attempt)).toBe(Math.min(cap, higher[i]!(attempt)))
        })
      })
  )

  it.effect.prop(
    "union is the shorter and intersection the longer; both commute and each absorbs the other",
    {
      base: Base,
      factor: Factor,
      cap: Cap,
      attempt: Attempt
    },
    ({ attempt, base, cap, factor }) =>
      Effect.sync(() => {
        const many = all(base, factor, cap)
        for (const a of many) {
          for (const b of many) {
            const union = Backoff.union(a, b)
            const intersection = Backoff.intersection(a, b)
            expect(union(attempt)).toBe(Math.min(a(attempt), b(attempt)))
            expect(intersection(attempt)).toBe(Math.max(a(attempt), b(attempt)))
            expect(union(attempt)).toBe(Backoff.union(b, a)(attempt))
            expect(intersection(attempt)).toBe(Backoff.intersection(b, a)(attempt))
            expect(Backoff.union(a, intersection)(attempt)).toBe(a(attempt))
            expect(Backoff.intersection(a, union)(attempt)).toBe(a(attempt))
          }
        }
      })
  )

  it.effect.prop(
    "a decorrelated run stays between base and cap and never more than triples",
    {
      base: between(0.001, 1000),
      cap: between(1000, 1e6),
      draws: Schema.Array(Unit)
    },
    ({ base, cap, draws }) =>
      Effect.sync(() => {
        let previous = base
        draws.forEach((u, i) => {
          const next = Backoff.decorrelated(base, cap, previous, u)
          expect(next).toBeGreaterThanOrEqual(base * (1 - 1e-9))
          expect(next).toBeLessThanOrEqual(Math.min(cap, 3 * previous * (1 + 1e-9)))
          expect(next).toBeLessThanOrEqual(Backoff.exponential(3 * base, 3, cap)(i + 1) * (1 + 1e-9))
          previous = next
        })
      })
  )

  it.effect.prop(
    "jitter grows with its draw and keeps its floor",
    {
      jitter: JitterKind,
      delay: between(0, 1e6),
      a: Unit,
      b: Unit
    },
    ({ a, b, delay, jitter }) =>
      Effect.sync(() => {
        const low = Backoff.spread(jitter, delay, Math.min(a, b))
        const high = Backoff.spread(jitter, delay, Math.max(a, b))
        expect(low).toBeLessThanOrEqual(high)
        if (typeof jitter === "object") {
          expect(low).toBeGreaterThanOrEqual(delay * (1 - jitter.proportional) - 1e-6)
        }
      })
  )

  it.effect.prop(
    "a hint is never undercut and never passed by more than its headroom",
    {
      delay: between(0, 1e6),
      hint: between(0, 1e6),
      u: Unit
    },
    ({ delay, hint, u }) =>
      Effect.sync(() => {
        const wait = Backoff.raiseToHint(delay, hint, 0.1, u)
        expect(wait).toBeGreaterThanOrEqual(Math.max(delay, hint))
        expect(wait).toBeLessThanOrEqual(Math.max(delay, hint * 1.1) + 1e-6)
      })
  )
})

describe("laws of the retry budget", () => {
  const settings = { capacity: 500, retryCost: 5, timeoutCost: 10, successRefund: 1 }

  it.effect.prop(
    "a refund never passes the capacity and never takes away",
    {
      tokens: between(0, 500),
      spent: between(0, 1000)
    },
    ({ spent, tokens }) =>
      Effect.sync(() => {
        const after = RetryBudget.refund(tokens, spent, settings)
        expect(after).toBeGreaterThanOrEqual(tokens)
        expect(after).toBeLessThanOrEqual(500)
      })
  )

  it.effect.prop(
    "a ratio never allows more than its share of the calls and its floor in a window",
    {
      calls: whole(0, 1000),
      steps: Schema.Array(whole(0, 4_000))
    },
    ({ calls, steps }) =>
      Effect.sync(() => {
        const ratio = { ratio: 0.2, minPerSecond: 10, windowMs: 10_000 }
        let nowMs = 0
        const window = RetryBudget.emptyWindow(nowMs)
        window.calls = calls
        let allowed = 0
        for (const step of steps) {
          if (nowMs + step >= 10_000) break
          nowMs += step
          RetryBudget.slide(window, nowMs, ratio.windowMs)
          for (let i = 0; i < 200; i++) {
            if (RetryBudget.ratioLeft(window, nowMs, ratio) < 1) break
            window.retries += 1
            allowed += 1
          }
        }
        expect(allowed).toBeLessThanOrEqual(Math.floor(calls * 0.2 + 100 + 1e-9))
      })
  )
})
