/**
 * The schema of the SQL stores, for SQLite and PostgreSQL alike, and how a database gets it.
 *
 * A migration is never changed once it was released: a later one follows. They run in one transaction under a lock, so
 * that many processes may start at once.
 */
import * as Effect from "effect/Effect"
import * as SqlClient from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import { dayMs, hourMs } from "./ledgerSums.ts"

const records = `CREATE TABLE breakwater_ledger (
  id TEXT PRIMARY KEY,
  at_ms BIGINT NOT NULL,
  request_id TEXT NOT NULL,
  attempt INTEGER NOT NULL,
  tenant TEXT NOT NULL,
  user_id TEXT NOT NULL,
  project TEXT NOT NULL,
  key_id TEXT NOT NULL,
  tags TEXT NOT NULL,
  operation TEXT NOT NULL,
  provider TEXT NOT NULL,
  model TEXT NOT NULL,
  outcome TEXT NOT NULL,
  error TEXT,
  took_ms BIGINT NOT NULL,
  input_tokens BIGINT NOT NULL,
  output_tokens BIGINT NOT NULL,
  cached_input_tokens BIGINT NOT NULL,
  cache_write_tokens BIGINT NOT NULL,
  reasoning_tokens BIGINT NOT NULL,
  counted TEXT NOT NULL,
  cost_nanos BIGINT,
  max_tokens BIGINT,
  fingerprint TEXT
)`

/** Sums of a quarter of an hour, for each value of each dimension by itself: what most reports ask for. */
const sums = `CREATE TABLE breakwater_ledger_sums (
  tenant TEXT NOT NULL,
  dimension TEXT NOT NULL,
  slot BIGINT NOT NULL,
  value TEXT NOT NULL,
  records BIGINT NOT NULL,
  input_tokens BIGINT NOT NULL,
  output_tokens BIGINT NOT NULL,
  cached_input_tokens BIGINT NOT NULL,
  cache_write_tokens BIGINT NOT NULL,
  reasoning_tokens BIGINT NOT NULL,
  cost_nanos BIGINT NOT NULL,
  unpriced BIGINT NOT NULL,
  took_ms BIGINT NOT NULL,
  PRIMARY KEY (dimension, slot, tenant, value)
)`

/**
 * Sums of an hour and of a day (`level`, in milliseconds) for all that the records are told apart by, but tags; and, as
 * a second kind, for all of that but users, projects and keys, which are empty there.
 */
const cross = `CREATE TABLE breakwater_ledger_cross (
  kind TEXT NOT NULL,
  level BIGINT NOT NULL,
  slot BIGINT NOT NULL,
  tenant TEXT NOT NULL,
  user_id TEXT NOT NULL,
  project TEXT NOT NULL,
  key_id TEXT NOT NULL,
  provider TEXT NOT NULL,
  model TEXT NOT NULL,
  operation TEXT NOT NULL,
  outcome TEXT NOT NULL,
  records BIGINT NOT NULL,
  input_tokens BIGINT NOT NULL,
  output_tokens BIGINT NOT NULL,
  cached_input_tokens BIGINT NOT NULL,
  cache_write_tokens BIGINT NOT NULL,
  reasoning_tokens BIGINT NOT NULL,
  cost_nanos BIGINT NOT NULL,
  unpriced BIGINT NOT NULL,
  took_ms BIGINT NOT NULL,
  bounded_records BIGINT NOT NULL,
  bounded_max BIGINT NOT NULL,
  bounded_output BIGINT NOT NULL,
  bounded_longest BIGINT NOT NULL,
  PRIMARY KEY (kind, level, slot, tenant, user_id, project, key_id, provider, model, operation, outcome)
)`

const summed = ["input_tokens", "output_tokens", "cached_input_tokens", "cache_write_tokens", "reasoning_tokens"]
const sum = (expression: string): string => `CAST(SUM(${expression}) AS BIGINT)`
const floor = (column: string, unit: number): string =>
  // The division of whole numbers cuts off, and the remainder of one before 1970 is below zero.
  `${column} - ((${column} % ${unit}) + ${unit}) % ${unit}`
const crossOf = "tenant, user_id, project, key_id, provider, model, operation, outcome"
const isBounded = "outcome = 'success' AND max_tokens IS NOT NULL"

/** What was recorded before there were these sums. */
const fillHours = `INSERT INTO breakwater_ledger_cross
  SELECT 'all', ${hourMs}, ${floor("at_ms", hourMs)} AS slot, ${crossOf}, COUNT(*), ${summed.map(sum).join(", ")},
    ${sum("COALESCE(cost_nanos, 0)")}, COUNT(*) - COUNT(cost_nanos), ${sum("took_ms")},
    COUNT(CASE WHEN ${isBounded} THEN 1 END), ${sum(`CASE WHEN ${isBounded} THEN max_tokens ELSE 0 END`)},
    ${sum(`CASE WHEN ${isBounded} THEN output_tokens ELSE 0 END`)}, MAX(CASE WHEN ${isBounded} THEN output_tokens ELSE 0 END)
  FROM breakwater_ledger GROUP BY 3, ${crossOf}`

const sumsInOrder = ["records", ...summed, "cost_nanos", "unpriced", "took_ms"]

const crossSums = `${sumsInOrder.map(sum).join(", ")},
    ${["bounded_records", "bounded_max", "bounded_output"].map(sum).join(", ")}, MAX(bounded_longest)`

