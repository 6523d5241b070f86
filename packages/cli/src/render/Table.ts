/** Tables for terminals. */
import { widthOf } from "./Style.ts"
import { wrap } from "./Wrap.ts"

export interface TableOptions {
  /** Columns of the terminal: the last column is wrapped to fit. Default: not wrapped. */
  readonly width?: number
  /** Columns that are aligned to the right, counted from 0. */
  readonly right?: ReadonlyArray<number>
  /** Before every line. */
  readonly indent?: string
}

const pad = (text: string, width: number, right: boolean): string => {
  const space = " ".repeat(Math.max(0, width - widthOf(text)))
  return right ? space + text : text + space
}

/** Rows of cells as lines, columns two spaces apart, without spaces at the ends. */
export const table = (rows: ReadonlyArray<ReadonlyArray<string>>, options: TableOptions = {}): string => {
  const { indent = "", right = [], width = Infinity } = options
  const columns = Math.max(0, ...rows.map((row) => row.length))
  const widths = Array.from({ length: columns }, (_, index) =>
    Math.max(0, ...rows.map((row) => widthOf(row[index] ?? "")))
  )
  const before = indent.length + widths.slice(0, -1).reduce((sum, each) => sum + each + 2, 0)
  const room = Math.max(20, width - before)
  const lines = rows.map((row) => {
    const cells = row.slice(0, columns - 1).map((cell, index) => pad(cell, widths[index]!, right.includes(index)))
    const last = row[columns - 1]
    if (last === undefined) return indent + cells.join("  ")
    const wrapped =
      widthOf(last) > room
        ? wrap(last, room).join(`\n${" ".repeat(before)}`)
        : pad(last, right.includes(columns - 1) ? widths[columns - 1]! : 0, true)
    return indent + [...cells, wrapped].join("  ")
  })
  return lines.map((line) => line.trimEnd()).join("\n")
}
