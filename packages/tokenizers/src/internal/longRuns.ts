/**
 * Cuts runs that no tokenizer takes well: merging byte pairs takes time that grows with the square of a run's length, so
 * that 50,000 letters without a space take seconds.
 *
 * A run is what the tokenizers' patterns may take as one piece: letters, punctuation, or white space. Runs of at most
 * `longest` units are left whole, and are all that ordinary texts have. A longer one is cut at every `longest` units:
 * exact for repeated letters, and elsewhere at most a token or two off for each cut.
 */

const longest = 2_000

const kinds = { mixed: 0, letter: 1, space: 2, punctuation: 3, digit: 4 } as const

const ascii = Uint8Array.from({ length: 128 }, (_, unit) => {
  const char = String.fromCharCode(unit)
  return /[a-z]/i.test(char)
    ? kinds.letter
    : /\d/.test(char)
      ? kinds.digit
      : /\s/.test(char)
        ? kinds.space
        : kinds.punctuation
})

/** Ends of the pieces of a text that holds a long run; `undefined` for one that does not. */
const roughRuns = (text: string): ReadonlyArray<readonly [start: number, end: number]> | undefined => {
  let runs: Array<readonly [number, number]> | undefined
  let start = 0
  let kind: number = kinds.mixed
  for (let i = 0; i <= text.length; i++) {
    const unit = i < text.length ? text.charCodeAt(i) : 48
    // What is not ASCII may be of any kind, and so goes on with whatever run it is in.
    const next = unit < 128 ? ascii[unit]! : kinds.mixed
    if (next === kind || next === kinds.mixed) continue
    if (kind === kinds.mixed && next !== kinds.digit) {
      kind = next
      continue
    }
    if (i - start > longest && kind !== kinds.digit) (runs ??= []).push([start, i])
    start = i
    kind = next
  }
  return runs
}

const letters = /^[\p{L}\p{M}]$/u
const spaces = /^\s$/u
const digits = /^\p{N}$/u

const kindOf = (char: string): number =>
  letters.test(char)
    ? kinds.letter
    : spaces.test(char)
      ? kinds.space
      : digits.test(char)
        ? kinds.digit
        : kinds.punctuation

/** The pieces of a text, none with a longer run than `longest`; the text itself where there is none to be cut. */
export const withoutLongRuns = (text: string): ReadonlyArray<string> => {
  if (text.length <= longest) return [text]
  const runs = roughRuns(text)
  if (runs === undefined) return [text]
  const pieces: Array<string> = []
  let from = 0
  for (const [start, end] of runs) {
    let kind: number = -1
    let length = 0
    for (let i = start; i < end;) {
      const char = String.fromCodePoint(text.codePointAt(i)!)
      const next = kindOf(char)
      if (next !== kind) length = 0
      kind = next
      if (length + char.length > longest && kind !== kinds.digit) {
        pieces.push(text.slice(from, i))
        from = i
        length = 0
      }
      length += char.length
      i += char.length
    }
  }
  pieces.push(text.slice(from))
  return pieces
}
