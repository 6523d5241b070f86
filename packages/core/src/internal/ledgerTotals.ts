/**
 * Sums over the ledger's records, in memory. Stores that sum by themselves use what merges parts.
 */
import type { LedgerDimension, LedgerFilter, LedgerGroup, LedgerRecord, LedgerTotals } from "../domain/Ledger.ts"

/** What is known of the calls to one model, for recommendations. Amounts are nano-dollars of what is priced. */
export interface LedgerInsight {
  readonly provider: string
  readonly model: string
  /** Answers, and what they cost. */
  readonly answers: number
  readonly costNanos: bigint
  /** Of the answers, those with a short prompt and a short text. */
  readonly short: {
    readonly records: number
    readonly costNanos: bigint
    readonly inputTokens: number
    readonly outputTokens: number
  }
  /** Of the answers, those whose length the request bounded. */
  readonly bounded: {
    readonly records: number
    readonly maxTokens: number
    readonly outputTokens: number
    readonly longest: number
  }
  /** Answers to what had been asked before, in the same words, and what they cost. */
  readonly repeated: { readonly records: number; readonly costNanos: bigint }
  /** Attempts that brought no answer, and what they cost all the same. */
  readonly failed: { readonly records: number; readonly costNanos: bigint }
}

type Changeable<T> = { -readonly [K in keyof T]: T[K] }

/** The values a record has of a dimension: several of a tag, one of anything else, which may be empty. */
export const valuesOf = (record: LedgerRecord, dimension: LedgerDimension): ReadonlyArray<string> => {
  switch (dimension) {
    case "tag":
      return record.tags.length === 0 ? [""] : record.tags.length === 1 ? record.tags : [...new Set(record.tags)]
    case "model":
      return [`${record.provider}/${record.model}`]
    default:
      return [record[dimension] ?? ""]
  }
}

const dimensions = ["tenant", "user", "project", "key", "tag", "provider", "model", "operation", "outcome"] as const

/** Whether a record passes a filter. */
export const matches = (filter: LedgerFilter, record: LedgerRecord): boolean => {
  if (record.atMs < filter.fromMs || record.atMs >= filter.toMs) return false
  for (const dimension of dimensions) {
    const wanted = filter[dimension]
    if (wanted !== undefined && !valuesOf(record, dimension).includes(wanted)) return false
  }
  return true
}

const counts = [
  "records",
  "inputTokens",
  "outputTokens",
  "cachedInputTokens",
  "cacheWriteTokens",
  "reasoningTokens",
  "unpriced",
  "tookMs"
] as const satisfies ReadonlyArray<keyof LedgerTotals>

/** The sums of one record. */
export const totalsOf = (record: LedgerRecord): LedgerTotals => ({
  records: 1,
  inputTokens: record.inputTokens,
  outputTokens: record.outputTokens,
  cachedInputTokens: record.cachedInputTokens,
  cacheWriteTokens: record.cacheWriteTokens,
  reasoningTokens: record.reasoningTokens,
  costNanos: record.costNanos ?? 0n,
  unpriced: record.costNanos === undefined ? 1 : 0,
  tookMs: record.tookMs
})

/** Adds to sums in place. */
export const addTotals = (into: Changeable<LedgerTotals>, more: LedgerTotals): void => {
  for (const count of counts) into[count] += more[count]
  into.costNanos += more.costNanos
}

/** Groups of several parts as one list: those with the same values are added up; the dearest come first. */
export const mergeGroups = (
  parts: ReadonlyArray<LedgerGroup>,
  by: ReadonlyArray<LedgerDimension>
): ReadonlyArray<LedgerGroup> => {
  const merged = new Map<string, Changeable<LedgerGroup>>()
  for (const part of parts) {
    const key = JSON.stringify(by.map((dimension) => part.by[dimension]))
    const found = merged.get(key)
    if (found === undefined) merged.set(key, { ...part })
    else addTotals(found, part)
  }
  return [...merged.values()].sort((a, b) => (a.costNanos > b.costNanos ? -1 : a.costNanos < b.costNanos ? 1 : 0))
}

/** Every combination of a record's values that the filter asks for. */
const combinations = (
  record: LedgerRecord,
  by: ReadonlyArray<LedgerDimension>,
  filter: LedgerFilter
): ReadonlyArray<LedgerGroup["by"]> => {
  let all: ReadonlyArray<LedgerGroup["by"]> = [{}]
  for (const dimension of by) {
    const values = valuesOf(record, dimension).filter(
      (value) => filter[dimension] === undefined || filter[dimension] === value
    )
    all = all.flatMap((each) => values.map((value) => ({ ...each, [dimension]: value })))
  }
  return all
}

/** The groups of the records that pass the filter. */
export const groupsOf = (
  records: ReadonlyArray<LedgerRecord>,
  by: ReadonlyArray<LedgerDimension>,
  filter: LedgerFilter
): ReadonlyArray<LedgerGroup> =>
  mergeGroups(
    records.flatMap((record) => {
      const totals = totalsOf(record)
      return combinations(record, by, filter).map((values) => ({ by: values, ...totals }))
    }),
    by
  )

interface Counted {
  records: number
  costNanos: bigint
}

const count = (into: Counted, costNanos: bigint | undefined): void => {
  into.records++
  into.costNanos += costNanos ?? 0n
}

export const insightsOf = (
  records: ReadonlyArray<LedgerRecord>,
  limit: { readonly inputTokens: number; readonly outputTokens: number }
): ReadonlyArray<LedgerInsight> => {
  const models = new Map<string, Array<LedgerRecord>>()
  for (const record of records) {
    const id = `${record.provider}/${record.model}`
    const list = models.get(id)
    if (list === undefined) models.set(id, [record])
    else list.push(record)
  }
  return [...models.values()].map((list): LedgerInsight => {
    const answers: Counted = { records: 0, costNanos: 0n }
    const short = { records: 0, costNanos: 0n, inputTokens: 0, outputTokens: 0 }
    const bounded = { records: 0, maxTokens: 0, outputTokens: 0, longest: 0 }
    const failed: Counted = { records: 0, costNanos: 0n }
    const asked = new Map<string, Counted>()
    for (const record of list) {
      if (record.outcome !== "success") {
        count(failed, record.costNanos)
        continue
      }
      count(answers, record.costNanos)
      if (record.inputTokens <= limit.inputTokens && record.outputTokens <= limit.outputTokens) {
        count(short, record.costNanos)
        short.inputTokens += record.inputTokens
        short.outputTokens += record.outputTokens
      }
      if (record.maxTokens !== undefined) {
        bounded.records++
        bounded.maxTokens += record.maxTokens
        bounded.outputTokens += record.outputTokens
        bounded.longest = Math.max(bounded.longest, record.outputTokens)
      }
      if (record.fingerprint !== undefined) {
        const group = asked.get(record.fingerprint) ?? { records: 0, costNanos: 0n }
        count(group, record.costNanos)
        asked.set(record.fingerprint, group)
      }
    }
    const repeated: Counted = { records: 0, costNanos: 0n }
    for (const group of asked.values()) {
      repeated.records += group.records - 1
      // The first answer had to be paid; of the rest, what one cost on average.
      repeated.costNanos += group.costNanos - group.costNanos / BigInt(group.records)
    }
    const { model, provider } = list[0]!
    return { provider, model, answers: answers.records, costNanos: answers.costNanos, short, bounded, repeated, failed }
  })
}
