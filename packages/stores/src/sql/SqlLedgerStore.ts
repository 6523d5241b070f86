/**
 * The ledger in a SQL database: SQLite for one process, PostgreSQL for many.
 *
 * Records go into one table that is only added to. Beside it, in the same transaction, quarter-hourly sums are kept for
 * each value of each dimension, so that a report reads thousands of rows instead of millions of records. A question that
 * crosses two dimensions reads the records.
 */
import { Ledger, LedgerStore, type LLMError } from "@breakwater/core"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as SqlClient from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import type { Fragment } from "effect/sql/Statement"
import { asStoreError } from "./internal/failure.ts"
import {
  big,
  clean,
  columns,
  int,
  recordOf,
  type Row,
  tagNeedle,
  tagsOf,
  totalsOf,
  valuesOf
} from "./internal/ledgerRows.ts"
import { answeredBy, slotMs, type Sum, sumsOf } from "./internal/ledgerSums.ts"
import { migrate } from "./internal/migrate.ts"

type Dimension = Ledger.LedgerDimension
type Filter = Ledger.LedgerFilter

/** Rows of one statement: PostgreSQL takes 65,535 parameters, SQLite 32,766. */
const rowsPerStatement = 500

const columnOf: Readonly<Record<Exclude<Dimension, "model">, string>> = {
  tenant: "tenant",
  user: "user_id",
  project: "project",
  key: "key_id",
  tag: "tags",
  provider: "provider",
  operation: "operation",
  outcome: "outcome"
}

const chunks = <A>(all: ReadonlyArray<A>): ReadonlyArray<ReadonlyArray<A>> => {
  const out: Array<ReadonlyArray<A>> = []
  for (let at = 0; at < all.length; at += rowsPerStatement) out.push(all.slice(at, at + rowsPerStatement))
  return out
}

class SqlLedger implements LedgerStore.LedgerStoreService {
  readonly name: string
  private readonly sql: SqlClient.SqlClient

  constructor(sql: SqlClient.SqlClient, name: string) {
    this.sql = sql
    this.name = name
  }

  readonly append = (records: ReadonlyArray<Ledger.LedgerRecord>): Effect.Effect<void, LLMError.StoreError> =>
    records.length === 0
      ? Effect.void
      : this.sql
          .withTransaction(
            Effect.gen({ self: this }, function* () {
              const kept = new Set<string>()
              for (const chunk of chunks(records)) {
                const rows = yield* this.insert(
                  "breakwater_ledger",
                  columns,
                  chunk.map(valuesOf),
                  "ON CONFLICT (id) DO NOTHING RETURNING id"
                )
                for (const row of rows) kept.add(row["id"] as string)
              }
              const fresh: Array<Ledger.LedgerRecord> = []
              // An id that comes twice in one batch is kept once, and summed once.
              for (const record of records) if (kept.delete(clean(record.id))) fresh.push(record)
              for (const chunk of chunks(sumsOf(fresh)))
                yield* this.insert("breakwater_ledger_sums", sumColumns, chunk.map(sumValues), addToSums)
            })
          )
          .pipe(asStoreError(this.name, "append"))

  readonly totals = (
    filter: Filter,
    by: ReadonlyArray<Dimension>
  ): Effect.Effect<ReadonlyArray<Ledger.LedgerGroup>, LLMError.StoreError> =>
    Effect.gen({ self: this }, function* () {
      const dimension = answeredBy(filter, by)
      const from = Math.ceil(filter.fromMs / slotMs) * slotMs
      const to = Math.floor(filter.toMs / slotMs) * slotMs
      const parts: Array<Ledger.LedgerGroup> = []
      if (dimension === undefined || from >= to) parts.push(...(yield* this.sumRecords(filter, by)))
      else {
        // Whole slots by their sums, what is left at both ends by the records.
        parts.push(...(yield* this.sumSlots(filter, by, dimension, from, to)))
        if (filter.fromMs < from) parts.push(...(yield* this.sumRecords({ ...filter, toMs: from }, by)))
        if (to < filter.toMs) parts.push(...(yield* this.sumRecords({ ...filter, fromMs: to }, by)))
      }
      return Ledger.mergeGroups(parts, by)
    }).pipe(asStoreError(this.name, "total"))

