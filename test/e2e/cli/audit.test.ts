import { Audit, FileAuditStore } from "@breakwater/audit"
import { AuditStore } from "@breakwater/core"
import { Postgres, SqlAuditStore } from "@breakwater/stores/sql"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { appendFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, describe, expect, it, vi } from "vitest"
import { startPostgres } from "../../support/postgres.ts"
import { breakwater } from "./support.ts"

// Every look is a process of its own.
vi.setConfig({ testTimeout: 120_000 })

const folder = mkdtempSync(join(tmpdir(), "breakwater-audit-cli-"))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const secret = "a1".repeat(32)
const keys = [{ id: "k1", key: Redacted.make(secret) }]
const env = { AUDIT_KEYS: `k1:${secret}` }
const start = Date.UTC(2026, 2, 1)

const records: ReadonlyArray<Audit.AuditRecord> = [
  { action: "request", actor: { tenant: "acme", user: "ada", key: "web" }, requestId: "r1", outcome: "success" },
  {
    action: "request",
    actor: { tenant: "acme", user: "bob" },
    requestId: "r2",
    outcome: "failure",
    error: "ServerError"
  },
  {
    action: "request",
    actor: { tenant: "acme", user: "eve\u001b[2J\u202e" },
    requestId: "r3",
    outcome: "success",
    targets: ["openai/gpt-4o", "anthropic/claude"],
    tokens: { input: 10, output: 20 },
    costNanos: 1_500_000_000n,
    flags: ["failover"],
    details: { note: "\u009b31m" }
  },
  { action: "key-created", targets: ["web"] }
]

const fill = (audit: Audit.AuditService) =>
  Effect.forEach(records, (record, index) => audit.record({ ...record, at: start + index * 86_400_000 }), {
    discard: true
  })

let files = 0
/** A log of its own. */
const log = async (): Promise<string> => {
  const path = join(folder, `audit-${files++}.log`)
  await Effect.runPromise(
    Effect.scoped(
      Effect.gen(function* () {
        const store = yield* FileAuditStore.make({ path })
        const audit = yield* Effect.provideService(Audit.make({ keys }), AuditStore.AuditStore, store)
        yield* fill(audit)
      })
    )
  )
  return path
}

