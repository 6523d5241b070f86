/** From a configuration to what answers: providers, one service a set of policies, and the names they go by. */
import {
  BreakerStore,
  Budget,
  BudgetStore,
  Bulkhead,
  CacheStore,
  CircuitBreaker,
  LimiterStore,
  LLM,
  LLMProvider,
  Model,
  Pipeline,
  Pricing,
  QuotaStore,
  RateLimiter,
  ResponseCache,
  Retry,
  TokenQuota
} from "@breakwater/core"
import { Catalog, HttpPool } from "@breakwater/providers"
import { Prices } from "@breakwater/prices"
import { RedisStores } from "@breakwater/stores"
import { Postgres, SqlBudgetStore } from "@breakwater/stores/sql"
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import type * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import * as Authenticator from "../auth/Authenticator.ts"
import { ConfigurationError, secretOf } from "./Load.ts"
import { type GatewayConfig, millisOf, type Policy, type Route } from "./Schema.ts"

type BreakerOptions = CircuitBreaker.Options

/** A name that can be asked for, and who answers. */
export interface Resolved {
  readonly llm: LLM.LLMService
  /** The targets in order: the first is asked first. */
  readonly targets: ReadonlyArray<string>
  /** With the order `weighted`: how often each target goes first. */
  readonly weights?: ReadonlyArray<number>
}

/** Everything that a configuration makes. */
export interface Engine {
  readonly config: GatewayConfig
  /** Whom a name stands for; `undefined` for a name that stands for nobody. */
  readonly resolve: (name: string) => Resolved | undefined
  /** Whether all of these targets speak Anthropic's wire. */
  readonly native: (targets: ReadonlyArray<string>) => boolean
  /** Every name that is listed. */
  readonly models: ReadonlyArray<{ readonly id: string; readonly ownedBy: string }>
  /** The breakers by the name of their route; `default` for the rest. */
  readonly breakers: ReadonlyMap<string, CircuitBreaker.CircuitBreakerService>
  readonly bulkhead: Bulkhead.BulkheadService
  readonly cache: ResponseCache.ResponseCacheService
  readonly budget: Budget.BudgetService
  readonly limiter: RateLimiter.RateLimiterService | undefined
  readonly auth: Authenticator.Authenticator
  readonly http: HttpClient.HttpClient
}

type BuildError = Config.ConfigError | ConfigurationError | Error

const messageOf = (error: BuildError): string =>
  error instanceof Config.ConfigError ? error.cause.message : error.message

const asConfiguration =
  (path: string) =>
  (error: BuildError): ConfigurationError => {
    if (error instanceof ConfigurationError) return error
    const message = `${path}: ${messageOf(error)}`
    return new ConfigurationError({ message, issues: [message] })
  }

const at =
  (path: string) =>
  <A, R>(effect: Effect.Effect<A, BuildError, R>): Effect.Effect<A, ConfigurationError, R> =>
    Effect.mapError(effect, asConfiguration(path))

// --- stores -------------------------------------------------------------------------------------------------------

/** What several gateways share; each is `undefined` where this one keeps it to itself. */
interface Shared {
  readonly redis: RedisStores.Stores | undefined
  readonly budgets: BudgetStore.BudgetStoreService | undefined
}

const storesOf = ({ stores }: GatewayConfig) =>
  Effect.gen(function* () {
    const prefix = stores?.prefix === undefined ? {} : { prefix: stores.prefix }
    const redis = stores?.redis === undefined ? undefined : yield* secretOf(stores.redis, "stores.redis")
    const postgres = stores?.postgres === undefined ? undefined : yield* secretOf(stores.postgres, "stores.postgres")
    return {
      redis: redis === undefined ? undefined : yield* at("stores.redis")(RedisStores.make({ url: redis, ...prefix })),
      budgets: postgres === undefined ? undefined : yield* at("stores.postgres")(budgetsOn(postgres))
    }
  })

const budgetsOn = (url: Redacted.Redacted<string>) =>
  Effect.map(
    Layer.build(SqlBudgetStore.layer.pipe(Layer.provide(Postgres.layer({ url })))),
    Context.get(BudgetStore.BudgetStore)
  )

// --- providers ----------------------------------------------------------------------------------------------------

