/**
 * The slots of one key of a bulkhead, and who waits for them. A slot that becomes free goes to a waiter in the same
 * step: nobody can come between, and while somebody waits no slot is free.
 */
import { FairQueue, type Place } from "./fairQueue.ts"

export interface QueueSettings {
  readonly patienceMs: number
  readonly newestAbove: number
}

export class Compartment<A> {
  readonly key: string
  limit: number
  /** Slots that are taken. More than `limit` for a while after it was lowered. */
  active = 0
  private line: FairQueue<A> | undefined = undefined
  private readonly settings: QueueSettings

  constructor(key: string, limit: number, settings: QueueSettings) {
    this.key = key
    this.limit = limit
    this.settings = settings
  }

  /** Made for the first one who has to wait. */
  get queue(): FairQueue<A> {
    return (this.line ??= new FairQueue(this.settings))
  }

  get queued(): number {
    return this.line === undefined ? 0 : this.line.size
  }

  get idle(): boolean {
    return this.active === 0 && this.queued === 0
  }

  /** Takes a slot if one is free. */
  enter(): boolean {
    if (this.active >= this.limit) return false
    this.active++
    return true
  }

  /** Gives a slot back; `grant` then says who gets it. */
  leave(): void {
    this.active--
  }

  /** Gives a free slot to the one whose turn it is. */
  grant(nowMs: number): Place<A> | undefined {
    if (this.queued === 0 || this.active >= this.limit) return undefined
    this.active++
    return this.queue.take(nowMs)
  }
}
