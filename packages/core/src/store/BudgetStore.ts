/**
 * Where budgets keep their accounts: in this process's memory, or in one place for many processes.
 *
 * A store decides atomically over all claims of a reservation, all or none. Time comes with the claims. The contract
 * suite in `test/contract/budget-store.ts` says what every implementation owes.
 */
import type * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { StoreError } from "../errors/LLMError.ts"
import {
  type BudgetAccount,
  type BudgetBalance,
  BudgetBook,
  type BudgetClaim,
  type BudgetRefusal,
  type BudgetWindow
} from "../internal/budgetBook.ts"
import { validate, wholeInRange } from "../internal/options.ts"
import { rejection } from "../internal/rejection.ts"

export type { BudgetAccount, BudgetBalance, BudgetClaim, BudgetRefusal, BudgetWindow } from "../internal/budgetBook.ts"

/** Claims that are reserved together. */
export interface BudgetReservation {
  /** No two reservations have the same. */
  readonly id: string
  /** An account is claimed once. */
  readonly claims: ReadonlyArray<BudgetClaim>
}

/** A reservation that was made, and what stands in each of its accounts now, this reservation included. */
export interface BudgetGrant {
  readonly balances: ReadonlyArray<BudgetBalance>
}

/** The port. */
export interface BudgetStoreService {
  /** A short name for errors and events. */
  readonly name: string
  /**
   * Reserves all claims, or none and says why not. A store that knows what stands in the accounts without asking again
   * says so, for answers that tell what is left; another one answers with `undefined`.
   */
  readonly reserve: (
    reservation: BudgetReservation,
    nowMs: number
  ) => Effect.Effect<BudgetRefusal | BudgetGrant | undefined, StoreError>
  /**
   * Replaces what was reserved by what was spent, one charge for each claim, and answers with what is spent in each
   * account afterwards. A reservation that is not there, or was settled before, is left alone: the answer is `undefined`.
   */
  readonly settle: (
    reservation: BudgetReservation,
    charges: ReadonlyArray<bigint>
  ) => Effect.Effect<ReadonlyArray<bigint> | undefined, StoreError>
  readonly balance: (account: string, window: BudgetWindow) => Effect.Effect<BudgetBalance, StoreError>
  /**
   * Accounts whose name begins with `prefix`, counted in this window, at most `limit` of them; those with nothing in them
   * may be left out. For people who look: it may read all there is. Left out where a store cannot say.
   */
  readonly accounts?: (
    prefix: string,
    window: BudgetWindow,
    limit: number
  ) => Effect.Effect<ReadonlyArray<BudgetAccount>, StoreError>
  /** The same without effects, where the accounts are in this process: for the hot path. */
  readonly local?: LocalBudgetStore
}

/** {@link BudgetStoreService} in this process. */
export interface LocalBudgetStore {
  readonly reserve: (claims: ReadonlyArray<BudgetClaim>, nowMs: number) => BudgetRefusal | StoreError | LocalBudgetHold
  readonly balance: (account: string, window: BudgetWindow) => BudgetBalance
}

/** What is reserved in this process. Claims are named by their index. */
export interface LocalBudgetHold {
  /** Replaces what was reserved by what was spent, one charge for each claim. False if that was done before. */
  readonly settle: (charges: ReadonlyArray<bigint>) => boolean
  /** Whether the bucket of a claim still counts. If not, the following two mean nothing. */
  readonly counts: (index: number) => boolean
  readonly spent: (index: number) => bigint
  /** Spent and reserved. */
  readonly used: (index: number) => bigint
}

export class BudgetStore extends Context.Service<BudgetStore, BudgetStoreService>()("@breakwater/core/BudgetStore") {}

/** Options of {@link makeMemory}. */
export interface MemoryOptions {
  /**
   * Accounts at most. Those whose time is over make room; a new one that finds none is refused with a `StoreError`,
   * because an account that is forgotten too soon is a limit that is not kept. Default 1,000,000.
   */
  readonly maxAccounts?: number
}

/** Defaults of {@link makeMemory}. */
export const memoryDefaults = { maxAccounts: 1_000_000 } as const satisfies MemoryOptions

const tooMany = (maxAccounts: number): StoreError =>
  rejection(StoreError, "StoreError", {
    message: `there are ${maxAccounts} budget accounts whose time is not over, and no room for another`,
    store: "memory",
    operation: "reserve"
  })

/** A store in this process's memory. It forgets with the process. Fails with a `ConfigError` for a wrong option. */
export const makeMemory = (options: MemoryOptions = {}): Effect.Effect<BudgetStoreService, Config.ConfigError> => {
  const maxAccounts = options.maxAccounts ?? memoryDefaults.maxAccounts
  return Effect.map(validate([wholeInRange("maxAccounts", maxAccounts, 1)]), (): BudgetStoreService => {
    const book = new BudgetBook(maxAccounts)
    const open = new Map<string, LocalBudgetHold>()
    const local: LocalBudgetStore = {
      reserve: (claims, nowMs) => {
        const held = book.reserve(claims, nowMs)
        return held === "full" ? tooMany(maxAccounts) : held
      },
      balance: (account, window) => book.balance(account, window)
    }
    return {
      name: "memory",
      local,
      reserve: ({ claims, id }, nowMs) =>
        Effect.suspend((): Effect.Effect<BudgetRefusal | BudgetGrant, StoreError> => {
          const held = local.reserve(claims, nowMs)
          if (!("settle" in held)) return "_tag" in held ? Effect.fail(held) : Effect.succeed(held)
          open.set(id, held)
          const balances = claims.map((_, index) => {
            const spent = held.spent(index)
            return { spent, reserved: held.used(index) - spent }
          })
          return Effect.succeed({ balances })
        }),
      settle: ({ claims, id }, charges) =>
        Effect.sync(() => {
          const held = open.get(id)
          if (held === undefined) return undefined
          open.delete(id)
          held.settle(charges)
          return claims.map((_, index) => (held.counts(index) ? held.spent(index) : 0n))
        }),
      balance: (account, window) => Effect.sync(() => local.balance(account, window)),
      accounts: (prefix, window, limit) => Effect.sync(() => book.accounts(prefix, window, limit))
    }
  })
}

/** {@link makeMemory} as a Layer. */
export const layerMemory = (options?: MemoryOptions): Layer.Layer<BudgetStore, Config.ConfigError> =>
  Layer.effect(BudgetStore, makeMemory(options))
