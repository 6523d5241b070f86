import * as DynamicTimeout from "../../../../packages/core/src/policy/DynamicTimeout.ts"
import { describe, expect, it } from "vitest"

describe("DynamicTimeout", () => {
  it("is (tokens ÷ rate + 0.5 s × messages) × safety factor", () => {
    const dynamic = DynamicTimeout.make({ tokensPerSecond: 50, safetyFactor: 2 })
    expect(dynamic.limitMs("m", 10, 2_000)).toBe((2_000 / 50 + 5) * 2 * 1000)
    expect(dynamic.limitMs("m", 10, undefined)).toBe(dynamic.limitMs("m", 10, 2_000))
  })

  it("stays between 30 s and 600 s, whatever it is given", () => {
    const dynamic = DynamicTimeout.make()
    expect(dynamic.limitMs("m", 1, 1)).toBe(30_000)
    expect(dynamic.limitMs("m", 1, 1_000_000)).toBe(600_000)
    expect(dynamic.limitMs("m", NaN, 100)).toBe(600_000)
    expect(dynamic.limitMs("m", -1e9, 100)).toBe(30_000)
  })

  it("learns the speed of each model, slowly, from answers long enough to mean something", () => {
    const dynamic = DynamicTimeout.make({ smoothing: 0.5 })
    dynamic.learn("fast", 1000, 10_000)
    dynamic.learn("fast", 2000, 10_000)
    dynamic.learn("slow", 100, 10_000)
    for (const [tokens, ms] of [
      [7, 1],
      [100, 0],
      [100, -5],
      [NaN, 100],
      [100, NaN],
      [Infinity, 1]
    ] as const) {
      dynamic.learn("slow", tokens, ms)
      dynamic.learn("unknown", tokens, ms)
    }
    expect(dynamic.snapshot()).toEqual([
      { key: "fast", tokensPerSecond: 150 },
      { key: "slow", tokensPerSecond: 10 }
    ])
    expect(dynamic.limitMs("slow", 0, 1000)).toBe(200_000)
    expect(dynamic.limitMs("unknown", 0, 1000)).toBe((1000 / 30) * 2000)
  })

  it("forgets the model not heard of for longest", () => {
    const dynamic = DynamicTimeout.make({ maxKeys: 2 })
    for (const key of ["a", "b", "a", "c"]) dynamic.learn(key, 100, 1000)
    expect(dynamic.snapshot().map((entry) => entry.key)).toEqual(["a", "c"])
  })

  it("refuses wrong options by name", () => {
    for (const field of ["tokensPerSecond", "outputTokens", "safetyFactor", "smoothing", "maxKeys"] as const) {
      for (const wrong of [NaN, Infinity, -1, 0]) {
        expect(() => DynamicTimeout.make({ [field]: wrong })).toThrow(new RegExp(`dynamic.${field} is`))
      }
    }
    expect(() => DynamicTimeout.make({ min: "2 minutes", max: "1 minute" })).toThrow(/dynamic.max is/)
  })
})
