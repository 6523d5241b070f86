/**
 * A hit in the response cache, beside lru-cache and Effect's Cache under a key that is there already; and what of it
 * is the key. The search of the semantic cache by the number of kept questions.
 */
import { ResponseCache } from "@breakwater/core"
import * as EffectCache from "effect/Cache"
import * as Effect from "effect/Effect"
import { LRUCache } from "lru-cache"
import { createHash } from "node:crypto"
import { exactKey } from "../packages/core/src/internal/cacheKey.ts"
import { normalised, VectorIndex } from "../packages/core/src/internal/vectorIndex.ts"
import { bareEffect, type Benchmark, ofEffect, ofFailing, ofSync, type Work } from "./harness.ts"

const requests = 100
const text = "The quick brown fox jumps over the lazy dog. ".repeat(20)

const calls = Array.from({ length: requests }, (_, index) => ({
  context: { tenant: "default" },
  target: "openai/gpt",
  requestId: "request",
  request: {
    model: "gpt",
    messages: [
      { role: "system", content: "You are a helpful assistant." },
      { role: "user", content: `${text}${index}` }
    ],
    temperature: 0,
    maxTokens: 500
  }
})) satisfies ReadonlyArray<ResponseCache.CacheCall>

const answer = {
  content: [{ type: "text", text: "An answer." }],
  finishReason: "stop",
  usage: { inputTokens: 250, outputTokens: 3 },
  text: "An answer.",
  requestId: "first",
  target: "openai/gpt",
  attempts: []
} as const

/** What a program would do without this library. */
const jsonKey = (call: unknown): string => createHash("sha256").update(JSON.stringify(call)).digest("hex")

let turn = 0
const next = () => calls[turn++ % requests]!

const hits = Effect.gen(function* () {
  const { around } = yield* ResponseCache.make()
  const lru = new LRUCache<string, typeof answer>({ max: 10_000 })
  const effectCache = yield* EffectCache.make<string, typeof answer>({
    capacity: 10_000,
    lookup: () => Effect.succeed(answer)
  })
  for (const call of calls) {
    yield* around!.generate(call, Effect.succeed(answer))
    lru.set(jsonKey(call), answer)
    yield* EffectCache.get(effectCache, jsonKey(call))
  }
  const never = Effect.die("not a hit")
  const keys = calls.map(jsonKey)
  const work: Work = {
    work: "cache hit, 1 KB request",
    subjects: [
      { subject: bareEffect, peer: false, run: ofEffect(() => Effect.succeed(answer)) },
      { subject: "breakwater", peer: false, bare: bareEffect, run: ofFailing(() => around!.generate(next(), never)) },
      { subject: "breakwater, its key alone", peer: false, run: ofSync(() => exactKey(next(), "default")) },
      { subject: "lru-cache, key of JSON", peer: true, run: ofSync(() => lru.get(jsonKey(next()))) },
      {
        subject: "effect Cache, key of JSON",
        peer: true,
        bare: bareEffect,
        run: ofEffect(() => EffectCache.get(effectCache, jsonKey(next())))
      },
      { subject: "lru-cache, key at hand", peer: true, run: ofSync(() => lru.get(keys[turn++ % requests]!)) }
    ]
  }
  return work
})

const miss = Effect.gen(function* () {
  const { around } = yield* ResponseCache.make({ maxEntries: 1_000 })
  const { around: alone } = yield* ResponseCache.make({ maxEntries: 1_000, cacheable: () => false })
  let serial = 0
  const run = Effect.succeed(answer)
  const fresh = () => ({ ...calls[0]!, target: `openai/${serial++}` })
  const work: Work = {
    work: "cache miss, 1 KB request",
    subjects: [
      { subject: bareEffect, peer: false, run: ofEffect(() => run) },
      { subject: "breakwater", peer: false, bare: bareEffect, run: ofFailing(() => around!.generate(fresh(), run)) },
      { subject: "not cacheable", peer: false, bare: bareEffect, run: ofFailing(() => alone!.generate(fresh(), run)) }
    ]
  }
  return work
})

const dimensions = 384

/** Vectors by a small generator, the same in every run. */
const vectors = (count: number): ReadonlyArray<Float32Array> => {
  let state = 1
  const random = () => (state = (state * 48_271) % 2_147_483_647) / 2_147_483_647 - 0.5
  return Array.from({ length: count }, () => normalised(Float32Array.from({ length: dimensions }, random))!)
}

const searches = (count: number): Work => {
  const all = vectors(count)
  const index = new VectorIndex(dimensions)
  for (const vector of all) index.add(vector)
  const plain = (query: Float32Array) => {
    let best = -1
    for (const vector of all) {
      let sum = 0
      for (let i = 0; i < dimensions; i++) sum += vector[i]! * query[i]!
      if (sum > best) best = sum
    }
    return best
  }
  return {
    work: `search ${count} × ${dimensions}`,
    unit: "search",
    subjects: [
      { subject: "breakwater", peer: false, run: ofSync(() => index.search(all[turn++ % count]!, 0.95, 8)) },
      { subject: "plain loop", peer: true, run: ofSync(() => plain(all[turn++ % count]!)) }
    ]
  }
}

const benchmark: Benchmark = Effect.gen(function* () {
  return [yield* hits, yield* miss, searches(1_000), searches(100_000)]
})

export default benchmark
