/**
 * Waiters in order: a higher priority first, and within one priority first come, first served. Joining and
 * leaving anywhere cost O(1) (O(log n) for a waiter with a deadline), whatever the length.
 *
 * A waiter that has waited for `patienceMs` goes before everything younger, whatever the priority, so that
 * nobody waits for ever.
 */

/** One waiter. Its links belong to the queue. */
export class Waiter<A> {
  readonly value: A
  readonly priority: number
  readonly weight: number
  readonly sinceMs: number
  /** Counts up with every waiter of the queue: who came first. */
  readonly order: number
  /** When the waiter gives up, in milliseconds; `Infinity` for never. */
  readonly deadlineMs: number
  /** @internal */ level: Level<A> | undefined = undefined
  /** @internal */ previous: Waiter<A> | undefined = undefined
  /** @internal */ next: Waiter<A> | undefined = undefined
  /** @internal */ heapIndex = -1

  constructor(value: A, order: number, options: WaiterOptions) {
    this.value = value
    this.order = order
    this.priority = options.priority ?? 0
    this.weight = options.weight ?? 1
    this.sinceMs = options.sinceMs
    this.deadlineMs = options.deadlineMs ?? Infinity
  }

  get queued(): boolean {
    return this.level !== undefined
  }
}

export interface WaiterOptions {
  readonly sinceMs: number
  /** Higher goes first. Default 0. */
  readonly priority?: number
  /** Default 1. */
  readonly weight?: number
  readonly deadlineMs?: number
}

interface Level<A> {
  readonly priority: number
  head: Waiter<A> | undefined
  tail: Waiter<A> | undefined
  weight: number
}

export class WaitQueue<A> {
  /** The highest priority first; only levels with waiters. */
  private readonly levels: Array<Level<A>> = []
  /** A binary heap by deadline. */
  private readonly heap: Array<Waiter<A>> = []
  private readonly patienceMs: number
  private count = 0
  private joined = 0

  constructor(patienceMs = Infinity) {
    this.patienceMs = patienceMs
  }

  get size(): number {
    return this.count
  }

  /** The earliest deadline; `Infinity` if there is none. */
  get nextDeadlineMs(): number {
    return this.heap[0]?.deadlineMs ?? Infinity
  }

  push(value: A, options: WaiterOptions): Waiter<A> {
    const waiter = new Waiter(value, this.joined++, options)
    const level = this.levelOf(waiter.priority)
    waiter.level = level
    waiter.previous = level.tail
    if (level.tail === undefined) level.head = waiter
    else level.tail.next = waiter
    level.tail = waiter
    level.weight += waiter.weight
    this.count++
    if (waiter.deadlineMs !== Infinity) {
      waiter.heapIndex = this.heap.push(waiter) - 1
      this.up(waiter)
    }
    return waiter
  }

  /** Whose turn it is. */
  first(nowMs: number): Waiter<A> | undefined {
    let best = this.levels[0]?.head
    if (best === undefined || this.levels.length === 1) return best
    for (let i = 1; i < this.levels.length; i++) {
      const head = this.levels[i]!.head!
      if (nowMs - head.sinceMs >= this.patienceMs && head.order < best.order) best = head
    }
    return best
  }

  /** The one that came last among the highest priority: whose turn it is when the newest goes first. */
  newest(): Waiter<A> | undefined {
    return this.levels[0]?.tail
  }

  /** The one that came last among the lowest priority: who goes when there is no room. */
  least(): Waiter<A> | undefined {
    return this.levels[this.levels.length - 1]?.tail
  }

  /** The weight of all who go before a newcomer of this priority. */
  weightBefore(priority: number, nowMs: number): number {
    let sum = 0
    for (const level of this.levels) {
      if (level.priority >= priority) sum += level.weight
      else if (nowMs - level.head!.sinceMs >= this.patienceMs) sum += level.head!.weight
    }
    return sum
  }

  /** Takes a waiter out, wherever it stands. False if it is out already. */
  remove(waiter: Waiter<A>): boolean {
    const level = waiter.level
    if (level === undefined) return false
    if (waiter.previous === undefined) level.head = waiter.next
    else waiter.previous.next = waiter.next
    if (waiter.next === undefined) level.tail = waiter.previous
    else waiter.next.previous = waiter.previous
    level.weight -= waiter.weight
    if (level.head === undefined) this.levels.splice(this.levels.indexOf(level), 1)
    waiter.level = waiter.previous = waiter.next = undefined
    this.count--
    if (waiter.heapIndex >= 0) this.leaveHeap(waiter)
    return true
  }

  /** Takes out a waiter whose deadline has come, if there is one. */
  removeExpired(nowMs: number): Waiter<A> | undefined {
    const waiter = this.heap[0]
    if (waiter === undefined || waiter.deadlineMs > nowMs) return undefined
    this.remove(waiter)
    return waiter
  }

  private levelOf(priority: number): Level<A> {
    let low = 0
    let high = this.levels.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.levels[middle]!.priority > priority) low = middle + 1
      else high = middle
    }
    const found = this.levels[low]
    if (found !== undefined && found.priority === priority) return found
    const level: Level<A> = { priority, head: undefined, tail: undefined, weight: 0 }
    this.levels.splice(low, 0, level)
    return level
  }

  private leaveHeap(waiter: Waiter<A>): void {
    const index = waiter.heapIndex
    waiter.heapIndex = -1
    const last = this.heap.pop()!
    if (last === waiter) return
    this.place(last, index)
    this.up(last)
    this.down(last)
  }

  private place(waiter: Waiter<A>, index: number): void {
    this.heap[index] = waiter
    waiter.heapIndex = index
  }

  private up(waiter: Waiter<A>): void {
    while (waiter.heapIndex > 0) {
      const parent = this.heap[(waiter.heapIndex - 1) >>> 1]!
      if (parent.deadlineMs <= waiter.deadlineMs) return
      const index = waiter.heapIndex
      this.place(waiter, parent.heapIndex)
      this.place(parent, index)
    }
  }

  private down(waiter: Waiter<A>): void {
    while (true) {
      const left = 2 * waiter.heapIndex + 1
      let child = this.heap[left]
      const right = this.heap[left + 1]
      if (right !== undefined && right.deadlineMs < child!.deadlineMs) child = right
      if (child === undefined || child.deadlineMs >= waiter.deadlineMs) return
      const index = waiter.heapIndex
      this.place(waiter, child.heapIndex)
      this.place(child, index)
    }
  }
}
