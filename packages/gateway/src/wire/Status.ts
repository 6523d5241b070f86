/** What each error of the service is over HTTP: the one table both wires read. */
import type { LLMError } from "@breakwater/core"
import * as Duration from "effect/Duration"
import { type Problem, type ProblemKind } from "../internal/Problem.ts"

/** An error in the words of a wire. */
export interface WireError {
  readonly status: number
  /** JSON text. */
  readonly body: string
  readonly headers: Readonly<Record<string, string>>
}

/** What kind of failure it is, the same for both wires. */
export type Kind =
  | ProblemKind
  | "quota"
  | "budget"
  | "model-not-found"
  | "context-length"
  | "content"
  | "upstream"
  | "upstream-auth"
  | "upstream-timeout"

export interface Failure {
  readonly kind: Kind
  readonly status: number
  readonly message: string
  readonly param: string | undefined
  readonly code: string | undefined
  readonly retryAfterMs: number | undefined
  readonly headers: Readonly<Record<string, string>>
}

type Row = readonly [kind: Kind, status: number]

const rows: { readonly [Tag in Exclude<LLMError.LLMErrorTag, "AllTargetsFailedError">]: Row } = {
  RateLimitError: ["rate-limited", 429],
  QuotaExhaustedError: ["quota", 429],
  ModelOverloadError: ["overloaded", 503],
  ServerError: ["upstream", 502],
  TransportError: ["upstream", 502],
  RequestTimeoutError: ["upstream-timeout", 504],
  StreamInterruptedError: ["upstream", 502],
  InvalidResponseError: ["upstream", 502],
  ContextLengthError: ["context-length", 400],
  ContentFilterError: ["content", 400],
  // The key that was refused is the gateway's, not the client's.
  AuthenticationError: ["upstream-auth", 502],
  ModelNotFoundError: ["model-not-found", 404],
  InvalidRequestError: ["invalid-request", 400],
  StructuredOutputError: ["upstream", 502],
  CircuitOpenError: ["overloaded", 503],
  BulkheadFullError: ["overloaded", 503],
  BudgetExceededError: ["budget", 429],
  InputRejectedError: ["content", 400],
  OutputRejectedError: ["content", 400],
  DeadlineExceededError: ["upstream-timeout", 504],
  UnpricedModelError: ["invalid-request", 400],
  StoreError: ["overloaded", 503]
}

/** The names of fields as the wires have them. */
const params: { readonly [name: string]: string } = {
  prompt: "messages",
  topP: "top_p",
  topK: "top_k",
  maxTokens: "max_tokens",
  toolChoice: "tool_choice",
  presencePenalty: "presence_penalty",
  frequencyPenalty: "frequency_penalty"
}

const onWire = (name: string): string => (Object.hasOwn(params, name) ? params[name]! : name)

const millisOf = (error: LLMError.LLMError): number | undefined =>
  error.retryAfter === undefined || !Duration.isFinite(error.retryAfter)
    ? undefined
    : Duration.toMillis(error.retryAfter)

/** Of several failed attempts the last one that says most: what the client can do about it goes first. */
const telling = (error: LLMError.AllTargetsFailedError): LLMError.AttemptError | undefined => {
  const errors = error.attempts.map((attempt) => attempt.error)
  const client = errors.find((each) =>
    ["InvalidRequestError", "ContentFilterError", "ContextLengthError"].includes(each._tag)
  )
  const served = errors.filter((each) => each._tag !== "CircuitOpenError")
  return client ?? served.at(-1) ?? errors.at(-1)
}

const soonest = (error: LLMError.AllTargetsFailedError): number | undefined => {
  let least = Infinity
  for (const { error: each } of error.attempts) least = Math.min(least, millisOf(each) ?? Infinity)
  return least === Infinity ? undefined : least
}

const ofError = (error: LLMError.LLMError): Failure => {
  if (error._tag === "AllTargetsFailedError") {
    const cause = telling(error)
    const retryAfterMs = soonest(error)
    if (cause === undefined) return { ...plain("upstream", 502, error.message), retryAfterMs }
    const row = rows[cause._tag]
    return { ...plain(row[0], row[1], `Every target failed; ${cause.message}`), retryAfterMs }
  }
  const [kind, status] = rows[error._tag]
  const param = error._tag === "InvalidRequestError" ? error.parameter : undefined
  const named = param === undefined ? undefined : onWire(param)
  const message =
    param !== undefined && named !== param && error.message.startsWith(`${param}:`)
      ? `${named}${error.message.slice(param.length)}`
      : error.message
  return { ...plain(kind, status, message), param: named, retryAfterMs: millisOf(error) }
}

const plain = (kind: Kind, status: number, message: string): Failure => ({
  kind,
  status,
  message,
  param: undefined,
  code: undefined,
  retryAfterMs: undefined,
  headers: {}
})

/** Statuses after which clients come again: they are told when. */
const comeAgain = new Set([429, 503, 529])

/** Any failure of a request, ready to be put into a wire's words. */
export const failureOf = (error: LLMError.LLMError | Problem): Failure => {
  const failure: Failure =
    error._tag === "Problem"
      ? {
          ...plain(error.kind, error.status, error.message),
          param: error.param,
          code: error.code,
          retryAfterMs: error.retryAfterMs,
          headers: error.headers ?? {}
        }
      : ofError(error)
  const waits = failure.kind !== "quota" && comeAgain.has(failure.status)
  const retryAfterMs = failure.retryAfterMs ?? (waits ? 1_000 : undefined)
  if (retryAfterMs === undefined) return failure
  return {
    ...failure,
    headers: { ...failure.headers, "retry-after": String(Math.max(1, Math.ceil(retryAfterMs / 1_000))) }
  }
}
