/**
 * What changes a circuit from outside: by hand, or by the word of another replica.
 */
import {
  type Circuit,
  close,
  type HoldMode,
  type Machine,
  move,
  type Reason,
  startRound,
  stateOf,
  tripOf
} from "./breaker.ts"

/** Forgets everything measured. Holds stay: they are somebody's decision. */
export const reset = (m: Machine, circuit: Circuit, nowMs: number, reason: Reason): void => {
  close(m, circuit, reason, nowMs)
  const trip = tripOf(circuit)
  trip.openings = trip.rejections = 0
  trip.closedAtMs = -Infinity
  circuit.baseline = undefined
}

/** Adds (+1) or takes away (-1) one hold. The sternest one counts: open, then disabled, then metrics only. */
export const hold = (m: Machine, circuit: Circuit, mode: HoldMode, by: 1 | -1, nowMs: number): void => {
  const from = stateOf(circuit)
  const trip = tripOf(circuit)
  trip.holds[mode] = Math.max(0, trip.holds[mode] + by)
  const { holds } = trip
  circuit.hold =
    holds["forced-open"] > 0
      ? "forced-open"
      : holds.disabled > 0
        ? "disabled"
        : holds["metrics-only"] > 0
          ? "metrics-only"
          : undefined
  const to = stateOf(circuit)
  if (to === from) return
  circuit.generation++
  startRound(trip)
  if (circuit.state === "half-open") trip.halfOpenAtMs = nowMs
  m.report({ circuit, from, to, reason: "manual", nowMs })
}

/** Another replica opened its circuit, and will leave it open for `remainingMs`. */
export const openFromAfar = (
  m: Machine,
  circuit: Circuit,
  nowMs: number,
  remainingMs: number,
  openings: number,
  reason: Reason
): void => {
  const trip = tripOf(circuit)
  const untilMs = nowMs + Math.min(remainingMs, m.settings.openMaxMs)
  trip.openings = Math.max(trip.openings, openings)
  if (circuit.state === "open") {
    trip.openUntilMs = Math.max(trip.openUntilMs, untilMs)
    return
  }
  trip.openUntilMs = untilMs
  trip.rejections = 0
  move(m, circuit, "open", reason, nowMs)
}

/** Another replica's probes succeeded. */
export const closeFromAfar = (m: Machine, circuit: Circuit, nowMs: number): void => {
  if (circuit.state !== "closed") close(m, circuit, "shared", nowMs)
}
