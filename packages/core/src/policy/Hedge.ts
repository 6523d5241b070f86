/**
 * Makes a second attempt of a call that takes unusually long, and answers with the first of the two.
 *
 * **When to use**
 *
 * Use it around calls that can be made twice without harm and whose slowest few are much slower than the rest:
 * Dean and Barroso, "The tail at scale", CACM 56(2), 2013.
 *
 * **Details**
 *
 * - The delay is a high quantile (p95) of the times to a first result that the key had lately; there is none, and no
 *   hedging, before `minSamples` results are known.
 * - Extra calls are paid from a budget that every call fills a little (5 %), so that a target where everything is slow
 *   is not sent twice the load. An empty budget suppresses the extra call and nothing else.
 * - The first attempt to commit wins: with its result, or with the first content of its stream. It is handed on at
 *   once. The losers are interrupted in that moment and clean up in the background; closing the hedge's scope
 *   waits for them. The winner is never cancelled, and cancelling the caller cancels all attempts and waits for them.
 * - An attempt that fails starts the next one at once, within the same budget. When all fail, the last error counts.
 *
 * **Gotchas**
 *
 * A loser was sent, and the provider bills it: see `onLoser`. Attempts run in fibers of their own: what one changes of
 * its fiber's context is not seen outside.
 *
 * **Example** (Hedging a call)
 *
 * ```ts
 * import { Hedge } from "@breakwater/core"
 * import * as Effect from "effect/Effect"
 *
 * const program = Effect.succeed("answer").pipe(
 *   Hedge.hedge({ key: "openai/gpt-5" }),
 *   Effect.provide(Hedge.layer({ quantile: 0.9 }))
 * )
 *
 * await Effect.runPromise(program) // => "answer"
 * ```
 */
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { dual } from "effect/Function"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { HedgeState } from "../internal/hedgeState.ts"
import { IdleMap } from "../internal/idleMap.ts"
import { hedgedStream, type StreamOptions } from "./Hedge/HedgedStream.ts"
import { type Options, resolve } from "./Hedge/Options.ts"
import { race, type RaceOptions } from "./Hedge/Race.ts"

export type { StreamOptions } from "./Hedge/HedgedStream.ts"
export { defaults, type Options } from "./Hedge/Options.ts"
export type { Loser, RaceOptions } from "./Hedge/Race.ts"

/** What is known of a key. */
export interface Snapshot {
  readonly key: string
  /** Milliseconds after which another attempt would be made; left out while too little is known. */
  readonly delayMs?: number
  /** Results the delay rests on, old ones counting less. */
  readonly samples: number
  /** Extra calls that could be made now. */
  readonly budget: number
}

/**
 * When to hedge: for whoever schedules attempts himself. Plain and synchronous: times are milliseconds of the
 * monotonic clock, and nothing here throws.
 */
export interface Hedger {
  /** Milliseconds to wait before an extra attempt; `undefined`: do not hedge now. */
  readonly delayMs: (key: string, nowMs: number) => number | undefined
  /** Takes an extra call from the budget; false when there is none. */
  readonly tryStart: (key: string, nowMs: number) => boolean
  /** Tells how long a first result took, or that an attempt that was cut off took at least so long. */
  readonly observe: (key: string, firstTokenMs: number, nowMs: number) => void
  /** Tells of a call: of its first attempt only. It fills the budget. */
  readonly onCall: (key: string, nowMs: number) => void
}

/** A hedge: what is known of any number of keys. */
export interface HedgeService extends Hedger {
  /** For the pipeline: the same; `undefined` for a hedge that never makes an extra call. */
  readonly hedger: Hedger | undefined
  /** Extra attempts for one call at most. */
  readonly maxHedges: number
  /** Keeps hold of an interrupted loser until it is gone: closing the hedge waits for it. */
  readonly adopt: (loser: Fiber.Fiber<unknown, unknown>) => void
  readonly snapshot: (key: string, nowMs: number) => Snapshot
}

/** The hedge in the context. */
export class Hedge extends Context.Service<Hedge, HedgeService>()("@breakwater/core/Hedge") {}

// --- constructors -----------------------------------------------------------------------------------------------

/**
 * A hedge. Its scope waits for losers that are still cleaning up.
 *
 * Fails with a `ConfigError` naming the first wrong option.
 */
