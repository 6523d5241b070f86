/**
 * Knows what models cost.
 *
 * **When to use**
 *
 * Use a table of your own for negotiated or local prices, `Prices.layer` of `@breakwater/prices` for the published
 * ones, and both together with `overrides`. A budget and a ledger need one or the other.
 *
 * **Details**
 *
 * Prices are written as people publish them, in dollars for a million tokens, as decimal texts or numbers; they are
 * read exactly and kept as whole pico-dollars a token. A cost is rounded once, to the nearest nano-dollar. The cost that a
 * provider itself reported wins over any table. A model that is in no table has no cost: `UnpricedModelError`, never zero.
 *
 * **Example** (A price, and what an answer costs)
 *
 * ```ts
 * import { Money, Pricing } from "@breakwater/core"
 *
 * const pricing = Pricing.makeTable({ "openai/gpt-4o": { input: "2.50", cachedInput: "1.25", output: "10" } })
 * const cost = pricing.cost({
 *   provider: "openai",
 *   model: "gpt-4o",
 *   usage: { inputTokens: 1_000, cachedInputTokens: 400, outputTokens: 100 },
 *   atMs: 0
 * })
 * console.log(typeof cost === "bigint" && Money.format(cost)) // => "$0.003"
 * ```
 */
import type * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Money from "../domain/Money.ts"
import {
  type CostQuery,
  type ModelPrice,
  type PriceOrigin,
  type PriceTier,
  Pricing,
  type PricingService,
  type TokenRates
} from "../domain/Price.ts"
import { UnpricedModelError } from "../errors/LLMError.ts"
import { type Check, optionError, validateOrThrow, wholeInRange } from "../internal/options.ts"
import { costOf } from "../internal/priceArithmetic.ts"
import { rejection } from "../internal/rejection.ts"

export { Pricing } from "../domain/Price.ts"
export type {
  CostQuery,
  ModelPrice,
  PriceOrigin,
  PriceTier,
  PricingService,
  ServiceMode,
  TokenRates
} from "../domain/Price.ts"

/** Dollars for a million tokens: `"2.50"` or `2.5`. At most six decimals. */
export type Rate = string | number

/** The rates of a model as they are published. A kind left out costs what its whole costs. */
export type Rates = { readonly [Kind in keyof TokenRates]: Rate }

/** A price as it is published. */
export interface PriceOptions extends Rates {
  /** Rates of requests whose prompt is above a size, for all of their tokens. */
  readonly tiers?: ReadonlyArray<Rates & { readonly above: number }>
  /** Dollars for each request. At most twelve decimals. */
  readonly request?: Rate
  /** Factors for other modes of service, as in `{ batch: "0.5" }`; from 0 to 100, at most three decimals. */
  readonly modes?: { readonly [Mode in keyof NonNullable<ModelPrice["modes"]>]: Rate }
  /** The largest answer, in tokens. */
  readonly maxOutputTokens?: number
  /** Prompt and answer together, in tokens. */
  readonly contextWindow?: number
}

/** Prices by `provider/model`. */
export type Table = Readonly<Record<string, PriceOptions>>

/** Options of {@link make} and {@link layer}. */
export interface Options {
  /** Says where the prices are from. Default: `table`, without a version. */
  readonly origin?: PriceOrigin
  /** Asked for models that are not in the table. */
  readonly fallback?: PricingService
}

const kinds = [
  "input",
  "output",
  "cachedInput",
  "cacheWrite",
  "longCacheWrite",
  "reasoning",
  "audioInput",
  "audioOutput",
  "imageInput",
  "imageOutput"
] as const satisfies ReadonlyArray<keyof TokenRates>

/** Reads a rate or adds what is wrong with it. Beyond a million dollars it is a slip of the pen. */
const read = (checks: Array<Check>, field: string, value: Rate, digits: number, max: bigint): bigint => {
  const parsed =
    typeof value === "number" && !Number.isFinite(value) ? undefined : Money.parseScaled(String(value), digits)
  if (parsed !== undefined && parsed >= 0n && parsed <= max * 10n ** BigInt(digits)) return parsed
  checks.push(optionError(field, value, `a decimal number from 0 to ${max} with at most ${digits} decimals`))
  return 0n
}

const readRates = (checks: Array<Check>, at: string, rates: Rates): TokenRates => {
  const out: { -readonly [K in keyof TokenRates]?: bigint } = {}
  for (const kind of kinds) {
    const value = rates[kind]
    if (value !== undefined) out[kind] = read(checks, `${at}.${kind}`, value, 6, 1_000_000n)
    else if (kind === "input" || kind === "output") checks.push(optionError(`${at}.${kind}`, value, "a rate"))
  }
  return out as TokenRates
}

