/**
 * What every store of answers owes, as a suite over the port. An implementation's own test calls it with two
 * connections to one fresh store (two processes, as it were).
 */
import { CacheStore } from "@breakwater/core"
import { describe, expect, it } from "@effect/vitest"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"

type Store = CacheStore.CacheStoreService

export interface CacheStoreContract {
  /** Two connections to one store that holds nothing. */
  readonly connect: Effect.Effect<readonly [Store, Store], unknown, Scope.Scope>
  /** Lets so much of the store's time pass: virtual where the store runs on Effect's clock, real elsewhere. */
  readonly pass: (duration: Duration.Input) => Effect.Effect<void>
}

const keyOf = (digest: string, tenant = "acme", namespace = "default"): CacheStore.CacheKey => ({
  tenant,
  namespace,
  digest: `${digest}${tenant}${namespace}`.padEnd(43, "-").slice(0, 43)
})

const entryOf = (text: string): CacheStore.CacheEntry => ({
  format: CacheStore.format,
  target: "provider/model",
  bytes: text.length,
  answer: {
    kind: "turn",
    turn: {
      content: [
        { type: "text", text },
        { type: "tool-call", id: "1", name: "add", params: { a: [1, null, "ü𝄞"], b: { c: true } } }
      ],
      finishReason: "stop",
      usage: { inputTokens: 3, outputTokens: 2 }
    }
  }
})

const stream: CacheStore.CacheEntry = {
  format: CacheStore.format,
  target: "provider/model",
  bytes: 99,
  answer: {
    kind: "stream",
    parts: [
      { type: "text-delta", delta: "Hel" },
      { type: "text-delta", delta: "lo" },
      { type: "finish", reason: "stop", usage: { inputTokens: 3, outputTokens: 2 } }
    ]
  }
}

export const cacheStoreContract = (name: string, { connect, pass }: CacheStoreContract): void => {
  describe(`a store of answers: ${name}`, () => {
    it.effect("has nothing at first", () =>
      Effect.gen(function* () {
        const [one] = yield* connect
        expect(yield* one.get(keyOf("a"))).toBeUndefined()
      })
    )

    it.effect("answers with what was put, exactly, on every connection", () =>
      Effect.gen(function* () {
        const [one, other] = yield* connect
        expect(yield* one.set(keyOf("a"), entryOf("hello ü𝄞"), 60_000)).toBe(true)
        expect(yield* one.set(keyOf("b"), stream, 60_000)).toBe(true)
        expect((yield* other.get(keyOf("a")))!.entry).toEqual(entryOf("hello ü𝄞"))
        expect((yield* other.get(keyOf("b")))!.entry).toEqual(stream)
      })
    )

    it.effect("says how old an entry is", () =>
      Effect.gen(function* () {
        const [one, other] = yield* connect
        yield* one.set(keyOf("a"), entryOf("x"), 60_000)
        yield* pass("400 millis")
        const { ageMs } = (yield* other.get(keyOf("a")))!
        expect(ageMs).toBeGreaterThanOrEqual(350)
        expect(ageMs).toBeLessThan(10_000)
      })
    )

    it.effect("forgets an entry when its time is over, and not before", () =>
      Effect.gen(function* () {
        const [one, other] = yield* connect
        yield* one.set(keyOf("a"), entryOf("x"), 300)
        yield* one.set(keyOf("b"), entryOf("y"), 60_000)
        expect(yield* other.get(keyOf("a"))).toBeDefined()
        yield* pass("400 millis")
        expect(yield* other.get(keyOf("a"))).toBeUndefined()
        expect(yield* other.get(keyOf("b"))).toBeDefined()
      })
    )

    it.effect("replaces an entry, its time and its age", () =>
      Effect.gen(function* () {
        const [one, other] = yield* connect
        yield* one.set(keyOf("a"), entryOf("old"), 300)
        yield* pass("200 millis")
        yield* other.set(keyOf("a"), entryOf("new"), 60_000)
        yield* pass("200 millis")
        const found = (yield* one.get(keyOf("a")))!
        expect(found.entry).toEqual(entryOf("new"))
        expect(found.ageMs).toBeLessThan(390)
      })
    )

    it.effect("removes an entry; a missing one is no error", () =>
      Effect.gen(function* () {
        const [one, other] = yield* connect
        yield* one.set(keyOf("a"), entryOf("x"), 60_000)
        yield* other.remove(keyOf("a"))
        yield* other.remove(keyOf("a"))
        expect(yield* one.get(keyOf("a"))).toBeUndefined()
      })
    )

    it.effect("clears a tenant or one of its namespaces, however they are spelled, and says how many", () =>
      Effect.gen(function* () {
        const [one, other] = yield* connect
        for (const tenant of ["acme", "acme:x", "a*", 'ü"%\u0000']) {
          for (const namespace of ["default", "n:1", "*"]) {
            yield* one.set(keyOf("k", tenant, namespace), entryOf(tenant), 60_000)
          }
        }
        expect(yield* other.clear("acme", "n:1")).toBe(1)
        expect(yield* other.clear("acme", "n:1")).toBe(0)
        expect(yield* other.get(keyOf("k", "acme", "*"))).toBeDefined()
        expect(yield* other.clear("a*", "*")).toBe(1)
        expect(yield* other.clear("a*")).toBe(2)
        expect(yield* other.clear('ü"%\u0000')).toBe(3)
        expect(yield* other.get(keyOf("k", "acme"))).toBeDefined()
        expect(yield* other.get(keyOf("k", "acme:x", "n:1"))).toBeDefined()
        expect(yield* other.clear("nobody")).toBe(0)
      })
    )

    it.effect("bears many writers and readers at once", () =>
      Effect.gen(function* () {
        const [one, other] = yield* connect
        const many = Array.from({ length: 50 }, (_, index) => index)
        yield* Effect.forEach(many, (index) => one.set(keyOf(`k${index % 10}`), entryOf(`v${index % 10}`), 60_000), {
          concurrency: 20
        })
        const found = yield* Effect.forEach(many, (index) => other.get(keyOf(`k${index % 10}`)), { concurrency: 20 })
        found.forEach((each, index) => expect(each!.entry).toEqual(entryOf(`v${index % 10}`)))
      })
    )

    it.effect("knows its size, or says that it does not", () =>
      Effect.gen(function* () {
        const [one] = yield* connect
        yield* one.set(keyOf("a"), entryOf("x"), 60_000)
        const { bytes, entries, evicted } = yield* one.size
        for (const each of [bytes, entries, evicted]) expect(each === undefined || each >= 0).toBe(true)
        if (entries !== undefined) expect(entries).toBe(1)
      })
    )
  })
}
