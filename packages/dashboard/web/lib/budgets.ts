/** Budgets as shares of their limit: pure. */
import type { Budget } from "../api/types.ts"
import { dollarsOf } from "./format.ts"

/** Each from 0, where 1 is the whole limit. */
export interface Shares {
  readonly spent: number
  readonly reserved: number
  readonly soft: number | undefined
}

export const budgetShares = ({ limitNanos, reservedNanos, softNanos, spentNanos }: Budget): Shares => {
  const limit = dollarsOf(limitNanos)
  if (limit === undefined || limit <= 0) return { spent: 0, reserved: 0, soft: undefined }
  const share = (nanos: string | null | undefined) => Math.max(0, (dollarsOf(nanos) ?? 0) / limit)
  return {
    spent: share(spentNanos),
    reserved: share(reservedNanos),
    soft: softNanos === undefined || softNanos === null ? undefined : share(softNanos)
  }
}

/** “tenant acme”, “everybody”. */
export const budgetLabel = ({ budget, name, scope, value }: Budget): string => {
  const own = name ?? budget
  const whose = scope === "global" ? "everybody" : value === "" ? `${scope} (none)` : `${scope} ${value}`
  return own === undefined ||
    own === scope ||
    own === whose ||
    own.startsWith(`${scope} `) ||
    own.startsWith(`${scope}/`)
    ? whose
    : `${whose} · ${own}`
}