  readonly records = (
    filter: Filter,
    limit: number,
    after?: LedgerStore.LedgerCursor
  ): Effect.Effect<ReadonlyArray<Ledger.LedgerRecord>, LLMError.StoreError> =>
    Effect.suspend(() => {
      const { sql } = this
      const wheres = this.where(filter)
      if (after !== undefined) {
        wheres.push(
          sql.or([sql`at_ms > ${after.atMs}`, sql.and([sql`at_ms = ${after.atMs}`, sql`id > ${clean(after.id)}`])])
        )
      }
      return sql<Row>`SELECT * FROM breakwater_ledger WHERE ${sql.and(wheres)} ORDER BY at_ms, id LIMIT ${limit}`
    }).pipe(
      Effect.map((rows) => rows.map(recordOf)),
      asStoreError(this.name, "read")
    )

  readonly insights = (
    filter: Filter,
    short: LedgerStore.ShortCall
  ): Effect.Effect<ReadonlyArray<LedgerStore.LedgerInsight>, LLMError.StoreError> =>
    Effect.suspend(() => {
      const { sql } = this
      const where = sql.and(this.where(filter))
      const isShort = sql`outcome = 'success' AND input_tokens <= ${short.inputTokens} AND output_tokens <= ${short.outputTokens}`
      const isBounded = sql`outcome = 'success' AND max_tokens IS NOT NULL`
      const sum = (column: string, when: Fragment) =>
        sql`CAST(COALESCE(SUM(CASE WHEN ${when} THEN ${sql(column)} ELSE 0 END), 0) AS BIGINT)`
      const count = (when: Fragment) => sql`COUNT(CASE WHEN ${when} THEN 1 END)`
      const ok = sql`outcome = 'success'`
      const bad = sql`outcome <> 'success'`
      const models = sql<Row>`SELECT provider, model,
        ${count(ok)} AS answers, ${sum("cost_nanos", ok)} AS cost_nanos,
        ${count(isShort)} AS short_records, ${sum("cost_nanos", isShort)} AS short_cost,
        ${sum("input_tokens", isShort)} AS short_input, ${sum("output_tokens", isShort)} AS short_output,
        ${count(isBounded)} AS bounded_records, ${sum("max_tokens", isBounded)} AS bounded_max,
        ${sum("output_tokens", isBounded)} AS bounded_output,
        MAX(CASE WHEN ${isBounded} THEN output_tokens ELSE 0 END) AS bounded_longest,
        ${count(bad)} AS failed_records, ${sum("cost_nanos", bad)} AS failed_cost
        FROM breakwater_ledger WHERE ${where} GROUP BY provider, model`
      const repeats = sql<Row>`SELECT provider, model, CAST(SUM(n - 1) AS BIGINT) AS repeated,
        CAST(SUM(cost - cost / n) AS BIGINT) AS cost FROM (
          SELECT provider, model, COUNT(*) AS n, CAST(COALESCE(SUM(cost_nanos), 0) AS BIGINT) AS cost
          FROM breakwater_ledger WHERE ${where} AND outcome = 'success' AND fingerprint IS NOT NULL
          GROUP BY provider, model, fingerprint HAVING COUNT(*) > 1
        ) AS asked GROUP BY provider, model`
      return Effect.zipWith(models, repeats, (rows, again) =>
        rows.map((row) =>
          insightOf(
            row,
            again.find((each) => each["provider"] === row["provider"] && each["model"] === row["model"])
          )
        )
      )
    }).pipe(asStoreError(this.name, "read"))

