/**
 * One timer for many waits of the same length: they end in the order in which they began.
 */
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"

export interface Deadline {
  /** Set to false when there is nothing to wait for any more. */
  waiting: boolean
  readonly atNanos: bigint
  readonly expire: (nowNanos: bigint) => void
}

export class Deadlines {
  readonly waitMs: number
  private readonly clock: Clock.Clock
  private readonly fork: (effect: Effect.Effect<void>) => Fiber.Fiber<void>
  private readonly waitNanos: bigint
  private queue: Array<Deadline> = []
  private head = 0
  private timer: Fiber.Fiber<void> | undefined

  constructor(waitMs: number, clock: Clock.Clock, fork: (effect: Effect.Effect<void>) => Fiber.Fiber<void>) {
    this.waitMs = waitMs
    this.clock = clock
    this.fork = fork
    this.waitNanos = BigInt(Math.ceil(waitMs * 1e6))
  }

  now(): bigint {
    return this.clock.monotonicTimeNanosUnsafe()
  }

  /** Calls `expire` when the wait is over, unless the deadline is no longer waiting then. */
  add(expire: (nowNanos: bigint) => void): Deadline {
    const deadline: Deadline = { waiting: true, atNanos: this.now() + this.waitNanos, expire }
    this.queue.push(deadline)
    if (this.timer === undefined) this.arm(deadline.atNanos)
    else this.tidy()
    return deadline
  }

  close(): void {
    this.timer?.interruptUnsafe()
    this.timer = undefined
    this.queue = []
    this.head = 0
  }

  private arm(atNanos: bigint): void {
    const leftMs = Math.max(1, Math.ceil(Number(atNanos - this.now()) / 1e6))
    this.timer = this.fork(
      Effect.andThen(
        Effect.sleep(leftMs),
        Effect.sync(() => this.ring())
      )
    )
  }

  private ring(): void {
    this.timer = undefined
    const now = this.now()
    this.tidy()
    while (this.head < this.queue.length && this.queue[this.head]!.atNanos <= now) {
      const deadline = this.queue[this.head++]!
      if (deadline.waiting) {
        deadline.waiting = false
        deadline.expire(now)
      }
    }
    this.tidy()
    const next = this.queue[this.head]
    if (next !== undefined && this.timer === undefined) this.arm(next.atNanos)
  }

  /** Forgets those in front that nobody waits for. */
  private tidy(): void {
    while (this.head < this.queue.length && !this.queue[this.head]!.waiting) this.head++
    if (this.head > 1_024 && this.head * 2 > this.queue.length) {
      this.queue = this.queue.slice(this.head)
      this.head = 0
    } else if (this.head === this.queue.length) {
      this.queue.length = 0
      this.head = 0
    }
  }
}
