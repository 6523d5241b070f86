/** Checks of options beside those of the core. */
import { Options } from "@breakwater/core"
import type * as Duration from "effect/Duration"

export const { inRange, millisOf, optionError, wholeInRange } = Options

export type Check = Options.Check

/** Ten years: the longest wait that is still an accident. */
const maxMillis = 315_360_000_000

export const duration = (field: string, value: Duration.Input): Check =>
  (millisOf(value) ?? Infinity) <= maxMillis
    ? undefined
    : optionError(field, value, "a duration of zero or more, at most ten years")

export const firstOf = (checks: ReadonlyArray<Check>): Check => checks.find((check) => check !== undefined)

/** Milliseconds of a duration; throws the `ConfigError` of a wrong one. For constructors of plain values. */
export const millisOrThrow = (field: string, value: Duration.Input): number => {
  Options.validateOrThrow([duration(field, value)])
  return millisOf(value)!
}

/** A name a provider may have. */
export const providerName = (name: string): Check =>
  typeof name === "string" && name.length > 0 && !name.includes("/")
    ? undefined
    : optionError("name", name, "a text that is not empty and holds no slash")