  /** One insert of many rows. Placeholders are written out: the generic helper takes longer than the database. */
  private insert(
    table: string,
    names: ReadonlyArray<string>,
    rows: ReadonlyArray<ReadonlyArray<unknown>>,
    then: string
  ): Effect.Effect<ReadonlyArray<Row>, SqlError> {
    const numbered = this.sql.onDialectOrElse({ pg: () => true, orElse: () => false })
    const params: Array<unknown> = []
    const tuples = rows.map(
      (row) => `(${row.map((value) => `${numbered ? `$${params.push(value)}` : (params.push(value), "?")}`).join(",")})`
    )
    return this.sql.unsafe<Row>(`INSERT INTO ${table} (${names.join(",")}) VALUES ${tuples.join(",")} ${then}`, params)
  }

  private where(filter: Filter): Array<Fragment> {
    const { sql } = this
    const wheres: Array<Fragment> = [sql`at_ms >= ${Math.ceil(filter.fromMs)}`, sql`at_ms < ${Math.ceil(filter.toMs)}`]
    for (const [dimension, column] of Object.entries(columnOf) as Array<[keyof typeof columnOf, string]>) {
      const value = filter[dimension]
      if (value === undefined) continue
      if (dimension !== "tag") wheres.push(sql`${sql(column)} = ${clean(value)}`)
      else if (value === "") wheres.push(sql`tags = ''`)
      else {
        wheres.push(
          sql.onDialectOrElse({
            pg: () => sql`strpos(tags, ${tagNeedle(value)}) > 0`,
            orElse: () => sql`instr(tags, ${tagNeedle(value)}) > 0`
          })
        )
      }
    }
    if (filter.model !== undefined) wheres.push(sql`provider || '/' || model = ${clean(filter.model)}`)
    return wheres
  }

  private sumRecords(
    filter: Filter,
    by: ReadonlyArray<Dimension>
  ): Effect.Effect<ReadonlyArray<Ledger.LedgerGroup>, SqlError> {
    const { sql } = this
    const names = by.flatMap((dimension) => (dimension === "model" ? ["provider", "model"] : [columnOf[dimension]]))
    const keys = sql.csv([...new Set(names)].map((name) => sql`${sql(name)}`))
    const select = names.length === 0 ? sql`` : sql`${keys},`
    const group = names.length === 0 ? sql`HAVING COUNT(*) > 0` : sql`GROUP BY ${keys}`
    const query = sql<Row>`SELECT ${select} ${sql.literal(recordSums)} FROM breakwater_ledger WHERE ${sql.and(this.where(filter))} ${group}`
    return Effect.map(query, (rows) => rows.flatMap((row) => groupsOfRow(row, by, filter)))
  }

  private sumSlots(
    filter: Filter,
    by: ReadonlyArray<Dimension>,
    dimension: string,
    from: number,
    to: number
  ): Effect.Effect<ReadonlyArray<Ledger.LedgerGroup>, SqlError> {
    const { sql } = this
    const wheres = [sql`dimension = ${dimension}`, sql`slot >= ${from}`, sql`slot < ${to}`]
    if (filter.tenant !== undefined) wheres.push(sql`tenant = ${clean(filter.tenant)}`)
    const value = filter[dimension as keyof Filter]
    if (value !== undefined) wheres.push(sql`value = ${clean(String(value))}`)
    const names = by.map((each) => (each === "tenant" ? "tenant" : "value"))
    const keys = sql.csv([...new Set(names)].map((name) => sql`${sql(name)}`))
    const select = names.length === 0 ? sql`` : sql`${keys},`
    const group = names.length === 0 ? sql`HAVING COUNT(*) > 0` : sql`GROUP BY ${keys}`
    const query = sql<Row>`SELECT ${select} ${sql.literal(slotSums)} FROM breakwater_ledger_sums WHERE ${sql.and(wheres)} ${group}`
    return Effect.map(query, (rows) =>
      rows.map((row): Ledger.LedgerGroup => ({
        by: Object.fromEntries(by.map((each) => [each, row[each === "tenant" ? "tenant" : "value"] as string])),
        ...totalsOf(row)
      }))
    )
  }
}

