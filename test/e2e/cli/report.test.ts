import { Ledger, Money, Pricing } from "@breakwater/core"
import { Sqlite, SqlLedgerStore } from "@breakwater/stores/sql"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as SqlClient from "effect/sql/SqlClient"
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { breakwater, startUpstream } from "./support.ts"

let upstream: Awaited<ReturnType<typeof startUpstream>>
const folder = mkdtempSync(join(tmpdir(), "breakwater-report-"))
beforeAll(async () => {
  upstream = await startUpstream()
})
afterAll(async () => {
  await upstream.stop()
  rmSync(folder, { recursive: true, force: true })
})

const report = (file: string, ...args: ReadonlyArray<string>) => breakwater(["report", "--ledger", file, ...args])

const write = (file: string, records: ReadonlyArray<Ledger.LedgerRecord>) =>
  Effect.runPromise(
    Effect.flatMap(Ledger.Ledger, (ledger) => ledger.append(records)).pipe(
      Effect.provide(
        Ledger.layer().pipe(
          Layer.provide(SqlLedgerStore.layer),
          Layer.provide([Sqlite.layer({ filename: file }), Pricing.layerNoop])
        )
      )
    )
  )

const march = Date.UTC(2026, 2, 1)
const day = 86_400_000
/** Ada spends 3 dollars in two days, Bob 1; one attempt has no price. */
const known = (): ReadonlyArray<Ledger.LedgerRecord> => [
  ...[0, 1, 2].map((i) =>
    Ledger.entry({
      id: `a${i}`,
      atMs: march + (i === 2 ? day : i),
      target: "openai/gpt-4o",
      user: "ada",
      project: 'sea, "deep"',
      tags: ["night", "web"],
      inputTokens: 1_000,
      outputTokens: 100,
      costNanos: 1_000_000_000n
    })
  ),
  Ledger.entry({ id: "b", atMs: march + day, target: "anthropic/claude", user: "bob", costNanos: 1_000_000_001n }),
  Ledger.entry({ id: "c", atMs: march + day + 1, target: "local/own", inputTokens: 7 })
]

let file: string
beforeAll(async () => {
  file = join(folder, "known.db")
  await write(file, known())
})

describe("breakwater report", () => {
  it("reads what breakwater chat wrote: every attempt, with what it cost", async () => {
    const written = join(folder, "chat.db")
    const chat = (...args: ReadonlyArray<string>) =>
      breakwater(
        ["chat", "Hello", "--provider", "openai", "--base-url", upstream.v1, "--ledger", written, "--json", ...args],
        { env: { OPENAI_API_KEY: "sk-test-12345678" } }
      )
    const first = await chat("--model", "gpt-4o-mini", "--user", "ada", "--project", "sea", "--tag", "a", "--tag", "b")
    const second = await chat("--model", "error-500", "--fallback", "gpt-4o-mini", "--retries", "0", "--user", "bob")
    const failed = await chat("--model", "auth-401", "--retries", "0", "--user", "eve")
    expect([first.code, second.code, failed.code]).toEqual([0, 0, 1])
    const cost = Money.parse(JSON.parse(first.stdout).cost)! + Money.parse(JSON.parse(second.stdout).cost)!

    const all = JSON.parse((await report(written, "--json")).stdout)
    expect(all.total).toMatchObject({ attempts: 4, cost: Money.toDecimal(cost) })
    expect(all.groups.map((group: { value: string; attempts: number }) => [group.value, group.attempts])).toEqual(
      expect.arrayContaining([
        ["openai/gpt-4o-mini", 2],
        ["openai/error-500", 1],
        ["openai/auth-401", 1]
      ])
    )
    expect(all.forecast.spent).toBe(Money.toDecimal(cost))
    const users = JSON.parse((await report(written, "--json", "--by", "user")).stdout)
    expect(users.groups.find(({ value }: { value: string }) => value === "ada")).toMatchObject({
      attempts: 1,
      cost: JSON.parse(first.stdout).cost
    })
    const tags = JSON.parse((await report(written, "--json", "--by", "tag")).stdout)
    expect(tags.groups.map(({ value }: { value: string }) => value).sort()).toEqual(["", "a", "b"])
  })

  it("shows a table with bars, a total and the month", async () => {
    const { code, stderr, stdout } = await report(file, "--by", "user")
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" })
    const lines = stdout.split("\n")
    expect(lines[0]).toContain("Spent from 2026-03-01 to ")
    expect(lines[1]).toMatch(/user +attempts +tokens in +tokens out +cost +share/)
    expect(lines[2]).toMatch(/ada +3 +3,000 +300 +\$3\.0000 +75\.0 % +█{20}$/)
    expect(lines[3]).toMatch(/bob +1 +0 +0 +\$1\.0000 +25\.0 % +█{6}▋$/)
    expect(lines[4]).toMatch(/\(none\) +1 +7 +0 +unknown +0\.0 %$/)
    expect(lines[5]).toMatch(/total +5 +3,007 +300 +\$4\.0000$/)
    expect(stdout).toContain("the cost of 1 of 5 attempts is not known")
    expect(stdout).toMatch(/The month \d{4}-\d\d\n +\$0\.00/)
    expect(stdout).not.toContain("\u001b")
  })

  it("by day, in a time zone", async () => {
    const utc = JSON.parse((await report(file, "--by", "day", "--json")).stdout)
    const amounts = (found: typeof utc) =>
      found.groups.map((group: { value: string; cost: string }) => [group.value, group.cost])
    expect(amounts(utc)).toEqual([
      ["2026-03-01", "2.00"],
      ["2026-03-02", "2.000000001"]
    ])
    const york = JSON.parse((await report(file, "--by", "day", "--json", "--time-zone", "America/New_York")).stdout)
    expect(amounts(york).map(([value]: [string]) => value)).toEqual(["2026-02-28", "2026-03-01"])
  })

  it("of a part of the time", async () => {
    const first = JSON.parse((await report(file, "--json", "--from", "2026-03-01", "--to", "2026-03-02")).stdout)
    expect(first).toMatchObject({ from: "2026-03-01T00:00:00.000Z", to: "2026-03-02T00:00:00.000Z" })
    expect(first.total).toMatchObject({ attempts: 2, cost: "2.00", unpriced: 0 })
    const none = await report(file, "--from", "2026-03-05", "--to", "2026-03-06")
    expect(none).toMatchObject({ code: 0, stdout: "Nothing was recorded from 2026-03-05 to 2026-03-05.\n" })
  })

  it("as CSV, with what needs quotes in quotes", async () => {
    const ran = await report(file, "--by", "project", "--csv")
    const lines = ran.stdout.split("\n")
    expect(lines[0]).toMatch(/^project,attempts,inputTokens,outputTokens,/)
    expect(lines[1]).toBe('"sea, ""deep""",3,3000,300,0,0,0,3.00,0')
    expect(lines).toHaveLength(4)
  })

  it("recommends what need not be spent", async () => {
    const repeated = join(folder, "repeated.db")
    const one = { target: "openai/gpt-4o", inputTokens: 900, outputTokens: 300, costNanos: 5_250_000n }
    await write(
      repeated,
      Array.from({ length: 100 }, (_, i) =>
        Ledger.entry({ ...one, id: `r${i}`, atMs: march + i, fingerprint: `f${i % 10}` })
      )
    )
    const ran = await report(repeated)
    expect(ran.stdout).toContain("What need not be spent")
    expect(ran.stdout).toMatch(/cache for openai\/gpt-4o: saves \$0\.4725\. 90 of 100 answers/)
    const json = JSON.parse((await report(repeated, "--json")).stdout)
    expect(json.recommendations).toContainEqual(expect.objectContaining({ rule: "cache", saving: "0.4725" }))
  })

  it("says that an empty ledger is empty", async () => {
    const empty = join(folder, "empty.db")
    await write(empty, [])
    expect(await report(empty)).toMatchObject({ code: 0, stdout: `The ledger ${empty} is empty.\n`, stderr: "" })
    expect(JSON.parse((await report(empty, "--json")).stdout)).toMatchObject({ groups: [], total: { attempts: 0 } })
    expect((await report(empty, "--csv")).stdout.split("\n")).toHaveLength(2)
  })
})

