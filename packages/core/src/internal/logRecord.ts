/**
 * What a log says of a call: plain records of short, safe values. Never a prompt, an answer or a key.
 */
import type { AttemptRecord } from "../domain/Call.ts"
import type { CallContext } from "../domain/CallContext.ts"
import type { FailedOver, RequestFinished, RetryScheduled } from "../domain/Event.ts"
import { errorRecord, type LogRecord, millis, name } from "./logError.ts"

/** Tags, and attempts, of one record. */
const maxTags = 20
const maxAttempts = 20

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
