/** Checks of options, in the form the core uses: a wrong one is a `ConfigError` naming field, value and range. */
import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Duration from "effect/Duration"

export type Check = Config.ConfigError | undefined

export const optionError = (field: string, value: unknown, allowed: string): Config.ConfigError => {
  const shown =
    typeof value === "string"
      ? JSON.stringify(value)
      : Duration.isDuration(value)
        ? Duration.format(value)
        : String(value)
  return new Config.ConfigError(
    new ConfigProvider.SourceError({ message: `${field} is ${shown}; allowed: ${allowed}` })
  )
}

export const inRange = (field: string, value: number, min: number, max: number): Check =>
  typeof value === "number" && value >= min && value <= max
    ? undefined
    : optionError(field, value, `a number from ${min} to ${max}`)

export const wholeInRange = (field: string, value: number, min: number, max: number): Check =>
  Number.isSafeInteger(value) && value >= min && value <= max
    ? undefined
    : optionError(field, value, `a whole number from ${min} to ${max}`)

/** Ten years: the longest wait that is still an accident. */
const maxMillis = 315_360_000_000

/** Milliseconds of a duration, or `undefined` for one that is not finite, not a duration, or negative. */
export const millisOf = (value: Duration.Input): number | undefined => {
  if (typeof value === "number" && !(value >= 0)) return undefined
  const parsed = Duration.fromInput(value)
  if (parsed._tag === "None") return undefined
  const millis = Duration.toMillis(parsed.value)
  return millis >= 0 && millis <= maxMillis ? millis : undefined
}

export const duration = (field: string, value: Duration.Input): Check =>
  millisOf(value) === undefined ? optionError(field, value, "a duration of zero or more, at most ten years") : undefined

export const firstOf = (checks: ReadonlyArray<Check>): Check => checks.find((check) => check !== undefined)

/** Milliseconds of a duration; throws the `ConfigError` of a wrong one. For constructors of plain values. */
export const millisOrThrow = (field: string, value: Duration.Input): number => {
  const error = duration(field, value)
  if (error !== undefined) throw error
  return millisOf(value) as number
}

/** A name a provider may have. */
export const providerName = (name: string): Check =>
  typeof name === "string" && name.length > 0 && !name.includes("/")
    ? undefined
    : optionError("name", name, "a text that is not empty and holds no slash")
