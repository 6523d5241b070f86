/**
 * What a call can cost at most, and what an attempt did cost.
 */
import type { AttemptRecord } from "../../domain/Call.ts"
import type { NanoDollars } from "../../domain/Money.ts"
import type { PricingService, ServiceMode } from "../../domain/Price.ts"
import { UnpricedModelError } from "../../errors/LLMError.ts"
import { isUnknown, usageOf } from "../../internal/billing.ts"
import { emit } from "../../internal/emit.ts"
import { worstCost } from "../../internal/priceArithmetic.ts"
import { rejection } from "../../internal/rejection.ts"
import { boundOutput, estimateInput, modeOf } from "../../internal/worstCase.ts"
import type { BudgetCall } from "../Budget.ts"
import type { Amounts, Costs } from "./claims.ts"
import { requestOf, type Sender } from "./notices.ts"
import type { Resolved } from "./Options.ts"

interface Named {
  readonly provider: string
  readonly model: string
}

/** Targets whose parts are remembered: names that were just cut have to be read again wherever they are looked up. */
const remembered = 1_000
const names = new Map<string, Named>()

const nameOf = (target: string): Named => {
  let named = names.get(target)
  if (named === undefined) {
    const slash = target.indexOf("/")
    named = { provider: target.slice(0, slash), model: target.slice(slash + 1) }
    if (names.size >= remembered) names.clear()
    names.set(target, named)
  }
  return named
}

const inputTokens = ({ countTokens, inputMargin }: Resolved, request: BudgetCall["request"]): number => {
  const counted = countTokens?.(request)
  return counted !== undefined && counted >= 0 && Number.isFinite(counted)
    ? Math.ceil(counted)
    : estimateInput(request, inputMargin)
}

/** A call, priced at its worst. */
export class WorstCase implements Amounts, Costs {
  readonly whole: NanoDollars
  private readonly times: bigint
  private readonly mode: ServiceMode
  private readonly prices: PricingService
  private readonly targets: ReadonlyArray<string>
  /** What one attempt can cost, by target; `undefined` for one without a price that may pass. */
  private readonly attempts: ReadonlyArray<NanoDollars | undefined>

  constructor(
    prices: PricingService,
    mode: ServiceMode,
    { maxAttempts, targets }: BudgetCall,
    attempts: ReadonlyArray<NanoDollars | undefined>
  ) {
    this.prices = prices
    this.mode = mode
    this.targets = targets
    this.attempts = attempts
    let most = 0n
    for (const attempt of attempts) if (attempt !== undefined && attempt > most) most = attempt
    this.times = BigInt(maxAttempts)
    this.whole = most * this.times
  }

  at(target: string): NanoDollars {
    return this.targets.length === 1 ? this.whole : (this.attemptAt(target) ?? 0n) * this.times
  }

  private attemptAt(target: string): NanoDollars | undefined {
    return this.attempts[this.targets.indexOf(target)]
  }

  /** What an attempt cost: by its own word, by its usage, or at its worst if it may have been billed and nobody says. */
  costOf(record: AttemptRecord): NanoDollars {
    if (record.costNanos !== undefined) return record.costNanos
    const worst = this.attemptAt(record.target) ?? 0n
    const usage = usageOf(record)
    if (usage === undefined || !this.targets.includes(record.target)) return isUnknown(record) ? worst : 0n
    const { model, provider } = nameOf(record.target)
    const cost = this.prices.cost({ provider, model, usage, mode: this.mode, atMs: record.startedAt })
    return typeof cost === "bigint" ? cost : worst
  }
}

/** Prices a call at its worst, and tells of targets without a price that are let go. */
export const assess = (
  settings: Resolved,
  prices: PricingService,
  call: BudgetCall,
  nowMs: number,
  from: Sender
): WorstCase | UnpricedModelError => {
  const { request, targets } = call
  const mode = modeOf(request)
  const input = inputTokens(settings, request)
  const attempts: Array<NanoDollars | undefined> = []
  for (const target of targets) {
    const { model, provider } = nameOf(target)
    const price = prices.priceOf(provider, model, nowMs)
    const output = boundOutput(request, price?.maxOutputTokens) ?? settings.assumedOutputTokens
    const attempt = price === undefined ? undefined : worstCost(price, input, output, mode)
    if (attempt === undefined) {
      if (settings.unpriced === "reject") {
        return rejection(UnpricedModelError, "UnpricedModelError", {
          message: `There is no price for ${target}${mode === "standard" ? "" : ` in mode ${mode}`}, so no budget can be kept`,
          provider,
          model
        })
      }
      emit(from, () => ({ type: "budget-unpriced", target, ...requestOf(call.requestId) }))
    }
    attempts.push(attempt)
  }
  return new WorstCase(prices, mode, call, attempts)
}
