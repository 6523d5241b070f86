/** What an append writes: the tables, their columns, and what happens to rows that are there already. */
import type { Ledger } from "@breakwater/core"
import { columns, valuesOf } from "./ledgerRows.ts"
import { type CrossSum, crossSumsOf, type Sum, sumsOf } from "./ledgerSums.ts"

/** Rows for one table. */
export interface Insert {
  readonly table: string
  readonly columns: ReadonlyArray<string>
  readonly rows: ReadonlyArray<ReadonlyArray<unknown>>
  /** What stands after the rows. */
  readonly clause: string
}

/** Columns that are sums. */
export const summed = [
  "input_tokens",
  "output_tokens",
  "cached_input_tokens",
  "cache_write_tokens",
  "reasoning_tokens",
  "cost_nanos",
  "took_ms"
] as const

const totals = [...summed, "records", "unpriced"] as const

const totalValues = (sum: Ledger.LedgerTotals): ReadonlyArray<number | bigint> => [
  sum.inputTokens,
  sum.outputTokens,
  sum.cachedInputTokens,
  sum.cacheWriteTokens,
  sum.reasoningTokens,
  sum.costNanos,
  sum.tookMs,
  sum.records,
  sum.unpriced
]

const bounded = ["bounded_records", "bounded_max", "bounded_output"] as const

const crossColumns = [
  "kind",
  "level",
  "slot",
  "tenant",
  "user_id",
  "project",
  "key_id",
  "provider",
  "model",
  "operation",
  "outcome",
  ...totals,
  ...bounded,
  "bounded_longest"
]

const crossValues = (sum: CrossSum): ReadonlyArray<unknown> => [
  sum.kind,
  sum.level,
  sum.slot,
  ...sum.of,
  ...totalValues(sum),
  sum.boundedRecords,
  sum.boundedMax,
  sum.boundedOutput,
  sum.boundedLongest
]

const sumColumns = ["tenant", "dimension", "slot", "value", ...totals]

const sumValues = (sum: Sum): ReadonlyArray<unknown> => [
  sum.tenant,
  sum.dimension,
  sum.slot,
  sum.value,
  ...totalValues(sum)
]

const added = (table: string, names: ReadonlyArray<string>): string =>
  names.map((name) => `${name} = ${table}.${name} + excluded.${name}`).join(", ")

const addToSums = `ON CONFLICT (dimension, slot, tenant, value) DO UPDATE SET ${added("breakwater_ledger_sums", totals)}`

const longest = "breakwater_ledger_cross.bounded_longest"

const addToCross = `ON CONFLICT (kind, level, slot, tenant, user_id, project, key_id, provider, model, operation, outcome)
  DO UPDATE SET ${added("breakwater_ledger_cross", [...totals, ...bounded])},
  bounded_longest = CASE WHEN excluded.bounded_longest > ${longest} THEN excluded.bounded_longest ELSE ${longest} END`

/** The records themselves; answers with the ids of those that were not there before. */
export const recordsInsert = (records: ReadonlyArray<Ledger.LedgerRecord>): Insert => ({
  table: "breakwater_ledger",
  columns,
  rows: records.map(valuesOf),
  clause: "ON CONFLICT (id) DO NOTHING RETURNING id"
})

/** What records that are new add to the sums. */
export const sumInserts = (records: ReadonlyArray<Ledger.LedgerRecord>): ReadonlyArray<Insert> => [
  {
    table: "breakwater_ledger_sums",
    columns: sumColumns,
    rows: sumsOf(records).map(sumValues),
    clause: addToSums
  },
  {
    table: "breakwater_ledger_cross",
    columns: crossColumns,
    rows: crossSumsOf(records).map(crossValues),
    clause: addToCross
  }
]

/** Rows of one statement: PostgreSQL takes 65,535 parameters, SQLite 32,766. */
const rowsPerStatement = 500

/** Inserts that one statement each can take. */
export const statementsOf = (insert: Insert): ReadonlyArray<Insert> => {
  const out: Array<Insert> = []
  for (let at = 0; at < insert.rows.length; at += rowsPerStatement)
    out.push({ ...insert, rows: insert.rows.slice(at, at + rowsPerStatement) })
  return out
}

/** A statement and its parameters. Placeholders are written out: the generic helper takes longer than the database. */
export const textOf = (
  { columns, rows, table, clause }: Insert,
  numbered: boolean
): { readonly statement: string; readonly params: ReadonlyArray<unknown> } => {
  const params: Array<unknown> = []
  const tuples = rows.map(
    (row) => `(${row.map((value) => (numbered ? `$${params.push(value)}` : (params.push(value), "?"))).join(",")})`
  )
  return { statement: `INSERT INTO ${table} (${columns.join(",")}) VALUES ${tuples.join(",")} ${clause}`, params }
}
