/**
 * Budgets in a SQL database: PostgreSQL for many processes, SQLite for one file on one machine.
 *
 * A reservation looks at all of its accounts and books in all of them in one transaction; accounts are locked in one
 * order, so that two reservations never wait for each other in a ring. What is never settled (its process was killed, say)
 * stays reserved until its time is over.
 */
import { BudgetStore, type LLMError } from "@breakwater/core"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as SqlClient from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import { asStoreError, databaseName } from "./internal/failure.ts"
import { big, type Row } from "./internal/ledgerRows.ts"
import { migrate } from "./internal/migrate.ts"

type Reservation = BudgetStore.BudgetReservation
type Claim = BudgetStore.BudgetClaim

/** One settlement in so many also clears away what is over. */
const tidyEvery = 500

/** How long after its end a bucket is kept, for settlements that come late. */
const graceMs = 86_400_000

/**
 * What one call is booked with at most, ten million dollars: databases count to 2⁶³. A call that asks for an answer without
 * end can cost more on paper, and where no limit turns it away its account must not overflow.
 */
const most = 10n ** 16n

const atMost = (amount: bigint): bigint => (amount > most ? most : amount)

/** What a claim holds: where there is a limit, what fits it. */
const heldBy = ({ amount, limit }: Claim): bigint => (limit === undefined ? atMost(amount) : amount)

/** Accounts as keys: PostgreSQL's texts hold no NUL. */
const keyOf = (account: string): string => account.replaceAll("\u0000", "\u001f")

const endOf = (claim: Claim): number | null => (Number.isFinite(claim.window.endMs) ? claim.window.endMs : null)

class SqlBudget implements BudgetStore.BudgetStoreService {
  readonly name: string
  private readonly sql: SqlClient.SqlClient
  private settled = 0

  constructor(sql: SqlClient.SqlClient, name: string) {
    this.sql = sql
    this.name = name
  }

  readonly reserve = (
    reservation: Reservation,
    nowMs: number
  ): Effect.Effect<BudgetStore.BudgetRefusal | BudgetStore.BudgetGrant, LLMError.StoreError> =>
    this.sql
      .withTransaction(
        Effect.gen({ self: this }, function* () {
          const { claims, id } = reservation
          yield* this.lock(claims)
          const balances: Array<BudgetStore.BudgetBalance> = []
          for (let index = 0; index < claims.length; index++) {
            const claim = claims[index]!
            const { reserved, spent } = yield* this.standing(claim.account, claim.window)
            if (claim.limit !== undefined && spent + reserved + claim.amount > claim.limit)
              return { index, spent, reserved }
            balances.push({ spent, reserved: reserved + heldBy(claim) })
          }
          for (const claim of claims) {
            yield* this.sql`INSERT INTO breakwater_budget (account, bucket_ms, end_ms, spent, reserved)
          VALUES (${keyOf(claim.account)}, ${claim.window.bucketMs}, ${endOf(claim)}, 0, ${heldBy(claim)})
          ON CONFLICT (account, bucket_ms) DO UPDATE SET reserved = breakwater_budget.reserved + excluded.reserved`
          }
          const ends = claims.map(endOf)
          const end = ends.includes(null) ? null : Math.max(nowMs, ...(ends as ReadonlyArray<number>))
          yield* this.sql`INSERT INTO breakwater_budget_open (id, end_ms) VALUES (${id}, ${end})`
          return { balances }
        })
      )
      .pipe(asStoreError(this.name, "reserve"))

  readonly settle = (
    reservation: Reservation,
    charges: ReadonlyArray<bigint>
  ): Effect.Effect<ReadonlyArray<bigint> | undefined, LLMError.StoreError> =>
    this.sql
      .withTransaction(
        Effect.gen({ self: this }, function* () {
          const { claims, id } = reservation
          yield* this.lock(claims)
          // Whoever takes the row away settles; nobody else does.
          const open = yield* this.sql`DELETE FROM breakwater_budget_open WHERE id = ${id} RETURNING id`
          if (open.length === 0) return undefined
          const spent: Array<bigint> = []
          for (let index = 0; index < claims.length; index++) {
            const claim = claims[index]!
            yield* this
              .sql`UPDATE breakwater_budget SET spent = spent + ${atMost(charges[index]!)}, reserved = reserved - ${heldBy(claim)}
          WHERE account = ${keyOf(claim.account)} AND bucket_ms = ${claim.window.bucketMs}`
            spent.push((yield* this.standing(claim.account, claim.window)).spent)
          }
          if (++this.settled % tidyEvery === 0) yield* this.tidy(claims)
          return spent
        })
      )
      .pipe(asStoreError(this.name, "settle"))

