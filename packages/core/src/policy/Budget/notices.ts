/**
 * What a budget tells: the events of its limits, and the error of a call that does not fit.
 */
import * as Duration from "effect/Duration"
import type * as Fiber from "effect/Fiber"
import { format } from "../../domain/Money.ts"
import { BudgetExceededError } from "../../errors/LLMError.ts"
import { emit } from "../../internal/emit.ts"
import { rejection } from "../../internal/rejection.ts"
import type { BudgetRefusal } from "../../store/BudgetStore.ts"
import type { Entry, Standing } from "./claims.ts"
import type { Place } from "./Options.ts"

/** What events are sent from: the context at the time of reserving. A fiber changes its own. */
export type Sender = Pick<Fiber.Fiber<unknown, unknown>, "context">

const eventOf = ({ rule, value }: Place) => ({
  budget: rule.name,
  scope: rule.scope,
  value,
  period: rule.period
})

export const requestOf = (requestId: string | undefined): { readonly requestId?: string } =>
  requestId === undefined ? {} : { requestId }

/** An event for every mark between what was spent before the charges and what is now. */
export const tellMarks = (
  from: Sender,
  entries: ReadonlyArray<Entry>,
  charges: ReadonlyArray<bigint>,
  at: Pick<Standing, "counts" | "spent">
): void => {
  for (let i = 0; i < entries.length; i++) {
    const charge = charges[i]!
    if (charge <= 0n || !at.counts(i)) continue
    const { limit, place } = entries[i]!
    const spent = at.spent(i)
    for (const mark of place.marks) {
      if (mark.at > spent) break
      if (mark.at <= spent - charge) continue
      emit(from, () => ({
        type: "budget-threshold",
        ...eventOf(place),
        limit: limit ?? place.rule.soft ?? mark.at,
        spent,
        threshold: mark.threshold
      }))
    }
  }
}

/** Tells that a call was turned away, and says why. */
export const refused = (
  from: Sender,
  entries: ReadonlyArray<Entry>,
  { index, reserved, spent }: BudgetRefusal,
  nowMs: number,
  requestId: string | undefined
): BudgetExceededError => {
  const { amount: needed, limit: hard, place, window } = entries[index]!
  const { rule, value } = place
  const limit = hard ?? 0n
  emit(from, () => ({
    type: "budget-rejected",
    ...eventOf(place),
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
