/**
 * What the ledger's numbers say about money that need not be spent. Every recommendation names its rule, the numbers it
 * rests on, and what would have been saved in the time looked at.
 */
import { format, type NanoDollars } from "../domain/Money.ts"
import type { PricingService } from "../domain/Price.ts"
import type { LedgerInsight } from "./ledgerTotals.ts"

export interface Recommendation {
  readonly rule: "cheaper-model" | "cache" | "max-tokens" | "retry-bill"
  /** `provider/model` */
  readonly target: string
  readonly evidence: string
  /** Nano-dollars over the time looked at. */
  readonly saving: NanoDollars
  /** Nano-dollars that budgets would have had to hold less, for each call. */
  readonly reservedLess?: NanoDollars
  /** The model to use instead, or the bound to set. */
  readonly use?: string | number
}

export interface RecommendRules {
  /** What counts as short, in tokens. */
  readonly short: { readonly inputTokens: number; readonly outputTokens: number }
  /** Fewer answers than this prove nothing. */
  readonly atLeast: number
  /** Savings below this share of what the model costs are not worth a word. */
  readonly share: number
  /** Models to compare with, `provider/model`. */
  readonly alternatives: ReadonlyArray<string>
}

const percent = (part: number, whole: number): string => `${((100 * part) / Math.max(1, whole)).toFixed(1)} %`

const worthIt = (saving: NanoDollars, of: NanoDollars, share: number): boolean =>
  saving > 0n && Number(saving) >= Number(of) * share

/** What the short answers would have cost at another model: the average one, times their number. */
const costElsewhere = (
  insight: LedgerInsight,
  target: string,
  prices: PricingService,
  atMs: number
): NanoDollars | undefined => {
  const { inputTokens, outputTokens, records } = insight.short
  const slash = target.indexOf("/")
  const usage = { inputTokens: Math.ceil(inputTokens / records), outputTokens: Math.ceil(outputTokens / records) }
  const cost = prices.cost({ provider: target.slice(0, slash), model: target.slice(slash + 1), usage, atMs })
  return typeof cost === "bigint" ? cost * BigInt(records) : undefined
}

const cheaperModel = (
  insight: LedgerInsight,
  rules: RecommendRules,
  prices: PricingService,
  atMs: number
): Recommendation | undefined => {
  const { short } = insight
  const target = `${insight.provider}/${insight.model}`
  if (short.records < rules.atLeast) return undefined
  let best: { readonly target: string; readonly cost: NanoDollars } | undefined
  for (const other of rules.alternatives) {
    if (other === target) continue
    const cost = costElsewhere(insight, other, prices, atMs)
    if (cost !== undefined && (best === undefined || cost < best.cost)) best = { target: other, cost }
  }
  if (best === undefined) return undefined
  const saving = short.costNanos - best.cost
  if (!worthIt(saving, insight.costNanos, rules.share)) return undefined
  return {
    rule: "cheaper-model",
    target,
    use: best.target,
    saving,
    evidence:
      `${short.records} of ${insight.answers} answers (${percent(short.records, insight.answers)}) had at most ` +
      `${rules.short.inputTokens} tokens in and ${rules.short.outputTokens} out; they cost ${format(short.costNanos)}, ` +
      `and would cost ${format(best.cost)} at ${best.target}`
  }
}

const cache = (insight: LedgerInsight, rules: RecommendRules): Recommendation | undefined => {
  const { repeated } = insight
  return insight.answers >= rules.atLeast && worthIt(repeated.costNanos, insight.costNanos, rules.share)
    ? {
        rule: "cache",
        target: `${insight.provider}/${insight.model}`,
        saving: repeated.costNanos,
        evidence:
          `${repeated.records} of ${insight.answers} answers (${percent(repeated.records, insight.answers)}) were to ` +
          `requests made before in the same words; they cost ${format(repeated.costNanos)}`
      }
    : undefined
}

const maxTokens = (
  insight: LedgerInsight,
  rules: RecommendRules,
  prices: PricingService | undefined,
  atMs: number
): Recommendation | undefined => {
  const { longest, maxTokens, records } = insight.bounded
  if (records < rules.atLeast) return undefined
  const usual = Math.round(maxTokens / records)
  // Half as much again as the longest answer there was.
  const enough = Math.max(16, Math.ceil((longest * 1.5) / 16) * 16)
  if (usual < 4 * enough) return undefined
  const price = prices?.priceOf(insight.provider, insight.model, atMs)
  const reservedLess = price === undefined ? undefined : (BigInt(usual - enough) * price.output) / 1000n
  return {
    rule: "max-tokens",
    target: `${insight.provider}/${insight.model}`,
    use: enough,
    saving: 0n,
    ...(reservedLess === undefined ? undefined : { reservedLess }),
    evidence: `${records} requests allowed ${usual} tokens on average, and the longest answer had ${longest}`
  }
}

const retryBill = (insight: LedgerInsight, rules: RecommendRules): Recommendation | undefined => {
  const { failed } = insight
  const attempts = insight.answers + failed.records
  return attempts >= rules.atLeast && worthIt(failed.costNanos, insight.costNanos + failed.costNanos, rules.share)
    ? {
        rule: "retry-bill",
        target: `${insight.provider}/${insight.model}`,
        saving: failed.costNanos,
        evidence:
          `${failed.records} of ${attempts} attempts (${percent(failed.records, attempts)}) brought no answer and ` +
          `cost ${format(failed.costNanos)}`
      }
    : undefined
}

/** The largest saving first. Without prices, models are not compared. */
export const recommend = (
  insights: ReadonlyArray<LedgerInsight>,
  rules: RecommendRules,
  prices: PricingService | undefined,
  atMs: number
): ReadonlyArray<Recommendation> =>
  insights
    .flatMap((insight) => [
      prices === undefined ? undefined : cheaperModel(insight, rules, prices, atMs),
      cache(insight, rules),
      maxTokens(insight, rules, prices, atMs),
      retryBill(insight, rules)
    ])
    .filter((each) => each !== undefined)
    .sort((a, b) => (a.saving > b.saving ? -1 : a.saving < b.saving ? 1 : 0))
