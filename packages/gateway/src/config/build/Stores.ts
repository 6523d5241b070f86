/** What several gateways share, and what this one keeps on its disk. */
import type { BudgetStore, LedgerStore, LLMError } from "@breakwater/core"
import { RedisStores } from "@breakwater/stores"
import { Postgres, SqlBudgetStore, Sqlite, SqlLedgerStore } from "@breakwater/stores/sql"
import type * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import * as SqlClient from "effect/sql/SqlClient"
import { type ConfigurationError, secretOf } from "../Load.ts"
import { type GatewayConfig, millisOf } from "../Schema.ts"
import { at } from "./Failure.ts"
import type { Kept } from "./Kept.ts"

type Sql = Context.Context<SqlClient.SqlClient>

/** Stores of a configuration; `undefined` where this process keeps things to itself, or nothing is kept. */
export interface Stores {
  readonly redis: RedisStores.Stores | undefined
  /** The database, and what tells it from another. */
  readonly postgres: { readonly sql: Sql; readonly key: string } | undefined
  /** Where budgets are: PostgreSQL before Redis. */
  readonly budgets: BudgetStore.BudgetStoreService | undefined
  readonly ledger: LedgerStore.LedgerStoreService | undefined
  /** One question to each that is somewhere else. */
  readonly pings: ReadonlyMap<string, Effect.Effect<void, unknown>>
}

const on = <A, E>(sql: Sql, make: Effect.Effect<A, E, SqlClient.SqlClient>): Effect.Effect<A, E> =>
  Effect.provide(make, sql)

const redisOf = (config: GatewayConfig, kept: Kept) =>
  Effect.gen(function* () {
    const given = config.stores?.redis
    if (given === undefined) return undefined
    const url = yield* secretOf(given, "stores.redis")
    const { prefix, wait } = config.stores ?? {}
    const options = {
      ...(prefix === undefined ? {} : { prefix }),
      ...(wait === undefined ? {} : { wait: Duration.millis(millisOf(wait)) })
    }
    const key = `redis ${Redacted.value(url)} ${prefix ?? ""} ${wait ?? ""}`
    return yield* at("stores", (field) => (field === "url" ? "redis" : field))(
      kept.keep(
        key,
        // Its message shows what is wrong, which may be all password.
        Effect.mapError(RedisStores.make({ url, ...options }), (error) =>
          !Redacted.value(url).includes("://") ? new Error("redis is no URL such as redis://localhost:6379") : error
        )
      )
    )
  })

const postgresOf = (config: GatewayConfig, kept: Kept) =>
  Effect.gen(function* () {
    const given = config.stores?.postgres
    if (given === undefined) return undefined
    const url = yield* secretOf(given, "stores.postgres")
    const key = `postgres ${Redacted.value(url)}`
    const sql = yield* at("stores.postgres")(kept.keep(key, Layer.build(Postgres.layer({ url }))))
    return { sql: sql as Sql, key }
  })

/** One connection to a file: a second one would wait for the first with the whole process. */
const sqliteOf = (file: string, kept: Kept) =>
  at("ledger.file")(
    kept.keep(
      `sqlite ${file}`,
      Effect.map(Layer.build(Sqlite.layer({ filename: file })), (sql) => sql as Sql)
    )
  )

const ledgerOf = (config: GatewayConfig, postgres: Sql | undefined, kept: Kept) =>
  Effect.gen(function* () {
    const { ledger } = config
    if (ledger === undefined) return undefined
    const sql = "file" in ledger ? yield* sqliteOf(ledger.file, kept) : postgres!
    return yield* at("ledger")(on(sql, SqlLedgerStore.make))
  })

const selectOne = Effect.flatMap(SqlClient.SqlClient, (sql) => Effect.asVoid(sql`SELECT 1`))

/** Connects what the configuration names. */
export const make = (
  config: GatewayConfig,
  kept: Kept
): Effect.Effect<Stores, ConfigurationError | LLMError.StoreError, Scope.Scope> =>
  Effect.gen(function* () {
    const redis = yield* redisOf(config, kept)
    const postgres = yield* postgresOf(config, kept)
    const ledger = yield* ledgerOf(config, postgres?.sql, kept)
    const pings = new Map<string, Effect.Effect<void, unknown>>()
    if (redis !== undefined) pings.set("redis", redis.ping)
    if (postgres !== undefined) pings.set("postgres", on(postgres.sql, selectOne))
    const budgets =
      postgres !== undefined ? yield* at("stores.postgres")(on(postgres.sql, SqlBudgetStore.make)) : redis?.budget
    return { redis, postgres, budgets, ledger, pings }
  })
