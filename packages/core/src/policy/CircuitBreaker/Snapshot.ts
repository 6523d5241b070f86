/**
 * What can be read of a circuit, and what can be carried over to another process.
 */
import * as Schema from "effect/Schema"
import {
  advance,
  type Circuit,
  type HoldMode,
  type Machine,
  type MeasuredState,
  retryAfterMs,
  type State,
  stateOf,
  tripOf
} from "../../internal/breaker.ts"
import { openFromAfar } from "../../internal/breakerManual.ts"
import { threshold } from "../../internal/breakerMath.ts"

/** A circuit at a moment. Rates are 0 where nothing was counted. */
export interface Snapshot {
  readonly key: string
  /** What calls meet: the hold, if there is one, or else the measured state. */
  readonly state: State
  /** What would hold without holds. An open circuit whose time is over is half-open at its next call. */
  readonly measured: MeasuredState
  readonly holds: { readonly [Mode in HoldMode]: number }
  /** Calls in the window. With a window of runs, `failures` and `slow` are the running runs. */
  readonly calls: number
  readonly failures: number
  readonly slow: number
  readonly failureRate: number
  readonly slowRate: number
  /** The failure rate that would open the circuit now. */
  readonly threshold: number
  /** Openings in a row without a healthy period between. */
  readonly openings: number
  /** Calls turned away since the circuit opened last. */
  readonly rejections: number
  readonly probes: {
    readonly inFlight: number
    readonly successes: number
    readonly failures: number
  }
  /** Milliseconds until a call is let through as a probe; 0 when one would be now. */
  readonly retryAfterMs: number
  /** When that will be, in milliseconds since 1970; only for an open circuit. */
  readonly openUntil?: number
  /** Counts the changes of state. */
  readonly generation: number
}

const noHolds = { "forced-open": 0, "metrics-only": 0, disabled: 0 }

/** How long a call would have to wait: 0 for not at all. */
const waitMs = (machine: Machine, circuit: Circuit, nowMs: number): number => {
  const trip = circuit.trip
  if (circuit.hold !== undefined) return circuit.hold === "forced-open" ? retryAfterMs(machine, circuit, nowMs) : 0
  if (circuit.state === "closed" || trip === undefined) return 0
  if (circuit.state === "open") return Math.max(0, trip.openUntilMs - nowMs)
  const free = machine.settings.probes - trip.probes.size - trip.successes - trip.failures
  return free > 0 ? 0 : retryAfterMs(machine, circuit, nowMs)
}

/** Reads a circuit; `wallMs` are the milliseconds since 1970. */
export const snapshotOf = (machine: Machine, circuit: Circuit, nowMs: number, wallMs: number): Snapshot => {
  advance(machine, circuit, nowMs)
  circuit.window.advance(nowMs)
  const { trip, window } = circuit
  const wait = waitMs(machine, circuit, nowMs)
  return {
    key: circuit.key,
    state: stateOf(circuit),
    measured: circuit.state,
    holds: { ...(trip?.holds ?? noHolds) },
    calls: window.calls,
    failures: window.failures,
    slow: window.slow,
    failureRate: window.calls === 0 ? 0 : window.failures / window.calls,
    slowRate: window.calls === 0 ? 0 : window.slow / window.calls,
    threshold: threshold(machine.settings, circuit.baseline, window.calls),
    openings: trip?.openings ?? 0,
    rejections: trip?.rejections ?? 0,
    probes: { inFlight: trip?.probes.size ?? 0, successes: trip?.successes ?? 0, failures: trip?.failures ?? 0 },
    retryAfterMs: wait,
    ...(circuit.state === "open" && circuit.hold === undefined ? { openUntil: wallMs + wait } : {}),
    generation: circuit.generation
  }
}

const Count = Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))
const Millis = Schema.Finite.check(Schema.isGreaterThanOrEqualTo(0))
const tally = { calls: Count, failures: Count, slow: Count }

/** The state of one circuit in plain data: ages and remaining times, no instants. */
export const SavedCircuit = Schema.Struct({
  key: Schema.NonEmptyString,
  state: Schema.Literals(["closed", "open"]),
  /** What was left of the open time. */
  remainingMs: Millis,
  openings: Count,
  window: Schema.Union([
    Schema.Struct({
      kind: Schema.tag("time"),
      buckets: Schema.Array(Schema.Struct({ ...tally, ageMs: Millis }))
    }),
    Schema.Struct({
      kind: Schema.tag("count"),
      outcomes: Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 3 })))
    }),
    Schema.Struct({ kind: Schema.tag("consecutive"), ...tally })
  ])
})
export type SavedCircuit = typeof SavedCircuit.Type

/** The state of a breaker. Encodes as JSON. */
export const SavedState = Schema.Struct({
  /** Milliseconds since 1970: how much time passed until the state is restored. */
  savedAt: Schema.Finite,
  circuits: Schema.Array(SavedCircuit)
})
export type SavedState = typeof SavedState.Type

/** A half-open circuit is saved as an open one whose time is over: its probes do not outlive the process. */
export const save = (circuit: Circuit, nowMs: number): SavedCircuit => {
  const trip = circuit.trip
  return {
    key: circuit.key,
    state: circuit.state === "closed" ? "closed" : "open",
    remainingMs: circuit.state === "open" && trip !== undefined ? Math.max(0, trip.openUntilMs - nowMs) : 0,
    openings: trip?.openings ?? 0,
    window: circuit.window.save(nowMs)
  }
}

/** Puts a saved state into a circuit. `awayMs` is the time between saving and restoring. */
export const restore = (
  machine: Machine,
  circuit: Circuit,
  saved: SavedCircuit,
  nowMs: number,
  awayMs: number
): void => {
  circuit.window.load(saved.window, nowMs - awayMs)
  circuit.window.advance(nowMs)
  if (saved.state === "open") {
    openFromAfar(machine, circuit, nowMs, Math.max(0, saved.remainingMs - awayMs), saved.openings, "restored")
  } else if (saved.openings > 0) {
    const trip = tripOf(circuit)
    trip.openings = Math.max(trip.openings, saved.openings)
    trip.closedAtMs = nowMs - awayMs
  }
}
