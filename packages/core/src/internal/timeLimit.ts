/**
 * A limit in time around one effect: what `Effect.timeout` does, without a timer where none is needed.
 */
import * as Cause from "effect/Cause"
import type * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import { clockOf } from "./time.ts"

/**
 * What an effect that was interrupted by its time limit comes to. If it ended otherwise first, that is its end, and
 * a defect is never swallowed.
 */
export const afterTimeout = <A, E, X>(exit: Exit.Exit<A, E>, orElse: () => X): Exit.Exit<A, E> | X => {
  if (exit._tag === "Success" || !Cause.hasInterrupts(exit.cause)) return exit
  const defects = exit.cause.reasons.filter(Cause.isDieReason)
  return defects.length > 0 ? Exit.failCause(Cause.fromReasons(defects)) : orElse()
}

/**
 * Runs an effect in a fiber of its own, started at once. If it is done by then, that is all. Otherwise a timer is
 * started beside it. Everything from the fork to the registration of the finalizer happens in one step of the
 * parent, so that no interruption can come between them.
 */
export const timeLimit = <A, E, R, B, E2, R2>(
  self: Effect.Effect<A, E, R>,
  millis: number,
  orElse: () => Effect.Effect<B, E2, R2>
): Effect.Effect<A | B, E | E2, R | R2> => {
  if (millis === Infinity) return self
  return Effect.callback<A | B, E | E2, R | R2>((resume) => {
    const parent = Fiber.getCurrent()!
    const run = Effect.runForkWith(parent.context as Context.Context<R>)
    const child = run(self)
    const exit = child.pollUnsafe()
    if (exit !== undefined) return resume(exit)
    let timedOut = false
    const timer = run(clockOf(parent).sleep(Duration.millis(millis)))
    child.addObserver((exit) => {
      timer.interruptUnsafe()
      resume(timedOut ? afterTimeout(exit, orElse) : exit)
    })
    timer.addObserver((slept) => {
      if (slept._tag === "Failure") return
      timedOut = true
      child.interruptUnsafe(parent.id)
    })
    return Effect.suspend(() => {
      timer.interruptUnsafe()
      return Fiber.interrupt(child)
    })
  })
}
