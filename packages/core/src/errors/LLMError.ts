/**
 * Everything that can go wrong with a call, as one closed union.
 *
 * A failure is a type: `Effect.catchTag("RateLimitError", …)` handles one kind, and the compiler knows which
 * kinds are left. Every member says whether it is worth trying again (`isRetryable`), when
 * (`retryAfter`), and where it came from (`provider`, `model`, `status`, `requestId`, `attempt`). No member
 * ever holds an API key or the text of a prompt. Interruption is never an error value.
 */
import * as Schema from "effect/Schema"
import { RateLimits } from "../domain/RateLimits.ts"
import { StreamPart } from "../domain/Response.ts"
import { Usage } from "../domain/Usage.ts"
import { disposition } from "./disposition.ts"

const origin = {
  /** A sentence a person can act on. */
  message: Schema.String,
  provider: Schema.optionalKey(Schema.String),
  model: Schema.optionalKey(Schema.String),
  /** The HTTP status of the provider's answer. */
  status: Schema.optionalKey(Schema.Int),
  /** The provider's id of the failed request. */
  requestId: Schema.optionalKey(Schema.String),
  /** Which attempt of the call it was, counted from 1. */
  attempt: Schema.optionalKey(Schema.Int),
  /** How long to wait before asking again, as the provider or the policy said. */
  retryAfter: Schema.optionalKey(Schema.Duration),
  /** The provider's explicit word (`x-should-retry`), which overrules the table. */
  shouldRetry: Schema.optionalKey(Schema.Boolean)
}

const Count = Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))

/** Too many requests or tokens, by the provider's count or by a local limit. */
export class RateLimitError extends Schema.TaggedError<RateLimitError>("@breakwater/core/RateLimitError")(
  "RateLimitError",
  {
    ...origin,
    source: Schema.Literals(["provider", "local"]),
    scope: Schema.Literals(["requests", "tokens", "input-tokens", "output-tokens", "concurrent"]),
    key: Schema.optionalKey(Schema.String),
    limit: Schema.optionalKey(Schema.Finite),
    limits: Schema.optionalKey(RateLimits)
  }
) {
  declare readonly isRetryable: boolean
}

/** The account has nothing left: no money, or a limit that lasts for days. Waiting does not help. */
export class QuotaExhaustedError extends Schema.TaggedError<QuotaExhaustedError>(
  "@breakwater/core/QuotaExhaustedError"
)("QuotaExhaustedError", {
  ...origin,
  /** When the quota is renewed, in milliseconds since 1970. */
  resetsAt: Schema.optionalKey(Schema.Finite)
}) {
  declare readonly isRetryable: boolean
}

/** The provider has no capacity at the moment (503, 529). */
export class ModelOverloadError extends Schema.TaggedError<ModelOverloadError>("@breakwater/core/ModelOverloadError")(
  "ModelOverloadError",
  origin
) {
  declare readonly isRetryable: boolean
}

/** The provider failed inside. */
export class ServerError extends Schema.TaggedError<ServerError>("@breakwater/core/ServerError")(
  "ServerError",
  origin
) {
  declare readonly isRetryable: boolean
}

/** The connection failed before an answer was read. */
export class TransportError extends Schema.TaggedError<TransportError>("@breakwater/core/TransportError")(
  "TransportError",
  {
    ...origin,
    phase: Schema.Literals(["dns", "connect", "tls", "write", "read", "reset"]),
    cause: Schema.optionalKey(Schema.Defect())
  }
) {
  declare readonly isRetryable: boolean
}

/**
 * A wait was longer than allowed. `phase` says which: making the connection, waiting for the first token,
 * waiting between two tokens, or the attempt as a whole.
 */
export class RequestTimeoutError extends Schema.TaggedError<RequestTimeoutError>(
  "@breakwater/core/RequestTimeoutError"
)("RequestTimeoutError", {
  ...origin,
  phase: Schema.Literals(["connect", "firstToken", "idle", "total"]),
  limit: Schema.Duration
}) {
  declare readonly isRetryable: boolean
}

/** A stream broke off before its end. What had arrived is here. */
export class StreamInterruptedError extends Schema.TaggedError<StreamInterruptedError>(
  "@breakwater/core/StreamInterruptedError"
)("StreamInterruptedError", {
  ...origin,
  partialText: Schema.String,
  parts: Schema.Array(StreamPart),
  cause: Schema.optionalKey(Schema.Defect())
}) {
  declare readonly isRetryable: boolean
}

/** The provider answered something that is not an answer. */
export class InvalidResponseError extends Schema.TaggedError<InvalidResponseError>(
  "@breakwater/core/InvalidResponseError"
)("InvalidResponseError", {
  ...origin,
  /** The beginning of the body, at most 500 characters. */
  excerpt: Schema.optionalKey(Schema.String)
}) {
  declare readonly isRetryable: boolean
}

