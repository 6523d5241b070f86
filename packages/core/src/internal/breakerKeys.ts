/**
 * The circuits by key, in bounded memory.
 *
 * Two generations of keys: a circuit that is used moves to the young one; when the idle time is over (or the young
 * one is full), the old one is dropped as a whole and the young one becomes the old one. So forgetting costs O(1)
 * a call and no timer. Circuits that are not plainly closed are kept apart and survive until they are stale.
 */
import { Circuit, type Settings } from "./breaker.ts"

const isNotable = (circuit: Circuit): boolean => circuit.state !== "closed" || circuit.hold !== undefined

export class CircuitMap {
  private young = new Map<string, Circuit>()
  private old = new Map<string, Circuit>()
  private readonly notable = new Map<string, Circuit>()
  private epoch = 0
  private rotatedMs: number
  private readonly settings: Settings
  private readonly idleMs: number
  private readonly maxKeys: number

  constructor(settings: Settings, idleMs: number, maxKeys: number, nowMs: number) {
    this.settings = settings
    this.idleMs = idleMs
    this.maxKeys = maxKeys
    this.rotatedMs = nowMs
  }

  /** The circuit of a key; a new one if there is none. */
  get(key: string): Circuit {
    return this.young.get(key) ?? this.admit(this.find(key) ?? new Circuit(key, this.settings))
  }

  /** The circuit of a key, as it is. */
  find(key: string): Circuit | undefined {
    return this.young.get(key) ?? this.old.get(key) ?? this.notable.get(key)
  }

  /** Marks a circuit as used now, and forgets those that have not been for long. */
  touch(circuit: Circuit, nowMs: number): void {
    const sinceMs = nowMs - this.rotatedMs
    if (sinceMs >= this.idleMs) {
      this.rotate()
      // Nothing was used since the idle time was over, or that use would have come here.
      if (sinceMs >= 2 * this.idleMs) this.old = new Map()
      this.rotatedMs = nowMs
      for (const each of this.notable.values()) if (this.isStale(each, nowMs)) this.notable.delete(each.key)
    }
    // Its result may come after the circuit was forgotten: it lives on, unless it has been replaced.
    if (circuit.epoch !== this.epoch && (this.find(circuit.key) ?? circuit) === circuit) this.admit(circuit)
  }

  /** To be told whenever the state of a circuit changes. */
  note(circuit: Circuit): void {
    this.notable.delete(circuit.key)
    if (!isNotable(circuit)) return
    this.notable.set(circuit.key, circuit)
    if (this.notable.size > this.maxKeys) this.dropOldestNotable()
  }

  get size(): number {
    let size = this.young.size
    for (const key of this.old.keys()) if (!this.young.has(key)) size++
    for (const key of this.notable.keys()) if (!this.young.has(key) && !this.old.has(key)) size++
    return size
  }

  all(): ReadonlyArray<Circuit> {
    return Array.from(new Map([...this.old, ...this.notable, ...this.young]).values())
  }

  private admit(circuit: Circuit): Circuit {
    if (this.young.size >= this.maxKeys / 2) this.rotate()
    circuit.epoch = this.epoch
    this.young.set(circuit.key, circuit)
    return circuit
  }

  private rotate(): void {
    this.old = this.young
    this.young = new Map()
    this.epoch++
  }

  private isStale(circuit: Circuit, nowMs: number): boolean {
    if (!isNotable(circuit)) return true
    const trip = circuit.trip
    if (circuit.hold !== undefined || trip === undefined) return false
    const sinceMs = circuit.state === "open" ? trip.openUntilMs : trip.halfOpenAtMs + this.settings.leaseMs
    return nowMs - sinceMs >= this.idleMs
  }

  /** A hold is never dropped; so few of them exist that looking past them costs nothing. */
  private dropOldestNotable(): void {
    for (const circuit of this.notable.values()) {
      if (circuit.hold !== undefined) continue
      this.notable.delete(circuit.key)
      return
    }
  }
}
