/**
 * A stream that is pulled once and kept as a linked list of chunks. See `sharedStreams.ts`.
 */
import type * as Cause from "effect/Cause"
import * as Channel from "effect/Channel"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import type * as Stream from "effect/Stream"
import type { Owner } from "./flights.ts"

export type Chunk<A> = readonly [A, ...Array<A>]

/** How one reader takes part. */
export interface SharedStreamOptions<A, E> {
  /** The source, should this reader be the first. */
  readonly run: Stream.Stream<A, E>
  /** What another reader's chunk is for this one. */
  readonly follow: (chunk: Chunk<A>) => Chunk<A>
  /** Whether another reader's failure is its own alone, so that this one, if it has read nothing yet, asks again. */
  readonly again: (error: E, leader: Owner) => boolean
  readonly owner: Owner
  /** Whether this part makes the answer whole. */
  readonly isLast: (part: A) => boolean
  /** A lower bound of a part's size. */
  readonly bytesOf: (part: A) => number
  /** Past it the start is let go. */
  readonly maxBytes: number
  /** Keeps a whole answer (`undefined`: it was too large): at once, or by an effect for later. */
  readonly after: (parts: Iterable<A> | undefined) => Effect.Effect<void> | undefined
  readonly keep: boolean
  /** How long a reader that is not the first may take. */
  readonly limitMs: number
  readonly onLimit: () => E
}

export interface Node<A> {
  chunk: Chunk<A> | undefined
  next: Node<A> | undefined
}

const newNode = <A>(): Node<A> => ({ chunk: undefined, next: undefined })

export function* partsFrom<A>(head: Node<A>): Iterable<A> {
  for (let node: Node<A> | undefined = head; node?.chunk !== undefined; node = node.next) yield* node.chunk
}

/** One stream that is read along by any number of readers. */
export class Shared<A, E> {
  readonly leader: SharedStreamOptions<A, E>
  head: Node<A> | undefined = newNode()
  tail: Node<A> = this.head!
  end: Exit.Exit<never, E | Cause.Done> | undefined
  whole = false
  keep: boolean
  readers = 0
  fiber: Fiber.Fiber<void, E | Cause.Done> | undefined
  readonly waiting = new Set<() => void>()
  private bytes = 0
  private demanded = false
  private onDemand: (() => void) | undefined

  constructor(leader: SharedStreamOptions<A, E>) {
    this.leader = leader
    this.keep = leader.keep
  }

  demand(): void {
    this.demanded = true
    this.onDemand?.()
  }

  /** Waits until a reader wants more; a whole answer is read to its end at once, to free the connection. */
  private readonly demandedNow: Effect.Effect<void> = Effect.callback<void>((resume) => {
    if (this.demanded || this.whole) return resume(Effect.void)
    this.onDemand = () => {
      this.onDemand = undefined
      resume(Effect.void)
    }
  })

  /** Pulls the source to its end. */
  readonly drive = Effect.scopedWith((scope) =>
    Effect.flatMap(Channel.toPullScoped(this.leader.run.channel, scope), (pull) => {
      const next = Effect.flatMap(this.demandedNow, () => pull)
      return Effect.whileLoop({ while: () => true, body: () => next, step: (chunk) => this.append(chunk) })
    })
  )

  wake(): void {
    const waiting = Array.from(this.waiting)
    this.waiting.clear()
    for (const each of waiting) each()
  }

  private append(chunk: Chunk<A>): void {
    this.demanded = false
    for (const part of chunk) this.bytes += this.leader.bytesOf(part)
    if (this.leader.isLast(chunk[chunk.length - 1]!)) this.whole = true
    if (this.bytes > this.leader.maxBytes) this.head = undefined
    this.tail.chunk = chunk
    this.tail = this.tail.next = newNode()
    this.wake()
  }
}
