/**
 * The loop of attempts around an effect.
 */
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { type Driver, type DriverOptions, makeDriver, type Rules } from "./retryDriver.ts"
import { clockOf, monotonicMs } from "./time.ts"

/** The one typed error of a cause; `undefined` where there is a defect or an interruption in it, or no error. */
export const recoverable = <E>(cause: Cause.Cause<E>): Cause.Fail<E> | undefined => {
  let found: Cause.Fail<E> | undefined
  for (const reason of cause.reasons) {
    if (!Cause.isFailReason(reason)) return undefined
    found ??= reason
  }
  return found
}

/** Asks the driver about a failure and waits as it says: `true` for another try. */
export const waitToRetry = <E>(driver: Driver<E>, error: E): Effect.Effect<boolean> =>
  Effect.withFiber((fiber) =>
    Effect.flatMap(driver.next(error, monotonicMs(clockOf(fiber))), (decision) =>
      decision._tag === "stop"
        ? Effect.succeed(false)
        : Effect.as(Effect.sleep(Duration.millis(decision.delayMs)), true)
    )
  )

const nowOf = Effect.withFiber((fiber) => Effect.succeed(monotonicMs(clockOf(fiber))))

/** The driver's options with a timeout, counted from now, worked into them. */
export const withTimeout = (options: DriverOptions, timeoutMs: number | undefined, nowMs: number): DriverOptions =>
  timeoutMs === undefined
    ? options
    : { ...options, deadlineMs: Math.min(options.deadlineMs ?? Infinity, nowMs + timeoutMs) }

const recover = <A, E, R>(
  self: Effect.Effect<A, E, R>,
  cause: Cause.Cause<E>,
  driver: Driver<E>
): Effect.Effect<A, E, R> => {
  const failed = recoverable(cause)
  if (failed === undefined) return Effect.failCause(cause)
  return Effect.flatMap(waitToRetry(driver, failed.error), (again) =>
    again
      ? Effect.matchCauseEffect(self, {
          onSuccess: (value) => Effect.map(nowOf, (nowMs) => (driver.succeeded(nowMs), value)),
          onFailure: (next) => recover(self, next, driver)
        })
      : Effect.failCause(cause)
  )
}

/** An effect that is tried again. A success at the first attempt costs one handler, unless a budget wants to know. */
export const retryEffect = <A, E, R>(
  self: Effect.Effect<A, E, R>,
  rules: Rules<E>,
  options: DriverOptions,
  timeoutMs: number | undefined
): Effect.Effect<A, E, R> => {
  const { budget } = options
  if (budget === undefined && timeoutMs === undefined) {
    if (rules.retries === 0) return self
    return Effect.catchCause(self, (cause) => recover(self, cause, makeDriver(rules, options)))
  }
  return Effect.withFiber((fiber) => {
    const clock = clockOf(fiber)
    const startMs = monotonicMs(clock)
    const key = options.key ?? ""
    budget?.onCall(key, startMs)
    return Effect.matchCauseEffect(self, {
      onSuccess: (value) => {
        budget?.onSuccess(key, 0, monotonicMs(clock))
        return Effect.succeed(value)
      },
      onFailure: (cause) => recover(self, cause, makeDriver(rules, withTimeout(options, timeoutMs, startMs)))
    })
  })
}
