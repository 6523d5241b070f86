/**
 * What a log says of the policies: records of short, safe values, as those of calls.
 */
import type { PolicyEvent } from "../domain/Event.ts"
import type { LLMError } from "../errors/LLMError.ts"
import { errorRecord, type Level, type LogRecord, millis, name } from "./logError.ts"

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
