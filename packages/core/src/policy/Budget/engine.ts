/**
 * The engine of budgets: worst cases into claims, claims into reservations, attempts into charges.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type { AttemptRecord } from "../../domain/Call.ts"
import type { CallContext } from "../../domain/CallContext.ts"
import { format, type NanoDollars } from "../../domain/Money.ts"
import type { PricingService, ServiceMode } from "../../domain/Price.ts"
import { BudgetExceededError, type StoreError, UnpricedModelError } from "../../errors/LLMError.ts"
import { isUnknown, usageOf } from "../../internal/billing.ts"
import { emit } from "../../internal/emit.ts"
import { worstCost } from "../../internal/priceArithmetic.ts"
import { rejection } from "../../internal/rejection.ts"
import { clockOf } from "../../internal/time.ts"
import { boundOutput, estimateInput, modeOf } from "../../internal/worstCase.ts"
import type {
  BudgetBalance,
  BudgetClaim,
  BudgetRefusal,
  BudgetReservation,
  BudgetStoreService
} from "../../store/BudgetStore.ts"
import type { BudgetCall, BudgetError, Hold, SettleBudget, Snapshot } from "../Budget.ts"
import type { Resolved, Rule } from "./Options.ts"

/** What events are sent from: the context at the time of reserving. A fiber changes its own. */
type AnyFiber = Pick<Fiber.Fiber<unknown, unknown>, "context">

/** A target, and the most that one attempt at it can cost; `undefined` for one without a price that may pass. */
interface Worst {
  readonly target: string
  readonly provider: string
  readonly model: string
  readonly attempt: NanoDollars | undefined
}

/** A claim, and the limit it is made under. */
interface Entry extends BudgetClaim {
  readonly rule: Rule
  readonly value: string
}

/** What a settlement says was spent: on the whole, or at one target. */
type Charged = (target: string | undefined) => NanoDollars

/** Settles at a store that is far away, later. */
export interface FarSettlement {
  readonly reservation: BudgetReservation
  readonly charges: ReadonlyArray<bigint>
  readonly settled: (spent: ReadonlyArray<bigint>) => void
}

export interface EngineParts {
  readonly settings: Resolved
  readonly prices: PricingService
  readonly store: BudgetStoreService
  /** Keeps accounts while the store is lost. */
  readonly fallback: BudgetStoreService | undefined
  readonly settleLater: (settlement: FarSettlement) => void
  readonly nextId: () => string
}

export class Engine {
  private readonly parts: EngineParts

  constructor(parts: EngineParts) {
    this.parts = parts
  }

  readonly reserve = (call: BudgetCall): Effect.Effect<SettleBudget, BudgetError> =>
    Effect.withFiber((running) => {
      const fiber: AnyFiber = { context: running.context }
      const nowMs = clockOf(running).currentTimeMillisUnsafe()
      const mode = modeOf(call.request)
      const worst = this.assess(fiber, call, mode, nowMs)
      if (!Array.isArray(worst)) return Effect.fail(worst as UnpricedModelError)
      const targets = worst as ReadonlyArray<Worst>
      const attempts = BigInt(call.maxAttempts)
      let most = 0n
      for (const { attempt } of targets) if (attempt !== undefined && attempt > most) most = attempt
      const amountAt = (target: string | undefined): bigint =>
        target === undefined
          ? most * attempts
          : (targets.find((each) => each.target === target)?.attempt ?? 0n) * attempts
      const entries = this.entries(call.context, call.targets, amountAt, nowMs)
      return Effect.map(this.take(fiber, entries, nowMs, call.requestId), (charge): SettleBudget => (records) => {
        if (records.length === 0) return charge(() => 0n)
        const costs = records.map((record) => this.costOf(record, targets, mode))
        charge((target) => {
          let total = 0n
          for (let i = 0; i < costs.length; i++) {
            if (target === undefined || records[i]!.target === target) total += costs[i]!
          }
          return total
        })
      })
    })

