import { canonical } from "../../packages/core/src/internal/canonical.ts"
import { exactKey, questionOf } from "../../packages/core/src/internal/cacheKey.ts"
import { sha256, sha256Portable } from "../../packages/core/src/internal/sha256.ts"
import { Sieve } from "../../packages/core/src/internal/sieve.ts"
import { normalised, VectorIndex } from "../../packages/core/src/internal/vectorIndex.ts"
import type { Cache } from "@breakwater/core"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

const whole = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

type Json = null | boolean | number | string | ReadonlyArray<Json> | { readonly [key: string]: Json }

const Scalar = Schema.Union([Schema.Null, Schema.Boolean, Schema.Finite, Schema.String])
const Level1 = Schema.Union([Scalar, Schema.Array(Scalar), Schema.Record(Schema.String, Scalar)])
const Value = Schema.Record(
  Schema.String,
  Schema.Union([Level1, Schema.Array(Level1), Schema.Record(Schema.String, Level1)])
)

/** The same value, its keys the other way round. */
const turned = (value: Json): Json => {
  if (Array.isArray(value)) return value.map(turned)
  if (typeof value !== "object" || value === null) return value
  const entries = Object.entries(value).map(([key, member]) => [key, turned(member as Json)] as const)
  return Object.fromEntries(entries.toReversed())
}

const sortedJson = (value: Json): string =>
  Array.isArray(value)
    ? `[${value.map(sortedJson).join(",")}]`
    : typeof value === "object" && value !== null
      ? `{${Object.keys(value)
          .sort()
          .map((key) => `${JSON.stringify(key)}:${sortedJson((value as Record<string, Json>)[key]!)}`)
          .join(",")}}`
      : JSON.stringify(value === 0 ? 0 : value)

const callOf = (request: Partial<Cache.CacheCall["request"]> = {}, rest: Partial<Cache.CacheCall> = {}) => ({
  context: { tenant: "acme" },
  target: "p/m",
  request: { model: "m", messages: [{ role: "user" as const, content: "Hi" }], temperature: 0, ...request },
  ...rest
})

describe("laws of the canonical text", () => {
  it.effect.prop("the order of keys does not matter", { value: Value }, ({ value }) =>
    Effect.sync(() => {
      expect(canonical(turned(value))).toBe(canonical(value))
    })
  )

  it.effect.prop("two values share a text exactly when they are equal", { a: Value, b: Value }, ({ a, b }) =>
    Effect.sync(() => {
      expect(canonical(a) === canonical(b)).toBe(sortedJson(a as Json) === sortedJson(b as Json))
    })
  )

  it("what JSON leaves out is left out; types, lengths and places count", () => {
    expect(canonical({ a: undefined, b: () => 1, c: 1 })).toBe(canonical({ c: 1 }))
    expect(canonical([undefined])).toBe(canonical([null]))
    const different = [
      1,
      "1",
      [1],
      { 1: 1 },
      ["a", "b"],
      ["ab"],
      ["a,b"],
      { a: "b" },
      { a: ["b"] },
      1n,
      true,
      null,
      [],
      {},
      ""
    ]
    expect(new Set(different.map(canonical)).size).toBe(different.length)
  })

  it("what holds itself, or is nested too deep, has none", () => {
    const self: Record<string, unknown> = {}
    self["self"] = self
    expect(canonical(self)).toBeUndefined()
    let deep: unknown = 1
    for (let i = 0; i < 10_000; i++) deep = [deep]
    expect(canonical(deep)).toBeUndefined()
  })
})

describe("laws of the keys", () => {
  const changes: Record<string, Cache.CacheCall> = {
    nothing: callOf(),
    temperature: callOf({ temperature: 0.1 }),
    topP: callOf({ topP: 0.5 }),
    topK: callOf({ topK: 5 }),
    maxTokens: callOf({ maxTokens: 5 }),
    stop: callOf({ stop: ["a"] }),
    "stops in two": callOf({ stop: ["a", "b"] }),
    seed: callOf({ seed: 0 }),
    presencePenalty: callOf({ presencePenalty: 1 }),
    frequencyPenalty: callOf({ frequencyPenalty: 1 }),
    reasoning: callOf({ reasoning: { effort: "low" } }),
    model: callOf({ model: "n" }),
    tools: callOf({ tools: [{ name: "t", parameters: {} }] }),
    "a tool's schema": callOf({ tools: [{ name: "t", parameters: { type: "object" } }] }),
    toolChoice: callOf({ toolChoice: "none" }),
    responseFormat: callOf({ responseFormat: { type: "text" } }),
    extra: callOf({ extra: { a: 1 } }),
    prefill: callOf({ prefill: true }),
    message: callOf({ messages: [{ role: "user", content: "Ho" }] }),
    role: callOf({ messages: [{ role: "system", content: "Hi" }] }),
    "two messages": callOf({
      messages: [
        { role: "user", content: "H" },
        { role: "user", content: "i" }
      ]
    }),
    target: callOf({}, { target: "q/m" }),
    tenant: callOf({}, { context: { tenant: "b" } })
  }

  it("any change makes another key, for the exact and the semantic cache", () => {
    const names = Object.keys(changes)
    const exact = new Set(names.map((name) => exactKey(changes[name]!, "n")!.digest))
    expect(exact.size).toBe(names.length)
    expect(exactKey(callOf(), "other")!.digest).not.toBe(exactKey(callOf(), "n")!.digest)
    const partitions = names.flatMap((name) => questionOf(changes[name]!, "n")?.partition.digest ?? [])
    // "message" differs in the question alone, and "role" asks none.
    expect(new Set(partitions).size).toBe(names.length - 2)
  })

  it("tenant and namespace cannot run into each other", () => {
    const ab = exactKey(callOf({}, { context: { tenant: "ab" } }), "c")!
    expect(ab.digest).not.toBe(exactKey(callOf({}, { context: { tenant: "a" } }), "bc")!.digest)
  })

  it.effect.prop("SHA-256 is the same in every runtime", { text: Schema.String }, ({ text }) =>
    Effect.sync(() => {
      expect(sha256Portable(text)).toBe(sha256(text))
    })
  )

  it("SHA-256 is right at the edges of its blocks", () => {
    for (let length = 0; length < 200; length++) {
      const bytes = new Uint8Array(length).fill(length)
      expect(sha256Portable(bytes)).toBe(sha256(bytes))
    }
    expect(sha256Portable("abc")).toBe("ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0")
  })
})

