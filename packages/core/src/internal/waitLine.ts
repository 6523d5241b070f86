/**
 * A line of fibers that wait for a gate to let them through, with one timer for the whole line.
 *
 * Only the first in line is tried. Waiters hold nothing while they wait, so one that leaves has nothing to give
 * back; one that is let through and interrupted in the same moment gives its grant back.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import { wholeMs } from "./limitRule.ts"
import { clockOf, monotonicMs } from "./time.ts"
import { type Waiter, WaitQueue } from "./waitQueue.ts"

/** What a line waits for. */
export interface Gate<A, E> {
  /**
   * Lets a value through and answers 0, or answers the milliseconds until it is worth trying again: a lower
   * bound of what is left to wait, or `Infinity` for "when woken".
   */
  readonly attempt: (value: A, nowMs: number) => number | Effect.Effect<number, E>
  /** Takes back what `attempt` gave. */
  readonly release: (value: A) => Effect.Effect<void>
  /** The error for one whose deadline has come, or cannot be met: `retryMs` more would have been needed. */
  readonly expired: (value: A, waitedMs: number, retryMs: number) => E
}

interface Ticket<A, E> {
  readonly value: A
  readonly resume: (effect: Effect.Effect<number, E>) => void
  granted: boolean
}

export interface JoinOptions {
  readonly priority: number
  readonly weight: number
  readonly deadlineMs: number
}

export class WaitLine<A, E> {
  private readonly queue: WaitQueue<Ticket<A, E>>
  private readonly gate: Gate<A, E>
  private readonly onEmpty: () => void
  private running = false
  private pump: Fiber.Fiber<void> | undefined
  /** When the pump looks again by itself, in milliseconds; `-Infinity` while it runs. */
  private pausedUntil = -Infinity
  private unpause: (() => void) | undefined
  private changed = false
  private closed = false

  /** `onEmpty` is called when the last waiter has gone; the line can be dropped or used again. */
  constructor(gate: Gate<A, E>, patienceMs: number, onEmpty: () => void) {
    this.gate = gate
    this.queue = new WaitQueue(patienceMs)
    this.onEmpty = onEmpty
  }

  get size(): number {
    return this.queue.size
  }

  weightBefore(priority: number, nowMs: number): number {
    return this.queue.weightBefore(priority, nowMs)
  }

  /** Waits for its turn, interruptibly wherever it is used, and answers the milliseconds it took. */
  join(value: A, options: JoinOptions): Effect.Effect<number, E> {
    return Effect.withFiber((fiber) => {
      let waiter: Waiter<Ticket<A, E>> | undefined
      const wait = Effect.callback<number, E>((resume) => {
        if (this.closed) return resume(Effect.interrupt)
        const sinceMs = monotonicMs(clockOf(fiber))
        waiter = this.queue.push({ value, resume, granted: false }, { ...options, sinceMs })
        this.start(fiber.context, waiter)
        return Effect.sync(() => this.leave(waiter!))
      })
      return Effect.onExit(Effect.interruptible(wait), (exit: Exit.Exit<number, E>) =>
        exit._tag === "Failure" && waiter?.value.granted === true ? this.gate.release(value) : Effect.void
      )
    })
  }

  /** Says that something has changed: the first in line may get through now. */
  wake(): void {
    this.changed = true
    this.unpause?.()
  }

  /** Interrupts whoever waits, and whoever will. */
  close(): void {
    this.closed = true
    this.pump?.interruptUnsafe()
    this.pump = undefined
    for (let waiter = this.queue.first(0); waiter !== undefined; waiter = this.queue.first(0)) {
      this.queue.remove(waiter)
      waiter.value.resume(Effect.interrupt)
    }
  }

  private leave(waiter: Waiter<Ticket<A, E>>): void {
    const wasHead = waiter.previous === undefined
    if (this.queue.remove(waiter) && wasHead) this.wake()
  }

