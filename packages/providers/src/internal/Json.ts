/**
 * Reading of unknown JSON without a schema: the hot path of the codecs, where a field may be missing, `null` or
 * of another type.
 */

export type JsonRecord = { readonly [key: string]: unknown }

export const asRecord = (u: unknown): JsonRecord | undefined =>
  typeof u === "object" && u !== null && !Array.isArray(u) ? (u as JsonRecord) : undefined

export const asArray = (u: unknown): ReadonlyArray<unknown> | undefined => (Array.isArray(u) ? u : undefined)

/** A text, or `undefined` for anything else, the empty text included. */
export const asText = (u: unknown): string | undefined => (typeof u === "string" && u.length > 0 ? u : undefined)

/** A count of tokens: a finite number of at least 0, rounded. */
export const asCount = (u: unknown): number | undefined =>
  typeof u === "number" && u >= 0 && u <= Number.MAX_SAFE_INTEGER ? Math.round(u) : undefined

/** The value of a JSON text, or `undefined`. */
export const parseJson = (text: string): unknown => {
  try {
    return JSON.parse(text) as unknown
  } catch {
    return undefined
  }
}

const maxExcerpt = 500

/** The beginning of a body, at most 500 characters, never half a surrogate pair. */
export const excerptOf = (text: string): string => {
  if (text.length <= maxExcerpt) return text
  const last = text.charCodeAt(maxExcerpt - 1)
  return text.slice(0, last >= 0xd800 && last <= 0xdbff ? maxExcerpt - 1 : maxExcerpt)
}
