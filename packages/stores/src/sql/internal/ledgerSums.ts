/**
 * The sums that are kept beside the ledger's records: what a batch of records adds to them, and which questions they
 * answer.
 *
 * There are two kinds. Those of one dimension by itself are kept by the quarter of an hour and by the day; they stay
 * small however many users, models and tags are mixed. Those of all dimensions but tags at once are kept by the hour
 * and by the day, and answer what crosses dimensions; where there are many users, there are many of them, so that those
 * of all users together are kept beside them.
 */
import { Ledger } from "@breakwater/core"
import { clean, whole } from "./ledgerRows.ts"

/** Milliseconds. Every time zone's offset is a multiple of a quarter, so that periods in any zone begin with one. */
export const quarterMs = 900_000
export const hourMs = 3_600_000
export const dayMs = 86_400_000

/** The dimension of the sums of everything. */
const everything = ""

/** Days are kept beside the quarters of an hour, in the same table, as dimensions of their own. */
export const byDay = (dimension: string): string => `${dimension}@day`

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

type Changeable<T> = { -readonly [K in keyof T]: T[K] }

/** A row of the sums of one dimension. */
export interface Sum extends Ledger.LedgerTotals {
  readonly tenant: string
  readonly dimension: string
  readonly slot: number
  readonly value: string
}

/** What a row of the sums of all dimensions is of, in the order of its columns. */
type Cross = readonly [
  tenant: string,
  user: string,
  project: string,
  key: string,
  provider: string,
  model: string,
  operation: string,
  outcome: string
]

/** Sums of several dimensions at once: of all of them, or of those that do not say whose a record is. */
export type Kind = "all" | "models"

/** A row of the sums of several dimensions; with what is asked of answers whose length was bounded. */
export interface CrossSum extends Ledger.LedgerTotals {
  readonly kind: Kind
  /** Milliseconds: an hour or a day. */
  readonly level: number
  readonly slot: number
  readonly of: Cross
  readonly boundedRecords: number
  readonly boundedMax: number
  readonly boundedOutput: number
  readonly boundedLongest: number
}

const slotKey = (slot: number): string => String(slot).padStart(16, "0")

/** In one order for all: two writers that update the same rows must not wait for each other in a ring. */
const inOrder = <A>(sums: ReadonlyMap<string, A>): ReadonlyArray<A> =>
  [...sums.entries()].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, sum]) => sum)

const floorTo = (atMs: number, unit: number): number => Math.floor(atMs / unit) * unit

const add = (into: Map<string, Changeable<Sum>>, more: Sum): void => {
  const key = `${more.dimension}\u0000${slotKey(more.slot)}\u0000${more.tenant}\u0000${more.value}`
  const found = into.get(key)
  if (found === undefined) into.set(key, { ...more })
  else Ledger.addTotals(found, more)
}

/** The sums of a record as its row has it. */
const totalsOf = (record: Ledger.LedgerRecord): Ledger.LedgerTotals => ({
  records: 1,
  inputTokens: whole(record.inputTokens),
  outputTokens: whole(record.outputTokens),
  cachedInputTokens: whole(record.cachedInputTokens),
  cacheWriteTokens: whole(record.cacheWriteTokens),
  reasoningTokens: whole(record.reasoningTokens),
  costNanos: record.costNanos ?? 0n,
  unpriced: record.costNanos === undefined ? 1 : 0,
  tookMs: whole(record.tookMs)
})

/** What records add to the sums of single dimensions. */
export const sumsOf = (records: ReadonlyArray<Ledger.LedgerRecord>): ReadonlyArray<Sum> => {
  const quarters = new Map<string, Changeable<Sum>>()
  for (const record of records) {
    const totals = totalsOf(record)
    const slot = floorTo(record.atMs, quarterMs)
    const tenant = clean(record.tenant)
    add(quarters, { tenant, dimension: everything, slot, value: "", ...totals })
    for (const dimension of dimensions) {
      for (const value of new Set(Ledger.valuesOf(record, dimension)))
        add(quarters, { tenant, dimension, slot, value: clean(value), ...totals })
    }
  }
  const all = new Map(quarters)
  for (const sum of quarters.values())
    add(all, { ...sum, dimension: byDay(sum.dimension), slot: floorTo(sum.slot, dayMs) })
  return inOrder(all)
}