const fillModels = `INSERT INTO breakwater_ledger_cross
  SELECT 'models', level, slot, tenant, '', '', '', provider, model, operation, outcome, ${crossSums}
  FROM breakwater_ledger_cross GROUP BY level, slot, tenant, provider, model, operation, outcome`

const fillDays = `INSERT INTO breakwater_ledger_cross
  SELECT kind, ${dayMs}, ${floor("slot", dayMs)} AS day, ${crossOf}, ${crossSums}
  FROM breakwater_ledger_cross GROUP BY kind, 3, ${crossOf}`

const fillDaysOfDimensions = `INSERT INTO breakwater_ledger_sums
  SELECT tenant, dimension || '@day', ${floor("slot", dayMs)} AS day, value, ${sumsInOrder.map(sum).join(", ")}
  FROM breakwater_ledger_sums GROUP BY tenant, dimension, 3, value`

/** Answers in the order of what was asked, with what recommendations go by: they need not look at the records. */
const asked = `CREATE INDEX breakwater_ledger_asked ON breakwater_ledger
  (provider, model, fingerprint, at_ms, cost_nanos, input_tokens, output_tokens, tenant) WHERE outcome = 'success'`

const buckets = `CREATE TABLE breakwater_budget (
  account TEXT NOT NULL,
  bucket_ms BIGINT NOT NULL,
  end_ms BIGINT,
  spent BIGINT NOT NULL,
  reserved BIGINT NOT NULL,
  PRIMARY KEY (account, bucket_ms)
)`

const reservations = `CREATE TABLE breakwater_budget_open (
  id TEXT PRIMARY KEY,
  end_ms BIGINT
)`

/** Whose an entry is comes first in its key, so that a tenant's lie together. */
const answers = `CREATE TABLE breakwater_cache (
  tenant TEXT NOT NULL,
  namespace TEXT NOT NULL,
  digest TEXT NOT NULL,
  stored_ms BIGINT NOT NULL,
  expires_ms BIGINT NOT NULL,
  entry TEXT NOT NULL,
  PRIMARY KEY (tenant, namespace, digest)
)`

/** Lines of audit logs, sealed and in order, and where each log ends. */
const auditLines = `CREATE TABLE breakwater_audit (
  log TEXT NOT NULL,
  seq BIGINT NOT NULL,
  line TEXT NOT NULL,
  PRIMARY KEY (log, seq)
)`

const auditHeads = `CREATE TABLE breakwater_audit_head (
  log TEXT PRIMARY KEY,
  head TEXT NOT NULL
)`

const migrations: ReadonlyArray<ReadonlyArray<string>> = [
  [
    records,
    "CREATE INDEX breakwater_ledger_time ON breakwater_ledger (at_ms, id)",
    "CREATE INDEX breakwater_ledger_user ON breakwater_ledger (tenant, user_id, at_ms)",
    sums
  ],
  [buckets, "CREATE INDEX breakwater_budget_end ON breakwater_budget (end_ms)", reservations],
  [answers, "CREATE INDEX breakwater_cache_end ON breakwater_cache (expires_ms)"],
  [cross, fillHours, fillModels, fillDays, fillDaysOfDimensions, asked],
  [auditLines, auditHeads]
]

/** The version of a database that is up to date. */
export const newest = migrations.length

/** The version from which on there are sums of days, and of all dimensions at once. */
export const crossVersion = 4

/** Tables whose rows lie in the order of their key; PostgreSQL has no such thing. */
const keyed = ["CREATE TABLE breakwater_ledger_sums", "CREATE TABLE breakwater_ledger_cross"]

/** Brings the database to the newest schema. A database of a newer version of this package is left as it is. */
export const migrate: Effect.Effect<void, SqlError, SqlClient.SqlClient> = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  yield* sql.withTransaction(
    Effect.gen(function* () {
      yield* sql.onDialectOrElse({
        pg: () => sql`SELECT pg_advisory_xact_lock(7305842911)`,
        orElse: () => Effect.void
      })
      yield* sql`CREATE TABLE IF NOT EXISTS breakwater_schema (version INTEGER PRIMARY KEY)`
      const [row] = yield* sql<{
        version: number | bigint | null
      }>`SELECT max(version) AS version FROM breakwater_schema`
      const have = Number(row?.version ?? 0)
      for (let version = have + 1; version <= migrations.length; version++) {
        for (const statement of migrations[version - 1]!) {
          const body = keyed.some((each) => statement.startsWith(each))
            ? statement + sql.onDialectOrElse({ sqlite: () => " WITHOUT ROWID", orElse: () => "" })
            : statement
          yield* sql.unsafe(body)
        }
        yield* sql`INSERT INTO breakwater_schema (version) VALUES (${version})`
      }
    })
  )
})

/** The version of a database as it is, without changing anything; 0 where it has none. */
export const versionOf: Effect.Effect<number, SqlError, SqlClient.SqlClient> = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const tables = yield* sql.onDialectOrElse({
    pg: () => sql`SELECT 1 WHERE to_regclass('breakwater_ledger') IS NOT NULL`,
    orElse: () => sql`SELECT 1 FROM sqlite_master WHERE name = 'breakwater_ledger'`
  })
  if (tables.length === 0) return 0
  const [row] = yield* sql<{
    version: number | bigint | null
  }>`SELECT max(version) AS version FROM breakwater_schema`
  return Number(row?.version ?? 0)
})
