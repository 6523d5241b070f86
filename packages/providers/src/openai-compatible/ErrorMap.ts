/**
 * The failures of OpenAI and of the servers that speak like it, as members of `AttemptError`. The table is in
 * the order of its checks: content, quota, window, and then by status.
 */
import { LLMError } from "@breakwater/core"
import * as Duration from "effect/Duration"
import { contextOverflow } from "../internal/ContextLength.ts"
import { type HttpAnswer, invalidResponse, type Origin, originOf, type Target } from "../internal/Failure.ts"
import { asArray, asRecord, asText, type JsonRecord, parseJson } from "../internal/Json.ts"
import { rateLimits } from "../internal/RateLimitHeaders.ts"
import { safeMessage } from "../internal/SafeMessage.ts"

type AttemptError = LLMError.AttemptError

/** What a body says of its error. */
interface Said {
  readonly message: string
  /** Code, type and the like, each as text. */
  readonly codes: ReadonlyArray<string>
  /** A status in the body: OpenRouter and vLLM put it there. */
  readonly status: number | undefined
  readonly parameter: string | undefined
  readonly error: JsonRecord
}

const codeTexts = (error: JsonRecord): ReadonlyArray<string> => {
  const inner = asRecord(error["innererror"]) ?? asRecord(error["inner_error"])
  const out: Array<string> = []
  for (const each of [error["code"], error["type"], error["error_type"], error["status"], inner?.["code"]]) {
    if (typeof each === "string" && each.length > 0) out.push(each)
  }
  return out
}

const bodyStatus = (error: JsonRecord): number | undefined => {
  for (const each of [error["code"], error["status"], error["status_code"]]) {
    const value = typeof each === "string" && /^\d{3}$/.test(each) ? Number(each) : each
    if (typeof value === "number" && value >= 400 && value < 600) return value
  }
  return undefined
}

const messageOf = (error: JsonRecord): string | undefined =>
  asText(error["message"]) ??
  asText(error["error"]) ??
  asText(error["detail"]) ??
  (asArray(error["detail"]) === undefined ? undefined : JSON.stringify(error["detail"]))

/** What OpenRouter's upstream said, which holds the numbers its own sentence lacks. */
const upstreamMessage = (error: JsonRecord): string => {
  const raw = asRecord(error["metadata"])?.["raw"]
  if (typeof raw !== "string") return ""
  const parsed = asRecord(parseJson(raw))
  const inner = asRecord(parsed?.["error"]) ?? parsed
  return " " + ((inner === undefined ? undefined : messageOf(inner)) ?? raw)
}

/** The error a body holds, or `undefined` if it holds none. */
const saidBy = (body: unknown): Said | undefined => {
  const root = asRecord(Array.isArray(body) ? body[0] : body)
  if (root === undefined) return undefined
  const field = root["error"]
  const error = asRecord(field) ?? (typeof field === "string" ? { ...root, message: field } : undefined) ?? root
  const message = messageOf(error)
  if (message === undefined && error === root) return undefined
  return {
    message: (message ?? "") + upstreamMessage(error),
    codes: codeTexts(error),
    status: bodyStatus(error),
    parameter: asText(error["param"]),
    error
  }
}

const contentCodes =
  /^(?:content_policy_violation|content_filter|content_filtered|ResponsibleAIPolicyViolation|moderation_blocked|data_inspection_failed|safety)$/i
const contentTexts =
  /content management policy|content filtering policy|usage polic|flagged by (?:our )?moderation|safety system|requires moderation/i
const quotaCodes =
  /^(?:insufficient_quota|credit_balance_exhausted|insufficient_balance|insufficient_credits|billing_error|billing_hard_limit_reached|billing_not_active|.{1,60}_spend_limit_exceeded|.{1,60}_usage_limit_exceeded)$/i
const quotaTexts =
  /exceeded your current quota|insufficient (?:credits|balance|funds)|credit balance is too low|out of credits|spend(?:ing)? limit (?:reached|exceeded)/i
const modelCodes = /^(?:model_not_found|model_not_available|DeploymentNotFound|not_found_error)$/i
const modelTexts =
  /try pulling it first|is not a valid model|model .{1,200}? (?:does not exist|not found)|no such model|unknown model/i
const keyCodes = /^(?:invalid_api_key|authentication_error|invalid_authentication|UNAUTHENTICATED)$/i
const keyTexts = /(?:incorrect|invalid|missing|no) api key|api key not valid|no auth credentials/i