/** Prompt and answer do not fit the model's window. The numbers are there if the provider named them. */
export class ContextLengthError extends Schema.TaggedError<ContextLengthError>("@breakwater/core/ContextLengthError")(
  "ContextLengthError",
  {
    ...origin,
    maxTokens: Schema.optionalKey(Count),
    requestedTokens: Schema.optionalKey(Count)
  }
) {
  declare readonly isRetryable: boolean
}

/** The provider refused the prompt, or cut off the answer, for its content. */
export class ContentFilterError extends Schema.TaggedError<ContentFilterError>("@breakwater/core/ContentFilterError")(
  "ContentFilterError",
  {
    ...origin,
    stage: Schema.Literals(["input", "output"]),
    categories: Schema.optionalKey(Schema.Array(Schema.String)),
    /** The provider's reason, in its words. */
    reason: Schema.optionalKey(Schema.String)
  }
) {
  declare readonly isRetryable: boolean
}

/** The provider does not accept the key. */
export class AuthenticationError extends Schema.TaggedError<AuthenticationError>(
  "@breakwater/core/AuthenticationError"
)("AuthenticationError", {
  ...origin,
  kind: Schema.Literals(["missing", "invalid", "forbidden"])
}) {
  declare readonly isRetryable: boolean
}

/** The provider has no such model, or not for this account. */
export class ModelNotFoundError extends Schema.TaggedError<ModelNotFoundError>("@breakwater/core/ModelNotFoundError")(
  "ModelNotFoundError",
  origin
) {
  declare readonly isRetryable: boolean
}

/** The request itself is wrong, found by this library or by the provider. `parameter` names the field. */
export class InvalidRequestError extends Schema.TaggedError<InvalidRequestError>(
  "@breakwater/core/InvalidRequestError"
)("InvalidRequestError", {
  ...origin,
  parameter: Schema.optionalKey(Schema.String)
}) {
  declare readonly isRetryable: boolean
}

/** The answer does not satisfy the schema that was asked for. */
export class StructuredOutputError extends Schema.TaggedError<StructuredOutputError>(
  "@breakwater/core/StructuredOutputError"
)("StructuredOutputError", {
  ...origin,
  /** What does not fit, a line for each place. */
  issues: Schema.Array(Schema.String),
  rawText: Schema.String,
  usage: Schema.optionalKey(Usage)
}) {
  declare readonly isRetryable: boolean
}

/** The circuit breaker of a target is open: it has failed too often lately. */
export class CircuitOpenError extends Schema.TaggedError<CircuitOpenError>("@breakwater/core/CircuitOpenError")(
  "CircuitOpenError",
  {
    ...origin,
    key: Schema.String
  }
) {
  declare readonly isRetryable: boolean
}

/** Too many calls are under way, and the queue is full or the wait too long. */
export class BulkheadFullError extends Schema.TaggedError<BulkheadFullError>("@breakwater/core/BulkheadFullError")(
  "BulkheadFullError",
  {
    ...origin,
    key: Schema.String,
    /** Calls waiting when this one was rejected. */
    queued: Count,
    /** How long this one had waited. */
    waited: Schema.Duration
  }
) {
  declare readonly isRetryable: boolean
}

/** The call could cost more than is left. Amounts are whole nano-dollars, as decimal texts in the encoded form. */
export class BudgetExceededError extends Schema.TaggedError<BudgetExceededError>(
  "@breakwater/core/BudgetExceededError"
)("BudgetExceededError", {
  ...origin,
  scope: Schema.String,
  period: Schema.String,
  limit: Schema.BigInt,
  spent: Schema.BigInt,
  reserved: Schema.BigInt,
  needed: Schema.BigInt,
  /** When the budget is renewed, in milliseconds since 1970. */
  resetsAt: Schema.optionalKey(Schema.Finite)
}) {
  declare readonly isRetryable: boolean

  /** `JSON.stringify` has no form for the amounts, and must not throw where an error is logged. */
  override toJSON(): object {
    const { limit, message, needed, reserved, spent } = this
    const amounts = { limit: `${limit}`, spent: `${spent}`, reserved: `${reserved}`, needed: `${needed}` }
    return Object.assign({}, this, { message }, amounts)
  }
}

/** A guard refused the prompt. Names the rules, never the text they matched. */
export class InputRejectedError extends Schema.TaggedError<InputRejectedError>("@breakwater/core/InputRejectedError")(
  "InputRejectedError",
  {
    ...origin,
    rules: Schema.Array(Schema.String)
  }
) {
  declare readonly isRetryable: boolean
}

