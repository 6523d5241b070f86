import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { keyOf, paramOf, tagOf } from "../../../packages/mlflow/src/internal/limits.ts"
import { isEmpty, Outbox } from "../../../packages/mlflow/src/internal/outbox.ts"

describe("what waits for the server", () => {
  it.effect.prop(
    "leaves in batches within all limits, in order, and nothing is lost or doubled",
    {
      keys: Schema.Array(Schema.String),
      metrics: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 4_000 })),
      length: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 20_000 }))
    },
    ({ keys, length, metrics }) =>
      Effect.sync(() => {
        const outbox = new Outbox(10_000)
        const names = new Set(keys.map(keyOf))
        for (const key of keys) {
          outbox.param(key, "ü".repeat(length))
          outbox.tag(key, "x".repeat(length))
        }
        for (let step = 0; step < metrics; step++) outbox.metric({ key: "m", value: step, timestamp: step, step })
        const seen = { metrics: [] as Array<number>, params: [] as Array<string>, tags: [] as Array<string> }
        for (let batch = outbox.next(); !isEmpty(batch); batch = outbox.next()) {
          expect(batch.params.length).toBeLessThanOrEqual(100)
          expect(batch.tags.length).toBeLessThanOrEqual(100)
          expect(batch.metrics.length + batch.params.length + batch.tags.length).toBeLessThanOrEqual(1_000)
          expect(Buffer.byteLength(JSON.stringify({ run_id: "x".repeat(36), ...batch }))).toBeLessThan(1_000_000)
          seen.metrics.push(...batch.metrics.map(({ step }) => step))
          seen.params.push(...batch.params.map(({ key }) => key))
          seen.tags.push(...batch.tags.map(({ key }) => key))
          outbox.sent(batch)
        }
        expect(seen.metrics).toEqual(Array.from({ length: metrics }, (_, step) => step))
        expect(seen.params).toEqual([...names])
        expect(seen.tags).toEqual([...names])
        expect(outbox.size).toBe(0)
      })
  )

  it("gives way at its oldest end, also while a batch is under way", () => {
    const outbox = new Outbox(100)
    const add = (step: number) => outbox.metric({ key: "m", value: 1, timestamp: 0, step })
    for (let step = 0; step < 100; step++) add(step)
    const batch = outbox.next()
    for (let step = 100; step < 130; step++) add(step)
    expect(outbox.dropped).toBe(30)
    outbox.sent(batch)
    expect(outbox.next().metrics.map(({ step }) => step)).toEqual(Array.from({ length: 30 }, (_, i) => 100 + i))
  })

  it("keeps a tag that was set anew while the old one was sent", () => {
    const outbox = new Outbox(100)
    outbox.tag("a", "old")
    const batch = outbox.next()
    outbox.tag("a", "new")
    outbox.sent(batch)
    expect(outbox.next().tags).toEqual([{ key: "a", value: "new" }])
  })

  it("leaves out what is no number", () => {
    const outbox = new Outbox(100)
    for (const value of [Number.NaN, Infinity, -Infinity]) outbox.metric({ key: "m", value, timestamp: 0, step: 0 })
    expect(outbox.size).toBe(0)
  })
})

describe("names and values", () => {
  it.each([
    ["latency_ms", "latency_ms"],
    ["openai/gpt-4.1: p95", "openai/gpt-4.1: p95"],
    ["größe\n{x}", "gr__e__x_"],
    ["../../etc", "_/_/etc"],
    ["/a//b/", "a/b"],
    ["", "_"],
    [".", "_"]
  ])("the key %j is %j", (given, expected) => {
    const key = keyOf(given)
    expect(key).toBe(expected)
    expect(key).toMatch(/^[/\w.\- :]+$/)
    expect(key.split("/")).not.toContain("..")
    expect(keyOf(key)).toBe(key)
  })

  it("are cut to what the server takes, between characters", () => {
    expect(keyOf("k".repeat(300)).length).toBe(250)
    expect(paramOf("x".repeat(7_000)).length).toBe(6_000)
    expect(tagOf("😀".repeat(5_000)).isWellFormed()).toBe(true)
    expect(tagOf("😀".repeat(5_000)).length).toBeLessThanOrEqual(5_000)
  })
})
