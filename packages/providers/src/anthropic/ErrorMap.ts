/**
 * Anthropic's failures as errors of this library: answers with an error status, `error` events inside a stream,
 * and stop reasons that are failures. Pure functions.
 *
 * The type in the body decides, and the status where the body is silent (a proxy's page, an empty answer): the
 * same table serves a 529 and an `overloaded_error` inside a stream that began with 200.
 */
import { LLMError, type RateLimits } from "@breakwater/core"
import { contextOverflow } from "../internal/ContextLength.ts"
import { type HttpAnswer, invalidResponse, type Origin, originOf, type Target } from "../internal/Failure.ts"
import { asRecord, asText, type JsonRecord, parseJson } from "../internal/Json.ts"
import { rateLimits } from "../internal/RateLimitHeaders.ts"
import { safeMessage } from "../internal/SafeMessage.ts"

/** What a failure says, wherever it was found. */
interface Failure {
  readonly origin: Origin
  readonly status: number | undefined
  readonly type: string | undefined
  /** `error.details.error_code`: finer than the type, and more stable than the words. */
  readonly code: string | undefined
  readonly message: string
  readonly error: JsonRecord | undefined
  readonly limits: RateLimits.RateLimits | undefined
  readonly text: string
}

/** The sentence of this library, and the provider's own words after it. */
const say = (sentence: string, { message }: Failure): string => {
  const words = safeMessage(message)
  return words.length === 0 ? `${sentence}.` : `${sentence}: ${words}`
}

const spendLimit =
  /reached your specified .{0,40}usage limits|spend(?:ing)? limit|credit balance is too low|monthly (?:usage|spend)/i
const contentPolicy = /content filtering policy/i

const isSpent = ({ code, message, type }: Failure): boolean =>
  type === "billing_error" ||
  (code !== undefined && /(?:spend_limit_reached|billing_unavailable|not_billable)$/.test(code)) ||
  spendLimit.test(message)

/** "You will regain access on 2026-12-01 at 00:00 UTC." */
const regained = (message: string): number | undefined => {
  const match = /regain access on (\d{4}-\d{2}-\d{2})(?: at (\d{2}:\d{2}))?/.exec(message)
  const millis = match === null ? NaN : Date.parse(`${match[1]}T${match[2] ?? "00:00"}:00Z`)
  return Number.isNaN(millis) ? undefined : millis
}

const quotaExhausted = (failure: Failure): LLMError.AttemptError => {
  const resetsAt = regained(failure.message)
  return new LLMError.QuotaExhaustedError({
    ...failure.origin,
    message: say("The account has nothing left", failure),
    ...(resetsAt === undefined ? {} : { resetsAt })
  })
}

const scope = (message: string): LLMError.RateLimitError["scope"] => {
  if (/input[- _]tokens?/i.test(message)) return "input-tokens"
  if (/output[- _]tokens?/i.test(message)) return "output-tokens"
  if (/concurrent|number of request connections/i.test(message)) return "concurrent"
  return /\btokens?\b/i.test(message) && !/requests per/i.test(message) ? "tokens" : "requests"
}

const windowOf = {
  requests: "requests",
  tokens: "tokens",
  "input-tokens": "inputTokens",
  "output-tokens": "outputTokens"
} as const

const rateLimit = (failure: Failure): LLMError.AttemptError => {
  const { limits, message, origin } = failure
  const named = scope(message)
  const limit = named === "concurrent" ? undefined : limits?.[windowOf[named]]?.limit
  return new LLMError.RateLimitError({
    ...origin,
    message: say(`The provider limits ${named}`, failure),
    source: "provider",
    scope: named,
    ...(limit === undefined ? {} : { limit }),
    ...(limits === undefined ? {} : { limits })
  })
}

const overflow = (failure: Failure): LLMError.AttemptError | undefined => {
  const { code, error, message, origin, type } = failure
  const numbers = contextOverflow({ message, codes: [type, code], error })
  return numbers === undefined
    ? undefined
    : new LLMError.ContextLengthError({
        ...origin,
        message: say("Prompt and answer do not fit the model's window", failure),
        ...numbers
      })
}

/** "messages.3.content: …" and "max_tokens: …" begin with the field that is wrong. */
const parameter = (message: string): { readonly parameter?: string } => {
  const match = /^([a-z_][a-z0-9_.]{0,80}): /.exec(message)
  return match === null ? {} : { parameter: match[1]! }
}

// Fixed sentences: what a provider says of a key may quote it.
const authenticationMessages = {
  missing: "The provider asks for an API key and got none.",
  invalid: "The provider does not accept the API key.",
  forbidden: "The provider does not allow this key to do that."
}

const invalidRequest = (failure: Failure): LLMError.AttemptError => {
  if (isSpent(failure)) return quotaExhausted(failure)
  const { message, origin } = failure
  if (contentPolicy.test(message)) {
    return new LLMError.ContentFilterError({
      ...origin,
      message: "The provider blocked the answer for its content.",
      stage: "output",
      reason: safeMessage(message)
    })
  }
  if (failure.code === "organization_on_hold" || /organization has been disabled/i.test(message)) {
    return authentication(failure, "forbidden")
  }
  return (
    overflow(failure) ??
    new LLMError.InvalidRequestError({
      ...origin,
      message: say("The provider does not accept the request", failure),
      ...parameter(message)
    })
  )
}

