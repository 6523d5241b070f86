import { Audit, FileAuditStore } from "@breakwater/audit"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import { spawn, spawnSync } from "node:child_process"
import {
  appendFileSync,
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  statfsSync,
  symlinkSync,
  truncateSync,
  writeFileSync
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { keyOf, make } from "./support.ts"

const folder = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "breakwater-audit-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
)

const quiet = Effect.provide(Logger.layer([]))

/** Uses a log, and closes it. */
const using = <A, E>(path: string, use: (audit: Audit.AuditService) => Effect.Effect<A, E>) =>
  Effect.scoped(Effect.flatMap(Effect.flatMap(FileAuditStore.make({ path, synchronous: "normal" }), make), use))

const verify = (path: string, options?: Audit.VerifyOptions) =>
  Audit.verify(FileAuditStore.reader(path), [keyOf("k1")], options)

const recordMany = (audit: Audit.AuditService, count: number) =>
  Effect.forEach(Array.from({ length: count }), (_, index) => audit.record({ action: "a", requestId: `${index}` }), {
    concurrency: "unbounded"
  })

/** A log of some entries. */
const filled = Effect.gen(function* () {
  const path = join(yield* folder, "audit.log")
  yield* using(path, (audit) => recordMany(audit, 5))
  return path
})

const actions = (path: string) =>
  Effect.map(Audit.read(FileAuditStore.reader(path), [keyOf("k1")]), ({ entries, verified }) => {
    expect(verified).toBe(true)
    return entries.map(({ action }) => action).toReversed()
  })

