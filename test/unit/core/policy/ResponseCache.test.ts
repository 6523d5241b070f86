import { CacheStore, type Call, Events, type LLMError, ResponseCache } from "@breakwater/core"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import {
  callOf,
  type CallParts,
  counted,
  countedStream,
  down,
  farStore,
  finishOf,
  partsOf,
  recorder,
  responseOf,
  storeDown,
  target,
  textOf
} from "../support/cache.ts"

const make = (options?: Parameters<typeof ResponseCache.make>[0]) =>
  Effect.map(ResponseCache.make(options), (cache) => ({ ...cache, around: cache.around! }))

const makeOver = (store: CacheStore.CacheStoreService, options?: ResponseCache.Options) =>
  ResponseCache.makeShared(options).pipe(
    Effect.provideService(CacheStore.CacheStore, store),
    Effect.map((cache) => ({ ...cache, around: cache.around! }))
  )

type Cache = Effect.Success<ReturnType<typeof make>>

const ask = (cache: Cache, parts?: CallParts, text = "answer") => {
  const { run, state } = counted(Effect.succeed(responseOf(text)))
  return Effect.map(cache.around.generate(callOf(parts), run), (response) => ({ response, runs: state.runs }))
}

const read = (cache: Cache, stream: Stream.Stream<Call.LLMStreamPart, LLMError.LLMError>, parts?: CallParts) =>
  Stream.runCollect(cache.around.stream(callOf(parts), stream))

describe("an exact hit", () => {
  it.effect("answers without a call, and says so", () =>
    Effect.gen(function* () {
      const cache = yield* make()
      const first = yield* ask(cache)
      expect(first.response.cached).toBeUndefined()
      expect(first.response.attempts).toHaveLength(1)
      yield* TestClock.adjust("5 seconds")
      const second = yield* ask(cache)
      expect(second.runs).toBe(0)
      expect(second.response).toEqual({
        content: [{ type: "text", text: "answer" }],
        finishReason: "stop",
        usage: { inputTokens: 10, outputTokens: 5 },
        id: "r1",
        text: "answer",
        requestId: "mine",
        target,
        attempts: [],
        cached: { source: "exact", ageMs: 5000 }
      })
    })
  )

  it.effect("is not changed by what the first caller does to its answer", () =>
    Effect.gen(function* () {
      const cache = yield* make()
      const mutable = responseOf("answer")
      yield* cache.around.generate(callOf(), Effect.succeed(mutable))
      ;(mutable.content as Array<unknown>).push({ type: "text", text: "!" })
      ;(mutable.content[0] as { text: string }).text = "changed"
      const { response } = yield* ask(cache)
      expect(response.content).toEqual([{ type: "text", text: "answer" }])
      expect(() => (response.content as Array<unknown>).push(1)).toThrow()
    })
  )

  for (const [name, parts] of Object.entries<CallParts>({
    "another tenant": { tenant: "other" },
    "another namespace": { controls: { namespace: "other" } },
    "another prompt": { prompt: "Hello!" },
    "another target": { rest: { target: "openai/other" } },
    "another seed": { request: { seed: 1 } },
    "other tools": { request: { tools: [{ name: "t", parameters: {} }] } },
    "another response format": { request: { responseFormat: { type: "json", name: "a", schema: {} } } },
    "other extra fields": { request: { extra: { logprobs: true } } }
  })) {
    it.effect(`is none for ${name}`, () =>
      Effect.gen(function* () {
        const cache = yield* make()
        yield* ask(cache)
        expect((yield* ask(cache, parts)).runs).toBe(1)
      })
    )
  }

  it.effect("does not depend on the end user, the order of fields, or how file bytes are held", () =>
    Effect.gen(function* () {
      const cache = yield* make()
      const file = (data: Uint8Array) => ({
        messages: [{ role: "user" as const, content: [{ type: "file" as const, mediaType: "image/png", data }] }]
      })
      yield* ask(cache, { request: file(new Uint8Array([1, 2, 3])) })
      const same = new Uint8Array([0, 1, 2, 3]).subarray(1)
      expect((yield* ask(cache, { request: { user: "u", ...file(same) } })).runs).toBe(0)
      expect((yield* ask(cache, { request: file(new Uint8Array([1, 2, 4])) })).runs).toBe(1)
    })
  )

  it.effect("is over with its time to live", () =>
    Effect.gen(function* () {
      const cache = yield* make({ ttl: "1 minute" })
      yield* ask(cache)
      yield* TestClock.adjust("59999 millis")
      expect((yield* ask(cache)).runs).toBe(0)
      yield* TestClock.adjust("1 millis")
      expect((yield* ask(cache)).runs).toBe(1)
    })
  )

  it.effect("comes for a stream from a kept response, and for a response from a kept stream", () =>
    Effect.gen(function* () {
      const cache = yield* make()
      yield* ask(cache, { prompt: "one" })
      const parts = yield* read(cache, Stream.die("no call"), { prompt: "one" })
      expect(parts.map((part) => part.type)).toEqual(["target", "response-metadata", "text-delta", "finish"])
      expect(textOf(parts)).toBe("answer")
      yield* read(cache, Stream.fromIterable(partsOf("an", "swer")), { prompt: "two" })
      const { response, runs } = yield* ask(cache, { prompt: "two" })
      expect(runs).toBe(0)
      expect(response).toMatchObject({ text: "answer", id: "r1", model: "gpt-1", cached: { source: "exact" } })
      expect(response.content).toEqual([{ type: "text", text: "answer" }])
    })
  )
})

