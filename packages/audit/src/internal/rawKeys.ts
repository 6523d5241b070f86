/** Keys as they are given, checked. */
import { Options } from "@breakwater/core"
import * as Config from "effect/Config"
import { keyBytes, type RawKey } from "./keyRing.ts"

const idForm = /^[A-Za-z0-9._-]{1,64}$/

const bytesOf = (text: string): Uint8Array | undefined => {
  const trimmed = text.trim()
  if (/^[0-9a-fA-F]{64}$/.test(trimmed)) return Buffer.from(trimmed, "hex")
  if (!/^[A-Za-z0-9+/_-]{43}=?$/.test(trimmed)) return undefined
  const bytes = Buffer.from(trimmed, "base64")
  return bytes.length === keyBytes ? bytes : undefined
}

/** A key, or what is wrong with it: never the key itself. */
export const rawKey = (id: string, text: string): RawKey | Config.ConfigError => {
  if (!idForm.test(id)) return Options.optionError("keys.id", id, "1 to 64 letters, digits, `.`, `_` and `-`")
  const bytes = bytesOf(text)
  return bytes === undefined
    ? Options.optionError(`keys.${id}`, "not shown here", "32 bytes in base64, base64url or hexadecimal digits")
    : { id, bytes }
}

/** Keys, or the first thing that is wrong with them. */
export const rawKeys = (
  keys: ReadonlyArray<{ readonly id: string; readonly text: string }>
): ReadonlyArray<RawKey> | Config.ConfigError => {
  const raw: Array<RawKey> = []
  for (const { id, text } of keys) {
    const checked = rawKey(id, text)
    if (checked instanceof Config.ConfigError) return checked
    if (raw.some((each) => each.id === id)) return Options.optionError("keys", id, "ids that differ")
    raw.push(checked)
  }
  return raw.length === 0 ? Options.optionError("keys", "empty", "at least one key, id:key") : raw
}
