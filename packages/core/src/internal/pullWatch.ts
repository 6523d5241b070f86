/**
 * Watches over the pulls of one stream: how long they wait for content, and how long the stream takes in all.
 *
 * Each pull runs in a fiber of its own, started at once; one that is done by then costs no timer. The first pull
 * that has to wait starts the one timer of the stream. The timer is not moved when content comes: it looks, when it
 * wakes, how long the pull under way has really waited, and sleeps on for the rest. Time the reader takes between
 * two pulls is not the target's silence and does not count for `firstTokenMs` and `idleMs`.
 */
import * as Cause from "effect/Cause"
import type * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type * as Pull from "effect/Pull"
import { afterTimeout, timeLimit } from "./timeLimit.ts"
import { clockOf, monotonicMs } from "./time.ts"

export type WatchPhase = "firstToken" | "idle" | "total"

/** Limits in milliseconds; `Infinity` for none. */
export interface WatchOptions<E> {
  /** Until the first content. */
  readonly firstTokenMs: number
  /** Between two pieces of content. */
  readonly idleMs: number
  /** From the first pull to the end. */
  readonly totalMs: number
  /** The error for a limit that was passed. */
  readonly onTimeout: (phase: WatchPhase, limitMs: number) => E
}

export interface PullWatch<out E> {
  /** The pull, failing when a limit is passed while it waits; it is interrupted then, and awaited. One at a time. */
  readonly run: <A, E1, Done, R>(pull: Pull.Pull<A, E1, Done, R>) => Pull.Pull<A, E | E1, Done, R>
  /**
   * The same, going on from its end whichever that is: an effect that can be built once and run for every pull.
   * `next` is not asked when the reader itself is interrupted.
   */
  readonly runTo: <A, E1, R, B, E2, R2>(
    pull: Effect.Effect<A, E1, R>,
    next: (exit: Exit.Exit<A, E | E1>) => Effect.Effect<B, E2, R2>
  ) => Effect.Effect<B, E2, R | R2>
  /** Says that the latest pull brought content. Keep-alives and empty parts are not content. */
  readonly content: () => void
  /** Ends the timer. To be run when the stream is over or left. */
  readonly stop: Effect.Effect<void>
}

interface Waiting {
  readonly child: Fiber.Fiber<unknown, unknown>
  readonly parentId: number
  readonly clock: Clock.Clock
  readonly context: Context.Context<never>
  readonly sinceMs: number
  passed: { readonly phase: WatchPhase; readonly limitMs: number } | undefined
}

interface Timer {
  readonly wakeMs: number
  readonly fiber: Fiber.Fiber<void>
}

/** A timer may wake a fraction of a millisecond early. */
const tolerance = 1

class PullWatchImpl<E> implements PullWatch<E> {
  private readonly options: WatchOptions<E>
  private startMs: number | undefined = undefined
  private seen = false
  /** Milliseconds waited for content by pulls that are over. */
  private waitedMs = 0
  private waiting: Waiting | undefined = undefined
  private timer: Timer | undefined = undefined
  readonly stop = Effect.sync(() => this.disarm())

  constructor(options: WatchOptions<E>) {
    this.options = options
  }

  content(): void {
    this.seen = true
    this.waitedMs = 0
  }

  run<A, E1, Done, R>(pull: Pull.Pull<A, E1, Done, R>): Pull.Pull<A, E | E1, Done, R> {
    return this.runTo(pull, (exit) => exit)
  }

  runTo<A, E1, R, B, E2, R2>(
    pull: Effect.Effect<A, E1, R>,
    next: (exit: Exit.Exit<A, E | E1>) => Effect.Effect<B, E2, R2>
  ): Effect.Effect<B, E2, R | R2> {
    return Effect.callback<B, E2, R | R2>((resume) => {
      const parent = Fiber.getCurrent()!
      const clock = clockOf(parent)
      const sinceMs = monotonicMs(clock)
      this.startMs ??= sinceMs
      if (this.dueMs(sinceMs) <= sinceMs) return resume(next(Exit.fail(this.timeout(sinceMs))))
      const child = Effect.runForkWith(parent.context as Context.Context<R>)(pull)
      const exit = child.pollUnsafe()
      if (exit !== undefined) return resume(next(exit))
      const waiting: Waiting = {
        child,
        parentId: parent.id,
        clock,
        context: parent.context,
        sinceMs,
        passed: undefined
      }
      this.waiting = waiting
      child.addObserver((exit) => {
        this.waiting = undefined
        this.waitedMs += monotonicMs(clock) - sinceMs
        // Not here: what `next` throws is the reader's, not the child's.
        resume(Effect.suspend(() => next(this.settle(waiting, exit))))
      })
      this.arm(waiting, sinceMs)
      return Effect.suspend(() => {
        this.waiting = undefined
        this.disarm()
        return Fiber.interrupt(child)
      })
    })
  }

