/** From a configuration to what answers: providers, one service a set of policies, and the names they go by. */
import type { Audit } from "@breakwater/audit"
import {
  type Budget,
  Budget as BudgetPolicy,
  Bulkhead,
  CacheStore,
  CircuitBreaker,
  ContextWindow,
  Event,
  Events,
  Hedge,
  Ledger,
  type LLM,
  LLM as Service,
  type LLMError,
  LLMProvider,
  Pipeline,
  ResponseCache,
  SemanticCache,
  TokenQuota
} from "@breakwater/core"
import type { Alerts } from "@breakwater/alerts"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import * as Authenticator from "../auth/Authenticator.ts"
import * as Alerting from "./build/Alerting.ts"
import { at } from "./build/Failure.ts"
import { type Kept, keyOf, make as makeKept } from "./build/Kept.ts"
import * as Auditing from "./build/Auditing.ts"
import * as Money from "./build/Money.ts"
import { canonical, modelsOf, targetOf } from "./build/Names.ts"
import { type Maker, makerOf, optionsOf, type Stateful } from "./build/Policies.ts"
import { poolOf, registryOf } from "./build/Providers.ts"
import * as Similar from "./build/Similar.ts"
import * as Stores from "./build/Stores.ts"
import * as Tiers from "./build/Tiers.ts"
import { type ConfigurationError, secretOf } from "./Load.ts"
import { type GatewayConfig, millisOf, type Policy } from "./Schema.ts"
import type { Spoken } from "../wire/Asked.ts"

/** A name that can be asked for, and who answers. */
export interface Resolved {
  readonly llm: LLM.LLMService
  /** The targets in order: the first is asked first. */
  readonly targets: ReadonlyArray<string>
  /** The longest that a call may take, where the configuration says it. */
  readonly totalMs?: number
  /** With the order `weighted`: how often each target goes first. */
  readonly weights?: ReadonlyArray<number>
}

const wireOf = (type: string | undefined): Spoken =>
  type === "anthropic" ? "anthropic" : type === undefined || type === "gemini" ? "other" : "openai"

/** Money of a day; a reload does not fill it. */
interface Purse {
  day: number
  spent: bigint
}

/** Everything that a configuration makes. */
export interface Engine {
  readonly config: GatewayConfig
  /** Whom a name stands for; `undefined` for a name that stands for nobody. */
  readonly resolve: (name: string) => Resolved | undefined
  /** The wire that all of these targets speak; `other` for one of their own, and for several. */
  readonly spoken: (targets: ReadonlyArray<string>) => Spoken
  /** Every name that is listed. */
  readonly models: ReadonlyArray<{ readonly id: string; readonly ownedBy: string }>
  readonly routes: ReadonlyMap<string, Resolved>
  /** The policies with a state by the name of their route; `default` for the rest. */
  readonly breakers: ReadonlyMap<string, CircuitBreaker.CircuitBreakerService>
  readonly quotas: ReadonlyMap<string, TokenQuota.TokenQuotaService>
  readonly bulkheads: ReadonlyMap<string, Bulkhead.BulkheadService>
  readonly cache: ResponseCache.ResponseCacheService
  readonly semanticCache: SemanticCache.SemanticCacheService | undefined
  readonly budget: Budget.BudgetService
  /** The accounts of all limits in force. Looked up at most once a second, however many look. */
  readonly accounts: Effect.Effect<ReadonlyArray<Budget.Snapshot>, LLMError.StoreError>
  readonly ledger: Ledger.LedgerService | undefined
  readonly audit: Audit.AuditService | undefined
  readonly tiers: Tiers.Tiers
  readonly alerts: Alerts.AlertsService | undefined
  /** One question to each store that is somewhere else. */
  readonly stores: ReadonlyMap<string, Effect.Effect<void, unknown>>
  /** What the questions of `ready.ask` have spent today. */
  readonly purse: Purse
  /** Makes hashes of prompts for events, where they are wanted. */
  readonly promptHash: ((messages: string) => string) | undefined
  readonly auth: Authenticator.Authenticator
  readonly http: HttpClient.HttpClient
}

