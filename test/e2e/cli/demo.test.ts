import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { workspaceRoot } from "../../../scripts/files.ts"
import { breakwater, eventually, goodAnswer, type Ran, startUpstream } from "./support.ts"

const folder = mkdtempSync(join(tmpdir(), "breakwater-demo-"))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const fileOf = (name: string, text: string): string => {
  writeFileSync(join(folder, name), text)
  return join(folder, name)
}

const promptsIn = (path: string): ReadonlyArray<string> =>
  readFileSync(join(workspaceRoot, path), "utf8")
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"))

interface Call {
  readonly prompt: string
  readonly fault: string
  readonly answered: boolean
  readonly text: string
  readonly attempts: ReadonlyArray<{ readonly outcome: string; readonly target: string; readonly waitedMs: number }>
}

describe("breakwater demo --json", () => {
  let ran: Ran
  beforeAll(async () => {
    ran = await breakwater(["demo", "--json"])
  }, 60_000)
  const result = () => JSON.parse(ran.stdout)
  const callTo = (fault: string): Call => result().calls.find((each: Call) => each.fault === fault)

  it("is one object, in less than half a minute", () => {
    expect(ran).toMatchObject({ code: 0, stderr: "" })
    expect(ran.stdout.trim().split("\n")).toHaveLength(1)
    expect(ran.tookMs).toBeLessThan(30_000)
    expect(result().mode).toBe("upstream")
  })

  it("has every prompt of the file answered, whole and without a word twice", () => {
    const { answered, calls, prompts } = result()
    expect(calls.map((each: Call) => each.prompt)).toEqual(promptsIn("examples/prompts.txt"))
    expect([prompts, answered]).toEqual([calls.length, calls.length])
    const [, ending] = goodAnswer("").split("”")
    for (const { prompt, text } of calls) {
      const [beginning = "", ...rest] = text.split("”")
      expect(rest).toEqual([ending])
      expect(beginning).toMatch(/^You asked: “\w/)
      expect(prompt.startsWith(beginning.slice("You asked: “".length))).toBe(true)
    }
  })

  it("has fewer answered without Breakwater, by the same faults", () => {
    const { calls, withoutBreakwater } = result()
    expect(withoutBreakwater.calls.map((each: Call) => each.fault)).toEqual(calls.map((each: Call) => each.fault))
    expect(withoutBreakwater.answered).toBeLessThan(calls.length / 2)
    expect(withoutBreakwater.answered).toBeGreaterThan(0)
  })

  it("shows what was done about each fault", () => {
    const targets = (fault: string) => callTo(fault).attempts.map((each) => each.target.split("/")[0])
    expect(targets("good")).toEqual(["primary"])
    expect(targets("rate-limit-once")).toEqual(["primary", "primary"])
    expect(callTo("rate-limit-once").attempts[1]!.waitedMs).toBeGreaterThanOrEqual(1_000)
    expect(targets("overloaded-529")).toEqual(["primary", "primary", "primary", "backup"])
    // A silent target is not asked again.
    expect(targets("silence")).toEqual(["primary", "backup"])
    expect(targets("cut-stream")).toEqual(["primary", "backup"])
    expect(targets("context-overflow")).toEqual(["primary", "backup"])
  })

  it("adds up", () => {
    const { attempts, calls, errors, failedAttempts, timeLostMs, tookMs } = result()
    const all = calls.flatMap((each: Call) => each.attempts)
    expect(attempts).toBe(all.length)
    expect(failedAttempts).toBe(all.filter((each: { outcome: string }) => each.outcome === "failure").length)
    expect(Object.values(errors).reduce((sum: number, each) => sum + Number(each), 0)).toBe(failedAttempts)
    expect(timeLostMs).toBeGreaterThan(3_000)
    expect(timeLostMs).toBeLessThan(tookMs)
  })
})