  readonly hold = (
    context: CallContext,
    amount: NanoDollars,
    target: string | undefined
  ): Effect.Effect<Hold, BudgetError> =>
    Effect.withFiber((running) => {
      const fiber: AnyFiber = { context: running.context }
      const nowMs = clockOf(running).currentTimeMillisUnsafe()
      const entries = this.entries(context, target === undefined ? [] : [target], () => amount, nowMs)
      return Effect.map(
        this.take(fiber, entries, nowMs, undefined),
        (charge): Hold =>
          (spent) =>
            charge(() => spent)
      )
    })

  readonly snapshot = (
    context: CallContext,
    targets: ReadonlyArray<string>
  ): Effect.Effect<ReadonlyArray<Snapshot>, StoreError> =>
    Effect.withFiber((fiber) => {
      const entries = this.entries(context, targets, () => 0n, clockOf(fiber).currentTimeMillisUnsafe())
      return Effect.forEach(entries, (entry) =>
        Effect.map(this.parts.store.balance(entry.account, entry.window), (balance) => snapshotOf(entry, balance))
      )
    })

  readonly accounts = (limit: number): Effect.Effect<ReadonlyArray<Snapshot>, StoreError> =>
    Effect.withFiber((fiber) => {
      const nowMs = clockOf(fiber).currentTimeMillisUnsafe()
      const { settings, store } = this.parts
      return Effect.map(
        Effect.forEach(settings.rules, (rule) => {
          const window = rule.windowAt(nowMs)
          const prefix = rule.accountOf("")
          if (store.accounts === undefined) return Effect.succeed<ReadonlyArray<Snapshot>>([])
          return Effect.map(store.accounts(prefix, window, limit), (found) => {
            const all = found.flatMap((balance): ReadonlyArray<Snapshot> => {
              const value = balance.account.slice(prefix.length)
              return rule.applies(value)
                ? [snapshotOf({ rule, value, window, limit: rule.limitOf(value) }, balance)]
                : []
            })
            // There is one account of everything, whether or not anything was spent.
            if (rule.scope !== "global" || all.length > 0) return all
            return [snapshotOf({ rule, value: "", window, limit: rule.limitOf("") }, { spent: 0n, reserved: 0n })]
          })
        }),
        (each) => each.flat().slice(0, limit)
      )
    })

  // --- what a call can cost, and what it did ------------------------------------------------------------------

  private assess(
    fiber: AnyFiber,
    call: BudgetCall,
    mode: ServiceMode,
    nowMs: number
  ): ReadonlyArray<Worst> | UnpricedModelError {
    const { prices, settings } = this.parts
    const input = this.inputTokens(call.request)
    const out: Array<Worst> = []
    for (const target of call.targets) {
      const slash = target.indexOf("/")
      const provider = target.slice(0, slash)
      const model = target.slice(slash + 1)
      const price = prices.priceOf(provider, model, nowMs)
      const output = boundOutput(call.request, price?.maxOutputTokens) ?? settings.assumedOutputTokens
      const attempt = price === undefined ? undefined : worstCost(price, input, output, mode)
      if (attempt === undefined) {
        if (settings.unpriced === "reject") {
          return rejection(UnpricedModelError, "UnpricedModelError", {
            message: `There is no price for ${target}${mode === "standard" ? "" : ` in mode ${mode}`}, so no budget can be kept`,
            provider,
            model
          })
        }
        emit(fiber, () => ({ type: "budget-unpriced", target, ...requestOf(call.requestId) }))
      }
      out.push({ target, provider, model, attempt })
    }
    return out
  }

  private inputTokens(request: BudgetCall["request"]): number {
    const { countTokens, inputMargin } = this.parts.settings
    const counted = countTokens?.(request)
    return counted !== undefined && counted >= 0 && Number.isFinite(counted)
      ? Math.ceil(counted)
      : estimateInput(request, inputMargin)
  }

