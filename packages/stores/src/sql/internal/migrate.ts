/**
 * The schema of the SQL stores, for SQLite and PostgreSQL alike, and how a database gets it.
 *
 * A migration is never changed once it was released: a later one follows. They run in one transaction under a lock, so
 * that many processes may start at once.
 */
import * as Effect from "effect/Effect"
import * as SqlClient from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"

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
  [auditLines, auditHeads]
]

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
          const body = statement.startsWith("CREATE TABLE breakwater_ledger_sums")
            ? statement + sql.onDialectOrElse({ sqlite: () => " WITHOUT ROWID", orElse: () => "" })
            : statement
          yield* sql.unsafe(body)
        }
        yield* sql`INSERT INTO breakwater_schema (version) VALUES (${version})`
      }
    })
  )
})
