import { describe, expect, it } from "vitest"
import { examplesInMarkdown, examplesInSource, withAssertions } from "../../scripts/doc-examples.ts"

describe("the extraction of examples", () => {
  it("takes ts blocks from Markdown, with their lines", () => {
    const text = "# Title\n\n```ts\na()\n```\n\n```sh\nls\n```\n\n```ts no-run\nb()\n```\n"
    expect(examplesInMarkdown("README.md", text)).toEqual([
      { name: "README.md:3", code: "a()\n", run: true },
      { name: "README.md:11", code: "b()\n", run: false }
    ])
  })

  it("takes them from doc comments", () => {
    const source =
      "const a = 1\n\n/**\n * Text.\n *\n * ```ts\n * if (a) {\n *   b()\n * }\n * ```\n */\nexport const b = 2\n"
    expect(examplesInSource("b.ts", source)).toEqual([{ name: "b.ts:6", code: "if (a) {\n  b()\n}\n", run: true }])
  })

  it("refuses a word it does not know, which would else run what should not", () => {
    expect(() => examplesInMarkdown("a.md", "```ts norun\n```\n")).toThrow('a.md:1: a block is "ts" or "ts no-run"')
  })
})

describe("withAssertions", () => {
  it.each([
    ["a(1) // => 2", ";assertSame((a(1)), (2))"],
    ["console.log(a) // => [1]", ";assertSame((a), ([1]))"],
    ["  const b = yield* a // => 3", "  const b = yield* a; assertSame(b, 3)"],
    ["a() // a remark", "a() // a remark"]
  ])("%s", (line, expected) => {
    expect(withAssertions(line)).toBe(expected)
  })
})
