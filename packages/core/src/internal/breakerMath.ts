/**
 * The numbers of a circuit breaker: how long it stays open, and the failure rate at which it trips.
 */

/** Settings of the adaptive threshold. */
export interface AdaptiveSettings {
  readonly min: number
  readonly max: number
  /** How many standard deviations above the usual failure rate are too many. */
  readonly sigmas: number
  /** After this time a call counts half in the usual failure rate. */
  readonly halfLifeMs: number
  /** Below this (decayed) number of calls the usual failure rate is not known, and the fixed threshold holds. */
  readonly minimumCalls: number
}

export interface OpenSettings {
  readonly failureRate: number
  readonly adaptive: AdaptiveSettings | undefined
  readonly openMs: number
  readonly openFactor: number
  readonly openMaxMs: number
  /** The share by which an open time is shortened at most. */
  readonly jitter: number
  readonly healthyMs: number
}

/**
 * Milliseconds to stay open: `openMs * openFactor^(openings - 1)`, at most `openMaxMs`, shortened by up to
 * `jitter` so that many replicas do not come back together. A provider's hint is lengthened by up to `jitter`
 * instead, since coming back before it is pointless.
 */
export const openForMs = (settings: OpenSettings, openings: number, hintMs: number, random: () => number): number => {
  const grown = Math.min(settings.openMaxMs, settings.openMs * Math.pow(settings.openFactor, openings - 1))
  const chance = settings.jitter === 0 ? 0 : settings.jitter * random()
  const own = grown * (1 - chance)
  return hintMs > 0 ? Math.max(own, Math.min(settings.openMaxMs, hintMs * (1 + chance))) : own
}

/** Calls and failures, each weighing less as it grows older. */
export interface Baseline {
  calls: number
  failures: number
  atMs: number
}

export const makeBaseline = (nowMs: number): Baseline => ({ calls: 0, failures: 0, atMs: nowMs })

export const learn = (settings: AdaptiveSettings, baseline: Baseline, nowMs: number, failed: boolean): void => {
  const decay = nowMs > baseline.atMs ? Math.pow(0.5, (nowMs - baseline.atMs) / settings.halfLifeMs) : 1
  baseline.calls = baseline.calls * decay + 1
  baseline.failures = baseline.failures * decay + (failed ? 1 : 0)
  baseline.atMs = Math.max(nowMs, baseline.atMs)
}

/**
 * The failure rate that trips the circuit, for `calls` calls in the window. The adaptive one is the upper limit of
 * Shewhart's p-chart around the usual rate p: `p + sigmas * sqrt(p * (1 - p) / calls)`, kept within `min` and `max`.
 */
export const threshold = (settings: OpenSettings, baseline: Baseline | undefined, calls: number): number => {
  const adaptive = settings.adaptive
  if (adaptive === undefined || baseline === undefined || baseline.calls < adaptive.minimumCalls) {
    return settings.failureRate
  }
  const usual = baseline.failures / baseline.calls
  const limit = usual + adaptive.sigmas * Math.sqrt((usual * (1 - usual)) / Math.max(1, calls))
  return Math.min(adaptive.max, Math.max(adaptive.min, limit))
}
