import { Audit, KeyRing } from "@breakwater/audit"
import { AuditStore, Event, LLM, LLMProvider } from "@breakwater/core"
import { Failures, ScriptedProvider } from "@breakwater/testing"
import { describe, expect, it } from "@effect/vitest"
import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/testing/TestClock"
import { keyOf, make, makeFlaky } from "./support.ts"

const quiet = Effect.provide(Logger.layer([]))

describe("Audit", () => {
  it.effect("records in order, numbered without gaps, and is done when the store has it", () =>
    Effect.gen(function* () {
      const store = yield* AuditStore.makeMemory
      const audit = yield* make(store)
      const first = yield* audit.record({ action: "one" })
      const rest = yield* Effect.forEach(["two", "three", "four"], (action) => audit.record({ action }), {
        concurrency: "unbounded"
      })
      expect([first, ...rest].map(({ seq }) => seq)).toEqual([2, 3, 4, 5])
      expect((yield* audit.head).anchor).toBe(rest[2]!.anchor)
      const { entries } = yield* audit.entries()
      expect(entries.map(({ action }) => action)).toEqual(["four", "three", "two", "one", "audit-started"])
      // Nobody who has the store alone reads what was done.
      expect((yield* store.newest(9)).map(({ text }) => text).join("")).not.toContain("three")
    }).pipe(Effect.scoped)
  )

  it.effect("entries of events are written together, and wait no longer than flushEvery", () =>
    Effect.gen(function* () {
      const { state, store } = yield* makeFlaky
      const audit = yield* make(store, { flushEvery: "50 millis" })
      const before = state.appends
      for (let index = 0; index < 100; index++) yield* audit.offer({ action: "a" })
      yield* TestClock.adjust("49 millis")
      expect([state.appends, yield* audit.waiting]).toEqual([before, 100])
      yield* TestClock.adjust("1 millis")
      expect([state.appends, yield* audit.waiting]).toEqual([before + 1, 0])
      expect((yield* audit.entries({ action: "a", limit: 1_000 })).entries.length).toBe(100)
    }).pipe(Effect.scoped)
  )

  it.effect("a batch has no more entries than it may, and less of large ones", () =>
    Effect.gen(function* () {
      const { state, store } = yield* makeFlaky
      const audit = yield* make(store, { batch: 10 })
      const before = state.appends
      for (let index = 0; index < 25; index++) yield* audit.offer({ action: "a" })
      yield* audit.flush
      expect(state.appends - before).toBe(3)
      for (let index = 0; index < 10; index++) yield* audit.offer({ action: "a", details: "x".repeat(1_000_000) })
      yield* audit.flush
      expect(state.appends - before).toBe(3 + 2)
      expect((yield* audit.verify()).sound).toBe(true)
    }).pipe(Effect.scoped)
  )

  it.effect("a store that fails: who waits is told, events wait and are written when it is back", () =>
    Effect.gen(function* () {
      const events: Array<Event.PolicyEvent> = []
      const { state, store } = yield* makeFlaky
      const audit = yield* make(store, { maxWaiting: 5 }).pipe(
        Effect.provideService(Event.EventSink, (event) => {
          events.push(event)
        })
      )
      state.fails = true
      expect(yield* Effect.flip(audit.record({ action: "mine" }))).toMatchObject({
        _tag: "AuditError",
        reason: "store",
        message: "no space left on device"
      })
      for (let index = 0; index < 8; index++) yield* audit.offer({ action: `event-${index}` })
      expect(yield* audit.waiting).toBe(5)
      expect((yield* Effect.flip(audit.flush)).reason).toBe("store")
      yield* TestClock.adjust("30 seconds")
      const tries = state.appends
      yield* TestClock.adjust("20 seconds")
      // Every ten seconds by then.
      expect(state.appends - tries).toBe(2)
      state.fails = false
      yield* TestClock.adjust("10 seconds")
      expect(yield* audit.waiting).toBe(0)
      const { entries } = yield* audit.entries()
      expect(entries.map(({ action }) => action)).toEqual([
        "audit-entries-lost",
        "audit-resumed",
        ...[4, 3, 2, 1, 0].map((index) => `event-${index}`),
        "audit-started"
      ])
      expect(entries[0]!.details).toMatchObject({ count: 3 })
      expect(events.map((event) => (event.type === "audit-store-changed" ? event.available : event.type))).toEqual([
        false,
        "audit-entries-lost",
        "audit-entries-lost",
        "audit-entries-lost",
        true
      ])
      expect((yield* audit.verify()).sound).toBe(true)
    }).pipe(Effect.scoped, quiet)
  )

  it.effect("record waits for room, and can be interrupted while it does", () =>
    Effect.gen(function* () {
      const { state, store } = yield* makeFlaky
      const audit = yield* make(store, { maxWaiting: 2 })
      state.fails = true
      yield* audit.offer({ action: "a" })
      yield* audit.offer({ action: "b" })
      const waiting = yield* Effect.forkChild(audit.record({ action: "c" }))
      const gone = yield* Effect.forkChild(audit.record({ action: "d" }))
      yield* TestClock.adjust("5 seconds")
      expect(waiting.pollUnsafe()).toBeUndefined()
      yield* Fiber.interrupt(gone)
      state.fails = false
      yield* TestClock.adjust("10 seconds")
      expect((yield* Fiber.join(waiting)).seq).toBe(5)
      expect((yield* audit.entries({ action: "a" })).entries.length).toBe(1)
      expect((yield* audit.entries({ action: "d" })).entries.length).toBe(0)
    }).pipe(Effect.scoped, quiet)
  )

  it.effect("ready and admit hold up a call while the log is not written, and refuse it when that takes too long", () =>
    Effect.gen(function* () {
      const { state, store } = yield* makeFlaky
      const audit = yield* make(store, { readyWait: "11 seconds" })
      yield* audit.ready
      state.fails = true
      yield* Effect.flip(audit.record({ action: "a" }))
      const refused = yield* Effect.forkChild(Effect.flip(audit.admit({} as never)))
      yield* TestClock.adjust("11 seconds")
      expect(yield* Fiber.join(refused)).toMatchObject({ _tag: "StoreError", store: "flaky" })
      // Nothing waits to be written, and the store is tried all the same.
      yield* TestClock.adjust("30 seconds")
      const held = yield* Effect.forkChild(audit.ready)
      state.fails = false
      yield* TestClock.adjust("10 seconds")
      expect((yield* Fiber.await(held))._tag).toBe("Success")
    }).pipe(Effect.scoped, quiet)
  )

  it.effect("a store that takes no end is one that does not write, until it has an end", () =>
    Effect.gen(function* () {
      const memory = yield* AuditStore.makeMemory
      const gate = yield* Latch.make(true)
      const audit = yield* make({ ...memory, append: (build) => gate.whenOpen(memory.append(build)) })
      yield* gate.close
      yield* audit.offer({ action: "a" })
      yield* TestClock.adjust("50 millis")
      yield* audit.ready
      yield* TestClock.adjust("1 second")
      const refused = yield* Effect.forkChild(Effect.flip(audit.ready))
      yield* TestClock.adjust("1 second")
      expect((yield* Fiber.join(refused)).message).toContain("has not taken a batch for longer than 1000 ms")
      yield* gate.open
      yield* audit.flush
      yield* audit.ready
      expect((yield* audit.entries()).entries.map(({ action }) => action)).toEqual(["a", "audit-started"])
    }).pipe(Effect.scoped, quiet)
  )

  it.effect("a store that is broken is one that fails, and is tried again", () =>
    Effect.gen(function* () {
      const memory = yield* AuditStore.makeMemory
      let broken = false
      const audit = yield* make({
        ...memory,
        append: (build) => Effect.suspend(() => (broken ? Effect.die(new Error("a bug")) : memory.append(build)))
      })
      broken = true
      yield* audit.offer({ action: "event" })
      expect((yield* Effect.flip(audit.record({ action: "a" }))).reason).toBe("store")
      broken = false
      yield* audit.record({ action: "b" })
      const { entries } = yield* audit.entries()
      expect(entries.map(({ action }) => action)).toEqual(["audit-resumed", "b", "event", "audit-started"])
    }).pipe(Effect.scoped, quiet)
  )

  it.effect("the end of the scope writes what waits, and says that it stopped; nothing is taken after it", () =>
    Effect.gen(function* () {
      const store = yield* AuditStore.makeMemory
      const scope = yield* Scope.make()
      const audit = yield* Scope.provide(make(store), scope)
      for (let index = 0; index < 700; index++) yield* audit.offer({ action: "a" })
      yield* Scope.close(scope, Exit.void)
      expect((yield* Effect.flip(audit.record({ action: "late" }))).reason).toBe("closed")
      const again = yield* make(store)
      const { entries } = yield* again.entries({ limit: 2 })
      expect(entries.map(({ action }) => action)).toEqual(["audit-started", "audit-stopped"])
      expect((yield* again.verify()).entries).toBe(1 + 700 + 1 + 1)
    }).pipe(Effect.scoped)
  )

  it.effect("what cannot be recorded is refused: cycles, bigints in details, texts without end, nonsense", () =>
    Effect.gen(function* () {
      const audit = yield* make(yield* AuditStore.makeMemory, { maxEntryBytes: 2_000 })
      const cycle: Record<string, never> = {}
      cycle["self"] = cycle as never
      const wrong: ReadonlyArray<Audit.AuditRecord> = [
        { action: "" },
        { action: "a".repeat(201) },
        { action: "a", details: cycle },
        { action: "a", details: 1n as never },
        { action: "a", details: "x".repeat(2_000) },
        { action: "a", tokens: { input: Number.NaN, output: 1 } },
        { action: "a", tokens: { input: 1, output: -1 } },
        { action: "a", at: Infinity },
        // A number that no line has room for.
        { action: "a", at: 1e16 },
        { action: "a", at: -1e300 }
      ]
      for (const record of wrong) expect((yield* Effect.flip(audit.record(record))).reason).toBe("record")
      // From an event it is lost, and the log says so.
      yield* audit.offer(wrong[4]!)
      yield* audit.flush
      expect((yield* audit.entries()).entries.map(({ action }) => action)).toEqual([
        "audit-entries-lost",
        "audit-started"
      ])
    }).pipe(Effect.scoped)
  )

  it.effect("control characters, lone surrogates and other writing come back as they were, or as JSON has them", () =>
    Effect.gen(function* () {
      const audit = yield* make(yield* AuditStore.makeMemory)
      const text = '\u0000\n\r\u001b[31m\u2028"\\\ud800 žluťoučký 日本 🙂'
      yield* audit.record({ action: text, actor: { user: text }, details: { [text]: text } })
      const { entries } = yield* audit.entries({ limit: 1 })
      expect(entries[0]).toMatchObject({ action: text, actor: { user: text }, details: { [text]: text } })
    }).pipe(Effect.scoped)
  )

  it.effect("a clock that is set back changes nothing but what it says, and is told", () =>
    Effect.gen(function* () {
      const audit = yield* make(yield* AuditStore.makeMemory)
      for (const at of [10_000_000, 9_999_500, 5_000_000, 20_000_000]) yield* audit.record({ action: "a", at })
      expect(yield* audit.verify()).toMatchObject({ sound: true, clockSteps: 1 })
      expect((yield* audit.entries({ action: "a" })).entries.map(({ at }) => at)).toEqual([
        20_000_000, 5_000_000, 9_999_500, 10_000_000
      ])
    }).pipe(Effect.scoped)
  )

  it.effect("entries are told apart by who, what, when and how it ended", () =>
    Effect.gen(function* () {
      const audit = yield* make(yield* AuditStore.makeMemory)
      for (let index = 0; index < 60; index++) {
        yield* audit.record({
          action: index % 2 === 0 ? "request" : "key-created",
          actor: { tenant: `t${index % 3}`, user: `u${index % 5}`, key: `k${index % 7}` },
          requestId: `r${index}`,
          outcome: index % 4 === 0 ? "failure" : "success",
          flags: index % 10 === 0 ? ["pii-redacted"] : [],
          at: 1_000 + index
        })
      }
      const count = (query: Audit.EntryQuery) =>
        Effect.map(audit.entries({ limit: 1_000, ...query }), ({ entries, verified }) => {
          expect(verified).toBe(true)
          return entries.length
        })
      expect(yield* count({ action: "request" })).toBe(30)
      expect(yield* count({ tenant: "t1" })).toBe(20)
      expect(yield* count({ user: "u0", tenant: "t0" })).toBe(4)
      expect(yield* count({ key: "k6" })).toBe(8)
      expect(yield* count({ requestId: "r7" })).toBe(1)
      expect(yield* count({ outcome: "failure" })).toBe(15)
      expect(yield* count({ flag: "pii-redacted" })).toBe(6)
      expect(yield* count({ fromMs: 1_010, toMs: 1_020 })).toBe(10)
      for (const limit of [0, -1, 1.5, Number.NaN, 10_001]) {
        expect((yield* Effect.flip(audit.entries({ limit }))).reason).toBe("record")
      }
    }).pipe(Effect.scoped)
  )

  it.effect("keys: another one seals, the old ones open, a missing or wrong one is said", () =>
    Effect.gen(function* () {
      const store = yield* AuditStore.makeMemory
      yield* Effect.scoped(
        Effect.gen(function* () {
          const audit = yield* make(store)
          yield* audit.record({ action: "old" })
          expect((yield* Effect.flip(audit.rotate(keyOf("k1", "c")))).reason).toBe("key")
          expect((yield* Effect.flip(audit.rotate({ id: "k2", key: Redacted.make("short") }))).message).not.toContain(
            "short"
          )
          yield* audit.rotate(keyOf("k2", "b"))
          yield* audit.record({ action: "new" })
          expect((yield* audit.entries()).entries.map(({ action, keyId }) => [action, keyId])).toEqual([
            ["new", "k2"],
            ["audit-key-rotated", "k2"],
            ["old", "k1"],
            ["audit-started", "k1"]
          ])
        })
      )
      expect(yield* Effect.flip(make(store))).toMatchObject({ reason: "key" })
      expect(yield* Effect.flip(make(store, { keys: [keyOf("k2", "d")] }))).toMatchObject({ reason: "broken" })
      // The end is under the new key: it can be written to without the old one, but not verified.
      const audit = yield* make(store, { keys: [keyOf("k2", "b")] })
      const result = yield* audit.verify()
      expect(result).toMatchObject({ sound: false, checked: true })
      expect(new Set(result.findings.map(({ kind }) => kind))).toEqual(new Set(["unknown-key"]))
      const both = yield* make(store, { keys: [keyOf("k1"), keyOf("k2", "b")] })
      expect((yield* both.verify()).sound).toBe(true)
      // And while processes are given a new key one after another, both seal.
      const older = yield* make(store, { keys: [keyOf("k2", "b"), keyOf("k1")] })
      yield* older.record({ action: "a" })
      yield* both.record({ action: "b" })
      expect((yield* both.verify()).sound).toBe(true)
    }).pipe(Effect.scoped)
  )

  it.effect("a key that was changed while the store failed is recorded when it is back", () =>
    Effect.gen(function* () {
      const { state, store } = yield* makeFlaky
      const audit = yield* make(store)
      state.fails = true
      expect((yield* Effect.flip(audit.rotate(keyOf("k2", "b")))).reason).toBe("store")
      state.fails = false
      yield* audit.flush
      const { entries } = yield* audit.entries({ action: "audit-key-rotated" })
      expect(entries).toMatchObject([{ keyId: "k2", details: { from: "k1", to: "k2" } }])
      expect((yield* audit.verify()).sound).toBe(true)
    }).pipe(Effect.scoped, quiet)
  )

  it.effect("a log whose end was tampered with is not written to", () =>
    Effect.gen(function* () {
      const { store } = yield* makeFlaky
      yield* Effect.scoped(Effect.flatMap(make(store), (audit) => audit.record({ action: "a" })))
      const lines = (yield* store.newest(9)).toReversed()
      const head = yield* store.head
      const broken = (changed: Partial<AuditStore.AuditStoreService>) =>
        Effect.flip(make({ ...store, ...changed })).pipe(Effect.map((error) => error))
      const newest = (kept: ReadonlyArray<AuditStore.AuditLine>) => () => Effect.succeed(kept.toReversed())
      const edited = lines.with(-1, { ...lines.at(-1)!, text: lines.at(-1)!.text.replace('"at":', '"at":1') })
      for (const changed of [
        { newest: newest(lines.slice(0, -1)) },
        { newest: newest([]) },
        { newest: newest(edited) },
        { head: Effect.succeed(undefined) },
        { head: Effect.succeed(head!.replace('"seq":3', '"seq":2')) },
        { head: Effect.succeed("nonsense") }
      ]) {
        expect(yield* broken(changed)).toMatchObject({ _tag: "AuditError", reason: "broken" })
      }
    }).pipe(Effect.scoped)
  )

  it.effect("a prune refuses what was tampered with, and what is no time", () =>
    Effect.gen(function* () {
      const store = yield* AuditStore.makeMemory
      const audit = yield* make(store)
      for (let index = 0; index < 5; index++) yield* audit.record({ action: "a", at: index })
      expect((yield* Effect.flip(audit.prune(Number.NaN))).reason).toBe("record")
      expect(yield* audit.prune(-5)).toEqual({ entries: 0 })
      const bad: AuditStore.AuditStoreService = {
        ...store,
        read: (use) =>
          store.read((snapshot) =>
            use({
              ...snapshot,
              next: Effect.map(snapshot.next, (lines) => lines.filter(({ place }) => place !== 3))
            })
          )
      }
      const error = yield* Effect.flip(Effect.flatMap(make(bad), (on) => on.prune(1_000)))
      expect(error).toMatchObject({ reason: "broken" })
      expect((yield* audit.verify()).entries).toBeGreaterThan(5)
    }).pipe(Effect.scoped)
  )

  it.effect("wrong options are said, without the key", () =>
    Effect.gen(function* () {
      const secret = "0123456789abcdef"
      const wrong: ReadonlyArray<readonly [Partial<Audit.Options>, string]> = [
        [{ keys: [] }, "keys"],
        [{ keys: [{ id: "k1", key: Redacted.make(secret) }] }, "keys.k1"],
        [{ keys: [keyOf("no spaces")] }, "keys.id"],
        [{ keys: [keyOf("k"), keyOf("k", "b")] }, "ids that differ"],
        [{ batch: 0 }, "batch"],
        [{ batch: Number.NaN }, "batch"],
        [{ maxWaiting: -1 }, "maxWaiting"],
        [{ flushEvery: 0 }, "flushEvery"],
        [{ readyWait: Infinity }, "readyWait"],
        [{ maxEntryBytes: 10 }, "maxEntryBytes"]
      ]
      const store = yield* AuditStore.makeMemory
      for (const [options, field] of wrong) {
        const error = yield* Effect.flip(make(store, options))
        expect(error._tag).toBe("ConfigError")
        expect(error.message).toContain(field)
        expect(error.message).not.toContain(secret)
      }
    }).pipe(Effect.scoped)
  )

  it.effect("keys come from configuration, the newest last", () =>
    Effect.gen(function* () {
      const text = `k1:${"a".repeat(64)}, k2:${Buffer.alloc(32, 7).toString("base64")}\n# old ones above\n`
      const provider = ConfigProvider.fromUnknown({ AUDIT_KEYS: text, BAD: "k1", WAIT: "7" })
      const layer = Audit.layerConfig({
        keys: KeyRing.config("AUDIT_KEYS"),
        maxWaiting: Config.Int("WAIT")
      }).pipe(Layer.provideMerge(AuditStore.layerMemory))
      const id = yield* Effect.flatMap(Audit.Audit, (audit) =>
        Effect.map(audit.entries(), ({ entries }) => entries[0]!.keyId)
      ).pipe(Effect.provide(layer), Effect.provideService(ConfigProvider.ConfigProvider, provider))
      expect(id).toBe("k2")
      const bad = yield* Effect.flip(KeyRing.config("BAD").parse(provider))
      expect(String(bad)).toContain("keys")
    })
  )

  it.effect("the Layer writes down the calls of a program, and an outer listener goes on hearing them", () =>
    Effect.gen(function* () {
      const heard: Array<string> = []
      const audit = Audit.layer({ keys: [keyOf("k1")] }).pipe(
        Layer.provideMerge(AuditStore.layerMemory),
        Layer.provide(Layer.succeed(Event.EventSink, (event: Event.PolicyEvent) => heard.push(event.type)))
      )
      const llm = LLM.layerPreset("interactive", { targets: ["first/model", "second/model"] }).pipe(
        Layer.provide(
          LLMProvider.layer(
            ScriptedProvider.layer({ name: "first", script: [ScriptedProvider.fail(Failures.quota())] }),
            ScriptedProvider.layer({ name: "second", script: ["Hello!"] })
          )
        )
      )
      const { entries } = yield* Effect.gen(function* () {
        const service = yield* Audit.Audit
        yield* LLM.generate({
          prompt: "a secret question",
          requestId: "r-1",
          context: { tenant: "acme", user: "ada", key: "key-1" }
        })
        return yield* service.entries({ action: "request" })
      }).pipe(Effect.provide(llm), Effect.provide(audit))
      expect(entries).toMatchObject([
        {
          actor: { tenant: "acme", user: "ada", key: "key-1" },
          requestId: "r-1",
          outcome: "success",
          targets: ["second/model", "first/model"],
          flags: ["failover"],
          details: { operation: "generate", attempts: 2 }
        }
      ])
      expect(entries[0]!.promptHash).toMatch(/^[0-9a-f]{64}$/)
      expect(JSON.stringify(entries)).not.toContain("secret question")
      expect(heard).toContain("request-finished")
    })
  )

  it.effect("what cannot be made of an event is lost and counted, and heard by others all the same", () =>
    Effect.gen(function* () {
      const heard: Array<string> = []
      const audit = Audit.layer({
        keys: [keyOf("k1")],
        fromEvent: () => {
          throw new Error("a bug")
        }
      }).pipe(
        Layer.provideMerge(AuditStore.layerMemory),
        Layer.provide(Layer.succeed(Event.EventSink, (event: Event.PolicyEvent) => heard.push(event.type)))
      )
      const { entries } = yield* Effect.gen(function* () {
        const service = yield* Audit.Audit
        const sink = yield* Event.EventSink
        sink!({ type: "ledger-records-lost", store: "far", count: 3 })
        yield* service.flush
        return yield* service.entries()
      }).pipe(Effect.provide(audit))
      expect(heard).toEqual(["audit-entries-lost", "ledger-records-lost"])
      expect(entries).toMatchObject([{ action: "audit-entries-lost", details: { count: 1 } }, {}])
    })
  )

  it.effect("no log costs nothing and keeps nothing", () =>
    Effect.gen(function* () {
      const audit = yield* Audit.Audit
      yield* audit.record({ action: "a" })
      yield* audit.offer({ action: "a" })
      expect((yield* audit.entries()).entries).toEqual([])
      expect((yield* audit.verify()).sound).toBe(true)
    }).pipe(Effect.provide(Audit.layerNoop))
  )
})
