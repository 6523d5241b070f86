/**
 * The ledger in a SQL database: SQLite for one process, PostgreSQL for many.
 *
 * Records go into one table that is only added to. Beside it, in the same transaction, sums are kept: of each value of
 * each dimension by the quarter of an hour and the day, and of all dimensions at once by the hour and the day. A report
 * reads thousands of those instead of millions of records. Only one that crosses tags with something else reads the
 * records.
 */
import { Ledger, LedgerStore, LLMError } from "@breakwater/core"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as SqlClient from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import type { Fragment } from "effect/sql/Statement"
import { asStoreError, databaseName } from "./internal/failure.ts"
import {
  crossAsSums,
  indexHint,
  insightOf,
  outcomesQuery,
  recordsAsSums,
  repeatsQuery,
  shortQuery
} from "./internal/ledgerInsights.ts"
import { clean, recordOf, type Row, tagNeedle, tagsOf, totalsOf } from "./internal/ledgerRows.ts"
import { answeredBy, byDay, dayMs, hourMs, type Kind, partsOf, quarterMs } from "./internal/ledgerSums.ts"
import { type Insert, recordsInsert, statementsOf, summed, sumInserts, textOf } from "./internal/ledgerWrites.ts"
import { crossVersion, migrate, newest, versionOf } from "./internal/migrate.ts"

type Dimension = Ledger.LedgerDimension
type Filter = Ledger.LedgerFilter

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

class SqlLedger implements LedgerStore.LedgerStoreService {
  readonly name: string
  private readonly sql: SqlClient.SqlClient
  /** Whether there are sums of days and of all dimensions at once: a ledger that is only read may be of an older schema. */
  private readonly crossed: boolean

  constructor(sql: SqlClient.SqlClient, name: string, version: number) {
    this.sql = sql
    this.name = name
    this.crossed = version >= crossVersion
  }

  readonly append = (records: ReadonlyArray<Ledger.LedgerRecord>): Effect.Effect<void, LLMError.StoreError> =>
    records.length === 0
      ? Effect.void
      : this.sql
          .withTransaction(
            Effect.gen({ self: this }, function* () {
              const kept = new Set<string>()
              for (const row of yield* this.insert(recordsInsert(records))) kept.add(row["id"] as string)
              // An id that comes twice in one batch is kept once, and summed once.
              const fresh = records.filter((record) => kept.delete(clean(record.id)))
              for (const insert of sumInserts(fresh)) yield* this.insert(insert)
            })
          )
          .pipe(asStoreError(this.name, "append"))

  readonly totals = (
    filter: Filter,
    by: ReadonlyArray<Dimension>
  ): Effect.Effect<ReadonlyArray<Ledger.LedgerGroup>, LLMError.StoreError> =>
    Effect.map(
      Effect.forEach(this.partsFor(filter, by), (part) => part),
      (parts) => Ledger.mergeGroups(parts.flat(), by)
    ).pipe(asStoreError(this.name, "total"))

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
    Effect.gen({ self: this }, function* () {
      const { sql } = this
      const where = sql.and(this.where(filter))
      const hint = this.crossed ? indexHint(sql, filter, yield* this.shareOf(filter)) : sql``
      const outcomes = yield* outcomesQuery(sql, this.outcomeRows(filter))
      const rest = [yield* shortQuery(sql, where, hint, short), yield* repeatsQuery(sql, where, hint)]
      return outcomes.map((row) => insightOf(row, rest))
    }).pipe(asStoreError(this.name, "read"))

  /** One insert of many rows. */
  private insert(insert: Insert): Effect.Effect<ReadonlyArray<Row>, SqlError> {
    const numbered = this.sql.onDialectOrElse({ pg: () => true, orElse: () => false })
    return Effect.map(
      Effect.forEach(statementsOf(insert), (each) => {
        const { params, statement } = textOf(each, numbered)
        return this.sql.unsafe<Row>(statement, params)
      }),
      (rows) => rows.flat()
    )
  }

  private where(filter: Filter): Array<Fragment> {
    const { sql } = this
    const wheres: Array<Fragment> = [sql`at_ms >= ${Math.ceil(filter.fromMs)}`, sql`at_ms < ${Math.ceil(filter.toMs)}`]
    if (filter.tag === "") wheres.push(sql`tags = ''`)
    else if (filter.tag !== undefined) {
      const needle = tagNeedle(filter.tag)
      wheres.push(
        sql.onDialectOrElse({
          pg: () => sql`strpos(tags, ${needle}) > 0`,
          orElse: () => sql`instr(tags, ${needle}) > 0`
        })
      )
    }
    return [...wheres, ...this.whereValues(filter)]
  }

