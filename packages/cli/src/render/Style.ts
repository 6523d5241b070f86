/** Colours, or none. */
import * as CliOutput from "effect/cli/CliOutput"

type Paint = (text: string) => string

export interface Style {
  readonly bold: Paint
  readonly dim: Paint
  readonly red: Paint
  readonly green: Paint
  readonly yellow: Paint
  readonly cyan: Paint
}

const sgr =
  (on: number, off: number): Paint =>
  (text) =>
    text === "" ? "" : `\u001b[${on}m${text}\u001b[${off}m`

export const colours: Style = {
  bold: sgr(1, 22),
  dim: sgr(2, 22),
  red: sgr(31, 39),
  green: sgr(32, 39),
  yellow: sgr(33, 39),
  cyan: sgr(36, 39)
}

const same: Paint = (text) => text

export const plain: Style = { bold: same, dim: same, red: same, green: same, yellow: same, cyan: same }

// oxlint-disable-next-line no-control-regex
const codes = /\u001b\[[0-9;]*m/g

/** How many columns a text takes: colours take none. */
export const widthOf = (text: string): number => CliOutput.displayWidth(text.replace(codes, ""))

const characters = new Intl.Segmenter(undefined, { granularity: "grapheme" })

const shortened = (text: string, columns: number): string => {
  let out = ""
  for (const { segment } of characters.segment(text)) {
    if (widthOf(out + segment) >= columns) break
    out += segment
  }
  return `${out}…`
}

/**
 * Takes control characters out of a text that somebody else wrote, so that it cannot move the cursor or set colours;
 * line breaks and tabs stay.
 */
export const harmless = (text: string): string =>
  // oxlint-disable-next-line no-control-regex
  text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, "")

/** A value as a line of JSON. What JSON leaves as it is and a terminal obeys (C1 control characters) is escaped. */
export const jsonLine = (value: unknown): string =>
  `${JSON.stringify(value).replace(/[\u007f-\u009f]/g, (each) => `\\u00${each.charCodeAt(0).toString(16)}`)}\n`

/** A harmless text in one line of at most `columns`. */
export const oneLine = (text: string, columns = Infinity): string => {
  const line = harmless(text).replace(/\s+/g, " ").trim()
  return widthOf(line) > columns ? shortened(line, columns) : line
}
