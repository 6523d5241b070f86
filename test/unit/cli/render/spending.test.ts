import { Ledger } from "@breakwater/core"
import { describe, expect, it } from "vitest"
import { type Found, textOf } from "../../../../packages/cli/src/render/Spending.ts"
import { colours, plain, widthOf } from "../../../../packages/cli/src/render/Style.ts"

const totals = (costNanos: bigint): Ledger.LedgerTotals => ({
  ...Ledger.totalsOf(Ledger.entry({ id: "1", atMs: 0, target: "p/m", costNanos })),
  records: 1_234,
  inputTokens: 12_345_678,
  outputTokens: 1_234_567
})

const found: Found = {
  by: "model",
  fromMs: Date.UTC(2026, 2, 1),
  toMs: Date.UTC(2026, 2, 8),
  timeZone: "America/Argentina/Buenos_Aires",
  groups: [
    { by: { model: "anthropic/claude-3-5-sonnet-20241022-with-a-name-of-its-own" }, ...totals(750_000_000n) },
    { by: { model: "" }, ...totals(250_000_000n) }
  ],
  total: { by: {}, ...totals(1_000_000_000n) },
  before: { fromMs: Date.UTC(2026, 1, 22), toMs: Date.UTC(2026, 2, 1), costNanos: 2_000_000_000n },
  forecast: {
    startMs: Date.UTC(2026, 2, 1),
    endMs: Date.UTC(2026, 3, 1),
    spent: 1n,
    expected: 2n,
    low: 1n,
    high: 3n,
    days: 9,
    method: "mean"
  },
  recommendations: []
}

/** Without the first line, which is a sentence. */
const linesOf = (width: number | undefined) => textOf(found, plain, width).split("\n")

describe("the table of spending", () => {
  it.each([40, 50, 60, 80, 100])("keeps to a terminal of %i columns", (width) => {
    for (const line of linesOf(width).slice(1)) expect(widthOf(line), line).toBeLessThanOrEqual(width)
  })

  it("cuts names first, then leaves out the tokens, and says shares where bars have no room", () => {
    const [wide, narrow] = [linesOf(100), linesOf(40)]
    expect(wide[1]).toContain("tokens in")
    expect(wide[2]).toMatch(/^ {2}anthropic\/claude-3-5-\S+… .* 75\.0 %/)
    expect(narrow[1]).not.toContain("tokens")
    expect(narrow[2]).toMatch(/^ {2}anthropic\S*… +1,234 +\$0\.7500 +75\.0 %$/)
    expect(narrow.join("\n")).not.toContain("█")
    expect(narrow[4]).toContain("total")
  })

  it("has colours only where they are wanted", () => {
    expect(textOf(found, plain, 80)).not.toContain("\u001b")
    expect(textOf(found, colours, 80)).toContain("\u001b")
  })

  it("says what a time as long before cost", () => {
    expect(textOf(found, plain, 100)).toContain("(−50.0 % since)")
  })
})