  /** What a filter asks of the columns that the records and the sums of all dimensions have in common. */
  private whereValues(filter: Filter): ReadonlyArray<Fragment> {
    const { sql } = this
    const wheres: Array<Fragment> = []
    for (const [dimension, column] of Object.entries(columnOf) as Array<[keyof typeof columnOf, string]>) {
      const value = filter[dimension]
      if (value !== undefined && dimension !== "tag") wheres.push(sql`${sql(column)} = ${clean(value)}`)
    }
    if (filter.model !== undefined) wheres.push(sql`provider || '/' || model = ${clean(filter.model)}`)
    return wheres
  }

  /** The queries that answer a question together: each of another part of the time. */
  private partsFor(
    filter: Filter,
    by: ReadonlyArray<Dimension>
  ): ReadonlyArray<Effect.Effect<ReadonlyArray<Ledger.LedgerGroup>, SqlError>> {
    const answer = answeredBy(filter, by)
    if (answer === "records" || ("kind" in answer && !this.crossed)) return [this.sumRecords(filter, by)]
    const levels = "kind" in answer ? [dayMs, hourMs] : this.crossed ? [dayMs, quarterMs] : [quarterMs]
    return partsOf(filter.fromMs, filter.toMs, levels).map(({ fromMs, level, toMs }) => {
      const part = { ...filter, fromMs, toMs }
      if (level === undefined) return this.sumRecords(part, by)
      if ("kind" in answer) return this.groups(part, by, slotSums, this.crossRows(part, answer.kind, level))
      return this.sumSlots(part, by, answer.dimension, level)
    })
  }

  /** Groups of rows that have the columns of records. */
  private groups(
    filter: Filter,
    by: ReadonlyArray<Dimension>,
    sums: string,
    from: Fragment
  ): Effect.Effect<ReadonlyArray<Ledger.LedgerGroup>, SqlError> {
    const { sql } = this
    const names = by.flatMap((dimension) => (dimension === "model" ? ["provider", "model"] : [columnOf[dimension]]))
    const query = sql<Row>`SELECT ${this.grouped(names, sums, from)}`
    return Effect.map(query, (rows) => rows.flatMap((row) => groupsOfRow(row, by, filter)))
  }

  /** Sums by columns; without columns one row, or none where there is nothing. */
  private grouped(names: ReadonlyArray<string>, sums: string, from: Fragment): Fragment {
    const { sql } = this
    if (names.length === 0) return sql`${sql.literal(sums)} FROM ${from} HAVING COUNT(*) > 0`
    const keys = sql.csv([...new Set(names)].map((name) => sql`${sql(name)}`))
    return sql`${keys}, ${sql.literal(sums)} FROM ${from} GROUP BY ${keys}`
  }

  private sumRecords(filter: Filter, by: ReadonlyArray<Dimension>) {
    const { sql } = this
    return this.groups(filter, by, recordSums, sql`breakwater_ledger WHERE ${sql.and(this.where(filter))}`)
  }

  /** The sums of several dimensions of a time that is whole slots. */
  private crossRows(filter: Filter, kind: Kind, level: number): Fragment {
    const { sql } = this
    const slots = [
      sql`kind = ${kind}`,
      sql`level = ${level}`,
      sql`slot >= ${filter.fromMs}`,
      sql`slot < ${filter.toMs}`
    ]
    return sql`breakwater_ledger_cross WHERE ${sql.and([...slots, ...this.whereValues(filter)])}`
  }

  /** The sums of one dimension of a time that is whole slots. */
  private sumSlots(
    filter: Filter,
    by: ReadonlyArray<Dimension>,
    dimension: string,
    level: number
  ): Effect.Effect<ReadonlyArray<Ledger.LedgerGroup>, SqlError> {
    const { sql } = this
    const wheres = [
      sql`dimension = ${level === dayMs ? byDay(dimension) : dimension}`,
      sql`slot >= ${filter.fromMs}`,
      sql`slot < ${filter.toMs}`
    ]
    if (filter.tenant !== undefined) wheres.push(sql`tenant = ${clean(filter.tenant)}`)
    const value = filter[dimension as keyof Filter]
    if (value !== undefined) wheres.push(sql`value = ${clean(String(value))}`)
    const names = by.map((each) => (each === "tenant" ? "tenant" : "value"))
    const query = sql<Row>`SELECT ${this.grouped(names, slotSums, sql`breakwater_ledger_sums WHERE ${sql.and(wheres)}`)}`
    return Effect.map(query, (rows) =>
      rows.map((row): Ledger.LedgerGroup => ({
        by: Object.fromEntries(by.map((each) => [each, row[each === "tenant" ? "tenant" : "value"] as string])),
        ...totalsOf(row)
      }))
    )
  }