/**
 * Reads a published price. Throws a `ConfigError` that names the field for a rate that is no number, negative, or finer
 * than the unit, and for tiers that are not in ascending order.
 */
export const price = (options: PriceOptions, name = "price"): ModelPrice => {
  const checks: Array<Check> = []
  const out: { -readonly [K in keyof ModelPrice]: ModelPrice[K] } = readRates(checks, name, options)
  if (options.tiers !== undefined && options.tiers.length > 0) {
    out.tiers = options.tiers.map((tier, index): PriceTier => {
      const above = index === 0 ? 0 : options.tiers![index - 1]!.above + 1
      checks.push(wholeInRange(`${name}.tiers[${index}].above`, tier.above, above))
      return { above: tier.above, ...readRates(checks, `${name}.tiers[${index}]`, tier) }
    })
  }
  if (options.request !== undefined) out.request = read(checks, `${name}.request`, options.request, 12, 1_000_000n)
  if (options.modes !== undefined) {
    const modes: Record<string, bigint> = {}
    for (const [mode, factor] of Object.entries(options.modes)) {
      modes[mode] = read(checks, `${name}.modes.${mode}`, factor, 3, 100n)
    }
    out.modes = modes
  }
  for (const field of ["maxOutputTokens", "contextWindow"] as const) {
    const value = options[field]
    if (value === undefined) continue
    checks.push(wholeInRange(`${name}.${field}`, value, 1))
    out[field] = value
  }
  validateOrThrow(checks)
  return out
}

const unpriced = (query: CostQuery): UnpricedModelError => {
  const mode = query.mode === undefined || query.mode === "standard" ? "" : ` in mode ${query.mode}`
  return rejection(UnpricedModelError, "UnpricedModelError", {
    message: `There is no price for ${query.provider}/${query.model}${mode}`,
    provider: query.provider,
    model: query.model
  })
}

/** A service from a way to find prices. Looking up happens on the hot path: it must be quick, and must not throw. */
export const fromLookup = (origin: PriceOrigin, priceOf: PricingService["priceOf"]): PricingService => ({
  origin,
  priceOf,
  cost: (query) => {
    const { model, provider, usage } = query
    if (usage.reportedCostUsd !== undefined && usage.reportedCostUsd >= 0) {
      const reported = Money.fromReported(usage.reportedCostUsd)
      if (reported !== undefined) return reported
    }
    const price = priceOf(provider, model, query.atMs)
    return (price === undefined ? undefined : costOf(price, usage, query.mode)) ?? unpriced(query)
  }
})

/** Prices from a table. Throws a `ConfigError` for a wrong price. */
export const makeTable = (table: Table, options: Options = {}): PricingService => {
  const prices = new Map<string, Map<string, ModelPrice>>()
  for (const [target, entry] of Object.entries(table)) {
    const slash = target.indexOf("/")
    if (slash <= 0 || slash + 1 === target.length) {
      throw optionError("prices", target, "keys of the form provider/model")
    }
    const provider = target.slice(0, slash)
    const models = prices.get(provider) ?? new Map<string, ModelPrice>()
    prices.set(provider, models.set(target.slice(slash + 1), price(entry, target)))
  }
  const { fallback } = options
  const own: PriceOrigin = options.origin ?? { name: "table", version: "" }
  const origin =
    fallback === undefined ? own : { name: `${own.name}, ${fallback.origin.name}`, version: fallback.origin.version }
  return fromLookup(
    origin,
    (provider, model, atMs) => prices.get(provider)?.get(model) ?? fallback?.priceOf(provider, model, atMs)
  )
}

/** {@link makeTable}, failing with the `ConfigError`. */
export const make = (table: Table, options?: Options): Effect.Effect<PricingService, Config.ConfigError> =>
  Effect.try({ try: () => makeTable(table, options), catch: (error) => error as Config.ConfigError })

/** Prices from a table, and from a `fallback` where the table has none. Fails with a `ConfigError` for a wrong price. */
export const layer = (table: Table, options?: Options): Layer.Layer<Pricing, Config.ConfigError> =>
  Layer.effect(
    Pricing,
    Effect.map(make(table, options), (prices) => ({ prices }))
  )

/** Prices from a service at hand. */
export const layerFrom = (prices: PricingService): Layer.Layer<Pricing> => Layer.succeed(Pricing, { prices })

/** No prices, at no cost: answers do not say what they cost. */
export const layerNoop: Layer.Layer<Pricing> = Layer.succeed(Pricing, { prices: undefined })
