/**
 * Keeps requests and tokens per minute within a provider's limits, for each target.
 *
 * A call reserves an estimate before it is sent and settles what it really used; a provider's headers correct
 * the count; a refusal (429) pauses the target for every caller, and the pace grows back gradually.
 */
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type { Admit, AttemptCall, AttemptOutcome, Settle } from "../domain/Attempt.ts"
import type { Usage } from "../domain/Usage.ts"
import type { AttemptError, InvalidRequestError, RateLimitError, StoreError } from "../errors/LLMError.ts"
import type { Need } from "../internal/quotaState.ts"
import { QuotaStore } from "../store/QuotaStore.ts"
import { makeQuota } from "./TokenQuota/quota.ts"
import { makeSharedQuota } from "./TokenQuota/shared.ts"

export { defaults, sharedDefaults } from "./TokenQuota/defaults.ts"

export type { Need } from "../internal/quotaState.ts"

/** What a provider allows in a minute; what is left out is not limited, until the provider says so. */
export interface Limits {
  /** Requests a minute; at least 1. */
  readonly rpm?: number
  /** Tokens of prompts and answers together; at least 1. */
  readonly tpm?: number
  /** Tokens of prompts; at least 1. */
  readonly inputTpm?: number
  /** Tokens of answers; at least 1. */
  readonly outputTpm?: number
}

/** The adaptive rate of calls: multiplied down on a refusal and up after clean calls. */
export interface AdaptiveRate {
  /** Calls a second at least. Default 0.5. */
  readonly min?: number
  /** Calls a second at which nothing is held back any more; where it begins. Default 20. */
  readonly max?: number
  /** Factor on a refusal, over 0 and under 1. Default 0.5. */
  readonly decrease?: number
  /** Factor after `after` clean calls in a row; above 1. Default 1.1. */
  readonly increase?: number
  /** Default 10. */
  readonly after?: number
}

/** Options of {@link make}. The limits are those of every target that `targets` does not name. */
export interface Options extends Limits {
  /** Limits by target (`provider/model`), or by provider for all its models. */
  readonly targets?: Readonly<Record<string, Limits>>
  /** Whether all callers share a target's quota, or every tenant has one of its own. Default `target`. */
  readonly keyBy?: "target" | "target-and-tenant"
  /** Tokens counted for an answer whose length the request does not bound. Default 1,024. */
  readonly defaultOutputTokens?: number
  /** Estimates a call instead of the built-in rule (characters ÷ 4, and `maxTokens`). Must not throw. */
  readonly estimate?: (call: AttemptCall) => Need
  /** The longest wait for a place; a call's deadline may make it shorter. Default 30 seconds. */
  readonly maxWait?: Duration.Input
  /** Calls that may wait for one target. Default 10,000. */
  readonly maxWaiting?: number
  /** A call that has waited this long goes before all younger ones, whatever their priority. Default 15 seconds. */
  readonly patience?: Duration.Input
  /** Whether limits, what is left and resets are taken from the provider's headers. Default true. */
  readonly learn?: boolean
  /** Growth of the allowance after a cold start or a pause. Default from 10 % over 10 seconds; `false` for none. */
  readonly ramp?: false | { readonly from?: number; readonly over?: Duration.Input }
  /** Default on, from 20 calls a second down to 0.5; nothing is held back before the first refusal. */
  readonly adaptive?: boolean | AdaptiveRate
  /** The pause after a refusal without a hint, doubled with every further one up to `maxPause`. Default 1 second. */
  readonly pause?: Duration.Input
  /** Default 60 seconds. Does not shorten a provider's hint. */
  readonly maxPause?: Duration.Input
  /** Targets (and tenants) remembered; the one unused for longest goes first, after a day at the latest. Default 10,000. */
  readonly maxKeys?: number
}

/** Options of {@link makeShared}. */
export interface SharedOptions extends Options {
  /** Quotas of one name on one store share their limits: a name for each account at the providers. Default `quota`. */
  readonly name?: string
  /**
   * What to do while the store is lost: fail with its `StoreError`, let everything go that the pace and a pause allow, or
   * keep to the limits in this process alone. Default `local`.
   */
  readonly onStoreError?: "fail-closed" | "fail-open" | "local"
}

/** One kind of quota as it stands. */
export interface Remaining {
  readonly limit: number
  /** Below zero while overdrawn. */
  readonly remaining: number
  readonly windowMs: number
}

/** A target's quota as it stands. Kinds without a limit are left out. */
export interface Snapshot {
  readonly requests?: Remaining
  readonly tokens?: Remaining
  readonly inputTokens?: Remaining
  readonly outputTokens?: Remaining
  /** Milliseconds that nothing will be sent, 0 for none. */
  readonly pausedMs: number
  /** Calls a second at most; left out while the adaptive rate holds nothing back. */
  readonly callsPerSecond?: number
  /** Calls waiting. */
  readonly waiting: number
}

/** What {@link TokenQuotaService.reserve} needs to know. */
export interface ReserveOptions extends Need {
  /** The target, or any other name of a quota. */
  readonly key: string
  /** Higher goes first. Default 0. */
  readonly priority?: number
  /** Default: the quota's. */
  readonly maxWait?: Duration.Input
}

/** What a reservation may fail with: a `StoreError` only from a shared quota that is `fail-closed`. */
export type QuotaError = RateLimitError | InvalidRequestError | StoreError

