/**
 * Corrects estimates by what providers report: a moving average of the ratio of reported to estimated tokens.
 *
 * A single report moves it by a fifth, and never by more than a factor of two: a report that is wilder than that says
 * something of the request (a file, a cached prefix that is counted elsewhere), not of the tokenizer.
 */

export interface Calibration {
  /** What an estimate is multiplied by. */
  readonly ratio: number
  readonly samples: number
}

export const uncalibrated: Calibration = { ratio: 1, samples: 0 }

/** The part of a new report in the average, once there are several. */
const weight = 0.2
/** Prompts shorter than this are mostly overhead, which differs from provider to provider. */
const least = 50
const bound = 2

/** The calibration after a report. One that says nothing leaves it as it is. */
export const observe = (state: Calibration, estimated: number, reported: number): Calibration => {
  if (!(estimated >= least && reported >= least && reported < Infinity)) return state
  const ratio = Math.min(bound, Math.max(1 / bound, reported / estimated))
  const samples = state.samples + 1
  const share = Math.max(weight, 1 / samples)
  return { ratio: state.ratio + (ratio - state.ratio) * share, samples }
}
