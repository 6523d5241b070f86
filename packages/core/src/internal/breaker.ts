/**
 * One circuit as a state machine. Time and chance come in as arguments; what happened goes out through `report`.
 *
 * A circuit changes in place, since it is asked on every call. The rules are these:
 *
 * - every admission carries the generation of the circuit; each change of state starts a new generation, and a
 *   result of an older one changes nothing
 * - an open circuit becomes half-open at the first call after its time, and that call is a probe
 * - a half-open circuit has a fixed number of probes: those under way and those with a verdict together. A probe
 *   without a verdict (interrupted, ignored, not heard of within its lease) gives its place back
 * - half-open ends as soon as the verdict cannot change any more
 * - holds put by hand stand above the measured state, which waits below them
 */
import {
  type Circuit,
  type Machine,
  type MeasuredState,
  type Outcome,
  type Reason,
  stateOf,
  type Ticket,
  type Trip,
  tripOf
} from "./breakerCircuit.ts"
import { learn, makeBaseline, openForMs, threshold } from "./breakerMath.ts"

export * from "./breakerCircuit.ts"

/** Forgets the probes: whatever they bring is of an older generation. */
export const startRound = (trip: Trip): void => {
  trip.probes.clear()
  trip.successes = trip.failures = 0
  trip.answer = undefined
}

export const move = (m: Machine, circuit: Circuit, to: MeasuredState, reason: Reason, nowMs: number): void => {
  const from = stateOf(circuit)
  circuit.state = to
  circuit.generation++
  const trip = tripOf(circuit)
  startRound(trip)
  if (stateOf(circuit) !== from) m.report({ circuit, from, to: stateOf(circuit), reason, nowMs })
}

const open = (m: Machine, circuit: Circuit, reason: Reason, nowMs: number): void => {
  const trip = tripOf(circuit)
  const healthy = circuit.state === "closed" && nowMs - trip.closedAtMs >= m.settings.healthyMs
  trip.openings = healthy ? 1 : trip.openings + 1
  trip.openUntilMs = nowMs + openForMs(m.settings, trip.openings, trip.hintUntilMs - nowMs, m.random)
  trip.rejections = 0
  move(m, circuit, "open", reason, nowMs)
}

export const close = (m: Machine, circuit: Circuit, reason: Reason, nowMs: number): void => {
  const trip = tripOf(circuit)
  trip.closedAtMs = nowMs
  trip.hintUntilMs = 0
  circuit.window.clear()
  move(m, circuit, "closed", reason, nowMs)
}

const halfOpen = (m: Machine, circuit: Circuit, nowMs: number): void => {
  const trip = tripOf(circuit)
  trip.halfOpenAtMs = nowMs
  trip.hintUntilMs = 0
  move(m, circuit, "half-open", "open-elapsed", nowMs)
}

/** Lets happen what time alone brings: leases end, and a half-open state that lasts too long. */
export const advance = (m: Machine, circuit: Circuit, nowMs: number): void => {
  const trip = circuit.trip
  if (circuit.state !== "half-open" || trip === undefined || circuit.hold !== undefined) return
  for (const probe of trip.probes) {
    if (probe.leaseUntilMs > nowMs) break
    trip.probes.delete(probe)
  }
  const endMs = trip.halfOpenAtMs + m.settings.halfOpenMs
  // As if it had been noticed on time, however late the next call comes.
  if (nowMs >= endMs) open(m, circuit, "half-open-timeout", endMs)
}

const probe = (m: Machine, circuit: Circuit, trip: Trip, nowMs: number): Ticket | undefined => {
  if (trip.probes.size + trip.successes + trip.failures >= m.settings.probes) return undefined
  const leaseUntilMs = nowMs + m.settings.leaseMs
  const ticket: Ticket = { circuit, generation: circuit.generation, startedMs: nowMs, role: "probe", leaseUntilMs }
  trip.probes.add(ticket)
  return ticket
}

/** A ticket for a call that nobody counts. */
const uncounted = (circuit: Circuit): Ticket => ({
  circuit,
  generation: -1,
  startedMs: 0,
  role: "metrics",
  leaseUntilMs: 0
})

