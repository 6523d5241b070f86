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
import type { PlanTarget, Run } from "./Run.ts"

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
  const attempt = (index: number): Effect.Effect<B, LLMError> =>
    Effect.suspend(() => {
      const target = run.options.targets[index]!
      const request = requestFor(target)
      const active = run.begin(index, request)
      return Effect.matchCauseEffect(runAttempt(run, active, send(target.provider, request)), {
        onSuccess: (value) => Effect.succeed(answer(value, target)),
        onFailure: (cause) => {
          const error = errorOf(cause)
          return error === undefined
            ? Effect.failCause(cause as never)
            : Effect.flatMap(run.afterFailure(run.located(active, error)), attempt)
        }
      })
    })
  return attempt(0)
}
