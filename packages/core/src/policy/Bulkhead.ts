/**
 * Bounds the calls under way for each key, and lets a bounded number of others wait for their turn.
 *
 * **When to use**
 *
 * Use it around anything that gets worse when too many use it at once: a provider, a local model, a database. A slow
 * target then holds up at most `limit` calls, and does not take the program down with it.
 *
 * **Details**
 *
 * - A call that finds a free slot runs at once. Otherwise it waits, at most `maxWait`, in a queue of at most `maxQueue`.
 * - Interactive calls go before batch calls; of one priority, the partitions (tenants, users) are served in turn; of
 *   one partition, first come, first served. A batch call that has waited for `patience` goes first.
 * - A full queue turns the newcomer away, unless somebody stands in it who would be served after the newcomer: a
 *   batch call, or the last of the partition with the most calls. That one is then turned away instead.
 * - With `newestFirstAbove`, a long queue is served from its young end, and drops the oldest when it is full.
 *
 * The slot comes back on success, error, defect and interruption, and goes to the next in the same step. A queue has
 * one timer, however many wait. A bulkhead reads the clock it was made with.
 *
 * **Gotchas**
 *
 * A call that waits for another call of the same key, inside of its slot, can wait for itself. Give nested work keys
 * of its own.
 *
 * **Example** (Turning away what does not fit)
 *
 * ```ts
 * import { Bulkhead } from "@breakwater/core"
 * import * as Effect from "effect/Effect"
 *
 * const program = Effect.gen(function*() {
 *   const call = Effect.sleep("10 millis").pipe(
 *     Bulkhead.protect({ key: "local-model" }),
 *     Effect.match({ onSuccess: () => "done", onFailure: (error) => error._tag })
 *   )
 *   return yield* Effect.all([call, call, call], { concurrency: "unbounded" })
 * }).pipe(Effect.provide(Bulkhead.layer({ limit: 1, maxQueue: 1 })))
 *
 * await Effect.runPromise(program) // => ["done", "done", "BulkheadFullError"]
 * ```
 */
import * as Clock from "effect/Clock"
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import type { Admit } from "../domain/Attempt.ts"
import { validate } from "../internal/options.ts"
import { makeEngine, type ProtectOptions, type Rejection, type Snapshot } from "./Bulkhead/Engine.ts"
import { checkLimit, type Options, resolve } from "./Bulkhead/Options.ts"

export type { Priority, ProtectOptions, Rejection, Snapshot } from "./Bulkhead/Engine.ts"
export { byCaller, defaults, type Options } from "./Bulkhead/Options.ts"

/** A bulkhead: the slots and queues of any number of keys. */
export interface BulkheadService {
  /**
   * For the pipeline: takes a slot for an attempt (its target is the key), waiting in a bounded queue until `maxWait`
   * or the call's own deadline, or fails with `BulkheadFullError`; `undefined` for no bound. The answer must be
   * received where it cannot be interrupted; while it waits it can be interrupted everywhere.
   */
  readonly admit: Admit | undefined
  /** Runs an effect in a slot of a key. See {@link protect}. */
  readonly protect: <A, E, R>(
    self: Effect.Effect<A, E, R>,
    options: ProtectOptions
  ) => Effect.Effect<A, E | Rejection, R>
  /** Runs a stream in a slot of a key. See {@link protectStream}. */
  readonly protectStream: <A, E, R>(
    self: Stream.Stream<A, E, R>,
    options: ProtectOptions
  ) => Stream.Stream<A, E | Rejection, R>
  /**
   * Changes the limit from now on: of one key, or of all that have none of their own. A higher limit lets waiting
   * calls in at once. A lower one ends no call: nobody comes in until enough have ended.
   *
   * Fails with a `ConfigError` for a limit that is not a whole number from 1 to 1,000,000.
   */
  readonly resize: (limit: number, key?: string) => Effect.Effect<void, Config.ConfigError>
  /** Reads a key. Reading creates nothing. */
  readonly snapshot: (key: string) => Effect.Effect<Snapshot>
  /** Reads all keys that are remembered: those in use, and some that are not. */
  readonly snapshots: Effect.Effect<ReadonlyArray<Snapshot>>
}