const addCross = (into: Map<string, Changeable<CrossSum>>, more: CrossSum): void => {
  const key = `${more.kind}\u0000${slotKey(more.level)}\u0000${slotKey(more.slot)}\u0000${more.of.join("\u0000")}`
  const found = into.get(key)
  if (found === undefined) {
    into.set(key, { ...more })
    return
  }
  Ledger.addTotals(found, more)
  found.boundedRecords += more.boundedRecords
  found.boundedMax += more.boundedMax
  found.boundedOutput += more.boundedOutput
  found.boundedLongest = Math.max(found.boundedLongest, more.boundedLongest)
}

/** What records add to the sums of several dimensions. */
export const crossSumsOf = (records: ReadonlyArray<Ledger.LedgerRecord>): ReadonlyArray<CrossSum> => {
  const hours = new Map<string, Changeable<CrossSum>>()
  for (const record of records) {
    const totals = totalsOf(record)
    const bounded = record.outcome === "success" && record.maxTokens !== undefined
    addCross(hours, {
      kind: "all",
      level: hourMs,
      slot: floorTo(record.atMs, hourMs),
      of: [
        clean(record.tenant),
        clean(record.user ?? ""),
        clean(record.project ?? ""),
        clean(record.key ?? ""),
        clean(record.provider),
        clean(record.model),
        record.operation,
        record.outcome
      ],
      ...totals,
      boundedRecords: bounded ? 1 : 0,
      boundedMax: bounded ? whole(record.maxTokens) : 0,
      boundedOutput: bounded ? totals.outputTokens : 0,
      boundedLongest: bounded ? totals.outputTokens : 0
    })
  }
  for (const sum of Array.from(hours.values())) {
    const [tenant, , , , ...model] = sum.of
    addCross(hours, { ...sum, kind: "models", of: [tenant, "", "", "", ...model] })
  }
  const all = new Map(hours)
  for (const sum of hours.values()) addCross(all, { ...sum, level: dayMs, slot: floorTo(sum.slot, dayMs) })
  return inOrder(all)
}

const filterable = ["user", "project", "key", "tag", "provider", "model", "operation", "outcome"] as const

const ofModels: ReadonlySet<string> = new Set(["provider", "model", "operation", "outcome"])

/**
 * What answers a question: the sums of one dimension, those of several at once, or (where there are tags among several
 * dimensions) the records themselves.
 */
export const answeredBy = (
  filter: Ledger.LedgerFilter,
  by: ReadonlyArray<Ledger.LedgerDimension>
): { readonly dimension: string } | { readonly kind: Kind } | "records" => {
  const used = new Set<string>(by.filter((dimension) => dimension !== "tenant"))
  for (const dimension of filterable) if (filter[dimension] !== undefined) used.add(dimension)
  if (used.size < 2) return { dimension: used.size === 0 ? everything : [...used][0]! }
  return used.has("tag") ? "records" : { kind: [...used].every((each) => ofModels.has(each)) ? "models" : "all" }
}

/** A range of time; with the slots that make it up, if there are such. */
export interface Part {
  readonly level: number | undefined
  readonly fromMs: number
  readonly toMs: number
}

/** A time as whole slots, the largest first, and what is left at its ends. */
export const partsOf = (fromMs: number, toMs: number, levels: ReadonlyArray<number>): ReadonlyArray<Part> => {
  if (fromMs >= toMs) return []
  const [level, ...smaller] = levels
  if (level === undefined) return [{ level: undefined, fromMs, toMs }]
  const from = Math.ceil(fromMs / level) * level
  const to = floorTo(toMs, level)
  if (from >= to) return partsOf(fromMs, toMs, smaller)
  return [...partsOf(fromMs, from, smaller), { level, fromMs: from, toMs: to }, ...partsOf(to, toMs, smaller)]
}