  private settle<A, E1>(waiting: Waiting, exit: Exit.Exit<A, E1>): Exit.Exit<A, E | E1> {
    const passed = waiting.passed
    if (passed === undefined) {
      if (exit._tag === "Failure") this.disarm()
      return exit
    }
    return afterTimeout(exit, () => Exit.fail(this.options.onTimeout(passed.phase, passed.limitMs)))
  }

  /** The moment at which a pull that began at `sinceMs` has waited for too long. */
  private dueMs(sinceMs: number): number {
    const silence = this.seen ? this.options.idleMs : this.options.firstTokenMs
    return Math.min(sinceMs + silence - this.waitedMs, this.startMs! + this.options.totalMs)
  }

  private passedLimit(sinceMs: number): { readonly phase: WatchPhase; readonly limitMs: number } {
    const { firstTokenMs, idleMs, totalMs } = this.options
    const silence = this.seen ? idleMs : firstTokenMs
    if (this.startMs! + totalMs <= sinceMs + silence - this.waitedMs) return { phase: "total", limitMs: totalMs }
    return { phase: this.seen ? "idle" : "firstToken", limitMs: silence }
  }

  private timeout(sinceMs: number): E {
    const { limitMs, phase } = this.passedLimit(sinceMs)
    return this.options.onTimeout(phase, limitMs)
  }

  private arm(waiting: Waiting, nowMs: number): void {
    const wakeMs = this.dueMs(waiting.sinceMs)
    if (wakeMs === Infinity || (this.timer !== undefined && this.timer.wakeMs <= wakeMs)) return
    this.disarm()
    const sleep = waiting.clock.sleep(Duration.millis(Math.max(0, wakeMs - nowMs)))
    const fiber = Effect.runForkWith(waiting.context)(sleep)
    const timer = { wakeMs, fiber }
    this.timer = timer
    fiber.addObserver((slept) => {
      if (slept._tag === "Success" && this.timer === timer) this.wake()
    })
  }

  private wake(): void {
    this.timer = undefined
    const waiting = this.waiting
    // Nobody waits: the next pull that does starts another timer.
    if (waiting === undefined || waiting.passed !== undefined) return
    const nowMs = monotonicMs(waiting.clock)
    if (nowMs + tolerance < this.dueMs(waiting.sinceMs)) return this.arm(waiting, nowMs)
    waiting.passed = this.passedLimit(waiting.sinceMs)
    waiting.child.interruptUnsafe(waiting.parentId)
  }

  private disarm(): void {
    const timer = this.timer
    this.timer = undefined
    timer?.fiber.interruptUnsafe()
  }
}

/** A watch that lets everything pass, at no cost. */
export const none: PullWatch<never> = {
  run: (pull) => pull,
  runTo: (pull, next) =>
    Effect.matchCauseEffect(pull, {
      onSuccess: (value) => next(Exit.succeed(value)),
      onFailure: (cause) => next(Exit.failCause(cause))
    }),
  content: () => {},
  stop: Effect.void
}

/** A watch over one stream, to be stopped when that is over. Its clock starts with the first pull. */
export const make = <E>(options: WatchOptions<E>): PullWatch<E> =>
  options.firstTokenMs === Infinity && options.idleMs === Infinity && options.totalMs === Infinity
    ? none
    : new PullWatchImpl(options)

/** A pull that counts as the end of the stream if it takes longer than `millis`. */
export const within = <A, E, R>(millis: number, pull: Pull.Pull<A, E, void, R>): Pull.Pull<A, E, void, R> =>
  timeLimit(pull, millis, () => Cause.done())
