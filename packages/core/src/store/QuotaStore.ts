/**
 * Where token quotas that several processes share keep what has been used.
 *
 * A store decides atomically over all kinds of a key (requests, tokens, tokens of prompts and of answers) and over its
 * pause, all or none, by its own clock. The contract suite in `test/contract/quota-store.ts` says what every
 * implementation owes.
 */
import type * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { StoreError } from "../errors/LLMError.ts"
import { IdleMap } from "../internal/idleMap.ts"
import { validate, wholeInRange } from "../internal/options.ts"
import {
  type Decision,
  type Grant,
  type Limit,
  makeSharedQuota,
  type PerKind,
  sharedPause,
  sharedReserve,
  type SharedQuotaState,
  sharedSettle
} from "../internal/sharedQuota.ts"
import { clockOf, monotonicMs } from "../internal/time.ts"

export type { Decision, Grant, Limit, PerKind } from "../internal/sharedQuota.ts"

/** The quotas of one namespace. Keys are not empty; amounts are finite. Implementations need not check. */
export interface SharedQuotas {
  /**
   * Counts the need of every kind if all of it fits, and says so. The limits are what the caller knows; a kind it knows
   * none of (`Infinity`) has the limit that others brought. A need of nothing counts nothing: it is a look.
   */
  readonly reserve: (key: string, limits: PerKind<Limit>, need: PerKind<number>) => Effect.Effect<Decision, StoreError>
  /**
   * Corrects a grant by what was really used: above 0 is used on top, and may overdraw; below 0 is given back, as far
   * as it still counts.
   */
  readonly settle: (
    key: string,
    limits: PerKind<Limit>,
    grant: Grant,
    correction: PerKind<number>
  ) => Effect.Effect<void, StoreError>
  /** Grants nothing for so many milliseconds; never shortens a pause. */
  readonly pause: (key: string, ms: number) => Effect.Effect<void, StoreError>
  /** Forgets what a key has used, its pause and its limits. */
  readonly forget: (key: string) => Effect.Effect<void, StoreError>
}

/** A store of quotas. */
export interface QuotaStoreService {
  /** A short name for errors and events. */
  readonly name: string
  /** Two with the same namespace share their keys. */
  readonly open: (namespace: string) => SharedQuotas
}

export class QuotaStore extends Context.Service<QuotaStore, QuotaStoreService>()("@breakwater/core/QuotaStore") {}

/** Options of {@link makeMemory}. */
export interface MemoryOptions {
  /** Keys remembered in all; the one unused for longest goes first, after a day at the latest. Default 100,000. */
  readonly maxKeys?: number
}

/** Defaults of {@link makeMemory}. */
export const memoryDefaults = { maxKeys: 100_000 } as const satisfies MemoryOptions

const day = 86_400_000

const openMemory = (states: IdleMap<SharedQuotaState>, namespace: string): SharedQuotas => {
  const timed = <A>(f: (nowMs: number) => A): Effect.Effect<A> =>
    Effect.withFiber((fiber) => Effect.succeed(f(monotonicMs(clockOf(fiber)))))
  const idOf = (key: string) => `${namespace}\u0000${key}`
  const stateOf = (key: string, now: number): SharedQuotaState => {
    let state = states.get(idOf(key), now)
    if (state === undefined) states.set(idOf(key), (state = makeSharedQuota(now)), now)
    return state
  }
  return {
    reserve: (key, limits, need) => timed((now) => sharedReserve(stateOf(key, now), limits, need, now)),
    settle: (key, limits, grant, correction) =>
      timed((now) => sharedSettle(stateOf(key, now), limits, grant, correction, now)),
    pause: (key, ms) => timed((now) => sharedPause(stateOf(key, now), ms, now)),
    forget: (key) => Effect.sync(() => states.delete(idOf(key)))
  }
}

/**
 * A store in this process's memory: for tests, and for several quotas of one process that share their limits. Fails with
 * a `ConfigError` for a wrong option.
 */
export const makeMemory = (options: MemoryOptions = {}): Effect.Effect<QuotaStoreService, Config.ConfigError> =>
  Effect.suspend(() => {
    const maxKeys = options.maxKeys ?? memoryDefaults.maxKeys
    return Effect.map(validate([wholeInRange("maxKeys", maxKeys, 1)]), (): QuotaStoreService => {
      const states = new IdleMap<SharedQuotaState>({ idleMs: day, maxKeys })
      return { name: "memory", open: (namespace) => openMemory(states, namespace) }
    })
  })

/** {@link makeMemory} as a Layer. */
export const layerMemory = (options?: MemoryOptions): Layer.Layer<QuotaStore, Config.ConfigError> =>
  Layer.effect(QuotaStore, makeMemory(options))