const providerLayer = (name: string, provider: GatewayConfig["providers"][string]) =>
  Effect.gen(function* () {
    const path = `providers.${name}`
    const given = provider.apiKey
    const secrets = given === undefined ? [] : Array.isArray(given) ? given : [given]
    const keys: Array<Redacted.Redacted<string>> = []
    for (const secret of secrets) keys.push(yield* secretOf(secret, `${path}.apiKey`))
    const options: Catalog.Options = {
      name,
      ...(provider.baseUrl === undefined ? {} : { baseUrl: provider.baseUrl }),
      ...(keys.length === 0 ? {} : { apiKey: keys })
    }
    return yield* at(path)(Effect.flatMap(Layer.build(Catalog.fromName(provider.type, options)), Effect.succeed))
  })

const registryOf = (config: GatewayConfig) =>
  Effect.gen(function* () {
    const providers: Array<LLMProvider.Provider> = []
    for (const [name, provider] of Object.entries(config.providers)) {
      providers.push(Context.get(yield* providerLayer(name, provider), LLMProvider.LLMProvider))
    }
    return yield* at("providers")(LLMProvider.makeRegistry(providers))
  })

// --- policies -----------------------------------------------------------------------------------------------------

const duration = (value: string | number): Duration.Duration => Duration.millis(millisOf(value))

const mapDurations = <K extends string>(fields: { readonly [P in K]?: string | number }): {
  [P in K]?: Duration.Duration
} => {
  const out: { [P in K]?: Duration.Duration } = {}
  for (const key of Object.keys(fields) as Array<K>) out[key] = duration(fields[key]!)
  return out
}

const breakerOptions = (breaker: Exclude<Policy["breaker"], false | undefined>): BreakerOptions => ({
  ...(breaker.window === undefined ? {} : { window: CircuitBreaker.time(duration(breaker.window)) }),
  ...(breaker.failureRate === undefined ? {} : { failureRate: breaker.failureRate }),
  ...(breaker.minimumCalls === undefined ? {} : { minimumCalls: breaker.minimumCalls }),
  open: mapDurations({
    ...(breaker.openFor === undefined ? {} : { duration: breaker.openFor }),
    ...(breaker.maxOpenFor === undefined ? {} : { max: breaker.maxOpenFor })
  }),
  ...(breaker.probes === undefined
    ? {}
    : { halfOpen: { calls: breaker.probes, successes: Math.min(2, breaker.probes) } })
})

interface Stateful {
  readonly breaker: CircuitBreaker.CircuitBreakerService
  readonly quota: TokenQuota.TokenQuotaService
  readonly bulkhead: Bulkhead.BulkheadService
}

const breakerOf = (options: BreakerOptions, redis: Shared["redis"]) =>
  redis === undefined
    ? CircuitBreaker.make(options)
    : Effect.provideService(CircuitBreaker.makeShared(options), BreakerStore.BreakerStore, redis.breaker)

const quotaOf = (options: TokenQuota.Options, redis: Shared["redis"]) =>
  redis === undefined
    ? TokenQuota.make(options)
    : Effect.provideService(TokenQuota.makeShared(options), QuotaStore.QuotaStore, redis.quota)

/** The policies with a state of their own: those of the defaults, but for what a route sets itself. */
const statefulOf = (policy: Policy, inherited: Stateful | undefined, redis: Shared["redis"]) =>
  Effect.gen(function* () {
    const { breaker, bulkhead, quota } = policy
    const { maxWait: quotaWait = "2s", ...limits } = quota === false || quota === undefined ? {} : quota
    const { maxWait, ...room } = bulkhead === false || bulkhead === undefined ? {} : bulkhead
    return {
      breaker:
        breaker === undefined && inherited !== undefined
          ? inherited.breaker
          : breaker === false
            ? CircuitBreaker.noop
            : yield* breakerOf(breaker === undefined ? {} : breakerOptions(breaker), redis),
      quota:
        quota === undefined && inherited !== undefined
          ? inherited.quota
          : quota === false
            ? TokenQuota.noop
            : yield* quotaOf({ ...limits, maxWait: duration(quotaWait) }, redis),
      bulkhead:
        bulkhead === undefined && inherited !== undefined
          ? inherited.bulkhead
          : bulkhead === false || bulkhead === undefined
            ? Bulkhead.noop
            : yield* Bulkhead.make({ ...room, ...(maxWait === undefined ? {} : { maxWait: duration(maxWait) }) })
    }
  })