  private start(context: Context.Context<never>, waiter: Waiter<Ticket<A, E>>): void {
    if (this.running) {
      // One who joins behind others changes nothing before the next look.
      if (waiter.previous === undefined || waiter.deadlineMs < this.pausedUntil) this.wake()
      return
    }
    this.running = true
    const pump = Effect.runForkWith(context)(this.run(context))
    if (this.running) this.pump = pump
  }

  private run(context: Context.Context<never>): Effect.Effect<void> {
    return Effect.gen({ self: this }, function* () {
      const clock = Context.get(context, Clock.Clock)
      while (true) {
        this.changed = false
        const nowMs = monotonicMs(clock)
        const waiter = this.queue.first(nowMs)
        if (waiter === undefined) break
        const answer = this.gate.attempt(waiter.value.value, nowMs)
        const waitMs = typeof answer === "number" ? answer : yield* this.ask(waiter, answer)
        if (waitMs === 0) yield* this.admit(waiter, monotonicMs(clock))
        else if (waitMs > 0) {
          // Only now, so that a place that is there in the last moment is not refused for a late timer.
          if (!this.reject(waiter, nowMs, waitMs)) this.expire(nowMs)
          if (waiter.queued && !this.changed) {
            yield* this.pause(context, nowMs, Math.min(waitMs, this.queue.nextDeadlineMs - nowMs))
          }
        }
      }
      this.running = false
      this.pump = undefined
      this.onEmpty()
    })
  }

  /** Asks a gate that answers later. Its failure is the waiter's. */
  private ask(waiter: Waiter<Ticket<A, E>>, answer: Effect.Effect<number, E>): Effect.Effect<number> {
    return Effect.matchCauseEffect(answer, {
      onSuccess: (waitMs) => Effect.succeed(waitMs),
      onFailure: (cause) =>
        Effect.sync(() => {
          if (this.queue.remove(waiter)) waiter.value.resume(Effect.failCause(cause))
          return -1
        })
    })
  }

  /** Hands a grant over, or gives it back if the waiter left while the gate was thinking. */
  private admit(waiter: Waiter<Ticket<A, E>>, nowMs: number): Effect.Effect<void> {
    if (!this.queue.remove(waiter)) return this.gate.release(waiter.value.value)
    waiter.value.granted = true
    waiter.value.resume(Effect.succeed(nowMs - waiter.sinceMs))
    return Effect.void
  }

  /** Turns away a waiter who is known to be too late. */
  private reject(waiter: Waiter<Ticket<A, E>>, nowMs: number, waitMs: number): boolean {
    if (waitMs === Infinity || nowMs + waitMs <= waiter.deadlineMs) return false
    if (this.queue.remove(waiter)) this.fail(waiter, nowMs, waitMs)
    return true
  }

  private expire(nowMs: number): void {
    for (let late = this.queue.removeExpired(nowMs); late !== undefined; late = this.queue.removeExpired(nowMs)) {
      this.fail(late, nowMs, 0)
    }
  }

  private fail(waiter: Waiter<Ticket<A, E>>, nowMs: number, retryMs: number): void {
    waiter.value.resume(Effect.fail(this.gate.expired(waiter.value.value, nowMs - waiter.sinceMs, retryMs)))
  }

  private pause(context: Context.Context<never>, nowMs: number, ms: number): Effect.Effect<void> {
    return Effect.callback<void>((resume) => {
      const go = () => {
        this.pausedUntil = -Infinity
        this.unpause = undefined
        resume(Effect.void)
      }
      const timer =
        ms === Infinity
          ? undefined
          : Effect.runForkWith(context)(Effect.andThen(Effect.sleep(wholeMs(ms)), Effect.sync(go)))
      this.pausedUntil = nowMs + ms
      this.unpause = () => {
        timer?.interruptUnsafe()
        go()
      }
      // Starting the timer can run other fibers, and one of them may have called `wake`.
      if (this.changed) this.unpause()
      return Effect.sync(() => timer?.interruptUnsafe())
    })
  }
}
