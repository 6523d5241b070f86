/**
 * The data of a file part of a prompt: bytes as base64, or a URL that the provider fetches.
 */
import type { Message } from "@breakwater/core"
import * as Base64 from "effect/encoding/Base64"

export type Media =
  | { readonly type: "base64"; readonly mediaType: string; readonly data: string }
  | { readonly type: "url"; readonly mediaType: string; readonly url: string }

const dataUrl = /^data:([^;,]*)(?:;[^,]*)?;base64,/

const fromText = (text: string, mediaType: string): Media => {
  if (/^(https?|gs|file):\/\//.test(text)) return { type: "url", mediaType, url: text }
  const inline = dataUrl.exec(text)
  if (inline === null) return { type: "base64", mediaType, data: text }
  return { type: "base64", mediaType: inline[1] || mediaType, data: text.slice(inline[0].length) }
}

/** Reads every form a file part may hold its data in. A data URL is taken apart into its base64. */
export const fromFilePart = (part: Message.FilePart): Media => {
  const { data, mediaType } = part
  if (typeof data === "string") return fromText(data, mediaType)
  if (data instanceof Uint8Array) return { type: "base64", mediaType, data: Base64.encode(data) }
  if (data instanceof URL) return fromText(data.href, mediaType)
  return data._tag === "URL" ? fromText(data.href, mediaType) : { type: "base64", mediaType, data: data.base64 }
}
