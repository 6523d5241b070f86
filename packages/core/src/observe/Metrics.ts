/**
 * Metrics of what the policies did, made from their events: one family a policy, and the client metrics of the
 * OpenTelemetry conventions for generative AI. They are Effect metrics: `PrometheusMetrics` and `Otlp` of
 * `effect/observability` export them.
 *
 * The number of series is bounded by construction: labels are targets, kinds and outcomes, never users or requests,
 * and past {@link maxSeries} of a family everything else is counted as `other`.
 */
import * as Config from "effect/Config"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import { EventSink, type PolicyEvent } from "../domain/Event.ts"
import { joined } from "../internal/emit.ts"
import { positiveDuration, validate } from "../internal/options.ts"
import type { BudgetService, Snapshot } from "../policy/Budget.ts"
import { catalogue, classic } from "./Metrics/catalogue.ts"
import { ClassicRecorder } from "./Metrics/classic.ts"
import { type Definition, familiesOf } from "./Metrics/Family.ts"
import { dollars, Recorder } from "./Metrics/recorder.ts"

export { type Definition, maxSeries } from "./Metrics/Family.ts"

/** Every metric of {@link layer}, for tables and dashboards. */
export const definitions: ReadonlyArray<Definition> = Object.values(catalogue)

/** Every metric that the option `classic` adds. */
export const classicDefinitions: ReadonlyArray<Definition> = Object.values(classic)

/** The names of the metrics of {@link layer}. */
export const names: ReadonlyArray<string> = definitions.map(({ name }) => name)

/** What is counted. */
export interface Options {
  /** Whether to keep the `llm_…` metrics, too, that many dashboards for language models expect. Default false. */
  readonly classic?: boolean
}

/** {@link layer} with options. */
export const layerWith = (options: Options): Layer.Layer<never> =>
  Layer.effect(
    EventSink,
    Effect.gen(function* () {
      const context = yield* Effect.context<never>()
      const outer = yield* EventSink
      const recorder = new Recorder(context)
      const record = (event: PolicyEvent): void => recorder.record(event)
      if (options.classic !== true) return joined(record, outer)
      const second = new ClassicRecorder(context)
      return joined(
        record,
        joined((event) => second.record(event), outer)
      )
    })
  )

/**
 * Keeps the metrics of everything that is given this Layer. Another listener that is already in place goes on
 * hearing the events.
 */
export const layer: Layer.Layer<never> = layerWith({})

/** {@link layerWith} with its options from the environment. */
export const layerConfig = (options: Config.Wrap<Options>): Layer.Layer<never, Config.ConfigError> =>
  Layer.unwrap(Effect.map(Config.unwrap(options), layerWith))

/**
 * The name of a metric in Prometheus, with its unit: for `PrometheusMetrics.format({ metricNameMapper })`, which by itself
 * leaves out the units of the conventions' metrics. Names that say their unit stay as they are.
 */
export const prometheusName = (name: string): string => (inSeconds.has(name) ? `${name}_seconds` : name)

const inSeconds = new Set(definitions.filter(({ unit }) => unit === "seconds").map(({ name }) => name))

/** How budgets are looked at. */
export interface BudgetOptions {
  /** Time between two looks. Default 15 seconds. */
  readonly every?: Duration.Input
  /** Accounts looked at, at most. Default 1,000. */
  readonly maxAccounts?: number
}

interface Sum {
  spent: bigint
  reserved: bigint
  remaining: bigint | undefined
  accounts: number
}

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
    yield* validate([positiveDuration("every", every)])
    const { budgetAccounts, budgetRemaining, budgetReserved, budgetSpent } = familiesOf(
      catalogue,
      yield* Effect.context<never>()
    )
    const look = Effect.map(budget.accounts(maxAccounts), (accounts) => {
      for (const [{ budget, period, scope }, sum] of byLimit(accounts).values()) {
        budgetSpent.update(dollars(sum.spent), budget, scope, period)
        budgetReserved.update(dollars(sum.reserved), budget, scope, period)
        budgetAccounts.update(sum.accounts, budget, scope, period)
        if (sum.remaining !== undefined) budgetRemaining.update(dollars(sum.remaining), budget, scope, period)
      }
    })
    yield* Effect.forkScoped(Effect.repeat(Effect.ignore(look), Schedule.spaced(Duration.fromInputUnsafe(every))))
  })
