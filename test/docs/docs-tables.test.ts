import { readFileSync } from "node:fs"
import { join } from "node:path"
import { afterEach, describe, expect, it, vi } from "vitest"
import { splitDefault } from "../../scripts/docs-tables/options.ts"
import { inWords, shown, table } from "../../scripts/docs-tables/format.ts"
import { run, stalePages, tables, withTables } from "../../scripts/docs-tables.ts"
import { workspaceRoot } from "../../scripts/files.ts"
import { temporaryTree } from "../workspace/helpers.ts"

afterEach(() => {
  vi.restoreAllMocks()
})

describe("the tables of the documentation", () => {
  it.each(Object.keys(tables))("%s can be made", (name) => {
    expect(tables[name]!().split("\n").length).toBeGreaterThan(2)
  })

  it("are what the packages export", () => {
    expect(stalePages(workspaceRoot).map(({ page }) => `${page}: run "npm run docs:tables"`)).toEqual([])
  })

  it("are found out when somebody changes one by hand", () => {
    const page = "docs/policies/retry.md"
    const text = readFileSync(join(workspaceRoot, page), "utf8")
    const changed = text.replace("| `retries` | 2 |", "| `retries` | 3 |")
    expect(changed).not.toBe(text)
    const tree = temporaryTree({ [page]: changed })
    const said: Array<string> = []
    vi.spyOn(console, "error").mockImplementation((line: string) => void said.push(line))
    vi.spyOn(console, "log").mockImplementation(() => undefined)
    expect(run(tree, true)).toBe(1)
    expect(said[0]).toContain(`${page} shows a table that is not true any more`)
    expect(readFileSync(join(tree, page), "utf8")).toBe(changed)

    expect(run(tree, false)).toBe(0)
    expect(readFileSync(join(tree, page), "utf8")).toBe(text)
    expect(run(tree, true)).toBe(0)
  })

  it("need a name that is known, and both markers", () => {
    const known = { numbers: () => "| 1 |" }
    expect(withTables("a.md", "<!-- table: numbers -->\nold\n<!-- /table -->\n", known)).toBe(
      "<!-- table: numbers -->\n| 1 |\n<!-- /table -->\n"
    )
    expect(() => withTables("a.md", "<!-- table: words -->\n<!-- /table -->\n", known)).toThrow(
      "no table is named words"
    )
    expect(() => withTables("a.md", "<!-- table: numbers -->\n| 1 |\n", known)).toThrow("both of its markers")
  })
})

describe("a default in a doc comment", () => {
  it.each([
    ["Calls at once. Default 64.", "Calls at once.", "64"],
    ["Default: no limit.", "", "no limit"],
    ["The share. Default 0.05. Above 0.", "The share. Above 0.", "0.05"],
    ["Turns kept. 0 to 10, default 1.", "Turns kept. 0 to 10.", "1"],
    ["Which; leaves it to the default: the table.", "Which; leaves it to the default: the table.", undefined]
  ])("%s", (text, what, said) => {
    expect(splitDefault(text)).toEqual({ what, said })
  })
})

describe("values in a table", () => {
  it.each([
    ["30 seconds", "30 seconds"],
    ["token-bucket", "`token-bucket`"],
    [100_000, "100,000"],
    [[0.5, 1], "0.5, 1"],
    [{ from: 0.1, over: "1 second" }, "from 0.1, over 1 second"]
  ])("%j", (value, expected) => {
    expect(shown(value)).toBe(expected)
  })

  it("are durations in the largest unit that fits", () => {
    expect([90_000, 60_000, 86_400_000, 250, 15_500].map(inWords)).toEqual([
      "90 seconds",
      "1 minute",
      "1 day",
      "250 ms",
      "15.5 seconds"
    ])
  })

  it("do not end their cell", () => {
    expect(table(["a"], [["x | y"]])).toBe("| a |\n|---|\n| x \\| y |")
  })
})