describe("which requests are cached", () => {
  it.effect("only deterministic ones by default", () =>
    Effect.gen(function* () {
      const cache = yield* make()
      const warm = { request: { temperature: 0.7 } }
      yield* ask(cache, warm)
      expect((yield* ask(cache, warm)).runs).toBe(1)
      const seeded = { request: { temperature: 0.7, seed: 7 } }
      yield* ask(cache, seeded)
      expect((yield* ask(cache, seeded)).runs).toBe(0)
    })
  )

  it.effect("those `cacheable` says; if it throws, none", () =>
    Effect.gen(function* () {
      const all = yield* make({ cacheable: () => true })
      const warm = { request: { temperature: 1 } }
      yield* ask(all, warm)
      expect((yield* ask(all, warm)).runs).toBe(0)
      const broken = yield* make({
        cacheable: () => {
          throw new Error("no")
        }
      })
      yield* ask(broken)
      expect((yield* ask(broken)).runs).toBe(1)
    })
  )

  it.effect("a request that holds itself passes untouched", () =>
    Effect.gen(function* () {
      const cache = yield* make()
      const extra: Record<string, unknown> = {}
      extra["self"] = extra
      expect((yield* ask(cache, { request: { extra } })).response.text).toBe("answer")
    })
  )
})

describe("the controls of a call", () => {
  it.effect("noCache asks anew, and keeps the new answer", () =>
    Effect.gen(function* () {
      const cache = yield* make()
      yield* ask(cache, {}, "old")
      expect((yield* ask(cache, { controls: { noCache: true } }, "new")).response.text).toBe("new")
      expect((yield* ask(cache)).response.text).toBe("new")
    })
  )

  it.effect("noStore and readOnly keep nothing, and read", () =>
    Effect.gen(function* () {
      const cache = yield* make()
      for (const controls of [{ noStore: true }, { readOnly: true }]) {
        const prompt = JSON.stringify(controls)
        yield* ask(cache, { prompt, controls })
        expect((yield* ask(cache, { prompt })).runs).toBe(1)
        expect((yield* ask(cache, { prompt, controls })).runs).toBe(0)
      }
    })
  )

  it.effect("readOnly does not count as a use", () =>
    Effect.gen(function* () {
      const cache = yield* make({ maxEntries: 2 })
      yield* ask(cache, { prompt: "a" })
      yield* ask(cache, { prompt: "b" })
      yield* ask(cache, { prompt: "a", controls: { readOnly: true } })
      yield* ask(cache, { prompt: "c" })
      expect((yield* ask(cache, { prompt: "b" })).runs).toBe(0)
      expect((yield* ask(cache, { prompt: "a" })).runs).toBe(1)
    })
  )

  it.effect("maxAge leaves older entries alone, to the millisecond", () =>
    Effect.gen(function* () {
      const cache = yield* make()
      yield* ask(cache)
      yield* TestClock.adjust("10 seconds")
      expect((yield* ask(cache, { controls: { maxAge: "10 seconds" } })).runs).toBe(0)
      expect((yield* ask(cache, { controls: { maxAge: "9999 millis" } })).runs).toBe(1)
    })
  )

  for (const [field, parts] of [
    ["cache.namespace", { controls: { namespace: "" } }],
    ["cache.namespace", { controls: { namespace: "x".repeat(201) } }],
    ["cache.maxAge", { controls: { maxAge: 0 } }],
    ["cache.maxAge", { controls: { maxAge: NaN } }],
    ["cache.maxAge", { controls: { maxAge: -1 } }],
    ["context.tenant", { tenant: "" }]
  ] as const) {
    it.effect(`a wrong ${field} is named: ${JSON.stringify(parts)}`, () =>
      Effect.gen(function* () {
        const cache = yield* make()
        const error = yield* Effect.flip(ask(cache, parts))
        expect(error).toMatchObject({ _tag: "InvalidRequestError", parameter: field })
        const streamed = yield* Effect.flip(read(cache, Stream.empty, parts))
        expect(streamed).toMatchObject({ _tag: "InvalidRequestError", parameter: field })
      })
    )
  }
})

