/** Budgets and the ledger on PostgreSQL. */
import { Budget, BudgetStore, CallContext, Event, Ledger, LedgerStore, Pricing } from "@breakwater/core"
import { Postgres, SqlBudgetStore, SqlLedgerStore } from "@breakwater/stores/sql"
import { afterAll, describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { spawn } from "node:child_process"
import { join } from "node:path"
import { startPostgres } from "../support/postgres.ts"
import { budgetStoreContract } from "./budget-store.ts"
import { ledgerStoreContract } from "./ledger-store.ts"

const server = await startPostgres()

const client = (url: string, maxConnections = 4) =>
  Layer.build(Postgres.layer({ url: Redacted.make(url), maxConnections }))

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
    it("two processes on one budget never pass it, and use all of it", async () => {
      const url = await server.database()
      const child = () =>
        new Promise<number>((resolve, reject) => {
          const script = join(import.meta.dirname, "../support/budget-spender.ts")
          const process_ = spawn(process.execPath, ["--conditions=breakwater-source", "--no-warnings", script, url], {
            stdio: ["ignore", "pipe", "inherit"]
          })
          let said = ""
          process_.stdout.on("data", (chunk) => (said += String(chunk)))
          process_.once("error", reject)
          process_.once("exit", (code) =>
            code === 0 ? resolve(Number(said)) : reject(new Error(`ended with ${code}`))
          )
        })
      const admitted = await Promise.all([child(), child()])
      expect(admitted[0]! + admitted[1]!).toBe(100)
      expect(Math.min(...admitted)).toBeGreaterThan(0)
    }, 60_000)

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
