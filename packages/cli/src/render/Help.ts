/** The help of a command, in lines that fit the terminal. */
import type * as HelpDoc from "effect/cli/HelpDoc"
import * as Option from "effect/Option"
import { type Style, widthOf } from "./Style.ts"
import { wrap } from "./Wrap.ts"

type Row = readonly [name: string, what: string]

/** A kind of value this long says its choices, which the description says, too. */
const longestType = 12

/** The widest column of names beside which descriptions are readable; wider, and they stand below. */
const widestNames = 26

const indented = (text: string, width: number, by: number): ReadonlyArray<string> =>
  wrap(text, Math.max(20, width - by)).map((line) => " ".repeat(by) + line)

/** Names, and what they are beside them; below them where the terminal or a name leaves no room. */
const list = (rows: ReadonlyArray<Row>, style: Style, width: number): ReadonlyArray<string> => {
  const widest = Math.max(...rows.map(([name]) => widthOf(name)).filter((each) => each <= widestNames), 0)
  const by = widest + 4
  if (width - by < 30) {
    return rows.flatMap(([name, what]) => [`  ${style.cyan(name)}`, ...(what === "" ? [] : indented(what, width, 6))])
  }
  return rows.flatMap(([name, what]) => {
    const lines = what === "" ? [] : indented(what, width, by)
    const beside = widthOf(name) <= widest
    const first = `  ${style.cyan(name)}`
    if (!beside || lines.length === 0) return [first, ...lines]
    return [`${first}${" ".repeat(by - 2 - widthOf(name))}${lines[0]!.trimStart()}`, ...lines.slice(1)]
  })
}

const flagRow = ({ aliases, description, name, type }: HelpDoc.FlagDoc): Row => [
  [`--${name}`, ...aliases].join(", ") +
    (type === "boolean" ? "" : ` ${widthOf(type) > longestType ? "choice" : type}`),
  Option.getOrElse(description, () => "")
]

const argumentRow = ({ description, name, required }: HelpDoc.ArgDoc): Row => [
  name,
  Option.getOrElse(description, () => "") + (required ? "" : " (optional)")
]

const exampleLines = (examples: ReadonlyArray<HelpDoc.ExampleDoc>, style: Style): ReadonlyArray<string> =>
  examples.flatMap(({ command, description }, index) => [
    ...(index === 0 || description === undefined ? [] : [""]),
    ...(description === undefined ? [] : [`  ${style.dim(`# ${description}`)}`]),
    `  ${command}`
  ])

/** The whole text. Examples are left in one line each, for those who copy them. */
export const helpText = (doc: HelpDoc.HelpDoc, style: Style, width: number): string => {
  const commands = (doc.subcommands ?? []).flatMap((group) => group.commands)
  const sections: ReadonlyArray<readonly [title: string, lines: ReadonlyArray<string>]> = [
    ["DESCRIPTION", indented(doc.description, width, 2)],
    ["USAGE", [`  ${style.cyan(doc.usage)}`]],
    [
      "SUBCOMMANDS",
      list(
        commands.map(({ description, name, shortDescription }) => [name, shortDescription ?? description]),
        style,
        width
      )
    ],
    ["ARGUMENTS", list((doc.args ?? []).map(argumentRow), style, width)],
    ["FLAGS", list(doc.flags.map(flagRow), style, width)],
    ["EXAMPLES", exampleLines(doc.examples ?? [], style)],
    ["GLOBAL FLAGS", list((doc.globalFlags ?? []).map(flagRow), style, width)]
  ]
  return sections
    .filter(([, lines]) => lines.length > 0)
    .map(([title, lines]) => `${style.bold(title)}\n${lines.join("\n")}\n`)
    .join("\n")
}
