/**
 * The metrics under the names that many dashboards for language models expect.
 */
import type * as Context from "effect/Context"
import type { PolicyEvent, RequestFinished } from "../../domain/Event.ts"
import { classic } from "./catalogue.ts"
import { familiesOf } from "./Family.ts"
import { dollars, halves } from "./recorder.ts"

export class ClassicRecorder {
  private readonly families: ReturnType<typeof familiesOf<keyof typeof classic>>

  constructor(context: Context.Context<never>) {
    this.families = familiesOf(classic, context)
  }

  record(event: PolicyEvent): void {
    const { families } = this
    switch (event.type) {
      case "request-finished":
        return this.finished(event)
      case "attempt-succeeded": {
        const [provider, model] = halves(event.target)
        families.tokens.update(event.usage.inputTokens, provider, model, "input")
        return families.tokens.update(event.usage.outputTokens, provider, model, "output")
      }
      case "attempt-failed":
        return families.errors.update(1, ...halves(event.target), event.error._tag)
      case "retry-scheduled":
        return families.retries.update(1, ...halves(event.target))
      case "failed-over":
        return families.fallbacks.update(1, ...halves(event.to))
      case "cache-hit":
        return families.cacheHits.update(1, event.cache)
      case "cache-miss":
        return families.cacheMisses.update(1, event.cache)
    }
  }

  private finished(event: RequestFinished): void {
    const { families } = this
    const target = event.target ?? event.attempts[event.attempts.length - 1]?.target ?? "none/none"
    const [provider, model] = halves(target)
    families.requests.update(1, provider, model, event.operation, event.outcome)
    families.duration.update(event.tookMs / 1000, provider, model, event.operation)
    if (event.firstTokenMs !== undefined) families.firstToken.update(event.firstTokenMs / 1000, provider, model)
    for (const { costNanos, target } of event.attempts) {
      if (costNanos !== undefined) families.cost.update(dollars(costNanos), ...halves(target))
    }
  }
}