interface Parts {
  readonly cache: ResponseCache.ResponseCacheService
  readonly semanticCache: SemanticCache.SemanticCacheService | undefined
  readonly money: Money.Money
  readonly audit: Audit.AuditService | undefined
  /** What every set of policies has besides its own. */
  readonly options: Pick<Pipeline.PipelineOptions, "admissions">
  /** Every service of the pipeline; those of a set of policies are put over it. */
  readonly base: Context.Context<Pipeline.PipelineServices>
}

const cacheOf = ({ cache }: GatewayConfig, { redis }: Stores.Stores, kept: Kept) => {
  if (cache === undefined) return Effect.succeed(ResponseCache.noop)
  const ttl = cache.ttl === undefined ? {} : { ttl: Duration.millis(millisOf(cache.ttl)) }
  if (redis !== undefined) {
    return Effect.provideService(ResponseCache.makeShared(ttl), CacheStore.CacheStore, redis.cache)
  }
  const options = { ...ttl, ...(cache.maxBytes === undefined ? {} : { maxBytes: cache.maxBytes }) }
  return kept.keep(keyOf("cache", cache), ResponseCache.make(options))
}

const partsOf = (config: GatewayConfig, registry: LLMProvider.Registry, stores: Stores.Stores, kept: Kept) =>
  Effect.gen(function* () {
    const money = yield* Money.make(config, stores, kept)
    const cache = yield* at("cache")(cacheOf(config, stores, kept))
    const semanticCache = yield* Similar.make(config, registry, kept)
    const all = Context.merge(yield* Layer.build(Service.layerNoPolicies), money.pricing).pipe(
      Context.add(LLMProvider.Providers, registry),
      Context.add(ResponseCache.ResponseCache, cache),
      Context.add(BudgetPolicy.Budget, money.budget),
      Context.add(Ledger.Ledger, money.ledger)
    )
    // It is no requirement of the pipeline, which looks whether it is there.
    const base: Parts["base"] =
      semanticCache === undefined ? all : Context.add(all, SemanticCache.SemanticCache, semanticCache)
    const audit = yield* Auditing.make(config, stores, kept)
    const options = audit !== undefined && config.audit?.required === true ? { admissions: [audit.admit] } : {}
    return { cache, semanticCache, money, base, audit, options }
  })

const serviceOf = ({ base, options: more }: Parts, options: Pipeline.PipelineOptions, policies: Stateful) =>
  Effect.map(
    Effect.provide(
      Pipeline.make({ ...options, ...more }),
      base.pipe(
        Context.add(CircuitBreaker.CircuitBreaker, policies.breaker),
        Context.add(TokenQuota.TokenQuota, policies.quota),
        Context.add(Bulkhead.Bulkhead, policies.bulkhead),
        Context.add(Hedge.Hedge, policies.hedge),
        Context.add(ContextWindow.ContextWindow, policies.context)
      )
    ),
    Tiers.metered
  )

const totalOf = ({ timeouts }: Policy): Pick<Resolved, "totalMs"> =>
  timeouts?.total === undefined ? {} : { totalMs: millisOf(timeouts.total) }

/** Routes, each with a service of its own, and the policies that are theirs alone. */
const routesOf = (config: GatewayConfig, parts: Parts, inherited: Stateful, maker: Maker) =>
  Effect.gen(function* () {
    const routes = new Map<string, Resolved>()
    const policies = new Map<string, Stateful>([["default", inherited]])
    const write = canonical(config)
    for (const [name, route] of Object.entries(config.routes ?? {})) {
      const path = `routes.${name}`
      const own = yield* maker.make(route, inherited, path, name)
      policies.set(name, own)
      const targets = route.targets.map((each) => write(targetOf(each)) ?? targetOf(each))
      const llm = yield* at(path)(serviceOf(parts, optionsOf({ ...config.defaults, ...route }, targets), own))
      const weights = route.targets.map((each) => (typeof each === "string" ? 1 : (each.weight ?? 1)))
      routes.set(name, {
        llm,
        targets,
        ...totalOf({ ...config.defaults, ...route }),
        ...(route.order === "weighted" ? { weights } : {})
      })
    }
    return { routes, policies }
  })

