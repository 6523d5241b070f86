/**
 * Limits how much of something may happen in a time, for each key: fail, wait, or ask.
 *
 * Five algorithms, several windows at once, weights, priorities and plans. Waiters are served first come, first
 * served within a priority; they hold nothing while they wait, so one that is interrupted leaves no debt.
 *
 * | algorithm | admits at most | memory a key |
 * |---|---|---|
 * | `token-bucket` | burst + t × limit / window in any time t | 16 bytes |
 * | `gcra` | the same, evenly spaced | 8 bytes |
 * | `sliding-log` | limit in any window, exactly | 16 bytes a grant |
 * | `sliding-counter` | limit in any window; a grant counts up to an eighth of a window too long | 80 bytes |
 * | `fixed-window` | limit in each window, which opens with a first grant | 16 bytes |
 */
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fn from "effect/Function"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { InvalidRequestError, RateLimitError, StoreError } from "../errors/LLMError.ts"
import type { WindowOptions } from "../internal/limitRules.ts"
import type { Decision, WindowState } from "../internal/limitTable.ts"
import { LimiterStore, type LimiterStoreService } from "../store/LimiterStore.ts"
import { makeLimiter } from "./RateLimiter/limiter.ts"

export { defaults } from "./RateLimiter/defaults.ts"

export type { AlgorithmName } from "../internal/limitRule.ts"
export type { WindowOptions } from "../internal/limitRules.ts"
export type { Decision, WindowState } from "../internal/limitTable.ts"

/** What a limiter can fail with. `InvalidRequestError` is for a wrong weight, priority, plan or an empty key. */
export type LimiterError = RateLimitError | InvalidRequestError | StoreError

/** How much, and under which plan. */
export interface ConsumeOptions {
  /** How much to count; above 0. Default 1. */
  readonly weight?: number
  /** One of the limiter's plans. Default: its default plan. */
  readonly plan?: string
}

/** How to wait. */
export interface AcquireOptions extends ConsumeOptions {
  /** The longest wait; fails at once when it is known not to be enough. Default: the limiter's. */
  readonly maxWait?: Duration.Input
  /** Higher goes first. Default 0. */
  readonly priority?: number
}

/** What was counted for a key. */
export interface Grant extends Decision {
  readonly key: string
  readonly weight: number
  readonly plan: string
  /** Milliseconds waited. */
  readonly waitedMs: number
}

/** The state of one key. */
export interface Snapshot {
  /** What the tightest window has left. */
  readonly remaining: number
  readonly limit: number
  /** Fibers waiting for this key. */
  readonly waiting: number
  /** Each of the plan's windows, where the state is in this process. */
  readonly windows?: ReadonlyArray<WindowState>
}

export interface RateLimiterService {
  readonly name: string
  /**
   * Counts the weight now, or fails with a local `RateLimitError` that says when it would fit. It does not pass
   * those who wait with priority 0 or more.
   */
  readonly consume: (key: string, options?: number | ConsumeOptions) => Effect.Effect<Decision, LimiterError>
  /**
   * Waits until the weight fits, and counts it. Interruptible while it waits, wherever it is used. Fails with
   * a local `RateLimitError` at once when `maxWait` cannot be met, the weight is above what ever goes at
   * once, or too many wait.
   */
  readonly acquire: (key: string, options?: AcquireOptions) => Effect.Effect<Grant, LimiterError>
  /** Whether the weight would go now, and if not, how long until then. Counts nothing. */
  readonly check: (key: string, options?: number | ConsumeOptions) => Effect.Effect<Decision, LimiterError>
  /** Takes back a grant that was not used. */
  readonly refund: (grant: Grant) => Effect.Effect<void, StoreError>
  /**
   * Changes the limits of a plan from now on; what was used stays used as long as algorithms and windows are
   * the same. Fails with a `ConfigError` for a wrong limit or an unknown plan.
   */
  readonly setLimits: (
    windows: WindowOptions | ReadonlyArray<WindowOptions>,
    plan?: string
  ) => Effect.Effect<void, Config.ConfigError>
  readonly snapshot: (key: string, plan?: string) => Effect.Effect<Snapshot, LimiterError>
  /** Forgets what a key has used. */
  readonly reset: (key: string, plan?: string) => Effect.Effect<void, LimiterError>
}

export class RateLimiter extends Context.Service<RateLimiter, RateLimiterService>()("@breakwater/core/RateLimiter") {}

/** What does not concern a window. */
export interface LimiterOptions {
  /** Tells limiters on one store apart, and names this one in events. Default `limiter`. */
  readonly name?: string
  /** The longest wait of `acquire`, if it names none. Default 60 seconds. */
  readonly maxWait?: Duration.Input
  /** Fibers that may wait for one key; more are turned away. Default 10,000. */
  readonly maxWaiting?: number
  /** One that has waited this long goes before all younger ones, whatever their priority. Default 30 seconds. */
  readonly patience?: Duration.Input
  /**
   * What to do when the store fails: pass the `StoreError` on, let the call go, or count in this process until the
   * store is back. Default `local`.
   */
  readonly onStoreError?: "fail-closed" | "fail-open" | "local"
}

/** Windows of one plan, of all plans, or the one window itself. */
export type Options = LimiterOptions &
  (
    | WindowOptions
    | { readonly windows: ReadonlyArray<WindowOptions> }
    | {
        readonly plans: Readonly<Record<string, ReadonlyArray<WindowOptions>>>
        /** Default: the first one. */
        readonly defaultPlan?: string
      }
  )

