/**
 * The stores of limiters, token quotas, budgets, circuit breakers and caches on one Redis, for programs that run in many
 * processes.
 *
 * Nothing here waits for Redis: a server that is away when the program starts, or goes away later, costs the
 * shared view and no call. `docs/stores.md` says what is stored, and what happens when the server is down.
 */
import {
  BreakerStore,
  BudgetStore,
  CacheStore,
  FallbackLimiterStore,
  LimiterStore,
  type LLMError,
  QuotaStore
} from "@breakwater/core"
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import { millisWithin, optionError } from "../internal/Options.ts"
import { type ClientOptions, make as connect, type Settings } from "./internal/Connection.ts"
import * as RedisBreakerStore from "./RedisBreakerStore.ts"
import * as RedisBudgetStore from "./RedisBudgetStore.ts"
import * as RedisCacheStore from "./RedisCacheStore.ts"
import * as RedisLimiterStore from "./RedisLimiterStore.ts"
import * as RedisQuotaStore from "./RedisQuotaStore.ts"

export type { ClientOptions } from "./internal/Connection.ts"

/** What does not concern the server. */
export interface StoreOptions {
  /** What every key and channel begins with. Letters, digits and `._-:`. Default `breakwater`. */
  readonly prefix?: string
  /** The longest wait for an answer, after which the store has failed; 1 ms to 1 minute. Default 250 ms. */
  readonly wait?: Duration.Input
  /** The longest wait for a connection; 1 ms to 1 minute. Default 2 seconds. */
  readonly connectTimeout?: Duration.Input
  /** Time between two checks of a subscription that hears nothing; 10 ms to 1 hour. Default 5 seconds. */
  readonly heartbeat?: Duration.Input
  /**
   * What all limiters do while the server is away. By default the store fails at once, and each limiter's
   * `onStoreError` says what then: a mode other than `fail-closed` here leaves it nothing to decide.
   */
  readonly onLost?: FallbackLimiterStore.Options
}

/** Where the server is: `redis://` or `rediss://` with TLS, or the client's own options. */
export type Options = StoreOptions &
  ({ readonly url: string | Redacted.Redacted<string> } | { readonly options: ClientOptions })

/** Defaults of {@link make}. */
export const defaults = {
  prefix: "breakwater",
  wait: "250 millis",
  connectTimeout: "2 seconds",
  heartbeat: "5 seconds",
  onLost: { mode: "fail-closed" }
} as const satisfies StoreOptions

