/**
 * What each kind of error means for the plan: the one table that retry, failover and the circuit breaker
 * read.
 */
import type { LLMError, LLMErrorTag } from "./LLMError.ts"

/** What to do about an error. */
export interface Disposition {
  /** Whether the same target may be asked again: never, once in a call, or as often as the plan allows. */
  readonly retry: "never" | "once" | "always"
  /** Whether another target may be asked instead. */
  readonly failover: boolean
  /** How the target's circuit breaker counts it. */
  readonly breaker: "failure" | "ignored"
}

const row = (retry: Disposition["retry"], failover: boolean, breaker: Disposition["breaker"]): Disposition => ({
  retry,
  failover,
  breaker
})

/** The table, by the error's tag. Timeouts are refined by phase in {@link disposition}. */
export const dispositions: { readonly [Tag in LLMErrorTag]: Disposition } = {
  RateLimitError: row("always", true, "ignored"),
  QuotaExhaustedError: row("never", true, "ignored"),
  ModelOverloadError: row("always", true, "failure"),
  ServerError: row("always", true, "failure"),
  TransportError: row("always", true, "failure"),
  RequestTimeoutError: row("never", true, "failure"),
  StreamInterruptedError: row("always", true, "failure"),
  InvalidResponseError: row("once", true, "failure"),
  ContextLengthError: row("never", true, "ignored"),
  ContentFilterError: row("never", false, "ignored"),
  AuthenticationError: row("never", true, "ignored"),
  ModelNotFoundError: row("never", true, "ignored"),
  InvalidRequestError: row("never", false, "ignored"),
  StructuredOutputError: row("never", true, "ignored"),
  CircuitOpenError: row("never", true, "ignored"),
  BulkheadFullError: row("always", true, "ignored"),
  BudgetExceededError: row("never", false, "ignored"),
  InputRejectedError: row("never", false, "ignored"),
  OutputRejectedError: row("never", false, "ignored"),
  DeadlineExceededError: row("never", false, "ignored"),
  UnpricedModelError: row("never", false, "ignored"),
  StoreError: row("never", false, "ignored"),
  AllTargetsFailedError: row("never", false, "ignored")
}

const connectTimeout = row("always", true, "failure")

/**
 * The row for an error. A target that could not be reached may be asked again; one that was reached and
 * stayed silent may not.
 */
export const disposition = (error: LLMError): Disposition =>
  error._tag === "RequestTimeoutError" && error.phase === "connect" ? connectTimeout : dispositions[error._tag]
