/**
 * Bounds what calls may cost.
 *
 * **When to use**
 *
 * Use it wherever somebody else decides how often models are called: users, agents, loops.
 *
 * **Details**
 *
 * Before a call, the most it can cost is reserved: the prompt, guessed high, and the largest answer, at the dearest
 * rates, times the attempts it may make. All limits that apply take part, or none. After the call the reservation is
 * replaced by what the attempts cost. So neither ten thousand calls at once nor a thousand processes pass a limit.
 *
 * - What an attempt costs is what its usage costs, failed and hedged attempts included. One that was given up after it
 *   was sent, and never said, counts at its worst; one that was refused counts nothing.
 * - A call counts in the period in which it began.
 * - A call without a user, project, key or tag draws on the account of those that do not say, one for all of them.
 *
 * **Gotchas**
 *
 * The worst case is as good as the bound of the answer: set `maxTokens`, or give prices with `maxOutputTokens`. Without
 * either, `assumedOutputTokens` is reserved, and a longer answer passes the limit by the difference, once.
 *
 * **Example** (A dollar a day for every user)
 *
 * ```ts
 * import { Budget, CallContext, Pricing } from "@breakwater/core"
 * import { Effect, Layer } from "effect"
 *
 * const program = Effect.gen(function*() {
 *   const budget = yield* Budget.Budget
 *   const context = { ...CallContext.single, user: "ada" }
 *   const paid = Budget.protect(Effect.succeed("an answer"), { context, atMost: "0.60", cost: () => 250_000_000n })
 *   yield* paid
 *   yield* paid
 *   const error = yield* Effect.flip(paid)
 *   return `${error._tag}, ${(yield* budget.snapshot(context))[0]!.spent}`
 * })
 *
 * const layer = Budget.layer({ limits: [{ scope: "user", period: "day", limit: "1.00" }] }).pipe(
 *   Layer.provide(Pricing.layer({ "openai/gpt-4o": { input: "2.50", output: "10" } }))
 * )
 *
 * await Effect.runPromise(Effect.provide(program, layer)) // => "BudgetExceededError, 500000000"
 * ```
 */
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Fn from "effect/Function"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import type * as Scope from "effect/Scope"
import type { AttemptRecord, BudgetStanding } from "../domain/Call.ts"
import type { CallContext } from "../domain/CallContext.ts"
import * as Money from "../domain/Money.ts"
import { Pricing } from "../domain/Price.ts"
import type { ProviderEmbedRequest, ProviderRequest } from "../domain/Request.ts"
import {
  type BudgetExceededError,
  InvalidRequestError,
  type StoreError,
  type UnpricedModelError
} from "../errors/LLMError.ts"
import { optionError } from "../internal/options.ts"
import { StoreWatch } from "../internal/storeWatch.ts"
import { BudgetStore, makeMemory } from "../store/BudgetStore.ts"
import { Engine } from "./Budget/engine.ts"
import { type BudgetScope, type Options, resolve } from "./Budget/Options.ts"
import { makeSettler } from "./Budget/settler.ts"

export type { BudgetStanding } from "../domain/Call.ts"
export { type BudgetScope, defaults, type Limit, type Options, type Period } from "./Budget/Options.ts"

/** What reserving can fail with. */
export type BudgetError = BudgetExceededError | UnpricedModelError | StoreError

/** A request as the budget sees it: what it can cost at worst. */
export interface BudgetCall {
  readonly context: CallContext
  readonly request: ProviderRequest | ProviderEmbedRequest
  /** Every target the call may use, `provider/model`, each once. */
  readonly targets: ReadonlyArray<string>
  readonly maxAttempts: number
  /** For events. */
  readonly requestId?: string
}

/** What was reserved for a call. */
export interface SettleBudget {
  /**
   * Replaces the reservation by what the attempts really cost; the first time only. Answers with how the limits stand
   * then, as far as that is known here: a store that is far away is not asked for it.
   */
  (attempts: ReadonlyArray<AttemptRecord>): BudgetStanding | undefined | void
  /** How the limits would stand if it were settled by these attempts now. Changes nothing. */
  readonly standing?: (attempts: ReadonlyArray<AttemptRecord>) => BudgetStanding | undefined
}

/** Replaces an amount that was held by what was spent. Only the first time counts. */
export type Hold = (spent: Money.NanoDollars) => void

/** One account, as it stands. Amounts are nano-dollars. */
export interface Snapshot {
  /** The limit's name. */
  readonly budget: string
  readonly scope: BudgetScope
  /** Whose account it is; empty for `global`, and for calls that do not say. */
  readonly value: string
  readonly period: string
  /** The hard limit, if there is one. */
  readonly limit: Money.NanoDollars | undefined
  readonly soft: Money.NanoDollars | undefined
  readonly spent: Money.NanoDollars
  /** For calls that are under way, and for those of which nothing was ever heard again. */
  readonly reserved: Money.NanoDollars
  readonly remaining: Money.NanoDollars | undefined
  /** When the period began and when it ends, in milliseconds since 1970; calendar periods only. */
  readonly startsAt?: number
  readonly resetsAt?: number
}

