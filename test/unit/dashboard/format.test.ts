import { describe, expect, it } from "vitest"
import * as F from "../../../packages/dashboard/web/lib/format.ts"

// The texts are those of the reader's language; these are the English ones.
const english = new Intl.NumberFormat().resolvedOptions().locale.startsWith("en")

describe.skipIf(!english)("numbers as text", () => {
  it.each([
    [0, "0"],
    [9_999, "9,999"],
    [12_345, "12.3K"],
    [3_400_000, "3.4M"]
  ])("%d is compact as %s", (value, text) => expect(F.compact(value)).toBe(text))

  it.each([
    [0, "0ms"],
    [0.4, "0.4ms"],
    [7.6, "8ms"],
    [412, "412ms"],
    [999.4, "999ms"],
    [999.6, "1s"],
    [1_240, "1.24s"],
    [59_940, "59.9s"],
    [59_960, "1m"],
    [200_000, "3m 20s"],
    [3_599_600, "1h"],
    [7_500_000, "2h 5m"],
    [86_400_000, "1d"],
    [273_600_000, "3d 4h"],
    [-5, "0ms"]
  ])("%d ms is %s", (ms, text) => expect(F.duration(ms)).toBe(text))

  it("counts down in whole seconds, and says none only when there is none", () => {
    expect(F.countdown(1)).toBe("1s")
    expect(F.countdown(24_001)).toBe("25s")
    expect(F.countdown(-3)).toBe("0ms")
  })

  it.each([
    [0, "0%"],
    [0.5, "50%"],
    [0.7381, "73.8%"],
    [0.9906, "99.06%"],
    [0.99999, "99.99%"],
    [1, "100%"]
  ])("%d is %s", (share, text) => expect(F.percent(share)).toBe(text))

  it.each([
    [0, "$0.00"],
    [1_148.233, "$1,148.23"],
    [0.5, "$0.50"],
    [0.00312, "$0.0031"],
    [0.0000004, "$0.0000004"],
    [-2, "-$2.00"]
  ])("%d dollars are %s", (dollars, text) => expect(F.money(dollars)).toBe(text))

  it("says how long ago", () => {
    expect(F.ago(1_000_000, 1_012_000)).toBe("12 seconds ago")
    expect(F.ago(1_000_000, 1_000_000 + 3 * 3_600_000)).toBe("3 hours ago")
  })

  it("tells bytes", () => {
    expect(F.bytes(0)).toBe("0 bytes")
    expect(F.bytes(18_221_001)).toBe("17.4 MB")
  })
})

describe("what is not known", () => {
  it.each([undefined, null, Number.NaN, Number.POSITIVE_INFINITY])("%s is a dash", (value) => {
    for (const format of [F.count, F.compact, F.percent, F.duration, F.money, F.bytes, F.clockTime]) {
      expect(format(value)).toBe(F.nothing)
    }
  })

  it("has no ratio", () => {
    expect(F.ratio(0, 0)).toBeUndefined()
    expect(F.ratio(1, 4)).toBe(0.25)
  })
})

describe("nano-dollars", () => {
  it("are dollars, or nothing", () => {
    expect(F.dollarsOf("1500000000")).toBe(1.5)
    expect(F.dollarsOf(undefined)).toBeUndefined()
    expect(F.dollarsOf(null)).toBeUndefined()
    expect(F.dollarsOf("much")).toBeUndefined()
  })

  it("are added exactly", () => {
    expect(F.addNanos(["9007199254740993", undefined, "1", "-2", "junk"])).toBe(9_007_199_254_740_992n)
  })
})

describe("names of errors", () => {
  it.each([
    ["RateLimitError", "rate limit"],
    ["ServerError", "server error"],
    ["AllTargetsFailedError", "all targets failed"],
    ["TransportError", "transport error"]
  ])("%s is %s", (tag, name) => expect(F.errorName(tag)).toBe(name))
})
