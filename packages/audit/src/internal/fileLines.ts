/** Lines of a file, from its bytes: forwards and backwards. */

/** Longer lines were made by no writer; of such a line only the beginning is kept. */
const maxLineBytes = 16 * 1024 * 1024

export interface Line {
  readonly text: string
  /** Bytes before it. */
  readonly offset: number
  /** Bytes of it, with the line break. */
  readonly bytes: number
}

const lineFeed = 10

/** Splits what comes in pieces. */
export class Splitter {
  private parts: Array<Buffer> = []
  private kept = 0
  private pending = 0
  /** Where the line begins that is not whole yet. */
  offset: number

  constructor(offset: number) {
    this.offset = offset
  }

  /** Bytes of the line that is not whole yet. */
  get left(): number {
    return this.pending
  }

  push(piece: Buffer): ReadonlyArray<Line> {
    const lines: Array<Line> = []
    let from = 0
    while (true) {
      const to = piece.indexOf(lineFeed, from)
      if (to < 0) break
      this.keep(piece.subarray(from, to))
      const bytes = this.pending + 1
      lines.push({ text: this.text(), offset: this.offset, bytes })
      this.offset += bytes
      this.parts = []
      this.kept = 0
      this.pending = 0
      from = to + 1
    }
    // Copied, because the buffer that it is a part of is used again.
    if (from < piece.length) this.keep(Buffer.from(piece.subarray(from)))
    return lines
  }

  /** What has come of the line that is not whole. */
  text(): string {
    return this.parts.length === 1 ? this.parts[0]!.toString("latin1") : Buffer.concat(this.parts).toString("latin1")
  }

  private keep(part: Buffer): void {
    this.pending += part.length
    const room = maxLineBytes - this.kept
    if (part.length === 0 || room <= 0) return
    this.parts.push(part.length > room ? part.subarray(0, room) : part)
    this.kept += Math.min(room, part.length)
  }
}

/** Whole lines that a piece from the middle of a file holds, if its end is the end of a line; and where the first begins. */
export const wholeLines = (piece: Buffer, offset: number): ReadonlyArray<Line> => {
  const splitter = new Splitter(offset)
  const lines = splitter.push(piece)
  // What stands before the first line break may be the end of a longer line.
  return offset === 0 ? lines : lines.slice(1)
}

/** Whether a crash may have left this instead of a line: blocks of zeros, or the beginning of one. */
export const isLine = (text: string): boolean => /^\{"v":1,[\x20-\x7e]*"\}$/.test(text)
