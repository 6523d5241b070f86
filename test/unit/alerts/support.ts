/** Events as the library tells them. */
import type { Event, LLMError } from "@breakwater/core"
import { Failures } from "@breakwater/testing"

let ids = 0

export const failed = (target: string, error: LLMError.AttemptError = Failures.server(), tookMs = 100) =>
  ({
    type: "attempt-failed",
    requestId: `r${ids}`,
    attempt: 1,
    target,
    tookMs,
    error
  }) satisfies Event.PolicyEvent

export const succeeded = (target: string, tookMs = 100, firstTokenMs?: number) =>
  ({
    type: "attempt-succeeded",
    requestId: `r${ids}`,
    attempt: 1,
    target,
    tookMs,
    usage: { inputTokens: 10, outputTokens: 10 },
    ...(firstTokenMs === undefined ? {} : { firstTokenMs })
  }) satisfies Event.PolicyEvent

export const finished = (
  outcome: Event.RequestFinished["outcome"],
  more: Partial<Event.RequestFinished> = {}
): Event.RequestFinished => {
  const base = {
    type: "request-finished",
    requestId: `r${ids++}`,
    outcome,
    tookMs: 100,
    attempts: [],
    operation: "generate",
    context: { tenant: "default" },
    startedAt: 0,
    retries: 0,
    failovers: 0,
    hedges: 0,
    ...(outcome === "failure" ? { error: Failures.server() } : { target: "a/m" })
  } satisfies Event.RequestFinished
  return Object.assign(base, more as Event.RequestFinished)
}

export const costing = (nanoDollars: bigint) =>
  finished("success", { cost: { nanoDollars, estimated: false, unknownAttempts: 0 } })

export const circuit = (key: string, to: Event.CircuitState, from: Event.CircuitState = "closed") =>
  ({ type: "circuit-changed", key, from, to, reason: "failure-rate" }) satisfies Event.PolicyEvent

export const threshold = (share: number, period = "day") =>
  ({
    type: "budget-threshold",
    budget: "team",
    scope: "project",
    value: "x",
    period,
    limit: 1_000n,
    spent: BigInt(Math.round(share * 1_000)),
    threshold: share
  }) satisfies Event.PolicyEvent