/** The bulkhead in the context. */
export class Bulkhead extends Context.Service<Bulkhead, BulkheadService>()("@breakwater/core/Bulkhead") {}

// --- constructors -----------------------------------------------------------------------------------------------

/**
 * A bulkhead. Holds no fiber, and a timer only while calls wait.
 *
 * Fails with a `ConfigError` naming the first wrong option.
 */
export const make = (options: Options = {}): Effect.Effect<BulkheadService, Config.ConfigError> =>
  Effect.gen(function* () {
    const engine = makeEngine(yield* resolve(options), yield* Clock.Clock)
    return {
      admit: engine.admit,
      protect: engine.protect,
      protectStream: engine.protectStream,
      resize: (limit, key) =>
        Effect.andThen(
          validate([checkLimit("limit", limit)]),
          Effect.sync(() => engine.resize(limit, key))
        ),
      snapshot: (key) => Effect.sync(() => engine.snapshot(key)),
      snapshots: Effect.sync(() => engine.keys().map(engine.snapshot))
    }
  })

/** {@link make} as a Layer. */
export const layer = (options: Options = {}): Layer.Layer<Bulkhead, Config.ConfigError> =>
  Layer.effect(Bulkhead, make(options))

/** {@link layer} with options from configuration. */
export const layerConfig = (options: Config.Wrap<Options>): Layer.Layer<Bulkhead, Config.ConfigError> =>
  Layer.effect(Bulkhead, Effect.flatMap(Config.unwrap(options), make))

/** A bulkhead without a bound, which costs nothing. */
export const noop: BulkheadService = {
  admit: undefined,
  protect: (self) => self,
  protectStream: (self) => self,
  resize: () => Effect.void,
  snapshot: (key) => Effect.succeed({ key, limit: Infinity, active: 0, queued: 0, partitions: new Map() }),
  snapshots: Effect.succeed([])
}

/** A bulkhead without a bound, which costs nothing. */
export const layerNoop: Layer.Layer<Bulkhead> = Layer.succeed(Bulkhead, noop)

// --- combinators ------------------------------------------------------------------------------------------------

/**
 * Runs an effect in a slot of a key, waiting for one if it has to; the wait can be interrupted wherever it is.
 *
 * Fails with `BulkheadFullError` when no more may wait or the wait was too long, and with `InvalidRequestError`
 * (parameter `key`) when the key is empty.
 */
export const protect: {
  (options: ProtectOptions): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E | Rejection, R | Bulkhead>
  <A, E, R>(self: Effect.Effect<A, E, R>, options: ProtectOptions): Effect.Effect<A, E | Rejection, R | Bulkhead>
} = dual(2, <A, E, R>(self: Effect.Effect<A, E, R>, options: ProtectOptions) =>
  Effect.flatMap(Bulkhead, (bulkhead) => bulkhead.protect(self, options))
)

/**
 * Runs a stream in a slot of a key, from before its first pull until it ends, fails or is left. Nothing is asked of
 * the stream before there is a slot.
 */
export const protectStream: {
  (options: ProtectOptions): <A, E, R>(self: Stream.Stream<A, E, R>) => Stream.Stream<A, E | Rejection, R | Bulkhead>
  <A, E, R>(self: Stream.Stream<A, E, R>, options: ProtectOptions): Stream.Stream<A, E | Rejection, R | Bulkhead>
} = dual(2, <A, E, R>(self: Stream.Stream<A, E, R>, options: ProtectOptions) =>
  Stream.unwrap(Effect.map(Bulkhead, (bulkhead) => bulkhead.protectStream(self, options)))
)
