/**
 * Interrupts an effect at every operation of its run, one run for each, and lets a check look at what is left.
 */
import type * as ClockModule from "effect/Clock"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Scheduler from "effect/Scheduler"

/** A clock in virtual time that goes on by itself whenever nothing else is to do, and counts who sleeps. */
interface EagerClock extends ClockModule.Clock {
  /** Sleeps under way: anything but 0 after the end is a leaked timer. */
  readonly sleeping: () => number
  /** Wakes nobody any more. Called at the end, so that a leaked timer stays to be seen. */
  readonly stop: () => void
}

const eagerClock = (): EagerClock => {
  let nowMs = 0
  let pumping = false
  let stopped = false
  const sleeps: Array<{ readonly atMs: number; readonly wake: () => void }> = []
  const pump = () => {
    pumping = false
    if (stopped) return
    sleeps.sort((a, b) => a.atMs - b.atMs)
    const first = sleeps.shift()
    if (first === undefined) return
    nowMs = Math.max(nowMs, first.atMs)
    first.wake()
    schedule()
  }
  const schedule = () => {
    if (pumping || sleeps.length === 0) return
    pumping = true
    setImmediate(pump)
  }
  const nanos = () => BigInt(Math.round(nowMs * 1e6))
  return {
    currentTimeMillisUnsafe: () => nowMs,
    currentTimeMillis: Effect.sync(() => nowMs),
    currentTimeNanosUnsafe: nanos,
    currentTimeNanos: Effect.sync(nanos),
    monotonicTimeNanosUnsafe: nanos,
    monotonicTimeNanos: Effect.sync(nanos),
    sleep: (duration) =>
      Effect.callback<void>((resume) => {
        const entry = { atMs: nowMs + Duration.toMillis(duration), wake: () => resume(Effect.void) }
        sleeps.push(entry)
        schedule()
        return Effect.sync(() => {
          const index = sleeps.indexOf(entry)
          if (index >= 0) sleeps.splice(index, 1)
        })
      }),
    sleeping: () => sleeps.length,
    stop: () => {
      stopped = true
    }
  }
}

const turns = async (count: number) => {
  for (let i = 0; i < count; i++) await new Promise<void>((resolve) => setImmediate(resolve))
}

export interface SweepRun {
  /** The operation at which the run was interrupted, counted from 1. */
  readonly point: number
  readonly exit: Exit.Exit<unknown, unknown>
  readonly clock: EagerClock
}

/**
 * Runs `make()` once for each of its operations, interrupting the whole at that operation, until a run is over
 * before its point is reached. With `yieldEvery` (at least 3: giving way takes two operations itself), fibers also
 * give way after that many operations, so that they interleave differently. Answers with the number of points.
 */
export const sweep = async (
  make: () => Effect.Effect<unknown, unknown>,
  check: (run: SweepRun) => void,
  options: { readonly yieldEvery?: number } = {}
): Promise<number> => {
  for (let point = 1; ; point++) {
    let operations = 0
    let root: Fiber.Fiber<unknown, unknown> | undefined
    const base = new Scheduler.MixedScheduler()
    const scheduler: Scheduler.Scheduler = {
      executionMode: "async",
      shouldYield: (fiber) => {
        if (root === undefined) return false
        operations++
        if (operations === point) {
          root.interruptUnsafe()
          return true
        }
        return options.yieldEvery !== undefined && fiber.currentOpCount >= options.yieldEvery
      },
      makeDispatcher: () => base.makeDispatcher()
    }
    const clock = eagerClock()
    const program = Effect.provideService(Effect.suspend(make), Clock.Clock, clock)
    root = Effect.runFork(Effect.andThen(Effect.yieldNow, program), { scheduler })
    const exit = await new Promise<Exit.Exit<unknown, unknown>>((resolve) => {
      root!.addObserver((exit) => {
        clock.stop()
        resolve(exit)
      })
    })
    const reached = operations >= point
    await turns(3)
    check({ point, exit, clock })
    if (!reached) return point - 1
    if (point > 5_000) throw new Error("The sweep does not end")
  }
}
