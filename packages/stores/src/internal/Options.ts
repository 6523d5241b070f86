/**
 * Checks of options at construction. A wrong one is a `ConfigError` that names the field, the value and what is
 * allowed.
 */
import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Duration from "effect/Duration"

/** The error for one wrong option. */
export const optionError = (field: string, value: unknown, allowed: string): Config.ConfigError =>
  new Config.ConfigError(
    new ConfigProvider.SourceError({
      message: `${field} is ${typeof value === "string" ? JSON.stringify(value) : String(value)}; allowed: ${allowed}`
    })
  )

/** Milliseconds of a duration within bounds, or the error. */
export const millisWithin = (
  field: string,
  value: Duration.Input,
  leastMs: number,
  mostMs: number
): number | Config.ConfigError => {
  const parsed = Duration.fromInput(value)
  const millis = parsed._tag === "Some" ? Duration.toMillis(parsed.value) : Number.NaN
  return millis >= leastMs && millis <= mostMs
    ? millis
    : optionError(field, value, `a duration from ${leastMs} ms to ${mostMs} ms`)
}
