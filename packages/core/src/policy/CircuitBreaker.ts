/**
 * Stops calls to a target that keeps failing, and finds out when it works again.
 *
 * **When to use**
 *
 * Use it around anything that can fail for a while: a provider, a host, a database. A circuit stands for one key;
 * one breaker keeps the circuits of any number of keys.
 *
 * **Details**
 *
 * - *closed*: calls run, and the window counts how they end. A failure rate (or rate of slow calls) that reaches its
 *   threshold opens the circuit.
 * - *open*: calls fail at once with `CircuitOpenError`, which says when to try again. The time grows with each
 *   opening in a row, and a provider's `retryAfter` lengthens it.
 * - *half-open*: a few calls are let through as probes. Enough successes close the circuit, too many failures open it
 *   again. A probe that is interrupted, ignored or not heard of gives its place to another.
 *
 * Results of calls that were admitted before the last change of state change nothing. Interruption never counts.
 * A breaker reads the clock it was made with, and of it only the monotonic time.
 *
 * **Gotchas**
 *
 * Put retries outside and timeouts inside: the breaker then sees every attempt, and a timeout as a failure.
 *
 * **Example** (Opening after two failures)
 *
 * ```ts
 * import { CircuitBreaker } from "@breakwater/core"
 * import * as Effect from "effect/Effect"
 *
 * const program = Effect.gen(function*() {
 *   const call = Effect.fail("down").pipe(CircuitBreaker.protect({ key: "payments" }), Effect.flip)
 *   yield* call
 *   yield* call
 *   const error = yield* call
 *   return typeof error === "string" ? error : error._tag
 * }).pipe(Effect.provide(CircuitBreaker.layer({ window: CircuitBreaker.consecutive(2) })))
 *
 * await Effect.runPromise(program) // => "CircuitOpenError"
 * ```
 */
import * as Clock from "effect/Clock"
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Admit } from "../domain/Attempt.ts"
import { EventSink } from "../domain/Event.ts"
import { Circuit, type HoldMode } from "../internal/breaker.ts"
import { hold as holdCircuit, reset as resetCircuit } from "../internal/breakerManual.ts"
import { BreakerStore } from "../store/BreakerStore.ts"
import {
  type Engine,
  makeEngine,
  type ProtectOptions,
  type ProtectStreamOptions,
  type Rejection,
  type Transition
} from "./CircuitBreaker/Engine.ts"
import { type Options, resolve, type WindowOption } from "./CircuitBreaker/Options.ts"
import { replicate } from "./CircuitBreaker/Replica.ts"
import { restore, save, type SavedState, type Snapshot, snapshotOf } from "./CircuitBreaker/Snapshot.ts"

export type { HoldMode, MeasuredState, Outcome, Reason, State } from "../internal/breaker.ts"
export type { ProtectOptions, ProtectStreamOptions, Rejection, Transition } from "./CircuitBreaker/Engine.ts"
export {
  type AdaptiveOption,
  defaults,
  type HalfOpenOption,
  type OpenOption,
  type Options,
  type SlowOption,
  type WindowOption
} from "./CircuitBreaker/Options.ts"
export { SavedCircuit, SavedState, type Snapshot } from "./CircuitBreaker/Snapshot.ts"

/** Gives a hold back. Giving it back again does nothing. */
export type Release = Effect.Effect<void>

/** A circuit breaker: the circuits of any number of keys. */
export interface CircuitBreakerService {
  /**
   * For the pipeline: admits an attempt (its target is the key) or fails with `CircuitOpenError`; `undefined` for a
   * breaker that admits everything. Never waits. Run it where it cannot be interrupted: a probe that was admitted
   * and then lost keeps its place until its lease ends.
   */
  readonly admit: Admit | undefined
  /** Runs an effect through the circuit of a key. See {@link protect}. */
  readonly protect: <A, E, R>(
    self: Effect.Effect<A, E, R>,
    options: ProtectOptions<A, E>
  ) => Effect.Effect<A, E | Rejection, R>
  /** Runs a stream through the circuit of a key. See {@link protectStream}. */
  readonly protectStream: <A, E, R>(
    self: Stream.Stream<A, E, R>,
    options: ProtectStreamOptions<A, E>
  ) => Stream.Stream<A, E | Rejection, R>
  /** Reads the circuit of a key. Reading creates nothing. */
  readonly snapshot: (key: string) => Effect.Effect<Snapshot>
  /** Reads all circuits that are remembered. */
  readonly snapshots: Effect.Effect<ReadonlyArray<Snapshot>>
  /**
   * Changes of state from now on, of all keys. A listener that is more than 1,024 changes behind loses the oldest;
   * it never slows a call.
   */
  readonly transitions: Stream.Stream<Transition>
  /** Closes a circuit and forgets what was measured of it. Holds stay. */
  readonly reset: (key: string) => Effect.Effect<void>
  /** Holds a circuit open: every call is turned away. Holds add up; of several the sternest counts. */
  readonly forceOpen: (key: string) => Effect.Effect<Release>
  /** Holds a circuit closed: every call runs and is counted, and nothing opens. */
  readonly forceClosed: (key: string) => Effect.Effect<Release>
  /** Takes a circuit out of service: every call runs, and nothing is counted. */
  readonly disable: (key: string) => Effect.Effect<Release>
  /** What is known, in plain data. Holds are not part of it. */
  readonly save: Effect.Effect<SavedState>
  /** Takes over what another breaker knew. Time between saving and restoring has passed for the circuits too. */
  readonly restore: (state: SavedState) => Effect.Effect<void>
}