/** The status a failure stands for when it came in a 200 or in a stream. */
const statusByCode: ReadonlyArray<readonly [RegExp, number]> = [
  [/^(?:rate_limit_exceeded|rate_limit_error|rate_limited|too_many_requests|RESOURCE_EXHAUSTED)$/i, 429],
  [/overloaded|service_unavailable|unavailable_error|^unavailable$|capacity/i, 503],
  [/^(?:permission_error|permission_denied|forbidden)$/i, 403],
  [/^(?:timeout|request_timeout|timeout_error)$/i, 408],
  [/^(?:invalid_request_error|bad_request|badrequesterror|invalid_argument|unprocessable_entity)$/i, 400],
  [/^not_supported_error$/i, 501]
]

const statusOf = (said: Said): number => {
  if (said.status !== undefined) return said.status
  for (const code of said.codes) {
    for (const [pattern, status] of statusByCode) {
      if (pattern.test(code)) return status
    }
  }
  return /overloaded|server busy|temporarily unavailable/i.test(said.message) ? 503 : 500
}

const scopeOf = (text: string): LLMError.RateLimitError["scope"] => {
  if (/input[- ]tokens/i.test(text)) return "input-tokens"
  if (/output[- ]tokens/i.test(text)) return "output-tokens"
  if (/concurren|in[- ]flight|parallel|simultaneous/i.test(text)) return "concurrent"
  return /token|\bTPM\b/i.test(text) ? "tokens" : "requests"
}

const rateLimit = (origin: Origin, said: Said, answer: Pick<HttpAnswer, "headers" | "nowMs">): AttemptError => {
  const limits = rateLimits(answer.headers, answer.nowMs)
  const scope = scopeOf(said.message + " " + said.codes.join(" "))
  const limit = (scope === "tokens" ? limits?.tokens : scope === "requests" ? limits?.requests : undefined)?.limit
  return new LLMError.RateLimitError({
    ...origin,
    message: `The provider limits ${scope}: ${safeMessage(said.message) || "too many"}`,
    source: "provider",
    scope,
    ...(limit === undefined ? {} : { limit }),
    ...(limits === undefined ? {} : { limits })
  })
}

const contentFilter = (origin: Origin, said: Said): AttemptError => {
  const metadata = asRecord(said.error["metadata"])
  const filter = asRecord(asRecord(said.error["innererror"])?.["content_filter_result"])
  const categories =
    filter === undefined
      ? (asArray(metadata?.["reasons"]) ?? []).filter((each) => typeof each === "string")
      : filteredCategories(filter)
  const reason = safeMessage(said.message)
  return new LLMError.ContentFilterError({
    ...origin,
    message: "The provider refused the prompt for its content.",
    stage: "input",
    ...(categories.length === 0 ? {} : { categories }),
    ...(reason.length === 0 ? {} : { reason })
  })
}

/** The categories of a filter's verdict that are filtered. */
export const filteredCategories = (verdict: JsonRecord): ReadonlyArray<string> =>
  Object.keys(verdict).filter((name) => {
    const each = asRecord(verdict[name])
    return each?.["filtered"] === true || (each?.["detected"] === true && each["filtered"] !== false)
  })

const authentication = (origin: Origin, status: number, said: Said): AttemptError => {
  const kind =
    status === 403
      ? "forbidden"
      : /(?:no|missing|provide an?) (?:api key|auth)/i.test(said.message)
        ? "missing"
        : "invalid"
  const message = {
    forbidden: "The provider does not allow this key to do that.",
    missing: "The provider asks for an API key and got none.",
    invalid: "The provider does not accept the API key."
  }[kind]
  return new LLMError.AuthenticationError({ ...origin, message, kind })
}

const withSentence = (sentence: string, said: Said): string => {
  const words = safeMessage(said.message)
  return words.length === 0 ? sentence + "." : `${sentence}: ${words}`
}

const invalidRequest = (origin: Origin, said: Said): AttemptError =>
  new LLMError.InvalidRequestError({
    ...origin,
    message: withSentence("The provider does not accept the request", said),
    ...(said.parameter === undefined ? {} : { parameter: said.parameter })
  })

/** Hugging Face says in the body how long a model takes to load. */
const loading = (origin: Origin, said: Said): Origin => {
  const seconds = said.error["estimated_time"]
  return origin.retryAfter === undefined && typeof seconds === "number" && seconds > 0 && seconds < 86_400
    ? { ...origin, retryAfter: Duration.millis(seconds * 1000) }
    : origin
}

