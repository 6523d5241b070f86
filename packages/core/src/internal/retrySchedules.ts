/**
 * Schedules made of the delay functions of backoff.ts, and what is known of their longest delays.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import { type Delays, type Jitter, spread } from "./backoff.ts"

/** A schedule whose output is the delay it asks for. */
export type DelaySchedule<Input = unknown> = Schedule.Schedule<Duration.Duration, Input>

const bounds = new WeakMap<object, Delays>()

/** Remembers the longest delay before each retry. */
export const withBound = <S extends object>(schedule: S, bound: Delays): S => {
  bounds.set(schedule, bound)
  return schedule
}

/** The longest delays of a schedule made here; `undefined` for any other. */
export const boundOf = (schedule: object): Delays | undefined => bounds.get(schedule)

const pair = (ms: number): [Duration.Duration, Duration.Duration] => {
  const duration = Duration.millis(ms)
  return [duration, duration]
}

/** A schedule that never ends, from delays that depend on the attempt alone. */
export const fromDelays = (delays: Delays, jitter: Jitter): DelaySchedule =>
  withBound(
    Schedule.fromStep(
      Effect.sync(() => {
        let attempt = 0
        return () => {
          const delay = delays(++attempt)
          return jitter === "none"
            ? Effect.succeed(pair(delay))
            : Effect.map(Random.next, (u) => pair(spread(jitter, delay, u)))
        }
      })
    ),
    delays
  )

/** A schedule that never ends, whose delays depend on the one before and on a draw. */
export const fromPrevious = (
  first: number,
  next: (previous: number, u: number) => number,
  bound: Delays
): DelaySchedule =>
  withBound(
    Schedule.fromStep(
      Effect.sync(() => {
        let previous = first
        return () =>
          Effect.map(Random.next, (u) => {
            previous = next(previous, u)
            return pair(previous)
          })
      })
    ),
    bound
  )