export const make = (options: Options = {}): Effect.Effect<HedgeService, Config.ConfigError, Scope.Scope> =>
  Effect.gen(function* () {
    const { idleMs, maxHedges, maxKeys, state } = yield* resolve(options)
    const states = new IdleMap<HedgeState>({ idleMs, maxKeys })
    const losers = new Set<Fiber.Fiber<unknown, unknown>>()
    const stateOf = (key: string, nowMs: number): HedgeState => {
      let known = states.get(key, nowMs)
      if (known === undefined) states.set(key, (known = new HedgeState(state, nowMs)), nowMs)
      return known
    }
    yield* Effect.addFinalizer(() => Effect.suspend(() => Fiber.awaitAll(Array.from(losers))))
    const hedger: Hedger = {
      delayMs: (key, nowMs) => states.get(key, nowMs)?.delayMs(nowMs),
      tryStart: (key, nowMs) => states.get(key, nowMs)?.tryStart() ?? false,
      observe: (key, firstTokenMs, nowMs) => stateOf(key, nowMs).observe(firstTokenMs, nowMs),
      onCall: (key, nowMs) => stateOf(key, nowMs).onCall()
    }
    return {
      ...hedger,
      hedger,
      maxHedges,
      adopt: (loser) => {
        losers.add(loser)
        loser.addObserver(() => losers.delete(loser))
      },
      snapshot: (key, nowMs) => {
        const known = states.get(key, nowMs)
        const delayMs = known?.delayMs(nowMs)
        return {
          key,
          ...(delayMs === undefined ? {} : { delayMs }),
          samples: known?.samples(nowMs) ?? 0,
          budget: known?.budget ?? 0
        }
      }
    }
  })

/** {@link make} as a Layer. */
export const layer = (options: Options = {}): Layer.Layer<Hedge, Config.ConfigError> =>
  Layer.effect(Hedge, make(options))

/** {@link layer} with options from configuration. */
export const layerConfig = (options: Config.Wrap<Options>): Layer.Layer<Hedge, Config.ConfigError> =>
  Layer.effect(Hedge, Effect.flatMap(Config.unwrap(options), make))

/** A hedge that never makes an extra call. */
export const noop: HedgeService = {
  hedger: undefined,
  maxHedges: 0,
  delayMs: () => undefined,
  tryStart: () => false,
  observe: () => {},
  onCall: () => {},
  adopt: () => {},
  snapshot: (key) => ({ key, samples: 0, budget: 0 })
}

/** A hedge that never makes an extra call. */
export const layerNoop: Layer.Layer<Hedge> = Layer.succeed(Hedge, noop)

// --- combinators ------------------------------------------------------------------------------------------------

type Attempts<A, E, R> = Effect.Effect<A, E, R> | ((attempt: number) => Effect.Effect<A, E, R>)

/**
 * Runs an effect with a second attempt where the first is slow. Attempts are counted from 1, so that a later one can
 * go to another target. Until the key is warmed up this is the effect itself.
 *
 * Fails as the last attempt to end did, when none succeeds.
 */
export const hedge: {
  <A, E>(options: RaceOptions<A, E>): <R>(self: Attempts<A, E, R>) => Effect.Effect<A, E, R | Hedge>
  <A, E, R>(self: Attempts<A, E, R>, options: RaceOptions<A, E>): Effect.Effect<A, E, R | Hedge>
} = dual(2, <A, E, R>(self: Attempts<A, E, R>, options: RaceOptions<A, E>) =>
  Effect.flatMap(Hedge, (service) => hedgeWith(service, self, options))
)

/** {@link hedge} with a service at hand. */
export const hedgeWith = <A, E, R>(
  service: HedgeService,
  self: Attempts<A, E, R>,
  options: RaceOptions<A, E>
): Effect.Effect<A, E, R> => race(service, Effect.isEffect(self) ? () => self : self, options)

/**
 * Runs a stream with a second attempt where the first content of the first is late. Elements before the first content
 * are held back until it comes, and those of losers are never seen. An attempt that ends without content has
 * committed to that.
 */
export const stream = <A, E, R>(
  make: (attempt: number) => Stream.Stream<A, E, R>,
  options: StreamOptions<A, E>
): Stream.Stream<A, E, R | Hedge> => Stream.unwrap(Effect.map(Hedge, (service) => streamWith(service, make, options)))

/** {@link stream} with a service at hand. */
export const streamWith = <A, E, R>(
  service: HedgeService,
  make: (attempt: number) => Stream.Stream<A, E, R>,
  options: StreamOptions<A, E>
): Stream.Stream<A, E, R> => hedgedStream(service, make, options)