describe("FileAuditStore", () => {
  it.live("is a file of lines for its owner alone, with a head beside it", () =>
    Effect.gen(function* () {
      const path = yield* filled
      expect(readdirSync(join(path, "..")).toSorted()).toEqual(["audit.log", "audit.log.head", "audit.log.lock"])
      expect(statSync(path).mode & 0o777).toBe(0o600)
      const text = readFileSync(path, "utf8")
      expect(text.trimEnd().split("\n").length).toBe(7)
      expect(text).toMatch(/^\{"v":1,"type":"entry","seq":1,"at":\d+,"key":"k1","prev":"A{43}","nonce":"/)
      expect(yield* actions(path)).toEqual(["audit-started", "a", "a", "a", "a", "a", "audit-stopped"])
    }).pipe(Effect.scoped)
  )

  it.live("one process, and one place in it, writes at a time; anybody reads meanwhile", () =>
    Effect.gen(function* () {
      const path = yield* filled
      yield* Effect.scoped(
        Effect.gen(function* () {
          const audit = yield* Effect.flatMap(FileAuditStore.make({ path }), make)
          const again = yield* Effect.flip(FileAuditStore.make({ path }))
          expect(again).toMatchObject({ _tag: "AuditError", reason: "locked" })
          const script =
            'const { FileAuditStore } = await import("@breakwater/audit"); const { Effect } = await import("effect");' +
            `const exit = await Effect.runPromiseExit(Effect.scoped(FileAuditStore.make({ path: ${JSON.stringify(path)} })));` +
            "process.stdout.write(JSON.stringify(exit))"
          const other = spawnSync(
            process.execPath,
            ["--conditions=breakwater-source", "--no-warnings", "--input-type=module", "-e", script],
            { encoding: "utf8", cwd: join(import.meta.dirname, "../../..") }
          )
          expect(other.stdout).toContain("locked")
          yield* audit.record({ action: "b" })
          expect((yield* verify(path)).sound).toBe(true)
        })
      )
      expect((yield* using(path, () => verify(path))).sound).toBe(true)
    }).pipe(Effect.scoped)
  )

  it.live("a dead process does not keep the right to write", () =>
    Effect.gen(function* () {
      const path = join(yield* folder, "audit.log")
      const script = join(import.meta.dirname, "../../support/audit-writer.ts")
      const child = spawn(process.execPath, ["--conditions=breakwater-source", "--no-warnings", script, path], {
        stdio: ["ignore", "pipe", "inherit"]
      })
      yield* Effect.promise(() => new Promise((resolve) => child.stdout.once("data", resolve)))
      expect(yield* Effect.flip(FileAuditStore.make({ path }))).toMatchObject({ reason: "locked" })
      yield* Effect.promise(
        () =>
          new Promise((resolve) => {
            child.once("exit", resolve)
            child.kill("SIGKILL")
          })
      )
      expect(yield* using(path, (audit) => Effect.map(audit.verify(), ({ findings }) => findings))).toEqual([])
    }).pipe(Effect.scoped)
  )

  it.live.each<readonly [string, Buffer]>([
    ["the beginning of a line", Buffer.from('{"v":1,"type":"entry","seq":8,"at":17')],
    ["a single byte", Buffer.from("{")],
    ["blocks of zeros, as a power cut leaves them", Buffer.alloc(9_000)],
    ["zeros and then a line", Buffer.concat([Buffer.alloc(100), Buffer.from('\n{"v":1,"type":"entry","seq":9"}\n')])],
    ["a megabyte", Buffer.alloc(1_000_000, "x")]
  ])("what an unfinished write has left is written over, and that is recorded: %s", ([, torn]) =>
    Effect.gen(function* () {
      const path = yield* filled
      appendFileSync(path, torn)
      const before = yield* verify(path)
      expect(before.sound).toBe(false)
      const size = statSync(path).size
      yield* using(path, (audit) => audit.record({ action: "b" }))
      const { findings } = yield* verify(path)
      expect(findings).toEqual([])
      expect((yield* actions(path)).slice(-4)).toEqual(["audit-repaired", "audit-started", "b", "audit-stopped"])
      const { entries } = yield* Audit.read(FileAuditStore.reader(path), [keyOf("k1")], { action: "audit-repaired" })
      expect(entries[0]!.details).toEqual({ offset: size - torn.length, bytes: torn.length })
    }).pipe(Effect.scoped)
  )

  it.live("entries after the one that the head names are kept: they are whole, and of the key", () =>
    Effect.gen(function* () {
      const path = yield* filled
      const head = readFileSync(`${path}.head`)
      yield* using(path, (audit) => recordMany(audit, 3))
      // A process that was killed after the log, and before the head.
      writeFileSync(`${path}.head`, head)
      expect((yield* verify(path)).findings).toEqual([])
      yield* using(path, (audit) => audit.record({ action: "b" }))
      expect(yield* verify(path)).toMatchObject({ sound: true, entries: 7 + 5 + 3 })
    }).pipe(Effect.scoped)
  )

  it.live("a log that ends before its head, or whose end was edited, is not written to, nor changed", () =>
    Effect.gen(function* () {
      const changes: ReadonlyArray<(path: string) => void> = [
        (path) => truncateSync(path, statSync(path).size - 400),
        (path) => truncateSync(path, 0),
        (path) => rmSync(`${path}.head`),
        (path) => writeFileSync(`${path}.head`, ""),
        (path) => writeFileSync(`${path}.head`, readFileSync(`${path}.head`, "utf8").replace('"seq":7', '"seq":3')),
        (path) => writeFileSync(`${path}.head`, `${readFileSync(`${path}.head`, "utf8")}\n`),
        (path) => {
          const text = readFileSync(path, "utf8")
          writeFileSync(path, text.slice(0, -20) + "AAAA" + text.slice(-16))
        },
        (path) => {
          const lines = readFileSync(path, "utf8").split("\n")
          writeFileSync(path, lines.with(6, lines[5]!).join("\n"))
        },
        (path) => rmSync(path)
      ]
      for (const [index, change] of changes.entries()) {
        const path = yield* filled
        change(path)
        const before = existsSync(path) ? readFileSync(path) : Buffer.alloc(0)
        const error = yield* Effect.flip(using(path, () => Effect.void))
        expect(error, `change ${index}`).toMatchObject({ _tag: "AuditError", reason: "broken" })
        expect(readFileSync(path).equals(before), `change ${index}`).toBe(true)
        expect((yield* verify(path)).sound, `change ${index}`).toBe(false)
      }
    }).pipe(Effect.scoped)
  )

  it.live("verify tells the line, the byte and the entry", () =>
    Effect.gen(function* () {
      const path = yield* filled
      const lines = readFileSync(path, "utf8").split("\n")
      writeFileSync(path, lines.with(3, lines[3]!.replace('"at":1', '"at":2')).toSpliced(5, 1).join("\n"))
      const { findings } = yield* verify(path)
      const offset = (line: number) => lines.slice(0, line).join("\n").length + 1
      expect(findings.map(({ entry, kind, line, place }) => [kind, entry, line, place])).toEqual([
        ["edited", 4, 4, offset(3)],
        ["missing", 6, 6, offset(5)]
      ])
      const anchor = (yield* verify(path)).anchor
      expect(anchor).toMatch(/^[0-9a-f]{64}@7$/)
    }).pipe(Effect.scoped)
  )

  it.live("an older copy of log and head is only found by an anchor", () =>
    Effect.gen(function* () {
      const path = yield* filled
      const copies = ["", ".head"].map((suffix) => [path + suffix, readFileSync(path + suffix)] as const)
      const anchor = yield* using(path, (audit) =>
        Effect.map(Effect.andThen(recordMany(audit, 2), audit.head), (head) => head.anchor)
      )
      expect(yield* verify(path, { anchor })).toMatchObject({ sound: true, anchored: "found" })
      for (const [file, bytes] of copies) writeFileSync(file, bytes)
      expect((yield* verify(path)).sound).toBe(true)
      const { anchored, findings } = yield* verify(path, { anchor })
      expect([anchored, findings.map(({ kind }) => kind)]).toEqual(["missing", ["anchor"]])
      expect(yield* Effect.flip(verify(path, { anchor: "nonsense" }))).toMatchObject({ reason: "record" })
    }).pipe(Effect.scoped)
  )

  it.live("while it is written, a log that was moved away, made shorter or longer is not written on", () =>
    Effect.gen(function* () {
      const changes: ReadonlyArray<(path: string) => void> = [
        (path) => renameSync(path, `${path}.1`),
        (path) => truncateSync(path, 100),
        (path) => appendFileSync(path, "x"),
        (path) => {
          renameSync(path, `${path}.1`)
          writeFileSync(path, readFileSync(`${path}.1`))
        }
      ]
      for (const change of changes) {
        const path = join(yield* folder, "audit.log")
        yield* using(path, (audit) =>
          Effect.gen(function* () {
            yield* recordMany(audit, 3)
            change(path)
            expect(yield* Effect.flip(audit.record({ action: "b" }))).toMatchObject({ reason: "store" })
          })
        )
      }
    }).pipe(Effect.scoped, quiet)
  )

  it.live("a prune makes the file shorter, and one that was cut short by a crash leaves it as it was", () =>
    Effect.gen(function* () {
      const path = join(yield* folder, "audit.log")
      yield* using(path, (audit) =>
        Effect.gen(function* () {
          yield* recordMany(audit, 2_000)
          const { entries } = yield* audit.entries({ limit: 1 })
          const size = statSync(path).size
          // A prune that did not come to its end.
          writeFileSync(`${path}.new`, "half of it")
          yield* Effect.sleep("5 millis")
          yield* audit.record({ action: "kept" })
          expect((yield* audit.prune(entries[0]!.at + 1)).entries).toBeGreaterThan(1_900)
          expect(statSync(path).size).toBeLessThan(size / 10)
          expect(existsSync(`${path}.new`)).toBe(false)
          expect((yield* audit.verify()).findings).toEqual([])
          yield* audit.record({ action: "after" })
        })
      )
      expect(yield* using(path, (audit) => audit.verify())).toMatchObject({ sound: true })
      const text = readFileSync(path, "utf8")
      // The checkpoint is under the chain, too.
      writeFileSync(path, text.replace('"type":"checkpoint","seq":2', '"type":"checkpoint","seq":1'))
      expect((yield* verify(path)).findings[0]).toMatchObject({ kind: "edited", line: 1 })
      writeFileSync(path, text.slice(text.indexOf("\n") + 1))
      expect((yield* verify(path)).findings[0]).toMatchObject({ kind: "missing", entry: 1 })
    }).pipe(Effect.scoped)
  )

  it.live("a log is read while it grows: nothing is wrong with it at any moment", () =>
    Effect.gen(function* () {
      const path = join(yield* folder, "audit.log")
      yield* using(path, (audit) =>
        Effect.gen(function* () {
          let done = false
          const writing = Effect.andThen(
            Effect.forEach(
              Array.from({ length: 3_000 }),
              () => audit.record({ action: "a", details: "x".repeat(2_000) }),
              { concurrency: 100, discard: true }
            ),
            Effect.sync(() => {
              done = true
            })
          )
          const reading = Effect.gen(function* () {
            let looks = 0
            while (!done) {
              const result = yield* verify(path)
              expect(result.findings).toEqual([])
              looks++
            }
            return looks
          })
          const [, looks] = yield* Effect.all([writing, reading], { concurrency: 2 })
          expect(looks).toBeGreaterThan(1)
        })
      )
    }).pipe(Effect.scoped)
  )

  it.live("its writer may verify and read it while it writes, and sees what is done to it meanwhile", () =>
    Effect.gen(function* () {
      const path = join(yield* folder, "audit.log")
      yield* using(path, (audit) =>
        Effect.gen(function* () {
          let done = false
          const writing = Effect.andThen(
            Effect.forEach(
              Array.from({ length: 1_500 }),
              () => audit.record({ action: "a", details: "x".repeat(500) }),
              { concurrency: 7, discard: true }
            ),
            Effect.sync(() => {
              done = true
            })
          )
          const reading = Effect.gen(function* () {
            while (!done) {
              expect((yield* audit.verify()).findings).toEqual([])
              expect((yield* audit.entries({ limit: 30 })).verified).toBe(true)
              yield* audit.head
            }
          })
          yield* Effect.all([writing, reading], { concurrency: 2 })
          const head = readFileSync(`${path}.head`, "utf8")
          writeFileSync(`${path}.head`, head.replace('"at":1', '"at":2'))
          expect((yield* audit.verify()).findings).toMatchObject([{ kind: "head" }])
          writeFileSync(`${path}.head`, head)
          expect((yield* audit.verify()).sound).toBe(true)
        })
      )
    }).pipe(Effect.scoped)
  )

  it.live("what cannot be opened is said, and what is not there cannot be verified", () =>
    Effect.gen(function* () {
      const path = yield* folder
      expect(yield* Effect.flip(FileAuditStore.make({ path: join(path, "no", "audit.log") }))).toMatchObject({
        reason: "store"
      })
      expect(yield* Effect.flip(FileAuditStore.make({ path }))).toMatchObject({ _tag: "AuditError" })
      expect((yield* Effect.flip(FileAuditStore.make({ path: " " })))._tag).toBe("ConfigError")
      expect((yield* Effect.flip(FileAuditStore.make({ path: "x", synchronous: "maybe" as never })))._tag).toBe(
        "ConfigError"
      )
      expect(yield* Effect.flip(verify(join(path, "none.log")))).toMatchObject({ reason: "store" })
      writeFileSync(join(path, "other"), "not a log\n\u0000\n")
      expect(yield* verify(join(path, "other"))).toMatchObject({ sound: false, checked: false })
    }).pipe(Effect.scoped)
  )

  it.live(
    "a full disk: a typed error, events wait, a gap is recorded, and the log is sound when there is room",
    (context) =>
      Effect.gen(function* () {
        const mount = join(yield* folder, "small")
        mkdirSync(mount)
        const mounted = spawnSync("mount", ["-t", "tmpfs", "-o", "size=1m", "tmpfs", mount])
        if (mounted.status !== 0) return context.skip("no small file system can be mounted here")
        yield* Effect.addFinalizer(() => Effect.sync(() => spawnSync("umount", ["-l", mount])))
        const ballast = join(mount, "ballast")
        writeFileSync(ballast, Buffer.alloc(400_000))
        const path = join(mount, "audit.log")
        yield* Effect.scoped(
          Effect.gen(function* () {
            const store = yield* FileAuditStore.make({ path })
            const audit = yield* make(store, { maxWaiting: 50, flushEvery: "1 millis" })
            let acknowledged = 0
            let error: Audit.AuditError | undefined
            while (error === undefined && acknowledged < 5_000) {
              const result = yield* Effect.result(audit.record({ action: "mine", details: "x".repeat(997) }))
              if (result._tag === "Success") acknowledged++
              else error = result.failure
            }
            expect(error).toMatchObject({ _tag: "AuditError", reason: "store" })
            expect(error!.message).toContain("ENOSPC")
            expect((yield* verify(path)).findings).toEqual([])
            for (let index = 0; index < 80; index++) yield* audit.offer({ action: "event", details: "x".repeat(997) })
            expect(yield* audit.waiting).toBe(50)
            rmSync(ballast)
            yield* audit.flush
            const { entries } = yield* audit.entries({ limit: 10_000 })
            const count = (action: string) => entries.filter((entry) => entry.action === action).length
            expect([count("mine"), count("event")]).toEqual([acknowledged, 50])
            expect(entries.find((entry) => entry.action === "audit-entries-lost")!.details).toMatchObject({ count: 30 })
            expect(count("audit-resumed")).toBe(1)
            expect((yield* audit.verify()).findings).toEqual([])
            // Not enough for a second copy of what a prune keeps: it fails, and leaves none of it.
            const { bfree, bsize } = statfsSync(mount)
            writeFileSync(ballast, Buffer.alloc(bfree * bsize - 100_000))
            const before = entries.at(-1)!.at + 1
            expect(yield* Effect.flip(audit.prune(before))).toMatchObject({ reason: "store" })
            expect(readdirSync(mount).filter((name) => name.endsWith(".new"))).toEqual([])
            expect((yield* audit.record({ action: "after" })).seq).toBeGreaterThan(acknowledged)
          })
        )
        expect((yield* verify(path)).findings).toEqual([])
      }).pipe(Effect.scoped, quiet)
  )

  it.live("a link is another name of the same log: one lock, one head, and a prune of the file itself", () =>
    Effect.gen(function* () {
      const base = yield* folder
      mkdirSync(join(base, "data"))
      const [path, link] = [join(base, "data", "audit.log"), join(base, "link.log")]
      // There is nothing yet where it leads.
      symlinkSync(path, link)
      yield* using(link, (audit) =>
        Effect.gen(function* () {
          yield* recordMany(audit, 5)
          expect(yield* Effect.flip(Effect.scoped(FileAuditStore.make({ path })))).toMatchObject({ reason: "locked" })
          const { entries } = yield* audit.entries({ limit: 1 })
          yield* Effect.sleep("5 millis")
          expect((yield* audit.prune(entries[0]!.at + 1)).entries).toBe(6)
          yield* audit.record({ action: "after" })
        })
      )
      expect(lstatSync(link).isSymbolicLink()).toBe(true)
      expect(readdirSync(base).toSorted()).toEqual(["data", "link.log"])
      expect(yield* verify(link)).toMatchObject({ sound: true, pruned: { entries: 6 } })
      yield* using(path, (audit) => recordMany(audit, 1))
      expect(yield* verify(path)).toMatchObject({ sound: true })
    }).pipe(Effect.scoped)
  )

  it.live("who else may read the log may read its head, too, and what a prune leaves", () =>
    Effect.gen(function* () {
      const path = join(yield* folder, "audit.log")
      const modes = () => [path, `${path}.head`].map((each) => statSync(each).mode & 0o777)
      yield* using(path, (audit) => recordMany(audit, 5))
      expect(modes()).toEqual([0o600, 0o600])
      chmodSync(path, 0o640)
      yield* using(path, (audit) =>
        Effect.gen(function* () {
          yield* recordMany(audit, 1)
          expect(modes()).toEqual([0o640, 0o640])
          chmodSync(path, 0o644)
          yield* audit.prune(Date.now() + 60_000)
          yield* recordMany(audit, 1)
          expect(modes()).toEqual([0o644, 0o644])
        })
      )
    }).pipe(Effect.scoped)
  )

  it.live("is a Layer", () =>
    Effect.gen(function* () {
      const path = join(yield* folder, "audit.log")
      const layer = Audit.layer({ keys: [keyOf("k1")] }).pipe(Layer.provide(FileAuditStore.layer({ path })))
      yield* Effect.flatMap(Audit.Audit, (audit) => audit.record({ action: "a" })).pipe(Effect.provide(layer))
      expect(yield* actions(path)).toEqual(["audit-started", "a", "audit-stopped"])
    }).pipe(Effect.scoped)
  )
})