  /** What an attempt cost: by its own word, by its usage, or at its worst if it may have been billed and nobody says. */
  private costOf(record: AttemptRecord, targets: ReadonlyArray<Worst>, mode: ServiceMode): NanoDollars {
    if (record.costNanos !== undefined) return record.costNanos
    const worst = targets.find((each) => each.target === record.target)
    const usage = usageOf(record)
    if (usage === undefined || worst === undefined) return isUnknown(record) ? (worst?.attempt ?? 0n) : 0n
    const { model, provider } = worst
    const cost = this.parts.prices.cost({ provider, model, usage, mode, atMs: record.startedAt })
    return typeof cost === "bigint" ? cost : (worst.attempt ?? 0n)
  }

  // --- claims and reservations --------------------------------------------------------------------------------

  private entries(
    context: CallContext,
    targets: ReadonlyArray<string>,
    amountAt: (target: string | undefined) => bigint,
    nowMs: number
  ): ReadonlyArray<Entry> {
    const entries: Array<Entry> = []
    for (const rule of this.parts.settings.rules) {
      const isModel = rule.scope === "model"
      const window = rule.windowAt(nowMs)
      for (const value of isModel ? targets : rule.valuesOf(context)) {
        if (!rule.applies(value)) continue
        const limit = rule.limitOf(value)
        const amount = amountAt(isModel ? value : undefined)
        entries.push({ account: rule.accountOf(value), window, amount, limit, rule, value })
      }
    }
    return entries
  }

  /** Takes all claims or fails. What it answers with replaces them by what was spent; the first time only. */
  private take(
    fiber: AnyFiber,
    entries: ReadonlyArray<Entry>,
    nowMs: number,
    requestId: string | undefined
  ): Effect.Effect<(charged: Charged) => void, BudgetError> {
    const { fallback, settings, store } = this.parts
    if (store.local !== undefined) return this.takeLocal(fiber, store.local, entries, nowMs, requestId)
    const reservation: BudgetReservation = { id: this.parts.nextId(), claims: entries }
    // The pipeline reserves where it cannot be interrupted. A store that is far away may take its time: whoever gives up
    // waiting leaves word to give back what may have been taken.
    const far = Effect.onInterrupt(Effect.interruptible(store.reserve(reservation, nowMs)), () =>
      Effect.sync(() => this.settleFar(fiber, reservation, entries, () => 0n))
    )
    return Effect.matchEffect(far, {
      onSuccess: (refusal) =>
        refusal === undefined
          ? Effect.succeed(once((charged) => this.settleFar(fiber, reservation, entries, charged)))
          : Effect.fail(this.refused(fiber, entries, refusal, nowMs, requestId)),
      onFailure: (error): Effect.Effect<(charged: Charged) => void, BudgetError> => {
        const handled = settings.onStoreError
        emit(fiber, () => ({ type: "budget-store-failed", store: store.name, operation: "reserve", handled, error }))
        // It may have been taken nevertheless, and the answer lost on its way.
        this.settleFar(fiber, reservation, entries, () => 0n)
        if (handled === "fail-closed") return Effect.fail(error)
        return fallback?.local === undefined
          ? Effect.succeed(() => {})
          : this.takeLocal(fiber, fallback.local, entries, nowMs, requestId)
      }
    })
  }

  private takeLocal(
    fiber: AnyFiber,
    store: NonNullable<BudgetStoreService["local"]>,
    entries: ReadonlyArray<Entry>,
    nowMs: number,
    requestId: string | undefined
  ): Effect.Effect<(charged: Charged) => void, BudgetError> {
    const refusal = store.reserve(entries, nowMs)
    if (refusal !== undefined) {
      return Effect.fail("_tag" in refusal ? refusal : this.refused(fiber, entries, refusal, nowMs, requestId))
    }
    return Effect.succeed(
      once((charged) => {
        const charges = chargesOf(entries, charged)
        this.settled(fiber, entries, charges, store.settle(entries, charges))
      })
    )
  }

