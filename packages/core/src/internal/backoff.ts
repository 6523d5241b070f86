/**
 * Delays between attempts, as arithmetic. Everything is in milliseconds; attempts are counted from 1; `u` is a
 * draw from [0, 1], and every function grows with it, so that `u = 1` gives the longest delay.
 *
 * Full, equal and decorrelated jitter are those of Marc Brooker, "Exponential Backoff And Jitter" (2015).
 */

/**
 * How a delay is spread, so that callers that failed together do not come back together.
 *
 * - `none`: the delay as computed
 * - `full`: uniform from 0 to the delay
 * - `equal`: uniform from half the delay to the delay
 * - `{ proportional: p }`: uniform from (1 − p) of the delay to the delay; p from 0 to 1
 */
export type Jitter = "none" | "full" | "equal" | { readonly proportional: number }

/** The delay before the retry that follows the given attempt. */
export type Delays = (attempt: number) => number

export const constant = (base: number, cap: number): Delays => {
  const delay = Math.min(cap, base)
  return () => delay
}

export const linear =
  (base: number, increment: number, cap: number): Delays =>
  (attempt) =>
    Math.min(cap, base + increment * (attempt - 1))

/** `base` and `factor` are above zero, so an overflow is Infinity, which the cap cuts: never NaN. */
export const exponential =
  (base: number, factor: number, cap: number): Delays =>
  (attempt) =>
    Math.min(cap, base * factor ** (attempt - 1))

/** Stops adding at the cap: at most some dozens of steps, however late the attempt. */
export const fibonacci =
  (base: number, cap: number): Delays =>
  (attempt) => {
    let previous = 0
    let current = base
    for (let i = 1; i < attempt && current < cap; i++) {
      const next = previous + current
      previous = current
      current = next
    }
    return Math.min(cap, current)
  }

/** Uniform from `base` to three times the previous delay. For the first, `previous` is `base`. */
export const decorrelated = (base: number, cap: number, previous: number, u: number): number =>
  Math.min(cap, base + u * Math.max(0, 3 * previous - base))

/** The shorter of two delays. */
export const union =
  (a: Delays, b: Delays): Delays =>
  (attempt) =>
    Math.min(a(attempt), b(attempt))

/** The longer of two delays. */
export const intersection =
  (a: Delays, b: Delays): Delays =>
  (attempt) =>
    Math.max(a(attempt), b(attempt))

/** Spreads a delay downwards, so that a cap stays a cap. */
export const spread = (jitter: Jitter, delay: number, u: number): number => {
  if (jitter === "none") return delay
  if (jitter === "full") return delay * u
  const share = jitter === "equal" ? 0.5 : jitter.proportional
  return delay * (1 - share + share * u)
}

/**
 * Raises a delay to a server's hint. The hint is spread upwards only: earlier than asked is refused again, and
 * callers that all wait exactly as long as they were told come back as one herd.
 */
export const raiseToHint = (delay: number, hint: number, headroom: number, u: number): number =>
  Math.max(delay, hint * (1 + headroom * u))
