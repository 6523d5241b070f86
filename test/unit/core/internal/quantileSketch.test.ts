import { QuantileSketch } from "../../../../packages/core/src/internal/quantileSketch.ts"
import { describe, expect, it } from "vitest"

describe("QuantileSketch", () => {
  it("is all zeros without a time", () => {
    const sketch = new QuantileSketch()
    expect([sketch.count, sketch.quantile(0.5), sketch.meanMs(), sketch.maxMs()]).toEqual([0, 0, 0, 0])
    expect(sketch.state()).toEqual({ zero: 0, bins: [], sumMicros: 0, minMs: 0, maxMs: 0 })
  })

  it("leaves out what is no time", () => {
    const sketch = new QuantileSketch()
    for (const wrong of [NaN, -1, -Infinity]) sketch.add(wrong)
    expect(sketch.count).toBe(0)
  })

  it("takes times of any size into a bounded number of bins", () => {
    const sketch = new QuantileSketch()
    for (let exponent = -20; exponent < 300; exponent++) {
      for (let step = 0; step < 100; step++) sketch.add((1 + step / 10) * 10 ** exponent)
    }
    sketch.add(Infinity)
    expect(sketch.count).toBe(32_001)
    expect(sketch.state().bins.length / 2).toBeLessThanOrEqual(1_383)
    expect(sketch.maxMs()).toBe(1e9)
    expect(sketch.quantile(0)).toBeLessThan(1e-3)
  })

  it("knows the largest and the mean exactly", () => {
    const sketch = new QuantileSketch()
    for (const ms of [1, 2, 3, 1234.567]) sketch.add(ms)
    expect(sketch.maxMs()).toBe(1234.567)
    expect(sketch.quantile(1)).toBeLessThanOrEqual(1234.567)
    expect(sketch.meanMs()).toBeCloseTo((6 + 1234.567) / 4, 3)
  })

  it("begins anew when it is cleared", () => {
    const sketch = new QuantileSketch()
    sketch.add(5)
    sketch.clear()
    sketch.add(100)
    expect([sketch.count, sketch.maxMs(), sketch.quantile(0)]).toEqual([1, 100, 100])
  })

  it("does not break on bins that no sketch makes", () => {
    const sketch = new QuantileSketch()
    sketch.merge({ zero: 0, bins: [-1e9, 1, 1e9, 1, 5], sumMicros: 2, minMs: 0, maxMs: 1 })
    expect(sketch.count).toBe(2)
    expect(sketch.state().bins.length).toBe(4)
  })
})
