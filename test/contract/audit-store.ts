/**
 * What every store of an audit log owes, as a suite over the port. An implementation's own test calls it with a way to
 * connect to one fresh log: twice where several processes may write it, again where one has to make room for the next.
 */
import { Audit } from "@breakwater/audit"
import { AuditStore } from "@breakwater/core"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"

type Store = AuditStore.AuditStoreService

export interface AuditStoreContract {
  /** Connects to the log of a test: the same one each time. Opening it anew follows the end of the scope before. */
  readonly fresh: Effect.Effect<Effect.Effect<Store, unknown, Scope.Scope>, unknown, Scope.Scope>
  /** Whether several may write at once. */
  readonly shared: boolean
}

const keyOf = (id: string, digit = "a") => ({ id, key: Redacted.make(digit.repeat(64)) })

export const auditOn = (store: Store, options: Partial<Audit.Options> = {}) =>
  Audit.make({ keys: [keyOf("k1")], ...options }).pipe(Effect.provideService(AuditStore.AuditStore, store))

const allOf = (store: Store) =>
  store.read(({ head, next }) =>
    Effect.gen(function* () {
      const lines: Array<AuditStore.AuditLine> = []
      while (true) {
        const more = yield* next
        if (more.length === 0) return { head, lines }
        lines.push(...more)
      }
    })
  )

const put = (store: Store, from: number, texts: ReadonlyArray<string>) =>
  store.append(() =>
    Result.succeed({ lines: texts.map((text, index) => ({ seq: from + index, text })), head: `head-${texts.at(-1)}` })
  )

const line = (seq: number, text = "x") => `{"v":1,"type":"entry","seq":${seq},"text":"${text}"}`

