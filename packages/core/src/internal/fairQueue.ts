/**
 * Who is next: a higher priority first, within a priority the partitions in turn, within a partition first come,
 * first served, or the newest first while the queue is long.
 *
 * Round robin over partitions is fair queueing for requests of one size (Nagle, "On packet switches with infinite
 * storage", RFC 970). A full queue makes room at the expense of the longest partition, so that nobody can shut the
 * others out by filling it (McKenney, "Stochastic fairness queueing", 1990). Newest first under pressure: Maurer,
 * "Fail at scale", ACM Queue 13(8), 2015.
 *
 * Everything costs O(1), but O(log n) for a waiter with a deadline.
 */
import { type Waiter, WaitQueue } from "./waitQueue.ts"

/** The place of one waiter. Its links belong to the queue. */
export class Place<A> {
  readonly value: A
  /** @internal */ readonly lane: Lane<A>
  /** @internal */ previous: Place<A> | undefined = undefined
  /** @internal */ next: Place<A> | undefined = undefined
  /** @internal */ waiter: Waiter<Place<A>> | undefined = undefined

  constructor(value: A, lane: Lane<A>) {
    this.value = value
    this.lane = lane
  }

  /** When it joined, in milliseconds. Only while it waits. */
  get sinceMs(): number {
    return this.waiter!.sinceMs
  }
}

export interface PlaceOptions {
  readonly sinceMs: number
  readonly deadlineMs: number
  /** Higher goes first. */
  readonly priority: number
  readonly partition: string
}

/** The waiters of one partition within one priority, in the order they came. */
class Lane<A> {
  readonly partition: string
  readonly level: Level<A>
  head: Place<A> | undefined = undefined
  tail: Place<A> | undefined = undefined
  length = 0
  /** Its neighbours in the circle of lanes. */
  before: Lane<A> = this
  after: Lane<A> = this
  /** Its neighbours among the lanes of its length. */
  shelfBefore: Lane<A> | undefined = undefined
  shelfAfter: Lane<A> | undefined = undefined

  constructor(partition: string, level: Level<A>) {
    this.partition = partition
    this.level = level
  }

  push(place: Place<A>): void {
    place.previous = this.tail
    if (this.tail === undefined) this.head = place
    else this.tail.next = place
    this.tail = place
    this.level.resized(this, this.length++)
  }

  remove(place: Place<A>): void {
    if (place.previous === undefined) this.head = place.next
    else place.previous.next = place.next
    if (place.next === undefined) this.tail = place.previous
    else place.next.previous = place.previous
    place.previous = place.next = undefined
    this.level.resized(this, this.length--)
  }
}

/** The lanes of one priority: in a circle, and by their length. */
class Level<A> {
  /** Whose turn it is. */
  turn: Lane<A> | undefined = undefined
  longest = 0
  readonly lanes = new Map<string, Lane<A>>()
  /** The first lane of each length. */
  private readonly shelves: Array<Lane<A> | undefined> = []

  lane(partition: string): Lane<A> {
    let lane = this.lanes.get(partition)
    if (lane === undefined) {
      lane = new Lane(partition, this)
      this.lanes.set(partition, lane)
      if (this.turn === undefined) this.turn = lane
      else {
        // The last in the circle stands before the one whose turn it is.
        lane.after = this.turn
        lane.before = this.turn.before
        lane.before.after = lane.after.before = lane
      }
    }
    return lane
  }

  anyLongest(): Lane<A> | undefined {
    return this.shelves[this.longest]
  }

  /** To be told when a lane has grown or shrunk by one. */
  resized(lane: Lane<A>, from: number): void {
    const to = lane.length
    if (from > 0) this.unshelve(lane, from)
    if (to > 0) this.shelve(lane, to)
    else this.drop(lane)
    if (to > this.longest || (from === this.longest && this.shelves[from] === undefined)) this.longest = to
  }

  private shelve(lane: Lane<A>, length: number): void {
    const first = this.shelves[length]
    if (first !== undefined) first.shelfBefore = lane
    lane.shelfBefore = undefined
    lane.shelfAfter = first
    this.shelves[length] = lane
  }

