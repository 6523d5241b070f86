import { Money } from "@breakwater/core"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest"
import { breakwater, goodAnswer, startUpstream } from "./support.ts"

let upstream: Awaited<ReturnType<typeof startUpstream>>
const folder = mkdtempSync(join(tmpdir(), "breakwater-budget-"))
beforeAll(async () => {
  upstream = await startUpstream()
})
afterAll(async () => {
  await upstream.stop()
  rmSync(folder, { recursive: true, force: true })
})
beforeEach(() => upstream.reset())

/** Asks the upstream as if it were OpenAI, whose models have prices. */
const ask = (model: string, ...args: ReadonlyArray<string>) =>
  breakwater(["chat", "Hello", "--provider", "openai", "--base-url", upstream.v1, "--model", model, ...args], {
    env: { OPENAI_API_KEY: "sk-test-12345678" }
  })

describe("breakwater chat", () => {
  it("says what an answer cost, and that no cache gave it", async () => {
    const ran = await ask("gpt-4o-mini", "--json", "--verbose")
    expect(ran.code).toBe(0)
    const { cached, cost, usage } = JSON.parse(ran.stdout)
    // $0.15 and $0.60 for a million tokens.
    const expected = BigInt(usage.inputTokens) * 150n + BigInt(usage.outputTokens) * 600n
    expect(expected).toBeGreaterThan(0n)
    expect(cost).toBe(Money.toDecimal(expected))
    expect(cached).toBe(null)
    expect(ran.stderr).toContain(`cost ${Money.format(expected)}; not from a cache`)
  })

  it("does not call an unknown cost zero", async () => {
    const ran = await ask("good", "--json", "--verbose")
    expect(JSON.parse(ran.stdout).cost).toBe(null)
    expect(ran.stderr).toContain("cost unknown")
  })
})

describe("breakwater chat --budget", () => {
  it("lets a call go that fits, and says what is left", async () => {
    const ran = await ask("gpt-4o-mini", "--budget", "0.50", "--json")
    expect(ran).toMatchObject({ code: 0, stderr: "" })
    const { cost, remaining, text } = JSON.parse(ran.stdout)
    expect(text).toBe(goodAnswer("Hello"))
    expect(Money.parse(remaining)! + Money.parse(cost)!).toBe(500_000_000n)
  })

  it("stops before anything is sent that could pass it", async () => {
    const ran = await ask("gpt-4o", "--budget", "0.0001")
    expect(ran).toMatchObject({ code: 1, stdout: "" })
    expect(ran.stderr).toMatch(
      /BudgetExceededError: The call may cost \$[\d.]+; of the budget "--budget" \(\$0\.0001\)/
    )
    expect(ran.stderr).toContain("--max-tokens")
    expect((await upstream.stats()).total).toBe(0)
    const json = await ask("gpt-4o", "--budget", "0.0001", "--json")
    expect(JSON.parse(json.stdout)).toMatchObject({ error: { tag: "BudgetExceededError" }, remaining: "0.0001" })
  })

  it("is enough for a shorter answer", async () => {
    const args = ["--budget", "0.01", "--retries", "0"]
    expect((await ask("gpt-4o", ...args)).code).toBe(1)
    expect((await ask("gpt-4o", ...args, "--max-tokens", "50")).code).toBe(0)
  })

  it("refuses a model without a price, unless it is allowed", async () => {
    const refused = await ask("good", "--budget", "0.50")
    expect(refused).toMatchObject({ code: 1, stdout: "" })
    expect(refused.stderr).toContain("UnpricedModelError: There is no price for openai/good")
    expect(refused.stderr).toContain("--unpriced allow")
    expect((await upstream.stats()).total).toBe(0)
    const allowed = await ask("good", "--budget", "0.50", "--unpriced", "allow", "--json")
    expect(allowed.code).toBe(0)
    expect(JSON.parse(allowed.stdout)).toMatchObject({ cost: null, remaining: "0.50" })
  })

  it.each(["0", "-1", "NaN", "Infinity", "half", "0.0000000001"])("refuses %s", async (amount) => {
    const ran = await ask("gpt-4o-mini", `--budget=${amount}`)
    expect(ran).toMatchObject({ code: 1, stdout: "" })
    expect(ran.stderr).toContain(`--budget is "${amount}"; allowed: an amount of US dollars above 0`)
    expect((await upstream.stats()).total).toBe(0)
  })
})

describe("breakwater chat --ledger", () => {
  it("refuses a file that cannot be written before anything is paid", async () => {
    const damaged = join(folder, "damaged.db")
    writeFileSync(damaged, "This is no database, and it is longer than a header would be. ".repeat(100))
    for (const file of [damaged, join(folder, "no", "such", "folder.db"), folder]) {
      const ran = await ask("gpt-4o-mini", "--ledger", file)
      expect(ran).toMatchObject({ code: 1, stdout: "" })
      expect(ran.stderr).toContain(`--ledger ${file} cannot be written, so nothing was asked`)
    }
    expect((await upstream.stats()).total).toBe(0)
  })
})
