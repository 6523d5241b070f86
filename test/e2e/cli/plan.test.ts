import { LLM, LLMConfig, LLMProvider } from "@breakwater/core"
import { ScriptedProvider } from "@breakwater/testing"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { existsSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { workspaceRoot } from "../../../scripts/files.ts"
import { breakwater, launch } from "./support.ts"

/** What the service itself says, with the same settings as variables. */
const described = (variables: Record<string, string>) =>
  Effect.runPromise(
    Effect.gen(function* () {
      const options = yield* LLMConfig.load
      const providers = LLMProvider.layer(
        ScriptedProvider.layer({ name: "openai", script: [] }),
        ScriptedProvider.layer({ name: "anthropic", script: [] })
      )
      const layer = LLM.layer(options).pipe(Layer.provide([LLM.layerPolicies("batch"), providers]))
      return yield* Effect.provide(LLM.describe(), layer)
    }).pipe(Effect.provide(ConfigProvider.layer(ConfigProvider.fromEnvRecord(variables))))
  )

describe("breakwater plan", () => {
  it("--json is what the service says of itself, without a key", async () => {
    const flags = [
      "--preset",
      "batch",
      "--model",
      "openai/m",
      "--fallback",
      "anthropic/c",
      "--retries",
      "1",
      "--timeout",
      "20s"
    ]
    const ran = await breakwater(["plan", "--json", ...flags])
    expect(ran).toMatchObject({ code: 0, stderr: "" })
    const expected = await described({
      LLM_PRESET: "batch",
      LLM_MODEL: "openai/m",
      LLM_FALLBACKS: "anthropic/c",
      LLM_MAX_RETRIES: "1",
      LLM_TIMEOUT: "20s"
    })
    expect(JSON.parse(ran.stdout)).toEqual({ ...expected, maxCost: null, promptCharacters: 2_000 })
    expect(expected).toMatchObject({ maxAttempts: 3, maxDurationMs: 20_000 })
  })

  it("says it to a reader, and needs no model", async () => {
    const ran = await breakwater(["plan"], { env: { LLM_MAX_RETRIES: "0" } })
    expect(ran).toMatchObject({ code: 0, stderr: "" })
    expect(ran.stdout).toContain("1 provider call at most")
    expect(ran.stdout).toMatch(/cache +off/)
    expect(ran.stdout).toMatch(/timeouts +connect 10 s/)
  })

  it("says in money what a budget would reserve for the same prompt", async () => {
    const flags = ["--model", "openai/gpt-4.1-mini", "--max-tokens", "500"]
    const ran = await breakwater(["plan", "Hello", "--json", ...flags])
    const { maxCost } = JSON.parse(ran.stdout) as { readonly maxCost: string }
    expect(maxCost).toMatch(/^0\.00\d+$/)
    const refused = await breakwater(["chat", "Hello", ...flags, "--budget", "0.000001"], {
      env: { OPENAI_API_KEY: "sk-none" }
    })
    expect(refused.stderr).toContain(`The call may cost $${maxCost};`)
    const shown = await breakwater(["plan", "Hello", ...flags])
    expect(shown.stdout).toContain(`$${maxCost} at most with this prompt`)
  })

  it("does not guess what has no price", async () => {
    const unpriced = await breakwater(["plan", "--model", "nobody/knows"])
    expect(unpriced).toMatchObject({ code: 0, stderr: "" })
    expect(unpriced.stdout).toMatch(/cost +unknown: There is no price for /)
    expect((await breakwater(["plan"])).stdout).toMatch(/cost +unknown: name a --model/)
  })

  it("says what is wrong", async () => {
    const ran = await breakwater(["plan", "--json", "--retries", "-1"])
    expect(ran.code).toBe(1)
    expect(JSON.parse(ran.stdout)).toEqual({
      error: { tag: "ConfigError", message: '--retries is "-1"; allowed: 0 to 100' }
    })
  })
})

describe("breakwater", () => {
  it("has help that fits a pipe's 80 columns, but for examples", async () => {
    for (const command of [[], ["chat"], ["keys", "create"], ["audit", "show"]]) {
      const { stdout } = await breakwater([...command, "--help"])
      expect(stdout.split("\n").filter((line) => line.length > 80 && !line.startsWith("  breakwater "))).toEqual([])
    }
  })

  it("answers a typo with what was meant", async () => {
    const ran = await breakwater(["chat", "hi", "--modell", "x"])
    expect(ran.code).toBe(2)
    expect(ran.stderr).toContain("Unrecognized flag: --modell in command breakwater chat; did you mean --model?\n")
    expect((await breakwater(["chta", "hi"])).stderr).toContain("; did you mean chat?\n")
  })

  it("tells those who have set nothing where to begin", async () => {
    const ran = await breakwater(["chat", "hi"])
    expect(ran.code).toBe(1)
    expect(ran.stderr).toMatch(/^error ConfigError: nobody to ask: set a key such as OPENAI_API_KEY.*breakwater demo/)
  })

  it("has help, a version and completions", async () => {
    const help = await breakwater([])
    expect(help.code).toBe(0)
    for (const name of ["demo", "chat", "plan", "upstream"])
      expect(help.stdout).toMatch(new RegExp(`^ +${name} {2,}`, "m"))
    expect((await breakwater(["--version"])).stdout).toMatch(/^breakwater \d+\.\d+\.\d+\n$/)
    expect((await breakwater(["chat", "--help"])).stdout).toContain("--stream-policy")
    expect((await breakwater(["--completions", "bash"])).stdout).toContain("breakwater")
  })

  it("does not know every word", async () => {
    const ran = await breakwater(["dance"])
    expect(ran.code).not.toBe(0)
    expect(ran.stderr).toContain("dance")
  })

  const bin = join(workspaceRoot, "packages/cli/bin/breakwater.js")

  it("is a command that npm links from a clean checkout", async () => {
    expect(existsSync(join(workspaceRoot, "packages/cli/dist/main.js")), 'the build of "npm ci"').toBe(true)
    expect((await launch(process.execPath, [bin, "--version"])).stdout).toMatch(/^breakwater \d/)
    const linked = await launch("npx", ["--no-install", "breakwater", "--version"])
    expect(linked).toMatchObject({ code: 0, stdout: expect.stringMatching(/^breakwater \d/) })
  })

  it("on an old Node it runs with the one of the workspace, or says what to do", async () => {
    const old = "Object.defineProperty(process.versions, 'node', { value: '20.1.0' })"
    const args = ["--import", `data:text/javascript,${encodeURIComponent(old)}`, bin, "--version"]
    expect(await launch(process.execPath, args)).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^breakwater \d/)
    })
    const alone = await launch(process.execPath, args, { env: { BREAKWATER_NODE_TRIED: "1" } })
    expect(alone).toMatchObject({ code: 1, stdout: "" })
    expect(alone.stderr).toMatch(/^breakwater: Node 22\.19 or later is needed, and this is Node 20\.1\.0\. .+\n$/)
  })
})
