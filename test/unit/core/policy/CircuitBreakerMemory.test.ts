import { CircuitBreaker } from "@breakwater/core"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/testing/TestClock"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { Circuit, type Settings } from "../../../../packages/core/src/internal/breaker.ts"
import { CircuitMap } from "../../../../packages/core/src/internal/breakerKeys.ts"

setFlagsFromString("--expose_gc")
const collect = runInNewContext("gc") as () => void
const heap = () => {
  collect()
  return process.memoryUsage().heapUsed
}

describe("keys", () => {
  it.effect(
    "1,000,000 keys cost a few hundred bytes each, and nothing after idling",
    () =>
      Effect.gen(function* () {
        const keys = 1_000_000
        const breaker = yield* CircuitBreaker.make({ maxKeys: 4 * keys })
        const before = heap()
        for (let n = 0; n < keys; n++) yield* breaker.protect(Effect.void, { key: `tenant-${n}` })
        const perKey = (heap() - before) / keys
        expect(perKey).toBeGreaterThan(50)
        expect(perKey).toBeLessThan(450)
        yield* TestClock.adjust("20 minutes")
        yield* breaker.protect(Effect.void, { key: "one" })
        expect((yield* breaker.snapshots).length).toBe(1)
        expect((heap() - before) / keys).toBeLessThan(5)
      }),
    120_000
  )

  it.effect("never more than about maxKeys, and the ones in use stay", () =>
    Effect.gen(function* () {
      const breaker = yield* CircuitBreaker.make({ maxKeys: 1_000 })
      for (let n = 0; n < 10_000; n++) {
        yield* breaker.protect(Effect.void, { key: `tenant-${n}` })
        yield* breaker.protect(Effect.void, { key: "busy" })
      }
      expect((yield* breaker.snapshots).length).toBeLessThanOrEqual(1_000)
      expect((yield* breaker.snapshot("busy")).calls).toBe(10_000)
    })
  )

  it.effect("an open circuit outlives a flood of keys, a stale one does not outlive its idle time", () =>
    Effect.gen(function* () {
      const breaker = yield* CircuitBreaker.make({ maxKeys: 100, window: CircuitBreaker.consecutive(1) })
      yield* Effect.ignore(breaker.protect(Effect.fail("down"), { key: "down" }))
      yield* breaker.forceOpen("held")
      for (let n = 0; n < 1_000; n++) yield* breaker.protect(Effect.void, { key: `tenant-${n}` })
      expect((yield* breaker.snapshot("down")).state).toBe("open")
      yield* TestClock.adjust("11 minutes")
      yield* breaker.protect(Effect.void, { key: "one" })
      yield* TestClock.adjust("11 minutes")
      yield* breaker.protect(Effect.void, { key: "one" })
      expect((yield* breaker.snapshot("down")).state).toBe("closed")
      expect((yield* breaker.snapshot("held")).state).toBe("forced-open")
    })
  )

  it.effect("a flood of open circuits is bounded too", () =>
    Effect.gen(function* () {
      const breaker = yield* CircuitBreaker.make({ maxKeys: 100, window: CircuitBreaker.consecutive(1) })
      for (let n = 0; n < 5_000; n++) yield* Effect.ignore(breaker.protect(Effect.fail("down"), { key: `tenant-${n}` }))
      expect((yield* breaker.snapshots).length).toBeLessThanOrEqual(200)
    })
  )

  it("a result that comes after its circuit was forgotten still counts, unless the circuit was replaced", () => {
    const settings = { window: { kind: "consecutive", length: 1 } } as Settings
    const map = new CircuitMap(settings, 1_000, 100, 0)
    const first = map.get("a")
    map.touch(new Circuit("b", settings), 5_000)
    expect(map.find("a")).toBe(undefined)
    map.touch(first, 5_001)
    expect(map.find("a")).toBe(first)
    map.touch(new Circuit("b", settings), 9_000)
    const second = map.get("a")
    map.touch(first, 9_001)
    expect(second).not.toBe(first)
    expect(map.find("a")).toBe(second)
  })
})
