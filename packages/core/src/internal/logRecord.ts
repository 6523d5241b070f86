/**
 * What a log says of a call and of the policies: plain records of short, safe values. Never a prompt, an answer or a key.
 */
import type { AttemptRecord } from "../domain/Call.ts"
import type { CallContext } from "../domain/CallContext.ts"
import type { FailedOver, PolicyEvent, RequestFinished, RetryScheduled } from "../domain/Event.ts"
import type { LLMError, LLMErrorTag } from "../errors/LLMError.ts"
import { line, repeats } from "./logText.ts"

export type LogRecord = Record<string, unknown>
export type Level = "Error" | "Warn" | "Info" | "Debug"

/** Characters of a name or id, and of a message. */
const maxName = 200
const maxMessage = 500
/** Tags, and attempts, of one record. */
const maxTags = 20
const maxAttempts = 20

const name = (text: string): string => line(text, maxName)

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

const errorRecord = (error: LLMError): LogRecord => {
  const record: LogRecord = { tag: name(error._tag), message: messageOf(error) }
  if (error.status !== undefined) record["status"] = error.status
  if (error.provider !== undefined) record["provider"] = name(error.provider)
  if (error.model !== undefined) record["model"] = name(error.model)
  if (error.requestId !== undefined) record["providerRequestId"] = name(error.requestId)
  return record
}

const addContext = (record: LogRecord, context: CallContext): void => {
  record["tenant"] = name(context.tenant)
  if (context.user !== undefined) record["user"] = name(context.user)
  if (context.project !== undefined) record["project"] = name(context.project)
  if (context.key !== undefined) record["key"] = name(context.key)
  if (context.tags !== undefined) record["tags"] = context.tags.slice(0, maxTags).map(name)
  if (context.priority !== undefined) record["priority"] = context.priority
}

const addUsage = (record: LogRecord, attempts: ReadonlyArray<AttemptRecord>): void => {
  let [input, output, cachedInput, reasoning, known] = [0, 0, 0, 0, false]
  for (const { usage } of attempts) {
    if (usage === undefined) continue
    known = true
    input += usage.inputTokens
    output += usage.outputTokens
    cachedInput += usage.cachedInputTokens ?? 0
    reasoning += usage.reasoningTokens ?? 0
  }
  if (!known) return
  record["inputTokens"] = input
  record["outputTokens"] = output
  if (cachedInput > 0) record["cachedInputTokens"] = cachedInput
  if (reasoning > 0) record["reasoningTokens"] = reasoning
}

const millis = (ms: number): number => Math.round(ms * 1000) / 1000

/** One call. Amounts are nano-dollars as decimal texts. */
export const requestRecord = (event: RequestFinished): LogRecord => {
  const record: LogRecord = {
    event: "llm.request",
    requestId: name(event.requestId),
    operation: event.operation,
    outcome: event.outcome
  }
  addContext(record, event.context)
  const target = event.target ?? event.attempts[event.attempts.length - 1]?.target
  if (target !== undefined) record["target"] = name(target)
  record["tookMs"] = millis(event.tookMs)
  if (event.firstTokenMs !== undefined) record["firstTokenMs"] = millis(event.firstTokenMs)
  record["attempts"] = event.attempts.length
  if (event.retries > 0) record["retries"] = event.retries
  if (event.failovers > 0) record["failovers"] = event.failovers
  if (event.hedges > 0) record["hedges"] = event.hedges
  addUsage(record, event.attempts)
  if (event.cost !== undefined) {
    record["costNanos"] = event.cost.nanoDollars.toString()
    if (event.cost.unknownAttempts > 0) record["unknownCostAttempts"] = event.cost.unknownAttempts
  }
  if (event.cached !== undefined) record["cached"] = event.cached.source
  if (event.savedNanos !== undefined) record["savedNanos"] = event.savedNanos.toString()
  if (event.finishReason !== undefined) record["finishReason"] = event.finishReason
  if (event.promptHash !== undefined) record["promptHash"] = name(event.promptHash)
  if (event.error !== undefined) record["error"] = errorRecord(event.error)
  return record
}

