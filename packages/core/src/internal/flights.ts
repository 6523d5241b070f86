/**
 * Single flight: identical calls under way at the same time are one.
 *
 * The call runs in a fiber of its own, so that no caller's interruption is another's: each leaves alone, and the last
 * one to leave interrupts the call and waits until it is over. Whoever comes before the answer is kept gets it too.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import { clockOf } from "./time.ts"

/** Whose call it is: what decides whether another caller's failure says anything to this one. */
export interface Owner {
  /** Monotonic milliseconds. */
  readonly deadlineMs: number
  /** Whose budget pays. */
  readonly account: string
}

/** How one caller takes part. */
export interface FlightOptions<A, E> {
  /** The call, should this caller be the first. */
  readonly run: Effect.Effect<A, E>
  /** What becomes of another caller's answer. */
  readonly follow: (value: A) => A
  /** Whether another caller's failure is its own alone, so that this one asks again. */
  readonly again: (error: E, leader: Owner) => boolean
  readonly owner: Owner
  /** Keeps the answer: at once, or by an effect that is run when the callers have been answered. */
  readonly after: (value: A) => Effect.Effect<void> | undefined
  /** Whether this caller wants the answer kept. */
  readonly keep: boolean
  /** How long a caller that is not the first may wait, in milliseconds. */
  readonly limitMs: () => number
  readonly onLimit: (limitMs: number) => E
}

/** Calls back after so many milliseconds; there is no timer for `Infinity`. */
const limit = (
  parent: Fiber.Fiber<unknown, unknown>,
  limitMs: number,
  passed: (limitMs: number) => void
): Fiber.Fiber<void> | undefined => {
  if (limitMs === Infinity) return undefined
  const timer = Effect.runForkWith(parent.context)(clockOf(parent).sleep(Duration.millis(limitMs)))
  timer.addObserver((slept) => {
    if (Exit.isSuccess(slept)) passed(limitMs)
  })
  return timer
}

class Flight<A, E> {
  readonly leader: FlightOptions<A, E>
  readonly waiters = new Set<(exit: Exit.Exit<A, E>) => void>()
  exit: Exit.Exit<A, E> | undefined
  fiber: Fiber.Fiber<A, E> | undefined
  keep: boolean
  constructor(leader: FlightOptions<A, E>) {
    this.leader = leader
    this.keep = leader.keep
  }
}

export class Flights<A, E> {
  private readonly open = new Map<string, Flight<A, E>>()

  /** Calls under way. */
  get size(): number {
    return this.open.size
  }

  /** Takes part in the call of a key, or starts it. */
  share(key: string, options: FlightOptions<A, E>): Effect.Effect<A, E> {
    return Effect.callback<A, E>((resume) => {
      const parent = Fiber.getCurrent()!
      const known = this.open.get(key)
      const flight = known ?? new Flight(options)
      let timer: Fiber.Fiber<void> | undefined
      const waiter = (exit: Exit.Exit<A, E>): void => {
        timer?.interruptUnsafe()
        resume(this.answer(key, options, flight, exit))
      }
      if (options.keep) flight.keep = true
      if (flight.exit !== undefined) return waiter(flight.exit)
      flight.waiters.add(waiter)
      const leave = Effect.suspend(() => this.leave(key, flight, waiter))
      if (known === undefined) this.start(key, flight, parent)
      else {
        timer = limit(parent, options.limitMs(), (limitMs) =>
          resume(Effect.andThen(leave, Effect.fail(options.onLimit(limitMs))))
        )
      }
      return Effect.suspend(() => {
        timer?.interruptUnsafe()
        return leave
      })
    })
  }

  private start(key: string, flight: Flight<A, E>, parent: Fiber.Fiber<unknown, unknown>): void {
    this.open.set(key, flight)
    const fork = Effect.runForkWith(parent.context)
    const close = (): void => {
      if (this.open.get(key) === flight) this.open.delete(key)
    }
    flight.fiber = fork(flight.leader.run)
    flight.fiber.addObserver((exit) => {
      flight.exit = exit
      const after = Exit.isSuccess(exit) && flight.keep ? flight.leader.after(exit.value) : undefined
      for (const waiter of flight.waiters) waiter(exit)
      flight.waiters.clear()
      if (after === undefined) return close()
      fork(after).addObserver(close)
    })
  }

  private answer(
    key: string,
    options: FlightOptions<A, E>,
    flight: Flight<A, E>,
    exit: Exit.Exit<A, E>
  ): Effect.Effect<A, E> {
    if (flight.leader === options) return exit
    if (Exit.isSuccess(exit)) return Effect.sync(() => options.follow(exit.value))
    const failure = exit.cause.reasons.find((reason) => reason._tag === "Fail")
    return failure !== undefined && options.again(failure.error, flight.leader.owner) ? this.share(key, options) : exit
  }

  private leave(key: string, flight: Flight<A, E>, waiter: (exit: Exit.Exit<A, E>) => void): Effect.Effect<void> {
    flight.waiters.delete(waiter)
    if (flight.waiters.size > 0 || flight.exit !== undefined) return Effect.void
    // Whoever comes now must not join a call that is being given up.
    if (this.open.get(key) === flight) this.open.delete(key)
    return Fiber.interrupt(flight.fiber!)
  }
}
