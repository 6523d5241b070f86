/**
 * Where a text may be cut: between what a reader sees as characters, and between words where that can be had.
 */

const graphemes = new Intl.Segmenter(undefined, { granularity: "grapheme" })

/** Units looked at around a cut. No character people write is longer. */
const around = 64

/**
 * The last place at or before `index` that parts no character as a reader sees it: no surrogate pair, no letter from
 * its accents, no emoji made of several.
 */
export const characterCut = (text: string, index: number): number => {
  if (index <= 0) return 0
  if (index >= text.length) return text.length
  // Two ASCII characters are two characters, but for a line end.
  if (text.charCodeAt(index) < 128 && text.charCodeAt(index - 1) < 128) {
    return text[index] === "\n" && text[index - 1] === "\r" ? index - 1 : index
  }
  let start = Math.max(0, index - around)
  if (start > 0 && isLow(text.charCodeAt(start))) start++
  let cut = start
  for (const { index: at } of graphemes.segment(text.slice(start, index + around))) {
    if (start + at > index) break
    cut = start + at
  }
  // Nothing but one long character in sight: at least no pair is parted.
  return cut > start || start === 0 ? cut : isLow(text.charCodeAt(index)) ? index - 1 : index
}

const isLow = (unit: number): boolean => unit >= 0xdc00 && unit <= 0xdfff

const letter = /[\p{L}\p{N}]/u

/** How far back a place between two words is looked for. */
const reach = 512

/**
 * The end of the piece that begins at `start` and has about `size` units. It ends between a letter and the white
 * space, or the full stop of an East Asian script, behind it: tokenizers of byte pairs never merge across such a place,
 * so the counts of the pieces add up to the count of the text. A text without one is cut between two characters.
 */
export const pieceEnd = (text: string, start: number, size: number): number => {
  const end = start + size
  if (end >= text.length) return text.length
  for (let i = end; i > end - reach && i > start; i--) {
    const unit = text.charCodeAt(i)
    if ((unit === 32 || unit === 10 || unit === 0x3002 || unit === 0xff0c) && letter.test(text[i - 1]!)) return i
  }
  const cut = characterCut(text, end)
  return cut > start ? cut : end
}
