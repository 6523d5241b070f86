import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { describeApi, firstDifference } from "../../scripts/api.ts"
import { temporaryTree } from "./helpers.ts"

const api = (files: Record<string, string>) => describeApi(join(temporaryTree(files), "index.d.ts"), "pkg")

describe("describeApi", () => {
  it("follows the exports, and drops comments and what nothing exports", () => {
    const text = api({
      "index.d.ts": 'export * as Money from "./Money.ts";\n',
      "Money.d.ts":
        '/** Some money. */\nimport type { A } from "./internal.ts";\nexport declare const zero: "// 0"; // none\n',
      "internal.d.ts": "export type A = 1;\n"
    })
    expect(text).toBe('# pkg\n\n# pkg.Money\n\nexport declare const zero: "// 0";\n')
  })

  it("does not depend on the order of declarations, and keeps that of overloads", () => {
    const [a, b1, b2] = [
      "export interface A {\n    readonly a: 1;\n}\n",
      "export declare function b(x: 2): 2;\n",
      "export declare function b(x: 1): 1;\n"
    ]
    expect(api({ "index.d.ts": a + b1 + b2 })).toBe(api({ "index.d.ts": b1 + a + b2 }))
    expect(api({ "index.d.ts": b1 + b2 })).not.toBe(api({ "index.d.ts": b2 + b1 }))
  })

  it("changes when a type does", () => {
    const before = api({ "index.d.ts": "export declare const a: number;\n" })
    const after = api({ "index.d.ts": "export declare const a: string;\n" })
    expect(firstDifference(before, after)).toBe(
      "line 3\n  - export declare const a: number;\n  + export declare const a: string;"
    )
  })
})
