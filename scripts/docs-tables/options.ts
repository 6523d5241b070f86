/**
 * Tables of options: what each is for, from its doc comment, and its default, from the value the package exports.
 * Where comment and value name different defaults, or a default has no comment, there is no table but an error.
 */
import { code, durationMs, shown, table } from "./format.ts"
import { type Field, fieldsOf } from "./source.ts"

/** An interface of a file under `packages`: `["core/src/policy/Hedge/Options.ts", "Options"]`. */
type InterfaceAt = readonly [file: string, name: string]

export interface OptionsTable {
  /** Where the options are described. */
  readonly of: ReadonlyArray<InterfaceAt>
  /** The defaults that the package exports. */
  readonly defaults: Readonly<Record<string, unknown>>
  /** Interfaces of options that have options of their own. */
  readonly nested?: Readonly<Record<string, InterfaceAt>>
  /** What to say instead of the doc comment, or where there is none; "Default: …." in it is understood. */
  readonly text?: Readonly<Record<string, string>>
  /** Options that are in none of the interfaces, and what they are for. */
  readonly inline?: Readonly<Record<string, string>>
}

const defaultSentence = /(?:^|(?<=[.;]) |, )[Dd]efaults?:? ((?:[^.]|\.(?=\w))+)\.?/

/** Takes the sentence about the default out of a text. */
export const splitDefault = (text: string): { readonly what: string; readonly said: string | undefined } => {
  const match = defaultSentence.exec(text)
  if (match === null) return { what: text, said: undefined }
  const what = `${text.slice(0, match.index)}${match[0].startsWith(",") ? "." : ""}${text.slice(match.index + match[0].length)}`
  return { what: what.trim(), said: match[1] }
}

const unitMs: Readonly<Record<string, number>> = { ms: 1, milliseconds: 1, s: 1000, min: 60_000, h: 3_600_000 }
const wordMs: Readonly<Record<string, number>> = { second: 1000, minute: 60_000, hour: 3_600_000, day: 86_400_000 }

const number = /^(-?\d[\d,]*(?:\.\d+)?)(?: (ms|milliseconds|s|min|h|(?:second|minute|hour|day)s?|MiB|%)(?!\w))?(.*)$/

/** What a text says of a default, beside its value; `undefined` if it names another value. */
const beside = (said: string, value: unknown): string | undefined => {
  const text = /^`([^`]+)`(.*)$/.exec(said)
  if (text !== null && typeof value === "string") return text[1] === value ? text[2]! : undefined
  const flag = /^(true|false)\b(.*)$/.exec(said)
  if (flag !== null && typeof value === "boolean") return flag[1] === String(value) ? flag[2]! : undefined
  const match = number.exec(said)
  const millis = durationMs(value)
  if (match === null || (typeof value !== "number" && millis === undefined)) return ""
  const [, digits, unit = "", rest = ""] = match
  const factor =
    unit === "MiB" ? 1_048_576 : unit === "%" ? 0.01 : (unitMs[unit] ?? wordMs[unit.replace(/s$/, "")] ?? 1)
  return Number(digits!.replaceAll(",", "")) * factor === (millis ?? value) ? rest : undefined
}

const defaultCell = (name: string, field: Field, said: string | undefined, value: unknown): string => {
  if (value === undefined) return said ?? (field.optional ? "none" : "must be given")
  const rest = said === undefined ? "" : beside(said, value)
  if (rest === undefined) throw new Error(`${name}: the doc comment says "${said}", but the default is ${shown(value)}`)
  return (/^\d+ MiB/.exec(said ?? "")?.[0] ?? shown(value)) + rest
}

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null

/** The table of some options: name, default, and what it is for. */
export const optionsTable = ({ defaults, inline = {}, nested = {}, of, text = {} }: OptionsTable): string => {
  const rows: Array<ReadonlyArray<string>> = []
  const covered = new Set<string>()
  const add = (name: string, field: Field, value: unknown): void => {
    const { said, what } = splitDefault(text[name] ?? field.text)
    const cell = defaultCell(name, field, said, value)
    if (what === "") throw new Error(`${name} has no description; say in scripts/docs-tables.ts what it is for`)
    rows.push([code(name), cell, what])
  }
  const extra = Object.entries(inline).map(([name, text]): Field => ({ name, text, optional: true }))
  for (const field of [...of.flatMap(([file, name]) => fieldsOf(file, name)), ...extra]) {
    if (covered.has(field.name)) continue
    covered.add(field.name)
    const inner = nested[field.name]
    if (inner === undefined) {
      add(field.name, field, defaults[field.name])
      continue
    }
    if (field.text !== "") add(field.name, field, undefined)
    const values = defaults[field.name]
    for (const each of fieldsOf(...inner)) {
      add(`${field.name}.${each.name}`, each, isRecord(values) ? values[each.name] : undefined)
    }
  }
  const missing = Object.keys(defaults).filter((name) => !covered.has(name))
  if (missing.length > 0) throw new Error(`no option of ${of[0]?.join(" ")} for the default of ${missing.join(", ")}`)
  return table(["option", "default", "what it is"], rows)
}
