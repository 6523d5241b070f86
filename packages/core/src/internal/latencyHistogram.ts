/**
 * Quantiles of recent latencies in constant memory: a histogram whose buckets grow by a fixed factor, so that every
 * answer is right to within that factor (Masson, Rim and Lee, "DDSketch", VLDB 2019), and in which a sample weighs
 * half after each half-life (forward decay in steps; Cormode et al., ICDE 2009).
 *
 * 187 buckets from 1 ms to an hour, 748 bytes.
 */

const growth = 1.085
const logGrowth = Math.log(growth)
const buckets = Math.ceil(Math.log(3_600_000) / logGrowth) + 1

export class LatencyHistogram {
  private readonly weights = new Float32Array(buckets)
  private readonly halfLifeMs: number
  private decayedMs: number
  private sum = 0
  /** The last answer; dropped when something changes. */
  private cached: { readonly q: number; readonly ms: number } | undefined = undefined

  constructor(halfLifeMs: number, nowMs: number) {
    this.halfLifeMs = halfLifeMs
    this.decayedMs = nowMs
  }

  /** Adds a latency; below 1 ms counts as 1 ms, above an hour as an hour. What is no latency is left out. */
  add(ms: number, nowMs: number): void {
    if (!(ms >= 0)) return
    this.decay(nowMs)
    const index = ms <= 1 ? 0 : Math.min(buckets - 1, Math.ceil(Math.log(ms) / logGrowth))
    this.weights[index]! += 1
    this.sum += 1
    this.cached = undefined
  }

  /** How many samples it stands for, old ones counting less. */
  weight(nowMs: number): number {
    this.decay(nowMs)
    return this.sum
  }

  /** The quantile in milliseconds: never below the true one, and at most 8.5 % above. `undefined` without samples. */
  quantile(q: number, nowMs: number): number | undefined {
    this.decay(nowMs)
    if (this.sum <= 0) return undefined
    if (this.cached?.q === q) return this.cached.ms
    // The sum is kept apart from the weights, and rounding must not carry the search past the last of them.
    const rank = q * this.sum * (1 - 1e-6)
    let seen = 0
    let last = 0
    for (let index = 0; index < buckets; index++) {
      const weight = this.weights[index]!
      if (weight === 0) continue
      last = index
      seen += weight
      if (seen >= rank) break
    }
    const ms = growth ** last
    this.cached = { q, ms }
    return ms
  }

  /** Halves everything once for each half-life that is over. */
  private decay(nowMs: number): void {
    const halvings = Math.floor((nowMs - this.decayedMs) / this.halfLifeMs)
    if (!(halvings > 0)) return
    this.decayedMs += halvings * this.halfLifeMs
    this.cached = undefined
    const factor = 0.5 ** halvings
    this.sum = 0
    for (let index = 0; index < buckets; index++) {
      const weight = this.weights[index]! * factor
      // What weighs next to nothing is gone, so that an idle key ends up empty.
      this.weights[index] = weight < 1e-3 ? 0 : weight
      this.sum += this.weights[index]!
    }
  }
}
