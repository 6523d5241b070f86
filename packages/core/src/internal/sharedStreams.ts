/**
 * Single flight for streams: identical streams under way at the same time are one.
 *
 * The source is pulled in a fiber of its own, when the reader that is furthest ahead wants more. What it brings is
 * kept once, as a linked list of chunks; every reader walks along it at its own pace, a late one from the start. A
 * slow reader holds up nobody and copies nothing. When the list outgrows its bound, its start is let go: no reader
 * can join any more, and chunks that all readers have passed are free.
 */
import * as Cause from "effect/Cause"
import * as Channel from "effect/Channel"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type * as Pull from "effect/Pull"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { type Chunk, type Node, partsFrom, Shared, type SharedStreamOptions } from "./sharedStream.ts"
import { clockOf } from "./time.ts"

export type { Chunk } from "./sharedStream.ts"

export class SharedStreams<A, E> {
  private readonly open = new Map<string, Shared<A, E>>()

  /** Streams under way. */
  get size(): number {
    return this.open.size
  }

  /** Reads along with the stream of a key, or starts it. */
  share(key: string, options: SharedStreamOptions<A, E>): Stream.Stream<A, E> {
    return Stream.fromChannel(
      Channel.fromTransform<Chunk<A>, E, void, unknown, unknown, unknown, never, never, never>((_upstream, scope) =>
        Effect.map(Reader.join(this, key, options, scope), (reader) => reader.pull)
      )
    )
  }

  join(key: string, options: SharedStreamOptions<A, E>, parent: Fiber.Fiber<unknown, unknown>): Shared<A, E> {
    const known = this.open.get(key)
    const shared = known?.head === undefined ? new Shared(options) : known
    shared.readers++
    if (options.keep) shared.keep = true
    if (shared !== known) this.start(key, shared, parent)
    return shared
  }

  private start(key: string, shared: Shared<A, E>, parent: Fiber.Fiber<unknown, unknown>): void {
    this.open.set(key, shared)
    const fork = Effect.runForkWith(parent.context)
    const fiber = fork(shared.drive)
    shared.fiber = fiber
    fiber.addObserver((exit) => {
      shared.end = exit as Exit.Exit<never, E | Cause.Done>
      const { head, keep, leader, whole } = shared
      const after = whole && keep ? leader.after(head === undefined ? undefined : partsFrom(head)) : undefined
      shared.wake()
      if (after === undefined) return this.close(key, shared)
      fork(after).addObserver(() => this.close(key, shared))
    })
  }

  private close(key: string, shared: Shared<A, E>): void {
    if (this.open.get(key) === shared) this.open.delete(key)
  }

  leave(key: string, shared: Shared<A, E>): Effect.Effect<void> {
    if (--shared.readers > 0 || shared.end !== undefined) return Effect.void
    this.close(key, shared)
    return Fiber.interrupt(shared.fiber!)
  }
}

class Reader<A, E> {
  private readonly streams: SharedStreams<A, E>
  private readonly key: string
  private readonly options: SharedStreamOptions<A, E>
  private shared: Shared<A, E>
  private at: Node<A>
  private begun = false
  private timer: Fiber.Fiber<void> | undefined
  private expired = false
  readonly pull: Pull.Pull<Chunk<A>, E> = Effect.suspend(() => this.step())

  private constructor(
    streams: SharedStreams<A, E>,
    key: string,
    options: SharedStreamOptions<A, E>,
    shared: Shared<A, E>
  ) {
    this.streams = streams
    this.key = key
    this.options = options
    this.shared = shared
    this.at = shared.head!
  }

  /** Joining and the promise to leave are one step: no interruption comes between them. */
  static join<A, E>(
    streams: SharedStreams<A, E>,
    key: string,
    options: SharedStreamOptions<A, E>,
    scope: Scope.Scope
  ): Effect.Effect<Reader<A, E>> {
    return Effect.withFiber((fiber) =>
      Effect.uninterruptible(
        Effect.suspend(() => {
          const reader = new Reader(streams, key, options, streams.join(key, options, fiber))
          if (!reader.leads) reader.arm(fiber)
          return Effect.as(
            Scope.addFinalizer(
              scope,
              Effect.suspend(() => reader.leave())
            ),
            reader
          )
        })
      )
    )
  }

  private get leads(): boolean {
    return this.shared.leader === this.options
  }

  private arm(fiber: Fiber.Fiber<unknown, unknown>): void {
    const { limitMs } = this.options
    if (limitMs === Infinity) return
    this.timer = Effect.runForkWith(fiber.context)(clockOf(fiber).sleep(Duration.millis(limitMs)))
    this.timer.addObserver((slept) => {
      if (slept._tag === "Failure") return
      this.expired = true
      this.wake?.()
    })
  }

  private wake: (() => void) | undefined

  private step(): Pull.Pull<Chunk<A>, E> {
    if (this.expired) return Effect.fail(this.options.onLimit())
    const { chunk, next } = this.at
    if (chunk !== undefined) {
      this.begun = true
      this.at = next!
      return Effect.succeed(this.leads ? chunk : this.options.follow(chunk))
    }
    const { end } = this.shared
    if (end !== undefined) return this.ended(end)
    return Effect.callback<Chunk<A>, E | Cause.Done>((resume) => {
      const { shared } = this
      // The fiber may have given way before it came to wait.
      if (this.at.chunk !== undefined || shared.end !== undefined || this.expired) return resume(this.pull)
      const wake = (): void => {
        this.wake = undefined
        resume(this.pull)
      }
      this.wake = () => {
        shared.waiting.delete(wake)
        wake()
      }
      shared.waiting.add(wake)
      shared.demand()
      return Effect.sync(() => {
        this.wake = undefined
        shared.waiting.delete(wake)
      })
    })
  }

  private ended(end: Exit.Exit<never, E | Cause.Done>): Pull.Pull<Chunk<A>, E> {
    if (this.begun || this.leads || Exit.isSuccess(end)) return end
    const failure = end.cause.reasons.find((reason) => reason._tag === "Fail")?.error
    if (failure === undefined || Cause.isDone(failure) || !this.options.again(failure, this.shared.leader.owner))
      return end
    return Effect.withFiber((fiber) => {
      this.shared.readers--
      this.shared = this.streams.join(this.key, this.options, fiber)
      this.at = this.shared.head!
      return this.pull
    })
  }

  private leave(): Effect.Effect<void> {
    this.timer?.interruptUnsafe()
    return this.streams.leave(this.key, this.shared)
  }
}
