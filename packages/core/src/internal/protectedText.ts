/**
 * Parts of a text that nothing may change: fenced code, code between backticks, and JSON.
 */

/** From `start` to `end`, in UTF-16 units. */
export interface Span {
  readonly start: number
  readonly end: number
}

/** A JSON text longer than this is taken for one without looking for its end. */
const longestScan = 1_000_000

/** The end of the object or list that opens at `start`, or `undefined` if it has none. */
const closing = (text: string, start: number): number | undefined => {
  let depth = 0
  let quoted = false
  const end = Math.min(text.length, start + longestScan)
  for (let i = start; i < end; i++) {
    const char = text[i]!
    if (quoted) {
      if (char === "\\") i++
      else if (char === '"') quoted = false
    } else if (char === '"') quoted = true
    else if (char === "{" || char === "[") depth++
    else if ((char === "}" || char === "]") && --depth === 0) return i + 1
  }
  return undefined
}

const begins = /(?:^|\n)[ \t]*(`{3,}|~{3,})|`[^`\n]+`|\{(?=\s*["}])|\[(?=\s*["{[\]\d-])/g

/** The protected parts, in order, apart from each other. What has no end is protected to the end of the text. */
export const protectedSpans = (text: string): ReadonlyArray<Span> => {
  const spans: Array<Span> = []
  begins.lastIndex = 0
  for (let match = begins.exec(text); match !== null; match = begins.exec(text)) {
    const fence = match[1]
    const start = match.index
    let end = start + match[0].length
    if (fence !== undefined) {
      const close = text.indexOf(`\n${fence}`, end)
      end = close < 0 ? text.length : close + 1 + fence.length
    } else if (match[0].length === 1) end = closing(text, start) ?? text.length
    spans.push({ start, end })
    begins.lastIndex = end
  }
  return spans
}
