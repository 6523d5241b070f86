/** Prices, budgets (of all callers, of each tier, of a single request), and the ledger. */
import { Budget, BudgetStore, Ledger, LedgerStore, LLMError, Pricing } from "@breakwater/core"
import { Prices } from "@breakwater/prices"
import type * as Config from "effect/Config"
import type * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type { ConfigurationError } from "../Load.ts"
import { type BudgetLimit, type GatewayConfig, millisOf, type TierBudget } from "../Schema.ts"
import { CurrentCaller } from "./Caller.ts"
import { at } from "./Failure.ts"
import { type Kept, keyOf } from "./Kept.ts"
import type { Stores } from "./Stores.ts"

/** Whether the configuration asks for prices: a budget wants them. */
export const isPriced = (config: GatewayConfig): boolean =>
  config.prices !== undefined ||
  config.budgets !== undefined ||
  Object.values(config.tiers ?? {}).some((tier) => "budgets" in tier && tier.budgets !== undefined)

/** Prices, where they are wanted. A server of a known kind has the prices of its kind. */
const pricesOf = (config: GatewayConfig): Layer.Layer<Pricing.Pricing, Config.ConfigError> => {
  if (!isPriced(config)) return Pricing.layerNoop
  const { free, overrides, providers } = config.prices ?? {}
  const named = Object.entries(config.providers).filter(([, { type }]) => type !== "openai-compatible")
  return Prices.layer({
    providers: { ...Object.fromEntries(named.map(([name, { type }]) => [name, type])), ...providers },
    ...(free === undefined ? {} : { free }),
    ...(overrides === undefined ? {} : { overrides })
  })
}

const periodOf = ({ period, timeZone, weekStartsOn }: BudgetLimit | TierBudget): Budget.Period => {
  if (typeof period === "object") {
    return { ...period, rolling: Duration.millis(millisOf(period.rolling)) }
  }
  if (period === "lifetime" || (timeZone === undefined && weekStartsOn === undefined)) return period
  return {
    calendar: period,
    ...(timeZone === undefined ? {} : { timeZone }),
    ...(weekStartsOn === undefined ? {} : { weekStartsOn })
  }
}

const limitOf = ({ period: _period, timeZone: _zone, weekStartsOn: _first, ...rest }: BudgetLimit): Budget.Limit => ({
  ...rest,
  period: periodOf({
    ...rest,
    period: _period,
    ...(_zone === undefined ? {} : { timeZone: _zone }),
    ...(_first === undefined ? {} : { weekStartsOn: _first })
  })
})

/** One limit holds for a scope and a period: that of the tier. */
const together = (tier: ReadonlyArray<TierBudget>, all: ReadonlyArray<BudgetLimit>): ReadonlyArray<BudgetLimit> => {
  const own = tier.map((limit): BudgetLimit => ({ ...limit, scope: limit.scope ?? "key" }))
  const spot = ({ period, scope, timeZone = "UTC", weekStartsOn = 1 }: BudgetLimit) =>
    keyOf(scope, [period, timeZone, weekStartsOn])
  const taken = new Set(own.map(spot))
  return [...own, ...all.filter((limit) => !taken.has(spot(limit)))]
}

/** A limit for one call alone, in the words of any other. */
const refuseAbove = (
  atMost: bigint,
  call: Budget.BudgetCall,
  options: Omit<Budget.Options, "limits">,
  pricing: Context.Context<Pricing.Pricing>
): Effect.Effect<void, Budget.BudgetError> =>
  Budget.make({
    ...options,
    limits: [{ name: "x-breakwater-budget", scope: "global", period: "lifetime", limit: atMost }]
  }).pipe(
    Effect.orDie,
    Effect.flatMap((budget) => budget.reserve!(call)),
    Effect.scoped,
    Effect.provide(pricing),
    Effect.asVoid,
    Effect.mapError((error) =>
      error._tag !== "BudgetExceededError"
        ? error
        : LLMError.withoutStack(
            () =>
              new LLMError.BudgetExceededError({
                message: `${error.message}. It is the most that all of its attempts could cost: a smaller max_tokens or fewer fallbacks lower it`,
                scope: "request",
                period: "request",
                limit: error.limit,
                spent: 0n,
                reserved: 0n,
                needed: error.needed
              })
          )
    )
  )

