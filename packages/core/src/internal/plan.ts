/**
 * Which attempts a call still has: the pure part of the plan.
 *
 * The targets are asked in order. A failed attempt is followed by another one at the same target, by one at the
 * next target, or by none. All attempts of a call draw on one number, `maxAttempts`, of which one is kept back for
 * each target that may still be asked; all repeated attempts draw on one number of `retries`. Whether an error is
 * worth another try at the same target is the retry policy's to say.
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
}

/** How far the call has come. */
export interface PlanState {
  /** Index of the target that was asked last. */
  readonly target: number
  /** Index of the last target, in their order, that was asked: a hedge may be ahead of the attempt beside it. */
  readonly furthest: number
  /** Attempts made, all targets together. */
  readonly attempts: number
  /** Repeated calls made, all targets together. */
  readonly retried: number
}

export const initial: PlanState = { target: 0, furthest: -1, attempts: 0, retried: 0 }

/** What may follow a failure. */
export interface Next {
  /** Whether the same target may be asked again, as far as the number of attempts goes. */
  readonly repeat: boolean
  /** The target that may be asked instead. */
  readonly failover: number | undefined
}

const nothing: Next = { repeat: false, failover: undefined }

/** What may follow a failed attempt. `state.attempts` counts that attempt. */
export const next = (rules: PlanRules, state: PlanState, error: AttemptError): Next => {
  const left = rules.maxAttempts - state.attempts
  if (left <= 0) return nothing
  const untried = rules.targets - state.furthest - 1
  const failover = untried > 0 && disposition(error).failover ? state.furthest + 1 : undefined
  // Also where this failure leads nowhere else: the repeated attempt may fail with one that does.
  return { repeat: state.retried < rules.retries && left > untried, failover }
}

/** Whether there is an attempt that no untried target needs: one that a changed request may use at the same target. */
export const hasSpare = (rules: PlanRules, state: PlanState): boolean =>
  rules.maxAttempts - state.attempts > rules.targets - state.target - 1

/** The state after an attempt at `target` was started. */
export const started = (state: PlanState, target: number): PlanState => ({
  target,
  furthest: Math.max(state.furthest, target),
  attempts: state.attempts + 1,
  retried: state.retried + (target <= state.furthest ? 1 : 0)
})
