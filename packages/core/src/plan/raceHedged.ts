/**
 * Runs an attempt, and after a while another one beside it.
 */
import * as Clock from "effect/Clock"
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"

const isFailure = (exit: Exit.Exit<unknown, unknown>): boolean =>
  exit._tag === "Failure" && !Cause.hasInterrupts(exit.cause) && !Cause.hasDies(exit.cause)

/**
 * Runs `first`. If it has not ended after `delayMs`, `next` may give another attempt to run beside it.
 *
 * The first success wins, and the other is interrupted and awaited. A failure waits for the other, and is the result
 * only where none is left; one that comes before the delay is over ends it all at once. A defect ends it all. The
 * caller's interruption interrupts both.
 */
export const raceHedged = <A, E, R>(
  first: Effect.Effect<A, E, R>,
  delayMs: number,
  next: () => Effect.Effect<A, E, R> | undefined
): Effect.Effect<A, E, R> =>
  Effect.callback<A, E, R>((resume) => {
    const parent = Fiber.getCurrent()!
    const clock = parent.getRef(Clock.Clock)
    const fork = Effect.runForkWith(parent.context as Parameters<typeof Effect.runForkWith<R>>[0])
    const running = new Set<Fiber.Fiber<A, E>>()
    let timer: Fiber.Fiber<void> | undefined
    let over = false

    const finish = (exit: Exit.Exit<A, E>): void => {
      over = true
      timer?.interruptUnsafe()
      const losers = Array.from(running)
      // At once, not in the effect below: an interruption of the caller could keep that from running.
      for (const loser of losers) loser.interruptUnsafe(parent.id)
      resume(losers.length === 0 ? exit : Effect.andThen(Fiber.awaitAll(losers), exit))
    }
    const start = (effect: Effect.Effect<A, E, R>): void => {
      const fiber = fork(effect)
      // Whatever runs in between may interrupt the caller before the fiber is known here.
      if (over) return fiber.interruptUnsafe(parent.id)
      running.add(fiber)
      fiber.addObserver((exit) => {
        running.delete(fiber)
        if (!over && (!isFailure(exit) || running.size === 0)) finish(exit)
      })
    }

    start(first)
    if (!over) {
      const sleeping = fork(clock.sleep(Duration.millis(delayMs)))
      timer = sleeping
      sleeping.addObserver((slept) => {
        const another = over || slept._tag === "Failure" ? undefined : next()
        // Nothing of it happens before it is known here.
        if (another !== undefined) start(Effect.andThen(Effect.yieldNow, another))
      })
    }
    return Effect.suspend(() => {
      over = true
      timer?.interruptUnsafe()
      return Fiber.interruptAll(Array.from(running))
    })
  })
