/**
 * Budget and ledger around a call.
 */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { LLMStreamPart } from "../domain/Call.ts"
import type { ProviderEmbedRequest, ProviderRequest } from "../domain/Request.ts"
import type { LLMError } from "../errors/LLMError.ts"
import type { BudgetCall, BudgetService } from "../policy/Budget.ts"
import type { LedgerService } from "../policy/Ledger.ts"
import type { Run } from "./Run.ts"

const callOf = (run: Run, request: ProviderRequest | ProviderEmbedRequest): BudgetCall => ({
  context: run.options.context,
  request,
  targets: run.options.targets.map((target) => target.id),
  maxAttempts: run.options.rules.maxAttempts,
  requestId: run.options.requestId
})

/** The budget's reservation, with the ledger as another one who hears how it was settled. */
export const accounted = (
  reserve: BudgetService["reserve"],
  record: LedgerService["record"]
): BudgetService["reserve"] =>
  record === undefined
    ? reserve
    : (call) =>
        Effect.map(reserve === undefined ? Effect.succeed(() => {}) : reserve(call), (settle) => (attempts) => {
          settle(attempts)
          record(call, attempts)
        })

/** Runs a call within a reservation of its worst case, and settles what its attempts really cost. */
export const withBudget = <A>(
  reserve: NonNullable<BudgetService["reserve"]>,
  run: Run,
  request: ProviderRequest | ProviderEmbedRequest,
  effect: Effect.Effect<A, LLMError>
): Effect.Effect<A, LLMError> =>
  Effect.acquireUseRelease(
    reserve(callOf(run, request)),
    () => effect,
    (settle) => Effect.sync(() => settle(run.records))
  )

/** The same for a streamed call: settled when the stream is over or left. */
export const budgetedStream = (
  reserve: NonNullable<BudgetService["reserve"]>,
  run: Run,
  request: ProviderRequest,
  planned: Stream.Stream<LLMStreamPart, LLMError>
): Stream.Stream<LLMStreamPart, LLMError> =>
  Stream.unwrap(
    Effect.map(
      Effect.acquireRelease(reserve(callOf(run, request)), (settle) => Effect.sync(() => settle(run.records))),
      () => planned
    )
  )