describe("wrong options are named", () => {
  for (const [field, options] of [
    ["cache.ttl", { ttl: 0 }],
    ["cache.ttl", { ttl: NaN }],
    ["cache.ttl", { ttl: -1 }],
    ["cache.ttl", { ttl: Infinity }],
    ["cache.maxEntries", { maxEntries: 0 }],
    ["cache.maxEntries", { maxEntries: 1.5 }],
    ["cache.maxBytes", { maxBytes: NaN }],
    ["cache.maxEntryBytes", { maxEntryBytes: 0 }],
    ["cache.readTimeout", { readTimeout: 0 }],
    ["cache.writeTimeout", { writeTimeout: NaN }]
  ] as const) {
    it.effect(`${field} of ${String(Object.values(options)[0])}`, () =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(make(options))
        expect(String(error.message)).toContain(field)
      })
    )
  }
})

describe("what is never kept", () => {
  it.effect("a failure", () =>
    Effect.gen(function* () {
      const cache = yield* make()
      expect(yield* Effect.flip(cache.around.generate(callOf(), Effect.fail(down)))).toBe(down)
      expect((yield* ask(cache)).runs).toBe(1)
    })
  )

  it.effect("a defect", () =>
    Effect.gen(function* () {
      const cache = yield* make()
      expect(Exit.isFailure(yield* Effect.exit(cache.around.generate(callOf(), Effect.die("bug"))))).toBe(true)
      expect((yield* ask(cache)).runs).toBe(1)
    })
  )

  it.effect("a stream that fails, is left early, or just ends", () =>
    Effect.gen(function* () {
      const cache = yield* make()
      const failing = Stream.concat(Stream.fromIterable(partsOf("a", "b").slice(0, 3)), Stream.fail(down))
      expect(yield* Effect.flip(read(cache, failing))).toBe(down)
      const whole = countedStream(Stream.fromIterable(partsOf("a", "b")).pipe(Stream.rechunk(1)))
      yield* Stream.runDrain(Stream.take(cache.around.stream(callOf(), whole.run), 3))
      expect(whole.state.closed).toBe(1)
      yield* read(cache, Stream.fromIterable(partsOf("a").slice(0, 3)))
      expect((yield* cache.stats).entries).toBe(0)
      expect((yield* ask(cache)).runs).toBe(1)
    })
  )

  it.effect("another target's answer, and one cut by a filter", () =>
    Effect.gen(function* () {
      const cache = yield* make()
      yield* cache.around.generate(callOf(), Effect.succeed(responseOf("b", { target: "other/model" })))
      yield* cache.around.generate(callOf(), Effect.succeed(responseOf("c", { finishReason: "content-filter" })))
      const mixed = partsOf("a").toSpliced(1, 0, { type: "target", target: "other/model", attempt: 2, continues: true })
      yield* read(cache, Stream.fromIterable(mixed))
      expect((yield* cache.stats).entries).toBe(0)
    })
  )

  it.effect("an answer of 10 MB: it is refused, not an error", () =>
    Effect.gen(function* () {
      const cache = yield* make()
      const { events, record } = recorder()
      const text = "x".repeat(10_000_000)
      const run = cache.around.generate(callOf(), Effect.succeed(responseOf(text)))
      expect((yield* Events.listen(record)(run)).text).toBe(text)
      expect(events).toContainEqual(expect.objectContaining({ type: "cache-store-failed", reason: "too-large" }))
      const parts = partsOf(...Array.from({ length: 200 }, () => "x".repeat(60_000)))
      const streamed = yield* read(cache, Stream.fromIterable(parts).pipe(Stream.rechunk(1)), { prompt: "stream" })
      expect(textOf(streamed)).toHaveLength(12_000_000)
      expect(yield* cache.stats).toMatchObject({ entries: 0, refused: 2 })
    })
  )
})

