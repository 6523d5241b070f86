/**
 * Bounds the calls under way at a target by what the target bears, found from the time to the first token and from
 * refusals. An LLM's whole latency follows the length of its answer and says nothing of its load.
 *
 * The algorithms are those of Netflix's concurrency-limits: Gradient2 compares the latency of now with that of the
 * long term, AIMD counts refusals and slow calls.
 */
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type { Admit } from "../domain/Attempt.ts"
import type { RateLimitError } from "../errors/LLMError.ts"
import { makeAdaptive } from "./AdaptiveLimit/adaptive.ts"

export { defaults } from "./AdaptiveLimit/defaults.ts"

/** Options of {@link make}. */
export interface Options {
  /** Default `gradient2`. */
  readonly algorithm?: "gradient2" | "aimd"
  /** Calls under way at the beginning. Default 20. */
  readonly initial?: number
  /** Default 1. */
  readonly min?: number
  /** Default 200. */
  readonly max?: number
  /** Gradient2: how much of a new estimate counts, over 0 to 1. Default 0.2. */
  readonly smoothing?: number
  /** Gradient2: calls that the long-term latency is averaged over. Default 600. */
  readonly longWindow?: number
  /** Gradient2: how many times slower than in the long term is still good. Default 1.5. */
  readonly tolerance?: number
  /** Gradient2: calls that may queue at the provider, by which the limit grows. Default 4. */
  readonly queueSize?: number
  /** Factor on a refusal (429, 529, no first token in time), over 0 and under 1. Default 0.9. */
  readonly backoff?: number
  /** AIMD: a first token later than this counts as a refusal. Default 10 seconds. */
  readonly slow?: Duration.Input
  /** The longest wait for a place; a call's deadline may make it shorter. Default 30 seconds. */
  readonly maxWait?: Duration.Input
  /** Calls that may wait for one target. Default 10,000. */
  readonly maxWaiting?: number
  /** A call that has waited this long goes before all younger ones, whatever their priority. Default 15 seconds. */
  readonly patience?: Duration.Input
  /** Targets remembered, for a day at most. Default 10,000. */
  readonly maxKeys?: number
}

/** One target as it stands. */
export interface Snapshot {
  /** Calls that may be under way; its whole part counts. */
  readonly limit: number
  readonly inFlight: number
  readonly waiting: number
  /** The long-term time to the first token in milliseconds; 0 before there is one. */
  readonly latencyMs: number
}

/** How {@link limit} uses the service. */
export interface LimitOptions<E> {
  readonly key: string
  /** Higher goes first. Default 0. */
  readonly priority?: number
  /** Whether a failure means that the target is overloaded. Default: never. */
  readonly refused?: (error: E) => boolean
}

export interface AdaptiveLimitService {
  /** Takes a place, waiting for one, or fails with a local `RateLimitError` of scope `concurrent`. */
  readonly admit: Admit | undefined
  /** Runs any effect within the limit of a key. The latency that counts is the time of a success. */
  readonly limit: <A, E, R>(
    self: Effect.Effect<A, E, R>,
    options: LimitOptions<E>
  ) => Effect.Effect<A, E | RateLimitError, R>
  /** `undefined` for a key that was never used. */
  readonly snapshot: (key: string) => Effect.Effect<Snapshot | undefined>
}

export class AdaptiveLimit extends Context.Service<AdaptiveLimit, AdaptiveLimitService>()(
  "@breakwater/core/AdaptiveLimit"
) {}

/**
 * A limit in this process's memory. Fails with a `ConfigError` for a wrong option. The end of the scope interrupts
 * whoever waits.
 */
export const make = (options: Options = {}): Effect.Effect<AdaptiveLimitService, Config.ConfigError, Scope.Scope> =>
  makeAdaptive(options)

/** {@link make} as a Layer. */
export const layer = (options?: Options): Layer.Layer<AdaptiveLimit, Config.ConfigError> =>
  Layer.effect(AdaptiveLimit, make(options))

/** {@link layer} with its options from the environment. */
export const layerConfig = (options: Config.Wrap<Options>): Layer.Layer<AdaptiveLimit, Config.ConfigError> =>
  Layer.effect(AdaptiveLimit, Effect.flatMap(Config.unwrap(options), make))

/** No limit. */
export const noop: AdaptiveLimitService = {
  admit: undefined,
  limit: (self) => self,
  snapshot: () => Effect.succeed(undefined)
}

/** No limit, at no cost. */
export const layerNoop: Layer.Layer<AdaptiveLimit> = Layer.succeed(AdaptiveLimit, noop)

/** {@link AdaptiveLimitService.limit} of the service in the context. */
export const limit = <A, E, R>(
  self: Effect.Effect<A, E, R>,
  options: LimitOptions<E>
): Effect.Effect<A, E | RateLimitError, R | AdaptiveLimit> =>
  Effect.flatMap(AdaptiveLimit, (service) => service.limit(self, options))