describe("breakwater demo", () => {
  it("tells a reader what happens, in plain text where it is no terminal", async () => {
    const ran = await breakwater([
      "demo",
      "--prompts",
      fileOf("two.txt", "# two\n\nFirst question?\nSecond question?\n")
    ])
    expect(ran).toMatchObject({ code: 0, stderr: "" })
    expect(ran.stdout.split("\n")[0]).toMatch(/^breakwater demo · no key found, /)
    expect(ran.stdout).toContain("1/2 First question?")
    expect(ran.stdout).toMatch(/✗ RateLimitError after .+\n.+\n +… waits 1(\.\d)? s, as the provider asked/)
    expect(ran.stdout).toContain("You asked: “First question?”.")
    expect(ran.stdout).toContain("2 of 2 prompts got a whole answer; without Breakwater, 0 of 2.")
    expect(ran.stdout).not.toContain("\u001b")
    for (const line of ran.stdout.split("\n")) expect(line.length).toBeLessThanOrEqual(80)
  })

  it("asks the real provider where the environment names one, and says so first", async () => {
    const upstream = await startUpstream()
    const file = fileOf("real.txt", "One?\nTwo?\n")
    const env = { LLM_BASE_URL: upstream.v1, LLM_MODEL: "flapping", LLM_API_KEY: "sk-real-1234567" }
    const ran = await breakwater(["demo", "--prompts", file], { env })
    expect(ran.code).toBe(0)
    expect(ran.stdout.split("\n")[0]).toContain(`the real thing: openai-compatible at ${new URL(upstream.url).host}`)
    expect(ran.stdout).toContain("2 of 2 prompts got a whole answer.")
    expect(ran.stdout).not.toContain("sk-real")
    // Without a model the first one that the server lists is taken.
    const { LLM_MODEL: _, ...withoutModel } = env
    const json = await breakwater(["demo", "--json", "--prompts", file], { env: withoutModel })
    expect(JSON.parse(json.stdout)).toMatchObject({
      mode: "real",
      targets: ["openai-compatible/good"],
      answered: 2,
      withoutBreakwater: null
    })
    // Not everything answered: the exit code says so.
    const refused = await breakwater(["demo", "--json", "--prompts", file], { env: { ...env, LLM_MODEL: "auth-401" } })
    expect(refused.code).toBe(1)
    expect(JSON.parse(refused.stdout)).toMatchObject({ answered: 0, errors: { AuthenticationError: 2 } })
    await upstream.stop()
  })

  it("says what is wrong with a file of prompts", async () => {
    const missing = await breakwater(["demo", "--prompts", join(folder, "nowhere.txt")])
    expect(missing).toMatchObject({ code: 1, stdout: "" })
    expect(missing.stderr).toMatch(/nowhere\.txt cannot be read \(NotFound\); name another with --prompts FILE/)
    const empty = await breakwater(["demo", "--json", "--prompts", fileOf("empty.txt", "# nothing\n\n")])
    expect(empty.code).toBe(1)
    expect(JSON.parse(empty.stdout).error.message).toContain("empty.txt holds none")
  })

  it("says what is wrong with the environment", async () => {
    const ran = await breakwater(["demo"], { env: { LLM_PROVIDER: "opnai" } })
    expect(ran.code).toBe(1)
    expect(ran.stderr).toContain('LLM_PROVIDER is "opnai"; allowed: openai,')
  })

  it("ends at Ctrl-C", async () => {
    let stopped = false
    const ran = await breakwater(["demo"], {
      onOutput: (child, stdout) => {
        if (!stopped && stdout.includes("2/12")) stopped = child.kill("SIGINT")
      }
    })
    expect(ran.code).toBe(130)
    expect(ran.stderr).toBe("")
    expect(ran.stdout).not.toContain("Summary")
  })

  it("comes with its prompts in a package", () => {
    expect(promptsIn("packages/cli/prompts.txt")).toEqual(promptsIn("examples/prompts.txt"))
    expect(promptsIn("examples/prompts.txt").length).toBeGreaterThanOrEqual(12)
  })
})

describe("breakwater upstream", () => {
  const serving = (signal: NodeJS.Signals, visit: (url: string) => Promise<void>) => {
    let visited: Promise<void> | undefined
    return breakwater(["upstream", "--port", "0"], {
      onOutput: (child, stdout) => {
        const url = /^listening on (http:\S+)\n/.exec(stdout)?.[1]
        if (url !== undefined) visited ??= visit(url).finally(() => child.kill(signal))
      }
    }).then(async (ran) => {
      await visited
      return ran
    })
  }

  it.each(["SIGINT", "SIGTERM"] as const)("serves until %s, and lists its faults", async (signal) => {
    let models = 0
    const ran = await serving(signal, async (url) => {
      const body = (await (await fetch(`${url}/v1/models`)).json()) as { readonly data: ReadonlyArray<unknown> }
      models = body.data.length
      // A call under way does not keep the server from ending.
      void fetch(`${url}/v1/chat/completions`, {
        method: "POST",
        body: JSON.stringify({ model: "silence", messages: [{ role: "user", content: "Hello" }] })
      }).catch(() => {})
      await eventually(async () => {
        const stats = (await (await fetch(`${url}/_control/stats`)).json()) as {
          readonly byModel: Record<string, number>
        }
        return stats.byModel["silence"] === 1
      })
    })
    expect(ran).toMatchObject({ code: 0, signal: null, stderr: "" })
    expect(models).toBeGreaterThan(20)
    expect(ran.stdout).toMatch(/^ {2}rate-limit-once\S* +429/m)
    expect(ran.stdout).toContain("cut-stream")
  })

  it("says what is wrong with a port", async () => {
    expect((await breakwater(["upstream", "--port", "70000"])).stderr).toContain("--port is 70000; allowed")
    const upstream = await startUpstream()
    const taken = await breakwater(["upstream", "--port", new URL(upstream.url).port])
    expect(taken.code).toBe(1)
    expect(taken.stderr).toContain("EADDRINUSE")
    await upstream.stop()
  })
})