  private settleFar(
    fiber: AnyFiber,
    reservation: BudgetReservation,
    entries: ReadonlyArray<Entry>,
    charged: Charged
  ): void {
    const charges = chargesOf(entries, charged)
    this.parts.settleLater({
      reservation,
      charges,
      settled: (spent) => this.settled(fiber, entries, charges, spent)
    })
  }

  // --- events -------------------------------------------------------------------------------------------------

  /** An event for every mark between what was spent before and what is now. */
  private settled(
    fiber: AnyFiber,
    entries: ReadonlyArray<Entry>,
    charges: ReadonlyArray<bigint>,
    spent: ReadonlyArray<bigint>
  ): void {
    for (let i = 0; i < entries.length; i++) {
      const charge = charges[i]!
      if (charge <= 0n) continue
      const { limit, rule, value } = entries[i]!
      const after = spent[i]!
      for (const { at, threshold } of rule.marksOf(value)) {
        if (at > after || at <= after - charge) continue
        emit(fiber, () => ({
          type: "budget-threshold",
          ...eventOf(rule, value),
          limit: limit ?? rule.soft ?? at,
          spent: after,
          threshold
        }))
      }
    }
  }

  private refused(
    fiber: AnyFiber,
    entries: ReadonlyArray<Entry>,
    { index, reserved, spent }: BudgetRefusal,
    nowMs: number,
    requestId: string | undefined
  ): BudgetExceededError {
    const { amount: needed, limit: hard, rule, value, window } = entries[index]!
    const limit = hard ?? 0n
    emit(fiber, () => ({
      type: "budget-rejected",
      ...eventOf(rule, value),
      limit,
      spent,
      reserved,
      needed,
      ...requestOf(requestId)
    }))
    const left = limit > spent + reserved ? limit - spent - reserved : 0n
    const fields = {
      message:
        `The call may cost ${format(needed)}; of the budget "${rule.name}"${value === "" ? "" : ` for ${value}`} ` +
        `(${format(limit)}) ${format(left)} is left${needed > limit ? ", and all of it would not do" : ""}`,
      scope: value === "" ? rule.scope : `${rule.scope} ${value}`,
      period: rule.period,
      limit,
      spent,
      reserved,
      needed
    }
    return rejection(
      BudgetExceededError,
      "BudgetExceededError",
      rule.renews
        ? { ...fields, resetsAt: window.endMs, retryAfter: Duration.millis(Math.max(1, window.endMs - nowMs)) }
        : fields
    )
  }
}

const snapshotOf = (
  { limit, rule, value, window }: Pick<Entry, "limit" | "rule" | "value" | "window">,
  { reserved, spent }: BudgetBalance
): Snapshot => {
  const left = limit === undefined ? undefined : limit - spent - reserved
  return {
    budget: rule.name,
    scope: rule.scope,
    value,
    period: rule.period,
    limit,
    soft: rule.soft,
    spent,
    reserved,
    remaining: left === undefined ? undefined : left > 0n ? left : 0n,
    ...(rule.renews ? { startsAt: window.bucketMs, resetsAt: window.endMs } : undefined)
  }
}

const chargesOf = (entries: ReadonlyArray<Entry>, charged: Charged): ReadonlyArray<bigint> =>
  entries.map(({ rule, value }) => charged(rule.scope === "model" ? value : undefined))

const once = (settle: (charged: Charged) => void): ((charged: Charged) => void) => {
  let open = true
  return (charged) => {
    if (!open) return
    open = false
    settle(charged)
  }
}

const eventOf = (rule: Rule, value: string) => ({ budget: rule.name, scope: rule.scope, value, period: rule.period })

const requestOf = (requestId: string | undefined): { readonly requestId?: string } =>
  requestId === undefined ? {} : { requestId }
