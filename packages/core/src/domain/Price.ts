/**
 * What models cost, as data, and the port that knows it.
 *
 * Rates are whole pico-dollars (10⁻¹² US dollars) a token, so that every published price is a whole number: a dollar
 * for a million tokens is 1,000,000 of them.
 */
import * as Context from "effect/Context"
import type { UnpricedModelError } from "../errors/LLMError.ts"
import type { NanoDollars } from "./Money.ts"
import type { Usage } from "./Usage.ts"

/** How a request is served. Providers sell patience cheaper and haste dearer. */
export type ServiceMode = "standard" | "batch" | "flex" | "priority"

/** Pico-dollars a token. A kind that is left out costs what its whole costs: a cached token as any of the prompt. */
export interface TokenRates {
  /** Of the prompt. */
  readonly input: bigint
  /** Of the answer. */
  readonly output: bigint
  /** Of the prompt, read from the provider's cache. */
  readonly cachedInput?: bigint
  /** Of the prompt, written to the provider's cache. */
  readonly cacheWrite?: bigint
  /** Of the prompt, written to the provider's cache for an hour. */
  readonly longCacheWrite?: bigint
  /** Of the answer, thoughts. */
  readonly reasoning?: bigint
  readonly audioInput?: bigint
  readonly audioOutput?: bigint
  readonly imageInput?: bigint
  readonly imageOutput?: bigint
}

/** Rates of requests whose prompt is above a size: for all of the request's tokens, not only those above. */
export interface PriceTier extends TokenRates {
  /** Tokens of the whole prompt; one more, and these rates hold. */
  readonly above: number
}

/** What a model costs. */
export interface ModelPrice extends TokenRates {
  /** In ascending order of `above`. */
  readonly tiers?: ReadonlyArray<PriceTier>
  /** Pico-dollars for each request, whatever its size. */
  readonly request?: bigint
  /** By how many thousandths of the standard rates other modes are billed: 500 is half. Fees for requests are not changed. */
  readonly modes?: Partial<Record<Exclude<ServiceMode, "standard">, bigint>>
  /** The largest answer, in tokens. */
  readonly maxOutputTokens?: number
  /** Prompt and answer together, in tokens. */
  readonly contextWindow?: number
}

/** What to price. */
export interface CostQuery {
  readonly provider: string
  readonly model: string
  readonly usage: Usage
  /** Default: `standard`. */
  readonly mode?: ServiceMode
  /** When it was used, in milliseconds since 1970: prices change, some by the hour. */
  readonly atMs: number
}

/** Where prices are from. */
export interface PriceOrigin {
  readonly name: string
  /** Of the source, as it says itself: a version or a date. */
  readonly version: string
}

/** Knows prices. Plain functions: they are asked on the hot path. */
export interface PricingService {
  readonly origin: PriceOrigin
  /** What a model costs at a time; `undefined` if that is not known. */
  readonly priceOf: (provider: string, model: string, atMs: number) => ModelPrice | undefined
  /** What a usage costs. The provider's own reported cost wins. An unknown price is an error, never zero. */
  readonly cost: (query: CostQuery) => NanoDollars | UnpricedModelError
}

/** The prices in the context. `undefined` where nothing is priced. */
export class Pricing extends Context.Service<Pricing, { readonly prices: PricingService | undefined }>()(
  "@breakwater/core/Pricing"
) {}
