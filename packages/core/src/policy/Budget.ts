/**
 * Bounds what calls may cost.
 *
 * This file fixes the service and its place in the pipeline; prices and accounts come with their own release.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { CallContext } from "../domain/CallContext.ts"
import type { AttemptRecord } from "../domain/Call.ts"
import type { ProviderEmbedRequest, ProviderRequest } from "../domain/Request.ts"
import type { BudgetExceededError, StoreError, UnpricedModelError } from "../errors/LLMError.ts"

/** A request as the budget sees it: what it can cost at worst. */
export interface BudgetCall {
  readonly context: CallContext
  readonly request: ProviderRequest | ProviderEmbedRequest
  /** Every target the call may use, `provider/model`. */
  readonly targets: ReadonlyArray<string>
  readonly maxAttempts: number
}

/** Replaces the reservation by what the attempts really cost. Called exactly once. */
export type SettleBudget = (attempts: ReadonlyArray<AttemptRecord>) => void

export interface BudgetService {
  /** Reserves the worst case in every scope; `undefined` for no budget. */
  readonly reserve:
    | ((call: BudgetCall) => Effect.Effect<SettleBudget, BudgetExceededError | UnpricedModelError | StoreError>)
    | undefined
}

export class Budget extends Context.Service<Budget, BudgetService>()("@breakwater/core/Budget") {}

/** No budget, at no cost. */
export const layerNoop: Layer.Layer<Budget> = Layer.succeed(Budget, { reserve: undefined })
