/**
 * What a hedge knows of one key: how long first results take, and how many extra calls it may still make.
 *
 * The delay is a high quantile of recent latencies, and the extra calls are a share of all calls: Dean and Barroso,
 * "The tail at scale", CACM 56(2), 2013.
 */
import { LatencyHistogram } from "./latencyHistogram.ts"

export interface HedgeSettings {
  readonly quantile: number
  readonly minSamples: number
  readonly minDelayMs: number
  readonly maxDelayMs: number
  readonly halfLifeMs: number
  /** Extra calls for each call. */
  readonly ratio: number
  /** Extra calls that can be saved up. */
  readonly burst: number
}

export class HedgeState {
  private readonly settings: HedgeSettings
  private readonly latencies: LatencyHistogram
  private tokens = 0

  constructor(settings: HedgeSettings, nowMs: number) {
    this.settings = settings
    this.latencies = new LatencyHistogram(settings.halfLifeMs, nowMs)
  }

  /** Extra calls that could be started now. */
  get budget(): number {
    // A share such as 0.05 is no binary number: twenty of them must make one.
    return Math.floor(this.tokens + 1e-9)
  }

  samples(nowMs: number): number {
    return this.latencies.weight(nowMs)
  }

  onCall(): void {
    this.tokens = Math.min(this.settings.burst, this.tokens + this.settings.ratio)
  }

  tryStart(): boolean {
    if (this.budget < 1) return false
    this.tokens = Math.max(0, this.tokens - 1)
    return true
  }

  observe(ms: number, nowMs: number): void {
    this.latencies.add(ms, nowMs)
  }

  /** Milliseconds to wait before an extra call; `undefined` while too little is known. */
  delayMs(nowMs: number): number | undefined {
    const { maxDelayMs, minDelayMs, minSamples, quantile } = this.settings
    if (this.latencies.weight(nowMs) < minSamples) return undefined
    const ms = this.latencies.quantile(quantile, nowMs)
    return ms === undefined ? undefined : Math.min(maxDelayMs, Math.max(minDelayMs, ms))
  }
}