export const auditStoreContract = (name: string, { fresh, shared }: AuditStoreContract): void => {
  describe(`a store of the audit log: ${name}`, () => {
    it.live("what was appended is read in order, with its head; a new log holds nothing", () =>
      Effect.gen(function* () {
        const store = yield* Effect.flatten(fresh)
        expect(yield* allOf(store)).toEqual({ head: undefined, lines: [] })
        expect(yield* store.newest(5)).toEqual([])
        yield* put(store, 1, [line(1), line(2)])
        yield* put(store, 3, [line(3, "y".repeat(1_000_000))])
        const { head, lines } = yield* allOf(store)
        expect(head).toBe(`head-${line(3, "y".repeat(1_000_000))}`)
        expect(lines.map(({ text }) => text.length)).toEqual(
          [line(1), line(2), line(3, "y".repeat(1e6))].map((each) => each.length)
        )
        expect(lines.map(({ place }) => place)).toEqual(
          store.places === "sequence" ? [1, 2, 3] : [0, line(1).length + 1, 2 * (line(1).length + 1)]
        )
        expect(yield* store.head).toBe(head)
      }).pipe(Effect.scoped)
    )

    it.live("an append sees the end of the log, and one that refuses leaves nothing", () =>
      Effect.gen(function* () {
        const store = yield* Effect.flatten(fresh)
        const seen: Array<AuditStore.AuditTail> = []
        yield* store.append((tail) => {
          seen.push(tail)
          return Result.succeed({ lines: [{ seq: 1, text: line(1) }], head: "h1" })
        })
        const refused = yield* Effect.flip(
          store.append((tail) => {
            seen.push(tail)
            return Result.fail("no")
          })
        )
        expect(refused).toBe("no")
        expect(seen).toEqual([
          { head: undefined, last: undefined },
          { head: "h1", last: line(1) }
        ])
        expect((yield* allOf(store)).lines.length).toBe(1)
      }).pipe(Effect.scoped)
    )

    it.live("the newest come first, in pages that meet", () =>
      Effect.gen(function* () {
        const store = yield* Effect.flatten(fresh)
        const texts = Array.from({ length: 2_500 }, (_, index) => line(index + 1, "z".repeat(index % 97)))
        for (let at = 0; at < texts.length; at += 700) yield* put(store, at + 1, texts.slice(at, at + 700))
        const seen: Array<string> = []
        let before: number | undefined
        while (true) {
          const page: ReadonlyArray<AuditStore.AuditLine> = yield* store.newest(333, before)
          if (page.length === 0) break
          expect(page.length).toBeLessThanOrEqual(333)
          seen.push(...page.map(({ text }) => text))
          before = page.at(-1)!.place
        }
        expect(seen).toEqual(texts.toReversed())
        expect((yield* allOf(store)).lines.map(({ text }) => text)).toEqual(texts)
      }).pipe(Effect.scoped)
    )

    it.live("a prune puts a checkpoint in place of the oldest, once", () =>
      Effect.gen(function* () {
        const store = yield* Effect.flatten(fresh)
        yield* put(
          store,
          1,
          [1, 2, 3, 4, 5].map((seq) => line(seq))
        )
        const first = line(1)
        yield* store.prune({ through: 3, checkpoint: line(3, "checkpoint"), first })
        expect((yield* allOf(store)).lines.map(({ text }) => text)).toEqual([line(3, "checkpoint"), line(4), line(5)])
        const error = yield* Effect.flip(store.prune({ through: 4, checkpoint: line(4, "late"), first }))
        expect(error).toMatchObject({ _tag: "StoreError", operation: "prune" })
        yield* put(store, 6, [line(6)])
        expect((yield* store.newest(2)).map(({ text }) => text)).toEqual([line(6), line(5)])
        expect((yield* allOf(store)).lines.length).toBe(4)
      }).pipe(Effect.scoped)
    )

    it.live("a log on it is sound over starts, pages, a prune and another key, and reads back what was recorded", () =>
      Effect.gen(function* () {
        const connect = yield* fresh
        const record: Audit.AuditRecord = {
          action: "request",
          actor: { tenant: "acme", user: "ada \"'; DROP TABLE x; --", key: "k" },
          requestId: "r\u0000\u001b[31m\n",
          targets: ["openai/gpt", "anthropic/claude"],
          outcome: "success",
          tokens: { input: 3, output: 4 },
          costNanos: 9_007_199_254_740_993n,
          promptHash: "f",
          flags: ["failover", "проверка"],
          details: { text: "d".repeat(1_000_000), nested: [{ a: null }] },
          at: 1_700_000_000_000
        }
        const anchor = yield* Effect.scoped(
          Effect.gen(function* () {
            const audit = yield* auditOn(yield* connect)
            const receipt = yield* audit.record(record)
            expect(receipt.seq).toBe(2)
            const { entries, verified } = yield* audit.entries({ limit: 1 })
            expect(verified).toBe(true)
            expect(entries).toEqual([{ ...record, seq: 2, keyId: "k1" }])
            for (let index = 0; index < 30; index++)
              yield* audit.offer({ action: "many", at: 1_700_000_000_000 + index })
            yield* audit.flush
            return (yield* audit.head).anchor
          })
        )
        yield* Effect.scoped(
          Effect.gen(function* () {
            const audit = yield* auditOn(yield* connect, { keys: [keyOf("k1"), keyOf("k2", "b")] })
            const before = yield* audit.verify({ anchor })
            expect(before).toMatchObject({ sound: true, anchored: "found", first: 1, entries: before.last! })
            expect(before.keys.map(({ id }) => id)).toEqual(["k1", "k2"])
            const pruned = yield* audit.prune(1_700_000_000_010)
            // The first entry is the start of the log, of today.
            expect(pruned).toEqual({ entries: 0 })
            const page = yield* audit.entries({ action: "many", limit: 7 })
            expect(page.entries.map(({ at }) => at - 1_700_000_000_000)).toEqual([29, 28, 27, 26, 25, 24, 23])
            const next = yield* audit.entries({ action: "many", limit: 100, before: page.before! })
            expect(next.entries.length).toBe(23)
            expect((yield* audit.entries({ action: "audit-key-rotated" })).entries[0]).toMatchObject({
              keyId: "k2",
              details: { from: "k1", to: "k2" }
            })
          })
        )
      }).pipe(Effect.scoped)
    )

    it.live("a prune keeps the chain, and counts what is gone; a second one adds to it", () =>
      Effect.gen(function* () {
        const store = yield* Effect.flatten(fresh)
        const audit = yield* auditOn(store)
        const start = Date.UTC(2040, 0, 1)
        for (let index = 0; index < 40; index++) {
          yield* audit.record({ action: index % 2 === 0 ? "even" : "odd", at: start + index })
        }
        expect(yield* audit.prune(start + 10)).toEqual({ through: 11, entries: 11 })
        const first = yield* audit.verify()
        expect(first).toMatchObject({
          sound: true,
          first: 12,
          pruned: { through: 11, entries: 11, actions: { even: 5, odd: 5 } }
        })
        expect(yield* audit.prune(start + 20)).toEqual({ through: 21, entries: 10 })
        const second = yield* audit.verify()
        expect(second).toMatchObject({
          sound: true,
          pruned: { through: 21, entries: 21, actions: { "audit-started": 1, even: 10, odd: 10 }, toMs: start + 19 }
        })
        yield* audit.record({ action: "after" })
        expect((yield* audit.verify()).sound).toBe(true)
        expect((yield* audit.entries({ limit: 10_000 })).verified).toBe(true)
      }).pipe(Effect.scoped)
    )

    it.live("what the store's own means change is found", () =>
      Effect.gen(function* () {
        const store = yield* Effect.flatten(fresh)
        const audit = yield* auditOn(store)
        for (let index = 0; index < 5; index++) yield* audit.record({ action: "a" })
        const [, second] = yield* store.newest(2)
        yield* store.append((tail) => Result.succeed({ lines: [{ seq: 7, text: second!.text }], head: tail.head! }))
        const { findings, sound } = yield* audit.verify()
        expect(sound).toBe(false)
        expect(findings.length).toBeGreaterThan(0)
        // And it is not written to any more.
        expect(yield* Effect.flip(audit.record({ action: "b" }))).toMatchObject({
          _tag: "AuditError",
          reason: "broken"
        })
      }).pipe(Effect.scoped)
    )

    if (!shared) return
    it.live("two writers keep one chain, and lose nothing", () =>
      Effect.gen(function* () {
        const connect = yield* fresh
        const stores = [yield* connect, yield* connect] as const
        const audits = yield* Effect.forEach(stores, (store) => auditOn(store), { concurrency: 2 })
        const receipts = yield* Effect.forEach(
          Array.from({ length: 300 }, (_, index) => index),
          (index) => audits[index % 2]!.record({ action: "request", requestId: `${index}` }),
          { concurrency: 20 }
        )
        expect(new Set(receipts.map(({ seq }) => seq)).size).toBe(300)
        const result = yield* audits[0]!.verify()
        expect(result).toMatchObject({ sound: true, entries: 302 })
        const ids = (yield* audits[1]!.entries({ action: "request", limit: 1_000 })).entries.map(
          ({ requestId }) => requestId
        )
        expect(new Set(ids).size).toBe(300)
      }).pipe(Effect.scoped)
    )
  })
}
