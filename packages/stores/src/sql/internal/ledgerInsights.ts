/**
 * What recommendations rest on, as queries. Which answers repeat others, and which are short, only the records can say;
 * an index has what it takes in the order of what was asked. What failed, and what was bounded, is in the sums.
 */
import type { Ledger, LedgerStore } from "@breakwater/core"
import type * as SqlClient from "effect/sql/SqlClient"
import type { Fragment, Statement } from "effect/sql/Statement"
import { big, int, type Row } from "./ledgerRows.ts"

/** Whether the index of answers has all that a filter asks for. */
const isCovered = ({ key, operation, outcome, project, tag, user }: Ledger.LedgerFilter): boolean =>
  [user, project, key, tag, operation, outcome].every((each) => each === undefined)

/**
 * Which index SQLite is to use; PostgreSQL knows by itself. In the order of what was asked, nothing is sorted, but all
 * of the ledger is read: worth it from a quarter of it on. `share` is the part of the records that is in the time.
 */
export const indexHint = (sql: SqlClient.SqlClient, filter: Ledger.LedgerFilter, share: number): Fragment =>
  sql.onDialectOrElse({
    sqlite: () =>
      isCovered(filter) && share >= 0.25
        ? sql`INDEXED BY breakwater_ledger_asked`
        : filter.tenant !== undefined && filter.user !== undefined
          ? sql`INDEXED BY breakwater_ledger_user`
          : sql`INDEXED BY breakwater_ledger_time`,
    orElse: () => sql``
  })

/** Answers to what had been asked before, by model. */
export const repeatsQuery = (sql: SqlClient.SqlClient, where: Fragment, hint: Fragment): Statement<Row> =>
  sql<Row>`SELECT provider, model, CAST(SUM(n - 1) AS BIGINT) AS repeated,
    CAST(SUM(cost - cost / n) AS BIGINT) AS repeated_cost FROM (
      SELECT provider, model, COUNT(*) AS n, CAST(COALESCE(SUM(cost_nanos), 0) AS BIGINT) AS cost
      FROM breakwater_ledger ${hint} WHERE ${where} AND outcome = 'success' AND fingerprint IS NOT NULL
      GROUP BY provider, model, fingerprint HAVING COUNT(*) > 1
    ) AS asked GROUP BY provider, model`

/** Answers with a short prompt and a short text, by model. */
export const shortQuery = (
  sql: SqlClient.SqlClient,
  where: Fragment,
  hint: Fragment,
  short: LedgerStore.ShortCall
): Statement<Row> =>
  sql<Row>`SELECT provider, model, COUNT(*) AS short_records,
    CAST(COALESCE(SUM(cost_nanos), 0) AS BIGINT) AS short_cost,
    CAST(SUM(input_tokens) AS BIGINT) AS short_input, CAST(SUM(output_tokens) AS BIGINT) AS short_output
    FROM breakwater_ledger ${hint} WHERE ${where} AND outcome = 'success'
      AND input_tokens <= ${short.inputTokens} AND output_tokens <= ${short.outputTokens}
    GROUP BY provider, model`

/** What answers, failures and bounds come to, by model, of rows that have the columns of the sums. */
export const outcomesQuery = (sql: SqlClient.SqlClient, rows: Fragment): Statement<Row> =>
  sql<Row>`SELECT provider, model,
    CAST(SUM(CASE WHEN outcome = 'success' THEN records ELSE 0 END) AS BIGINT) AS answers,
    CAST(SUM(CASE WHEN outcome = 'success' THEN cost_nanos ELSE 0 END) AS BIGINT) AS cost_nanos,
    CAST(SUM(CASE WHEN outcome = 'success' THEN 0 ELSE records END) AS BIGINT) AS failed_records,
    CAST(SUM(CASE WHEN outcome = 'success' THEN 0 ELSE cost_nanos END) AS BIGINT) AS failed_cost,
    CAST(SUM(bounded_records) AS BIGINT) AS bounded_records, CAST(SUM(bounded_max) AS BIGINT) AS bounded_max,
    CAST(SUM(bounded_output) AS BIGINT) AS bounded_output, MAX(bounded_longest) AS bounded_longest
    FROM (${rows}) AS parts GROUP BY provider, model`

const bounded = "outcome = 'success' AND max_tokens IS NOT NULL"

/** Records as rows of the sums, for {@link outcomesQuery}. */
export const recordsAsSums = `provider, model, outcome, 1 AS records, COALESCE(cost_nanos, 0) AS cost_nanos,
  CASE WHEN ${bounded} THEN 1 ELSE 0 END AS bounded_records,
  CASE WHEN ${bounded} THEN max_tokens ELSE 0 END AS bounded_max,
  CASE WHEN ${bounded} THEN output_tokens ELSE 0 END AS bounded_output,
  CASE WHEN ${bounded} THEN output_tokens ELSE 0 END AS bounded_longest`

/** Columns of the sums of all dimensions, for {@link outcomesQuery}. */
export const crossAsSums =
  "provider, model, outcome, records, cost_nanos, bounded_records, bounded_max, bounded_output, bounded_longest"

/** The rows of the three queries that are of one model, as one. */
export const insightOf = (row: Row, all: ReadonlyArray<ReadonlyArray<Row>>): LedgerStore.LedgerInsight => {
  const more = all.map((rows) =>
    rows.find((each) => each["provider"] === row["provider"] && each["model"] === row["model"])
  )
  const whole: Row = Object.assign({}, row, ...more)
  return {
    provider: whole["provider"] as string,
    model: whole["model"] as string,
    answers: int(whole, "answers"),
    costNanos: big(whole, "cost_nanos"),
    short: {
      records: int(whole, "short_records"),
      costNanos: big(whole, "short_cost"),
      inputTokens: int(whole, "short_input"),
      outputTokens: int(whole, "short_output")
    },
    bounded: {
      records: int(whole, "bounded_records"),
      maxTokens: int(whole, "bounded_max"),
      outputTokens: int(whole, "bounded_output"),
      longest: int(whole, "bounded_longest")
    },
    repeated: { records: int(whole, "repeated"), costNanos: big(whole, "repeated_cost") },
    failed: { records: int(whole, "failed_records"), costNanos: big(whole, "failed_cost") }
  }
}
