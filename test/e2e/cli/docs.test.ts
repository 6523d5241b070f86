import { readFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { workspaceRoot } from "../../../scripts/files.ts"
import { breakwater } from "./support.ts"

const page = readFileSync(join(workspaceRoot, "docs/cli.md"), "utf8")

/** The part of a help text under a heading. */
const under = (heading: string, help: string): ReadonlyArray<string> =>
  (new RegExp(String.raw`^${heading}\n((?: .*\n)+)`, "m").exec(help)?.[1] ?? "").split("\n")

describe("docs/cli.md", () => {
  it.each([
    "chat",
    "report",
    "plan",
    "serve",
    "keys create",
    "audit verify",
    "audit show",
    "audit prune",
    "demo",
    "upstream"
  ])("has every flag of %s", async (name) => {
    const { code, stdout } = await breakwater([...name.split(" "), "--help"])
    expect(code).toBe(0)
    const flags = under("FLAGS", stdout).flatMap((line) => /^ +(--[a-z-]+)/.exec(line)?.[1] ?? [])
    expect(flags.length).toBeGreaterThan(0)
    expect(flags.filter((flag) => !page.includes(`\`${flag}\``))).toEqual([])
  })

  it("has every command", async () => {
    const { stdout } = await breakwater(["--help"])
    const commands = under("SUBCOMMANDS", stdout).flatMap((line) => /^ +([a-z]+)/.exec(line)?.[1] ?? [])
    expect(commands.length).toBeGreaterThan(5)
    expect(commands.filter((command) => !page.includes(`| \`${command}\` |`))).toEqual([])
  })
})
