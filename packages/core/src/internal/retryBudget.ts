/**
 * How many retries the callers of one target may make together: the arithmetic of one key, and the map of keys.
 *
 * The token bucket is that of gRPC's retry throttling and the AWS SDKs (500 tokens, 5 a retry, 10 after a
 * timeout, 1 back for a success); the ratio is Finagle's retry budget (a share of the calls, and a floor a second).
 */

export type RetryKind = "retry" | "timeout"

/** Validated settings of a token bucket. */
export interface BucketSettings {
  readonly capacity: number
  readonly retryCost: number
  readonly timeoutCost: number
  readonly successRefund: number
}

/** Validated settings of a ratio. */
export interface RatioSettings {
  /** Retries allowed for each call. */
  readonly ratio: number
  /** Retries allowed each second whatever the traffic. */
  readonly minPerSecond: number
  readonly windowMs: number
}

/** A counter over a sliding window: the running window, and the one before it, weighted by its overlap. */
export interface WindowCount {
  startMs: number
  calls: number
  retries: number
  previousCalls: number
  previousRetries: number
}

export const emptyWindow = (nowMs: number): WindowCount => ({
  startMs: nowMs,
  calls: 0,
  retries: 0,
  previousCalls: 0,
  previousRetries: 0
})

/** Moves a window on to now. A clock that stands still or steps back changes nothing. */
export const slide = (window: WindowCount, nowMs: number, windowMs: number): void => {
  const elapsed = nowMs - window.startMs
  if (elapsed < windowMs) return
  const justBefore = elapsed < 2 * windowMs
  window.previousCalls = justBefore ? window.calls : 0
  window.previousRetries = justBefore ? window.retries : 0
  window.calls = 0
  window.retries = 0
  window.startMs = nowMs - (elapsed % windowMs)
}

/** Retries left in the window ending now. */
export const ratioLeft = (window: WindowCount, nowMs: number, settings: RatioSettings): number => {
  const elapsed = Math.max(0, nowMs - window.startMs)
  const overlap = Math.max(0, 1 - elapsed / settings.windowMs)
  const calls = window.calls + window.previousCalls * overlap
  const retries = window.retries + window.previousRetries * overlap
  return calls * settings.ratio + (settings.minPerSecond * settings.windowMs) / 1000 - retries
}

/** Tokens after a success: one more, or all that a rescued call had spent; never above the capacity. */
export const refund = (tokens: number, spent: number, settings: BucketSettings): number =>
  Math.min(settings.capacity, tokens + (spent > 0 ? spent : settings.successRefund))

/** What is known of one key. */
export interface BudgetReading {
  readonly key: string
  /** Retries (without timeouts among them) that could be made now. */
  readonly retriesLeft: number
}

/** A budget of retries as retry and the pipeline use it. Synchronous, never throws, never waits. */
export interface RetryBudgetShape {
  /** Books a call's first attempt. */
  readonly onCall: (key: string, nowMs: number) => void
  /** Takes the price of a retry, or answers `false` and takes nothing. */
  readonly trySpend: (key: string, kind: RetryKind, nowMs: number) => boolean
  /** Books a success. `spent`: what the call's retries had cost, 0 for none. */
  readonly onSuccess: (key: string, spent: number, nowMs: number) => void
  /** The price of a retry. */
  readonly cost: (kind: RetryKind) => number
  /** The keys that are not full. */
  readonly snapshot: (nowMs: number) => ReadonlyArray<BudgetReading>
}
