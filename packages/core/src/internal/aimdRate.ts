/**
 * Additive-increase, multiplicative-decrease on a rate of calls, here with a multiplicative increase in small
 * steps: halved when the provider says "too many", raised a little after a run of clean calls. At its upper
 * bound it holds nothing back.
 */

export interface AimdRateOptions {
  /** Calls a second. */
  readonly min: number
  readonly max: number
  readonly decrease: number
  readonly increase: number
  /** Clean calls in a row for one increase. */
  readonly after: number
}

export interface AimdRate {
  rate: number
  clean: number
  /** When the next call may go. */
  nextMs: number
  decreasedAtMs: number
}

export const makeAimdRate = (options: AimdRateOptions): AimdRate => ({
  rate: options.max,
  clean: 0,
  nextMs: 0,
  decreasedAtMs: -Infinity
})

/** Milliseconds until the next call may go. */
export const aimdWait = (state: AimdRate, options: AimdRateOptions, now: number): number =>
  state.rate >= options.max ? 0 : Math.max(0, state.nextMs - now)

export const aimdTake = (state: AimdRate, now: number): void => {
  state.nextMs = Math.max(state.nextMs, now) + 1000 / state.rate
}

/** Gives back the turn of a call that was not made. */
export const aimdGive = (state: AimdRate, now: number): void => {
  state.nextMs = Math.max(now, state.nextMs - 1000 / state.rate)
}

/** Counts a clean call. True when the rate has changed. */
export const aimdClean = (state: AimdRate, options: AimdRateOptions): boolean => {
  if (state.rate >= options.max || ++state.clean < options.after) return false
  state.clean = 0
  state.rate = Math.min(options.max, state.rate * options.increase)
  return true
}

/**
 * Counts a refusal. Calls that were on their way when the rate was last lowered say nothing new, so that one
 * burst lowers it once. True when the rate has changed.
 */
export const aimdRefused = (state: AimdRate, options: AimdRateOptions, startedAtMs: number, now: number): boolean => {
  state.clean = 0
  if (startedAtMs < state.decreasedAtMs) return false
  state.decreasedAtMs = now
  const before = state.rate
  state.rate = Math.max(options.min, before * options.decrease)
  state.nextMs = now + 1000 / state.rate
  return state.rate !== before
}
