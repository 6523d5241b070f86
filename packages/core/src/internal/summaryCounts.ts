/**
 * The counts of which the sums of a summary are made: of times, tokens, errors and outcomes.
 */
import type { AttemptRecord } from "../domain/Call.ts"
import type { QuantileSketch } from "./quantileSketch.ts"
import { type ErrorCounts, type FinishedCall, type Latency, maxErrors, other, type Tokens } from "./summaryState.ts"

/** Whether a time says how long something takes: one that was broken off does not. */
export const isTimed = (outcome: FinishedCall["outcome"]): boolean => outcome !== "interrupted"

export const latencyOf = (sketch: QuantileSketch): Latency => ({
  count: sketch.count,
  meanMs: sketch.meanMs(),
  p50Ms: sketch.quantile(0.5),
  p95Ms: sketch.quantile(0.95),
  p99Ms: sketch.quantile(0.99),
  maxMs: sketch.maxMs()
})

export class TokenTally {
  input = 0
  output = 0
  cachedInput = 0
  reasoning = 0

  add({ usage }: AttemptRecord): void {
    if (usage === undefined) return
    this.input += usage.inputTokens
    this.output += usage.outputTokens
    if (usage.cachedInputTokens !== undefined) this.cachedInput += usage.cachedInputTokens
    if (usage.reasoningTokens !== undefined) this.reasoning += usage.reasoningTokens
  }

  merge(tokens: Tokens): void {
    this.input += tokens.input
    this.output += tokens.output
    this.cachedInput += tokens.cachedInput
    this.reasoning += tokens.reasoning
  }

  view(): Tokens {
    const { cachedInput, input, output, reasoning } = this
    return { input, output, cachedInput, reasoning }
  }
}

/** Counts by the tag of an error, of a bounded number of tags. */
export class ErrorTally {
  private readonly counts = new Map<string, number>()

  add(tag: string, times = 1): void {
    const known = this.counts.get(tag)
    if (known !== undefined) this.counts.set(tag, known + times)
    else if (this.counts.size < maxErrors) this.counts.set(tag, times)
    else this.counts.set(other, (this.counts.get(other) ?? 0) + times)
  }

  /** Without a bound of its own: what is added has one. */
  merge(counts: ErrorCounts): void {
    for (const [tag, times] of Object.entries(counts)) this.counts.set(tag, (this.counts.get(tag) ?? 0) + times)
  }

  view(): ErrorCounts {
    return Object.fromEntries(this.counts)
  }
}

/** What requests and attempts have in common. */
export class Outcomes {
  success = 0
  failure = 0
  interrupted = 0

  count(outcome: FinishedCall["outcome"], times = 1): void {
    if (outcome === "success") this.success += times
    else if (outcome === "failure") this.failure += times
    else this.interrupted += times
  }

  mergeOutcomes(from: { readonly success: number; readonly failure: number; readonly interrupted: number }): void {
    this.success += from.success
    this.failure += from.failure
    this.interrupted += from.interrupted
  }
}