export interface BudgetService {
  /** For the pipeline: reserves the worst case in every scope; `undefined` for no budget. */
  readonly reserve: ((call: BudgetCall) => Effect.Effect<SettleBudget, BudgetError>) | undefined
  /** Holds an amount in every limit that applies. `target` is for limits of models. What is not settled stays held. */
  readonly hold: (context: CallContext, amount: Money.NanoDollars, target?: string) => Effect.Effect<Hold, BudgetError>
  /** The accounts that a call of this context, to these targets, draws on. Reading creates nothing. */
  readonly snapshot: (
    context: CallContext,
    targets?: ReadonlyArray<string>
  ) => Effect.Effect<ReadonlyArray<Snapshot>, StoreError>
  /**
   * The accounts of the limits in force in which something stands, and those of everything, at most `limit` (1,000) of
   * them. For people who look: a store may read all it has. Empty where the store cannot say.
   */
  readonly accounts: (limit?: number) => Effect.Effect<ReadonlyArray<Snapshot>, StoreError>
}

/** The budget in the context. */
export class Budget extends Context.Service<Budget, BudgetService>()("@breakwater/core/Budget") {}

/** A store that fails three times in a row is lost: until it is back, one call at a time looks whether it is. */
const loss = { failures: 3, firstMs: 100, longestMs: 10_000 } as const

/**
 * A budget by the {@link Pricing} in the context, on its {@link BudgetStore} or on a memory of its own. The scope ends
 * with what is left to settle at a store that is far away.
 *
 * Fails with a `ConfigError` for a wrong option, for limits that overlap, and where the prices are a Noop.
 */
export const make = (options: Options): Effect.Effect<BudgetService, Config.ConfigError, Pricing | Scope.Scope> =>
  Effect.gen(function* () {
    const settings = yield* resolve(options)
    const { prices } = yield* Pricing
    if (prices === undefined) return yield* Effect.fail(optionError("pricing", "none", "prices: a budget needs them"))
    const given = yield* Effect.serviceOption(BudgetStore)
    const store = given._tag === "Some" ? given.value : yield* makeMemory()
    const isFar = store.local === undefined
    const mode = settings.onStoreError
    const fallback = isFar && mode === "local" ? (yield* makeMemory()).local : undefined
    const watch = isFar ? new StoreWatch({ store: store.name, mode, ...loss }) : undefined
    const settleLater = watch === undefined ? () => {} : yield* makeSettler(store, settings.storeTimeoutMs, watch)
    const prefix = `${(yield* Random.nextIntBetween(0, 2 ** 31)).toString(36)}${(yield* Random.nextIntBetween(0, 2 ** 31)).toString(36)}`
    let ids = 0
    const nextId = () => `${prefix}-${(ids++).toString(36)}`
    const engine = new Engine({ settings, prices, store, watch, fallback, settleLater, nextId })
    return {
      reserve: engine.reserve,
      hold: (context, amount, target) => engine.hold(context, amount, target),
      snapshot: (context, targets = []) => engine.snapshot(context, targets),
      accounts: (limit = 1_000) => engine.accounts(Math.max(1, limit))
    }
  })

/** {@link make} as a Layer. */
export const layer = (options: Options): Layer.Layer<Budget, Config.ConfigError, Pricing> =>
  Layer.effect(Budget, make(options))

/** {@link layer} with its options from the environment. */
export const layerConfig = (options: Config.Wrap<Options>): Layer.Layer<Budget, Config.ConfigError, Pricing> =>
  Layer.effect(Budget, Effect.flatMap(Config.unwrap(options), make))

/** A budget without limits. */
export const noop: BudgetService = {
  reserve: undefined,
  hold: () => Effect.succeed(() => {}),
  snapshot: () => Effect.succeed([]),
  accounts: () => Effect.succeed([])
}

/** No budget, at no cost. */
export const layerNoop: Layer.Layer<Budget> = Layer.succeed(Budget, noop)

/** How {@link protect} uses the budget. */
export interface ProtectOptions<A, E> {
  readonly context: CallContext
  /** The most it can cost. */
  readonly atMost: Money.Input
  /** `provider/model`, for limits of models. */
  readonly target?: string
  /** What it did cost, in nano-dollars. Left out, or `undefined` for an end that says nothing: `atMost`. */
  readonly cost?: (exit: Exit.Exit<A, E>) => Money.NanoDollars | undefined
}

/**
 * Runs an effect within the budget: holds the most it can cost, and settles what it did. Fails with a
 * `BudgetExceededError` before the effect begins, and with an `InvalidRequestError` for an amount that is none.
 */
export const protect: {
  <A, E>(
    options: ProtectOptions<A, E>
  ): <R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E | BudgetError | InvalidRequestError, R | Budget>
  <A, E, R>(
    self: Effect.Effect<A, E, R>,
    options: ProtectOptions<A, E>
  ): Effect.Effect<A, E | BudgetError | InvalidRequestError, R | Budget>
} = Fn.dual(2, <A, E, R>(self: Effect.Effect<A, E, R>, options: ProtectOptions<A, E>) =>
  Effect.gen(function* () {
    const budget = yield* Budget
    const amount = Money.parse(options.atMost)
    if (amount === undefined || amount < 0n) {
      return yield* Effect.fail(
        new InvalidRequestError({ message: "atMost is no amount of at least 0", parameter: "atMost" })
      )
    }
    return yield* Effect.acquireUseRelease(
      budget.hold(options.context, amount, options.target),
      () => self,
      (settle, exit) => Effect.sync(() => settle(options.cost?.(exit) ?? amount))
    )
  })
)
