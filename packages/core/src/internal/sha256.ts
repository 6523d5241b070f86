/**
 * SHA-256 of texts and bytes, as 43 characters of base64url.
 *
 * Synchronous, since it is on the path of every cached call: WebCrypto only answers with promises, and costs a turn
 * of the event loop. Where the runtime lends Node's `crypto` without an import (Node ≥ 22.3, Deno, Bun) its one-shot
 * `hash` is used, about 1 µs for 1 KB; elsewhere the implementation in plain JavaScript, about 15 µs.
 */
import { sha256Pure } from "./sha256Pure.ts"

interface NodeCrypto {
  readonly hash?: (algorithm: string, data: string | Uint8Array, encoding: string) => string
}

interface Runtime {
  readonly process?: { readonly getBuiltinModule?: (id: string) => NodeCrypto | undefined }
}

const native = ((): NodeCrypto["hash"] => {
  try {
    return (globalThis as Runtime).process?.getBuiltinModule?.("node:crypto")?.hash
  } catch {
    return undefined
  }
})()

const base64Url = (bytes: Uint8Array): string =>
  btoa(String.fromCharCode(...bytes))
    .replaceAll("+", "-")
    .replaceAll("/", "_")
    .replaceAll("=", "")

/** What every runtime can do. */
export const sha256Portable = (data: string | Uint8Array): string =>
  base64Url(sha256Pure(typeof data === "string" ? new TextEncoder().encode(data) : data))

/** The digest of a text in UTF-8, or of bytes. */
export const sha256: (data: string | Uint8Array) => string =
  native === undefined ? sha256Portable : (data) => native("sha256", data, "base64url")