describe("breakwater audit verify", () => {
  it("a sound log: 0, with what there is in it and an anchor, which a later look takes", async () => {
    const path = await log()
    const { code, stderr, stdout } = await breakwater(["audit", "verify", path], { env })
    expect([code, stderr]).toEqual([0, ""])
    expect(stdout).toMatch(new RegExp(`^sound ${path}\n  entries  1 to 6, .*\n  key      k1, in 1 to 6\n`))
    const anchor = / anchor {3}(\S+)\n/.exec(stdout)![1]!
    expect((await breakwater(["audit", "verify", path, "--head", anchor], { env })).stdout).toContain("--head   found")
    const other = await breakwater(["audit", "verify", path, "--head", anchor.replace("@6", "@9")], { env })
    expect(other.code).toBe(3)
    expect(other.stdout).toContain("anchor")
    const json = await breakwater(["audit", "verify", path, "--json"], { env })
    expect(JSON.parse(json.stdout)).toMatchObject({ log: path, sound: true, entries: 6, anchor, findings: [] })
  })

  it("a tampered log: 3, with line, byte and entry", async () => {
    const path = await log()
    const lines = readFileSync(path, "utf8").split("\n")
    writeFileSync(path, lines.with(2, lines[2]!.replace('"at":1', '"at":2')).toSpliced(4, 1).join("\n"))
    const { code, stdout } = await breakwater(["audit", "verify", path], { env })
    expect(code).toBe(3)
    const offset = lines.slice(0, 2).join("\n").length + 1
    expect(stdout).toContain(`broken ${path}: 2 findings\n  line 3, byte ${offset}`)
    expect(stdout).toContain("edited   entry 3 was edited")
    expect(stdout).toMatch(/missing {2}entry 5 missing/)
    const json = await breakwater(["audit", "verify", path, "--json"], { env })
    expect(json.code).toBe(3)
    expect(JSON.parse(json.stdout).findings[0]).toMatchObject({ kind: "edited", entry: 3, line: 3, place: offset })
    const shown = await breakwater(["audit", "show", path], { env })
    expect([shown.code, shown.stderr]).toEqual([3, expect.stringContaining("tampered")])
  })

  it("an unfinished end is broken until the log is opened again", async () => {
    const path = await log()
    appendFileSync(path, '{"v":1,')
    const { code, stdout } = await breakwater(["audit", "verify", path], { env })
    expect([code, stdout]).toEqual([3, expect.stringContaining("torn")])
  })

  it("what cannot be read or checked: 1, and no key is shown", async () => {
    const path = await log()
    const keyFile = join(folder, "keys")
    writeFileSync(keyFile, `# the key\nk1:${"b".repeat(64)}\n`)
    const wrong: ReadonlyArray<readonly [ReadonlyArray<string>, Readonly<Record<string, string>>, string]> = [
      [[join(folder, "none.log")], env, "there is no audit log"],
      [[path], { AUDIT_KEYS: `k1:${secret.slice(1)}` }, "32 bytes"],
      [[path, "--keys-env", "OTHER"], env, "OTHER is missing"],
      [[path, "--key-file", keyFile], {}, "not its keys"],
      [[path, "--postgres", "DATABASE"], env, "one of the two"],
      [["--postgres", "postgres://u:hush-hush@127.0.0.1:1/x"], env, "postgresql"],
      [[path, "--head", "x"], env, "HASH@SEQ"]
    ]
    const all: Array<Awaited<ReturnType<typeof breakwater>> & { args: ReadonlyArray<string>; said: string }> = []
    for (const [args, given, said] of wrong) {
      all.push({ args, said, ...(await breakwater(["audit", "verify", ...args], { env: given })) })
    }
    for (const { args, code, said, stderr, stdout } of all) {
      expect([args, code]).toEqual([args, 1])
      expect(stderr).toContain(said)
      expect(stderr + stdout).not.toContain(secret.slice(0, 60))
      expect(stderr + stdout).not.toContain("hush-hush")
    }
    expect(existsSync(join(folder, "none.log"))).toBe(false)
    const json = await breakwater(["audit", "verify", path, "--json"], {})
    expect(JSON.parse(json.stdout).error.tag).toBe("ConfigError")
  })
})

describe("breakwater audit show", () => {
  it("prints the newest last, and what cannot be seen is written out", async () => {
    const path = await log()
    const { code, stderr, stdout } = await breakwater(["audit", "show", path], { env })
    expect([code, stderr]).toEqual([0, ""])
    const lines = stdout.trimEnd().split("\n")
    expect(lines.length).toBe(6)
    expect(lines[0]).toMatch(/^1 {2}\S+Z {2}audit-started/)
    expect(lines[1]).toBe("2  2026-03-01T00:00:00.000Z  request  acme/ada/web  r1  success")
    expect(lines[3]).toBe(
      "4  2026-03-03T00:00:00.000Z  request  acme/eve\\u001b[2J\\u202e  r3  openai/gpt-4o → anthropic/claude  success  " +
        '10 → 20 tokens  $1.50  [failover]  {"note":"\\u009b31m"}'
    )
    // oxlint-disable-next-line no-control-regex
    expect(stdout).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]/)
  })

  it("takes filters, and a line of JSON each", async () => {
    const path = await log()
    const shown = async (...args: ReadonlyArray<string>) => {
      const { code, stdout } = await breakwater(["audit", "show", path, "--json", ...args], { env })
      expect(code).toBe(0)
      return stdout
        .trimEnd()
        .split("\n")
        .filter((line) => line !== "")
        .map(
          (line) =>
            (JSON.parse(line) as { readonly requestId?: string; readonly action: string; readonly seq: number }).seq
        )
    }
    expect(await shown("--action", "request")).toEqual([2, 3, 4])
    expect(await shown("--tenant", "acme", "--outcome", "success", "--user", "ada", "--key", "web")).toEqual([2])
    expect(await shown("--flag", "failover", "--request", "r3")).toEqual([4])
    expect(await shown("--from", "2026-03-02", "--to", "2026-03-04", "--limit", "1")).toEqual([4])
    const bad = await breakwater(["audit", "show", path, "--limit", "0"], { env })
    expect([bad.code, bad.stderr]).toEqual([1, expect.stringContaining("--limit is 0")])
    const day = await breakwater(["audit", "show", path, "--from", "2026-02-31"], { env })
    expect([day.code, day.stderr]).toEqual([1, expect.stringContaining("--from is")])
  })
})

