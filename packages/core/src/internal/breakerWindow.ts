/**
 * What a circuit breaker remembers of finished calls: three windows of constant memory.
 *
 * - the last T milliseconds, as a queue of buckets
 * - the last N calls, as a ring
 * - the runs of failed and of slow calls
 */

/** Calls in a window. In a window of runs, `failures` and `slow` are the lengths of the running runs. */
interface Tally {
  readonly calls: number
  readonly failures: number
  readonly slow: number
}

/** A window in plain data, with ages instead of times: it can outlive the process. */
type SavedWindow =
  | {
      readonly kind: "time"
      /** Oldest first. */
      readonly buckets: ReadonlyArray<Tally & { readonly ageMs: number }>
    }
  | {
      readonly kind: "count"
      /** Oldest first; bit 1 for a failure, bit 2 for a slow call. */
      readonly outcomes: ReadonlyArray<number>
    }
  | (Tally & { readonly kind: "consecutive" })

export interface Window extends Tally {
  readonly record: (nowMs: number, failed: boolean, slow: boolean) => void
  /** Drops what has grown too old. */
  readonly advance: (nowMs: number) => void
  readonly clear: () => void
  readonly save: (nowMs: number) => SavedWindow
  /** Takes over a saved window of the same kind; leaves itself empty for another kind. */
  readonly load: (saved: SavedWindow, nowMs: number) => void
}

interface Bucket {
  slot: number
  calls: number
  failures: number
  slow: number
  next: Bucket | undefined
}

/**
 * The last `spanMs` milliseconds in `buckets` buckets and the running one. Buckets exist only where there was
 * traffic. A call is counted for at least `spanMs`, and for less than `spanMs` and one bucket more: it never
 * expires early.
 */
class TimeWindow implements Window {
  calls = 0
  failures = 0
  slow = 0
  private head: Bucket | undefined = undefined
  private tail: Bucket | undefined = undefined
  private readonly widthMs: number
  private readonly buckets: number

  constructor(spanMs: number, buckets: number) {
    this.widthMs = spanMs / buckets
    this.buckets = buckets
  }

  record(nowMs: number, failed: boolean, slow: boolean): void {
    const slot = Math.floor(nowMs / this.widthMs)
    let tail = this.tail
    if (tail === undefined || tail.slot < slot) tail = this.append(slot)
    tail.calls++
    this.calls++
    if (failed) {
      tail.failures++
      this.failures++
    }
    if (slow) {
      tail.slow++
      this.slow++
    }
  }

  advance(nowMs: number): void {
    this.expire(Math.floor(nowMs / this.widthMs))
  }

  clear(): void {
    this.head = this.tail = undefined
    this.calls = this.failures = this.slow = 0
  }

  save(nowMs: number): SavedWindow {
    const slot = Math.floor(nowMs / this.widthMs)
    const buckets: Array<Tally & { readonly ageMs: number }> = []
    for (let each = this.head; each !== undefined; each = each.next) {
      const ageMs = Math.max(0, slot - each.slot) * this.widthMs
      buckets.push({ ageMs, calls: each.calls, failures: each.failures, slow: each.slow })
    }
    return { kind: "time", buckets }
  }

  load(saved: SavedWindow, nowMs: number): void {
    this.clear()
    if (saved.kind !== "time") return
    const slot = Math.floor(nowMs / this.widthMs)
    for (const each of saved.buckets) {
      const at = slot - Math.round(each.ageMs / this.widthMs)
      const tail = this.tail === undefined || this.tail.slot < at ? this.append(at) : this.tail
      tail.calls += each.calls
      tail.failures += each.failures
      tail.slow += each.slow
      this.calls += each.calls
      this.failures += each.failures
      this.slow += each.slow
    }
    this.expire(slot)
  }

  /** The spent bucket at the head is used again, so that a busy window allocates nothing. */
  private append(slot: number): Bucket {
    const spent = this.expire(slot)
    const bucket: Bucket = spent ?? { slot, calls: 0, failures: 0, slow: 0, next: undefined }
    bucket.slot = slot
    bucket.calls = bucket.failures = bucket.slow = 0
    bucket.next = undefined
    if (this.tail === undefined) this.head = bucket
    else this.tail.next = bucket
    this.tail = bucket
    return bucket
  }

  private expire(slot: number): Bucket | undefined {
    let spent: Bucket | undefined
    while (this.head !== undefined && slot - this.head.slot > this.buckets) {
      spent = this.head
      this.calls -= spent.calls
      this.failures -= spent.failures
      this.slow -= spent.slow
      this.head = spent.next
    }
    if (this.head === undefined) this.tail = undefined
    return spent
  }
}

/** The last `size` calls. The ring grows with the calls seen, up to `size` bytes. */
class CountWindow implements Window {
  calls = 0
  failures = 0
  slow = 0
  private ring: Uint8Array
  private at = 0
  private readonly size: number

  constructor(size: number) {
    this.size = size
    this.ring = new Uint8Array(Math.min(size, 16))
  }

  record(_nowMs: number, failed: boolean, slow: boolean): void {
    if (this.calls === this.size) {
      const oldest = this.ring[this.at]!
      this.failures -= oldest & 1
      this.slow -= oldest >> 1
    } else {
      if (this.calls === this.ring.length) this.grow()
      this.calls++
    }
    this.ring[this.at] = (failed ? 1 : 0) | (slow ? 2 : 0)
    if (failed) this.failures++
    if (slow) this.slow++
    this.at = this.at + 1 === this.size ? 0 : this.at + 1
  }

  advance(): void {}

  clear(): void {
    this.calls = this.failures = this.slow = this.at = 0
  }

  save(): SavedWindow {
    const outcomes: Array<number> = []
    const oldest = this.calls === this.size ? this.at : 0
    for (let index = 0; index < this.calls; index++) outcomes.push(this.ring[(oldest + index) % this.size]!)
    return { kind: "count", outcomes }
  }

  load(saved: SavedWindow): void {
    this.clear()
    if (saved.kind !== "count") return
    for (const outcome of saved.outcomes) this.record(0, (outcome & 1) === 1, (outcome & 2) === 2)
  }

  private grow(): void {
    const ring = new Uint8Array(Math.min(this.size, this.ring.length * 2))
    ring.set(this.ring)
    this.ring = ring
  }
}

/** How many calls failed one after the other, and how many were slow. */
class RunWindow implements Window {
  calls = 0
  failures = 0
  slow = 0

  record(_nowMs: number, failed: boolean, slow: boolean): void {
    this.calls++
    this.failures = failed ? this.failures + 1 : 0
    this.slow = slow ? this.slow + 1 : 0
  }

  advance(): void {}

  clear(): void {
    this.calls = this.failures = this.slow = 0
  }

  save(): SavedWindow {
    return { kind: "consecutive", calls: this.calls, failures: this.failures, slow: this.slow }
  }

  load(saved: SavedWindow): void {
    this.clear()
    if (saved.kind !== "consecutive") return
    this.calls = saved.calls
    this.failures = saved.failures
    this.slow = saved.slow
  }
}

export type WindowSettings =
  | { readonly kind: "time"; readonly spanMs: number; readonly buckets: number }
  | { readonly kind: "count"; readonly size: number }
  | { readonly kind: "consecutive"; readonly length: number }

export const makeWindow = (settings: WindowSettings): Window => {
  switch (settings.kind) {
    case "time":
      return new TimeWindow(settings.spanMs, settings.buckets)
    case "count":
      return new CountWindow(settings.size)
    case "consecutive":
      return new RunWindow()
  }
}
