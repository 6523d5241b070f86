/** What waits to be sent: metrics in order and within a bound, parameters and tags by their key. */
import * as Limits from "./limits.ts"

export interface Metric {
  readonly key: string
  readonly value: number
  /** Milliseconds since 1970, whole. */
  readonly timestamp: number
  readonly step: number
}

export interface Pair {
  readonly key: string
  readonly value: string
}

/** One `runs/log-batch`. */
export interface Batch {
  readonly metrics: ReadonlyArray<Metric>
  readonly params: ReadonlyArray<Pair>
  readonly tags: ReadonlyArray<Pair>
}

/** Parameters and tags that wait at most, of each. */
const maxPairs = 1_000

const encoder = new TextEncoder()
const bytesOf = (pair: Pair): number => encoder.encode(JSON.stringify(pair)).length + 1

export class Outbox {
  dropped: number
  private readonly capacity: number
  private metrics: Array<Metric> = []
  private readonly params = new Map<string, string>()
  private readonly tags = new Map<string, string>()

  /** `dropped`: what one before it has dropped. */
  constructor(capacity: number, dropped = 0) {
    this.capacity = capacity
    this.dropped = dropped
  }

  get size(): number {
    return this.metrics.length + this.params.size + this.tags.size
  }

  /** Enough for a full batch. */
  get isFull(): boolean {
    return this.metrics.length >= Limits.maxMetrics
  }

  /** What is no number of this world is left out. When there is no room, the oldest tenth goes. */
  metric(metric: Metric): void {
    if (!Number.isFinite(metric.value)) return
    if (this.metrics.length >= this.capacity) {
      const gone = Math.max(1, Math.floor(this.capacity / 10))
      this.metrics = this.metrics.slice(gone)
      this.dropped += gone
    }
    this.metrics.push({ ...metric, key: Limits.keyOf(metric.key) })
  }

  /** A parameter's first value counts: the server refuses another one. */
  param(key: string, value: string): void {
    const name = Limits.keyOf(key)
    if (this.params.has(name)) return
    if (this.params.size >= maxPairs) this.dropped++
    else this.params.set(name, Limits.paramOf(value))
  }

  /** A tag's last value counts. */
  tag(key: string, value: string): void {
    const name = Limits.keyOf(key)
    if (this.tags.size >= maxPairs && !this.tags.has(name)) this.dropped++
    else this.tags.set(name, Limits.tagOf(value))
  }

  /** The first of what waits, within all limits; it stays until it is {@link sent}. */
  next(): Batch {
    let bytes = 200
    const take = (pairs: ReadonlyMap<string, string>, most: number): ReadonlyArray<Pair> => {
      const taken: Array<Pair> = []
      for (const [key, value] of pairs) {
        const pair = { key, value }
        const size = bytesOf(pair)
        if (taken.length >= most || bytes + size > Limits.maxBytes) break
        bytes += size
        taken.push(pair)
      }
      return taken
    }
    const params = take(this.params, Limits.maxParams)
    const tags = take(this.tags, Limits.maxTags)
    const metrics: Array<Metric> = []
    const room = Math.min(Limits.maxMetrics, Limits.maxEntities - params.length - tags.length)
    for (const metric of this.metrics) {
      // Keys are ASCII; the rest of a metric is three numbers.
      const size = metric.key.length + 120
      if (metrics.length >= room || bytes + size > Limits.maxBytes) break
      bytes += size
      metrics.push(metric)
    }
    return { metrics, params, tags }
  }

  /** Takes a batch out. Tags that were set anew meanwhile stay. */
  sent(batch: Batch): void {
    const last = batch.metrics[batch.metrics.length - 1]
    // Some may have been pushed out meanwhile: what was sent is up to its last one.
    if (last !== undefined) {
      const index = this.metrics.indexOf(last)
      if (index >= 0) this.metrics = this.metrics.slice(index + 1)
    }
    for (const { key } of batch.params) this.params.delete(key)
    for (const { key, value } of batch.tags) if (this.tags.get(key) === value) this.tags.delete(key)
  }
}

export const isEmpty = ({ metrics, params, tags }: Batch): boolean => metrics.length + params.length + tags.length === 0