describe("breakwater audit prune", () => {
  it("ends what is old, says so in the log, and leaves a log that is sound", async () => {
    const path = join(folder, "prune.log")
    await Effect.runPromise(
      Effect.scoped(
        Effect.gen(function* () {
          const store = yield* FileAuditStore.make({ path })
          // A log that began long ago.
          const clock = yield* Effect.provideService(Audit.make({ keys }), AuditStore.AuditStore, store)
          yield* fill(clock)
        })
      )
    )
    const none = await breakwater(["audit", "prune", path, "--before", "2020-01-01"], { env })
    expect([none.code, none.stdout]).toEqual([0, `Nothing in ${path} is older.\n`])
    const some = await breakwater(["audit", "prune", path, "--before", "2100-01-01", "--json"], { env })
    expect([some.code, JSON.parse(some.stdout)]).toMatchObject([0, { through: 9 }])
    const { code, stdout } = await breakwater(["audit", "verify", path], { env })
    expect([code, stdout]).toEqual([0, expect.stringMatching(/pruned {3}\d entries through \d: audit-started/)])
    const shown = await breakwater(["audit", "show", path, "--action", "audit-pruned", "--json"], { env })
    expect(JSON.parse(shown.stdout)).toMatchObject({ actor: { user: expect.any(String) }, details: { through: 9 } })
    const missing = await breakwater(["audit", "prune", join(folder, "none.log"), "--before", "1d"], { env })
    expect([missing.code, existsSync(join(folder, "none.log"))]).toEqual([1, false])
    const bad = await breakwater(["audit", "prune", path, "--before", "soon"], { env })
    expect([bad.code, bad.stderr]).toEqual([1, expect.stringContaining("--before is")])
  })

  it("refuses a log that was tampered with", async () => {
    const path = await log()
    const lines = readFileSync(path, "utf8").split("\n")
    writeFileSync(path, lines.toSpliced(2, 1).join("\n"))
    const { code, stderr } = await breakwater(["audit", "prune", path, "--before", "2100-01-01"], { env })
    expect([code, stderr]).toEqual([1, expect.stringContaining("tampered")])
  })
})

const server = await startPostgres()

describe("a log in PostgreSQL", () => {
  if (typeof server === "string") {
    it.skip(`is verified, shown and pruned (there is no server: ${server})`, () => {})
    return
  }
  afterAll(() => server.stop())

  it("is verified, shown and pruned", async () => {
    const url = await server.database()
    await Effect.runPromise(
      Effect.scoped(
        Effect.gen(function* () {
          const client = yield* Layer.build(Postgres.layer({ url: Redacted.make(url) }))
          const store = yield* Effect.provide(SqlAuditStore.make({ log: "gateway" }), client)
          yield* fill(yield* Effect.provideService(Audit.make({ keys }), AuditStore.AuditStore, store))
        })
      )
    )
    const on = ["--postgres", "AUDIT_DATABASE", "--log", "gateway"]
    const given = { env: { ...env, AUDIT_DATABASE: url } }
    expect((await breakwater(["audit", "verify", ...on], given)).stdout).toContain("sound the log gateway")
    const pruned = await breakwater(["audit", "prune", ...on, "--before", "2100-01-01"], given)
    expect([pruned.code, pruned.stderr]).toEqual([0, ""])
    expect((await breakwater(["audit", "show", ...on, "--action", "audit-pruned"], given)).stdout).toContain(
      "audit-pruned"
    )
    expect((await breakwater(["audit", "verify", ...on, "--json"], given)).code).toBe(0)
  })
})
