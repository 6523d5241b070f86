/**
 * A bounded map whose unused entries go away.
 *
 * Every insertion looks at the two entries at the head of the map and drops them if they have been idle for too
 * long, or moves them to the end if they have not (the second-chance rule), so that cleaning costs O(1) an
 * insertion and no timer. Past `maxKeys` the head goes whatever its age.
 */

interface Slot<V> {
  readonly value: V
  usedMs: number
}

export class IdleMap<V> {
  private readonly slots = new Map<string, Slot<V>>()
  private readonly idleMs: number
  private readonly maxKeys: number

  constructor(options: { readonly idleMs: number; readonly maxKeys: number }) {
    this.idleMs = options.idleMs
    this.maxKeys = options.maxKeys
  }

  get size(): number {
    return this.slots.size
  }

  /** The entry, marked as used; `undefined` if there is none, or it was idle for too long. */
  get(key: string, nowMs: number): V | undefined {
    const slot = this.slots.get(key)
    if (slot === undefined) return undefined
    if (nowMs - slot.usedMs > this.idleMs) {
      this.slots.delete(key)
      return undefined
    }
    slot.usedMs = nowMs
    return slot.value
  }

  set(key: string, value: V, nowMs: number): void {
    this.slots.delete(key)
    this.tidy(nowMs)
    this.slots.set(key, { value, usedMs: nowMs })
  }

  delete(key: string): void {
    this.slots.delete(key)
  }

  /** Drops every idle entry. */
  sweep(nowMs: number): void {
    for (const [key, slot] of this.slots) {
      if (nowMs - slot.usedMs > this.idleMs) this.slots.delete(key)
    }
  }

  entries(nowMs: number): ReadonlyArray<readonly [key: string, value: V]> {
    this.sweep(nowMs)
    return Array.from(this.slots, ([key, slot]) => [key, slot.value] as const)
  }

  private tidy(nowMs: number): void {
    let looked = 0
    for (const [key, slot] of this.slots) {
      if (looked++ === 2) break
      this.slots.delete(key)
      if (nowMs - slot.usedMs <= this.idleMs && this.slots.size + 1 < this.maxKeys) this.slots.set(key, slot)
    }
  }
}
