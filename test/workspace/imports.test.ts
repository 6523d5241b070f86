import { describe, expect, it } from "vitest"
import { importsOf, withoutComments } from "../../scripts/imports.ts"

const brief = (source: string) =>
  importsOf(source).map(({ specifier, typeOnly, line }) => `${line} ${specifier}${typeOnly ? " (type)" : ""}`)

describe("importsOf", () => {
  it("finds every form of import, with its line", () => {
    const source = `import "./a.ts"
import * as B from "./b.ts"
import {
  c
} from "./c.ts"

export * as D from "./d.ts"
export { e } from "./e.ts"
const f = await import("./f.ts")`
    expect(brief(source)).toEqual(["1 ./a.ts", "2 ./b.ts", "3 ./c.ts", "7 ./d.ts", "8 ./e.ts", "9 ./f.ts"])
  })

  it("calls type-only what the compiler erases, and nothing else", () => {
    const source = `import type { A } from "./a.ts"
export type * from "./b.ts"
import { type C } from "./c.ts"
type D = import("./d.ts").D
type E = typeof import("./e.ts")`
    expect(brief(source)).toEqual([
      "1 ./a.ts (type)",
      "2 ./b.ts (type)",
      "3 ./c.ts",
      "4 ./d.ts (type)",
      "5 ./e.ts (type)"
    ])
  })

  it("does not read comments", () => {
    expect(brief('// import "./a.ts"\n/*\nimport "./b.ts"\n*/\nimport "./c.ts"')).toEqual(["5 ./c.ts"])
  })
})

describe("withoutComments", () => {
  it("leaves strings that look like comments", () => {
    expect(withoutComments('const a = "https://b" // c')).toBe('const a = "https://b"     ')
  })
})