/** A URL as it may be shown: without what is secret in it. */
const shown = (url: string): string => url.replace(/\/\/[^/]*@/, "//…@").replace(/[?#].*$/, "")

const checkUrl = (field: string, url: string): Config.ConfigError | undefined => {
  const allowed = "redis://[user:password@]host[:port][/database], or rediss:// for TLS"
  const parsed = URL.canParse(url) ? new URL(url) : undefined
  const sound =
    parsed !== undefined &&
    (parsed.protocol === "redis:" || parsed.protocol === "rediss:") &&
    parsed.hostname !== "" &&
    /^(\/\d{0,5})?$/.test(parsed.pathname)
  return sound ? undefined : optionError(field, shown(url), allowed)
}

const settingsOf = (options: Options, field: string): Effect.Effect<readonly [Settings, string], Config.ConfigError> =>
  Effect.gen(function* () {
    const number = (name: "wait" | "connectTimeout" | "heartbeat", least: number, most: number) => {
      const millis = millisWithin(name, options[name] ?? defaults[name], least, most)
      return typeof millis === "number" ? Effect.succeed(millis) : Effect.fail(millis)
    }
    const prefix = options.prefix ?? defaults.prefix
    if (!/^[\w.:-]{1,100}$/.test(prefix)) {
      return yield* Effect.fail(optionError("prefix", prefix, "1 to 100 letters, digits and ._-:"))
    }
    let client: ClientOptions
    if ("url" in options) {
      const url = Redacted.isRedacted(options.url) ? Redacted.value(options.url) : options.url
      const wrong = checkUrl(field, url)
      if (wrong !== undefined) return yield* Effect.fail(wrong)
      client = { url }
    } else {
      client = options.options
    }
    const waitMs = yield* number("wait", 1, 60_000)
    const connectMs = yield* number("connectTimeout", 1, 60_000)
    const heartbeatMs = yield* number("heartbeat", 10, 3_600_000)
    return [{ client, waitMs, connectMs, heartbeatMs }, prefix]
  })

/** All stores, by one connection and one for each subscription. */
export interface Stores {
  readonly limiter: LimiterStore.LimiterStoreService
  readonly breaker: BreakerStore.BreakerStoreService
  readonly quota: QuotaStore.QuotaStoreService
  readonly cache: CacheStore.CacheStoreService
  readonly budget: BudgetStore.BudgetStoreService
  /** Whether the server answers, within the wait. */
  readonly ping: Effect.Effect<void, LLMError.StoreError>
}

const makeNamed = (options: Options, field: string): Effect.Effect<Stores, Config.ConfigError, Scope.Scope> =>
  Effect.gen(function* () {
    const [settings, prefix] = yield* settingsOf(options, field)
    const connection = yield* connect(settings)
    const limiter = yield* FallbackLimiterStore.withFallback(
      RedisLimiterStore.make(connection, prefix),
      options.onLost ?? defaults.onLost
    )
    return {
      limiter,
      breaker: RedisBreakerStore.make(connection, prefix),
      quota: RedisQuotaStore.make(connection, prefix),
      cache: RedisCacheStore.make(connection, prefix),
      ping: Effect.asVoid(connection.run("ping", (client) => client.ping())),
      budget: RedisBudgetStore.make(connection, prefix)
    }
  })

/**
 * All stores. Fails with a `ConfigError` for a wrong option, and not because the server is away: then the stores
 * fail until it is there. The scope closes the connections.
 */
export const make = (options: Options): Effect.Effect<Stores, Config.ConfigError, Scope.Scope> =>
  makeNamed(options, "url")

/** What the layers provide. */
export type Provided =
  | LimiterStore.LimiterStore
  | BreakerStore.BreakerStore
  | QuotaStore.QuotaStore
  | CacheStore.CacheStore
  | BudgetStore.BudgetStore

const contextOf = ({ breaker, budget, cache, limiter, quota }: Stores): Context.Context<Provided> =>
  Context.make(LimiterStore.LimiterStore, limiter).pipe(
    Context.add(BreakerStore.BreakerStore, breaker),
    Context.add(QuotaStore.QuotaStore, quota),
    Context.add(CacheStore.CacheStore, cache),
    Context.add(BudgetStore.BudgetStore, budget)
  )

/**
 * {@link make} as a Layer.
 *
 * **Example** (One limit for all processes)
 *
 * ```ts
 * import { RateLimiter } from "@breakwater/core"
 * import { RedisStores } from "@breakwater/stores"
 * import { Layer } from "effect"
 *
 * const shared = RateLimiter.layer({ limit: 100, window: "1 minute" }).pipe(
 *   Layer.provide(RedisStores.layer({ url: "redis://127.0.0.1:6379" }))
 * )
 * ```
 */
export const layer = (options: Options): Layer.Layer<Provided, Config.ConfigError> =>
  Layer.effectContext(Effect.map(make(options), contextOf))

/** {@link layer} with its URL from `REDIS_URL`. */
export const layerConfig = (options: StoreOptions = {}): Layer.Layer<Provided, Config.ConfigError> =>
  Layer.effectContext(
    Effect.flatMap(Config.Redacted("REDIS_URL"), (url) =>
      Effect.map(makeNamed({ ...options, url }, "REDIS_URL"), contextOf)
    )
  )

/**
 * The store of a cache alone, on a connection of its own: for a server that makes room by itself, which one that
 * counts must not, and for answers so large that questions of limiters would wait behind them. Fails as {@link make}.
 */
export const makeCache = (
  options: Options
): Effect.Effect<CacheStore.CacheStoreService, Config.ConfigError, Scope.Scope> =>
  Effect.gen(function* () {
    const [settings, prefix] = yield* settingsOf(options, "url")
    return RedisCacheStore.make(yield* connect(settings), prefix)
  })

/** {@link makeCache} as a Layer. */
export const layerCache = (options: Options): Layer.Layer<CacheStore.CacheStore, Config.ConfigError> =>
  Layer.effect(CacheStore.CacheStore, makeCache(options))