/** The circuit breaker in the context. */
export class CircuitBreaker extends Context.Service<CircuitBreaker, CircuitBreakerService>()(
  "@breakwater/core/CircuitBreaker"
) {}

// --- windows ----------------------------------------------------------------------------------------------------

/**
 * Counts the calls of the last `duration`, in `buckets` (1–1,000, default 10): a call counts for at least the
 * duration, and at most one bucket's width longer.
 */
export const time = (duration: Duration.Input, options?: { readonly buckets?: number }): WindowOption => ({
  kind: "time",
  duration,
  ...options
})

/** Counts the last `size` calls, from 1 to 1,000,000. They do not grow old. */
export const count = (size: number): WindowOption => ({ kind: "count", size })

/** Opens after `length` failures in a row (or slow calls in a row), from 1 to 1,000,000. Rates do not matter then. */
export const consecutive = (length: number): WindowOption => ({ kind: "consecutive", length })

// --- constructors -----------------------------------------------------------------------------------------------

const serviceOf = (engine: Engine): CircuitBreakerService => {
  const { circuits, clock, machine } = engine
  const read = (circuit: Circuit): Snapshot =>
    snapshotOf(machine, circuit, engine.now(), clock.currentTimeMillisUnsafe())

  const hold =
    (mode: HoldMode) =>
    (key: string): Effect.Effect<Release> =>
      Effect.sync(() => {
        let held = true
        holdCircuit(machine, circuits.get(key), mode, 1, engine.now())
        engine.flush()
        return Effect.sync(() => {
          if (!held) return
          held = false
          holdCircuit(machine, circuits.get(key), mode, -1, engine.now())
          engine.flush()
        })
      })

  return {
    admit: engine.admit,
    protect: engine.protect,
    protectStream: engine.protectStream,
    transitions: engine.transitions,
    snapshot: (key) =>
      Effect.sync(() => {
        const snapshot = read(circuits.find(key) ?? new Circuit(key, machine.settings))
        engine.flush()
        return snapshot
      }),
    snapshots: Effect.sync(() => {
      const all = circuits.all().map(read)
      engine.flush()
      return all
    }),
    reset: (key) =>
      Effect.sync(() => {
        const circuit = circuits.find(key)
        if (circuit === undefined) return
        resetCircuit(machine, circuit, engine.now(), "manual")
        engine.flush()
      }),
    forceOpen: hold("forced-open"),
    forceClosed: hold("metrics-only"),
    disable: hold("disabled"),
    save: Effect.sync(() => {
      const nowMs = engine.now()
      return {
        savedAt: clock.currentTimeMillisUnsafe(),
        circuits: circuits
          .all()
          .filter(({ key }) => key !== "")
          .map((circuit) => save(circuit, nowMs))
      }
    }),
    restore: (state) =>
      Effect.sync(() => {
        // A wall clock that was set back in between must not make anything younger.
        const awayMs = Math.max(0, clock.currentTimeMillisUnsafe() - state.savedAt)
        const nowMs = engine.now()
        for (const saved of state.circuits) restore(machine, circuits.get(saved.key), saved, nowMs, awayMs)
        engine.flush()
      })
  }
}

const engineOf = (options: Options): Effect.Effect<Engine, Config.ConfigError> =>
  Effect.gen(function* () {
    const resolved = yield* resolve(options)
    const clock = yield* Clock.Clock
    const random = yield* Random.Random
    return makeEngine(resolved, clock, () => random.nextDoubleUnsafe(), yield* EventSink)
  })

/**
 * A breaker that decides for itself. Holds no fiber and no timer.
 *
 * Fails with a `ConfigError` naming the first wrong option.
 */
export const make = (options: Options = {}): Effect.Effect<CircuitBreakerService, Config.ConfigError> =>
  Effect.map(engineOf(options), serviceOf)