/** Retries and waits of a gateway: two retries, no wait above ten seconds, streams that go on elsewhere. */
const optionsOf = (policy: Policy, targets: ReadonlyArray<string>): Pipeline.PipelineOptions => ({
  targets,
  retry: {
    retries: policy.retries ?? 2,
    maxHint: Duration.seconds(10),
    schedule: Retry.exponential({
      base: duration(policy.backoff?.base ?? "500ms"),
      cap: duration(policy.backoff?.cap ?? "10s"),
      ...(policy.backoff?.factor === undefined ? {} : { factor: policy.backoff.factor })
    })
  },
  timeouts: {
    firstToken: "30 seconds",
    idle: "30 seconds",
    attempt: "2 minutes",
    total: "5 minutes",
    ...mapDurations(policy.timeouts ?? {})
  },
  streamPolicy: policy.streamPolicy ?? "continue",
  strict: policy.strict ?? false,
  ...(policy.maxAttempts === undefined ? {} : { maxAttempts: policy.maxAttempts })
})

/** Prices, where they are wanted; a budget wants them. A server of a known kind has the prices of its kind. */
const pricesOf = (config: GatewayConfig): Layer.Layer<Pricing.Pricing, Config.ConfigError> => {
  if (config.prices === undefined && config.budgets === undefined) return Pricing.layerNoop
  const { free, overrides } = config.prices ?? {}
  const named = Object.entries(config.providers).filter(([, { type }]) => type !== "openai-compatible")
  return Prices.layer({
    providers: Object.fromEntries(named.map(([name, { type }]) => [name, type])),
    ...(free === undefined ? {} : { free }),
    ...(overrides === undefined ? {} : { overrides })
  })
}

const budgetOf = ({ budgets }: GatewayConfig, shared: Shared) => {
  if (budgets === undefined) return Effect.succeed(Budget.noop)
  const budget = Budget.make({ limits: budgets })
  return shared.budgets === undefined ? budget : Effect.provideService(budget, BudgetStore.BudgetStore, shared.budgets)
}

const partsOf = (config: GatewayConfig, registry: LLMProvider.Registry, shared: Shared) =>
  Effect.gen(function* () {
    const pricing = yield* at("prices")(Layer.build(pricesOf(config)))
    const cache = yield* at("cache")(cacheOf(config, shared.redis))
    const budget = yield* at("budgets")(Effect.provide(budgetOf(config, shared), pricing))
    const base = Context.merge(yield* Layer.build(LLM.layerNoPolicies), pricing).pipe(
      Context.add(LLMProvider.Providers, registry),
      Context.add(ResponseCache.ResponseCache, cache),
      Context.add(Budget.Budget, budget)
    )
    return { cache, budget, base }
  })

const cacheOf = ({ cache }: GatewayConfig, redis: Shared["redis"]) => {
  if (cache === undefined) return Effect.succeed(ResponseCache.noop)
  const ttl = cache.ttl === undefined ? {} : { ttl: duration(cache.ttl) }
  if (redis !== undefined)
    return Effect.provideService(ResponseCache.makeShared(ttl), CacheStore.CacheStore, redis.cache)
  return ResponseCache.make({ ...ttl, ...(cache.maxBytes === undefined ? {} : { maxBytes: cache.maxBytes }) })
}

// --- names --------------------------------------------------------------------------------------------------------

const targetOf = (each: Route["targets"][number]): string => (typeof each === "string" ? each : each.target)

/** Aliases written out, and models of the only provider, or of the one that lists them, with its name in front. */
const canonical = (config: GatewayConfig) => {
  const names = Object.keys(config.providers)
  const only = names.length === 1 ? names[0] : undefined
  const listed = new Map<string, string>()
  for (const name of names)
    for (const model of config.providers[name]!.models ?? []) if (!listed.has(model)) listed.set(model, name)
  return (text: string): string | undefined => {
    const name = Object.hasOwn(config.aliases ?? {}, text) ? config.aliases![text]! : text
    const owner = listed.get(name)
    const ref = Model.parseTarget(name, (provider) => Object.hasOwn(config.providers, provider), owner ?? only)
    return ref === undefined ? undefined : Model.targetId(ref)
  }
}

const modelsOf = (config: GatewayConfig): Engine["models"] => [
  ...Object.keys(config.routes ?? {}).map((id) => ({ id, ownedBy: "route" })),
  ...Object.keys(config.aliases ?? {}).map((id) => ({ id, ownedBy: "alias" })),
  ...Object.entries(config.providers).flatMap(([name, { models = [] }]) =>
    models.map((model) => ({ id: `${name}/${model}`, ownedBy: name }))
  )
]

interface Parts {
  readonly cache: ResponseCache.ResponseCacheService
  readonly budget: Budget.BudgetService
  /** Every service of the pipeline; those of a set of policies are put over it. */
  readonly base: Context.Context<Pipeline.PipelineServices>
}