/** The checks that look at the words before the status. */
const byWords = (origin: Origin, status: number, said: Said): AttemptError | undefined => {
  const has = (pattern: RegExp) => said.codes.some((code) => pattern.test(code))
  const moderated = status === 403 && asArray(asRecord(said.error["metadata"])?.["reasons"]) !== undefined
  if (moderated || has(contentCodes) || ((status === 400 || status === 403) && contentTexts.test(said.message))) {
    return contentFilter(origin, said)
  }
  // A refusal that says when to come back is a limit, whatever its words.
  if (status !== 401 && (has(quotaCodes) || (origin.retryAfter === undefined && quotaTexts.test(said.message)))) {
    return new LLMError.QuotaExhaustedError({ ...origin, message: withSentence("The account has nothing left", said) })
  }
  if (status !== 401 && status !== 403 && status !== 429) {
    const overflow = contextOverflow({ message: said.message, codes: said.codes, error: said.error })
    if (overflow !== undefined) {
      const message = withSentence("Prompt and answer do not fit the model's window", said)
      return new LLMError.ContextLengthError({ ...origin, message, ...overflow })
    }
  }
  if (status === 400 || status >= 500) {
    if (has(keyCodes) || (status === 400 && keyTexts.test(said.message))) return authentication(origin, 401, said)
    if (has(modelCodes) || (status !== 503 && modelTexts.test(said.message))) return modelNotFound(origin, said)
  }
  return undefined
}

const modelNotFound = (origin: Origin, said: Said): AttemptError =>
  new LLMError.ModelNotFoundError({
    ...origin,
    message: withSentence("The provider has no such model or address", said)
  })

const byStatus = (
  origin: Origin,
  status: number,
  said: Said,
  answer: Pick<HttpAnswer, "headers" | "nowMs">
): AttemptError => {
  switch (status) {
    case 401:
    case 403:
      return authentication(origin, status, said)
    case 402:
      return /in[- ]flight|concurren/i.test(said.message)
        ? rateLimit(origin, said, answer)
        : new LLMError.QuotaExhaustedError({ ...origin, message: withSentence("The account has nothing left", said) })
    case 404:
      return modelNotFound(origin, said)
    case 429:
      return rateLimit(origin, said, answer)
    case 498:
    case 503:
    case 529:
      return new LLMError.ModelOverloadError({
        ...loading(origin, said),
        message: withSentence("The provider has no capacity at the moment", said)
      })
    case 501:
      return invalidRequest(origin, said)
    case 408:
    case 409:
    case 424:
    case 425:
    case 499:
      return new LLMError.ServerError({ ...origin, message: withSentence("The provider could not answer", said) })
    default:
      return status >= 500
        ? new LLMError.ServerError({ ...origin, message: withSentence("The provider failed", said) })
        : invalidRequest(origin, said)
  }
}

/** The error for an answer whose status is not 2xx. */
export const fromAnswer = (answer: HttpAnswer, target: Target): AttemptError => {
  const body = parseJson(answer.text)
  const origin = originOf(target, answer, body)
  if (answer.status < 400) {
    return invalidResponse(origin, `The provider answered with the unexpected status ${answer.status}.`, answer.text)
  }
  // A proxy's web page says nothing that a person should read in a message.
  const plain = /^\s*</.test(answer.text) ? "" : answer.text
  const said = saidBy(body) ?? { message: plain, codes: [], status: undefined, parameter: undefined, error: {} }
  return byWords(origin, answer.status, said) ?? byStatus(origin, answer.status, said, answer)
}

/**
 * The error inside a 200 or a chunk of a stream, or `undefined` if there is none. `body` is the parsed JSON.
 */
export const fromBody = (
  body: unknown,
  answer: Pick<HttpAnswer, "status" | "headers" | "nowMs">,
  target: Target
): AttemptError | undefined => {
  const root = asRecord(Array.isArray(body) ? body[0] : body)
  if (root === undefined) return undefined
  const flagged = root["error"] ?? (root["object"] === "error" ? root : undefined)
  if (flagged === undefined || flagged === null || flagged === false || flagged === "") return undefined
  const said = saidBy(body)
  if (said === undefined) return undefined
  const origin = originOf(target, { ...answer, text: said.message }, body)
  const status = statusOf(said)
  return byWords(origin, status, said) ?? byStatus(origin, status, said, answer)
}

/** The error of a 200 whose body is a plain text (LM Studio): an overflow if it speaks of one. */
export const fromText = (
  text: string,
  answer: Pick<HttpAnswer, "status" | "headers" | "nowMs">,
  target: Target
): AttemptError => {
  const origin = originOf(target, { ...answer, text }, undefined)
  const overflow = contextOverflow({ message: text })
  return overflow === undefined
    ? invalidResponse(origin, "The provider answered with a text that is not JSON.", text)
    : new LLMError.ContextLengthError({
        ...origin,
        message: `Prompt and answer do not fit the model's window: ${safeMessage(text)}`,
        ...overflow
      })
}
