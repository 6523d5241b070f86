/** The policies of the defaults and of each route. */
import {
  BreakerStore,
  Bulkhead,
  CircuitBreaker,
  ContextWindow,
  Hedge,
  type Pipeline,
  QuotaStore,
  Retry,
  RetryBudget,
  Tokenizer,
  TokenQuota
} from "@breakwater/core"
import type { RedisStores } from "@breakwater/stores"
import { Tokenizers, Windows } from "@breakwater/tokenizers"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { defaults } from "../Defaults.ts"
import type { ConfigurationError } from "../Load.ts"
import { millisOf, type Policy } from "../Schema.ts"
import { at } from "./Failure.ts"
import { type Kept, keyOf } from "./Kept.ts"
import { within } from "./SharedBreaker.ts"

/** The policies with a state of their own. */
export interface Stateful {
  readonly breaker: CircuitBreaker.CircuitBreakerService
  readonly quota: TokenQuota.TokenQuotaService
  readonly bulkhead: Bulkhead.BulkheadService
  readonly hedge: Hedge.HedgeService
  readonly context: ContextWindow.ContextWindowService
}

const duration = (value: string | number): Duration.Duration => Duration.millis(millisOf(value))

/** The same fields, those that are named as durations. */
const timed = <A extends object, K extends keyof A>(
  fields: A,
  ...names: ReadonlyArray<K>
): { [P in keyof A]: P extends K ? Duration.Duration : A[P] } => {
  const out: { [field: PropertyKey]: unknown } = { ...(fields as object) }
  for (const name of names) if (fields[name] !== undefined) out[name] = duration(fields[name] as string | number)
  return out as { [P in keyof A]: P extends K ? Duration.Duration : A[P] }
}

type On<K extends keyof Policy> = Exclude<Policy[K], false | undefined>

const breakerOptions = (breaker: On<"breaker">): CircuitBreaker.Options => ({
  ...(breaker.window === undefined ? {} : { window: CircuitBreaker.time(duration(breaker.window)) }),
  ...(breaker.failureRate === undefined ? {} : { failureRate: breaker.failureRate }),
  ...(breaker.minimumCalls === undefined ? {} : { minimumCalls: breaker.minimumCalls }),
  open: {
    ...(breaker.openFor === undefined ? {} : { duration: duration(breaker.openFor) }),
    ...(breaker.maxOpenFor === undefined ? {} : { max: duration(breaker.maxOpenFor) })
  },
  ...(breaker.probes === undefined
    ? {}
    : { halfOpen: { calls: breaker.probes, successes: Math.min(2, breaker.probes) } })
})

/** Makes the policies of the defaults, and of routes that set their own. */
export interface Maker {
  /** `path` is that of the fields in the configuration, `name` that of the state: of a route, or `default`. */
  readonly make: (
    policy: Policy,
    inherited: Stateful | undefined,
    path: string,
    name: string
  ) => Effect.Effect<Stateful, ConfigurationError, Scope.Scope>
}

type Redis = RedisStores.Stores | undefined

const breakerOf = (options: CircuitBreaker.Options, redis: Redis, name: string) =>
  redis === undefined
    ? CircuitBreaker.make(options)
    : Effect.provideService(
        CircuitBreaker.makeShared(options),
        BreakerStore.BreakerStore,
        name === "default" ? redis.breaker : within(redis.breaker, name)
      )

/** Limits of a route are its own: what other routes take of the same target is not counted there. */
const quotaOf = (given: Exclude<Policy["quota"], false>, redis: Redis, name: string) => {
  const { onStoreError, ramp = true, ...limits } = given ?? {}
  const options = {
    ...limits,
    ...(ramp ? {} : { ramp: false as const }),
    maxWait: duration(limits.maxWait ?? defaults.quotaWait)
  }
  if (redis === undefined) return TokenQuota.make(options)
  const shared = TokenQuota.makeShared({
    ...options,
    ...(name === "default" ? {} : { name: `route-${name}` }),
    ...(onStoreError === undefined ? {} : { onStoreError })
  })
  return Effect.provideService(shared, QuotaStore.QuotaStore, redis.quota)
}

