/** A process that is killed while it writes the audit log loses nothing that was acknowledged, again and again. */
import { Audit, FileAuditStore } from "@breakwater/audit"
import { AuditStore } from "@breakwater/core"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { expect, it } from "vitest"

const rounds = 31
const script = join(import.meta.dirname, "../support/audit-writer.ts")

/** A writer that has started, and has not begun to write. It finds compiled what the one before it has compiled. */
const warm = (path: string, compiled: string): ChildProcessWithoutNullStreams =>
  spawn(process.execPath, ["--conditions=breakwater-source", "--no-warnings", script, path, "warm"], {
    env: { ...process.env, NODE_COMPILE_CACHE: compiled }
  })

/** Lets a writer write, kills it after so long, and answers with what it had said by then. */
const round = (child: ChildProcessWithoutNullStreams, afterMs: number): Promise<string> =>
  new Promise((resolve, reject) => {
    let said = ""
    let complained = ""
    child.stderr.on("data", (chunk) => (complained += String(chunk)))
    child.stdout.on("data", (chunk) => {
      // From its first words on, some of them kill it while it starts.
      if (said === "") setTimeout(() => child.kill("SIGKILL"), afterMs)
      said += String(chunk)
    })
    child.once("error", reject)
    child.once("close", (_, signal) => (signal === "SIGKILL" ? resolve(said) : reject(new Error(complained))))
    child.stdin.write("go\n")
  })

it(`${rounds} kills in mid-write: the log is sound after each, and every acknowledged entry is there`, async () => {
  const folder = mkdtempSync(join(tmpdir(), "breakwater-audit-kill-"))
  const path = join(folder, "audit.log")
  const keys = [{ id: "k1", key: Redacted.make("a".repeat(64)) }]
  const acknowledged = new Map<number, string>()
  // While one writes, the next ones start: that takes most of the time.
  const writers: Array<ChildProcessWithoutNullStreams> = []
  const next = (): ChildProcessWithoutNullStreams => {
    while (writers.length < 3) writers.push(warm(path, join(folder, "compiled")))
    return writers.shift()!
  }
  try {
    for (let index = 0; index < rounds; index++) {
      for (const line of (await round(next(), (index * 37) % 120)).split("\n")) {
        const found = /^(\d+) (.+)$/.exec(line)
        if (found !== null) acknowledged.set(Number(found[1]), found[2]!)
      }
    }
    expect(acknowledged.size).toBeGreaterThan(rounds)
    // Torn, if at all, at its end: the next writer repairs that.
    const torn = await Effect.runPromise(Audit.verify(FileAuditStore.reader(path), keys))
    expect(torn.findings.filter(({ kind }) => kind !== "torn")).toEqual([])
    await round(next(), 50)
    const repaired = await Effect.runPromise(
      Effect.scoped(
        Effect.gen(function* () {
          const store = yield* FileAuditStore.make({ path })
          const audit = yield* Effect.provideService(Audit.make({ keys }), AuditStore.AuditStore, store)
          const { findings, last } = yield* audit.verify()
          expect(findings).toEqual([])
          const ids = new Map<number, string | undefined>()
          let starts = 0
          let repairs = 0
          let before: number | undefined
          do {
            const page: Audit.EntryPage = yield* audit.entries({
              limit: 1_000,
              ...(before === undefined ? undefined : { before })
            })
            expect(page.verified).toBe(true)
            for (const entry of page.entries) {
              ids.set(entry.seq, entry.requestId)
              if (entry.action === "audit-started") starts++
              if (entry.action === "audit-repaired") repairs++
            }
            before = page.before
          } while (before !== undefined)
          expect(ids.size).toBe(last)
          expect(starts).toBe(rounds + 2)
          for (const [seq, id] of acknowledged) expect(ids.get(seq)).toBe(id)
          return repairs
        })
      )
    )
    expect(repaired).toBeLessThanOrEqual(rounds + 1)
    expect(readFileSync(path, "latin1").endsWith("\n")).toBe(true)
  } finally {
    for (const writer of writers) writer.kill("SIGKILL")
    rmSync(folder, { recursive: true, force: true })
  }
}, 400_000)