/** The services of one kind, each under the name of the first that has it. */
const distinct = <A>(policies: ReadonlyMap<string, Stateful>, of: (each: Stateful) => A): ReadonlyMap<string, A> => {
  const seen = new Set<A>()
  const out = new Map<string, A>()
  for (const [name, each] of policies) {
    const service = of(each)
    if (!seen.has(service)) out.set(name, service)
    seen.add(service)
  }
  return out
}

const promptHashOf = ({ audit, log }: GatewayConfig) =>
  Effect.gen(function* () {
    const given = log?.promptHash ?? audit !== undefined
    if (given === false) return undefined
    const key = given === true ? "" : Redacted.value(yield* secretOf(given.secret, "log.promptHash.secret"))
    return Context.get(yield* Layer.build(Events.layerPromptHash({ key })), Event.PromptHash)
  })

/**
 * Builds everything, or says what is wrong with it. The scope closes connections and timers. What is `kept` outlives it,
 * as long as another engine uses it.
 */
export const build = (
  config: GatewayConfig,
  kept: Kept = makeKept()
): Effect.Effect<Engine, ConfigurationError, Scope.Scope> =>
  Effect.gen(function* () {
    const client = yield* poolOf(config, kept)
    const registry = yield* Effect.provide(registryOf(config), client)
    const stores = yield* at("stores")(Stores.make(config, kept))
    const parts = yield* partsOf(config, registry, stores, kept)
    const tiers = yield* Tiers.make(config, stores, kept)
    const alerts = yield* Alerting.make(config, client, kept)
    const maker = makerOf(kept, stores.redis, keyOf("on", config.stores ?? {}))
    const defaults = yield* maker.make(config.defaults ?? {}, undefined, "defaults", "default")
    // Calls always name their target, so that the one of the Layer is never asked.
    const anyTarget = `${registry.all[0]!.name}/default`
    const llm = yield* at("defaults")(serviceOf(parts, optionsOf(config.defaults ?? {}, [anyTarget]), defaults))
    const { policies, routes } = yield* routesOf(config, parts, defaults, maker)
    const write = canonical(config)
    const first = config.defaultRoute ?? Object.keys(config.routes ?? {})[0]
    const resolve = (name: string): Resolved | undefined => {
      const asked = name === "auto" ? first : name
      if (asked === undefined) return undefined
      const aliased = config.aliases?.[asked]
      const route = routes.get(asked) ?? (aliased === undefined ? undefined : routes.get(aliased))
      if (route !== undefined) return route
      const target = write(asked)
      return target === undefined ? undefined : { llm, targets: [target], ...totalOf(config.defaults ?? {}) }
    }
    const breakers = distinct(policies, ({ breaker }) => breaker)
    const engine: Engine = {
      config,
      resolve,
      spoken: (targets) => {
        const wires = new Set(
          targets.map((target) => wireOf(config.providers[target.slice(0, target.indexOf("/"))]?.type))
        )
        const [wire = "other"] = wires
        return wires.size === 1 ? wire : "other"
      },
      models: modelsOf(config),
      routes,
      breakers,
      quotas: distinct(policies, ({ quota }) => quota),
      bulkheads: distinct(policies, ({ bulkhead }) => bulkhead),
      cache: parts.cache,
      semanticCache: parts.semanticCache,
      budget: parts.money.budget,
      accounts: yield* Effect.cachedWithTTL(parts.money.accounts, "1 second"),
      audit: parts.audit,
      ledger: config.ledger === undefined ? undefined : parts.money.ledger,
      tiers,
      alerts,
      stores: stores.pings,
      purse: yield* kept.keep(
        "ready purse",
        Effect.sync((): Purse => ({ day: 0, spent: 0n }))
      ),
      promptHash: yield* promptHashOf(config),
      auth: yield* Authenticator.make(config.auth),
      http: Context.get(client, HttpClient.HttpClient)
    }
    // Last of all: a configuration that cannot be built changes nothing.
    yield* Alerting.enter(alerts, breakers)
    return engine
  })
