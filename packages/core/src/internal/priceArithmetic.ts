/**
 * What a usage costs at a price. Whole numbers throughout; one rounding, at the end, to the nearest nano-dollar.
 */
import { divide, type NanoDollars } from "../domain/Money.ts"
import type { ModelPrice, ServiceMode, TokenRates } from "../domain/Price.ts"
import type { Usage } from "../domain/Usage.ts"

/** The rates for a prompt of this size. */
const ratesFor = (price: ModelPrice, inputTokens: number): TokenRates => {
  let rates: TokenRates = price
  if (price.tiers !== undefined) {
    for (const tier of price.tiers) if (inputTokens > tier.above) rates = tier
  }
  return rates
}

/**
 * Thousandths of the standard rates; `undefined` if the mode has no price. A mode that is cheaper by its nature costs
 * at most the standard rates, so those stand in for it; a dearer one has no such bound.
 */
const factorOf = (price: ModelPrice, mode: ServiceMode): bigint | undefined =>
  mode === "standard" ? 1000n : (price.modes?.[mode] ?? (mode === "priority" ? undefined : 1000n))

/**
 * Pico-dollars of the tokens. The parts of a prompt (cached, written, audio, images) are taken from its total in this
 * order, each at most what is left, so that counts that contradict each other cannot make a negative rest.
 */
const tokenCost = (rates: TokenRates, usage: Usage): bigint => {
  let total = 0n
  let left = usage.inputTokens
  const take = (count: number | undefined, rate: bigint): void => {
    if (count === undefined || count <= 0) return
    const taken = count < left ? count : left
    left -= taken
    total += BigInt(taken) * rate
  }
  const write = rates.cacheWrite ?? rates.input
  take(usage.cachedInputTokens, rates.cachedInput ?? rates.input)
  if (usage.cacheWriteTokens !== undefined) {
    const long = Math.min(usage.longCacheWriteTokens ?? 0, usage.cacheWriteTokens)
    take(long, rates.longCacheWrite ?? write)
    take(usage.cacheWriteTokens - long, write)
  }
  take(usage.audioInputTokens, rates.audioInput ?? rates.input)
  take(usage.imageInputTokens, rates.imageInput ?? rates.input)
  total += BigInt(left) * rates.input
  left = usage.outputTokens
  take(usage.audioOutputTokens, rates.audioOutput ?? rates.output)
  take(usage.imageOutputTokens, rates.imageOutput ?? rates.output)
  take(usage.reasoningTokens, rates.reasoning ?? rates.output)
  return total + BigInt(left) * rates.output
}

/** Nano-dollars of a usage; `undefined` if the mode has no price. */
export const costOf = (price: ModelPrice, usage: Usage, mode: ServiceMode = "standard"): NanoDollars | undefined => {
  const factor = factorOf(price, mode)
  if (factor === undefined) return undefined
  const tokens = tokenCost(ratesFor(price, usage.inputTokens), usage)
  const request = price.request ?? 0n
  return factor === 1000n ? divide(tokens + request, 1000n) : divide(tokens * factor + request * 1000n, 1_000_000n)
}

const most = (first: bigint, ...others: ReadonlyArray<bigint | undefined>): bigint => {
  let max = first
  for (const each of others) if (each !== undefined && each > max) max = each
  return max
}

interface WorstRates {
  readonly input: bigint
  readonly output: bigint
  /** The same as doubles, for sums that a double holds. */
  readonly inputDouble: number
  readonly outputDouble: number
}

const worstRates = new WeakMap<TokenRates, WorstRates>()

/** The dearest a token of the prompt and one of the answer can be. */
const worstOf = (rates: TokenRates): WorstRates => {
  let worst = worstRates.get(rates)
  if (worst === undefined) {
    const { audioInput, audioOutput, cacheWrite, imageInput, imageOutput, input, longCacheWrite, output, reasoning } =
      rates
    const dearestInput = most(input, rates.cachedInput, cacheWrite, longCacheWrite, audioInput, imageInput)
    const dearestOutput = most(output, reasoning, audioOutput, imageOutput)
    worst = {
      input: dearestInput,
      output: dearestOutput,
      inputDouble: Number(dearestInput),
      outputDouble: Number(dearestOutput)
    }
    worstRates.set(rates, worst)
  }
  return worst
}

/**
 * Nano-dollars that a request of this size can cost at most, rounded up: every token of the dearest kind, in the
 * dearest tier a prompt of at most this size can be in.
 */
export const worstCost = (
  price: ModelPrice,
  inputTokens: number,
  outputTokens: number,
  mode: ServiceMode = "standard"
): NanoDollars | undefined => {
  if (mode === "standard" && price.tiers === undefined && price.request === undefined) {
    const { inputDouble, outputDouble } = worstOf(price)
    const pico = inputTokens * inputDouble + outputTokens * outputDouble
    // Had anything been rounded, a rate among it, the sum would be too large to be safe.
    if (Number.isSafeInteger(pico)) {
      const rest = pico % 1000
      return BigInt((pico - rest) / 1000 + (rest > 0 ? 1 : 0))
    }
  }
  const factor = factorOf(price, mode)
  if (factor === undefined) return undefined
  let { input, output } = worstOf(price)
  for (const tier of price.tiers ?? []) {
    if (inputTokens <= tier.above) continue
    const worst = worstOf(tier)
    input = most(input, worst.input)
    output = most(output, worst.output)
  }
  const pico = (BigInt(inputTokens) * input + BigInt(outputTokens) * output) * factor + (price.request ?? 0n) * 1000n
  return (pico + 999_999n) / 1_000_000n
}
