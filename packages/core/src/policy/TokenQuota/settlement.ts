/**
 * What an attempt's end means for a quota.
 */
import type { AttemptOutcome } from "../../domain/Attempt.ts"
import type { AttemptError } from "../../errors/LLMError.ts"
import type { Need } from "../../internal/quotaState.ts"

/** What was used, and whether the provider was called at all. */
export interface Settlement {
  readonly actual: Need
  readonly called: boolean
}

const nothing: Need = { inputTokens: 0, outputTokens: 0 }
const notCalled: Settlement = { actual: nothing, called: false }
const refused: Settlement = { actual: nothing, called: true }

/** Errors after which the provider is known to have done no work, or not to have been called. */
const ofError = (error: AttemptError): Settlement | undefined => {
  switch (error._tag) {
    case "RateLimitError":
      return error.source === "local" ? notCalled : refused
    case "CircuitOpenError":
    case "BulkheadFullError":
    case "BudgetExceededError":
    case "InputRejectedError":
    case "UnpricedModelError":
    case "StoreError":
      return notCalled
    case "TransportError":
      return error.phase === "dns" || error.phase === "connect" || error.phase === "tls" ? notCalled : undefined
    case "RequestTimeoutError":
      return error.phase === "connect" ? notCalled : undefined
    case "QuotaExhaustedError":
    case "ModelOverloadError":
    case "ServerError":
    case "ContextLengthError":
    case "AuthenticationError":
    case "ModelNotFoundError":
    case "InvalidRequestError":
      return refused
    default:
      return undefined
  }
}

/** What to settle: what is known to have been used, or else what was reserved. */
export const settlementOf = (outcome: AttemptOutcome, reserved: Need): Settlement => {
  if ("usage" in outcome && outcome.usage !== undefined) return { actual: outcome.usage, called: true }
  const known = outcome._tag === "failure" ? ofError(outcome.error) : undefined
  return known ?? { actual: reserved, called: true }
}