const tiers = (minute: number, hour: number, day: number): ReadonlyArray<WindowOptions> => [
  { limit: minute, window: "1 minute" },
  { limit: hour, window: "1 hour" },
  { limit: day, window: "1 day" }
]

/** Plans as many services sell them: calls a minute, an hour and a day. */
export const plans = {
  free: tiers(10, 100, 1_000),
  premium: tiers(60, 1_000, 50_000),
  enterprise: tiers(600, 10_000, 1_000_000)
} as const

/**
 * A limiter on the {@link LimiterStore} in the context, or on a memory of its own.
 *
 * Fails with a `ConfigError` for a wrong option. The scope ends its timers, and interrupts whoever waits.
 *
 * **Example** (Failing, waiting and asking)
 *
 * ```ts
 * import { RateLimiter } from "@breakwater/core"
 * import { Effect } from "effect"
 *
 * const program = Effect.scoped(Effect.gen(function*() {
 *   const limiter = yield* RateLimiter.make({ limit: 100, window: "1 minute" })
 *   yield* limiter.consume("user-1")
 *   yield* limiter.acquire("user-1", { weight: 5, maxWait: "10 seconds" })
 *   const { allowed } = yield* limiter.check("user-1")
 *   return allowed
 * }))
 * ```
 */
export const make = (options: Options): Effect.Effect<RateLimiterService, Config.ConfigError, Scope.Scope> =>
  Effect.flatMap(Effect.serviceOption(LimiterStore), (store) =>
    makeLimiter(options, store._tag === "Some" ? store.value : undefined)
  )

/** {@link make} on the given store. */
export const makeWith = (
  options: Options,
  store: LimiterStoreService
): Effect.Effect<RateLimiterService, Config.ConfigError, Scope.Scope> => makeLimiter(options, store)

/** {@link make} as a Layer. */
export const layer = (options: Options): Layer.Layer<RateLimiter, Config.ConfigError> =>
  Layer.effect(RateLimiter, make(options))

/** {@link layer} with its options from the environment. */
export const layerConfig = (options: Config.Wrap<Options>): Layer.Layer<RateLimiter, Config.ConfigError> =>
  Layer.effect(RateLimiter, Effect.flatMap(Config.unwrap(options), make))

const unlimited: Decision = { allowed: true, waitMs: 0, remaining: Infinity, limit: Infinity, at: 0 }
const letThrough = Effect.succeed(unlimited)

/** A limiter without a limit, which costs nothing. */
export const noop: RateLimiterService = {
  name: "noop",
  consume: () => letThrough,
  check: () => letThrough,
  acquire: (key, options) =>
    Effect.succeed({ ...unlimited, key, weight: options?.weight ?? 1, plan: options?.plan ?? "default", waitedMs: 0 }),
  refund: () => Effect.void,
  setLimits: () => Effect.void,
  snapshot: () => Effect.succeed({ remaining: Infinity, limit: Infinity, waiting: 0 }),
  reset: () => Effect.void
}

/** {@link noop} as a Layer. */
export const layerNoop: Layer.Layer<RateLimiter> = Layer.succeed(RateLimiter, noop)

/** How {@link limit} uses the limiter. */
export interface LimitOptions extends AcquireOptions {
  readonly key: string
  /** Whether to wait for a place or fail without one. Default `wait`. */
  readonly mode?: "wait" | "fail"
}

const claim = (limiter: RateLimiterService, options: LimitOptions): Effect.Effect<Grant, LimiterError> =>
  limiter.acquire(options.key, options.mode === "fail" ? { ...options, maxWait: 0 } : options)

/**
 * Runs an effect within the limit. A place that was taken for an effect that then did not even begin, because
 * of an interruption, is given back.
 */
export const limit: {
  (
    options: LimitOptions
  ): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E | LimiterError, R | RateLimiter>
  <A, E, R>(self: Effect.Effect<A, E, R>, options: LimitOptions): Effect.Effect<A, E | LimiterError, R | RateLimiter>
} = Fn.dual(2, <A, E, R>(self: Effect.Effect<A, E, R>, options: LimitOptions) =>
  Effect.flatMap(RateLimiter, (limiter) => limitWith(limiter, self, options))
)

/** {@link limit} with a limiter at hand. */
export const limitWith = <A, E, R>(
  limiter: RateLimiterService,
  self: Effect.Effect<A, E, R>,
  options: LimitOptions
): Effect.Effect<A, E | LimiterError, R> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(claim(limiter, options), (grant) => {
      let begun = false
      return Effect.onExit(
        restore(
          Effect.suspend(() => {
            begun = true
            return self
          })
        ),
        () => (begun ? Effect.void : Effect.ignore(limiter.refund(grant)))
      )
    })
  )

/** Runs a stream within the limit: one place for the whole stream, taken before it begins. */
export const limitStream: {
  (
    options: LimitOptions
  ): <A, E, R>(self: Stream.Stream<A, E, R>) => Stream.Stream<A, E | LimiterError, R | RateLimiter>
  <A, E, R>(self: Stream.Stream<A, E, R>, options: LimitOptions): Stream.Stream<A, E | LimiterError, R | RateLimiter>
} = Fn.dual(2, <A, E, R>(self: Stream.Stream<A, E, R>, options: LimitOptions) =>
  Stream.unwrap(Effect.flatMap(RateLimiter, (limiter) => Effect.as(claim(limiter, options), self)))
)