describe("streams", () => {
  it.effect("are kept whole and given again as streams, part by part", () =>
    Effect.gen(function* () {
      const cache = yield* make()
      const live = yield* read(cache, Stream.fromIterable(partsOf("a", "b", "c")))
      expect(finishOf(live)!.cached).toBeUndefined()
      const again = yield* read(cache, Stream.die("no call"))
      expect(again.map((part) => part.type)).toEqual(live.map((part) => part.type))
      expect(textOf(again)).toBe("abc")
      expect(finishOf(again)).toEqual({
        type: "finish",
        reason: "stop",
        usage: { inputTokens: 10, outputTokens: 3 },
        requestId: "mine",
        target,
        attempts: [],
        cached: { source: "exact", ageMs: 0 }
      })
      expect(again[1]).toEqual({ type: "response-metadata", id: "r1", model: "gpt-1" })
    })
  )

  it.effect("are kept when the reader leaves right after the finish", () =>
    Effect.gen(function* () {
      const cache = yield* make()
      const parts = Stream.fromIterable(partsOf("a")).pipe(Stream.rechunk(1))
      yield* Stream.runDrain(Stream.takeUntil(cache.around.stream(callOf(), parts), (part) => part.type === "finish"))
      expect(textOf(yield* read(cache, Stream.die("no call")))).toBe("a")
    })
  )

  it.effect("are pulled no further than their reader wants", () =>
    Effect.gen(function* () {
      const cache = yield* make()
      const { run, state } = countedStream(Stream.fromIterable(partsOf("a", "b", "c")).pipe(Stream.rechunk(1)))
      yield* Stream.runDrain(Stream.take(cache.around.stream(callOf(), run), 2))
      expect(state).toEqual({ opened: 1, closed: 1, parts: 2 })
    })
  )
})

describe("a store over a network", () => {
  const near = CacheStore.makeMemory()

  it.effect("answers like one in memory", () =>
    Effect.gen(function* () {
      const cache = yield* makeOver(farStore(yield* near))
      yield* ask(cache)
      yield* TestClock.adjust("3 seconds")
      const { response, runs } = yield* ask(cache)
      expect(runs).toBe(0)
      expect(response.cached).toEqual({ source: "exact", ageMs: 3000 })
      expect(textOf(yield* read(cache, Stream.die("no call")))).toBe("answer")
    })
  )

  it.effect("that fails to read is a miss, and that fails to write loses nothing", () =>
    Effect.gen(function* () {
      const { record, told } = recorder()
      for (const failure of [Effect.fail(storeDown("any")), Effect.die("bug")]) {
        const cache = yield* makeOver(farStore(yield* near, { get: () => failure, set: () => failure }))
        expect((yield* Events.listen(record)(ask(cache))).response.text).toBe("answer")
        yield* Effect.yieldNow
        expect(yield* cache.stats).toMatchObject({ misses: 1, storeFailures: 2 })
      }
      expect(told().slice(0, 3)).toEqual(["cache-store-failed:failed", "cache-miss:store", "cache-store-failed:failed"])
    })
  )

  it.effect("that is slow to read is a miss after the read timeout, and interrupted", () =>
    Effect.gen(function* () {
      let interrupted = 0
      const never = Effect.onInterrupt(Effect.never, () => Effect.sync(() => interrupted++))
      const cache = yield* makeOver(farStore(yield* near, { get: () => never }), { readTimeout: "100 millis" })
      const fiber = yield* Effect.forkChild(ask(cache))
      yield* Effect.yieldNow
      yield* TestClock.adjust("99 millis")
      expect(fiber.pollUnsafe()).toBeUndefined()
      yield* TestClock.adjust("1 millis")
      const exit = fiber.pollUnsafe()!
      expect(Exit.isSuccess(exit) && exit.value.response.text).toBe("answer")
      expect(interrupted).toBe(1)
    })
  )

  it.effect("that is slow to write does not hold up the answer; until it has written, the flight answers", () =>
    Effect.gen(function* () {
      const cache = yield* makeOver(farStore(yield* near, { set: () => Effect.never }), { writeTimeout: "1 second" })
      expect((yield* ask(cache)).runs).toBe(1)
      const again = yield* ask(cache)
      expect(again).toMatchObject({ runs: 0, response: { cached: { source: "in-flight" } } })
      yield* TestClock.adjust("1 second")
      expect((yield* cache.stats).inFlight).toBe(0)
      expect((yield* ask(cache)).runs).toBe(1)
    })
  )

  for (const [name, entry] of Object.entries<unknown>({
    "an older format": { format: 0, target, bytes: 1, answer: { kind: "turn", turn: {} } },
    "a text": "{",
    nothing: null,
    "a stream without an end": { format: 1, target, bytes: 1, answer: { kind: "stream", parts: [] } },
    "a turn without content": { format: 1, target, bytes: 1, answer: { kind: "turn", turn: { finishReason: "stop" } } }
  })) {
    it.effect(`an entry that is ${name} is a miss, and removed`, () =>
      Effect.gen(function* () {
        const removed: Array<string> = []
        const { record, told } = recorder()
        const store = farStore(yield* near, {
          get: () => Effect.succeed({ entry, ageMs: 1 }),
          remove: (key) => Effect.sync(() => removed.push(key.digest))
        })
        const cache = yield* makeOver(store)
        expect((yield* Events.listen(record)(ask(cache))).runs).toBe(1)
        expect(removed).toHaveLength(1)
        expect(told()[0]).toBe("cache-miss:unreadable")
      })
    )
  }

  it.effect("an entry of an older format in memory is a miss, and removed", () =>
    Effect.gen(function* () {
      const store = yield* near
      const keys: Array<CacheStore.CacheKey> = []
      const spy: CacheStore.LocalCache = {
        ...store.local!,
        get: (key, nowMs, touch) => {
          keys.push(key)
          return store.local!.get(key, nowMs, touch)
        }
      }
      const cache = yield* makeOver({ ...store, local: spy })
      yield* ask(cache)
      const old = {
        format: 0,
        target,
        bytes: 9,
        answer: { kind: "turn", turn: {} }
      } as unknown as CacheStore.CacheEntry
      yield* store.set(keys[0]!, old, 60_000)
      expect((yield* ask(cache, {}, "fresh")).response.text).toBe("fresh")
      expect((yield* ask(cache)).response.text).toBe("fresh")
    })
  )
})

