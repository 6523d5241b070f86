/**
 * From events to updates; plain code, called for every event.
 */
import type * as Context from "effect/Context"
import type { AttemptSucceeded, PolicyEvent, RequestFinished, RequestStarted } from "../../domain/Event.ts"
import type { RateLimits } from "../../domain/RateLimits.ts"
import { operationName, providerName } from "../../internal/genAi.ts"
import { monotonicMs, clockOf } from "../../internal/time.ts"
import { catalogue } from "./catalogue.ts"
import { Circuits } from "./circuits.ts"
import { familiesOf } from "./Family.ts"

/** Calls whose operation is remembered until they end; the oldest are forgotten first. */
const maxCalls = 100_000

const scopes = [
  ["requests", "requests"],
  ["tokens", "tokens"],
  ["inputTokens", "input-tokens"],
  ["outputTokens", "output-tokens"]
] as const

type Operation = RequestStarted["operation"]

/** The halves of `provider/model`. */
export const halves = (target: string): readonly [provider: string, model: string] => {
  const slash = target.indexOf("/")
  return slash < 0 ? [target, ""] : [target.slice(0, slash), target.slice(slash + 1)]
}

/** Dollars of nano-dollars, for a metric. */
export const dollars = (nanos: bigint): number => Number(nanos) / 1e9

export class Recorder {
  private readonly families: ReturnType<typeof familiesOf<keyof typeof catalogue>>
  private readonly operations = new Map<string, Operation>()
  private readonly inFlight = { generate: 0, stream: 0, embed: 0 }
  private readonly circuits: Circuits

  constructor(context: Context.Context<never>) {
    const clock = clockOf({ context })
    this.families = familiesOf(catalogue, context)
    this.circuits = new Circuits(this.families.circuitState, () => monotonicMs(clock))
  }

  record(event: PolicyEvent): void {
    const { families } = this
    switch (event.type) {
      case "request-started":
        return this.started(event.requestId, event.operation)
      case "request-finished":
        return this.finished(event)
      case "attempt-succeeded":
        return this.succeeded(event)
      case "attempt-failed": {
        const [provider, model] = halves(event.target)
        const operation = operationName(this.operations.get(event.requestId))
        families.attempts.update(1, event.target, "failure", event.error._tag)
        const took = event.tookMs / 1000
        return families.operationDuration.update(took, operation, providerName(provider), model, event.error._tag)
      }
      case "attempt-interrupted":
        return families.attempts.update(1, event.target, "interrupted", "none")
      case "retry-scheduled":
        return families.retries.update(1, event.target, event.error._tag)
      case "failed-over":
        return families.failovers.update(1, event.from, event.to, event.error._tag)
      case "stream-continued":
        return families.continuations.update(1, event.target, event.method)
      case "malformed-event":
        return families.malformed.update(1, event.provider, event.model)
      case "context-fitted":
        families.fitted.update(1, event.target, event.summary)
        return families.dropped.update(event.droppedTokens, event.target)
      default:
        return this.admission(event)
    }
  }

  /** What the policies that admit attempts report. */
  private admission(event: PolicyEvent): void {
    const { families } = this
    switch (event.type) {
      case "circuit-changed":
        families.transitions.update(1, event.key, event.to)
        return this.circuits.changed(event)
      case "circuit-rejected":
        this.circuits.asked(event.key, event.retryAfterMs)
        return families.rejections.update(1, "circuit-breaker", event.state)
      case "limit-rejected":
        return families.rejections.update(1, event.limiter, "limit")
      case "limit-waited":
        return families.wait.update(event.waitedMs / 1000, event.limiter)
      case "bulkhead-rejected":
        return families.rejections.update(1, "bulkhead", event.reason)
      case "bulkhead-waited":
        return families.wait.update(event.waitedMs / 1000, "bulkhead")
      case "quota-paused":
        return families.pauses.update(1, event.key, String(event.hinted))
      case "quota-learned":
        return families.quotaLimit.update(event.limit, event.key, event.scope)
      case "limit-adapted":
        return families.adaptedLimit.update(event.to, event.limiter, event.key, event.unit)
      case "hedge-started":
        return families.hedges.update(1, "started")
      case "hedge-won":
        return families.hedges.update(1, "won")
      case "hedge-lost":
        return families.hedges.update(1, "lost")
      default:
        return this.money(event)
    }
  }

