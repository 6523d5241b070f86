/**
 * From the price list's dollars for a million tokens, in floats, to whole pico-dollars a token: once a model.
 */
import { Money, type Pricing } from "@breakwater/core"
import type { ModelPrice as ListedPrice } from "@pydantic/genai-prices"

/** The list's names for what a usage can tell apart. */
const keys = {
  input: "input_mtok",
  output: "output_mtok",
  cachedInput: "cache_read_mtok",
  cacheWrite: "cache_write_mtok",
  longCacheWrite: "cache_write_1h_mtok",
  reasoning: "output_reasoning_mtok",
  audioInput: "input_audio_mtok",
  audioOutput: "output_audio_mtok",
  imageInput: "input_image_mtok",
  imageOutput: "output_image_mtok"
} as const satisfies Record<keyof Pricing.TokenRates, string>

/** Units that no usage counts: a model sold by them cannot be priced here. */
const uncounted = /_(hours|kpages|mchars|gpixels)$|text_messages_kcount$/

type Listed = ListedPrice[string]

/** The rate of a prompt of more than `above` tokens. A float's shortest decimal is what was meant. */
const rateOf = (listed: Listed, above: number): bigint | undefined => {
  if (listed === undefined) return undefined
  let usd = typeof listed === "number" ? listed : listed.base
  if (typeof listed !== "number") {
    for (const tier of listed.tiers.toSorted((a, b) => a.start - b.start)) if (above >= tier.start) usd = tier.price
  }
  return Money.parseScaled(String(usd), 6, true)
}

const ratesAbove = (listed: ListedPrice, above: number): Pricing.TokenRates => {
  const rates: { -readonly [K in keyof Pricing.TokenRates]?: bigint } = {}
  for (const [kind, key] of Object.entries(keys) as Array<[keyof Pricing.TokenRates, string]>) {
    const rate = rateOf(listed[key], above)
    if (rate !== undefined) rates[kind] = rate
  }
  // What only reads (an embedding) has no price for an answer.
  return { input: 0n, output: 0n, ...rates }
}

/** Our price from the list's; `undefined` if it is not sold by tokens or requests. */
export const toModelPrice = (
  listed: ListedPrice,
  contextWindow: number | undefined
): Pricing.ModelPrice | undefined => {
  const sold = Object.keys(listed)
  if (!sold.includes(keys.input) || sold.some((key) => uncounted.test(key))) return undefined
  const starts = new Set<number>()
  for (const price of Object.values(listed)) {
    if (typeof price === "object") for (const tier of price.tiers) starts.add(tier.start)
  }
  const tiers = [...starts].sort((a, b) => a - b).map((above) => ({ above, ...ratesAbove(listed, above) }))
  const request = listed["requests_kcount"]
  return {
    ...ratesAbove(listed, -1),
    ...(tiers.length === 0 ? {} : { tiers }),
    // Dollars for a thousand requests: 10⁹ pico-dollars each.
    ...(typeof request === "number" ? { request: Money.parseScaled(String(request), 9, true)! } : {}),
    ...(contextWindow === undefined ? {} : { contextWindow })
  }
}