/** What the parts of money come to. */
export interface Money {
  readonly pricing: Context.Context<Pricing.Pricing>
  /** The budget of whoever asks: see `CurrentCaller`. */
  readonly budget: Budget.BudgetService
  /** The accounts of all limits in force, those of tiers included. */
  readonly accounts: Effect.Effect<ReadonlyArray<Budget.Snapshot>, LLMError.StoreError>
  readonly ledger: Ledger.LedgerService
}

type Services = ReadonlyMap<string | undefined, Budget.BudgetService>

const accountsOf = (services: Services): Money["accounts"] =>
  Effect.map(
    // Not the iterator itself: it would be at its end when it is looked at for the second time.
    Effect.forEach([...services.values()], (budget) => budget.accounts()),
    (all) => {
      const known = new Map<string, Budget.Snapshot>()
      for (const each of all.flat()) {
        const key = `${each.scope}\u0000${each.period}\u0000${each.value}\u0000${each.limit}`
        if (!known.has(key)) known.set(key, each)
      }
      return [...known.values()].slice(0, 1_000)
    }
  )

const budgetFor = (
  services: Services,
  options: Omit<Budget.Options, "limits">,
  pricing: Context.Context<Pricing.Pricing>
): Budget.BudgetService => {
  const nothing: Budget.SettleBudget = () => {}
  const of = (tier: string | undefined): Budget.BudgetService => services.get(tier) ?? services.get(undefined)!
  return {
    reserve: (call) =>
      Effect.withFiber((fiber) => {
        const caller = fiber.getRef(CurrentCaller)
        const reserve = of(caller?.tier).reserve?.(call) ?? Effect.succeed(nothing)
        const atMost = caller?.atMost
        return atMost === undefined ? reserve : Effect.andThen(refuseAbove(atMost, call, options, pricing), reserve)
      }),
    hold: (...args) => Effect.withFiber((fiber) => of(fiber.getRef(CurrentCaller)?.tier).hold(...args)),
    snapshot: (...args) => Effect.withFiber((fiber) => of(fiber.getRef(CurrentCaller)?.tier).snapshot(...args)),
    accounts: (limit) => of(undefined).accounts(limit)
  }
}

const budgetsOf = (
  config: GatewayConfig,
  stores: Stores,
  pricing: Context.Context<Pricing.Pricing>,
  kept: Kept
): Effect.Effect<Pick<Money, "budget" | "accounts">, ConfigurationError, Scope.Scope> =>
  Effect.gen(function* () {
    if (!isPriced(config)) return { budget: Budget.noop, accounts: Effect.succeed([]) }
    const options = config.budgetPolicy ?? {}
    const store = stores.budgets ?? (yield* at("budgets")(kept.keep("budget store", BudgetStore.makeMemory())))
    const make = (path: string, limits: ReadonlyArray<BudgetLimit>) =>
      at(
        path,
        "limits"
      )(
        Budget.make({ ...options, limits: limits.map(limitOf) }).pipe(
          Effect.provideService(BudgetStore.BudgetStore, store),
          Effect.provide(pricing)
        )
      )
    const all = config.budgets ?? []
    const services = new Map<string | undefined, Budget.BudgetService>()
    services.set(undefined, all.length === 0 ? Budget.noop : yield* make("budgets", all))
    for (const [name, tier] of Object.entries(config.tiers ?? {})) {
      if (!("budgets" in tier) || tier.budgets === undefined) continue
      services.set(name, yield* make(`tiers.${name}.budgets`, together(tier.budgets, all)))
    }
    return { budget: budgetFor(services, options, pricing), accounts: accountsOf(services) }
  })

/** Makes the parts of money. */
export const make = (
  config: GatewayConfig,
  stores: Stores,
  kept: Kept
): Effect.Effect<Money, ConfigurationError, Scope.Scope> =>
  Effect.gen(function* () {
    const pricing = yield* at("prices", (field) => (field.includes("/") ? `overrides.${field}` : field))(
      Layer.build(pricesOf(config))
    )
    const budgets = yield* budgetsOf(config, stores, pricing, kept)
    if (stores.ledger === undefined) return { pricing, ...budgets, ledger: Ledger.noop }
    const ledger = yield* at("ledger")(
      Effect.provideService(Effect.provide(Ledger.make(), pricing), LedgerStore.LedgerStore, stores.ledger)
    )
    return { pricing, ...budgets, ledger }
  })