describe("laws of the eviction", () => {
  const Step = Schema.Tuple([Schema.Literals(["get", "set", "delete"]), whole(0, 12), whole(1, 30)])

  it.effect.prop(
    "the bounds hold after every step, and what is there is what was put last",
    { steps: Schema.Array(Step), maxEntries: whole(1, 6), maxWeight: whole(20, 60) },
    ({ maxEntries, maxWeight, steps }) =>
      Effect.sync(() => {
        const gone: Array<number> = []
        const sieve = new Sieve<number>({ maxEntries, maxWeight, onEvict: (value) => gone.push(value) })
        const model = new Map<string, readonly [value: number, weight: number]>()
        steps.forEach(([step, id, weight], value) => {
          const key = String(id)
          gone.length = 0
          if (step === "set") {
            expect(sieve.set(key, value, weight)).toBe(weight <= maxWeight)
            if (weight <= maxWeight) model.set(key, [value, weight])
            else model.delete(key)
          } else if (step === "delete") {
            expect(sieve.delete(key)).toBe(model.get(key)?.[0])
            model.delete(key)
          } else expect(sieve.get(key, true)).toBe(model.get(key)?.[0])
          for (const [known, [old]] of model) if (gone.includes(old)) model.delete(known)
          expect(sieve.size).toBe(model.size)
          expect(sieve.size).toBeLessThanOrEqual(maxEntries)
          expect(sieve.weight).toBe(Array.from(model.values()).reduce((sum, [, each]) => sum + each, 0))
          expect(sieve.weight).toBeLessThanOrEqual(maxWeight)
          expect(new Map(sieve.entries())).toEqual(new Map(Array.from(model, ([known, [old]]) => [known, old])))
        })
      })
  )

  it("an entry that was used outlives newer ones that were not", () => {
    const sieve = new Sieve<number>({ maxEntries: 3, maxWeight: 100 })
    for (const [value, key] of ["a", "b", "c"].entries()) sieve.set(key, value, 1)
    sieve.get("a", true)
    for (const [value, key] of ["d", "e", "f"].entries()) sieve.set(key, value, 1)
    expect(sieve.get("a", false)).toBe(0)
    expect(sieve.evicted).toBe(3)
  })

  it("a million insertions keep no more than they may", () => {
    const sieve = new Sieve<number>({ maxEntries: 1_000, maxWeight: 1e9 })
    for (let i = 0; i < 1_000_000; i++) sieve.set(`k${i}`, i, 10)
    expect(sieve.size).toBe(1_000)
    expect(sieve.weight).toBe(10_000)
  })
})

describe("laws of the vector index", () => {
  const Component = Schema.Finite.check(Schema.isBetween({ minimum: -1, maximum: 1 }))
  const Vector = Schema.Array(Component).check(Schema.isMinLength(40), Schema.isMaxLength(40))

  const plain = (vectors: ReadonlyArray<Float32Array>, query: Float32Array) =>
    vectors.map((vector) => vector.reduce((sum, each, at) => sum + each * query[at]!, 0)).toSorted((a, b) => b - a)

  it.effect.prop(
    "it finds what a plain comparison of all finds, whatever was removed",
    { vectors: Schema.Array(Vector), query: Vector, threshold: Component, remove: Schema.Array(whole(0, 20)) },
    ({ query, remove, threshold, vectors }) =>
      Effect.sync(() => {
        const index = new VectorIndex(40)
        const asked = normalised(query)
        if (asked === undefined) return
        const kept: Array<Float32Array> = []
        for (const vector of vectors) {
          const each = normalised(vector)
          if (each === undefined) continue
          expect(index.add(each)).toBe(kept.length)
          kept.push(each)
        }
        for (const slot of remove) {
          if (slot >= kept.length) continue
          expect(index.remove(slot)).toBe(kept.length - 1)
          const last = kept.pop()!
          if (slot < kept.length) kept[slot] = last
        }
        const found = index.search(asked, threshold, 1_000)
        const near = plain(kept, asked)
        // Rounding decides for those exactly at the threshold.
        expect(found.length).toBeGreaterThanOrEqual(near.filter((each) => each >= threshold + 1e-4).length)
        expect(found.length).toBeLessThanOrEqual(near.filter((each) => each >= threshold - 1e-4).length)
        found.forEach(({ similarity }, at) => expect(similarity).toBeCloseTo(Math.min(1, near[at]!), 4))
      })
  )
})
