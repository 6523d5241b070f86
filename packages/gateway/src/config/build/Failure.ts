/** What is wrong with a part of a configuration, by the path of its field. */
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import { ConfigurationError } from "../Load.ts"

type BuildError = Config.ConfigError | ConfigurationError | Error

const messageOf = (error: BuildError): string =>
  error instanceof Config.ConfigError ? error.cause.message : error.message

/** `hedge.maxDelay is 1ms; allowed: …` of a policy becomes `defaults.hedge.maxDelay: it is 1ms; allowed: …`. */
const placed = (path: string, message: string, own: string | ((field: string) => string)): string => {
  const found = /^(\S+) is (.*)$/s.exec(message)
  if (found === null) return `${path}: ${message}`
  const [, field = "", rest] = found
  const begins = (text: string): boolean =>
    field === text || field.startsWith(`${text}.`) || field.startsWith(`${text}[`)
  const inner = typeof own === "function" ? own(field) : begins(own) ? field.slice(own.length) : field
  const joint = inner === "" || inner.startsWith(".") || inner.startsWith("[") ? "" : "."
  return `${path}${joint}${inner}: it is ${rest}`
}

/** A password in an address, whether or not the rest is one. */
const credentials = /\/\/[^\s"/]*@/g

/**
 * Names the field that a part could not be built for. `own` is how the part calls itself in its messages (without it, the
 * last word of the path), or turns its field into ours.
 */
export const at =
  (path: string, own: string | ((field: string) => string) = path.slice(path.lastIndexOf(".") + 1)) =>
  <A, R>(effect: Effect.Effect<A, BuildError, R>): Effect.Effect<A, ConfigurationError, R> =>
    Effect.mapError(effect, (error) => {
      if (error instanceof ConfigurationError) return error
      const message = placed(path, messageOf(error).replace(credentials, "//…@"), own)
      return new ConfigurationError({ message, issues: [message] })
    })
