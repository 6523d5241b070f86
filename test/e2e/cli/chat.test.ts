import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest"
import { breakwater, eventually, goodAnswer, type RunOptions, startUpstream } from "./support.ts"

let upstream: Awaited<ReturnType<typeof startUpstream>>
beforeAll(async () => {
  upstream = await startUpstream()
})
afterAll(() => upstream.stop())
beforeEach(() => upstream.reset())

const chat = (args: ReadonlyArray<string>, options?: RunOptions) => breakwater(["chat", ...args], options)
/** Asks the upstream. */
const ask = (args: ReadonlyArray<string>, options?: RunOptions) =>
  chat(["Hello", "--base-url", upstream.v1, ...args], options)

const parsed = (stdout: string) => {
  expect(stdout.trim().split("\n")).toHaveLength(1)
  return JSON.parse(stdout)
}

describe("breakwater chat", () => {
  it("prints the answer and nothing else", async () => {
    const ran = await ask(["--model", "good"])
    expect(ran).toMatchObject({ code: 0, stdout: `${goodAnswer("Hello")}\n`, stderr: "" })
  })

  it("streams it", async () => {
    let first = ""
    const ran = await ask(["--model", "slow-drip:1500"], { onOutput: (_, stdout) => (first = first || stdout) })
    expect(ran.code).toBe(0)
    expect(first.length).toBeLessThan(ran.stdout.length / 2)
  })

  it("fails over, and shows on stderr what it did", async () => {
    const ran = await ask(["--model", "overloaded-529", "--fallback", "good", "--retries", "1", "--verbose"])
    expect(ran.code).toBe(0)
    expect(ran.stdout).toBe(`${goodAnswer("Hello")}\n`)
    expect(ran.stderr).toContain("attempt 1 failed")
    expect(ran.stderr).toContain("ModelOverloadError")
    expect(ran.stderr).toMatch(/waiting .+ then asking openai-compatible\/overloaded-529 again/)
    expect(ran.stderr).toContain("switching from openai-compatible/overloaded-529 to openai-compatible/good")
    expect(ran.stderr).toContain("answered after 3 attempts")
    expect(ran.stdout + ran.stderr).not.toContain("\u001b")
  })

  it("continues a broken stream elsewhere, without repeating a word", async () => {
    const ran = await ask(["--model", "cut-stream", "--fallback", "good", "--stream-policy", "continue"])
    expect(ran).toMatchObject({ code: 0, stdout: `${goodAnswer("Hello")}\n` })
  })

  it("asks a fallback of another provider, with that provider's key and address", async () => {
    const ran = await ask(["--model", "auth-401", "--fallback", "anthropic/good", "--json"], {
      env: { ANTHROPIC_API_KEY: "sk-ant-12345678", ANTHROPIC_BASE_URL: upstream.url }
    })
    expect(parsed(ran.stdout)).toMatchObject({ text: goodAnswer("Hello"), target: "anthropic/good", model: "good" })
    expect((await upstream.requests()).map((each) => each.path)).toEqual(["/v1/chat/completions", "/v1/messages"])
  })

  it("hands on what the flags say of the request", async () => {
    const flags = ["--model", "good", "--system", "Be brief.", "--temperature", "0.5", "--max-tokens", "5"]
    const ran = await ask(flags)
    expect(ran.code).toBe(0)
    const [request] = await upstream.requests()
    expect(request?.body).toMatchObject({
      temperature: 0.5,
      messages: [
        { role: "system", content: "Be brief." },
        { role: "user", content: "Hello" }
      ]
    })
    expect(ran.stdout.trim()).toBe(goodAnswer("Hello").slice(0, 20).trim())
  })

  it("reads settings from the environment, and flags win", async () => {
    const env = { LLM_BASE_URL: upstream.v1, LLM_MODEL: "error-500", LLM_MAX_RETRIES: "0" }
    expect(await chat(["Hello"], { env })).toMatchObject({ code: 1, stdout: "" })
    expect((await upstream.stats()).total).toBe(1)
    expect(await chat(["Hello", "--model", "good"], { env })).toMatchObject({ code: 0 })
  })

  it("reads a prompt from stdin", async () => {
    const ran = await chat(["-", "--base-url", upstream.v1, "--model", "good"], { stdin: "Grüße aus dem Rohr\n" })
    expect(ran).toMatchObject({ code: 0, stdout: `${goodAnswer("Grüße aus dem Rohr")}\n` })
    const empty = await chat(["-", "--base-url", upstream.v1, "--model", "good"], { stdin: "\n" })
    expect(empty.code).toBe(1)
    expect(empty.stderr).toContain("PROMPT is empty")
  })

  it("ends at Ctrl-C, and hangs up", async () => {
    const running = ask(["--model", "stalled-stream"], {
      onOutput: (child) => void child.kill("SIGINT")
    })
    const ran = await running
    expect(ran.code).toBe(130)
    expect(ran.stderr).toBe("")
    expect(ran.tookMs).toBeLessThan(10_000)
    await eventually(async () => {
      const stats = await upstream.stats()
      return stats.inFlight === 0 && stats.abortedByClient === 1
    })
  })
})

