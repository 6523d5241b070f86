/**
 * Events as records of the audit log. Errors are told by their tags: their messages may repeat what a user wrote.
 */
import type { Call, CallContext, Event, Json } from "@breakwater/core"
import type { Actor, AuditRecord } from "./Entry.ts"

type Finished = Extract<Event.PolicyEvent, { readonly type: "request-finished" }>

const actorOf = ({ key, tenant, user }: CallContext.CallContext): Actor => ({
  tenant,
  ...(user === undefined ? undefined : { user }),
  ...(key === undefined ? undefined : { key })
})

const tokensOf = (attempts: ReadonlyArray<Call.AttemptRecord>): AuditRecord["tokens"] => {
  let input = 0
  let output = 0
  let known = false
  for (const { usage } of attempts) {
    if (usage === undefined) continue
    known = true
    input += usage.inputTokens
    output += usage.outputTokens
  }
  return known ? { input, output } : undefined
}

/** The target that answered, then the others that were asked. */
const targetsOf = (event: Finished): ReadonlyArray<string> => {
  const asked = event.attempts.filter(({ sent }) => sent !== false).map(({ target }) => target)
  return [...new Set(event.target === undefined ? asked : [event.target, ...asked])]
}

const flagOfError: Readonly<Record<string, string>> = {
  ContentFilterError: "content-filtered",
  InputRejectedError: "input-rejected",
  OutputRejectedError: "output-rejected"
}

const flagsOf = (event: Finished): ReadonlyArray<string> => {
  const flags = new Set<string>()
  if (event.cached !== undefined) flags.add("cached")
  if (event.failovers > 0) flags.add("failover")
  if (event.retries > 0) flags.add("retried")
  if (event.hedges > 0) flags.add("hedged")
  if (event.finishReason === "content-filter") flags.add("content-filtered")
  for (const error of [event.error, ...event.attempts.map((attempt) => attempt.error)]) {
    const flag = error === undefined ? undefined : flagOfError[error._tag]
    if (flag !== undefined) flags.add(flag)
  }
  if (event.cost?.estimated === true) flags.add("cost-estimated")
  if ((event.cost?.unknownAttempts ?? 0) > 0) flags.add("cost-incomplete")
  return [...flags]
}

const request = (event: Finished): AuditRecord => {
  const targets = targetsOf(event)
  const flags = flagsOf(event)
  const tokens = tokensOf(event.attempts)
  const { context } = event
  const details: Record<string, Json.Json> = {
    operation: event.operation,
    startedAt: Math.floor(event.startedAt),
    tookMs: Math.round(event.tookMs),
    attempts: event.attempts.length
  }
  if (event.finishReason !== undefined) details["finishReason"] = event.finishReason
  if (event.cached !== undefined) details["cached"] = event.cached.source
  if (context.project !== undefined) details["project"] = context.project
  if (context.tags !== undefined && context.tags.length > 0) details["tags"] = context.tags
  return {
    action: "request",
    actor: actorOf(context),
    requestId: event.requestId,
    outcome: event.outcome,
    details,
    ...(targets.length === 0 ? undefined : { targets }),
    ...(event.error === undefined ? undefined : { error: event.error._tag }),
    ...(tokens === undefined ? undefined : { tokens }),
    ...(event.cost === undefined ? undefined : { costNanos: event.cost.nanoDollars }),
    ...(event.promptHash === undefined ? undefined : { promptHash: event.promptHash }),
    ...(flags.length === 0 ? undefined : { flags })
  }
}

const heldByHand: ReadonlySet<string> = new Set(["forced-open", "metrics-only", "disabled"])

/**
 * What is recorded of an event; `undefined` for one that is not. Recorded are the ends of calls (`request`), circuits that
 * are held or let go by hand (`breaker-held`, `breaker-released`), what budgets turned away or could not count
 * (`budget-rejected`, `budget-unpriced`, `budget-store-failed`), and what the ledger lost (`ledger-records-lost`).
 */
export const fromEvent = (event: Event.PolicyEvent): AuditRecord | undefined => {
  switch (event.type) {
    case "request-finished":
      return request(event)
    case "circuit-changed": {
      const held = heldByHand.has(event.to)
      if (!held && !heldByHand.has(event.from) && event.reason !== "manual") return undefined
      return {
        action: held ? "breaker-held" : "breaker-released",
        targets: [event.key],
        details: { from: event.from, to: event.to, reason: event.reason }
      }
    }
    case "budget-rejected":
      return {
        action: "budget-rejected",
        outcome: "refused",
        ...(event.requestId === undefined ? undefined : { requestId: event.requestId }),
        details: {
          budget: event.budget,
          scope: event.scope,
          value: event.value,
          period: event.period,
          limitNanos: String(event.limit),
          spentNanos: String(event.spent),
          reservedNanos: String(event.reserved),
          neededNanos: String(event.needed)
        }
      }
    case "budget-unpriced":
      return {
        action: "budget-unpriced",
        targets: [event.target],
        ...(event.requestId === undefined ? undefined : { requestId: event.requestId })
      }
    case "budget-store-failed":
      return {
        action: "budget-store-failed",
        error: event.error._tag,
        details: { store: event.store, operation: event.operation, handled: event.handled }
      }
    case "ledger-records-lost":
      return { action: "ledger-records-lost", details: { store: event.store, count: event.count } }
    default:
      return undefined
  }
}
