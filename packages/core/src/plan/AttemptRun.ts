/**
 * One attempt: admitted, bounded in time, accounted.
 */
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { AttemptAnswer } from "../domain/Observer.ts"
import type { RateLimits } from "../domain/RateLimits.ts"
import type { Usage } from "../domain/Usage.ts"
import { type AttemptError, RequestTimeoutError } from "../errors/LLMError.ts"
import { timeLimit } from "../internal/timeLimit.ts"
import { type ActiveAttempt, nowMs, type Run } from "./Run.ts"

/**
 * Asks the admission policies, outermost first, and keeps each one's `Settle`. To be run where it cannot be
 * interrupted, so that nothing is lost between an admission and its keeping; the policies make their own waits
 * interruptible.
 */
export const admit = (run: Run, active: ActiveAttempt): Effect.Effect<void, AttemptError> => {
  const admits = run.options.settings.admits
  const from = (index: number): Effect.Effect<void, AttemptError> =>
    index === admits.length
      ? Effect.void
      : Effect.flatMap(admits[index]!(active.call), (settle) => {
          active.settles.push(settle)
          return from(index + 1)
        })
  return from(0)
}

/** The error of a failed attempt, or `undefined` for a defect or an interruption. */
export const errorOf = (cause: Cause.Cause<AttemptError>): AttemptError | undefined => {
  for (const reason of cause.reasons) {
    if (reason._tag === "Fail") return reason.error
  }
  return undefined
}

/**
 * Milliseconds that an attempt may take from now on, when it is sent: its own limit, or what is left of the whole call.
 * A stream has an own limit only where that follows the length of the answer.
 */
export const attemptLimitMs = (run: Run, active: ActiveAttempt, kind: "whole" | "stream"): number => {
  const { dynamic, limits } = run.options.settings
  // Waiting for admission has taken time from the call, which an attempt without admission need not read off the clock.
  if (run.options.settings.admits.length > 0) active.sentMs = nowMs(run.options.clock)
  const left = run.deadlineMs - active.sentMs
  const request = active.call.request
  if (dynamic !== undefined && "messages" in request) {
    return Math.min(left, dynamic.limitMs(active.target.id, request.messages.length, request.maxTokens))
  }
  return kind === "stream" ? left : Math.min(left, limits.attempt)
}

/** The error for an attempt that was cut off: its own limit, or the whole call's. */
export const totalTimeout = (run: Run, active: ActiveAttempt, limitMs: number): AttemptError =>
  limitMs >= run.deadlineMs - active.sentMs
    ? run.deadlineExceeded()
    : new RequestTimeoutError({
        message: `${active.target.id} did not finish its answer within ${Math.round(limitMs)} ms`,
        phase: "total",
        limit: Duration.millis(limitMs),
        provider: active.target.provider.name,
        model: active.target.model,
        attempt: active.call.attempt
      })

/**
 * Runs a call that answers as a whole. Whatever its end, the attempt is settled and recorded before the effect ends: it
 * is begun inside of what ends it, so that no interruption comes between the two.
 */
export const runAttempt = <A extends { readonly usage: Usage; readonly model?: string }>(
  run: Run,
  begin: () => ActiveAttempt,
  send: (active: ActiveAttempt) => Effect.Effect<A, AttemptError>
): Effect.Effect<A, AttemptError> => {
  let begun: ActiveAttempt | undefined
  const attempt = Effect.suspend(() => {
    const active = (begun = begin())
    return run.options.settings.admits.length === 0
      ? bounded(run, active, send)
      : Effect.uninterruptibleMask((restore) =>
          Effect.flatMap(admit(run, active), () => restore(Effect.suspend(() => bounded(run, active, send))))
        )
  })
  return Effect.onExitPrimitive(attempt, (exit) => {
    if (begun !== undefined) endWhole(run, begun, exit)
    return undefined
  })
}

const bounded = <A>(
  run: Run,
  active: ActiveAttempt,
  send: (active: ActiveAttempt) => Effect.Effect<A, AttemptError>
): Effect.Effect<A, AttemptError> => {
  const limitMs = attemptLimitMs(run, active, "whole")
  if (limitMs <= 0) return Effect.fail(run.deadlineExceeded())
  active.sent = true
  const traced = active.observer === undefined ? send(active) : active.observer.within(send(active))
  return timeLimit(traced, limitMs, () => Effect.fail(totalTimeout(run, active, limitMs)))
}

/** What is told of an answer. */
interface Answered extends AttemptAnswer {
  readonly usage: Usage
  readonly limits?: RateLimits
}

const endWhole = (run: Run, active: ActiveAttempt, exit: Exit.Exit<Answered, AttemptError>): void => {
  const tookMs = run.tookMs(active)
  if (Exit.isSuccess(exit)) {
    const { limits, usage } = exit.value
    run.end(
      active,
      limits === undefined ? { _tag: "success", usage, tookMs } : { _tag: "success", usage, tookMs, limits },
      exit.value
    )
    return
  }
  const error = errorOf(exit.cause)
  // A defect is a bug, not an answer of the target: like an interruption, it says nothing about the target.
  run.end(
    active,
    error === undefined || Cause.hasInterrupts(exit.cause)
      ? { _tag: "interrupted", tookMs }
      : { _tag: "failure", error: run.located(active, error), tookMs },
    undefined
  )
}