const authentication = ({ origin }: Failure, kind: LLMError.AuthenticationError["kind"]): LLMError.AttemptError =>
  new LLMError.AuthenticationError({ ...origin, message: authenticationMessages[kind], kind })

const notFound = (failure: Failure): LLMError.AttemptError =>
  new LLMError.ModelNotFoundError({ ...failure.origin, message: say("The provider has no such model", failure) })

const server = (failure: Failure): LLMError.AttemptError =>
  new LLMError.ServerError({ ...failure.origin, message: say("The provider failed", failure) })

const overload = (failure: Failure): LLMError.AttemptError =>
  new LLMError.ModelOverloadError({
    ...failure.origin,
    message: say("The provider has no capacity at the moment", failure)
  })

const rateLimitOrQuota = (failure: Failure): LLMError.AttemptError =>
  isSpent(failure) ? quotaExhausted(failure) : rateLimit(failure)

const byType: { readonly [type: string]: (failure: Failure) => LLMError.AttemptError } = {
  invalid_request_error: invalidRequest,
  request_too_large: (failure) => overflow(failure) ?? invalidRequest(failure),
  authentication_error: (failure) =>
    authentication(failure, /required|missing/i.test(failure.message) ? "missing" : "invalid"),
  permission_error: (failure) => authentication(failure, "forbidden"),
  billing_error: quotaExhausted,
  not_found_error: notFound,
  conflict_error: server,
  rate_limit_error: rateLimitOrQuota,
  timeout_error: server,
  api_error: (failure) => (contentPolicy.test(failure.message) ? invalidRequest(failure) : server(failure)),
  overloaded_error: overload
}

const byStatus = (failure: Failure): LLMError.AttemptError => {
  const status = failure.status ?? 500
  if (status === 401) return authentication(failure, "invalid")
  if (status === 402) return quotaExhausted(failure)
  if (status === 403) return authentication(failure, "forbidden")
  if (status === 404) return notFound(failure)
  if (status === 408 || status === 409) return server(failure)
  if (status === 429) return rateLimitOrQuota(failure)
  if (status === 503 || status === 529) return overload(failure)
  if (status >= 500) return server(failure)
  if (status >= 400) return invalidRequest(failure)
  return invalidResponse(failure.origin, `The provider answered with status ${status}.`, failure.text)
}

// Statuses that say more than the general types a provider sends with them.
const statusFirst = new Set([401, 402, 403, 408, 503, 529])
const generalTypes = new Set([undefined, "invalid_request_error", "api_error"])

const toError = (failure: Failure): LLMError.AttemptError => {
  const { status, type } = failure
  if (status !== undefined && statusFirst.has(status) && generalTypes.has(type)) return byStatus(failure)
  return (type === undefined ? undefined : byType[type])?.(failure) ?? byStatus(failure)
}

const failureOf = (
  origin: Origin,
  status: number | undefined,
  body: unknown,
  text: string,
  limits: RateLimits.RateLimits | undefined
): Failure => {
  const root = asRecord(body)
  const error = asRecord(root?.["error"])
  const requestId = origin.requestId ?? asText(root?.["request_id"])
  return {
    origin: requestId === undefined ? origin : { ...origin, requestId },
    status,
    type: asText(error?.["type"]),
    code: asText(asRecord(error?.["details"])?.["error_code"]),
    message: asText(error?.["message"]) ?? "",
    error,
    limits,
    text
  }
}

/** The error for an answer with an error status. */
export const fromAnswer = (target: Target, answer: HttpAnswer): LLMError.AttemptError => {
  const body = parseJson(answer.text)
  const limits = rateLimits(answer.headers, answer.nowMs)
  return toError(failureOf(originOf(target, answer, body), answer.status, body, answer.text, limits))
}

/** The error for an `error` event inside a stream: there is no status any more, only the body. */
export const fromEvent = (origin: Origin, body: unknown, text = ""): LLMError.AttemptError => {
  const { status: _, ...rest } = origin
  return toError(failureOf(rest, undefined, body, text, undefined))
}

/** The error for a stop reason that is a failure; `undefined` for one that is not. */
export const fromStopReason = (
  origin: Origin,
  reason: unknown,
  details?: unknown
): LLMError.AttemptError | undefined => {
  if (reason === "refusal") {
    const fields = asRecord(details)
    const category = asText(fields?.["category"])
    return new LLMError.ContentFilterError({
      ...origin,
      message: "The model refused to answer.",
      stage: "output",
      reason: asText(fields?.["explanation"]) ?? "refusal",
      ...(category === undefined ? {} : { categories: [category] })
    })
  }
  return reason === "model_context_window_exceeded"
    ? new LLMError.ContextLengthError({ ...origin, message: "The answer did not fit the model's context window." })
    : undefined
}