const contextOf = ({ table = true, tokenizer = "exact", ...options }: On<"contextWindow">) =>
  Effect.flatMap(tokenizer === "exact" ? Tokenizers.make() : Tokenizer.make(), (counter) =>
    Effect.provideService(
      ContextWindow.make({ ...options, ...(table ? { lookup: Windows.lookup } : {}) }),
      Tokenizer.Tokenizer,
      counter
    )
  )

/** A maker whose policies outlive a reload where nothing of them has changed. */
export const makerOf = (kept: Kept, redis: Redis, shared: string): Maker => ({
  make: (policy, inherited, path, name) =>
    Effect.gen(function* () {
      const keep = <A, E>(field: keyof Policy, made: Effect.Effect<A, E, Scope.Scope>) =>
        kept.keep(keyOf(`${field} of ${name} ${shared}`, policy[field] ?? {}), made)
      const { breaker, bulkhead, contextWindow, hedge, quota, retryBudget } = policy
      // It is made with the pipeline, whose errors would not say where it stands here.
      if (typeof retryBudget === "object") {
        yield* at(`${path}.retryBudget`)(RetryBudget.make(timed(retryBudget, "window")))
      }
      return {
        breaker:
          breaker === undefined && inherited !== undefined
            ? inherited.breaker
            : breaker === false
              ? CircuitBreaker.noop
              : yield* at(`${path}.breaker`)(
                  keep("breaker", breakerOf(breaker === undefined ? {} : breakerOptions(breaker), redis, name))
                ),
        quota:
          quota === undefined && inherited !== undefined
            ? inherited.quota
            : quota === false
              ? TokenQuota.noop
              : yield* at(`${path}.quota`)(keep("quota", quotaOf(quota, redis, name))),
        bulkhead:
          bulkhead === undefined && inherited !== undefined
            ? inherited.bulkhead
            : bulkhead === false || bulkhead === undefined
              ? Bulkhead.noop
              : yield* at(`${path}.bulkhead`)(keep("bulkhead", Bulkhead.make(timed(bulkhead, "maxWait", "patience")))),
        hedge:
          hedge === undefined && inherited !== undefined
            ? inherited.hedge
            : hedge === false || hedge === undefined
              ? Hedge.noop
              : yield* at(`${path}.hedge`)(keep("hedge", Hedge.make(timed(hedge, "minDelay", "maxDelay")))),
        context:
          contextWindow === undefined && inherited !== undefined
            ? inherited.context
            : contextWindow === false || contextWindow === undefined
              ? ContextWindow.noop
              : yield* at(`${path}.contextWindow`)(keep("contextWindow", contextOf(contextWindow)))
      }
    })
})

const retryBudgetOf = (given: Policy["retryBudget"]): { readonly retryBudget?: RetryBudget.Options | "off" } =>
  given === undefined ? {} : { retryBudget: given === false ? "off" : timed(given, "window") }

/** Retries and waits of a gateway: two retries, no wait above ten seconds, streams that go on elsewhere. */
export const optionsOf = (policy: Policy, targets: ReadonlyArray<string>): Pipeline.PipelineOptions => ({
  targets,
  retry: {
    retries: policy.retries ?? defaults.retries,
    maxHint: Duration.seconds(10),
    schedule: Retry.exponential({
      base: duration(policy.backoff?.base ?? defaults.backoffBase),
      cap: duration(policy.backoff?.cap ?? defaults.backoffCap),
      factor: policy.backoff?.factor ?? defaults.backoffFactor
    })
  },
  ...retryBudgetOf(policy.retryBudget),
  timeouts: {
    firstToken: duration(policy.timeouts?.firstToken ?? defaults.firstToken),
    idle: duration(policy.timeouts?.idle ?? defaults.idle),
    attempt: duration(policy.timeouts?.attempt ?? defaults.attempt),
    total: duration(policy.timeouts?.total ?? defaults.total)
  },
  streamPolicy: policy.streamPolicy ?? defaults.streamPolicy,
  strict: policy.strict ?? defaults.strict,
  ...(policy.maxAttempts === undefined ? {} : { maxAttempts: policy.maxAttempts })
})
