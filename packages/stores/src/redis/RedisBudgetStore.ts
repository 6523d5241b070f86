/**
 * Budgets that many processes share, on Redis.
 *
 * A reservation is one script over all of its accounts, all or none, and so is a settlement: one round trip each. All
 * keys have one hash tag, because a reservation may need any of them: a cluster keeps all money in one place. What is
 * never settled (its process was killed, say) stays reserved until its time is over.
 */
import type { BudgetStore, LLMError } from "@breakwater/core"
import * as Effect from "effect/Effect"
import { balanceScript, graceMs, reserveScript, settleScript } from "./internal/budgetScript.ts"
import { type Client, type Connection, storeError, storeName } from "./internal/Connection.ts"
import { accountOf, budgetAccount, budgetReservation } from "./internal/Keys.ts"
import { evaluate, type Script } from "./internal/Script.ts"
import { eachNames } from "./internal/names.ts"

type Claim = BudgetStore.BudgetClaim
type Reservation = BudgetStore.BudgetReservation
type Reserved = Effect.Effect<BudgetStore.BudgetRefusal | BudgetStore.BudgetGrant, LLMError.StoreError>

/** How long a reservation can be settled: longer than any call takes. */
const longestOpenMs = 30 * 86_400_000

const endOf = ({ window }: Claim): string => (Number.isFinite(window.endMs) ? `${window.endMs}` : "0")

/** How long an account is kept when it is claimed now; 0 for ever. */
const lifeOf = ({ window }: Claim, nowMs: number): number =>
  Number.isFinite(window.endMs) ? Math.max(1, Math.ceil(window.endMs - nowMs)) + graceMs : 0

const reserveArgs = (claims: ReadonlyArray<Claim>, nowMs: number): ReadonlyArray<string> => {
  const lives = claims.map((claim) => lifeOf(claim, nowMs))
  const openMs = lives.includes(0) ? longestOpenMs : Math.min(longestOpenMs, Math.max(graceMs, ...lives))
  const args = [`${openMs}`, `${nowMs - graceMs}`]
  for (const [index, claim] of claims.entries()) {
    const { amount, limit, window } = claim
    args.push(`${window.bucketMs}`, `${window.fromMs}`, endOf(claim), `${lives[index]}`, `${amount}`, `${limit ?? ""}`)
  }
  return args
}

const settleArgs = (claims: ReadonlyArray<Claim>, charges: ReadonlyArray<bigint>): ReadonlyArray<string> => {
  const args = [`${graceMs}`]
  for (const [index, { amount, window }] of claims.entries()) {
    args.push(`${window.bucketMs}`, `${window.fromMs}`, `${amount}`, `${charges[index]}`)
  }
  return args
}

const unreadable = (operation: string) =>
  Effect.fail(storeError(operation, "Redis: the script's answer cannot be read"))

/** The amounts of an answer, or `undefined` if there are not as many as there should be. */
const amountsOf = (words: ReadonlyArray<string>, count: number): ReadonlyArray<bigint> | undefined =>
  words.length === count && words.every((word) => /^-?\d+$/.test(word)) ? words.map(BigInt) : undefined

const balances = (amounts: ReadonlyArray<bigint>): ReadonlyArray<BudgetStore.BudgetBalance> =>
  Array.from({ length: amounts.length / 2 }, (_, i) => ({ spent: amounts[2 * i]!, reserved: amounts[2 * i + 1]! }))

class RedisBudget implements BudgetStore.BudgetStoreService {
  readonly name = storeName
  private readonly connection: Connection
  private readonly prefix: string

  constructor(connection: Connection, prefix: string) {
    this.connection = connection
    this.prefix = prefix
  }

  readonly reserve = (reservation: Reservation, nowMs: number): Reserved =>
    Effect.suspend(() => {
      const { claims } = reservation
      const args = reserveArgs(claims, nowMs)
      return Effect.flatMap(this.run("reserve", reserveScript, reservation, args), (reply): Reserved => {
        const [kind, ...words] = reply.split(" ")
        if (kind === "x") return Effect.fail(storeError("reserve", "Redis: the reservation was settled before it came"))
        if (kind === "1") {
          const amounts = amountsOf(words, 2 * claims.length)
          return amounts === undefined ? unreadable("reserve") : Effect.succeed({ balances: balances(amounts) })
        }
        const amounts = kind === "0" ? amountsOf(words, 3) : undefined
        if (amounts === undefined) return unreadable("reserve")
        return Effect.succeed({ index: Number(amounts[0]), spent: amounts[1]!, reserved: amounts[2]! })
      })
    })

  readonly settle = (
    reservation: Reservation,
    charges: ReadonlyArray<bigint>
  ): Effect.Effect<ReadonlyArray<bigint> | undefined, LLMError.StoreError> =>
    Effect.suspend(() => {
      const args = settleArgs(reservation.claims, charges)
      return Effect.flatMap(this.run("settle", settleScript, reservation, args), (reply) => {
        if (reply === "") return Effect.succeed(undefined)
        const spent = amountsOf(reply.split(" "), reservation.claims.length)
        return spent === undefined ? unreadable("settle") : Effect.succeed(spent)
      })
    })

  readonly balance = (
    account: string,
    window: BudgetStore.BudgetWindow
  ): Effect.Effect<BudgetStore.BudgetBalance, LLMError.StoreError> =>
    Effect.flatMap(
      this.connection.run("read", (client) => this.ask(client, budgetAccount(this.prefix, account), window)),
      (balance) => (balance === undefined ? unreadable("read") : Effect.succeed(balance))
    )

  /** Goes through the server's keys, in steps: for people who look. */
  readonly accounts = (
    prefix: string,
    window: BudgetStore.BudgetWindow,
    limit: number
  ): Effect.Effect<ReadonlyArray<BudgetStore.BudgetAccount>, LLMError.StoreError> =>
    Effect.suspend(() => {
      const found = new Map<string, BudgetStore.BudgetBalance>()
      const read = (names: ReadonlyArray<string>) =>
        Effect.map(
          this.connection.run("read", (client) => Promise.all(names.map((name) => this.ask(client, name, window)))),
          (all) => {
            for (const [index, balance] of all.entries()) {
              if (found.size >= limit) return false
              if (balance === undefined || (balance.spent === 0n && balance.reserved === 0n)) continue
              found.set(accountOf(this.prefix, names[index]!), balance)
            }
            return found.size < limit
          }
        )
      return Effect.map(eachNames(this.connection, "read", budgetAccount(this.prefix, prefix), read), () =>
        Array.from(found, ([account, balance]) => ({ account, ...balance }))
      )
    })

  private ask(
    client: Client,
    name: string,
    { fromMs }: BudgetStore.BudgetWindow
  ): Promise<BudgetStore.BudgetBalance | undefined> {
    return evaluate<unknown>(client, balanceScript, [name], [`${fromMs}`]).then((reply) => {
      const amounts = amountsOf(String(reply).split(" "), 2)
      return amounts === undefined ? undefined : balances(amounts)[0]
    })
  }

  private run(
    operation: string,
    script: Script,
    { claims, id }: Reservation,
    args: ReadonlyArray<string>
  ): Effect.Effect<string, LLMError.StoreError> {
    const keys = [budgetReservation(this.prefix, id)]
    for (const { account } of claims) keys.push(budgetAccount(this.prefix, account))
    return Effect.map(
      this.connection.run(operation, (client) => evaluate<unknown>(client, script, keys, args)),
      String
    )
  }
}

/** The store on a connection. */
export const make = (connection: Connection, prefix: string): BudgetStore.BudgetStoreService =>
  new RedisBudget(connection, prefix)
