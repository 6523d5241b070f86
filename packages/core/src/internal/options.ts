/**
 * Checks of options at construction. A wrong one is a `ConfigError` that names the field, the value and what
 * is allowed.
 */
import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"

const show = (value: unknown): string => {
  if (typeof value === "string") return JSON.stringify(value)
  if (Duration.isDuration(value)) return Duration.format(value)
  return String(value)
}

/** The error for one wrong option. */
export const optionError = (field: string, value: unknown, allowed: string): Config.ConfigError =>
  new Config.ConfigError(new ConfigProvider.SourceError({ message: `${field} is ${show(value)}; allowed: ${allowed}` }))

/** A check of one field: `undefined` when it passes. */
export type Check = Config.ConfigError | undefined

/** A finite number in a closed range. */
export const inRange = (field: string, value: number, min: number, max: number): Check =>
  typeof value === "number" && value >= min && value <= max
    ? undefined
    : optionError(field, value, max === Infinity ? `a number of at least ${min}` : `a number from ${min} to ${max}`)

/** A whole number in a closed range. */
export const wholeInRange = (field: string, value: number, min: number, max = Number.MAX_SAFE_INTEGER): Check =>
  Number.isSafeInteger(value) && value >= min && value <= max
    ? undefined
    : optionError(
        field,
        value,
        max === Number.MAX_SAFE_INTEGER ? `a whole number of at least ${min}` : `a whole number from ${min} to ${max}`
      )

/** Milliseconds of a duration, or `undefined` for one that is not a duration, negative, NaN or infinite. */
export const millisOf = (value: Duration.Input): number | undefined => {
  if (typeof value === "number" && !(value >= 0)) return undefined
  const parsed = Duration.fromInput(value)
  if (parsed._tag === "None") return undefined
  const millis = Duration.toMillis(parsed.value)
  return Number.isFinite(millis) && millis >= 0 ? millis : undefined
}

/** A positive, finite duration of at most ten years. */
export const positiveDuration = (field: string, value: Duration.Input): Check => {
  const millis = millisOf(value)
  return millis !== undefined && millis > 0 && millis <= 315_360_000_000
    ? undefined
    : optionError(field, value, "a duration above zero, at most ten years")
}

/** Fails with the first check that did not pass. */
export const validate = (checks: ReadonlyArray<Check>): Effect.Effect<void, Config.ConfigError> => {
  for (const check of checks) {
    if (check !== undefined) return Effect.fail(check)
  }
  return Effect.void
}

/** Throws the first check that did not pass: for constructors of plain values. */
export const validateOrThrow = (checks: ReadonlyArray<Check>): void => {
  for (const check of checks) {
    if (check !== undefined) throw check
  }
}