/** The limiter as the pipeline uses it, and as anything else may. */
export interface TokenQuotaService {
  /**
   * Reserves an attempt's share or fails with a local `RateLimitError`, or a `StoreError` where the store is shared and
   * `fail-closed`; `undefined` for no limit.
   */
  readonly admit: Admit | undefined
  /** The same for anything that uses tokens. What it answers must be called once, with how it went. */
  readonly reserve: (options: ReserveOptions) => Effect.Effect<Settle, QuotaError>
  /** What is left, as counted here. `undefined` for a key that was never used. */
  readonly snapshot: (key: string) => Effect.Effect<Snapshot | undefined>
  /** Every key that is remembered, as counted in this process, shared or not. */
  readonly snapshots: Effect.Effect<ReadonlyArray<Snapshot & { readonly key: string }>>
  /** Ends a pause and forgets what was counted and learned. */
  readonly reset: (key: string) => Effect.Effect<void>
}

export class TokenQuota extends Context.Service<TokenQuota, TokenQuotaService>()("@breakwater/core/TokenQuota") {}

/**
 * A quota in this process's memory. Fails with a `ConfigError` for a wrong option. The end of the scope
 * interrupts whoever waits.
 */
export const make = (options: Options = {}): Effect.Effect<TokenQuotaService, Config.ConfigError, Scope.Scope> =>
  makeQuota(options)

/**
 * A quota whose limits and pauses all processes on the {@link QuotaStore} share: together they reserve no more than the
 * limit, and a refusal that one of them sees pauses all. Each reservation is one question to the store; what is settled
 * is told without waiting.
 *
 * A call first has to get through this process's own quota (order, ramp, adaptive rate, what headers say), which goes on
 * counting. While the store is lost, `onStoreError` says what decides (events `store-lost`, `limit-store-failed`,
 * `store-recovered`). Fails with a `ConfigError` for a wrong option.
 *
 * **Example** (One quota for all processes)
 *
 * ```ts
 * import { TokenQuota } from "@breakwater/core"
 * import { RedisStores } from "@breakwater/stores"
 * import { Layer } from "effect"
 *
 * const shared = TokenQuota.layerShared({ rpm: 500, tpm: 200_000 }).pipe(
 *   Layer.provide(RedisStores.layer({ url: "redis://127.0.0.1:6379" }))
 * )
 * ```
 */
export const makeShared = (
  options: SharedOptions = {}
): Effect.Effect<TokenQuotaService, Config.ConfigError, QuotaStore | Scope.Scope> =>
  Effect.flatMap(QuotaStore, (store) => makeSharedQuota(options, store))

/** {@link make} as a Layer. */
export const layer = (options?: Options): Layer.Layer<TokenQuota, Config.ConfigError> =>
  Layer.effect(TokenQuota, make(options))

/** {@link layer} with its options from the environment. */
export const layerConfig = (options: Config.Wrap<Options>): Layer.Layer<TokenQuota, Config.ConfigError> =>
  Layer.effect(TokenQuota, Effect.flatMap(Config.unwrap(options), make))

/** {@link makeShared} as a Layer. */
export const layerShared = (options?: SharedOptions): Layer.Layer<TokenQuota, Config.ConfigError, QuotaStore> =>
  Layer.effect(TokenQuota, makeShared(options))

const settled: Settle = () => {}

/** A quota without a limit. */
export const noop: TokenQuotaService = {
  admit: undefined,
  reserve: () => Effect.succeed(settled),
  snapshot: () => Effect.succeed(undefined),
  snapshots: Effect.succeed([]),
  reset: () => Effect.void
}

/** A quota without a limit, which costs nothing. */
export const layerNoop: Layer.Layer<TokenQuota> = Layer.succeed(TokenQuota, noop)

/** How {@link limit} uses the quota. */
export interface LimitOptions<A, E> extends ReserveOptions {
  /** What a success used; the reservation itself if it is not known. */
  readonly usage?: (value: A) => Usage | undefined
  /** A failure's meaning for the quota, for effects that do not fail with this library's errors. */
  readonly error?: (error: E) => AttemptError | undefined
}

/**
 * Runs an effect within a quota: reserves, and settles however it ends. A failure that says nothing keeps the
 * reservation.
 */
export const limit = <A, E, R>(
  self: Effect.Effect<A, E, R>,
  options: LimitOptions<A, E>
): Effect.Effect<A, E | QuotaError, R | TokenQuota> =>
  Effect.flatMap(TokenQuota, (quota) =>
    Effect.uninterruptibleMask((restore) =>
      Effect.flatMap(quota.reserve(options), (settle) =>
        Effect.onExit(restore(self), (exit) => Effect.sync(() => settle(outcomeOf(exit, options))))
      )
    )
  )

const outcomeOf = <A, E>(exit: Exit.Exit<A, E>, options: LimitOptions<A, E>): AttemptOutcome => {
  const reserved: Usage = { inputTokens: options.inputTokens, outputTokens: options.outputTokens }
  if (exit._tag === "Success") return { _tag: "success", usage: options.usage?.(exit.value) ?? reserved, tookMs: 0 }
  for (const reason of exit.cause.reasons) {
    const error = reason._tag === "Fail" ? options.error?.(reason.error) : undefined
    if (error !== undefined) return { _tag: "failure", error, tookMs: 0 }
  }
  return { _tag: "interrupted", tookMs: 0, usage: reserved }
}
