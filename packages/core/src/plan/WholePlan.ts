/**
 * The plan for calls that answer as a whole: attempt, and after a failure the next attempt, until one answers or
 * nothing is left to try.
 */
import * as Effect from "effect/Effect"
import type { ProviderEmbedRequest, ProviderRequest } from "../domain/Request.ts"
import type { Usage } from "../domain/Usage.ts"
import type { AttemptError, LLMError } from "../errors/LLMError.ts"
import type { Provider } from "../LLMProvider.ts"
import { errorOf, runAttempt } from "./AttemptRun.ts"
import { raceHedged } from "./raceHedged.ts"
import type { ActiveAttempt, PlanTarget, Run } from "./Run.ts"

interface Answered<A> {
  readonly value: A
  readonly target: PlanTarget
}

/** Runs attempts until one answers. Succeeds with the answer and the target it came from. */
export const runWhole = <
  Request extends ProviderRequest | ProviderEmbedRequest,
  A extends { readonly usage: Usage; readonly model?: string },
  B
>(
  run: Run,
  requestFor: (target: PlanTarget) => Request,
  send: (provider: Provider, request: Request) => Effect.Effect<A, AttemptError>,
  answer: (value: A, target: PlanTarget) => B
): Effect.Effect<B, LLMError> => {
  /** The target of the latest failure: of the two in a race, that is the one whose error is its result. */
  let failed = 0
  /** One attempt, which fails with its error in its place in the call. */
  const single = (index: number, hedge: boolean): Effect.Effect<Answered<A>, AttemptError> => {
    const target = run.options.targets[index]!
    let active: ActiveAttempt | undefined
    const begin = () => (active = run.begin(index, requestFor(target), hedge))
    const attempt = runAttempt(run, begin, ({ call }) => send(target.provider, call.request as Request))
    return Effect.matchCauseEffect(attempt, {
      onSuccess: (value) => Effect.succeed({ value, target }),
      onFailure: (cause) => {
        const error = errorOf(cause)
        failed = index
        return error === undefined || active === undefined
          ? Effect.failCause(cause as never)
          : Effect.fail(run.located(active, error))
      }
    })
  }
  /** The attempt, and another one beside it if it is slow. */
  const hedged = (index: number, delayMs: number): Effect.Effect<Answered<A>, AttemptError> =>
    raceHedged(
      Effect.suspend(() => single(index, false)),
      delayMs,
      () => {
        const other = run.startHedge(index, delayMs)
        return other === undefined ? undefined : Effect.suspend(() => single(other, true))
      }
    )
  const attempt = (index: number): Effect.Effect<B, LLMError> =>
    Effect.suspend(() => {
      const delayMs = run.hedgeDelayMs(index)
      const made = delayMs === undefined ? single(index, false) : hedged(index, delayMs)
      return Effect.matchEffect(made, {
        onSuccess: ({ target, value }) => Effect.succeed(answer(value, target)),
        onFailure: (error) => Effect.flatMap(run.afterFailure(error, failed), attempt)
      })
    })
  return attempt(0)
}