  /** What {@link outcomesQuery} is to sum: sums where there are such, and records. */
  private outcomeRows(filter: Filter): Fragment {
    const { sql } = this
    const answer = answeredBy(filter, ["provider", "model", "outcome"])
    const kind = typeof answer === "object" && "kind" in answer && this.crossed ? answer.kind : undefined
    const levels = kind === undefined ? [] : [dayMs, hourMs]
    const selects = partsOf(filter.fromMs, filter.toMs, levels).map(({ fromMs, level, toMs }) => {
      const part = { ...filter, fromMs, toMs }
      return level === undefined || kind === undefined
        ? sql`SELECT ${sql.literal(recordsAsSums)} FROM breakwater_ledger WHERE ${sql.and(this.where(part))}`
        : sql`SELECT ${sql.literal(crossAsSums)} FROM ${this.crossRows(part, kind, level)}`
    })
    return selects.reduce((all, each) => sql`${all} UNION ALL ${each}`)
  }

  /** The part of all records that is in a time, about. */
  private shareOf({ fromMs, toMs }: Filter): Effect.Effect<number, SqlError> {
    const { sql } = this
    const inside = sql`slot >= ${Math.floor(fromMs / dayMs) * dayMs} AND slot < ${Math.ceil(toMs)}`
    return Effect.map(
      sql<Row>`SELECT COALESCE(SUM(records), 0) AS n, COALESCE(SUM(CASE WHEN ${inside} THEN records ELSE 0 END), 0) AS m
        FROM breakwater_ledger_sums WHERE dimension = ${byDay("")}`,
      ([row]) => Number(row?.["m"] ?? 0) / Math.max(1, Number(row?.["n"] ?? 0))
    )
  }
}

const sumOf = (column: string): string => `CAST(COALESCE(SUM(${column}), 0) AS BIGINT) AS ${column}`
const recordSums = ["COUNT(*) AS records", "COUNT(*) - COUNT(cost_nanos) AS unpriced", ...summed.map(sumOf)].join(", ")
const slotSums = [...summed, "records", "unpriced"].map(sumOf).join(", ")

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

/** The ledger in the database of the client in the context, with its tables. Fails with a `StoreError` without them. */
export const make: Effect.Effect<LedgerStore.LedgerStoreService, LLMError.StoreError, SqlClient.SqlClient> = Effect.gen(
  function* () {
    const sql = yield* SqlClient.SqlClient
    const name = databaseName(sql)
    yield* asStoreError(name, "migrate")(migrate)
    return new SqlLedger(sql, name, newest)
  }
)

const onlyRead = (name: string, operation: string, message: string): LLMError.StoreError =>
  LLMError.withoutStack(() => new LLMError.StoreError({ message, store: name, operation }))

/**
 * The ledger in the database of the client in the context, to be read only: nothing is made or migrated, and appending
 * fails with a `StoreError`. A ledger of an older version of this package is read, more slowly where it has no sums for
 * a question. Fails with a `StoreError` for a database without a ledger.
 */
export const makeReadOnly: Effect.Effect<LedgerStore.LedgerStoreService, LLMError.StoreError, SqlClient.SqlClient> =
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const name = databaseName(sql)
    const version = yield* asStoreError(name, "open")(versionOf)
    if (version === 0)
      return yield* Effect.fail(onlyRead(name, "open", `${name} holds no ledger: it has no table of records`))
    const store = new SqlLedger(sql, name, version)
    return {
      name,
      append: () => Effect.fail(onlyRead(name, "append", `the ledger in ${name} was opened to be read`)),
      totals: store.totals,
      records: store.records,
      insights: store.insights
    }
  })

/** {@link make} as a Layer. */
export const layer: Layer.Layer<LedgerStore.LedgerStore, LLMError.StoreError, SqlClient.SqlClient> = Layer.effect(
  LedgerStore.LedgerStore,
  make
)

/** {@link makeReadOnly} as a Layer. */
export const layerReadOnly: Layer.Layer<LedgerStore.LedgerStore, LLMError.StoreError, SqlClient.SqlClient> =
  Layer.effect(LedgerStore.LedgerStore, makeReadOnly)
