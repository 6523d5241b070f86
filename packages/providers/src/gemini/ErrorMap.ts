/**
 * Gemini's failures as errors of this library: answers with an error status, objects with `error` inside a stream,
 * blocked prompts, and finish reasons that are failures. Pure functions.
 *
 * The details of the body decide before its status: a 429 may be a minute's limit or a day's, and a 400 may be a
 * wrong key, a prompt that is too long, or a wrong field.
 */
import { LLMError } from "@breakwater/core"
import { contextOverflow } from "../internal/ContextLength.ts"
import { type HttpAnswer, invalidResponse, type Origin, originOf, type Target } from "../internal/Failure.ts"
import { asArray, asRecord, asText, type JsonRecord, parseJson } from "../internal/Json.ts"
import { safeMessage } from "../internal/SafeMessage.ts"

interface Failure {
  readonly origin: Origin
  readonly status: number
  /** The canonical name of the failure, `RESOURCE_EXHAUSTED`. */
  readonly name: string | undefined
  readonly message: string
  readonly details: ReadonlyArray<JsonRecord>
  readonly error: JsonRecord | undefined
  readonly text: string
}

/** The sentence of this library, and the provider's own words after it. */
const say = (sentence: string, { message }: Failure): string => {
  const words = safeMessage(message)
  return words.length === 0 ? `${sentence}.` : `${sentence}: ${words}`
}

const statusOf: { readonly [name: string]: number } = {
  INVALID_ARGUMENT: 400,
  FAILED_PRECONDITION: 400,
  OUT_OF_RANGE: 400,
  UNAUTHENTICATED: 401,
  PERMISSION_DENIED: 403,
  NOT_FOUND: 404,
  ABORTED: 409,
  RESOURCE_EXHAUSTED: 429,
  CANCELLED: 499,
  INTERNAL: 500,
  UNKNOWN: 500,
  UNAVAILABLE: 503,
  DEADLINE_EXCEEDED: 504
}

const reasonOf = (failure: Failure): string | undefined => {
  for (const detail of failure.details) {
    const reason = asText(detail["reason"])
    if (reason !== undefined) return reason
  }
  return undefined
}

const violations = (failure: Failure): ReadonlyArray<JsonRecord> =>
  failure.details.flatMap((detail) => (asArray(detail["violations"]) ?? []).map((each) => asRecord(each) ?? {}))

const spent = /prepayment credits? (?:are|is) depleted|spend(?:ing)? (?:cap|limit)|billing account|limit: 0\b/i

/** A day's quota, or a quota of nothing, does not come back within a minute, whatever `retryDelay` says. */
const isSpent = (failure: Failure): boolean =>
  spent.test(failure.message) ||
  violations(failure).some(
    (each) => /PerDay/i.test(asText(each["quotaId"]) ?? "") || each["quotaValue"] === "0" || each["quotaValue"] === 0
  )

const scope = (text: string): LLMError.RateLimitError["scope"] => {
  if (/input_?token/i.test(text)) return "input-tokens"
  if (/output_?token/i.test(text)) return "output-tokens"
  return /token/i.test(text) ? "tokens" : "requests"
}

const quotaExhausted = (failure: Failure, origin = failure.origin): LLMError.AttemptError =>
  new LLMError.QuotaExhaustedError({ ...origin, message: say("The account has nothing left", failure) })

const rateLimit = (failure: Failure): LLMError.AttemptError => {
  const { message, origin } = failure
  if (isSpent(failure)) {
    const { retryAfter: _, ...rest } = origin
    return quotaExhausted(failure, rest)
  }
  const violation = violations(failure)[0]
  const text = `${asText(violation?.["quotaId"]) ?? ""} ${asText(violation?.["quotaMetric"]) ?? ""}`
  const limit = Number(violation?.["quotaValue"])
  const named = scope(text.trim().length === 0 ? message : text)
  return new LLMError.RateLimitError({
    ...origin,
    message: say(`The provider limits ${named}`, failure),
    source: "provider",
    scope: named,
    ...(Number.isFinite(limit) && limit > 0 ? { limit } : {})
  })
}

// Fixed sentences: what a provider says of a key may quote it.
const authenticationMessages = {
  missing: "The provider asks for an API key and got none.",
  invalid: "The provider does not accept the API key.",
  forbidden: "The provider does not allow this key to do that."
}

const authentication = ({ origin }: Failure, kind: LLMError.AuthenticationError["kind"]): LLMError.AttemptError =>
  new LLMError.AuthenticationError({ ...origin, message: authenticationMessages[kind], kind })

const server = (failure: Failure): LLMError.AttemptError =>
  new LLMError.ServerError({ ...failure.origin, message: say("The provider failed", failure) })

const overflow = (failure: Failure): LLMError.AttemptError | undefined => {
  const { error, message, name, origin } = failure
  const numbers = contextOverflow({ message, codes: [name, reasonOf(failure)], error })
  return numbers === undefined
    ? undefined
    : new LLMError.ContextLengthError({
        ...origin,
        message: say("Prompt and answer do not fit the model's window", failure),
        ...numbers
      })
}

const parameter = (failure: Failure): { readonly parameter?: string } => {
  const field = failure.details
    .flatMap((detail) => asArray(detail["fieldViolations"]) ?? [])
    .map((each) => asText(asRecord(each)?.["field"]))
    .find((name) => name !== undefined)
  return field === undefined ? {} : { parameter: field }
}

