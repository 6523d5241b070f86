/**
 * Concurrency limits that find themselves: AIMD and Gradient2, after Netflix's concurrency-limits library.
 *
 * Differences: a refusal lowers both (Gradient2 there looks at latency alone), and only once for the calls that
 * were under way together; a success without a known latency raises both by one a round.
 */

export interface ConcurrencyOptions {
  readonly algorithm: "gradient2" | "aimd"
  readonly initial: number
  readonly min: number
  readonly max: number
  /** Gradient2: how much of a new estimate counts, over 0 to 1. */
  readonly smoothing: number
  /** Gradient2: calls that the long-term latency is averaged over. */
  readonly longWindow: number
  /** Gradient2: how much slower than the long-term latency is still good, at least 1. */
  readonly tolerance: number
  /** Gradient2: calls that may queue at the provider, by which the limit grows. */
  readonly queueSize: number
  /** Factor on a refusal, over 0 and under 1. */
  readonly backoff: number
  /** AIMD: a slower call counts as a refusal. */
  readonly slowMs: number
}

export interface ConcurrencyState {
  limit: number
  /** The long-term average latency, 0 before the first call. */
  longMs: number
  samples: number
  loweredAtMs: number
}

export interface Sample {
  /** Milliseconds to the first token; left out when nothing was learned of it. */
  readonly latencyMs?: number
  /** Calls under way when it began. */
  readonly inFlight: number
  /** `refused` by the target; `unknown` says nothing of its load. */
  readonly outcome: "ok" | "refused" | "unknown"
  readonly startedAtMs: number
  readonly nowMs: number
}

/** Calls over which the long-term average is a plain mean. */
const warmUp = 10

export const makeConcurrency = (options: ConcurrencyOptions): ConcurrencyState => ({
  limit: options.initial,
  longMs: 0,
  samples: 0,
  loweredAtMs: -Infinity
})

const clamp = (options: ConcurrencyOptions, limit: number): number =>
  Math.max(options.min, Math.min(options.max, limit))

const average = (state: ConcurrencyState, latencyMs: number, window: number): void => {
  state.samples++
  const factor = state.samples <= warmUp ? 1 / state.samples : 2 / (window + 1)
  state.longMs += (latencyMs - state.longMs) * factor
}

const gradient2 = (options: ConcurrencyOptions, state: ConcurrencyState, latencyMs: number, inFlight: number): void => {
  average(state, latencyMs, options.longWindow)
  // Back from a long time of high latency, the long-term average may not take a whole window to follow.
  if (state.longMs / latencyMs > 2) state.longMs *= 0.95
  if (inFlight < state.limit / 2) return
  const gradient = Math.max(0.5, Math.min(1, (options.tolerance * state.longMs) / latencyMs))
  const next = state.limit * gradient + options.queueSize
  state.limit = clamp(options, state.limit * (1 - options.smoothing) + next * options.smoothing)
}

/** Takes in how a call went. True when the limit has changed. */
export const updateConcurrency = (options: ConcurrencyOptions, state: ConcurrencyState, sample: Sample): boolean => {
  const before = state.limit
  const slow = options.algorithm === "aimd" && sample.latencyMs !== undefined && sample.latencyMs > options.slowMs
  if (sample.outcome === "refused" || slow) {
    if (sample.startedAtMs >= state.loweredAtMs) {
      state.loweredAtMs = sample.nowMs
      state.limit = clamp(options, state.limit * options.backoff)
    }
  } else if (sample.latencyMs !== undefined) {
    const latencyMs = Math.max(sample.latencyMs, 0.001)
    if (options.algorithm === "gradient2") gradient2(options, state, latencyMs, sample.inFlight)
    else if (sample.inFlight * 2 >= state.limit) state.limit = clamp(options, state.limit + 1)
  } else if (sample.outcome === "ok" && sample.inFlight * 2 >= state.limit) {
    // An answer that came whole tells of no first token. Growing by one a round finds the way back after refusals.
    state.limit = clamp(options, state.limit + 1 / state.limit)
  }
  return state.limit !== before
}
