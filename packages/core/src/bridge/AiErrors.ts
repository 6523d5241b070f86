/**
 * Failures between `effect/ai` and this library, by kind.
 */
import * as AiError from "effect/ai/AiError"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import * as E from "../errors/LLMError.ts"

/** Whose failure it is. */
export interface Origin {
  readonly provider: string
  readonly model: string
}

// An address may carry a key in its query.
const withoutSecrets = (text: string): string =>
  text.replace(/([?&](?:key|api[-_]?key|access_token|token)=)[^&\s)"']{1,500}/gi, "$1…")

const longestDelayMs = 86_400_000

const httpOf = (reason: AiError.AiErrorReason): typeof AiError.HttpContext.Type | undefined =>
  "http" in reason ? reason.http : undefined

const retryAfterOf = (reason: AiError.AiErrorReason): Duration.Duration | undefined => {
  if (reason._tag === "RateLimitError" && reason.retryAfter !== undefined) return reason.retryAfter
  const headers = httpOf(reason)?.response?.headers
  const read = (name: string, unit: number): number | undefined => {
    const value = headers?.[name]
    const millis = typeof value === "string" && value.trim() !== "" ? Number(value) * unit : NaN
    return millis >= 0 && millis <= longestDelayMs ? millis : undefined
  }
  const millis = read("retry-after-ms", 1) ?? read("retry-after", 1000)
  return millis === undefined ? undefined : Duration.millis(millis)
}

const fieldsOf = (error: AiError.AiError, origin: Origin) => {
  const status = httpOf(error.reason)?.response?.status
  const retryAfter = retryAfterOf(error.reason)
  return {
    // A failed decoding names every kind of part there is.
    message: withoutSecrets(error.reason.message.slice(0, 1000)),
    provider: origin.provider,
    model: origin.model,
    ...(status === undefined ? {} : { status }),
    ...(retryAfter === undefined ? {} : { retryAfter })
  }
}

type Fields = ReturnType<typeof fieldsOf>

const overflow =
  /context[_ ]length[_ ]exceeded|maximum context length|context window|prompt is too long|exceed_context_size|available context size|exceeds the maximum number of tokens/i
const throttled = /per minute|rate limit/i
const unknownModel = /model[^.\n]{0,80}(?:not found|does not exist|not exist)/i

const invalidRequest = (reason: AiError.InvalidRequestError, fields: Fields): E.AttemptError => {
  const text = `${reason.description ?? ""} ${reason.constraint ?? ""} ${reason.http?.body?.slice(0, 2000) ?? ""}`
  if (overflow.test(text) && !throttled.test(text)) return new E.ContextLengthError(fields)
  if (fields.status === 404 || unknownModel.test(text)) return new E.ModelNotFoundError(fields)
  return new E.InvalidRequestError({
    ...fields,
    ...(reason.parameter === undefined ? {} : { parameter: reason.parameter })
  })
}

const unknown = (fields: Fields): E.AttemptError => {
  switch (fields.status) {
    case 402:
      return new E.QuotaExhaustedError(fields)
    case 404:
      return new E.ModelNotFoundError(fields)
    case 413:
      return new E.ContextLengthError(fields)
    case 408:
    case 409:
      return new E.ServerError(fields)
    default:
      // Nobody knows whether asking again helps, and `effect/ai` says it does not; another target may.
      return new E.ServerError({ ...fields, shouldRetry: false })
  }
}

const network = (reason: AiError.NetworkError, fields: Fields): E.AttemptError => {
  const message = withoutSecrets(reason.description ?? `The request could not be sent (${reason.reason}).`)
  if (reason.reason !== "TransportError") return new E.InvalidRequestError({ ...fields, message })
  const code = (reason.cause as { readonly code?: unknown } | undefined)?.code
  const codes = typeof code === "string" ? `${message} ${code}` : message
  const phase = /ENOTFOUND|EAI_AGAIN/.test(codes)
    ? "dns"
    : /ECONNRESET|EPIPE|socket hang up|other side closed/i.test(codes)
      ? "reset"
      : /CERT|TLS|SSL/.test(codes)
        ? "tls"
        : "connect"
  return new E.TransportError({ ...fields, message, phase })
}

const authentication = {
  InvalidKey: "invalid",
  ExpiredKey: "invalid",
  MissingKey: "missing",
  Unknown: "invalid",
  InsufficientPermissions: "forbidden"
} as const

const excerpt = (body: string | undefined) =>
  body === undefined ? {} : { excerpt: withoutSecrets(body).slice(0, 500) }

const structuredOutput = (reason: AiError.StructuredOutputError, fields: Fields): E.AttemptError => {
  const usage = reason.usage
  return new E.StructuredOutputError({
    ...fields,
    issues: reason.description.split("\n").filter((line) => line.trim() !== ""),
    rawText: reason.responseText,
    ...(usage?.promptTokens === undefined || usage.completionTokens === undefined
      ? {}
      : { usage: { inputTokens: usage.promptTokens, outputTokens: usage.completionTokens } })
  })
}

const parameterOf = {
  UnsupportedSchemaError: "responseFormat",
  ToolConfigurationError: "tools",
  ToolResultEncodingError: "tools",
  ToolkitRequiredError: "messages",
  InvalidUserInputError: "messages"
} as const

/**
 * The failure of one attempt that an `AiError` of a model means. An error that came from an `LLM` is that error
 * again.
 */
export const fromAiError = (error: AiError.AiError, origin: Origin): E.AttemptError => {
  const original = Option.getOrUndefined(llmError(error))
  if (original !== undefined) {
    return original._tag === "AllTargetsFailedError"
      ? (original.attempts.at(-1)?.error ?? new E.ServerError({ ...fieldsOf(error, origin), shouldRetry: false }))
      : original
  }
  const reason = error.reason
  const fields = fieldsOf(error, origin)
  switch (reason._tag) {
    case "RateLimitError":
      return new E.RateLimitError({ ...fields, source: "provider", scope: "requests" })
    case "QuotaExhaustedError":
      return new E.QuotaExhaustedError({
        ...fields,
        ...(reason.resetAt === undefined ? {} : { resetsAt: DateTime.toEpochMillis(reason.resetAt) })
      })
    case "AuthenticationError":
      return new E.AuthenticationError({ ...fields, kind: authentication[reason.kind] })
    case "ContentPolicyError":
      return new E.ContentFilterError({ ...fields, stage: "input", reason: reason.description })
    case "InvalidRequestError":
      return invalidRequest(reason, fields)
    case "InternalProviderError":
      return fields.status === 503 || fields.status === 529
        ? new E.ModelOverloadError(fields)
        : new E.ServerError(fields)
    case "NetworkError":
      return network(reason, fields)
    case "InvalidResponseError":
      return new E.InvalidResponseError({ ...fields, ...excerpt(reason.http?.body) })
    // The model wrote something that cannot be used: asking once more may help.
    case "InvalidOutputError":
    case "ToolNotFoundError":
    case "ToolParameterValidationError":
    case "InvalidToolResultError":
      return new E.InvalidResponseError(fields)
    case "StructuredOutputError":
      return structuredOutput(reason, fields)
    case "UnsupportedSchemaError":
    case "ToolConfigurationError":
    case "ToolResultEncodingError":
    case "ToolkitRequiredError":
    case "InvalidUserInputError":
      return new E.InvalidRequestError({ ...fields, parameter: parameterOf[reason._tag] })
    case "UnknownError":
      return unknown(fields)
  }
}

const kindOf = { invalid: "InvalidKey", missing: "MissingKey", forbidden: "InsufficientPermissions" } as const

const resetAt = (millis: number | undefined) => (millis === undefined ? {} : { resetAt: DateTime.makeUnsafe(millis) })

const reasonOf = (error: E.LLMError): AiError.AiErrorReason => {
  const description = error.message
  switch (error._tag) {
    case "RateLimitError":
    case "BulkheadFullError":
      return new AiError.RateLimitError(error.retryAfter === undefined ? {} : { retryAfter: error.retryAfter })
    case "QuotaExhaustedError":
    case "BudgetExceededError":
      return new AiError.QuotaExhaustedError(resetAt(error.resetsAt))
    case "ModelOverloadError":
    case "ServerError":
    case "CircuitOpenError":
    case "RequestTimeoutError":
    case "StreamInterruptedError":
      return new AiError.InternalProviderError({ description })
    case "TransportError":
      return new AiError.NetworkError({
        reason: "TransportError",
        method: "POST",
        url: `${error.provider ?? "unknown"}/${error.model ?? "unknown"}`,
        description
      })
    case "InvalidResponseError":
      return new AiError.InvalidResponseError({ description })
    case "ContextLengthError":
      return new AiError.InvalidRequestError({ parameter: "prompt", description })
    case "ModelNotFoundError":
      return new AiError.InvalidRequestError({ parameter: "model", description })
    case "InvalidRequestError":
      return new AiError.InvalidRequestError({
        description,
        ...(error.parameter === undefined ? {} : { parameter: error.parameter })
      })
    case "ContentFilterError":
    case "InputRejectedError":
    case "OutputRejectedError":
      return new AiError.ContentPolicyError({ description })
    case "AuthenticationError":
      return new AiError.AuthenticationError({ kind: kindOf[error.kind], description })
    case "StructuredOutputError":
      return new AiError.StructuredOutputError({ description, responseText: error.rawText })
    case "DeadlineExceededError":
    case "UnpricedModelError":
    case "StoreError":
    case "AllTargetsFailedError":
      return new AiError.UnknownError({ description })
  }
}

/** The `AiError` that says the same; it carries the error itself as its cause, see {@link llmError}. */
export const toAiError = (error: E.LLMError, method: string): AiError.AiError => {
  const reason = reasonOf(error)
  // Reasons have no field for it; the cause of the `AiError` is its reason already.
  Object.defineProperty(reason, "cause", { value: error, configurable: true, enumerable: false })
  return AiError.make({ module: "Breakwater", method, reason })
}

/**
 * The error of this library that an `AiError` of a bridged `LanguageModel` stands for, with everything it
 * carries (attempts, amounts, delays). None for an `AiError` from elsewhere: of a tool, say.
 */
export const llmError = (error: AiError.AiError): Option.Option<E.LLMError> => {
  const cause = (error.reason as { readonly cause?: unknown }).cause
  return E.isLLMError(cause) ? Option.some(cause) : Option.none()
}
