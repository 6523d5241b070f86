/** Values and tables as Markdown. */
import * as Duration from "effect/Duration"

/** A table. Bars in cells are escaped. */
export const table = (head: ReadonlyArray<string>, rows: ReadonlyArray<ReadonlyArray<string>>): string => {
  const line = (cells: ReadonlyArray<string>) =>
    `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`.replaceAll("|  |", "| |")
  return [line(head), `|${"---|".repeat(head.length)}`, ...rows.map(line)].join("\n")
}

export const code = (text: string): string => `\`${text}\``

export const list = (names: ReadonlyArray<string>): string => names.map(code).join(", ")

export const yes = (value: boolean): string => (value ? "yes" : "no")

const units = [
  ["day", 86_400_000],
  ["hour", 3_600_000],
  ["minute", 60_000],
  ["second", 1000]
] as const

/** Milliseconds in the largest unit that they are a whole number of. */
export const inWords = (millis: number): string => {
  if (millis === Infinity) return "none"
  if (millis === 0) return "0"
  for (const [unit, size] of units) {
    if (millis > 0 && millis % size === 0)
      return `${(millis / size).toLocaleString("en")} ${unit}${millis === size ? "" : "s"}`
  }
  return millis < 1000 ? `${millis} ms` : `${(millis / 1000).toLocaleString("en")} seconds`
}

/** The milliseconds of a duration, also of one that is written as a text. */
export const durationMs = (value: unknown): number | undefined => {
  if (Duration.isDuration(value)) return Duration.toMillis(value)
  return typeof value === "string" && /^\d+(?:\.\d+)? (?:milli|second|minute|hour|day|week)s?$/.test(value)
    ? Duration.toMillis(Duration.fromInputUnsafe(value as Duration.Input))
    : undefined
}

/** An option's value as a reader wants to see it. */
export const shown = (value: unknown): string => {
  const millis = durationMs(value)
  if (millis !== undefined) return inWords(millis)
  switch (typeof value) {
    case "string":
      return code(value)
    case "number":
    case "bigint":
      return value.toLocaleString("en", { maximumFractionDigits: 10 })
    case "boolean":
      return String(value)
    case "function":
      return code(value.name)
    case "object":
      if (value === null) return "none"
      return Array.isArray(value)
        ? value.map(shown).join(", ")
        : Object.entries(value)
            .map(([key, each]) => `${key} ${shown(each)}`)
            .join(", ")
    default:
      return "none"
  }
}