const invalidRequest = (failure: Failure): LLMError.AttemptError => {
  const { message, name, origin } = failure
  if (reasonOf(failure)?.startsWith("API_KEY_") || /api key (?:not valid|not found|expired)/i.test(message)) {
    return authentication(failure, "invalid")
  }
  const tooLong = overflow(failure)
  if (tooLong !== undefined) return tooLong
  // Places and accounts that may not call: nothing is wrong with the request, another target may take it.
  if (name === "FAILED_PRECONDITION") {
    return new LLMError.AuthenticationError({
      ...origin,
      message: say("The provider does not serve this account from here", failure),
      kind: "forbidden"
    })
  }
  return new LLMError.InvalidRequestError({
    ...origin,
    message: say("The provider does not accept the request", failure),
    ...parameter(failure)
  })
}

const toError = (failure: Failure): LLMError.AttemptError => {
  const { message, name, origin, status } = failure
  switch (status) {
    case 401:
      return authentication(failure, /missing|without an? api key/i.test(message) ? "missing" : "invalid")
    case 402:
      return quotaExhausted(failure)
    case 403:
      // A call without a key is refused as one of an unknown caller.
      return authentication(failure, /unregistered callers/i.test(message) ? "missing" : "forbidden")
    case 404:
      return new LLMError.ModelNotFoundError({ ...origin, message: say("The provider has no such model", failure) })
    case 408:
    case 409:
    case 499:
      return server(failure)
    case 429:
      return rateLimit(failure)
    case 503:
    case 529:
      return new LLMError.ModelOverloadError({
        ...origin,
        message: say("The provider has no capacity at the moment", failure)
      })
  }
  // Some overflows are reported as a failure inside.
  if (status >= 500) return (name === "INTERNAL" ? overflow(failure) : undefined) ?? server(failure)
  if (status >= 400) return invalidRequest(failure)
  return invalidResponse(origin, `The provider answered with status ${status}.`, failure.text)
}

/** The error object: alone, first in an array, or once more inside its own message as text. */
const errorOf = (body: unknown): JsonRecord | undefined => {
  const error = asRecord(asRecord(Array.isArray(body) ? body[0] : body)?.["error"])
  const message = asText(error?.["message"])
  const inner = message?.startsWith("{") ? asRecord(asRecord(parseJson(message))?.["error"]) : undefined
  return inner ?? error
}

const failureOf = (origin: Origin, status: number | undefined, body: unknown, text: string): Failure => {
  const error = errorOf(body)
  const name = asText(error?.["status"])
  const code = error?.["code"]
  const known = status ?? (name === undefined ? undefined : statusOf[name]) ?? (typeof code === "number" ? code : 500)
  return {
    origin,
    status: known,
    name,
    message: asText(error?.["message"]) ?? "",
    details: (asArray(error?.["details"]) ?? []).map((detail) => asRecord(detail) ?? {}),
    error,
    text
  }
}

/** The error for an answer with an error status. */
export const fromAnswer = (target: Target, answer: HttpAnswer): LLMError.AttemptError => {
  const body = parseJson(answer.text)
  return toError(failureOf(originOf(target, answer, body), answer.status, body, answer.text))
}

/** The error for an object with `error` inside a stream: its status is in the body. `origin` has the hints. */
export const fromBody = (origin: Origin, body: unknown, text = ""): LLMError.AttemptError => {
  const { status: _, ...rest } = origin
  return toError(failureOf(rest, undefined, body, text))
}

const filtered = new Set([
  "SAFETY",
  "RECITATION",
  "BLOCKLIST",
  "PROHIBITED_CONTENT",
  "SPII",
  "IMAGE_SAFETY",
  "IMAGE_PROHIBITED_CONTENT",
  "IMAGE_RECITATION"
])

const malformed = new Set([
  "MALFORMED_FUNCTION_CALL",
  "UNEXPECTED_TOOL_CALL",
  "TOO_MANY_TOOL_CALLS",
  "MALFORMED_RESPONSE",
  "MISSING_THOUGHT_SIGNATURE"
])

const blockedCategories = (ratings: unknown): { readonly categories?: ReadonlyArray<string> } => {
  const categories = (asArray(ratings) ?? [])
    .map((rating) => asRecord(rating))
    .filter((rating) => rating?.["blocked"] === true)
    .map((rating) => asText(rating?.["category"]))
    .filter((category) => category !== undefined)
  return categories.length === 0 ? {} : { categories }
}

/** The error for a prompt that was blocked; `undefined` if it was not. */
export const fromPromptFeedback = (origin: Origin, feedback: unknown): LLMError.AttemptError | undefined => {
  const fields = asRecord(feedback)
  const reason = asText(fields?.["blockReason"])
  return reason === undefined || reason === "BLOCK_REASON_UNSPECIFIED" || reason === "BLOCKED_REASON_UNSPECIFIED"
    ? undefined
    : new LLMError.ContentFilterError({
        ...origin,
        message: `The prompt was blocked (${reason}).`,
        stage: "input",
        reason: asText(fields?.["blockReasonMessage"]) ?? reason,
        ...blockedCategories(fields?.["safetyRatings"])
      })
}

/** The error for a candidate that ended in failure; `undefined` for one that did not. */
export const fromCandidate = (origin: Origin, candidate: JsonRecord): LLMError.AttemptError | undefined => {
  const reason = asText(candidate["finishReason"])
  if (reason === undefined) return undefined
  const said = asText(candidate["finishMessage"])
  if (filtered.has(reason)) {
    return new LLMError.ContentFilterError({
      ...origin,
      message: `The answer was cut off for its content (${reason}).`,
      stage: "output",
      reason: said ?? reason,
      ...blockedCategories(candidate["safetyRatings"])
    })
  }
  return malformed.has(reason)
    ? invalidResponse(origin, `The model's answer was not usable (${reason}).`, said)
    : undefined
}