/** A call that took long, attempt by attempt. */
export const slowRecord = (event: RequestFinished): LogRecord => ({
  event: "llm.slow",
  requestId: name(event.requestId),
  tookMs: millis(event.tookMs),
  attempts: event.attempts.slice(0, maxAttempts).map((attempt) => ({
    attempt: attempt.attempt,
    target: name(attempt.target),
    outcome: attempt.outcome,
    tookMs: millis(attempt.tookMs),
    ...(attempt.waitedMs > 0 ? { waitedMs: millis(attempt.waitedMs) } : undefined),
    ...(attempt.firstTokenMs === undefined ? undefined : { firstTokenMs: millis(attempt.firstTokenMs) }),
    ...(attempt.error === undefined ? undefined : { error: name(attempt.error._tag) })
  }))
})

/** Another attempt, at the same target or at the next. */
export const retryRecord = (event: RetryScheduled | FailedOver): LogRecord =>
  event.type === "retry-scheduled"
    ? {
        event: "llm.retry",
        requestId: name(event.requestId),
        attempt: event.attempt,
        target: name(event.target),
        delayMs: millis(event.delayMs),
        error: errorRecord(event.error)
      }
    : {
        event: "llm.failover",
        requestId: name(event.requestId),
        from: name(event.from),
        to: name(event.to),
        error: errorRecord(event.error)
      }

/** What an operator wants to know of the policies, and how much; `undefined` for all else. */
export const policyRecord = (event: PolicyEvent): { readonly level: Level; readonly record: LogRecord } | undefined => {
  switch (event.type) {
    case "circuit-changed": {
      const { from, key, openForMs, reason, to } = event
      const record: LogRecord = { event: "llm.circuit", key: name(key), from, to, reason: name(reason) }
      if (openForMs !== undefined) record["openForMs"] = millis(openForMs)
      return { level: to === "open" ? "Warn" : "Info", record }
    }
    case "circuit-store-changed":
      return { level: event.available ? "Info" : "Warn", record: store("circuit breaker", event.available, event) }
    case "store-lost":
    case "store-recovered": {
      const available = event.type === "store-recovered"
      return {
        level: available ? "Info" : "Warn",
        record: { ...store(event.store, available, event), mode: event.mode }
      }
    }
    case "ledger-store-changed": {
      const record = { ...store(event.store, event.available, event), waiting: event.waiting }
      return { level: event.available ? "Info" : "Warn", record }
    }
    case "budget-store-failed": {
      const record = { ...store(event.store, false, event), operation: event.operation, handled: event.handled }
      return { level: "Warn", record }
    }
    case "audit-store-changed": {
      const record: LogRecord = { ...store(event.store, event.available, event), waiting: event.waiting }
      if (event.reason !== undefined) record["reason"] = name(event.reason)
      return { level: event.available ? "Info" : "Warn", record }
    }
    case "ledger-records-lost":
      return { level: "Error", record: { event: "llm.ledger", store: name(event.store), lost: event.count } }
    case "audit-entries-lost":
      return { level: "Error", record: { event: "llm.audit", store: name(event.store), lost: event.count } }
    case "budget-threshold":
      return {
        level: "Warn",
        record: {
          event: "llm.budget",
          budget: name(event.budget),
          scope: name(event.scope),
          value: name(event.value),
          period: name(event.period),
          threshold: event.threshold,
          spentNanos: event.spent.toString(),
          limitNanos: event.limit.toString()
        }
      }
    case "quota-paused":
      return {
        level: "Info",
        record: { event: "llm.pause", key: name(event.key), pauseMs: millis(event.pauseMs), hinted: event.hinted }
      }
    default:
      return undefined
  }
}

const store = (of: string, available: boolean, event: object): LogRecord => {
  const error = "error" in event ? (event.error as LLMError | undefined) : undefined
  const record: LogRecord = { event: "llm.store", store: name(of), available }
  if (error !== undefined) record["error"] = errorRecord(error)
  return record
}