describe("breakwater report refuses", () => {
  const message = async (...args: ReadonlyArray<string>) => {
    const ran = await breakwater(["report", ...args])
    expect(ran).toMatchObject({ code: 1, stdout: "" })
    return ran.stderr
  }

  it("a file that is missing, and makes none", async () => {
    const missing = join(folder, "missing.db")
    expect(await message("--ledger", missing)).toContain(`there is no ledger ${missing}`)
    expect(existsSync(missing)).toBe(false)
    expect(await message()).toContain("--ledger is missing")
    expect(await message("--ledger", folder)).toContain("is no file")
    const json = await report(missing, "--json")
    expect(JSON.parse(json.stdout)).toMatchObject({ error: { tag: "ConfigError" } })
  })

  it("a file that is none of a ledger, and leaves it as it is", async () => {
    const damaged = join(folder, "damaged.db")
    writeFileSync(damaged, "This is no database, and it is longer than a header would be. ".repeat(100))
    expect(await message("--ledger", damaged)).toContain("is damaged, or no ledger at all: file is not a database")
    const other = join(folder, "other.db")
    const tables = Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      yield* sql`CREATE TABLE IF NOT EXISTS theirs (id INTEGER)`
      return yield* sql<{ name: string }>`SELECT name FROM sqlite_master`
    }).pipe(Effect.provide(Sqlite.layer({ filename: other })))
    await Effect.runPromise(tables)
    expect(await message("--ledger", other)).toContain("is no ledger: it has no table of records")
    expect(await Effect.runPromise(tables)).toEqual([{ name: "theirs" }])
  })

  it("a time that is none, and settings that exclude each other", async () => {
    expect(await message("--ledger", file, "--from", "2026-02-31")).toContain('--from is "2026-02-31"; allowed: a day')
    expect(await message("--ledger", file, "--to", "soon")).toContain('--to is "soon"')
    expect(await message("--ledger", file, "--from", "2026-03-02", "--to", "2026-03-01")).toContain(
      "--from is not before"
    )
    expect(await message("--ledger", file, "--time-zone", "Mars/Olympus")).toContain("Mars/Olympus is no time zone")
    expect((await report(file, "--json", "--csv")).code).toBe(1)
    expect((await report(file, "--by", "colour")).code).not.toBe(0)
  })
})
