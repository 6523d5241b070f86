import { spawn } from "node:child_process"
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { workspaceRoot } from "../../scripts/files.ts"

const folder = join(workspaceRoot, "examples")
const examples = (existsSync(folder) ? readdirSync(folder) : []).filter((name) => /^\d\d-.*\.ts$/.test(name))

const expectedIn = (name: string): ReadonlyArray<string> =>
  [...readFileSync(join(folder, name), "utf8").matchAll(/^\/\/ expect: (.+)$/gm)].map((match) => match[1]!.trim())

const run = (
  name: string
): Promise<{ readonly code: number | null; readonly stdout: string; readonly stderr: string }> =>
  new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ["--conditions=breakwater-source", join(folder, name)], {
      cwd: workspaceRoot,
      stdio: ["ignore", "pipe", "pipe"],
      timeout: 50_000
    })
    let stdout = ""
    let stderr = ""
    child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text))
    child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text))
    child.on("error", reject)
    child.on("close", (code) => resolve({ code, stdout, stderr }))
  })

describe("the examples", () => {
  it("exist", () => {
    expect(examples.length, "files like 01-first-call.ts in the examples folder").toBeGreaterThan(0)
  })

  it.each(examples)("%s runs", { timeout: 60_000 }, async (name) => {
    const { code, stdout, stderr } = await run(name)
    expect(code, `stdout:\n${stdout}\nstderr:\n${stderr}`).toBe(0)
    for (const text of expectedIn(name)) expect(stdout).toContain(text)
  })
})
