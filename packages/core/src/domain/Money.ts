/**
 * Amounts of money, as whole nano-dollars (10⁻⁹ US dollars) in a `bigint`.
 *
 * Prices of tokens are fractions of a cent, and budgets add millions of them up: in floats the sum would not be the
 * sum. Decimal texts are read digit by digit; where a number must be rounded, it is to the nearest, halves upward.
 *
 * **Example** (Reading and writing an amount)
 *
 * ```ts
 * import { Money } from "@breakwater/core"
 *
 * const limit = Money.parse("12.50")
 * console.log(limit) // => 12500000000n
 * console.log(Money.format(12_500_000_000n)) // => "$12.50"
 * console.log(Money.format(3_150n)) // => "$0.00000315"
 * ```
 */

/** An amount in whole nano-dollars. */
export type NanoDollars = bigint

/**
 * An amount as a person writes it: a decimal text of dollars (`"12.50"`, `"$0.01"`), a number of dollars (read by its
 * shortest decimal, so `0.1` is ten cents exactly), or a `bigint` of nano-dollars.
 */
export type Input = bigint | number | string

/** Nano-dollars in a dollar. */
export const perDollar = 1_000_000_000n

const decimal = /^([+-]?)\$?(\d*)(?:\.(\d*))?(?:e([+-]?\d{1,4}))?$/i

/**
 * Reads a decimal text as a whole number of 10⁻ᵈⁱᵍⁱᵗˢ. Without `round`, a text that has more digits than that is
 * `undefined`, as is one that is no number.
 */
export const parseScaled = (text: string, digits: number, round = false): bigint | undefined => {
  const match = decimal.exec(text.trim())
  if (match === null) return undefined
  const [, sign, whole = "", fraction = "", exponent = "0"] = match
  if (whole.length + fraction.length === 0 || whole.length + fraction.length > 400) return undefined
  const shift = digits - fraction.length + Number(exponent)
  if (shift > 400) return undefined
  const units = BigInt(whole + fraction)
  if (shift >= 0) return (sign === "-" ? -1n : 1n) * units * 10n ** BigInt(shift)
  const divisor = 10n ** BigInt(Math.min(-shift, 1000))
  const signed = sign === "-" ? -units : units
  return !round && units % divisor !== 0n ? undefined : divide(signed, divisor)
}

/** The quotient to the nearest whole number, halves upward. `divisor` is above 0. */
export const divide = (amount: bigint, divisor: bigint): bigint => {
  const doubled = 2n * amount + divisor
  const quotient = doubled / (2n * divisor)
  return doubled < 0n && doubled % (2n * divisor) !== 0n ? quotient - 1n : quotient
}

/** Reads an amount exactly; `undefined` for what is no amount, or is finer than a nano-dollar. */
export const parse = (input: Input): NanoDollars | undefined => {
  if (typeof input === "bigint") return input
  return typeof input === "number" && !Number.isFinite(input) ? undefined : parseScaled(String(input), 9)
}

/** Reads a number of dollars that somebody else computed, to the nearest nano-dollar; `undefined` unless it is finite. */
export const fromReported = (usd: number): NanoDollars | undefined =>
  Number.isFinite(usd) ? parseScaled(String(usd), 9, true) : undefined

/** The amount in dollars as an exact decimal text, with at least two decimals. */
export const toDecimal = (amount: NanoDollars): string => {
  const digits = (amount < 0n ? -amount : amount).toString().padStart(10, "0")
  const fraction = digits.slice(-9).replace(/0{1,7}$/, "")
  return `${amount < 0n ? "-" : ""}${digits.slice(0, -9)}.${fraction}`
}

/** The amount for people: `$12.50`, exact. */
export const format = (amount: NanoDollars): string => {
  const text = toDecimal(amount)
  return text.startsWith("-") ? `-$${text.slice(1)}` : `$${text}`
}
