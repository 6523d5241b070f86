/**
 * Readers of the events as they happen. Each has a bounded queue of its own whose oldest entries go first: a slow reader
 * holds up nobody. With no readers an event costs nothing.
 */
import type { Event } from "@breakwater/core"
import { plainEvent } from "./PlainEvent.ts"

/** Readers at the same time. */
export const maxReaders = 16
/** Events that wait for one reader. */
const maxWaiting = 512

/** What a reader has not seen yet. */
export interface Batch {
  /** Events as JSON. */
  readonly events: ReadonlyArray<string>
  /** Events that went lost before these. */
  readonly dropped: number
}

export class Reader {
  private waiting: Array<string> = []
  private dropped = 0
  private waker: (() => void) | undefined = undefined

  push(event: string): void {
    // Twice the bound, then half of it at once: dropping one at a time would move the whole queue every time.
    if (this.waiting.length >= 2 * maxWaiting) this.cut()
    this.waiting.push(event)
    const wake = this.waker
    this.waker = undefined
    wake?.()
  }

  /** Everything that waits. */
  take(): Batch {
    if (this.waiting.length > maxWaiting) this.cut()
    const batch = { events: this.waiting, dropped: this.dropped }
    this.waiting = []
    this.dropped = 0
    return batch
  }

  /** Calls back once, as soon as there is something to take; the answer takes the request back. */
  onReady(wake: () => void): () => void {
    if (this.waiting.length > 0) wake()
    else this.waker = wake
    return () => {
      this.waker = undefined
    }
  }

  private cut(): void {
    const tooMany = this.waiting.length - maxWaiting
    this.waiting.splice(0, tooMany)
    this.dropped += tooMany
  }
}

export class LiveHub {
  private readonly readers = new Set<Reader>()
  private readonly nowMs: () => number

  /** `nowMs` says the milliseconds since 1970. */
  constructor(nowMs: () => number) {
    this.nowMs = nowMs
  }

  get size(): number {
    return this.readers.size
  }

  publish(event: Event.PolicyEvent): void {
    if (this.readers.size === 0) return
    const text = JSON.stringify({ at: this.nowMs(), ...plainEvent(event) })
    for (const reader of this.readers) reader.push(text)
  }

  /** `undefined` when there are too many. */
  join(): Reader | undefined {
    if (this.readers.size >= maxReaders) return undefined
    const reader = new Reader()
    this.readers.add(reader)
    return reader
  }

  leave(reader: Reader): void {
    this.readers.delete(reader)
  }
}