/**
 * A breaker that shares what it finds out with others over the {@link BreakerStore}: a circuit that one opens is
 * open for all, and one whose probes succeed closes it for all. No call asks the store anything. While the store is
 * lost the breaker decides for itself (event `circuit-store-changed`), and tells the others when it is back.
 *
 * Holds by hand are not shared. Fails with a `ConfigError` naming the first wrong option.
 */
export const makeShared = (
  options: Options = {}
): Effect.Effect<CircuitBreakerService, Config.ConfigError, BreakerStore | Scope.Scope> =>
  Effect.gen(function* () {
    const store = yield* BreakerStore
    const engine = yield* engineOf(options)
    yield* replicate(engine, store)
    return serviceOf(engine)
  })

/** {@link make} as a Layer. */
export const layer = (options: Options = {}): Layer.Layer<CircuitBreaker, Config.ConfigError> =>
  Layer.effect(CircuitBreaker, make(options))

/** {@link layer} with options from configuration. */
export const layerConfig = (options: Config.Wrap<Options>): Layer.Layer<CircuitBreaker, Config.ConfigError> =>
  Layer.effect(CircuitBreaker, Effect.flatMap(Config.unwrap(options), make))

/** {@link makeShared} as a Layer. */
export const layerShared = (options: Options = {}): Layer.Layer<CircuitBreaker, Config.ConfigError, BreakerStore> =>
  Layer.effect(CircuitBreaker, makeShared(options))

const emptySnapshot = (key: string): Snapshot => ({
  key,
  state: "disabled",
  measured: "closed",
  holds: { "forced-open": 0, "metrics-only": 0, disabled: 0 },
  calls: 0,
  failures: 0,
  slow: 0,
  failureRate: 0,
  slowRate: 0,
  threshold: 1,
  openings: 0,
  rejections: 0,
  probes: { inFlight: 0, successes: 0, failures: 0 },
  retryAfterMs: 0,
  generation: 0
})

const nothingToRelease = Effect.succeed<Release>(Effect.void)

/** A breaker that admits everything, knows nothing and costs nothing. */
export const noop: CircuitBreakerService = {
  admit: undefined,
  protect: (self) => self,
  protectStream: (self) => self,
  snapshot: (key) => Effect.succeed(emptySnapshot(key)),
  snapshots: Effect.succeed([]),
  transitions: Stream.never,
  reset: () => Effect.void,
  forceOpen: () => nothingToRelease,
  forceClosed: () => nothingToRelease,
  disable: () => nothingToRelease,
  save: Effect.map(Clock.currentTimeMillis, (savedAt) => ({ savedAt, circuits: [] })),
  restore: () => Effect.void
}

/** A breaker that admits everything and costs nothing. */
export const layerNoop: Layer.Layer<CircuitBreaker> = Layer.succeed(CircuitBreaker, noop)

// --- combinators ------------------------------------------------------------------------------------------------

/**
 * Runs an effect through the circuit of a key.
 *
 * Fails with `CircuitOpenError` when the circuit is open, and with `InvalidRequestError` (parameter `key`) when the
 * key is empty: an empty key is a caller's mistake, and would let unrelated calls share a circuit.
 *
 * A success counts as success, interruption not at all, a defect as failure, and an error as `classify` says.
 */
export const protect: {
  <A, E>(
    options: ProtectOptions<A, E>
  ): <R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E | Rejection, R | CircuitBreaker>
  <A, E, R>(
    self: Effect.Effect<A, E, R>,
    options: ProtectOptions<A, E>
  ): Effect.Effect<A, E | Rejection, R | CircuitBreaker>
} = dual(2, <A, E, R>(self: Effect.Effect<A, E, R>, options: ProtectOptions<A, E>) =>
  Effect.flatMap(CircuitBreaker, (breaker) => breaker.protect(self, options))
)

/**
 * Runs a stream through the circuit of a key. Nothing is asked of the stream before it is admitted; how it ends
 * decides how it counts, and its first content counts for slowness (`slow.measure: "first-token"`).
 *
 * A consumer that stops early says nothing about the target: the stream is then ignored. A probe keeps its place
 * as long as elements keep coming.
 */
export const protectStream: {
  <A, E>(
    options: ProtectStreamOptions<A, E>
  ): <R>(self: Stream.Stream<A, E, R>) => Stream.Stream<A, E | Rejection, R | CircuitBreaker>
  <A, E, R>(
    self: Stream.Stream<A, E, R>,
    options: ProtectStreamOptions<A, E>
  ): Stream.Stream<A, E | Rejection, R | CircuitBreaker>
} = dual(2, <A, E, R>(self: Stream.Stream<A, E, R>, options: ProtectStreamOptions<A, E>) =>
  Stream.unwrap(Effect.map(CircuitBreaker, (breaker) => breaker.protectStream(self, options)))
)