describe("breakwater chat --json", () => {
  it("prints the answer with its attempts", async () => {
    const ran = await ask(["--model", "error-500-once", "--json"])
    expect(ran.code).toBe(0)
    const { attempts, ...answer } = parsed(ran.stdout)
    expect(answer).toEqual({
      text: goodAnswer("Hello"),
      model: expect.stringContaining("error-500-once"),
      target: "openai-compatible/error-500-once",
      usage: expect.objectContaining({ inputTokens: expect.any(Number), outputTokens: expect.any(Number) }),
      cost: null,
      cached: null
    })
    expect(attempts).toEqual([
      {
        target: "openai-compatible/error-500-once",
        outcome: "failure",
        ms: expect.any(Number),
        waitedMs: 0,
        error: { tag: "ServerError", message: expect.any(String) }
      },
      {
        target: "openai-compatible/error-500-once",
        outcome: "success",
        ms: expect.any(Number),
        waitedMs: expect.any(Number)
      }
    ])
  })

  it("prints the error, and what had arrived", async () => {
    const refused = await ask(["--model", "auth-401", "--json"])
    expect(refused).toMatchObject({ code: 1, stderr: "" })
    expect(parsed(refused.stdout)).toMatchObject({
      text: "",
      attempts: [{ outcome: "failure", error: { tag: "AuthenticationError" } }],
      error: { tag: "AuthenticationError" }
    })
    const broken = await ask(["--model", "cut-stream", "--json"])
    expect(broken.code).toBe(1)
    const answer = parsed(broken.stdout)
    expect(answer.error.tag).toBe("StreamInterruptedError")
    expect(answer.text.length).toBeGreaterThan(20)
    expect(goodAnswer("Hello").startsWith(answer.text)).toBe(true)
  })

  it("says of every target why it failed", async () => {
    const ran = await ask(["--model", "auth-401", "--fallback", "not-found-404", "--json"])
    const { attempts, error } = parsed(ran.stdout)
    expect(error.tag).toBe("AllTargetsFailedError")
    expect(error.message).toMatch(/auth-401: .+; openai-compatible\/not-found-404: /)
    expect(attempts).toHaveLength(2)
  })

  it.each([
    ["a wrong setting", ["--preset", "nope"], "ConfigError"],
    ["a flag that does not exist", ["--nope"], "UsageError"]
  ])("prints an object for %s as well", async (_, args, tag) => {
    const ran = await ask(["--model", "good", "--json", ...args])
    expect(ran.code).not.toBe(0)
    expect(ran.stderr).toBe("")
    expect(parsed(ran.stdout)).toMatchObject({ text: "", error: { tag, message: expect.stringContaining("nope") } })
  })
})

