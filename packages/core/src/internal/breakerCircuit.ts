/**
 * A circuit and what belongs to it, in plain data that changes in place.
 */
import type { Baseline, OpenSettings } from "./breakerMath.ts"
import { makeWindow, type Window, type WindowSettings } from "./breakerWindow.ts"

export type Outcome = "success" | "failure" | "ignored"
export type MeasuredState = "closed" | "open" | "half-open"
export type HoldMode = "forced-open" | "disabled" | "metrics-only"
export type State = MeasuredState | HoldMode
export type Reason =
  | "failure-rate"
  | "slow-rate"
  | "consecutive-failures"
  | "consecutive-slow"
  | "probes-failed"
  | "probes-succeeded"
  | "open-elapsed"
  | "half-open-timeout"
  | "manual"
  | "shared"
  | "restored"

/** Validated settings; durations in milliseconds. */
export interface Settings extends OpenSettings {
  readonly window: WindowSettings
  readonly failureRate: number
  readonly minimumCalls: number
  /** `rate` of calls that took `limitMs` or longer. */
  readonly slow:
    | { readonly limitMs: number; readonly rate: number; readonly measure: "call" | "first-token" }
    | undefined
  readonly probes: number
  readonly probeSuccesses: number
  readonly leaseMs: number
  /** `Infinity` for no limit. */
  readonly halfOpenMs: number
}

/** A change of state, as it happened. */
export interface Change {
  readonly circuit: Circuit
  readonly from: State
  readonly to: State
  readonly reason: Reason
  readonly nowMs: number
}

export interface Machine {
  readonly settings: Settings
  /** From 0 (included) to 1 (excluded). */
  readonly random: () => number
  /** Must not throw, nor use the machine. */
  readonly report: (change: Change) => void
}

/** What only circuits that have seen trouble need. */
export interface Trip {
  /** Openings in a row without a healthy period between. */
  openings: number
  openUntilMs: number
  closedAtMs: number
  halfOpenAtMs: number
  /** Until when a provider asked to be left alone. */
  hintUntilMs: number
  /** In the order in which their leases end. */
  readonly probes: Set<Ticket>
  successes: number
  failures: number
  /** Calls turned away since the circuit opened. */
  rejections: number
  /** Belongs to the shell: the answer for the last rejected call, and what it says. */
  answer: unknown
  answerMs: number
  /** Belongs to shared mode: the last change heard of. */
  stamp: { readonly revision: number; readonly origin: string } | undefined
  readonly holds: { [Mode in HoldMode]: number }
}

/** One admission. `circuit.generation` moving on makes it void. */
export interface Ticket {
  readonly circuit: Circuit
  readonly generation: number
  readonly startedMs: number
  readonly role: "call" | "probe" | "metrics"
  leaseUntilMs: number
}

export class Circuit {
  generation = 0
  state: MeasuredState = "closed"
  hold: HoldMode | undefined = undefined
  trip: Trip | undefined = undefined
  baseline: Baseline | undefined = undefined
  /** Belongs to the registry of circuits. */
  epoch = 0
  readonly key: string
  readonly window: Window

  constructor(key: string, settings: Settings) {
    this.key = key
    this.window = makeWindow(settings.window)
  }
}

export const stateOf = (circuit: Circuit): State => circuit.hold ?? circuit.state

export const tripOf = (circuit: Circuit): Trip =>
  (circuit.trip ??= {
    openings: 0,
    openUntilMs: 0,
    closedAtMs: -Infinity,
    halfOpenAtMs: 0,
    hintUntilMs: 0,
    probes: new Set(),
    successes: 0,
    failures: 0,
    rejections: 0,
    answer: undefined,
    answerMs: 0,
    stamp: undefined,
    holds: { "forced-open": 0, "metrics-only": 0, disabled: 0 }
  })
