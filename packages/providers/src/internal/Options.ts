/**
 * Checks of what a provider is made with. A wrong option is a `ConfigError` that names the field, the value and
 * what is allowed. A key is never in the message.
 */
import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type { ApiKeys } from "./KeyPool.ts"

/** The error for one wrong option. */
export const optionError = (field: string, value: string, allowed: string): Config.ConfigError =>
  new Config.ConfigError(new ConfigProvider.SourceError({ message: `${field} is ${value}; allowed: ${allowed}` }))

/** A name without slashes. */
export const checkName = (name: string): Effect.Effect<string, Config.ConfigError> =>
  name.length > 0 && !name.includes("/")
    ? Effect.succeed(name)
    : Effect.fail(optionError("name", JSON.stringify(name), "a text that is not empty and holds no slash"))

/** An http or https URL, without its trailing slashes. */
export const checkBaseUrl = (url: string, field = "baseUrl"): Effect.Effect<string, Config.ConfigError> =>
  Effect.suspend(() => {
    const parsed = URL.canParse(url) ? new URL(url) : undefined
    const good =
      parsed !== undefined &&
      (parsed.protocol === "https:" || parsed.protocol === "http:") &&
      parsed.search === "" &&
      parsed.hash === "" &&
      parsed.username === "" &&
      parsed.password === ""
    if (good) return Effect.succeed(parsed.href.replace(/\/+$/, ""))
    // Credentials are a usual reason for a refusal, and must not be repeated.
    const shown =
      parsed !== undefined && (parsed.username !== "" || parsed.password !== "" || parsed.search !== "")
        ? `a URL at ${parsed.host} with more than a path`
        : JSON.stringify(url)
    return Effect.fail(optionError(field, shown, "an http or https URL without query, fragment or credentials"))
  })

/** Keys that can be sent in a header. */
export const checkKeys = (
  keys: ApiKeys | undefined,
  required: boolean,
  field = "apiKey"
): Effect.Effect<ReadonlyArray<Redacted.Redacted<string>>, Config.ConfigError> =>
  Effect.suspend(() => {
    const list = keys === undefined ? [] : Redacted.isRedacted(keys) ? [keys] : keys
    if (list.length === 0 && required) {
      return Effect.fail(optionError(field, "missing", "one key or several"))
    }
    const allowed = "visible ASCII characters"
    for (const key of list) {
      const value: unknown = Redacted.isRedacted(key) ? Redacted.value(key) : undefined
      if (value === "") return Effect.fail(optionError(field, "empty", allowed))
      if (typeof value !== "string" || !/^[\x21-\x7e]+$/.test(value)) {
        return Effect.fail(optionError(field, "not a key", allowed))
      }
    }
    return Effect.succeed(list)
  })

/** Header names and values that can be sent. */
export const checkHeaders = (
  headers: Readonly<Record<string, string>>
): Effect.Effect<Readonly<Record<string, string>>, Config.ConfigError> =>
  Effect.suspend(() => {
    for (const [name, value] of Object.entries(headers)) {
      if (!/^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/.test(name)) {
        return Effect.fail(optionError("headers", JSON.stringify(name), "names of HTTP headers"))
      }
      if (typeof value !== "string" || !/^[\t\x20-\x7e\x80-\xff]*$/.test(value)) {
        return Effect.fail(optionError(`headers.${name}`, "not a header's value", "text without line breaks"))
      }
    }
    return Effect.succeed(headers)
  })

/** A whole number of bytes of at least 1,024. */
export const checkBytes = (
  field: string,
  value: number | undefined
): Effect.Effect<number | undefined, Config.ConfigError> =>
  value === undefined || (Number.isSafeInteger(value) && value >= 1024)
    ? Effect.succeed(value)
    : Effect.fail(optionError(field, String(value), "a whole number of at least 1024"))

/** Milliseconds of a duration above zero. */
export const checkDuration = (
  field: string,
  value: Duration.Input,
  max: Duration.Duration
): Effect.Effect<number, Config.ConfigError> => {
  const parsed = typeof value === "number" && !(value > 0) ? undefined : Duration.fromInput(value)
  const millis = parsed?._tag === "Some" ? Duration.toMillis(parsed.value) : NaN
  if (millis > 0 && millis <= Duration.toMillis(max)) return Effect.succeed(millis)
  const shown = Duration.isDuration(value) ? Duration.format(value) : (JSON.stringify(value) ?? "nothing")
  return Effect.fail(optionError(field, shown, `a duration above zero, at most ${Duration.format(max)}`))
}

/** The keys of a variable: one, or several with commas between them. */
export const splitKeys = (value: Redacted.Redacted<string>): ReadonlyArray<Redacted.Redacted<string>> =>
  Redacted.value(value)
    .split(",")
    .map((key) => key.trim())
    .filter((key) => key.length > 0)
    .map((key) => Redacted.make(key))
