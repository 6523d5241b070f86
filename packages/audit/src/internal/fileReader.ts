/** A log's file, open to be read. It keeps reading the file it has opened, also if another one takes its place. */
import { type FileHandle, open } from "node:fs/promises"
import { type Line, Splitter } from "./fileLines.ts"
import { linesBefore, readHead, readPiece } from "./logFile.ts"

const pieceBytes = 1024 * 1024
const lineFeed = 10

interface Placed {
  readonly text: string
  readonly place: number
  readonly torn?: true
}

export interface Reader {
  readonly head: string | undefined
  /**
   * The next lines; none at the end. `unfinished` if the last line is not whole: it may be under way, unless
   * `isLast` says that it has been waited for.
   */
  readonly next: (isLast: boolean) => Promise<ReadonlyArray<Placed> | "unfinished">
  readonly newest: (limit: number, before: number | undefined) => Promise<ReadonlyArray<Line>>
  readonly close: () => Promise<void>
}

/** Where the last whole line ends. */
const wholeEnd = async (file: FileHandle, size: number): Promise<number> => {
  for (let to = size; to > 0; to -= pieceBytes) {
    const from = Math.max(0, to - pieceBytes)
    const at = (await readPiece(file, from, to)).lastIndexOf(lineFeed)
    if (at >= 0) return from + at + 1
  }
  return 0
}

/** Opens a log up to a place, or to what is its end then. The head is read first: the log is never behind it. */
export const openReader = async (path: string, end: number | undefined): Promise<Reader> => {
  const head = await readHead(path)
  const file = await open(path, "r")
  let size = end ?? (await file.stat()).size
  let at = 0
  let grown = false
  const splitter = new Splitter(0)
  return {
    head,
    close: () => file.close(),
    newest: async (limit, before) => {
      const from = Math.min(before ?? Infinity, await wholeEnd(file, size))
      return (await linesBefore(file, from, (lines) => lines.length >= limit)).slice(0, limit)
    },
    next: async (isLast) => {
      while (at < size) {
        const piece = await readPiece(file, at, Math.min(size, at + pieceBytes))
        // Somebody has made it shorter meanwhile.
        if (piece.length === 0) break
        at += piece.length
        const lines = splitter.push(piece)
        if (lines.length === 0) continue
        // Of what came after the end of then, only the line that was under way.
        const wanted = grown ? lines.slice(0, 1) : lines
        if (grown) at = size = Infinity
        return wanted.map(({ offset, text }) => ({ text, place: offset }))
      }
      if (splitter.left === 0 || at === Infinity) return []
      const now = (await file.stat()).size
      if (end === undefined && !isLast) {
        grown = now > size
        size = Math.max(size, now)
        return "unfinished"
      }
      at = size = Infinity
      return [{ text: splitter.text(), place: splitter.offset, torn: true }]
    }
  }
}
