import * as Backoff from "../../../../packages/core/src/internal/backoff.ts"
import { describe, expect, it } from "vitest"

const first = (delays: Backoff.Delays, count: number) => Array.from({ length: count }, (_, i) => delays(i + 1))

describe("backoff", () => {
  it("is constant, linear, exponential or Fibonacci, up to the cap", () => {
    expect(first(Backoff.constant(100, 1000), 3)).toEqual([100, 100, 100])
    expect(first(Backoff.linear(100, 50, 220), 5)).toEqual([100, 150, 200, 220, 220])
    expect(first(Backoff.exponential(100, 2, 1000), 6)).toEqual([100, 200, 400, 800, 1000, 1000])
    expect(first(Backoff.fibonacci(100, 700), 8)).toEqual([100, 100, 200, 300, 500, 700, 700, 700])
  })

  it("cuts a base above the cap", () => {
    for (const delays of [
      Backoff.constant(500, 100),
      Backoff.linear(500, 1, 100),
      Backoff.exponential(500, 2, 100),
      Backoff.fibonacci(500, 100)
    ])
      expect(delays(1)).toBe(100)
  })

  it("draws the decorrelated delay from the base to three times the one before", () => {
    expect(Backoff.decorrelated(100, 1000, 200, 0)).toBe(100)
    expect(Backoff.decorrelated(100, 1000, 200, 0.5)).toBe(350)
    expect(Backoff.decorrelated(100, 1000, 200, 1)).toBe(600)
    expect(Backoff.decorrelated(100, 500, 200, 1)).toBe(500)
  })

  it("spreads downwards, each kind of jitter over its own range", () => {
    expect([0, 0.5, 1].map((u) => Backoff.spread("none", 100, u))).toEqual([100, 100, 100])
    expect([0, 0.5, 1].map((u) => Backoff.spread("full", 100, u))).toEqual([0, 50, 100])
    expect([0, 0.5, 1].map((u) => Backoff.spread("equal", 100, u))).toEqual([50, 75, 100])
    expect([0, 0.5, 1].map((u) => Backoff.spread({ proportional: 0.2 }, 100, u))).toEqual([80, 90, 100])
  })

  it("raises a delay to a hint and never shortens either", () => {
    expect(Backoff.raiseToHint(50, 1000, 0.1, 0)).toBe(1000)
    expect(Backoff.raiseToHint(50, 1000, 0.1, 1)).toBe(1100)
    expect(Backoff.raiseToHint(5000, 1000, 0.1, 1)).toBe(5000)
  })
})
