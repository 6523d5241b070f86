/**
 * Bounds the retries of all callers of a target together, so that an outage is not answered by a multiple of the
 * usual load.
 *
 * Two ways of counting: a token bucket (a retry takes tokens, successes bring them back), or a ratio (a share of
 * the recent calls, and some a second). Retries that find the budget empty are not made, and the call fails at once
 * with its own error.
 */
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { IdleMap } from "../internal/idleMap.ts"
import { inRange, millisOf, optionError, positiveDuration, validate, wholeInRange } from "../internal/options.ts"
import * as Reducer from "../internal/retryBudget.ts"

export type RetryKind = Reducer.RetryKind
export type BudgetReading = Reducer.BudgetReading
/** A budget of retries: synchronous, never throws, never waits. Times are of the monotonic clock. */
export interface RetryBudgetService extends Reducer.RetryBudgetShape {}

export class RetryBudget extends Context.Service<RetryBudget, RetryBudgetService>()("@breakwater/core/RetryBudget") {}

/** Every default, in one place. */
export const defaults = {
  mode: "bucket" as const,
  capacity: 500,
  retryCost: 5,
  timeoutCost: 10,
  successRefund: 1,
  ratio: 0.2,
  minPerSecond: 10,
  window: Duration.seconds(10),
  idle: Duration.minutes(10),
  maxKeys: 100_000
}

export interface Options {
  /** `bucket` (default) or `ratio`. */
  readonly mode?: "bucket" | "ratio"
  /** Bucket: tokens of a full one. Default 500. */
  readonly capacity?: number
  /** Bucket: tokens a retry takes. Default 5. */
  readonly retryCost?: number
  /** Bucket: tokens a retry after a timeout takes. Default 10. */
  readonly timeoutCost?: number
  /** Bucket: tokens a success without retries brings back. A rescued call brings back what it took. Default 1. */
  readonly successRefund?: number
  /** Ratio: retries for each call; from 0 to 10. Default 0.2. A retry after a timeout counts twice. */
  readonly ratio?: number
  /** Ratio: retries a second whatever the traffic. Default 10. */
  readonly minPerSecond?: number
  /** Ratio: the time over which calls and retries are compared. Default 10 s. */
  readonly window?: Duration.Input
  /** A key unused for this long is forgotten, and full again. Default 10 min. */
  readonly idle?: Duration.Input
  /** Keys kept at most. Default 100,000. */
  readonly maxKeys?: number
}

const check = (all: typeof defaults & Options) =>
  validate([
    all.mode === "bucket" || all.mode === "ratio" ? undefined : optionError("mode", all.mode, "bucket or ratio"),
    inRange("capacity", all.capacity, 1, 1_000_000_000),
    inRange("retryCost", all.retryCost, Number.MIN_VALUE, all.capacity),
    inRange("timeoutCost", all.timeoutCost, Number.MIN_VALUE, all.capacity),
    inRange("successRefund", all.successRefund, 0, all.capacity),
    inRange("ratio", all.ratio, 0, 10),
    inRange("minPerSecond", all.minPerSecond, 0, 1_000_000),
    positiveDuration("window", all.window),
    positiveDuration("idle", all.idle),
    wholeInRange("maxKeys", all.maxKeys, 2)
  ])

/** Only keys with a deficit are kept: a full bucket is no entry. */
const makeBucket = (settings: Reducer.BucketSettings, keys: IdleMap<{ tokens: number }>): RetryBudgetService => {
  const cost = (kind: RetryKind) => (kind === "timeout" ? settings.timeoutCost : settings.retryCost)
  return {
    cost,
    onCall: () => {},
    trySpend: (key, kind, nowMs) => {
      const price = cost(kind)
      const entry = keys.get(key, nowMs)
      if (entry === undefined) {
        keys.set(key, { tokens: settings.capacity - price }, nowMs)
        return true
      }
      if (entry.tokens < price) return false
      entry.tokens -= price
      return true
    },
    onSuccess: (key, spent, nowMs) => {
      const entry = keys.get(key, nowMs)
      if (entry === undefined) return
      entry.tokens = Reducer.refund(entry.tokens, spent, settings)
      if (entry.tokens >= settings.capacity) keys.delete(key)
    },
    snapshot: (nowMs) =>
      keys.entries(nowMs).map(([key, { tokens }]) => ({ key, retriesLeft: Math.floor(tokens / settings.retryCost) }))
  }
}

const makeRatio = (settings: Reducer.RatioSettings, keys: IdleMap<Reducer.WindowCount>): RetryBudgetService => {
  const cost = (kind: RetryKind) => (kind === "timeout" ? 2 : 1)
  const windowOf = (key: string, nowMs: number): Reducer.WindowCount => {
    let window = keys.get(key, nowMs)
    if (window === undefined) {
      window = Reducer.emptyWindow(nowMs)
      keys.set(key, window, nowMs)
    }
    Reducer.slide(window, nowMs, settings.windowMs)
    return window
  }
  return {
    cost,
    onCall: (key, nowMs) => {
      windowOf(key, nowMs).calls += 1
    },
    trySpend: (key, kind, nowMs) => {
      const window = windowOf(key, nowMs)
      if (Reducer.ratioLeft(window, nowMs, settings) < cost(kind)) return false
      window.retries += cost(kind)
      return true
    },
    onSuccess: () => {},
    snapshot: (nowMs) =>
      keys.entries(nowMs).map(([key, window]) => {
        Reducer.slide(window, nowMs, settings.windowMs)
        return { key, retriesLeft: Math.max(0, Math.floor(Reducer.ratioLeft(window, nowMs, settings))) }
      })
  }
}

/** A budget with accounts by key. Fails with a `ConfigError` for a wrong option. */
export const make = (options: Options = {}): Effect.Effect<RetryBudgetService, Config.ConfigError> => {
  const all = { ...defaults, ...options }
  return Effect.map(check(all as typeof defaults & Options), () => {
    const bounds = { idleMs: millisOf(all.idle)!, maxKeys: all.maxKeys }
    return all.mode === "ratio"
      ? makeRatio({ ...all, windowMs: millisOf(all.window)! }, new IdleMap(bounds))
      : makeBucket(all, new IdleMap(bounds))
  })
}

/** A budget shared by everything built on this Layer. */
export const layer = (options: Options = {}): Layer.Layer<RetryBudget, Config.ConfigError> =>
  Layer.effect(RetryBudget, make(options))

/** The same, from configuration. */
export const layerConfig = (options: Config.Wrap<Options>): Layer.Layer<RetryBudget, Config.ConfigError> =>
  Layer.effect(RetryBudget, Effect.flatMap(Config.unwrap(options), make))

/** A budget that never runs out, and costs nothing. */
export const noop: RetryBudgetService = {
  cost: () => 0,
  onCall: () => {},
  trySpend: () => true,
  onSuccess: () => {},
  snapshot: () => []
}

/** No budget. */
export const layerNoop: Layer.Layer<RetryBudget> = Layer.succeed(RetryBudget, noop)
