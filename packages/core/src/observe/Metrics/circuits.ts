/**
 * The gauge of circuits. A breaker forgets an open circuit that nobody asks for, and one that is replaced never says that
 * its circuits are closed: their series would tell of an open circuit for ever.
 */
import type { CircuitChanged } from "../../domain/Event.ts"
import type { Family } from "./Family.ts"

/** Past its end, how long nobody need ask for an open circuit before it is taken for gone. */
const goneMs = 3_600_000

/** Circuits that are remembered; those of the others stay as they are. */
const maxKeys = 1_000

export class Circuits {
  private readonly gauge: Family
  private readonly nowMs: () => number
  /** Of the circuits that are open: until when they are believed to be. */
  private readonly until = new Map<string, number>()
  private sweepMs = 0

  constructor(gauge: Family, nowMs: () => number) {
    this.gauge = gauge
    this.nowMs = nowMs
  }

  changed({ key, openForMs, to }: CircuitChanged): void {
    const isOpen = to === "open" || to === "half-open"
    this.gauge.update(to === "open" || to === "forced-open" ? 2 : to === "half-open" ? 1 : 0, key)
    if (!isOpen) this.until.delete(key)
    else if (this.until.size < maxKeys || this.until.has(key))
      this.until.set(key, this.nowMs() + (openForMs ?? 0) + goneMs)
  }

  asked(key: string, retryAfterMs: number): void {
    const until = this.until.get(key)
    if (until !== undefined) this.until.set(key, Math.max(until, this.nowMs() + retryAfterMs + goneMs))
  }

  /** Takes away what is gone, once a minute at most. */
  sweep(): void {
    if (this.until.size === 0) return
    const nowMs = this.nowMs()
    if (nowMs < this.sweepMs) return
    this.sweepMs = nowMs + 60_000
    for (const [key, until] of this.until) {
      if (nowMs < until) continue
      this.until.delete(key)
      this.gauge.remove(key)
    }
  }
}