  /** Caches, budgets and stores. */
  private money(event: PolicyEvent): void {
    const { families } = this
    switch (event.type) {
      case "cache-hit":
        families.cache.update(1, event.cache, "hit")
        families.savedTokens.update(event.usage.inputTokens, event.cache, "input")
        return families.savedTokens.update(event.usage.outputTokens, event.cache, "output")
      case "cache-miss":
        return families.cache.update(1, event.cache, "miss")
      case "cache-stored":
        return families.cacheStored.update(1, event.cache)
      case "cache-store-failed":
        return families.cacheFailures.update(1, event.cache, event.operation, event.reason)
      case "budget-threshold":
        return families.budgetThresholds.update(1, event.budget, event.scope, String(event.threshold))
      case "budget-rejected":
        families.rejections.update(1, "budget", event.scope)
        return families.budgetRejections.update(1, event.budget, event.scope)
      case "budget-unpriced":
        return families.budgetUnpriced.update(1, event.target)
      default:
        return this.store(event)
    }
  }

  private store(event: PolicyEvent): void {
    const { families } = this
    switch (event.type) {
      case "store-lost":
        return families.storeUp.update(0, event.store)
      case "store-recovered":
        return families.storeUp.update(1, event.store)
      case "circuit-store-changed":
        return families.storeUp.update(event.available ? 1 : 0, "circuit-breaker")
      case "limit-store-failed":
      case "budget-store-failed":
        return families.storeFailures.update(1, event.store, event.operation, event.handled)
      case "ledger-store-changed":
      case "audit-store-changed": {
        const log = event.type === "ledger-store-changed" ? "ledger" : "audit"
        families.storeUp.update(event.available ? 1 : 0, event.store)
        return families.waiting.update(event.waiting, log, event.store)
      }
      case "ledger-records-lost":
        return families.lost.update(event.count, "ledger", event.store)
      case "audit-entries-lost":
        return families.lost.update(event.count, "audit", event.store)
    }
  }

  private started(requestId: string, operation: Operation): void {
    if (this.operations.size >= maxCalls) {
      for (const oldest of this.operations.keys()) {
        this.operations.delete(oldest)
        break
      }
    }
    this.operations.set(requestId, operation)
    this.inFlight[operation]++
    this.families.inFlight.modify(1, operation)
  }

  private finished(event: RequestFinished): void {
    const { families } = this
    const { cached, cost, error, operation, outcome, savedNanos } = event
    this.operations.delete(event.requestId)
    // A Layer that is built in the middle of a call sees its end only.
    if (this.inFlight[operation] > 0) {
      this.inFlight[operation]--
      families.inFlight.modify(-1, operation)
    }
    this.circuits.sweep()
    families.requests.update(1, operation, outcome, error?._tag ?? "none")
    families.requestDuration.update(event.tookMs / 1000, operation, outcome)
    for (const attempt of event.attempts) {
      if (attempt.costNanos !== undefined) families.cost.update(dollars(attempt.costNanos), attempt.target)
    }
    if (cost !== undefined && cost.unknownAttempts > 0) families.unknownCost.update(cost.unknownAttempts)
    if (savedNanos !== undefined && cached !== undefined) families.saved.update(dollars(savedNanos), cached.source)
  }

  private succeeded(event: AttemptSucceeded): void {
    const { families } = this
    const { limits, target, tookMs, usage } = event
    const operation = operationName(this.operations.get(event.requestId))
    const [name, model] = halves(target)
    const provider = providerName(name)
    families.attempts.update(1, target, "success", "none")
    families.operationDuration.update(tookMs / 1000, operation, provider, model)
    families.tokenUsage.update(usage.inputTokens, operation, provider, model, "input")
    families.tokenUsage.update(usage.outputTokens, operation, provider, model, "output")
    if (event.firstTokenMs !== undefined) {
      families.firstChunk.update(event.firstTokenMs / 1000, operation, provider, model)
      if (usage.outputTokens > 1) {
        const rest = tookMs - event.firstTokenMs
        families.perChunk.update(rest / 1000 / (usage.outputTokens - 1), operation, provider, model)
      }
    }
    if (limits !== undefined) this.remaining(target, limits)
  }

  private remaining(key: string, limits: RateLimits): void {
    for (const [name, scope] of scopes) {
      const left = limits[name]?.remaining
      if (left !== undefined) this.families.quotaRemaining.update(left, key, scope)
    }
  }
}
