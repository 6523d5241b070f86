/**
 * Budget and ledger around a call.
 */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { AttemptRecord, BudgetStanding, LLMStreamPart } from "../domain/Call.ts"
import type { ProviderEmbedRequest, ProviderRequest } from "../domain/Request.ts"
import type { LLMError } from "../errors/LLMError.ts"
import type { BudgetCall, BudgetService, SettleBudget } from "../policy/Budget.ts"
import type { LedgerService } from "../policy/Ledger.ts"
import type { Run } from "./Run.ts"

const callOf = (run: Run, request: ProviderRequest | ProviderEmbedRequest): BudgetCall => ({
  context: run.options.context,
  request,
  targets: run.options.targets.map((target) => target.id),
  maxAttempts: run.options.rules.maxAttempts,
  requestId: run.options.requestId
})

const unlimited: SettleBudget = () => undefined

/** The budget's reservation, with the ledger as another one who hears how it was settled. */
export const accounted = (
  reserve: BudgetService["reserve"],
  record: LedgerService["record"]
): BudgetService["reserve"] => {
  if (record === undefined) return reserve
  return (call) =>
    Effect.map(reserve === undefined ? Effect.succeed(unlimited) : reserve(call), (settle): SettleBudget => {
      const both = (attempts: ReadonlyArray<AttemptRecord>): BudgetStanding | undefined => {
        const standing = settle(attempts)
        record(call, attempts)
        return standing ?? undefined
      }
      return settle.standing === undefined ? both : Object.assign(both, { standing: settle.standing })
    })
}

/**
 * Runs a call within a reservation of its worst case, and settles what its attempts really cost. The answer says how
 * the budgets stand then.
 */
export const withBudget = <A extends BudgetStanding>(
  reserve: NonNullable<BudgetService["reserve"]>,
  run: Run,
  request: ProviderRequest | ProviderEmbedRequest,
  effect: Effect.Effect<A, LLMError>
): Effect.Effect<A, LLMError> => {
  let standing: BudgetStanding | undefined
  const settled = Effect.acquireUseRelease(
    reserve(callOf(run, request)),
    () => effect,
    (settle) =>
      Effect.sync(() => {
        standing = settle(run.records) ?? undefined
      })
  )
  return Effect.map(settled, (answer) => (standing === undefined ? answer : { ...answer, ...standing }))
}

/** The same for a streamed call: settled when the stream is over or left, and its last part says how they will stand. */
export const budgetedStream = (
  reserve: NonNullable<BudgetService["reserve"]>,
  run: Run,
  request: ProviderRequest,
  planned: Stream.Stream<LLMStreamPart, LLMError>
): Stream.Stream<LLMStreamPart, LLMError> =>
  Stream.unwrap(
    Effect.map(
      Effect.acquireRelease(reserve(callOf(run, request)), (settle) => Effect.sync(() => settle(run.records))),
      (settle) => {
        run.standing = settle.standing
        return planned
      }
    )
  )