/** Admits a call, or answers `undefined`: the call is turned away. */
export const enter = (m: Machine, circuit: Circuit, nowMs: number): Ticket | undefined => {
  if (circuit.hold !== undefined) {
    if (circuit.hold === "disabled") return uncounted(circuit)
    if (circuit.hold === "forced-open") return turnAway(circuit)
    return { circuit, generation: circuit.generation, startedMs: nowMs, role: "metrics", leaseUntilMs: 0 }
  }
  if (circuit.state === "closed") {
    return { circuit, generation: circuit.generation, startedMs: nowMs, role: "call", leaseUntilMs: 0 }
  }
  advance(m, circuit, nowMs)
  const trip = tripOf(circuit)
  if (circuit.state === "open") {
    if (nowMs < trip.openUntilMs) return turnAway(circuit)
    halfOpen(m, circuit, nowMs)
  }
  return probe(m, circuit, trip, nowMs) ?? turnAway(circuit)
}

const turnAway = (circuit: Circuit): undefined => {
  tripOf(circuit).rejections++
}

/** Lets a probe that is visibly alive keep its place. */
export const renew = (m: Machine, ticket: Ticket, nowMs: number): void => {
  const probes = ticket.circuit.trip?.probes
  if (ticket.role !== "probe" || ticket.leaseUntilMs <= nowMs || probes === undefined || !probes.delete(ticket)) return
  ticket.leaseUntilMs = nowMs + m.settings.leaseMs
  probes.add(ticket)
}

/** How the calls of a closed circuit look: the reason to open it, if there is one. */
const verdict = (m: Machine, circuit: Circuit): Reason | undefined => {
  const { window } = circuit
  const { settings } = m
  if (settings.window.kind === "consecutive") {
    if (window.failures >= settings.window.length) return "consecutive-failures"
    return settings.slow !== undefined && window.slow >= settings.window.length ? "consecutive-slow" : undefined
  }
  if (window.calls < settings.minimumCalls) return undefined
  // Divided, not multiplied: 7 of 100 is then exactly the number that 0.07 is.
  if (window.failures > 0 && window.failures / window.calls >= threshold(m.settings, circuit.baseline, window.calls)) {
    return "failure-rate"
  }
  if (settings.slow !== undefined && window.slow / window.calls >= settings.slow.rate) return "slow-rate"
  return undefined
}

const judgeProbe = (m: Machine, ticket: Ticket, nowMs: number, good: boolean): void => {
  const circuit = ticket.circuit
  const trip = tripOf(circuit)
  if (good) trip.successes++
  else trip.failures++
  if (trip.successes >= m.settings.probeSuccesses) close(m, circuit, "probes-succeeded", nowMs)
  else if (trip.failures > m.settings.probes - m.settings.probeSuccesses) open(m, circuit, "probes-failed", nowMs)
}

/**
 * Takes the result of an admitted call. `hintMs` is how long the provider asked to be left alone, 0 for not at
 * all.
 */
export const leave = (
  m: Machine,
  ticket: Ticket,
  nowMs: number,
  outcome: Outcome,
  slow: boolean,
  hintMs: number
): void => {
  const circuit = ticket.circuit
  if (ticket.generation !== circuit.generation) return
  if (ticket.role === "probe") {
    advance(m, circuit, nowMs)
    if (!tripOf(circuit).probes.delete(ticket) || outcome === "ignored") return
    if (hintMs > 0) heed(circuit, nowMs + hintMs)
    judgeProbe(m, ticket, nowMs, outcome === "success" && !slow)
    return
  }
  if (outcome === "ignored") return
  const failed = outcome === "failure"
  circuit.window.record(nowMs, failed, slow)
  if (ticket.role === "metrics") return
  if (hintMs > 0) heed(circuit, nowMs + hintMs)
  const reason = verdict(m, circuit)
  if (m.settings.adaptive !== undefined) {
    circuit.baseline ??= makeBaseline(nowMs)
    learn(m.settings.adaptive, circuit.baseline, nowMs, failed)
  }
  if (reason !== undefined) open(m, circuit, reason, nowMs)
}

const heed = (circuit: Circuit, untilMs: number): void => {
  const trip = tripOf(circuit)
  if (untilMs > trip.hintUntilMs) trip.hintUntilMs = untilMs
}

/** Milliseconds after which a rejected call is worth trying again: positive and finite. */
export const retryAfterMs = (m: Machine, circuit: Circuit, nowMs: number): number => {
  if (circuit.hold === "forced-open") return m.settings.openMs
  // Nobody knows when the probes under way will end; a second is a guess that does not hurt.
  if (circuit.state !== "open") return Math.min(1000, m.settings.openMs)
  return Math.max(1, Math.ceil(tripOf(circuit).openUntilMs - nowMs))
}
