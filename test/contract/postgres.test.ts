/** Budgets and the ledger on PostgreSQL. */
import { Budget, BudgetStore, CallContext, Event, Ledger, LedgerStore, Pricing } from "@breakwater/core"
import { Postgres, SqlBudgetStore, SqlLedgerStore } from "@breakwater/stores/sql"
import { afterAll, describe, expect, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as SqlClient from "effect/sql/SqlClient"
import { spendTogether } from "../support/budget-spenders.ts"
import { agree, Entries, makeVersion3, Questions, recordsOf } from "../support/ledger-law.ts"
import { startPostgres } from "../support/postgres.ts"
import { budgetStoreContract } from "./budget-store.ts"
import { ledgerStoreContract } from "./ledger-store.ts"

const server = await startPostgres()

const client = (url: string, maxConnections = 4) =>
  Layer.build(Postgres.layer({ url: Redacted.make(url), maxConnections }))

/** Puts what the records of an up-to-date ledger hold, and the sums that it had in version 3, into an older one. */
const copyAndMigrate = (newer: Context.Context<SqlClient.SqlClient>) =>
  Effect.gen(function* () {
    const [from, to] = [Context.get(newer, SqlClient.SqlClient), yield* SqlClient.SqlClient]
    const copy = (table: string, rows: ReadonlyArray<object>) =>
      rows.length === 0 ? Effect.void : Effect.asVoid(to`INSERT INTO ${to(table)} ${to.insert(rows as never)}`)
    yield* copy("breakwater_ledger", yield* from<object>`SELECT * FROM breakwater_ledger`)
    yield* copy(
      "breakwater_ledger_sums",
      yield* from<object>`SELECT * FROM breakwater_ledger_sums WHERE dimension NOT LIKE '%@day'`
    )
    return yield* SqlLedgerStore.make
  })

if (typeof server === "string") {
  describe(`PostgreSQL (there is no server: ${server})`, () => {
    it.skip("budgets", () => {})
    it.skip("the ledger", () => {})
    it.skip("two processes on one budget", () => {})
    it.skip("a server that goes away", () => {})
  })
} else {
  afterAll(() => server.stop())

  const pair = <A, E, R>(make: Effect.Effect<A, E, R>) =>
    Effect.gen(function* () {
      const url = yield* Effect.promise(server.database)
      // At once, as processes do that start together: one of them makes the tables.
      return yield* Effect.all(
        [
          Effect.flatMap(client(url), (each) => Effect.provide(make, each)),
          Effect.flatMap(client(url), (each) => Effect.provide(make, each))
        ],
        { concurrency: 2 }
      )
    })

  budgetStoreContract("PostgreSQL", { connect: pair(SqlBudgetStore.make) })
  ledgerStoreContract("PostgreSQL", { connect: pair(SqlLedgerStore.make) })

  describe("PostgreSQL", () => {
    it.effect.prop(
      "the sums of the ledger agree with its records to the nano-dollar, written anew or brought up to date",
      { entries: Entries, questions: Questions },
      ({ entries, questions }) =>
        Effect.gen(function* () {
          const sql = yield* client(yield* Effect.promise(server.database))
          const records = recordsOf(entries)
          const older = yield* client(yield* Effect.promise(server.database))
          yield* Effect.provide(makeVersion3, older)
          const store = yield* Effect.provide(SqlLedgerStore.make, sql)
          yield* store.append(records)
          yield* store.append(records)
          yield* agree(store, records, questions)
          const migrated = yield* Effect.provide(copyAndMigrate(sql), older)
          yield* agree(migrated, records, questions)
        }).pipe(Effect.scoped),
      { arbitrary: { runs: 6 }, timeout: 60_000 }
    )

    it.live(
      "a server that goes away in mid-write: what was tried again is there once, and in the sums once",
      () =>
        Effect.gen(function* () {
          const store = yield* Effect.provide(
            SqlLedgerStore.make,
            yield* client(yield* Effect.promise(server.database))
          )
          let [done, failed] = [0, 0]
          const append = (batch: number) =>
            store.append(
              Array.from({ length: 50 }, (_, index) =>
                Ledger.entry({
                  id: `${batch}-${index}`,
                  atMs: batch,
                  target: "p/a",
                  user: `u${index % 5}`,
                  costNanos: 1n
                })
              )
            )
          const write = Effect.forever(
            Effect.suspend(() => append(done)).pipe(
              Effect.tap(() => Effect.sync(() => done++)),
              Effect.catch(() =>
                Effect.andThen(
                  Effect.sync(() => failed++),
                  Effect.sleep("20 millis")
                )
              )
            )
          )
          const writer = yield* Effect.forkChild(write)
          const after = (batches: number) =>
            Effect.repeat(Effect.sleep("5 millis"), { until: () => done >= batches, times: 4_000 })
          yield* after(20)
          yield* Effect.promise(server.crash)
          yield* Effect.promise(server.restart)
          yield* after(done + 20)
          yield* Fiber.interrupt(writer)
          expect(failed).toBeGreaterThan(0)
          // The last one may or may not have been written.
          yield* append(done)
          const all = { fromMs: 0, toMs: 86_400_000 }
          expect((yield* store.totals(all, []))[0]).toMatchObject({ records: (done + 1) * 50 })
          for (const by of [["user"], ["user", "model"]] as const) {
            const groups = yield* store.totals(all, by)
            expect(groups.map((group) => group.costNanos)).toEqual(Array(5).fill(BigInt((done + 1) * 10)))
          }
        }).pipe(Effect.scoped),
      60_000
    )

    it("two processes on one budget never pass it, and use all of it", async () => {
      const [one, other] = await spendTogether(await server.database(), 150, 8, true)
      expect(one.admitted + other.admitted).toBe(100)
      expect(Math.min(one.admitted, other.admitted)).toBeGreaterThan(0)
    }, 60_000)

    it.live(
      "ten thousand calls of two processes come to what they used, and not a nano-dollar past the limit",
      () =>
        Effect.gen(function* () {
          const url = yield* Effect.promise(server.database)
          const [one, other] = yield* Effect.promise(() => spendTogether(url, 5_000, 5_000))
          expect(one.admitted + one.refused + other.admitted + other.refused).toBe(10_000)
          expect(one.admitted + other.admitted).toBeGreaterThanOrEqual(100)
          const store = yield* Effect.provide(SqlBudgetStore.make, yield* client(url))
          const account = { bucketMs: 0, fromMs: 0, endMs: Infinity }
          expect(yield* store.balance("global\u0000lifetime\u0000", account)).toEqual({
            spent: one.spent + other.spent,
            reserved: 0n
          })
          expect(one.spent + other.spent).toBeLessThanOrEqual(1_000_000n)
        }).pipe(Effect.scoped),
      400_000
    )

    it.live(
      "a server that goes away: calls are turned away, records wait, and nothing is lost",
      () =>
        Effect.gen(function* () {
          const url = yield* Effect.promise(server.database)
          const events: Array<Event.PolicyEvent> = []
          const sql = yield* client(url)
          const ledgerStore = yield* Effect.provide(SqlLedgerStore.make, sql)
          const budgetStore = yield* Effect.provide(SqlBudgetStore.make, sql)
          const listening = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
            Effect.provideService(effect, Event.EventSink, (event) => {
              events.push(event)
            })
          const ledger = yield* Ledger.make({ flushEvery: "5 millis" }).pipe(
            Effect.provideService(LedgerStore.LedgerStore, ledgerStore),
            Effect.provide(Pricing.layerNoop),
            listening
          )
          const budget = yield* Budget.make({ limits: [{ scope: "global", period: "lifetime", limit: "1" }] }).pipe(
            Effect.provideService(BudgetStore.BudgetStore, budgetStore),
            Effect.provide(Pricing.layer({ "p/a": { input: 0, output: 1 } })),
            listening
          )
          const put = (index: number) =>
            ledger.record!(
              { context: CallContext.single, request: { model: "a", messages: [] }, requestId: `${index}` },
              [
                {
                  attempt: 1,
                  target: "p/a",
                  outcome: "success",
                  startedAt: index,
                  tookMs: 1,
                  waitedMs: 0,
                  costNanos: 1n
                }
              ]
            )
          const settle = yield* budget.hold(CallContext.single, 1_000n)
          for (let index = 0; index < 100; index++) put(index)
          yield* ledger.flush
          yield* Effect.promise(server.crash)
          for (let index = 100; index < 200; index++) put(index)
          settle(600n)
          expect((yield* Effect.flip(ledger.flush))._tag).toBe("StoreError")
          expect((yield* Effect.flip(listening(budget.hold(CallContext.single, 1n))))._tag).toBe("StoreError")
          expect(yield* ledger.waiting).toBe(100)
          yield* Effect.promise(server.restart)
          const until = <A>(read: Effect.Effect<A, unknown>, done: (value: A) => boolean) =>
            Effect.repeat(
              Effect.andThen(
                Effect.sleep("50 millis"),
                Effect.orElseSucceed(read, () => undefined)
              ),
              {
                until: (value) => value !== undefined && done(value),
                times: 400
              }
            )
          yield* until(Effect.andThen(ledger.flush, ledger.waiting), (waiting) => waiting === 0)
          yield* until(budget.snapshot(CallContext.single), ([all]) => all!.reserved === 0n)
          const [all] = yield* ledgerStore.totals({ fromMs: 0, toMs: 1_000 }, [])
          expect(all).toMatchObject({ records: 200, costNanos: 200n })
          expect((yield* budget.snapshot(CallContext.single))[0]).toMatchObject({ spent: 600n, reserved: 0n })
          expect(events.map((event) => (event.type === "ledger-store-changed" ? event.available : event.type))).toEqual(
            expect.arrayContaining([false, true, "budget-store-failed"])
          )
        }).pipe(Effect.scoped),
      60_000
    )
  })
}
