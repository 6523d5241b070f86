/**
 * Finds where a provider repeats the caller's words: error messages of servers quote what they were sent, and an error
 * of this library must not hold the text of a prompt.
 *
 * Letters and digits alone are compared, so that quoting, escapes and white space hide nothing. A repetition counts from
 * 16 of them; a shorter text where all of it is repeated, from 8.
 */

const block = 8
const shortest = 16
const replacement = "[prompt]"

const isWord = (char: string): boolean => /[\p{L}\p{N}]/u.test(char)

const wordsOf = (text: string): string => text.replace(/[^\p{L}\p{N}]+/gu, "")

/** The letters and digits of a message, and where each of them stands. JSON's escapes are read as what they stand for. */
const read = (
  message: string
): { readonly words: string; readonly starts: Array<number>; readonly ends: Array<number> } => {
  let words = ""
  const starts: Array<number> = []
  const ends: Array<number> = []
  const unit = /\\u[0-9a-f]{4}|\\[nrtbf]|[^]/giu
  for (let match = unit.exec(message); match !== null; match = unit.exec(message)) {
    const raw = match[0]
    const char = raw.length === 6 && raw.startsWith("\\u") ? String.fromCharCode(parseInt(raw.slice(2), 16)) : raw
    if (char.startsWith("\\") || !isWord(char)) continue
    for (let i = 0; i < char.length; i++) {
      starts.push(match.index)
      ends.push(unit.lastIndex)
    }
    words += char
  }
  return { words, starts, ends }
}

/** Marks what of `words` is a part of `text`, or all of it. */
const mark = (
  words: string,
  places: ReadonlyMap<string, ReadonlyArray<number>>,
  text: string,
  marked: Uint8Array
): void => {
  if (text.length < shortest) {
    if (text.length < block) return
    for (let at = words.indexOf(text); at !== -1; at = words.indexOf(text, at + 1)) marked.fill(1, at, at + text.length)
    return
  }
  // Each run of 16 holds one of the blocks of 8 that the text is cut into.
  for (let at = 0; at + block <= text.length; at += block) {
    for (const place of places.get(text.slice(at, at + block)) ?? []) {
      // Known, and not at an edge: blocks that are at one will find what lies beyond.
      if (marked[place - block] === 1 && marked[place] === 1 && marked[place + 2 * block - 1] === 1) continue
      let from = 0
      while (from < place && from < at && words[place - from - 1] === text[at - from - 1]) from++
      let to = block
      while (place + to < words.length && at + to < text.length && words[place + to] === text[at + to]) to++
      if (from + to >= shortest) marked.fill(1, place - from, place + to)
    }
  }
}

/** The message with `[prompt]` for everything that repeats one of the texts. */
export const withoutEcho = (message: string, texts: Iterable<string>): string => {
  const { ends, starts, words } = read(message)
  if (words.length < block) return message
  const places = new Map<string, Array<number>>()
  for (let i = 0; i + block <= words.length; i++) {
    const key = words.slice(i, i + block)
    const known = places.get(key)
    if (known === undefined) places.set(key, [i])
    else known.push(i)
  }
  const marked = new Uint8Array(words.length)
  for (const text of texts) mark(words, places, wordsOf(text), marked)
  let out = ""
  let done = 0
  for (let i = marked.indexOf(1); i !== -1; i = marked.indexOf(1, i)) {
    out += message.slice(done, starts[i]) + replacement
    while (marked[i] === 1) i++
    done = ends[i - 1]!
  }
  return out + message.slice(done)
}
