import { describe, expect, it } from "vitest"
import { hideSecrets, keepSecret, keepSecretsOf } from "../../../../packages/cli/src/Secrets.ts"
import { colours, harmless, oneLine, plain, widthOf } from "../../../../packages/cli/src/render/Style.ts"
import { table } from "../../../../packages/cli/src/render/Table.ts"
import { time } from "../../../../packages/cli/src/render/Time.ts"
import { Flow, wrap } from "../../../../packages/cli/src/render/Wrap.ts"

describe("Style", () => {
  it("counts columns, not codes", () => {
    expect(widthOf(colours.red("ab") + colours.bold("…"))).toBe(3)
    expect(widthOf("日本")).toBe(4)
    expect(plain.red("ab")).toBe("ab")
    expect(colours.dim("")).toBe("")
  })

  it("takes out what would move a cursor", () => {
    expect(harmless("a\u001b[31mb\u0007\r\n\tc\u009b2J")).toBe("a[31mb\n\tc2J")
  })

  it("makes one line of a text", () => {
    expect(oneLine("  a\n\nb\tc ")).toBe("a b c")
    expect(oneLine("abcdef", 4)).toBe("abc…")
    expect(oneLine("abcd", 4)).toBe("abcd")
  })
})

describe("time", () => {
  it.each([
    [0, "0 ms"],
    [12.4, "12 ms"],
    [1_000, "1 s"],
    [1_340, "1.3 s"],
    [90_000, "90 s"],
    [125_000, "2 min 5 s"],
    [3_600_000, "60 min"],
    [7_200_000, "2 h"],
    [8_100_000, "2 h 15 min"],
    [Infinity, "no limit"]
  ])("%d is %s", (ms, text) => {
    expect(time(ms)).toBe(text)
  })
})

describe("table", () => {
  it("aligns columns by what is seen", () => {
    const rows = [
      ["a", colours.red("10"), "x"],
      ["bbb", "5", ""]
    ]
    expect(table(rows, { right: [1], indent: "> " })).toBe(`> a    ${colours.red("10")}  x\n> bbb   5`)
  })

  it("wraps the last column into its own place", () => {
    const text = "one two three four five six seven eight"
    const lines = table([["key", text]], { width: 30 }).split("\n")
    expect(lines.every((line) => line.length <= 30)).toBe(true)
    expect(lines.slice(1).every((line) => line.startsWith("     "))).toBe(true)
    expect(lines.map((line) => line.slice(5)).join(" ")).toBe(text)
  })

  it("is empty without rows", () => {
    expect(table([])).toBe("")
  })
})

describe("Flow", () => {
  const text = "The quick brown fox jumps over the lazy dog and goes home.\nIt sleeps  well."

  const flowed = (size: number): string => {
    const flow = new Flow("  | ", 24)
    let out = ""
    for (let i = 0; i < text.length; i += size) out += flow.push(text.slice(i, i + size))
    return out + flow.end()
  }

  it("says the same however the text is cut", () => {
    for (let size = 1; size <= text.length; size++) expect(flowed(size)).toBe(flowed(text.length))
  })

  it("keeps every word, within the width, with the prefix and without spaces at the ends", () => {
    const lines = flowed(7).split("\n")
    expect(lines.pop()).toBe("")
    for (const line of lines) {
      expect(line).toMatch(/^ {2}\| \S.*\S$/)
      expect(line.length).toBeLessThanOrEqual(24)
    }
    expect(
      lines
        .map((line) => line.slice(4))
        .join(" ")
        .split(/\s+/)
    ).toEqual(text.split(/\s+/))
  })

  it("lets a word that is too long stand out, and ends a line once", () => {
    const flow = new Flow("", 20)
    expect(flow.push("a ")).toBe("a")
    expect(flow.push(`${"x".repeat(30)} `)).toBe(`\n${"x".repeat(30)}`)
    expect(flow.end()).toBe("\n")
    expect(flow.end()).toBe("")
  })

  it("agrees with wrap", () => {
    const flow = new Flow("", 24)
    const line = text.split("\n")[0]!
    expect((flow.push(line) + flow.end()).trimEnd().split("\n")).toEqual(wrap(line, 24))
  })
})

describe("hideSecrets", () => {
  it("hides keys wherever they stand, and nothing shorter than a key", () => {
    keepSecret("sk-abcdefgh, sk-12345678")
    keepSecret("short")
    keepSecretsOf({ OTHER_API_KEY: "key-of-another", PATH: "/usr/local/bin", HF_TOKEN: "hf_abcdefgh" })
    expect(hideSecrets("sk-12345678 and sk-abcdefgh, key-of-another hf_abcdefgh short /usr/local/bin")).toBe(
      "[key] and [key], [key] [key] short /usr/local/bin"
    )
  })
})
