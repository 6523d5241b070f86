/**
 * Makes a text shorter without changing what it says: runs of white space, paragraphs that were already there, and,
 * in older messages, the middle of a long paste. Code and JSON stay as they are.
 */
import { protectedSpans } from "./protectedText.ts"
import { characterCut } from "./textCuts.ts"

export interface CompactRules {
  readonly whitespace: boolean
  readonly repeats: boolean
  /** Characters that a paragraph of an older message keeps; `Infinity` for all. */
  readonly paste: number
}

/** Shorter paragraphs are not worth the words that stand for them. */
const leastRepeat = 80
const repeated = "[the same paragraph as above]"

const squeeze = (text: string): string =>
  text
    .replace(/[ \t]+(?=\r?\n)/g, "")
    // White space at the beginning of a line is its indentation.
    .replace(/(?<=[^\s])[ \t]{2,}(?=[^\s]|$)/g, " ")
    .replace(/(?:\r?\n){3,}/g, "\n\n")

const leftOut = (count: number): string => `\n[${count} characters left out]\n`

const shorten = (paragraph: string, limit: number): string => {
  if (paragraph.length <= limit) return paragraph
  const room = Math.max(0, limit - leftOut(paragraph.length).length)
  const head = characterCut(paragraph, Math.ceil(room * (2 / 3)))
  const tail = characterCut(paragraph, paragraph.length - Math.floor(room / 3))
  const short = paragraph.slice(0, head) + leftOut(tail - head) + paragraph.slice(tail)
  return short.length < paragraph.length ? short : paragraph
}

/** The text made shorter, or the same text. */
export const compact = (text: string, rules: CompactRules): string => {
  const seen = new Set<string>()
  let out = ""
  const free = (piece: string): void => {
    const squeezed = rules.whitespace ? squeeze(piece) : piece
    for (const part of squeezed.split(/(\n{2,})/)) {
      const body = part.trim()
      if (rules.repeats && body.length >= leastRepeat && seen.has(body)) {
        out += part.replace(body, () => repeated)
      } else {
        if (body.length >= leastRepeat) seen.add(body)
        out += shorten(part, rules.paste)
      }
    }
  }
  let from = 0
  for (const { start, end } of protectedSpans(text)) {
    if (start > from) free(text.slice(from, start))
    out += text.slice(start, end)
    from = end
  }
  if (from < text.length) free(from === 0 ? text : text.slice(from))
  return out.length < text.length ? out : text
}
