/** The quarter-hourly sums of the ledger: what a batch of records adds to them, and which questions they answer. */
import { Ledger } from "@breakwater/core"
import { clean } from "./ledgerRows.ts"

/** Milliseconds of a slot. Every time zone's offset is a multiple of it, so that periods in any zone begin with a slot. */
export const slotMs = 900_000

/** The dimension of the sums of everything. */
const everything = ""

const dimensions: ReadonlyArray<Ledger.LedgerDimension> = [
  "user",
  "project",
  "key",
  "tag",
  "provider",
  "model",
  "operation",
  "outcome"
]

/** A row of the sums. */
export interface Sum extends Ledger.LedgerTotals {
  readonly tenant: string
  readonly dimension: string
  readonly slot: number
  readonly value: string
}

/** What records add to the sums, in one order for all: two writers that update the same rows must not wait for each other in a ring. */
export const sumsOf = (records: ReadonlyArray<Ledger.LedgerRecord>): ReadonlyArray<Sum> => {
  const sums = new Map<string, { -readonly [K in keyof Sum]: Sum[K] }>()
  for (const record of records) {
    const totals = Ledger.totalsOf({ ...record, tookMs: Math.max(0, Math.round(record.tookMs)) })
    const slot = Math.floor(record.atMs / slotMs) * slotMs
    const tenant = clean(record.tenant)
    const add = (dimension: string, given: string) => {
      const value = clean(given)
      const key = `${dimension}\u0000${String(slot).padStart(16, "0")}\u0000${tenant}\u0000${value}`
      const found = sums.get(key)
      if (found === undefined) sums.set(key, { tenant, dimension, slot, value, ...totals })
      else Ledger.addTotals(found, totals)
    }
    add(everything, "")
    for (const dimension of dimensions)
      for (const value of new Set(Ledger.valuesOf(record, dimension))) add(dimension, value)
  }
  return [...sums.entries()].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, sum]) => sum)
}

const filterable = ["user", "project", "key", "tag", "provider", "model", "operation", "outcome"] as const

/** The one dimension whose sums answer a question; `undefined` if it takes two, and so the records themselves. */
export const answeredBy = (
  filter: Ledger.LedgerFilter,
  by: ReadonlyArray<Ledger.LedgerDimension>
): string | undefined => {
  const used = new Set<string>(by.filter((dimension) => dimension !== "tenant"))
  for (const dimension of filterable) if (filter[dimension] !== undefined) used.add(dimension)
  return used.size === 0 ? everything : used.size === 1 ? [...used][0] : undefined
}
