/** Lines that fit: of a text, and of a text that is still being written. */
import { widthOf } from "./Style.ts"

/** A text without colours as lines of at most `width` columns, broken at spaces. */
export const wrap = (text: string, width: number): ReadonlyArray<string> => {
  const lines: Array<string> = []
  let line = ""
  for (const word of text.split(" ")) {
    if (line !== "" && widthOf(line) + 1 + widthOf(word) > width) {
      lines.push(line)
      line = word
    } else line = line === "" ? word : `${line} ${word}`
  }
  return [...lines, line]
}

/** A text that arrives in pieces, indented and broken at spaces where it would be too wide. */
export class Flow {
  readonly #prefix: string
  readonly #room: number
  #column = 0
  #word = ""
  #spaces = ""

  /** The prefix stands before every line. */
  constructor(prefix: string, width: number) {
    this.#prefix = prefix
    this.#room = Math.max(20, width - widthOf(prefix))
  }

  /** What to write for a piece. A word is held back until its end is known. */
  push(piece: string): string {
    let out = ""
    for (const character of piece) {
      if (character === "\n" || character === " ") out += this.#endWord() + this.#space(character)
      else this.#word += character
    }
    return out
  }

  /** Ends the line under way, if there is one: what follows begins at the left. */
  end(): string {
    const out = this.#endWord()
    const line = this.#column > 0 ? `${out}\n` : out
    this.#column = 0
    return line
  }

  #space(character: " " | "\n"): string {
    if (character === "\n") {
      this.#column = 0
      this.#spaces = ""
      return "\n"
    }
    if (this.#column > 0) this.#spaces += " "
    return ""
  }

  #endWord(): string {
    if (this.#word === "") return ""
    const word = this.#spaces + this.#word
    const breaks = this.#column > 0 && this.#column + widthOf(word) > this.#room
    const begins = breaks || this.#column === 0
    const text = begins ? this.#word : word
    this.#column = (begins ? 0 : this.#column) + widthOf(text)
    this.#word = ""
    this.#spaces = ""
    return `${breaks ? "\n" : ""}${begins ? this.#prefix : ""}${text}`
  }
}
