/**
 * Gauges of what stands in the accounts of budgets.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import type * as Config from "effect/Config"
import type * as Scope from "effect/Scope"
import { positiveDuration, validate, wholeInRange } from "../../internal/options.ts"
import type { BudgetService, Snapshot } from "../../policy/Budget.ts"
import { catalogue } from "./catalogue.ts"
import { familiesOf, maxSeries } from "./Family.ts"
import { dollars } from "./recorder.ts"

/** How budgets are looked at. */
export interface BudgetOptions {
  /** Time between two looks. Default 15 seconds. */
  readonly every?: Duration.Input
  /** Accounts looked at, at most, from 1 to 1,000,000. Default 1,000. */
  readonly maxAccounts?: number
}

interface Sum {
  spent: bigint
  reserved: bigint
  remaining: bigint | undefined
  accounts: number
}

/** Of a limit in whose accounts nothing stands. */
const emptyOf = ({ limit }: Snapshot): Sum => ({ spent: 0n, reserved: 0n, remaining: limit, accounts: 0 })

/** One entry for each limit: its accounts belong to users and tenants, and there is no end of those. */
const byLimit = (accounts: ReadonlyArray<Snapshot>): ReadonlyMap<string, readonly [Snapshot, Sum]> => {
  const sums = new Map<string, readonly [Snapshot, Sum]>()
  for (const account of accounts) {
    const key = `${account.budget}\n${account.scope}\n${account.period}`
    const sum: Sum = sums.get(key)?.[1] ?? { spent: 0n, reserved: 0n, remaining: undefined, accounts: 0 }
    sums.set(key, [account, sum])
    sum.spent += account.spent
    sum.reserved += account.reserved
    sum.accounts += 1
    const left = account.remaining
    if (left !== undefined && (sum.remaining === undefined || left < sum.remaining)) sum.remaining = left
  }
  return sums
}

/**
 * Keeps gauges of what stands in the accounts of a budget, until the scope ends: what is spent and reserved over all
 * accounts of a limit, how many there are, and what is left in the one that has the least. A store that does not answer
 * leaves them as they are.
 *
 * Fails with a `ConfigError` for a wrong option.
 */
export const watchBudget = (
  budget: Pick<BudgetService, "accounts">,
  options: BudgetOptions = {}
): Effect.Effect<void, Config.ConfigError, Scope.Scope> =>
  Effect.gen(function* () {
    const { every = "15 seconds", maxAccounts = 1_000 } = options
    yield* validate([positiveDuration("every", every), wholeInRange("maxAccounts", maxAccounts, 1, 1_000_000)])
    const pause = Duration.fromInputUnsafe(every)
    const { budgetAccounts, budgetRemaining, budgetReserved, budgetSpent } = familiesOf(
      catalogue,
      yield* Effect.context<never>()
    )
    // What was there once and is no more: in its new period nothing is spent yet.
    const seen = new Map<string, Snapshot>()
    const look = Effect.map(budget.accounts(maxAccounts), (accounts) => {
      const sums = byLimit(accounts)
      for (const [key, [account, sum]] of sums) tell(account, sum, seen, key)
      for (const [key, account] of seen) if (!sums.has(key)) tell(account, emptyOf(account), seen, key)
    })
    const tell = (account: Snapshot, sum: Sum, seen: Map<string, Snapshot>, key: string): void => {
      const { budget, period, scope } = account
      if (seen.size < maxSeries) seen.set(key, account)
      budgetSpent.update(dollars(sum.spent), budget, scope, period)
      budgetReserved.update(dollars(sum.reserved), budget, scope, period)
      budgetAccounts.update(sum.accounts, budget, scope, period)
      if (sum.remaining !== undefined) budgetRemaining.update(dollars(sum.remaining), budget, scope, period)
    }
    // One that hangs, or dies of a bug of its store, is not the last.
    const tried = Effect.catchCause(Effect.timeoutOption(look, pause), () => Effect.succeed(Option.none()))
    yield* Effect.forkScoped(Effect.repeat(tried, Schedule.spaced(pause)))
  })
