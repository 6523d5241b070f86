/**
 * A limiter's plans: named rules, each bound to the store.
 */
import type * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import { InvalidRequestError, type StoreError } from "../../errors/LLMError.ts"
import { emit } from "../../internal/emit.ts"
import { rulesOf, type WindowOptions } from "../../internal/limitRules.ts"
import type { Rule } from "../../internal/limitRule.ts"
import { capacityOf, type Decision } from "../../internal/limitTable.ts"
import { optionError } from "../../internal/options.ts"
import { rejection } from "../../internal/rejection.ts"
import type { LimiterStoreService, Limits } from "../../store/LimiterStore.ts"
import type { LimiterOptions, Options } from "../RateLimiter.ts"

/** Rules bound to a store. */
export interface Plan {
  readonly name: string
  readonly limits: Limits
  /** The largest weight that ever goes at once. */
  readonly capacity: number
  /** The longest window: when to come back with what never fits, should the limit have grown. */
  readonly longestMs: number
}

/** The windows of every plan by name, and the plan to use when none is named. */
const planWindows = (
  options: Options
): { readonly plans: Readonly<Record<string, ReadonlyArray<WindowOptions>>>; readonly defaultPlan: string } => {
  if ("plans" in options) {
    return { plans: options.plans, defaultPlan: options.defaultPlan ?? Object.keys(options.plans)[0] ?? "" }
  }
  return { plans: { default: "windows" in options ? options.windows : [options] }, defaultPlan: "default" }
}

/** What to do with a store, and with its failures. */
export interface Stores {
  readonly name: string
  readonly store: LimiterStoreService
  /** Where to count while the store fails. */
  readonly fallback: LimiterStoreService | undefined
  readonly onStoreError: NonNullable<LimiterOptions["onStoreError"]>
}

const letGo: Decision = { allowed: true, waitMs: 0, remaining: Infinity, limit: Infinity, at: 0 }

/** Limits whose store may fail, with an answer for that. */
const guarded = (stores: Stores, limits: Limits, rules: ReadonlyArray<Rule>): Limits => {
  const spare = stores.fallback?.open(stores.name, rules)
  const guard = <A>(
    effect: Effect.Effect<A, StoreError>,
    instead: Effect.Effect<A, StoreError>
  ): Effect.Effect<A, StoreError> =>
    Effect.catch(effect, (error) =>
      Effect.withFiber((fiber: Fiber.Fiber<unknown, unknown>) => {
        const handled = stores.onStoreError
        emit(fiber, () => ({
          type: "limit-store-failed",
          limiter: stores.name,
          store: error.store,
          operation: error.operation,
          handled
        }))
        return handled === "fail-closed" ? Effect.fail(error) : instead
      })
    )
  const pass = Effect.succeed(letGo)
  return {
    take: (key, weight) => guard(limits.take(key, weight), spare?.take(key, weight) ?? pass),
    check: (key, weight) => guard(limits.check(key, weight), spare?.check(key, weight) ?? pass),
    give: (key, weight, at) => guard(limits.give(key, weight, at), spare?.give(key, weight, at) ?? Effect.void),
    forget: (key) => guard(limits.forget(key), spare?.forget(key) ?? Effect.void)
  }
}

/** The plans of a limiter; a plan's rules can be replaced. */
export class Plans {
  private readonly byName = new Map<string, Plan>()
  private readonly stores: Stores
  private readonly fallbackName: string

  private constructor(stores: Stores, defaultPlan: string) {
    this.stores = stores
    this.fallbackName = defaultPlan
  }

  static make(options: Options, stores: Stores): Effect.Effect<Plans, Config.ConfigError> {
    return Effect.suspend(() => {
      const { plans, defaultPlan } = planWindows(options)
      if (!Object.hasOwn(plans, defaultPlan)) {
        return Effect.fail(optionError("defaultPlan", defaultPlan, `one of ${Object.keys(plans).join(", ")}`))
      }
      const self = new Plans(stores, defaultPlan)
      for (const [name, windows] of Object.entries(plans)) {
        const wrong = self.set(name, "plans" in options ? `plans.${name}` : "windows", windows)
        if (wrong !== undefined) return Effect.fail(wrong)
      }
      return Effect.succeed(self)
    })
  }

  get(name: string | undefined): Plan | undefined {
    return this.byName.get(name ?? this.fallbackName)
  }

  /** Fails with a `ConfigError` for a plan that is not there. */
  replace(name: string | undefined, windows: ReadonlyArray<WindowOptions>): Effect.Effect<void, Config.ConfigError> {
    const plan = this.get(name)
    if (plan === undefined) return Effect.fail(optionError("plan", name, this.names()))
    const wrong = this.set(plan.name, "windows", windows)
    return wrong === undefined ? Effect.void : Effect.fail(wrong)
  }

  unknown(name: string | undefined): InvalidRequestError {
    return invalid("plan", `there is no plan ${JSON.stringify(name)}; allowed: ${this.names()}`)
  }

  private names(): string {
    return Array.from(this.byName.keys()).join(", ")
  }

  private set(name: string, field: string, windows: ReadonlyArray<WindowOptions>): Config.ConfigError | undefined {
    const rules = rulesOf(field, windows)
    if (!Array.isArray(rules)) return rules as Config.ConfigError
    const limits = this.stores.store.open(this.stores.name, rules)
    this.byName.set(name, {
      name,
      limits: limits.local === undefined ? guarded(this.stores, limits, rules) : limits,
      capacity: capacityOf(rules),
      longestMs: rules.reduce((longest, rule) => Math.max(longest, rule.windowMs), 0)
    })
    return undefined
  }
}

/** The error for a wrong argument. */
export const invalid = (parameter: string, message: string): InvalidRequestError =>
  rejection(InvalidRequestError, "InvalidRequestError", { message, parameter })
