/**
 * What a call takes from its accounts, and how these stand afterwards.
 */
import type { AttemptRecord, BudgetStanding } from "../../domain/Call.ts"
import type { CallContext } from "../../domain/CallContext.ts"
import type { BudgetBalance, BudgetClaim, BudgetWindow } from "../../store/BudgetStore.ts"
import type { Snapshot } from "../Budget.ts"
import type { Place, Rule } from "./Options.ts"

/** A claim, and the place it is made at. */
export interface Entry extends BudgetClaim {
  readonly place: Place
}

/** What a call can cost: everywhere, and at one target. */
export interface Amounts {
  readonly whole: bigint
  readonly at: (target: string) => bigint
}

/** Knows what an attempt cost. */
export interface Costs {
  readonly costOf: (record: AttemptRecord) => bigint
}

const add = (entries: Array<Entry>, rule: Rule, value: string, window: BudgetWindow, amount: bigint): void => {
  const place = rule.placeOf(value)
  if (place !== undefined) entries.push({ account: place.account, window, amount, limit: place.limit, place })
}

/** A claim at every account that a call of this context to these targets draws on. Each account once. */
export const claimsOf = (
  rules: ReadonlyArray<Rule>,
  context: CallContext,
  targets: ReadonlyArray<string>,
  amounts: Amounts,
  nowMs: number
): ReadonlyArray<Entry> => {
  const entries: Array<Entry> = []
  const { whole } = amounts
  for (const rule of rules) {
    const window = rule.windowAt(nowMs)
    const { scope } = rule
    if (scope === "global") add(entries, rule, "", window, whole)
    else if (scope === "model") {
      for (const target of targets) add(entries, rule, target, window, amounts.at(target))
    } else if (scope === "tag") {
      const { tags } = context
      if (tags === undefined || tags.length === 0) add(entries, rule, "", window, whole)
      else if (tags.length === 1) add(entries, rule, tags[0]!, window, whole)
      else for (const tag of new Set(tags)) add(entries, rule, tag, window, whole)
    } else add(entries, rule, context[scope] ?? "", window, whole)
  }
  return entries
}

/** The same charge at every claim. */
export const evenly = (entries: ReadonlyArray<Entry>, charge: bigint): ReadonlyArray<bigint> => {
  const charges: Array<bigint> = []
  for (let i = 0; i < entries.length; i++) charges.push(charge)
  return charges
}

/** What attempts cost at every claim: a model's account pays for its own. */
export const chargesOf = (
  entries: ReadonlyArray<Entry>,
  records: ReadonlyArray<AttemptRecord>,
  costs: Costs
): ReadonlyArray<bigint> => {
  if (records.length === 1) {
    const cost = costs.costOf(records[0]!)
    const { target } = records[0]!
    const charges: Array<bigint> = []
    for (const { place } of entries) {
      charges.push(place.rule.scope === "model" && place.value !== target ? 0n : cost)
    }
    return charges
  }
  const each = records.map((record) => costs.costOf(record))
  return entries.map(({ place }) => {
    let total = 0n
    for (let i = 0; i < each.length; i++) {
      if (place.rule.scope !== "model" || place.value === records[i]!.target) total += each[i]!
    }
    return total
  })
}

/** What stands in the account of each claim. */
export interface Standing {
  /** Whether the bucket that was booked in still counts. */
  readonly counts: (index: number) => boolean
  readonly spent: (index: number) => bigint
  /** Spent and reserved. */
  readonly used: (index: number) => bigint
}

/** How the limits stand, for the answer. With `charges`, as if the claims were settled by them now. */
export const standingOf = (
  entries: ReadonlyArray<Entry>,
  at: Standing,
  charges: ReadonlyArray<bigint> | undefined
): BudgetStanding | undefined => {
  let remaining: bigint | undefined
  let soft: Array<string> | undefined
  for (let i = 0; i < entries.length; i++) {
    const { amount, limit, place } = entries[i]!
    if (!at.counts(i)) continue
    if (limit !== undefined) {
      const used = charges === undefined ? at.used(i) : at.used(i) - amount + charges[i]!
      const left = limit > used ? limit - used : 0n
      if (remaining === undefined || left < remaining) remaining = left
    }
    if (place.soft !== undefined) {
      const spent = charges === undefined ? at.spent(i) : at.spent(i) + charges[i]!
      if (spent >= place.soft) (soft ??= []).push(place.rule.name)
    }
  }
  if (remaining === undefined) return soft === undefined ? undefined : { softLimits: soft }
  return soft === undefined ? { remainingNanos: remaining } : { remainingNanos: remaining, softLimits: soft }
}

/** What a store far away said when it reserved. */
export const standingIn = (balances: ReadonlyArray<BudgetBalance>): Standing => ({
  counts: (index) => balances[index] !== undefined,
  spent: (index) => balances[index]!.spent,
  used: (index) => balances[index]!.spent + balances[index]!.reserved
})

/** An account, for people. */
export const snapshotOf = ({ limit, rule, value }: Place, window: BudgetWindow, balance: BudgetBalance): Snapshot => {
  const { reserved, spent } = balance
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