/** A guard refused the answer. Names the rules, never the text they matched. */
export class OutputRejectedError extends Schema.TaggedError<OutputRejectedError>(
  "@breakwater/core/OutputRejectedError"
)("OutputRejectedError", {
  ...origin,
  rules: Schema.Array(Schema.String)
}) {
  declare readonly isRetryable: boolean
}

/** The time for the whole call is over: all attempts and waits together. */
export class DeadlineExceededError extends Schema.TaggedError<DeadlineExceededError>(
  "@breakwater/core/DeadlineExceededError"
)("DeadlineExceededError", {
  ...origin,
  elapsed: Schema.Duration,
  limit: Schema.Duration
}) {
  declare readonly isRetryable: boolean
}

/** The price of a model is not known, so a budget cannot be kept. */
export class UnpricedModelError extends Schema.TaggedError<UnpricedModelError>("@breakwater/core/UnpricedModelError")(
  "UnpricedModelError",
  origin
) {
  declare readonly isRetryable: boolean
}

/** A store of policy state failed. */
export class StoreError extends Schema.TaggedError<StoreError>("@breakwater/core/StoreError")("StoreError", {
  ...origin,
  store: Schema.String,
  operation: Schema.String,
  cause: Schema.optionalKey(Schema.Defect())
}) {
  declare readonly isRetryable: boolean
}

/** Every error one attempt can end with. */
export const AttemptError = Schema.Union([
  RateLimitError,
  QuotaExhaustedError,
  ModelOverloadError,
  ServerError,
  TransportError,
  RequestTimeoutError,
  StreamInterruptedError,
  InvalidResponseError,
  ContextLengthError,
  ContentFilterError,
  AuthenticationError,
  ModelNotFoundError,
  InvalidRequestError,
  StructuredOutputError,
  CircuitOpenError,
  BulkheadFullError,
  BudgetExceededError,
  InputRejectedError,
  OutputRejectedError,
  DeadlineExceededError,
  UnpricedModelError,
  StoreError
])
export type AttemptError = typeof AttemptError.Type

/** One failed attempt in an {@link AllTargetsFailedError}. */
export const FailedAttempt = Schema.Struct({
  /** `provider/model` */
  target: Schema.String,
  error: AttemptError,
  /** Milliseconds since 1970. */
  startedAt: Schema.Finite,
  took: Schema.Duration
})
export type FailedAttempt = typeof FailedAttempt.Type

/** Every target failed. With a single target its own error surfaces instead. */
export class AllTargetsFailedError extends Schema.TaggedError<AllTargetsFailedError>(
  "@breakwater/core/AllTargetsFailedError"
)("AllTargetsFailedError", {
  ...origin,
  attempts: Schema.Array(FailedAttempt)
}) {
  declare readonly isRetryable: boolean
}

/** The closed union, as a schema: errors can be stored and sent. */
export const LLMError = Schema.Union([...AttemptError.members, AllTargetsFailedError])
export type LLMError = typeof LLMError.Type
export type LLMErrorTag = LLMError["_tag"]

// Whether the same target is worth asking again: the provider's explicit word, or else the table.
for (const member of LLMError.members) {
  Object.defineProperty(member.prototype, "isRetryable", {
    configurable: true,
    get(this: LLMError): boolean {
      return this.shouldRetry ?? disposition(this).retry !== "never"
    }
  })
}

const guard = Schema.is(LLMError)

/** Whether a value is an error of this library. */
export const isLLMError = (u: unknown): u is LLMError => guard(u)

/** Where an error came from; what a policy may add to an error that passes through it. */
export interface Origin {
  readonly provider?: string
  readonly model?: string
  readonly requestId?: string
  readonly attempt?: number
}

/** The same error with its origin filled in where it was silent. The original is left as it is. */
export const withOrigin = <E extends LLMError>(error: E, origin: Origin): E => {
  const copy = Object.create(Object.getPrototypeOf(error) as object, Object.getOwnPropertyDescriptors(error)) as E
  for (const key of ["provider", "model", "requestId", "attempt"] as const) {
    if (origin[key] !== undefined && copy[key] === undefined) {
      Object.defineProperty(copy, key, { value: origin[key], enumerable: true, configurable: true, writable: true })
    }
  }
  return copy
}

/**
 * Builds an error without capturing a stack: for rejections that are part of normal work (an open circuit, a
 * full queue), where a stack would cost more than the decision. Synchronous code only.
 */
export const withoutStack = <E extends LLMError>(build: () => E): E => {
  const limit = Error.stackTraceLimit
  Error.stackTraceLimit = 0
  try {
    return build()
  } finally {
    Error.stackTraceLimit = limit
  }
}
