/**
 * What may be told of an error: its tag, and its sentence where that repeats nothing of the answer.
 */
import type { LLMError, LLMErrorTag } from "../errors/LLMError.ts"
import { line, repeats } from "./logText.ts"

export type LogRecord = Record<string, unknown>
export type Level = "Error" | "Warn" | "Info" | "Debug"

/** Characters of a name or id, and of a message. */
const maxName = 200
const maxMessage = 500

export const name = (text: string): string => line(text, maxName)

export const millis = (ms: number): number => Math.round(ms * 1000) / 1000

/**
 * How a failed call is logged: what somebody has to look after is an error, what the caller or a limit has brought about
 * is a warning.
 */
const levels: { readonly [Tag in LLMErrorTag]: "Error" | "Warn" } = {
  RateLimitError: "Warn",
  QuotaExhaustedError: "Error",
  ModelOverloadError: "Warn",
  ServerError: "Error",
  TransportError: "Error",
  RequestTimeoutError: "Error",
  StreamInterruptedError: "Error",
  InvalidResponseError: "Error",
  ContextLengthError: "Warn",
  ContentFilterError: "Warn",
  AuthenticationError: "Error",
  ModelNotFoundError: "Error",
  InvalidRequestError: "Warn",
  StructuredOutputError: "Warn",
  CircuitOpenError: "Warn",
  BulkheadFullError: "Warn",
  BudgetExceededError: "Warn",
  InputRejectedError: "Warn",
  OutputRejectedError: "Warn",
  DeadlineExceededError: "Error",
  UnpricedModelError: "Error",
  StoreError: "Error",
  AllTargetsFailedError: "Error"
}

export const levelOf = (error: LLMError): Level => levels[error._tag] ?? "Error"

/** Text of an answer that an error holds. */
const answerOf = (error: LLMError): string => {
  switch (error._tag) {
    case "StreamInterruptedError":
      return error.partialText
    case "StructuredOutputError":
      return error.rawText
    case "InvalidResponseError":
      return error.excerpt ?? ""
    default:
      return ""
  }
}

/** The sentence of an error, unless it repeats the answer. */
const messageOf = (error: LLMError): string => {
  // What does not fit a schema is told with the values that do not.
  if (error._tag === "StructuredOutputError") return "The answer does not satisfy the schema"
  const message = line(String(error.message), maxMessage)
  const answer = answerOf(error)
  return answer !== "" && repeats(message, answer) ? `${error._tag}, whose message repeats the answer` : message
}

export const errorRecord = (error: LLMError): LogRecord => {
  const record: LogRecord = { tag: name(error._tag), message: messageOf(error) }
  if (error.status !== undefined) record["status"] = error.status
  if (error.provider !== undefined) record["provider"] = name(error.provider)
  if (error.model !== undefined) record["model"] = name(error.model)
  if (error.requestId !== undefined) record["providerRequestId"] = name(error.requestId)
  return record
}

/**
 * The error as a tracer may have it: tracers print messages, stacks and causes, and of what failed to be read the cause
 * quotes the text.
 */
export const tellable = (error: LLMError): Error => {
  const told = new Error(messageOf(error))
  told.name = error._tag
  told.stack = `${told.name}: ${told.message}`
  return told
}