describe("breakwater chat, wrongly called", () => {
  const cases: ReadonlyArray<readonly [string, ReadonlyArray<string>, RegExp]> = [
    [
      "an unknown preset",
      ["--preset", "fast"],
      /--preset is "fast"; allowed: interactive, highThroughput, batch, strict/
    ],
    ["a model with spaces", ["--model", "gpt 4"], /--model is "gpt 4"/],
    ["a fallback with spaces", ["--fallback", "gpt 4"], /--fallback .*"openai-compatible\/gpt 4"/],
    ["a negative timeout", ["--timeout", "-5"], /--timeout is "-5"; allowed: 1ms to 24h/],
    ["a timeout that is none", ["--timeout", "soon"], /--timeout is "soon"/],
    ["retries that are no number", ["--retries", "many"], /--retries is "many"; allowed: 0 to 100/],
    ["no tokens", ["--max-tokens", "0"], /--max-tokens is "0"/],
    ["too much heat", ["--temperature", "9"], /--temperature is "9"; allowed: 0 to 2/],
    [
      "an unknown stream policy",
      ["--stream-policy", "hope"],
      /--stream-policy is "hope"; allowed: fail, continue, buffer/
    ],
    ["an unknown provider", ["--provider", "opnai"], /--provider is "opnai"; allowed: openai, anthropic/],
    ["an empty flag", ["--preset", ""], /--preset is empty/],
    ["an unknown flag", ["--modle", "x"], /--modle/]
  ]
  it.each(cases)("%s", async (_, args, message) => {
    const model = args.includes("--model") ? [] : ["--model", "good"]
    const ran = await ask([...model, ...args])
    expect(ran.code).not.toBe(0)
    expect(ran.stdout).toBe("")
    expect(ran.stderr).toMatch(message)
    expect(ran.stderr.trim().split("\n").length).toBeLessThanOrEqual(2)
    expect(ran.stderr).not.toMatch(/^\s+at /m)
    expect((await upstream.stats()).total).toBe(0)
  })

  it("an address that is none", async () => {
    const ran = await chat(["Hello", "--base-url", "localhost:1234", "--model", "m"])
    expect(ran.stderr).toContain('--base-url is "localhost:1234"; allowed: an http or https URL')
  })

  it("no key: says which flag and which variables", async () => {
    const ran = await chat(["Hello", "--model", "openai/gpt-4.1-mini"])
    expect(ran).toMatchObject({ code: 1, stdout: "" })
    expect(ran.stderr).toContain("--api-key, LLM_API_KEY or OPENAI_API_KEY is missing")
  })

  it("no provider, no model, no prompt", async () => {
    expect((await chat(["Hello", "--model", "m"])).stderr).toContain("nobody to ask: set a key such as OPENAI_API_KEY")
    expect((await ask([])).stderr).toContain("--model or LLM_MODEL is missing")
    expect((await chat(["--base-url", upstream.v1, "--model", "m"])).stderr).toContain("PROMPT is missing")
  })

  it("a wrong variable is named as the variable", async () => {
    const ran = await ask(["--model", "good"], { env: { LLM_TIMEOUT: "-5" } })
    expect(ran.stderr).toContain('LLM_TIMEOUT is "-5"; allowed: 1ms to 24h')
  })

  it("never shows the key, even if the provider does", async () => {
    const gossip = createServer((request, response) => {
      response.writeHead(400, { "content-type": "application/json" })
      response.end(JSON.stringify({ error: { message: `What is ${request.headers.authorization}?`, code: "x" } }))
    })
    await new Promise<void>((resolve) => void gossip.listen(0, "127.0.0.1", resolve))
    const url = `http://127.0.0.1:${(gossip.address() as AddressInfo).port}`
    const key = "sk-secret-1234567890"
    for (const extra of [["--verbose"], ["--json", "--verbose"]]) {
      const ran = await chat(["Hello", "--base-url", url, "--model", "m", "--api-key", key, ...extra])
      expect(ran.code).toBe(1)
      expect(ran.stdout + ran.stderr).toContain("What is")
      expect(ran.stdout + ran.stderr).not.toContain(key)
    }
    const fromEnvironment = await chat(["Hello", "--base-url", url, "--model", "m"], { env: { LLM_API_KEY: key } })
    expect(fromEnvironment.stderr).not.toContain(key)
    gossip.closeAllConnections()
    gossip.close()
  })
})