describe("what the cache tells", () => {
  it.effect("hits, misses, what was kept and what was saved, as events and numbers", () =>
    Effect.gen(function* () {
      const { events, record } = recorder()
      const cache = yield* make({ price: ({ inputTokens, outputTokens }) => BigInt(inputTokens + 2 * outputTokens) })
      const program = Effect.gen(function* () {
        yield* ask(cache)
        yield* ask(cache)
        yield* ask(cache, { controls: { noCache: true } })
        yield* ask(cache)
      })
      yield* Events.listen(record)(program)
      const base = { cache: "exact", tenant: "acme", namespace: "default", target, requestId: "mine" }
      const hit = {
        type: "cache-hit",
        ...base,
        cached: { source: "exact", ageMs: 0 },
        usage: { inputTokens: 10, outputTokens: 5 }
      }
      const stored = { type: "cache-stored", ...base, bytes: expect.any(Number), ttlMs: 3_600_000 }
      expect(events).toEqual([
        { type: "cache-miss", ...base, reason: "absent" },
        stored,
        hit,
        { type: "cache-miss", ...base, reason: "bypassed" },
        stored,
        hit
      ])
      const stats = yield* cache.stats
      expect(stats).toMatchObject({
        hits: 2,
        shared: 0,
        misses: 2,
        hitRate: 0.5,
        stored: 2,
        entries: 1,
        evicted: 0,
        inFlight: 0,
        savedInputTokens: 20,
        savedOutputTokens: 10,
        savedNanoDollars: 40n
      })
      expect(stats.bytes).toBeGreaterThan(300)
    })
  )

  it.effect("clear removes a tenant's entries, or those of one namespace", () =>
    Effect.gen(function* () {
      const cache = yield* make()
      yield* ask(cache)
      yield* ask(cache, { controls: { namespace: "n" } })
      yield* ask(cache, { tenant: "other" })
      expect(yield* cache.clear("acme", "n")).toBe(1)
      expect(yield* cache.clear("acme")).toBe(1)
      expect(yield* cache.clear("acme")).toBe(0)
      expect((yield* ask(cache, { tenant: "other" })).runs).toBe(0)
    })
  )

  it.effect("the noop has no answer and no numbers", () =>
    Effect.gen(function* () {
      expect(ResponseCache.noop.around).toBeUndefined()
      expect(yield* ResponseCache.noop.stats).toMatchObject({ hits: 0, misses: 0, entries: 0 })
      expect(yield* ResponseCache.noop.clear("any")).toBe(0)
    })
  )
})
