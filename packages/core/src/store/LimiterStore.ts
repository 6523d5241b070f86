/**
 * Where rate limiters keep what has been used: in this process's memory, or in one place for many processes.
 *
 * A store decides atomically over all windows of a key, all or none. The contract suite in
 * `test/contract/limiter-store.ts` says what every implementation owes.
 */
import * as Clock from "effect/Clock"
import type * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type { StoreError } from "../errors/LLMError.ts"
import type { Decision, WindowState } from "../internal/limitTable.ts"
import { LimitTable, shapeOf } from "../internal/limitTable.ts"
import type { Rule } from "../internal/limitRule.ts"
import { millisOf, positiveDuration, validate, wholeInRange } from "../internal/options.ts"
import { clockOf, monotonicMs } from "../internal/time.ts"
import type * as Duration from "effect/Duration"

export type { AlgorithmName, Rule } from "../internal/limitRule.ts"
export type { Decision, WindowState } from "../internal/limitTable.ts"

/** Rules bound to a store. Weights are positive; keys are not empty. Implementations need not check. */
export interface Limits {
  /** Counts the weight in every window if it fits in every one, and says so. */
  readonly take: (key: string, weight: number) => Effect.Effect<Decision, StoreError>
  /** What `take` would answer now, counting nothing. */
  readonly check: (key: string, weight: number) => Effect.Effect<Decision, StoreError>
  /** Takes back a grant; `takenAt` is its decision's `at`. A grant that no longer counts is left alone. */
  readonly give: (key: string, weight: number, takenAt: number) => Effect.Effect<void, StoreError>
  /** Forgets what a key has used. */
  readonly forget: (key: string) => Effect.Effect<void, StoreError>
  /** The same without effects, where the state is in this process: for the hot path. */
  readonly local?: LocalLimits
}

/** {@link Limits} in this process. `nowMs` is monotonic time. */
export interface LocalLimits {
  readonly decide: (key: string, weight: number, nowMs: number, take: boolean) => Decision
  /** A lower bound of the milliseconds until this much has gone, be it more than ever goes at once. */
  readonly horizon: (key: string, weight: number, nowMs: number) => number
  readonly give: (key: string, weight: number, nowMs: number, takenAt: number) => void
  /** What every window has left, in the order of the rules. */
  readonly windows?: (key: string, nowMs: number) => ReadonlyArray<WindowState>
}

/** A store of limiter state. */
export interface LimiterStoreService {
  /** A short name for errors and events. */
  readonly name: string
  /**
   * Binds rules. Two bindings with the same namespace whose rules differ only in their limits share the state of
   * their keys, so that limits can change in mid-flight.
   */
  readonly open: (namespace: string, rules: ReadonlyArray<Rule>) => Limits
  /** How many keys are remembered; `undefined` where that is not known without asking far. */
  readonly size: Effect.Effect<number | undefined, StoreError>
}

export class LimiterStore extends Context.Service<LimiterStore, LimiterStoreService>()(
  "@breakwater/core/LimiterStore"
) {}

/** Options of {@link makeMemory}. */
export interface MemoryOptions {
  /** Keys remembered for each shape of rules; past it the one that came first is forgotten. Default 1,000,000. */
  readonly maxKeys?: number
  /** Time between two rounds that forget idle keys, while there are keys. Default 10 seconds. */
  readonly sweepInterval?: Duration.Input
}

/** Defaults of {@link makeMemory}. */
export const memoryDefaults = { maxKeys: 1_000_000, sweepInterval: "10 seconds" } as const satisfies MemoryOptions

/** Keys looked at before other fibers get their turn. */
const slice = 20_000

const sweeper = (tables: ReadonlyMap<string, LimitTable>, intervalMs: number, done: () => void) =>
  Effect.gen(function* () {
    const clock = yield* Clock.Clock
    let left = 1
    while (left > 0) {
      yield* Effect.sleep(intervalMs)
      left = 0
      for (const table of tables.values()) {
        while (!table.sweep(monotonicMs(clock), slice)) yield* Effect.yieldNow
        left += table.size
      }
    }
    done()
  })

/**
 * A store in this process's memory: exact, at most about 200 bytes a key with one window, and back to nothing
 * after the keys have been idle. The sweep for idle keys runs in the scope, and only while there are keys.
 *
 * Fails with a `ConfigError` for a wrong option.
 */
export const makeMemory = (
  options: MemoryOptions = {}
): Effect.Effect<LimiterStoreService, Config.ConfigError, Scope.Scope> =>
  Effect.gen(function* () {
    const maxKeys = options.maxKeys ?? memoryDefaults.maxKeys
    const interval = options.sweepInterval ?? memoryDefaults.sweepInterval
    yield* validate([wholeInRange("maxKeys", maxKeys, 1), positiveDuration("sweepInterval", interval)])
    const fork = Effect.runForkWith(yield* Effect.context<never>())
    const tables = new Map<string, LimitTable>()
    let sweeping: { interruptUnsafe: () => void } | undefined
    let closed = false
    yield* Effect.addFinalizer(() =>
      Effect.sync(() => {
        closed = true
        sweeping?.interruptUnsafe()
      })
    )
    const ensureSweep = () => {
      if (closed) return
      sweeping = fork(
        sweeper(tables, millisOf(interval)!, () => {
          sweeping = undefined
        })
      )
    }
    return {
      name: "memory",
      size: Effect.sync(() => {
        let size = 0
        for (const table of tables.values()) size += table.size
        return size
      }),
      open: (namespace, rules) => {
        const id = `${namespace}\u0000${shapeOf(rules)}`
        let table = tables.get(id)
        if (table === undefined) tables.set(id, (table = new LimitTable(rules, maxKeys)))
        else table.register(rules)
        return openTable(table, rules, () => {
          if (sweeping === undefined) ensureSweep()
        })
      }
    }
  })

const openTable = (table: LimitTable, rules: ReadonlyArray<Rule>, touched: () => void): Limits => {
  const local: LocalLimits = {
    decide: (key, weight, nowMs, take) => {
      const decision = table.decide(rules, key, weight, nowMs, take)
      if (take) touched()
      return decision
    },
    horizon: (key, weight, nowMs) => table.horizon(rules, key, weight, nowMs),
    give: (key, weight, nowMs, takenAt) => table.give(rules, key, weight, nowMs, takenAt),
    windows: (key, nowMs) => table.windows(rules, key, nowMs)
  }
  const timed = <A>(f: (nowMs: number) => A): Effect.Effect<A> =>
    Effect.withFiber((fiber) => Effect.succeed(f(monotonicMs(clockOf(fiber)))))
  return {
    local,
    take: (key, weight) => timed((now) => local.decide(key, weight, now, true)),
    check: (key, weight) => timed((now) => local.decide(key, weight, now, false)),
    give: (key, weight, takenAt) => timed((now) => local.give(key, weight, now, takenAt)),
    forget: (key) => Effect.sync(() => table.forget(key))
  }
}

/** {@link makeMemory} as a Layer. */
export const layerMemory = (options?: MemoryOptions): Layer.Layer<LimiterStore, Config.ConfigError> =>
  Layer.effect(LimiterStore, makeMemory(options))
