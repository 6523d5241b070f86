/**
 * The sums of which a summary is made: of everything, of one target, of ten seconds. Each can add up calls, and others
 * of its kind.
 */
import type { AttemptRecord } from "../domain/Call.ts"
import { QuantileSketch } from "./quantileSketch.ts"
import { ErrorTally, isTimed, latencyOf, Outcomes, TokenTally } from "./summaryCounts.ts"
import type {
  FinishedCall,
  Latency,
  PointState,
  PointView,
  TargetState,
  TargetView,
  TotalsState,
  TotalsView
} from "./summaryState.ts"

/** Everything since the beginning. */
export class TotalsTally extends Outcomes {
  readonly latency = new QuantileSketch()
  readonly firstToken = new QuantileSketch()
  readonly tokens = new TokenTally()
  private requests = 0
  private cached = 0
  private attempts = 0
  private retries = 0
  private failovers = 0
  private hedges = 0
  private unknownCostAttempts = 0
  private costNanos = 0n
  private savedNanos = 0n

  add(call: FinishedCall): void {
    this.requests += 1
    this.count(call.outcome)
    if (call.cached !== undefined) this.cached += 1
    this.attempts += call.attempts.length
    this.retries += call.retries
    this.failovers += call.failovers
    this.hedges += call.hedges
    if (isTimed(call.outcome)) this.latency.add(call.tookMs)
    if (call.firstTokenMs !== undefined) this.firstToken.add(call.firstTokenMs)
    if (call.cost !== undefined) {
      this.costNanos += call.cost.nanoDollars
      this.unknownCostAttempts += call.cost.unknownAttempts
    }
    if (call.savedNanos !== undefined) this.savedNanos += call.savedNanos
  }

  merge(from: TotalsState): void {
    this.requests += from.requests
    this.mergeOutcomes(from)
    this.cached += from.cached
    this.attempts += from.attempts
    this.retries += from.retries
    this.failovers += from.failovers
    this.hedges += from.hedges
    this.unknownCostAttempts += from.unknownCostAttempts
    this.tokens.merge(from.tokens)
    this.costNanos += BigInt(from.costNanos)
    this.savedNanos += BigInt(from.savedNanos)
  }

  view(): TotalsView {
    const { attempts, cached, costNanos, failovers, failure, hedges, interrupted } = this
    const { requests, retries, savedNanos, success, tokens, unknownCostAttempts } = this
    return {
      requests,
      success,
      failure,
      interrupted,
      cached,
      attempts,
      retries,
      failovers,
      hedges,
      tokens: tokens.view(),
      costNanos,
      savedNanos,
      unknownCostAttempts
    }
  }

  state(): TotalsState {
    const view = this.view()
    return { ...view, costNanos: `${view.costNanos}`, savedNanos: `${view.savedNanos}` }
  }

  latencies(): { readonly latency: Latency; readonly firstToken: Latency } {
    return { latency: latencyOf(this.latency), firstToken: latencyOf(this.firstToken) }
  }
}

/** Everything at one target since the beginning. */
export class TargetTally extends Outcomes {
  attempts = 0
  private readonly latency = new QuantileSketch()
  private readonly firstToken = new QuantileSketch()
  private readonly tokens = new TokenTally()
  private readonly errors = new ErrorTally()
  private costNanos = 0n

  add(record: AttemptRecord): void {
    this.attempts += 1
    this.count(record.outcome)
    if (record.sent !== false && isTimed(record.outcome)) this.latency.add(record.tookMs)
    if (record.firstTokenMs !== undefined) this.firstToken.add(record.firstTokenMs)
    if (record.error !== undefined) this.errors.add(record.error._tag)
    if (record.costNanos !== undefined) this.costNanos += record.costNanos
    this.tokens.add(record)
  }

  merge(from: TargetState): void {
    this.attempts += from.attempts
    this.mergeOutcomes(from)
    this.latency.merge(from.latency)
    this.firstToken.merge(from.firstToken)
    this.tokens.merge(from.tokens)
    this.errors.merge(from.errors)
    this.costNanos += BigInt(from.costNanos)
  }

  private counts() {
    const { attempts, errors, failure, interrupted, success, tokens } = this
    return { attempts, success, failure, interrupted, tokens: tokens.view(), errors: errors.view() }
  }

  view(): TargetView {
    const { costNanos, firstToken, latency } = this
    return { ...this.counts(), costNanos, latency: latencyOf(latency), firstToken: latencyOf(firstToken) }
  }

  state(): TargetState {
    const { costNanos, firstToken, latency } = this
    return { ...this.counts(), costNanos: `${costNanos}`, latency: latency.state(), firstToken: firstToken.state() }
  }
}

/** Ten seconds. */
export class PointTally extends Outcomes {
  at: number
  private readonly latency = new QuantileSketch()
  private requests = 0
  private cached = 0
  private retries = 0
  private inputTokens = 0
  private outputTokens = 0
  private costNanos = 0n
  private savedNanos = 0n

  constructor(at: number) {
    super()
    this.at = at
  }

  /** Begins anew, in the same memory. */
  restart(at: number): void {
    this.at = at
    this.latency.clear()
    this.requests = this.success = this.failure = this.interrupted = this.cached = this.retries = 0
    this.inputTokens = this.outputTokens = 0
    this.costNanos = this.savedNanos = 0n
  }

  add(call: FinishedCall): void {
    this.requests += 1
    this.count(call.outcome)
    if (call.cached !== undefined) this.cached += 1
    this.retries += call.retries
    if (isTimed(call.outcome)) this.latency.add(call.tookMs)
    for (const { usage } of call.attempts) {
      if (usage === undefined) continue
      this.inputTokens += usage.inputTokens
      this.outputTokens += usage.outputTokens
    }
    if (call.cost !== undefined) this.costNanos += call.cost.nanoDollars
    if (call.savedNanos !== undefined) this.savedNanos += call.savedNanos
  }

  merge(from: PointState): void {
    this.requests += from.requests
    this.mergeOutcomes(from)
    this.cached += from.cached
    this.retries += from.retries
    this.inputTokens += from.inputTokens
    this.outputTokens += from.outputTokens
    this.costNanos += BigInt(from.costNanos)
    this.savedNanos += BigInt(from.savedNanos)
    this.latency.merge(from.latency)
  }

  private counts() {
    const { at, cached, failure, inputTokens, interrupted, outputTokens, requests, retries, success } = this
    return { at, requests, success, failure, interrupted, cached, retries, inputTokens, outputTokens }
  }

  view(): PointView {
    const { costNanos, latency, savedNanos } = this
    return {
      ...this.counts(),
      p50Ms: latency.quantile(0.5),
      p95Ms: latency.quantile(0.95),
      p99Ms: latency.quantile(0.99),
      costNanos,
      savedNanos
    }
  }

  state(): PointState {
    const { costNanos, latency, savedNanos } = this
    return { ...this.counts(), costNanos: `${costNanos}`, savedNanos: `${savedNanos}`, latency: latency.state() }
  }
}
