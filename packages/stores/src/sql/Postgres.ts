/**
 * PostgreSQL, for budgets and a ledger that many processes share: the client of `@effect/sql-pg`, with limits to every
 * wait.
 */
import * as PgClient from "@effect/sql-pg/PgClient"
import type * as Layer from "effect/Layer"
import type * as Redacted from "effect/Redacted"
import type * as SqlClient from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"

export interface Options {
  /** `postgres://user:password@host:port/database` */
  readonly url: Redacted.Redacted
  /** Connections at most. Default 10. */
  readonly maxConnections?: number
}

/** A client. Fails with a `SqlError` for a server that is not there. */
export const layer = ({
  maxConnections = 10,
  url
}: Options): Layer.Layer<SqlClient.SqlClient | PgClient.PgClient, SqlError> =>
  PgClient.layer({ url, maxConnections, connectTimeout: "5 seconds", applicationName: "breakwater" })
