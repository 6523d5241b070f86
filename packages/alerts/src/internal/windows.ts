/**
 * Sums and quantiles over the last while, in constant memory: rings of buckets. A window counts what happened for at
 * least its length, and at most one bucket's width longer.
 */

/** Moves a ring to a time: calls `drop` for every bucket whose time is over. */
class Ring {
  readonly size: number
  private readonly widthMs: number
  private head = 0
  private startMs: number

  constructor(windowMs: number, size: number, nowMs: number) {
    this.size = size + 1
    this.widthMs = windowMs / size
    this.startMs = nowMs
  }

  /** The bucket of now. A time before the last one is the last one. */
  at(nowMs: number, drop: (index: number) => void): number {
    const steps = Math.floor((nowMs - this.startMs) / this.widthMs)
    if (steps > 0) {
      for (let step = 0; step < Math.min(steps, this.size); step++) {
        this.head = (this.head + 1) % this.size
        drop(this.head)
      }
      this.startMs += steps * this.widthMs
    }
    return this.head
  }
}

/** Buckets of a window. */
const buckets = 60

/** Two sums over the last while: of all, and of what was bad. Whole numbers, so that they stay exact. */
export class RatioWindow {
  private readonly ring: Ring
  private readonly alls: Float64Array
  private readonly bads: Float64Array
  private allSum = 0
  private badSum = 0

  constructor(windowMs: number, nowMs: number) {
    this.ring = new Ring(windowMs, buckets, nowMs)
    this.alls = new Float64Array(this.ring.size)
    this.bads = new Float64Array(this.ring.size)
  }

  add(nowMs: number, all: number, bad: number): void {
    const index = this.index(nowMs)
    this.alls[index]! += all
    this.bads[index]! += bad
    this.allSum += all
    this.badSum += bad
  }

  all(nowMs: number): number {
    this.index(nowMs)
    return this.allSum
  }

  bad(nowMs: number): number {
    this.index(nowMs)
    return this.badSum
  }

  /** The share of the bad; 0 of nothing. */
  ratio(nowMs: number): number {
    const all = this.all(nowMs)
    return all === 0 ? 0 : this.badSum / all
  }

  private index(nowMs: number): number {
    return this.ring.at(nowMs, this.drop)
  }

  private readonly drop = (index: number): void => {
    this.allSum -= this.alls[index]!
    this.badSum -= this.bads[index]!
    this.alls[index] = 0
    this.bads[index] = 0
  }
}

/** From 1 ms to a day in steps of 8.5 % (Masson, Rim and Lee, "DDSketch", VLDB 2019). */
const growth = 1.085
const logGrowth = Math.log(growth)
const steps = Math.ceil(Math.log(86_400_000) / logGrowth) + 1
const parts = 12

/** Quantiles of the last while: never below the true one of the samples, and at most 8.5 % above. About 12 KB. */
export class QuantileWindow {
  private readonly ring: Ring
  private readonly counts: ReadonlyArray<Uint32Array>
  private readonly sums = new Uint32Array(steps)
  private total = 0

  constructor(windowMs: number, nowMs: number) {
    this.ring = new Ring(windowMs, parts, nowMs)
    this.counts = Array.from({ length: this.ring.size }, () => new Uint32Array(steps))
  }

  add(nowMs: number, ms: number): void {
    if (!(ms >= 0)) return
    const step = ms <= 1 ? 0 : Math.min(steps - 1, Math.ceil(Math.log(ms) / logGrowth))
    this.counts[this.index(nowMs)]![step]! += 1
    this.sums[step]! += 1
    this.total += 1
  }

  count(nowMs: number): number {
    this.index(nowMs)
    return this.total
  }

  /** In milliseconds; 0 of nothing. */
  quantile(nowMs: number, q: number): number {
    this.index(nowMs)
    if (this.total === 0) return 0
    const rank = Math.max(1, Math.ceil(q * this.total))
    let seen = 0
    for (let step = 0; step < steps; step++) {
      seen += this.sums[step]!
      if (seen >= rank) return growth ** step
    }
    return growth ** (steps - 1)
  }

  private index(nowMs: number): number {
    return this.ring.at(nowMs, this.drop)
  }

  private readonly drop = (index: number): void => {
    const counts = this.counts[index]!
    for (let step = 0; step < steps; step++) {
      const count = counts[step]!
      if (count === 0) continue
      this.sums[step]! -= count
      this.total -= count
    }
    counts.fill(0)
  }
}
