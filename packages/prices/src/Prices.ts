/**
 * The published prices of about 1,300 models, from the price list of `@pydantic/genai-prices`.
 *
 * **When to use**
 *
 * Use it for budgets, ledgers and the cost of answers, without a price list of your own to keep. `overrides` are for
 * what you pay instead of the published price, and for what is not in the list.
 *
 * **Details**
 *
 * A model is looked up once, by its exact or matched name at the provider; its rates are converted to whole numbers then,
 * and every cost is computed from those. Prices that depend on the hour are looked up again every minute. Fees of a
 * provider's own tools (web searches and the like) are not counted: no usage tells how many there were.
 *
 * **Gotchas**
 *
 * The list is as old as its version: see {@link origin}. Providers are known by their own names; a server of another
 * name (a local one, a proxy) has no price until `providers` says whose prices hold there, or `free` that there are none.
 *
 * **Example** (What an answer costs)
 *
 * ```ts
 * import { Money } from "@breakwater/core"
 * import { Prices } from "@breakwater/prices"
 *
 * const prices = Prices.makeUnsafe()
 * const cost = prices.cost({
 *   provider: "openai",
 *   model: "gpt-4o",
 *   usage: { inputTokens: 1_000_000, outputTokens: 0 },
 *   atMs: Date.now()
 * })
 * console.log(typeof cost === "bigint" && Money.format(cost)) // => "$2.50"
 * ```
 */
import { Options as Check, Pricing } from "@breakwater/core"
import * as GenaiPrices from "@pydantic/genai-prices"
import type * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { toModelPrice } from "./internal/convert.ts"

/** Where the prices are from. The list carries no date; this is the day its version was published. */
export const origin: Pricing.PriceOrigin & { readonly published: string } = {
  name: "@pydantic/genai-prices",
  version: "0.1.8",
  published: "2026-09-23"
}

export interface Options {
  /** Prices that hold instead of the published ones, by `provider/model`. */
  readonly overrides?: Pricing.Table
  /** Whose prices hold at a provider, by its name here: `{ "my-proxy": "openai" }`. */
  readonly providers?: Readonly<Record<string, string>>
  /** Providers that cost nothing, by their names here: `["ollama"]`. */
  readonly free?: ReadonlyArray<string>
}

/** The list's name for a provider, where it is not ours. */
const listed: Readonly<Record<string, string>> = { gemini: "google" }

const nothing: Pricing.ModelPrice = { input: 0n, output: 0n }

/** Names of models come from callers, so what is remembered of them is bounded. */
const maxRemembered = 10_000

interface Found {
  readonly price: Pricing.ModelPrice | undefined
  /** When it holds. */
  readonly fromMs: number
  readonly untilMs: number
}

const unknown: Found = { price: undefined, fromMs: -Infinity, untilMs: Infinity }

/** A provider of exactly this name: the list itself would take any name that holds a known one. */
const providerOf = (name: string): GenaiPrices.Provider | undefined => {
  const found = GenaiPrices.findProvider({ providerId: name })
  return found?.id === name ? found : undefined
}

const find = (provider: GenaiPrices.Provider, model: string, atMs: number): Found => {
  try {
    const timestamp = new Date(atMs)
    const found = GenaiPrices.calcPrice({ input_tokens: 0, output_tokens: 0 }, model, { provider, timestamp })
    if (found === null) return unknown
    const price = toModelPrice(found.model_price, found.model.context_window)
    const fromMs = Math.floor(atMs / 60_000) * 60_000
    return Array.isArray(found.model.prices)
      ? { price, fromMs, untilMs: fromMs + 60_000 }
      : { price, fromMs: -Infinity, untilMs: Infinity }
  } catch {
    // The list refuses what it cannot compute. What has no price is unpriced.
    return unknown
  }
}

/** The published prices. Throws a `ConfigError` for an override that is no price, or a provider the list does not have. */
export const makeUnsafe = (options: Options = {}): Pricing.PricingService => {
  const names = { ...listed, ...options.providers }
  for (const [name, as] of Object.entries(options.providers ?? {})) {
    if (providerOf(as) === undefined) {
      throw Check.optionError(`providers.${name}`, as, "a provider of the list, such as openai, anthropic or google")
    }
  }
  const free = new Set(options.free)
  const providers = new Map<string, { readonly in: GenaiPrices.Provider | undefined; models: Map<string, Found> }>()
  const published = Pricing.fromLookup(origin, (name, model, atMs) => {
    if (free.has(name)) return nothing
    let provider = providers.get(name)
    if (provider === undefined) {
      if (providers.size >= maxRemembered) providers.clear()
      providers.set(name, (provider = { in: providerOf(names[name] ?? name), models: new Map() }))
    }
    if (provider.in === undefined) return undefined
    let found = provider.models.get(model)
    if (found === undefined || atMs >= found.untilMs || atMs < found.fromMs) {
      if (provider.models.size >= maxRemembered) provider.models.clear()
      provider.models.set(model, (found = find(provider.in, model, atMs)))
    }
    return found.price
  })
  return options.overrides === undefined
    ? published
    : Pricing.makeTable(options.overrides, { origin: { name: "overrides", version: "" }, fallback: published })
}

/** {@link makeUnsafe}, failing with the `ConfigError`. */
export const make = (options?: Options): Effect.Effect<Pricing.PricingService, Config.ConfigError> =>
  Effect.try({ try: () => makeUnsafe(options), catch: (error) => error as Config.ConfigError })

/** The published prices as a Layer. */
export const layer = (options?: Options): Layer.Layer<Pricing.Pricing, Config.ConfigError> =>
  Layer.effect(
    Pricing.Pricing,
    Effect.map(make(options), (prices) => ({ prices }))
  )
