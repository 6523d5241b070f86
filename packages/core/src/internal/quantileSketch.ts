/**
 * Quantiles of times in bounded memory, which can be added up: DDSketch (Masson, Rim and Lee, VLDB 2019).
 *
 * A time falls into the bin of its logarithm, so that a quantile is within 1 % of the true one, whatever the
 * distribution. Two sketches are added by adding their bins: in any order and grouping the sum is the same, and it is
 * the sketch of all their times.
 *
 * Times below a microsecond count as 0, those above a billion milliseconds (eleven days) as that: 1,382 bins at most,
 * of which only the stretch that is in use is there, so that a sketch of ordinary latencies takes 1 to 3 KB.
 */

/** How far a quantile may be from the true one, as a share of it. */
export const relativeError = 0.01

const gamma = (1 + relativeError) / (1 - relativeError)
const perLog = 1 / Math.log(gamma)
const minMs = 1e-3
const maxMs = 1e9
const firstIndex = Math.ceil(Math.log(minMs) * perLog)
const lastIndex = Math.ceil(Math.log(maxMs) * perLog)
/** Bins are made so many at a time. */
const chunk = 64

const indexOf = (ms: number): number => Math.max(firstIndex, Math.ceil(Math.log(ms) * perLog))
/** The middle of a bin: no time of it is more than the relative error away. */
const valueOf = (index: number): number => (2 * gamma ** index) / (gamma + 1)

/** A sketch as JSON. */
export interface SketchState {
  /** Times that count as 0. */
  readonly zero: number
  /** Bins that are not empty, as index, count, index, count, … */
  readonly bins: ReadonlyArray<number>
  /** In microseconds, and whole: sums of these do not depend on their order. */
  readonly sumMicros: number
  /** In milliseconds, exact; both 0 without a time. */
  readonly minMs: number
  readonly maxMs: number
}

export class QuantileSketch {
  count = 0
  private zero = 0
  private sumMicros = 0
  private min = Infinity
  private max = -Infinity
  /** Counts of the bins from `offset` on. */
  private bins = new Float64Array(0)
  private offset = 0

  /** Adds a time. What is no time is left out. */
  add(ms: number): void {
    if (!(ms >= 0)) return
    const time = ms > maxMs ? maxMs : ms
    if (time < minMs) this.zero += 1
    else this.put(indexOf(time), 1)
    this.note(1, Math.round(time * 1000), time, time)
  }

  /** Adds all times of another sketch. */
  merge(state: SketchState): void {
    const { bins } = state
    let count = state.zero
    this.zero += state.zero
    for (let at = 0; at + 1 < bins.length; at += 2) {
      const index = Math.min(lastIndex, Math.max(firstIndex, bins[at]!))
      this.put(index, bins[at + 1]!)
      count += bins[at + 1]!
    }
    if (count > 0) this.note(count, state.sumMicros, state.minMs, state.maxMs)
  }

  /** The quantile in milliseconds, within 1 % of the true one; 0 without a time. `q` is from 0 to 1. */
  quantile(q: number): number {
    if (this.count === 0) return 0
    const rank = q * (this.count - 1)
    let seen = this.zero
    if (seen > rank) return this.min
    for (let slot = 0; slot < this.bins.length; slot++) {
      seen += this.bins[slot]!
      if (seen > rank) return Math.min(this.max, Math.max(this.min, valueOf(this.offset + slot)))
    }
    return this.max
  }

  /** 0 without a time. */
  meanMs(): number {
    return this.count === 0 ? 0 : this.sumMicros / 1000 / this.count
  }

  /** 0 without a time. */
  maxMs(): number {
    return this.count === 0 ? 0 : this.max
  }

  /** Forgets everything, and keeps its memory for the next times. */
  clear(): void {
    this.count = this.zero = this.sumMicros = 0
    this.min = Infinity
    this.max = -Infinity
    this.bins.fill(0)
  }

  state(): SketchState {
    const bins: Array<number> = []
    for (let slot = 0; slot < this.bins.length; slot++) {
      if (this.bins[slot]! > 0) bins.push(this.offset + slot, this.bins[slot]!)
    }
    const empty = this.count === 0
    return {
      zero: this.zero,
      bins,
      sumMicros: this.sumMicros,
      minMs: empty ? 0 : this.min,
      maxMs: empty ? 0 : this.max
    }
  }

  private note(count: number, sumMicros: number, min: number, max: number): void {
    this.count += count
    this.sumMicros += sumMicros
    if (min < this.min) this.min = min
    if (max > this.max) this.max = max
  }

  private put(index: number, count: number): void {
    // First: it may put another array in place.
    const slot = this.slot(index)
    this.bins[slot]! += count
  }

  /** The place of a bin; makes room for it if need be. */
  private slot(index: number): number {
    const slot = index - this.offset
    if (slot >= 0 && slot < this.bins.length) return slot
    if (this.bins.length === 0) {
      this.offset = Math.max(firstIndex, index - chunk / 2)
      this.bins = new Float64Array(chunk)
      return this.slot(index)
    }
    const from = Math.min(this.offset, Math.max(firstIndex, index - chunk / 2))
    const to = Math.max(this.offset + this.bins.length, Math.min(lastIndex + 1, index + chunk / 2))
    const grown = new Float64Array(to - from)
    grown.set(this.bins, this.offset - from)
    this.bins = grown
    this.offset = from
    return index - from
  }
}
