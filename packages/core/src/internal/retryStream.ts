/**
 * The loop of attempts around the opening of a stream.
 */
import type * as Cause from "effect/Cause"
import * as Channel from "effect/Channel"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Pull from "effect/Pull"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { type DriverOptions, makeDriver, type Rules } from "./retryDriver.ts"
import { recoverable, waitToRetry, withTimeout } from "./retryEffect.ts"
import { clockOf, monotonicMs } from "./time.ts"

type Parts<A> = readonly [A, ...Array<A>]

/** A stream that is opened again until its first element. Each attempt has a scope of its own, closed before the next. */
export const retryStream = <A, E, R>(
  self: Stream.Stream<A, E, R>,
  rules: Rules<E>,
  options: DriverOptions,
  timeoutMs: number | undefined
): Stream.Stream<A, E, R> =>
  Stream.fromChannel(
    Channel.fromTransform<Parts<A>, E, void, unknown, unknown, unknown, never, R, never>((_upstream, scope) =>
      Effect.withFiber((fiber) => {
        const startMs = monotonicMs(clockOf(fiber))
        options.budget?.onCall(options.key ?? "", startMs)
        const driver = makeDriver(rules, withTimeout(options, timeoutMs, startMs))
        let committed: Pull.Pull<Parts<A>, E, void, R> | undefined

        const attempt: Pull.Pull<Parts<A>, E, void, R> = Effect.suspend(() => {
          const own = Scope.forkUnsafe(scope)
          return Effect.matchCauseEffect(
            Effect.flatMap(Channel.toPullScoped(self.channel, own), (pull) =>
              Effect.map(pull, (parts) => {
                committed = pull
                return parts
              })
            ),
            {
              onSuccess: succeed,
              onFailure: (cause) => Effect.andThen(Scope.close(own, Exit.failCause(cause)), recover(cause))
            }
          )
        })

        const succeed = (parts: Parts<A>) =>
          Effect.withFiber<Parts<A>>((now) => {
            driver.succeeded(monotonicMs(clockOf(now)))
            return Effect.succeed(parts)
          })

        const recover = (cause: Cause.Cause<E | Cause.Done<void>>): Pull.Pull<Parts<A>, E, void, R> => {
          // An empty stream is a success without an element.
          if (Pull.isDoneCause(cause)) return Effect.failCause(cause)
          const failed = recoverable(cause as Cause.Cause<E>)
          if (failed === undefined) return Effect.failCause(cause)
          return Effect.flatMap(waitToRetry(driver, failed.error), (again) =>
            again ? attempt : Effect.failCause(cause)
          )
        }

        return Effect.succeed(Effect.suspend(() => committed ?? attempt))
      })
    )
  )
