import { Context, Option } from "effect"
import type { HelpDoc } from "effect/cli"
import { describe, expect, it } from "vitest"
import { helpText } from "../../../../packages/cli/src/render/Help.ts"
import { colours, plain, widthOf } from "../../../../packages/cli/src/render/Style.ts"

const flag = (name: string, type: string, description: string): HelpDoc.FlagDoc => ({
  name,
  aliases: [],
  type,
  description: Option.some(description),
  required: false
})

const long = "a sentence of many words that does not fit into a single line of any terminal that people use these days"

const doc: HelpDoc.HelpDoc = {
  description: long,
  usage: "tool do [flags]",
  annotations: Context.empty(),
  flags: [flag("short", "file", long), flag("on", "boolean", "Whether")],
  globalFlags: [flag("shell", "<bash|zsh|fish|powershell|sh|pwsh>", "Which")],
  args: [{ name: "what", type: "string", description: Option.some("The thing"), required: false, variadic: false }],
  subcommands: [
    { group: undefined, commands: [{ name: "sub", alias: undefined, shortDescription: "Less", description: long }] }
  ],
  examples: [
    { command: "tool do", description: "First" },
    { command: "tool do --on", description: "Then" }
  ]
}

describe("the help of a command", () => {
  it.each([40, 60, 80, 100])("fits %i columns, in colours and without", (width) => {
    const lines = helpText(doc, plain, width).split("\n")
    expect(lines.filter((line) => widthOf(line) > width)).toEqual([])
    expect(helpText(doc, colours, width).split("\n").map(widthOf)).toEqual(lines.map(widthOf))
  })

  it("has its sections apart, descriptions beside names, and short kinds of values", () => {
    const text = helpText(doc, plain, 80)
    expect(text.match(/^[A-Z ]+$/gm)).toEqual([
      "DESCRIPTION",
      "USAGE",
      "SUBCOMMANDS",
      "ARGUMENTS",
      "FLAGS",
      "EXAMPLES",
      "GLOBAL FLAGS"
    ])
    expect(text).toContain("\n\nEXAMPLES\n  # First\n  tool do\n\n  # Then\n  tool do --on\n")
    expect(text).toContain("  --on          Whether\n")
    expect(text).toContain("  --shell choice  Which\n")
    expect(text).toContain("  what  The thing (optional)\n")
    expect(text).toContain("  sub  Less\n")
  })

  it("puts descriptions below names where there is no room beside them", () => {
    expect(helpText(doc, plain, 40)).toContain("  --short file\n      a sentence of many words")
  })
})
