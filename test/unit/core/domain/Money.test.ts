import { Money } from "@breakwater/core"
import { describe, expect, it } from "@effect/vitest"
import * as Schema from "effect/Schema"

describe("Money", () => {
  it("reads decimal texts digit by digit", () => {
    expect(Money.parse("12.50")).toBe(12_500_000_000n)
    expect(Money.parse("$0.000000001")).toBe(1n)
    expect(Money.parse("-3")).toBe(-3_000_000_000n)
    expect(Money.parse(".5")).toBe(500_000_000n)
    expect(Money.parse("1.5e-6")).toBe(1_500n)
    expect(Money.parse(" 7 ")).toBe(7_000_000_000n)
    expect(Money.parse("123456789012345678.987654321")).toBe(123456789012345678_987654321n)
  })

  it("takes a number for its shortest decimal, so that a tenth is a tenth", () => {
    expect(Money.parse(0.1)).toBe(100_000_000n)
    expect(Money.parse(1e-9)).toBe(1n)
    expect(Money.parse(0.1 + 0.2)).toBeUndefined() // 0.30000000000000004 is finer than a nano-dollar
    expect(Money.fromReported(0.1 + 0.2)).toBe(300_000_000n)
  })

  it("takes a bigint for nano-dollars", () => {
    expect(Money.parse(5n)).toBe(5n)
  })

  it.each(["", ".", "$", "1,000", "1.2.3", "0x10", "NaN", "Infinity", "ten", "1e99999", "--1", "1 2"])(
    "refuses %j",
    (text) => {
      expect(Money.parse(text)).toBeUndefined()
    }
  )

  it.each([Number.NaN, Infinity, -Infinity])("refuses %s", (value) => {
    expect(Money.parse(value)).toBeUndefined()
    expect(Money.fromReported(value)).toBeUndefined()
  })

  it("refuses what is finer than a nano-dollar, or rounds it where somebody else computed it", () => {
    expect(Money.parse("0.0000000001")).toBeUndefined()
    expect(Money.fromReported(0.0000000004)).toBe(0n)
    expect(Money.fromReported(0.0000000005)).toBe(1n)
  })

  it("rounds to the nearest, halves upward, on both sides of zero", () => {
    expect([7n, 5n, 4n, -4n, -5n, -7n].map((amount) => Money.divide(amount, 10n))).toEqual([1n, 1n, 0n, 0n, 0n, -1n])
    expect(Money.divide(-15n, 10n)).toBe(-1n)
    expect(Money.divide(-16n, 10n)).toBe(-2n)
    expect(Money.divide(-20n, 10n)).toBe(-2n)
  })

  it("writes amounts exactly", () => {
    expect(Money.format(12_500_000_000n)).toBe("$12.50")
    expect(Money.format(1n)).toBe("$0.000000001")
    expect(Money.format(-1_230_000_000n)).toBe("-$1.23")
    expect(Money.format(0n)).toBe("$0.00")
    expect(Money.toDecimal(100_000_000n)).toBe("0.10")
  })

  it.prop("what is written is read as the same amount", { amount: Schema.BigInt }, ({ amount: any }) => {
    const amount = any % 10n ** 60n
    expect(Money.parse(Money.toDecimal(amount))).toBe(amount)
    expect(Money.parse(Money.format(amount))).toBe(amount)
  })
})
