/** Calls as metrics: each by itself, and all of a run added up. */
import type { Event } from "@breakwater/core"

const dollars = (nanos: bigint): number => Number(nanos) / 1e9

/** The metrics of one call, by their names. */
export const metricsOf = (event: Event.RequestFinished): Readonly<Record<string, number>> => {
  let inputTokens = 0
  let outputTokens = 0
  for (const { usage } of event.attempts) {
    inputTokens += usage?.inputTokens ?? 0
    outputTokens += usage?.outputTokens ?? 0
  }
  return {
    success: event.outcome === "success" ? 1 : 0,
    latency_ms: event.tookMs,
    attempts: event.attempts.length,
    ...(inputTokens + outputTokens === 0 ? {} : { input_tokens: inputTokens, output_tokens: outputTokens }),
    ...(event.firstTokenMs === undefined ? {} : { first_token_ms: event.firstTokenMs }),
    ...(event.cost === undefined ? {} : { cost_usd: dollars(event.cost.nanoDollars) }),
    ...(event.cached === undefined ? {} : { cached: 1 })
  }
}

/** The sums of a run. */
export class Totals {
  private requests = { success: 0, failure: 0, interrupted: 0 }
  private cached = 0
  private attempts = 0
  private retries = 0
  private failovers = 0
  private hedges = 0
  private inputTokens = 0
  private outputTokens = 0
  private costNanos = 0n
  private savedNanos = 0n
  private tookMs = 0

  get count(): number {
    return this.requests.success + this.requests.failure + this.requests.interrupted
  }

  add(event: Event.RequestFinished): void {
    this.requests[event.outcome]++
    this.attempts += event.attempts.length
    this.retries += event.retries
    this.failovers += event.failovers
    this.hedges += event.hedges
    if (event.cached !== undefined) this.cached++
    for (const { usage } of event.attempts) {
      this.inputTokens += usage?.inputTokens ?? 0
      this.outputTokens += usage?.outputTokens ?? 0
    }
    this.costNanos += event.cost?.nanoDollars ?? 0n
    this.savedNanos += event.savedNanos ?? 0n
    this.tookMs += event.tookMs
  }

  metrics(): Readonly<Record<string, number>> {
    const { failure, interrupted, success } = this.requests
    return {
      "total.requests": this.count,
      "total.success": success,
      "total.failure": failure,
      "total.interrupted": interrupted,
      "total.cached": this.cached,
      "total.attempts": this.attempts,
      "total.retries": this.retries,
      "total.failovers": this.failovers,
      "total.hedges": this.hedges,
      "total.input_tokens": this.inputTokens,
      "total.output_tokens": this.outputTokens,
      "total.cost_usd": dollars(this.costNanos),
      "total.saved_usd": dollars(this.savedNanos),
      ...(this.count === 0 ? {} : { "total.mean_latency_ms": this.tookMs / this.count })
    }
  }
}