  readonly balance = (
    account: string,
    window: BudgetStore.BudgetWindow
  ): Effect.Effect<BudgetStore.BudgetBalance, LLMError.StoreError> =>
    this.standing(account, window).pipe(asStoreError(this.name, "read"))

  readonly accounts = (
    prefix: string,
    { fromMs }: BudgetStore.BudgetWindow,
    limit: number
  ): Effect.Effect<ReadonlyArray<BudgetStore.BudgetAccount>, LLMError.StoreError> => {
    const start = keyOf(prefix)
    return this.sql<Row>`SELECT account, CAST(SUM(spent) AS BIGINT) AS spent, CAST(SUM(reserved) AS BIGINT) AS reserved
        FROM breakwater_budget WHERE SUBSTR(account, 1, ${start.length}) = ${start} AND bucket_ms >= ${fromMs}
        GROUP BY account ORDER BY spent DESC, account LIMIT ${limit}`.pipe(
      Effect.map((rows) =>
        rows.map((row) => ({
          account: prefix + String(row["account"]).slice(start.length),
          spent: big(row, "spent"),
          reserved: big(row, "reserved")
        }))
      ),
      asStoreError(this.name, "read")
    )
  }

  private standing(
    account: string,
    { fromMs }: BudgetStore.BudgetWindow
  ): Effect.Effect<BudgetStore.BudgetBalance, SqlError> {
    return Effect.map(
      this
        .sql<Row>`SELECT CAST(COALESCE(SUM(spent), 0) AS BIGINT) AS spent, CAST(COALESCE(SUM(reserved), 0) AS BIGINT) AS reserved
        FROM breakwater_budget WHERE account = ${keyOf(account)} AND bucket_ms >= ${fromMs}`,
      ([row]) => ({ spent: big(row!, "spent"), reserved: big(row!, "reserved") })
    )
  }

  /** Until the end of the transaction. SQLite has one writer anyway. */
  private lock(claims: ReadonlyArray<Claim>): Effect.Effect<void, SqlError> {
    return this.sql.onDialectOrElse({
      pg: () => {
        const accounts = [...new Set(claims.map((claim) => keyOf(claim.account)))].sort()
        return Effect.forEach(
          accounts,
          (account) => this.sql`SELECT pg_advisory_xact_lock(hashtextextended(${account}, 7305))`,
          { discard: true }
        )
      },
      orElse: () => Effect.void
    })
  }

  private tidy(claims: ReadonlyArray<Claim>): Effect.Effect<void, SqlError> {
    // The claims know what time it is, about; the database's clock may be another one.
    const before = Math.max(...claims.map((claim) => claim.window.bucketMs)) - graceMs
    return Effect.andThen(
      this.sql`DELETE FROM breakwater_budget WHERE end_ms < ${before}`,
      Effect.asVoid(this.sql`DELETE FROM breakwater_budget_open WHERE end_ms < ${before}`)
    )
  }
}

/** Budgets in the database of the client in the context, with their tables. Fails with a `StoreError` without them. */
export const make: Effect.Effect<BudgetStore.BudgetStoreService, LLMError.StoreError, SqlClient.SqlClient> = Effect.gen(
  function* () {
    const sql = yield* SqlClient.SqlClient
    const name = databaseName(sql)
    yield* asStoreError(name, "migrate")(migrate)
    return new SqlBudget(sql, name)
  }
)

/** {@link make} as a Layer. */
export const layer: Layer.Layer<BudgetStore.BudgetStore, LLMError.StoreError, SqlClient.SqlClient> = Layer.effect(
  BudgetStore.BudgetStore,
  make
)