const summed = [
  "input_tokens",
  "output_tokens",
  "cached_input_tokens",
  "cache_write_tokens",
  "reasoning_tokens",
  "cost_nanos",
  "took_ms"
] as const

const sumOf = (column: string): string => `CAST(COALESCE(SUM(${column}), 0) AS BIGINT) AS ${column}`
const recordSums = ["COUNT(*) AS records", "COUNT(*) - COUNT(cost_nanos) AS unpriced", ...summed.map(sumOf)].join(", ")
const slotSums = [...summed, "records", "unpriced"].map(sumOf).join(", ")

const sumColumns = ["tenant", "dimension", "slot", "value", "records", ...summed, "unpriced"] as const

const sumValues = (sum: Sum): ReadonlyArray<unknown> => [
  sum.tenant,
  sum.dimension,
  sum.slot,
  sum.value,
  sum.records,
  sum.inputTokens,
  sum.outputTokens,
  sum.cachedInputTokens,
  sum.cacheWriteTokens,
  sum.reasoningTokens,
  sum.costNanos,
  sum.tookMs,
  sum.unpriced
]

const addToSums = `ON CONFLICT (dimension, slot, tenant, value) DO UPDATE SET ${["records", ...summed, "unpriced"]
  .map((column) => `${column} = breakwater_ledger_sums.${column} + excluded.${column}`)
  .join(", ")}`

/** A row grouped by the texts of tags is a row of each of its tags. */
const groupsOfRow = (row: Row, by: ReadonlyArray<Dimension>, filter: Filter): ReadonlyArray<Ledger.LedgerGroup> => {
  const totals = totalsOf(row)
  const values: Partial<Record<Dimension, string>> = {}
  for (const dimension of by) {
    values[dimension] =
      dimension === "model"
        ? `${row["provider"] as string}/${row["model"] as string}`
        : (row[columnOf[dimension]] as string)
  }
  if (!by.includes("tag")) return [{ by: values, ...totals }]
  const tags = tagsOf(row["tags"] as string)
  const wanted = tags.length === 0 ? [""] : [...new Set(tags)]
  return wanted
    .filter((tag) => filter.tag === undefined || tag === clean(filter.tag))
    .map((tag) => ({ by: { ...values, tag }, ...totals }))
}

const insightOf = (row: Row, again: Row | undefined): LedgerStore.LedgerInsight => ({
  provider: row["provider"] as string,
  model: row["model"] as string,
  answers: int(row, "answers"),
  costNanos: big(row, "cost_nanos"),
  short: {
    records: int(row, "short_records"),
    costNanos: big(row, "short_cost"),
    inputTokens: int(row, "short_input"),
    outputTokens: int(row, "short_output")
  },
  bounded: {
    records: int(row, "bounded_records"),
    maxTokens: int(row, "bounded_max"),
    outputTokens: int(row, "bounded_output"),
    longest: int(row, "bounded_longest")
  },
  repeated:
    again === undefined
      ? { records: 0, costNanos: 0n }
      : { records: int(again, "repeated"), costNanos: big(again, "cost") },
  failed: { records: int(row, "failed_records"), costNanos: big(row, "failed_cost") }
})

/** The ledger in the database of the client in the context, with its tables. Fails with a `StoreError` without them. */
export const make: Effect.Effect<LedgerStore.LedgerStoreService, LLMError.StoreError, SqlClient.SqlClient> = Effect.gen(
  function* () {
    const sql = yield* SqlClient.SqlClient
    const name = sql.onDialectOrElse({ pg: () => "postgresql", sqlite: () => "sqlite", orElse: () => "sql" })
    yield* asStoreError(name, "migrate")(migrate)
    return new SqlLedger(sql, name)
  }
)

/** {@link make} as a Layer. */
export const layer: Layer.Layer<LedgerStore.LedgerStore, LLMError.StoreError, SqlClient.SqlClient> = Layer.effect(
  LedgerStore.LedgerStore,
  make
)
