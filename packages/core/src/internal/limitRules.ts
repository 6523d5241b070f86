/**
 * Windows as an option, checked and turned into rules.
 */
import type * as Config from "effect/Config"
import type * as Duration from "effect/Duration"
import type { AlgorithmName, Rule } from "./limitRule.ts"
import { algorithms } from "./limitTable.ts"
import { type Check, inRange, millisOf, optionError, positiveDuration } from "./options.ts"

/** One window. */
export interface WindowOptions {
  /** How much is allowed in the window; at least 1. */
  readonly limit: number
  readonly window: Duration.Input
  /** Default `token-bucket`. */
  readonly algorithm?: AlgorithmName
  /**
   * The most that can go at once, for the token bucket (default: the limit) and GCRA (default: 1, or what comes
   * due in one millisecond, the resolution of timers). A weight above it never fits.
   */
  readonly burst?: number
}

const isBucket = (algorithm: AlgorithmName): boolean => algorithm === "token-bucket" || algorithm === "gcra"

const checksOf = (field: string, options: WindowOptions): ReadonlyArray<Check> => {
  const algorithm = options.algorithm ?? "token-bucket"
  const known = Object.hasOwn(algorithms, algorithm)
    ? undefined
    : optionError(`${field}algorithm`, algorithm, Object.keys(algorithms).join(", "))
  const noBurst =
    options.burst === undefined || isBucket(algorithm)
      ? undefined
      : optionError(`${field}burst`, options.burst, "left out for the windowed algorithms")
  return [
    known,
    inRange(`${field}limit`, options.limit, 1, Number.MAX_SAFE_INTEGER),
    positiveDuration(`${field}window`, options.window),
    noBurst,
    options.burst === undefined ? undefined : inRange(`${field}burst`, options.burst, 1, Number.MAX_SAFE_INTEGER)
  ]
}

const ruleOf = (options: WindowOptions): Rule => {
  const algorithm = options.algorithm ?? "token-bucket"
  const windowMs = millisOf(options.window)!
  const inOneMillisecond = Math.max(1, Math.ceil(options.limit / windowMs))
  const burst = options.burst ?? (algorithm === "gcra" ? inOneMillisecond : options.limit)
  return { algorithm, limit: options.limit, windowMs, burst }
}

/** The rules of some windows, or what is wrong with them. `field` is the option's name. */
export const rulesOf = (
  field: string,
  windows: ReadonlyArray<WindowOptions>
): ReadonlyArray<Rule> | Config.ConfigError => {
  if (windows.length === 0) return optionError(field, "empty", "at least one window")
  for (let i = 0; i < windows.length; i++) {
    const prefix = windows.length === 1 ? "" : `${field}[${i}].`
    const wrong = checksOf(prefix, windows[i]!).find((check) => check !== undefined)
    if (wrong !== undefined) return wrong
  }
  return windows.map(ruleOf)
}
