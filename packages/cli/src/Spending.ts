/**
 * What a call may cost, whose it is, and where that is written down: the flags, and the policies they stand for.
 */
import { Budget, type CallContext, Ledger, LLMError, Money, type Pricing } from "@breakwater/core"
import type * as Config from "effect/Config"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { report, SettingError } from "./Failure.ts"

const text = (name: string, metavar: string, what: string) =>
  Flag.String(name).pipe(Flag.withMetavar(metavar), Flag.withDescription(what), Flag.optional)

/** The flags. */
export const spendingFlags = {
  budget: text(
    "budget",
    "dollars",
    "The most that may be spent, as in 0.50. What could pass it at worst is not asked; --max-tokens lowers the worst case"
  ),
  unpriced: Flag.Literals("unpriced", ["reject", "allow"]).pipe(
    Flag.withDescription("With --budget, a model that has no price: reject it, or allow it and do not count it"),
    Flag.withDefault("reject" as const)
  ),
  ledger: text("ledger", "file", "Write every attempt and its cost into this file; breakwater report reads it"),
  user: text("user", "name", "Whose call it is, for the ledger"),
  project: text("project", "name", "What the call is for, for the ledger"),
  tags: Flag.String("tag").pipe(
    Flag.withMetavar("name"),
    Flag.withDescription("A label for the ledger; may be repeated"),
    Flag.atLeast(0)
  )
}

/** The flags as they were given. */
export type Spending = {
  readonly [Name in keyof typeof spendingFlags]: (typeof spendingFlags)[Name] extends Flag.Flag<infer A> ? A : never
}

/** Whose call it is. */
export const contextOf = ({ project, tags, user }: Spending): Partial<CallContext.CallContext> => ({
  ...(Option.isSome(user) ? { user: user.value } : {}),
  ...(Option.isSome(project) ? { project: project.value } : {}),
  ...(tags.length === 0 ? {} : { tags })
})

const budgetOf = ({
  budget,
  unpriced
}: Spending): Layer.Layer<Budget.Budget, SettingError | Config.ConfigError, Pricing.Pricing> => {
  if (Option.isNone(budget)) return Budget.layerNoop
  const limit = Money.parse(budget.value)
  if (limit === undefined || limit <= 0n) {
    const allowed = "an amount of US dollars above 0 with at most nine decimals, such as 0.50"
    const message = `--budget is ${JSON.stringify(budget.value)}; allowed: ${allowed}`
    return Layer.effect(Budget.Budget, Effect.fail(new SettingError({ message })))
  }
  return Budget.layer({ limits: [{ name: "--budget", scope: "global", period: "lifetime", limit }], unpriced })
}

/** The ledger of a file; made if it is not there. The database is loaded only for those who want one. */
const ledgerOf = ({ ledger }: Spending): Layer.Layer<Ledger.Ledger, SettingError, Pricing.Pricing> => {
  if (Option.isNone(ledger)) return Ledger.layerNoop
  const filename = ledger.value
  if (filename.trim() === "") {
    return Layer.effect(Ledger.Ledger, Effect.fail(new SettingError({ message: "--ledger is empty; name a file" })))
  }
  return Layer.unwrap(
    Effect.map(
      Effect.promise(() => import("@breakwater/stores/sql")),
      ({ Sqlite, SqlLedgerStore }) =>
        Ledger.layer().pipe(Layer.provide(SqlLedgerStore.layer), Layer.provide(Sqlite.layer({ filename })))
    )
  ).pipe(
    Layer.catch((error) =>
      Layer.effect(
        Ledger.Ledger,
        Effect.fail(
          new SettingError({
            message: `--ledger ${filename} cannot be written, so nothing was asked: ${report(error).message}`
          })
        )
      )
    )
  )
}

/** Published prices, and the budget and the ledger that the flags ask for. */
export const layerSpending = (
  spending: Spending
): Layer.Layer<Budget.Budget | Ledger.Ledger | Pricing.Pricing, SettingError | Config.ConfigError> =>
  Layer.mergeAll(budgetOf(spending), ledgerOf(spending)).pipe(
    Layer.provideMerge(
      Layer.unwrap(
        Effect.map(
          Effect.promise(() => import("@breakwater/prices")),
          ({ Prices }) => Prices.layer()
        )
      )
    )
  )

/** A refusal that has to do with money, with the flags that change it. */
export const withAdvice = <E>(error: E): E | SettingError | Refused => {
  if (error instanceof LLMError.UnpricedModelError) {
    return new Refused(
      "UnpricedModelError",
      `${error.message}; --unpriced allow asks it all the same, and does not count it`
    )
  }
  if (error instanceof LLMError.BudgetExceededError) {
    return new Refused(
      "BudgetExceededError",
      `${error.message}; a smaller --max-tokens or --retries 0 makes the worst case cheaper`
    )
  }
  return error
}

/** What {@link withAdvice} makes: the kind of an error, with another sentence. */
export class Refused extends Error {
  readonly _tag: string

  constructor(tag: string, message: string) {
    super(message)
    this._tag = tag
  }
}
