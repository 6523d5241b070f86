/** `breakwater serve` and `breakwater keys`, as processes. */
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { breakwater, type Ran } from "./support.ts"

let folder = ""
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "serve-"))
})
afterAll(() => rmSync(folder, { recursive: true }))

/** Runs `serve`, does something with it when it listens, and then stops it. */
const serving = async (args: ReadonlyArray<string>, use: (url: string) => Promise<void>, env = {}): Promise<Ran> => {
  let begun = false
  let failure: unknown
  const ran = await breakwater(["serve", "--port", "0", ...args], {
    env,
    onOutput: (child, stdout) => {
      const url = /^listening on (http:\S+)$/m.exec(stdout)?.[1]
      if (url === undefined || begun) return
      begun = true
      void use(url)
        .catch((error: unknown) => {
          failure = error
        })
        .finally(() => child.kill("SIGTERM"))
    }
  })
  if (failure !== undefined) throw failure as Error
  assert.isTrue(begun, ran.stderr)
  return ran
}

const ask = (url: string, body: object, headers: Readonly<Record<string, string>> = {}) =>
  fetch(`${url}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify({ messages: [{ role: "user", content: "Hello" }], ...body })
  })

describe("serve", () => {
  it("runs without a key or a file, and prints what to try", async () => {
    const ran = await serving(["--log"], async (url) => {
      const response = await ask(url, { model: "main/cut-stream", fallbacks: ["backup/good"], stream: true })
      const text = await response.text()
      assert.isTrue(text.endsWith("data: [DONE]\n\n"))
      assert.include(text, '"target":"backup/good"')
    })
    assert.strictEqual(ran.code, 0)
    assert.include(ran.stdout, "curl -N http://127.0.0.1:")
    assert.match(ran.stdout, /^dashboard at http:\/\/127\.0\.0\.1:\d+\/dashboard\/$/m)
    const record = JSON.parse(ran.stderr.trim().split("\n")[0]!) as Record<string, unknown>
    assert.strictEqual(record["status"], 200)
    assert.strictEqual(record["target"], "backup/good")
  }, 30_000)

  it("takes a file, names what is wrong with it, and says whether it is good", async () => {
    const file = join(folder, "gateway.json")
    writeFileSync(file, '{"providers":{"p":{"type":"openai-compatible"}},"routes":{"r":{"targets":[]}},"surprise":1}')
    const wrong = await breakwater(["serve", "--config", file, "--port", "0"])
    assert.strictEqual(wrong.code, 1)
    assert.match(wrong.stderr, /ConfigurationError: routes\.r\.targets:/)
    assert.match(wrong.stderr, /ConfigurationError: surprise:/)
    writeFileSync(
      file,
      '{"providers":{"p":{"type":"openai-compatible","baseUrl":"http://127.0.0.1:9/v1","apiKey":{"env":"NOT_SET"}}}}'
    )
    const missing = await breakwater(["serve", "--config", file, "--port", "0"])
    assert.match(missing.stderr, /providers\.p\.apiKey\.env: the variable NOT_SET is not set/)
    const good = await breakwater(["serve", "--config", file, "--port", "0", "--check"], { env: { NOT_SET: "x" } })
    assert.strictEqual(good.code, 0, good.stderr)
    assert.include(good.stdout, "good")
    const schema = await breakwater(["serve", "--schema"])
    assert.deepInclude(JSON.parse(schema.stdout), { required: ["providers"] })
  }, 30_000)

  it("checks a file beside the gateway that runs with it, and writes nothing", async () => {
    const file = join(folder, "running.json")
    const config = {
      providers: { p: { type: "openai-compatible", baseUrl: "http://127.0.0.1:9/v1" } },
      ledger: { file: "running.db" },
      audit: { file: "running.log", keys: { env: "RUNNING_KEYS" } }
    }
    writeFileSync(file, JSON.stringify(config))
    const env = { RUNNING_KEYS: `a:${Buffer.alloc(32, 7).toString("base64")}` }
    const unset = await breakwater(["serve", "--config", file, "--check"])
    assert.strictEqual(unset.code, 1)
    assert.match(unset.stderr, /audit\.keys\.env: the variable RUNNING_KEYS is not set/)
    const alone = await breakwater(["serve", "--config", file, "--check"], { env })
    assert.strictEqual(alone.stdout, `the configuration is good (${file})\n`)
    assert.isFalse(existsSync(join(folder, "running.log")) || existsSync(join(folder, "running.db")))
    await serving(
      ["--config", file],
      async (url) => {
        const beside = await breakwater(["serve", "--config", file, "--check", "--port", new URL(url).port], { env })
        assert.strictEqual(beside.code, 0, beside.stderr)
      },
      env
    )
  }, 30_000)

  it.each([
    [["--port", "99999"], "--port is 99999; allowed: a whole number from 0 to 65535"],
    [["--config", "nowhere.json"], "there is no file nowhere.json; breakwater serve --demo needs none"],
    [["--demo", "--config", "nowhere.json"], "--demo has a configuration of its own"],
    [["--check"], "there is nothing to check; name a file with --config"]
  ])("%j is wrong in a sentence", async (args, sentence) => {
    const ran = await breakwater(["serve", ...args])
    assert.strictEqual(ran.code, 1)
    assert.include(ran.stderr, `error ConfigError: ${sentence}`)
    assert.strictEqual(ran.stderr.trim().split("\n").length, 1)
  })

  it("--demo has something for every page of the dashboard", async () => {
    await serving(["--demo"], async (url) => {
      const response = await ask(url, { model: "main/error-500-once" })
      assert.match(response.headers.get("x-breakwater-cost") ?? "", /^0\.000\d+$/)
      await response.text()
      for (const page of ["usage", "budgets", "audit", "alerts"]) {
        assert.strictEqual((await fetch(`${url}/admin/${page}`)).status, 200, page)
      }
    })
  }, 30_000)

  it("tells who has a key how it is asked for", async () => {
    const ran = await serving([], () => Promise.resolve(), { OPENAI_API_KEY: "sk-none-of-yours" })
    assert.include(ran.stdout, "LLM_PROVIDER=openai breakwater serve\n")
    assert.notInclude(ran.stdout, "sk-none")
  }, 30_000)

  it("reads the LLM variables", async () => {
    await serving([], async (upstream) => {
      await serving(
        [],
        async (url) => {
          const response = await ask(url, { model: "auto" })
          assert.strictEqual(response.status, 200)
          assert.strictEqual(response.headers.get("x-breakwater-target"), "openai-compatible/backup/good")
        },
        { LLM_BASE_URL: `${upstream}/v1`, LLM_MODEL: "backup/good", LLM_API_KEY: "whatever" }
      )
    })
  }, 30_000)

  it("says that a port is taken", async () => {
    await serving([], async (url) => {
      const second = await breakwater(["serve", "--port", new URL(url).port])
      assert.strictEqual(second.code, 1)
      assert.match(second.stderr, /EADDRINUSE/)
    })
  }, 30_000)
})

describe("keys", () => {
  it("are created, listed, replaced with an overlap, revoked, and followed by a running gateway", async () => {
    const file = join(folder, "keys.json")
    const keys = async (...args: ReadonlyArray<string>) => {
      const ran = await breakwater(["keys", ...args, "--file", file])
      return { ...ran, stdout: ran.stdout.trim() }
    }
    const none = await keys("list")
    assert.strictEqual(none.code, 1)
    assert.include(none.stderr, `there is no file ${file}; breakwater keys create NAME makes one`)
    const odd = await keys("create", "alice", "--scopes", "chat,admn")
    assert.include(odd.stderr, '--scopes holds "admn"; allowed: chat, embeddings, models, metrics, admin')
    assert.isFalse(existsSync(file))
    const first = await keys("create", "alice", "--tenant", "acme", "--expires", "90d")
    assert.match(first.stdout, /^bw_[\w-]{43}$/)
    const stored = readFileSync(file, "utf8")
    assert.notInclude(stored, first.stdout)
    assert.strictEqual(statSync(file).mode & 0o077, 0)
    const taken = await keys("create", "alice")
    assert.strictEqual(taken.code, 1)
    assert.include(taken.stderr, "there is a key alice already; --overlap 1d replaces it")
    const second = await keys("create", "alice", "--overlap", "1h")
    assert.match((await keys("list")).stdout, /^alice\s+valid\s+acme.*\nalice\s+valid/)

    const config = join(folder, "with-keys.json")
    const provider = { type: "openai-compatible", baseUrl: "http://127.0.0.1:9/v1" }
    writeFileSync(config, JSON.stringify({ providers: { p: provider }, auth: { keysFile: "keys.json" } }))
    await serving(["--config", config], async (url) => {
      const models = (key: string) =>
        fetch(`${url}/v1/models`, { headers: { authorization: `Bearer ${key}` } }).then(({ status }) => status)
      assert.strictEqual(await models(first.stdout), 200)
      assert.strictEqual(await models(second.stdout), 200)
      assert.strictEqual(await models(`${second.stdout}x`), 401)
      assert.include((await keys("revoke", "alice")).stdout, "revoked 2 keys")
      for (let i = 0; i < 100 && (await models(second.stdout)) === 200; i++)
        await new Promise((done) => setTimeout(done, 30))
      assert.strictEqual(await models(second.stdout), 401)
    })
    assert.strictEqual((await keys("revoke", "alice")).code, 1)
  }, 60_000)
})