const serviceOf = ({ base }: Parts, options: Pipeline.PipelineOptions, { breaker, bulkhead, quota }: Stateful) =>
  Effect.provide(
    Pipeline.make(options),
    base.pipe(
      Context.add(CircuitBreaker.CircuitBreaker, breaker),
      Context.add(TokenQuota.TokenQuota, quota),
      Context.add(Bulkhead.Bulkhead, bulkhead)
    )
  )

/** Routes, each with a service of its own. */
const routesOf = (
  config: GatewayConfig,
  parts: Parts,
  inherited: Stateful,
  breakers: Map<string, CircuitBreaker.CircuitBreakerService>
) =>
  Effect.gen(function* () {
    const routes = new Map<string, Resolved>()
    const write = canonical(config)
    for (const [name, route] of Object.entries(config.routes ?? {})) {
      const path = `routes.${name}`
      const stateful = yield* at(path)(statefulOf(route, inherited, undefined))
      if (stateful.breaker !== inherited.breaker) breakers.set(name, stateful.breaker)
      const targets = route.targets.map((each) => write(targetOf(each)) ?? targetOf(each))
      const llm = yield* at(path)(serviceOf(parts, optionsOf({ ...config.defaults, ...route }, targets), stateful))
      const weights = route.targets.map((each) => (typeof each === "string" ? 1 : (each.weight ?? 1)))
      routes.set(name, { llm, targets, ...(route.order === "weighted" ? { weights } : {}) })
    }
    return routes
  })

const limiterOf = (config: GatewayConfig, redis: Shared["redis"]) => {
  if (config.tiers === undefined) return Effect.succeed(undefined)
  const plans: Record<string, ReadonlyArray<RateLimiter.WindowOptions>> = {}
  for (const [name, windows] of Object.entries(config.tiers)) {
    plans[name] = windows.map(({ limit, window }) => ({ limit, window: duration(window) }))
  }
  const limiter = RateLimiter.make({
    name: "gateway",
    plans,
    ...(config.defaultTier === undefined ? {} : { defaultPlan: config.defaultTier })
  })
  return redis === undefined ? limiter : Effect.provideService(limiter, LimiterStore.LimiterStore, redis.limiter)
}

/** Builds everything, or says what is wrong with it. The scope closes connections and timers. */
export const build = (config: GatewayConfig): Effect.Effect<Engine, ConfigurationError, Scope.Scope> =>
  Effect.gen(function* () {
    const client = yield* at("http")(
      Layer.build(
        HttpPool.layer({
          ...(config.http?.connections === undefined ? {} : { connections: config.http.connections }),
          ...(config.http?.connectTimeout === undefined ? {} : { connectTimeout: duration(config.http.connectTimeout) })
        })
      )
    )
    const registry = yield* Effect.provide(registryOf(config), client)
    const shared = yield* storesOf(config)
    const parts = yield* partsOf(config, registry, shared)
    const defaults = yield* at("defaults")(statefulOf(config.defaults ?? {}, undefined, shared.redis))
    const breakers = new Map([["default", defaults.breaker]])
    // Calls always name their target, so that the one of the Layer is never asked.
    const anyTarget = `${registry.all[0]!.name}/default`
    const llm = yield* at("defaults")(serviceOf(parts, optionsOf(config.defaults ?? {}, [anyTarget]), defaults))
    const routes = yield* routesOf(config, parts, defaults, breakers)
    const write = canonical(config)
    const first = config.defaultRoute ?? Object.keys(config.routes ?? {})[0]
    const resolve = (name: string): Resolved | undefined => {
      const asked = name === "auto" ? first : name
      if (asked === undefined) return undefined
      const aliased = config.aliases?.[asked]
      const route = routes.get(asked) ?? (aliased === undefined ? undefined : routes.get(aliased))
      if (route !== undefined) return route
      const target = write(asked)
      return target === undefined ? undefined : { llm, targets: [target] }
    }
    return {
      config,
      resolve,
      native: (targets) =>
        targets.every((target) => config.providers[target.slice(0, target.indexOf("/"))]?.type === "anthropic"),
      models: modelsOf(config),
      breakers,
      bulkhead: defaults.bulkhead,
      cache: parts.cache,
      budget: parts.budget,
      limiter: yield* at("tiers")(limiterOf(config, shared.redis)),
      auth: yield* Authenticator.make(config.auth),
      http: Context.get(client, HttpClient.HttpClient)
    }
  })
