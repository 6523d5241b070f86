import { Ledger, Money, Pricing } from "@breakwater/core"
import { Sqlite, SqlLedgerStore } from "@breakwater/stores/sql"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as SqlClient from "effect/sql/SqlClient"
import { spawnSync } from "node:child_process"
import {
  copyFileSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { makeVersion3 } from "../../support/ledger-law.ts"
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

const report = (file: string, ...args: ReadonlyArray<string>) => reportIn({ TZ: "UTC" }, file, ...args)

const reportIn = (env: Readonly<Record<string, string>>, file: string, ...args: ReadonlyArray<string>) =>
  breakwater(["report", "--ledger", file, ...args], { env })

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
    expect(lines[4]).toMatch(/\(none\) +1 +7 +0 +unknown +–$/)
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

  it("days, weeks and months are those of the zone, and of this machine where none is named", async () => {
    const zoned = join(folder, "zoned.db")
    // The clocks of Berlin go forward on the 29th of March 2026 and back on the 25th of October: days of 23 and 25 hours.
    const at = [
      ["a", "2026-03-28T22:59:59.999Z"],
      ["b", "2026-03-28T23:00:00.000Z"],
      ["c", "2026-03-29T21:59:59.999Z"],
      ["d", "2026-03-29T22:00:00.000Z"],
      ["e", "2026-03-31T21:59:59.999Z"],
      ["f", "2026-03-31T22:00:00.000Z"],
      ["g", "2026-10-24T22:00:00.000Z"],
      ["h", "2026-10-25T22:59:59.999Z"],
      ["i", "2026-10-25T23:00:00.000Z"]
    ] as const
    await write(
      zoned,
      at.map(([id, time], i) =>
        Ledger.entry({ id, atMs: Date.parse(time), target: "p/m", costNanos: 1_000_000_000n << BigInt(i) })
      )
    )
    const costs = async (env: Readonly<Record<string, string>>, ...args: ReadonlyArray<string>) => {
      const to = args.includes("--to") ? [] : ["--to", "2027-01-01"]
      const ran = await reportIn(env, zoned, "--json", ...to, ...args)
      const found = JSON.parse(ran.stdout)
      expect(found.error).toBeUndefined()
      return [
        found.timeZone,
        found.from,
        Object.fromEntries(found.groups.map((each: { value: string; cost: string }) => [each.value, Number(each.cost)]))
      ]
    }
    const berlin = "Europe/Berlin"
    const days = {
      "2026-03-28": 1,
      "2026-03-29": 6,
      "2026-03-30": 8,
      "2026-03-31": 16,
      "2026-04-01": 32,
      "2026-10-25": 192,
      "2026-10-26": 256
    }
    expect(await costs({ TZ: berlin }, "--by", "day")).toEqual([berlin, at[0][1], days])
    expect(await costs({ TZ: "UTC" }, "--by", "day", "--time-zone", berlin)).toEqual([berlin, at[0][1], days])
    const months = { "2026-03": 31, "2026-04": 32, "2026-10": 448 }
    expect(await costs({ TZ: berlin }, "--by", "month")).toEqual([berlin, at[0][1], months])
    const weeks = { "2026-03-23": 7, "2026-03-30": 56, "2026-10-19": 192, "2026-10-26": 256 }
    expect(await costs({ TZ: berlin }, "--by", "week")).toEqual([berlin, at[0][1], weeks])
    const one = ["--by", "day", "--from", "2026-03-29", "--to", "2026-03-30"]
    const [, from, groups] = await costs({ TZ: berlin }, ...one)
    expect([from, groups]).toEqual(["2026-03-28T23:00:00.000Z", { "2026-03-29": 6 }])
    // The hour from two to three was not there, that from two to three in October was there twice: the first counts.
    const leap = await costs({ TZ: berlin }, "--from", "2026-03-29T02:30")
    expect(leap[1]).toBe("2026-03-29T01:30:00.000Z")
    expect((await costs({ TZ: berlin }, "--from", "2026-10-25T02:30"))[1]).toBe("2026-10-25T00:30:00.000Z")
  })

  it("beside what a time as long before cost", async () => {
    const ran = JSON.parse((await report(file, "--json", "--from", "2026-03-02", "--to", "2026-03-03")).stdout)
    expect(ran.total.cost).toBe("2.000000001")
    expect(ran.before).toEqual({ from: "2026-03-01T00:00:00.000Z", to: "2026-03-02T00:00:00.000Z", cost: "2.00" })
    const text = (await report(file, "--from", "2026-03-02T00:00", "--to", "2026-03-03")).stdout
    expect(text).toContain("As long before\n  $2.0000 from 2026-03-01 to 2026-03-01 (+0.0 % since)")
    expect(JSON.parse((await report(file, "--json", "--from", "2026-02-27")).stdout).before).toBeNull()
  })

  it("writes nothing, neither into the file nor beside it", async () => {
    const alone = mkdtempSync(join(folder, "alone-"))
    const own = join(alone, "ledger.db")
    await write(own, known())
    const bytes = readFileSync(own)
    const changed = statSync(own).mtimeMs
    expect((await report(own)).code).toBe(0)
    expect(readdirSync(alone)).toEqual(["ledger.db"])
    expect([readFileSync(own).equals(bytes), statSync(own).mtimeMs]).toEqual([true, changed])
  })

  it("reads what another process is writing, up to its last record", async () => {
    const live = join(folder, "live.db")
    await write(live, known())
    const read = await Effect.runPromise(
      Effect.gen(function* () {
        const store = yield* SqlLedgerStore.make
        yield* store.append([Ledger.entry({ id: "live", atMs: march, target: "openai/gpt-4o", costNanos: 5n })])
        return yield* Effect.promise(() => report(live, "--json"))
      }).pipe(Effect.provide(Sqlite.layer({ filename: live })))
    )
    expect(JSON.parse(read.stdout).total).toMatchObject({ attempts: 6, cost: "4.000000006" })
  })

  it("reads from a disk that may only be read; what was not closed there is an error that says what to do", async (context) => {
    const disk = mkdtempSync(join(folder, "disk-"))
    if (spawnSync("mount", ["-t", "tmpfs", "tmpfs", disk]).status !== 0)
      return context.skip("nothing can be mounted here")
    try {
      const [closed, open] = [join(disk, "closed.db"), join(disk, "open.db")]
      await write(closed, known())
      await Effect.runPromise(
        Effect.gen(function* () {
          const store = yield* SqlLedgerStore.make
          yield* store.append(known())
          // As a process leaves it that is killed.
          for (const end of ["", "-wal"]) copyFileSync(`${join(disk, "busy.db")}${end}`, `${open}${end}`)
        }).pipe(Effect.provide(Sqlite.layer({ filename: join(disk, "busy.db") })))
      )
      expect(spawnSync("mount", ["-o", "remount,ro", disk]).status).toBe(0)
      const ran = await report(closed, "--json")
      expect(JSON.parse(ran.stdout).total).toMatchObject({ attempts: 5, cost: "4.000000001" })
      const denied = await report(open)
      expect(denied).toMatchObject({ code: 1, stdout: "" })
      expect(denied.stderr).toContain(`its last records are in ${open}-wal`)
      expect(denied.stderr).toContain("copy both")
    } finally {
      spawnSync("umount", ["-l", disk])
    }
  })

  it("reads a ledger of an older version, and leaves it as it is", async () => {
    const older = join(folder, "older.db")
    const version = await Effect.runPromise(
      Effect.gen(function* () {
        yield* makeVersion3
        const sql = yield* SqlClient.SqlClient
        yield* sql`ATTACH ${file} AS newer`
        yield* sql`INSERT INTO breakwater_ledger SELECT * FROM newer.breakwater_ledger`
      }).pipe(Effect.provide(Sqlite.layer({ filename: older })))
    ).then(() => report(older, "--json", "--by", "tenant"))
    expect(version).toMatchObject({ code: 0, stderr: "" })
    const rows = Effect.flatMap(
      SqlClient.SqlClient,
      (sql) => sql`SELECT max(version) AS version FROM breakwater_schema`
    )
    expect(await Effect.runPromise(Effect.provide(rows, Sqlite.layer({ filename: older, readOnly: true })))).toEqual([
      { version: 3n }
    ])
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