  private unshelve(lane: Lane<A>, length: number): void {
    if (lane.shelfBefore === undefined) this.shelves[length] = lane.shelfAfter
    else lane.shelfBefore.shelfAfter = lane.shelfAfter
    if (lane.shelfAfter !== undefined) lane.shelfAfter.shelfBefore = lane.shelfBefore
  }

  private drop(lane: Lane<A>): void {
    this.lanes.delete(lane.partition)
    if (this.turn === lane) this.turn = lane.after === lane ? undefined : lane.after
    lane.before.after = lane.after
    lane.after.before = lane.before
  }
}

export class FairQueue<A> {
  /** All of them: for deadlines, and for those whose patience is at its end. */
  private readonly waiting: WaitQueue<Place<A>>
  private readonly levels = new Map<number, Level<A>>()
  private readonly newestAbove: number

  /** More than `newestAbove` waiters are pressure: the newest go first. `Infinity` for never. */
  constructor(options: { readonly patienceMs: number; readonly newestAbove: number }) {
    this.waiting = new WaitQueue(options.patienceMs)
    this.newestAbove = options.newestAbove
  }

  get size(): number {
    return this.waiting.size
  }

  /** The earliest deadline; `Infinity` if there is none. */
  get nextDeadlineMs(): number {
    return this.waiting.nextDeadlineMs
  }

  push(value: A, options: PlaceOptions): Place<A> {
    let level = this.levels.get(options.priority)
    if (level === undefined) this.levels.set(options.priority, (level = new Level()))
    const lane = level.lane(options.partition)
    const place = new Place(value, lane)
    place.waiter = this.waiting.push(place, options)
    lane.push(place)
    return place
  }

  /** Takes out the one whose turn it is. */
  take(nowMs: number): Place<A> | undefined {
    const first = this.waiting.first(nowMs)
    if (first === undefined) return undefined
    const highest = this.waiting.newest()!.priority
    const place = first.priority < highest ? first.value : this.next(this.levels.get(highest)!)
    this.remove(place)
    return place
  }

  /** Takes a waiter out, wherever it stands. False if it is out already. */
  remove(place: Place<A>): boolean {
    if (!this.waiting.remove(place.waiter!)) return false
    this.leave(place)
    return true
  }

  /** Takes out a waiter whose deadline has come, if there is one. */
  removeExpired(nowMs: number): Place<A> | undefined {
    const waiter = this.waiting.removeExpired(nowMs)
    if (waiter === undefined) return undefined
    this.leave(waiter.value)
    return waiter.value
  }

  /** Who should give way to a newcomer in a full queue; `undefined` if it is the newcomer itself. */
  givesWay(priority: number, partition: string): Place<A> | undefined {
    const lowest = this.waiting.least()?.priority
    if (lowest === undefined || lowest > priority) return undefined
    const pressure = this.size > this.newestAbove
    const level = this.levels.get(lowest)!
    const longest = level.anyLongest()!
    if (lowest === priority) {
      const own = level.lanes.get(partition)?.length ?? 0
      // Under pressure the newcomer is better off than the oldest of its own.
      if (own === longest.length) return pressure ? level.lanes.get(partition)!.head : undefined
      if (own + 1 === longest.length && !pressure) return undefined
    }
    return pressure ? longest.head : longest.tail
  }

  /** How many wait, by partition. */
  partitions(): ReadonlyMap<string, number> {
    const sums = new Map<string, number>()
    for (const level of this.levels.values()) {
      for (const { length, partition } of level.lanes.values()) sums.set(partition, (sums.get(partition) ?? 0) + length)
    }
    return sums
  }

  private leave(place: Place<A>): void {
    const { lane } = place
    lane.remove(place)
    if (lane.level.turn === undefined) this.levels.delete(place.waiter!.priority)
  }

  private next(level: Level<A>): Place<A> {
    const lane = level.turn!
    level.turn = lane.after
    return this.size > this.newestAbove ? lane.tail! : lane.head!
  }
}
