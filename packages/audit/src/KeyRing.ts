/**
 * The keys of an audit log, by their ids. The last one seals; all of them open, so that a key can be replaced and what it
 * sealed stays readable.
 */
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { rawKeys } from "./internal/rawKeys.ts"

/** A key with its id. */
export interface AuditKey {
  /** 1 to 64 letters, digits, `.`, `_` and `-`. It stands in the log in clear, and never names another key. */
  readonly id: string
  /** 32 bytes at random, in base64, base64url or hexadecimal digits. */
  readonly key: Redacted.Redacted<string>
}

/**
 * Keys from a text, `id:key,id:key` (commas or lines between; lines that begin with `#` are left out), the newest last.
 * Fails with a `ConfigError` that shows no key.
 */
export const parse = (text: Redacted.Redacted<string>): Effect.Effect<ReadonlyArray<AuditKey>, Config.ConfigError> => {
  const keys = Redacted.value(text)
    .split(/[,\n]/)
    .map((each) => each.trim())
    .filter((each) => each !== "" && !each.startsWith("#"))
    .map((each) => {
      const colon = each.indexOf(":")
      return { id: each.slice(0, Math.max(0, colon)), text: each.slice(colon + 1) }
    })
  const checked = rawKeys(keys)
  return checked instanceof Config.ConfigError
    ? Effect.fail(checked)
    : Effect.succeed(keys.map((each) => ({ id: each.id, key: Redacted.make(each.text) })))
}

/** {@link parse} of a variable. */
export const config = (name: string): Config.Config<ReadonlyArray<AuditKey>> =>
  Config.mapEffect(Config.Redacted(name), parse)
