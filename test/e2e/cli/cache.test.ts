import { Money } from "@breakwater/core"
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest"
import { breakwater, startUpstream } from "./support.ts"

let upstream: Awaited<ReturnType<typeof startUpstream>>
const folder = mkdtempSync(join(tmpdir(), "breakwater-answers-"))
beforeAll(async () => {
  upstream = await startUpstream()
})
afterAll(async () => {
  await upstream.stop()
  rmSync(folder, { recursive: true, force: true })
})
beforeEach(() => upstream.reset())

const ask = (prompt: string, ...args: ReadonlyArray<string>) =>
  breakwater(["chat", prompt, "--provider", "openai", "--base-url", upstream.v1, "--model", "gpt-4o-mini", ...args], {
    env: { OPENAI_API_KEY: "sk-test-12345678" }
  })

describe("breakwater chat --cache", { timeout: 60_000 }, () => {
  it("answers the same request from the file, asks nobody, and says what that saved", async () => {
    const file = join(folder, "answers.db")
    const first = JSON.parse((await ask("Hello", "--cache", file, "--json")).stdout)
    expect(first).toMatchObject({ cached: null })
    expect(first.saved).toBeUndefined()
    expect(await upstream.requests()).toHaveLength(1)

    const second = await ask("Hello", "--cache", file, "--json")
    const { attempts, cached, cost, saved, text } = JSON.parse(second.stdout)
    expect({ text, attempts, cost, saved }).toEqual({ text: first.text, attempts: [], cost: "0.00", saved: first.cost })
    expect(cached).toMatchObject({ source: "exact" })
    expect(await upstream.requests()).toHaveLength(1)

    const shown = await ask("Hello", "--cache", file)
    expect(shown.stdout).toBe(`${first.text}\n`)
    const amount = Money.format(Money.parse(first.cost)!)
    expect(shown.stderr).toMatch(/cost \$0\.00; from the cache \(exact, .+ old\), which saved /)
    expect(shown.stderr).toContain(`saved ${amount}`)

    // Another question, another temperature and a fresh answer are asked.
    await ask("Hello you", "--cache", file)
    await ask("Hello", "--cache", file, "--temperature", "0")
    const fresh = await ask("Hello", "--cache", file, "--no-cache", "--json")
    expect(JSON.parse(fresh.stdout).cached).toBeNull()
    expect(await upstream.requests()).toHaveLength(4)
  })

  it("keeps answers as long as it is told", async () => {
    const file = join(folder, "short.db")
    await ask("Hello", "--cache", file, "--cache-for", "1ms")
    expect(JSON.parse((await ask("Hello", "--cache", file, "--json")).stdout).cached).toBeNull()
    expect(JSON.parse((await ask("Hello", "--cache", file, "--json")).stdout).cached).not.toBeNull()
  })

  it("refuses what it cannot use before anything is asked, and makes no file without the flag", async () => {
    const damaged = join(folder, "damaged.db")
    writeFileSync(damaged, "This is no database, and it is longer than a header would be. ".repeat(100))
    const message = async (...args: ReadonlyArray<string>) => {
      const ran = await ask("Hello", ...args)
      expect(ran).toMatchObject({ code: 1, stdout: "" })
      return ran.stderr
    }
    expect(await message("--cache", damaged)).toContain(`--cache ${damaged} cannot be used, so nothing was asked`)
    expect(await message("--cache", " ")).toContain("--cache is empty")
    expect(await message("--cache", join(folder, "x.db"), "--cache-for", "soon")).toContain('--cache-for is "soon"')
    expect(await message("--cache-for", "1h")).toContain("--cache-for is for --cache, which is missing")
    expect(await upstream.requests()).toHaveLength(0)
    expect(existsSync(join(folder, "x.db"))).toBe(false)
  })
})
