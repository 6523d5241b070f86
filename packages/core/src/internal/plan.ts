/**
 * Which attempt comes next: the pure part of the plan.
 *
 * The targets are tried in order. A failed attempt is followed by another one at the same target, by one at the
 * next target, or by none; the error's disposition decides. All attempts of a call draw on one number,
 * `maxAttempts`, of which one is kept back for each target that has not been asked yet.
 */
import { disposition } from "../errors/disposition.ts"
import type { AttemptError } from "../errors/LLMError.ts"

/** What does not change during a call. */
export interface PlanRules {
  readonly targets: number
  /** Provider calls at most, over all targets. */
  readonly maxAttempts: number
  /** Repeated calls to a target at most, over all targets. */
  readonly retries: number
  /** A failed target is never replaced by another. */
  readonly strict: boolean
}

/** How far the call has come. */
export interface PlanState {
  /** Index of the target that was asked last. */
  readonly target: number
  /** Attempts made, all targets together. */
  readonly attempts: number
  /** Repeated calls made, all targets together. */
  readonly retried: number
  /** Consecutive failures of this target with an error that allows only one retry. */
  readonly onceUsed: boolean
}

export const initial: PlanState = { target: 0, attempts: 0, retried: 0, onceUsed: false }

/** What to do after a failure. */
export type Next =
  /** Ask the same target again; if `failover` is given, that target may be asked instead of waiting. */
  | { readonly _tag: "retry"; readonly failover: number | undefined }
  | { readonly _tag: "failover"; readonly target: number }
  | { readonly _tag: "stop" }

const stop: Next = { _tag: "stop" }

/** Decides what follows a failed attempt. `state.attempts` counts that attempt. */
export const next = (rules: PlanRules, state: PlanState, error: AttemptError): Next => {
  const left = rules.maxAttempts - state.attempts
  if (left <= 0) return stop
  const row = disposition(error)
  const untried = rules.targets - state.target - 1
  const failover = row.failover && !rules.strict && untried > 0 ? state.target + 1 : undefined
  const mayRetry = error.shouldRetry ?? (row.retry === "always" || (row.retry === "once" && !state.onceUsed))
  // Under strict the untried targets are never asked, so nothing is kept back for them.
  const keptBack = failover === undefined ? 0 : untried
  if (mayRetry && state.retried < rules.retries && left > keptBack) return { _tag: "retry", failover }
  return failover === undefined ? stop : { _tag: "failover", target: failover }
}

/** The state after an attempt at `target` was started. */
export const started = (state: PlanState, target: number): PlanState => {
  const again = state.attempts > 0 && target === state.target
  return {
    target,
    attempts: state.attempts + 1,
    retried: state.retried + (again ? 1 : 0),
    onceUsed: again && state.onceUsed
  }
}

/** The state after an attempt failed. */
export const failed = (state: PlanState, error: AttemptError): PlanState =>
  disposition(error).retry === "once" && !state.onceUsed ? { ...state, onceUsed: true } : state
