import { Event, FallbackLimiterStore, LimiterStore, LLMError } from "@breakwater/core"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/testing/TestClock"

const down = new LLMError.StoreError({ message: "gone", store: "far", operation: "take" })

/** A store that counts its calls, can be lost and found, and is far away: it decides nothing in this process. */
const makeFar = Effect.gen(function* () {
  const inner = yield* LimiterStore.makeMemory()
  const control = { up: true, hangs: false, calls: 0, given: [] as Array<number> }
  const gate = <A, E>(effect: Effect.Effect<A, E>) =>
    Effect.suspend((): Effect.Effect<A, E | LLMError.StoreError> => {
      control.calls++
      if (control.hangs) return Effect.never
      return control.up ? effect : Effect.fail(down)
    })
  const store: LimiterStore.LimiterStoreService = {
    name: "far",
    size: gate(inner.size),
    open: (namespace, rules) => {
      const limits = inner.open(namespace, rules)
      return {
        take: (key, weight) => gate(limits.take(key, weight)),
        check: (key, weight) => gate(limits.check(key, weight)),
        give: (key, weight, at) =>
          gate(
            Effect.andThen(
              Effect.sync(() => control.given.push(at)),
              limits.give(key, weight, at)
            )
          ),
        forget: (key) => gate(limits.forget(key))
      }
    }
  }
  return { store, control }
})

const rules: ReadonlyArray<LimiterStore.Rule> = [{ algorithm: "fixed-window", limit: 3, windowMs: 60_000, burst: 3 }]

const setUp = (options: FallbackLimiterStore.Options) =>
  Effect.gen(function* () {
    const { control, store } = yield* makeFar
    const guarded = yield* FallbackLimiterStore.withFallback(store, options)
    const events: Array<Event.PolicyEvent> = []
    const heard = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
      Effect.provideService(effect, Event.EventSink, (event) => void events.push(event))
    const limits = guarded.open("n", rules)
    return { control, guarded, events, limits, take: (weight = 1) => heard(limits.take("k", weight)) }
  })

const told = (events: ReadonlyArray<Event.PolicyEvent>) => events.map((event) => event.type)

describe("a store of limiters that may be lost", () => {
  it.effect("is used as it is while it answers", () =>
    Effect.gen(function* () {
      const { control, events, take } = yield* setUp({})
      const decisions = [yield* take(2), yield* take(2)]
      expect(decisions.map((each) => each.allowed)).toEqual([true, false])
      expect([control.calls, events]).toEqual([2, []])
    })
  )

  it.effect("local: counts here from nothing, and there again when it is back", () =>
    Effect.gen(function* () {
      const { control, events, take } = yield* setUp({ mode: "local" })
      yield* take(3)
      control.up = false
      expect([(yield* take(3)).allowed, (yield* take(1)).allowed]).toEqual([true, false])
      control.up = true
      yield* TestClock.adjust("100 millis")
      expect((yield* take(1)).allowed).toBe(false)
      expect(events).toEqual([
        { type: "store-lost", store: "far", mode: "local", error: down },
        { type: "store-recovered", store: "far", mode: "local", lostMs: 100 }
      ])
    })
  )

  it.effect("fail-open: lets everything go that could ever go", () =>
    Effect.gen(function* () {
      const { control, limits, take } = yield* setUp({ mode: "fail-open" })
      control.up = false
      for (let n = 0; n < 10; n++) expect(yield* take(3)).toMatchObject({ allowed: true, limit: 3, waitMs: 0 })
      expect(yield* take(4)).toMatchObject({ allowed: false, waitMs: Infinity })
      expect((yield* limits.check("k", 1)).allowed).toBe(true)
      yield* limits.forget("k")
    })
  )

  it.effect("fail-closed: fails with the store's error, at once while it is lost", () =>
    Effect.gen(function* () {
      const { control, guarded, limits, take } = yield* setUp({ mode: "fail-closed" })
      control.up = false
      expect(yield* Effect.flip(take())).toBe(down)
      control.hangs = true
      expect(yield* Effect.flip(take())).toBe(down)
      expect(yield* Effect.flip(limits.give("k", 1, 0))).toBe(down)
      expect(yield* Effect.flip(limits.forget("k"))).toBe(down)
      expect(yield* Effect.flip(guarded.size)).toBe(down)
      expect(control.calls).toBe(1)
    })
  )

  it.effect("is tried again one call at a time, after pauses that double", () =>
    Effect.gen(function* () {
      const { control, take } = yield* setUp({ firstProbe: "100 millis", longestProbe: "1 second" })
      control.up = false
      yield* take()
      const triedAt: Array<number> = []
      for (let ms = 50; ms <= 5_000; ms += 50) {
        yield* TestClock.adjust(50)
        const before = control.calls
        for (let n = 0; n < 10; n++) yield* take()
        if (control.calls > before) triedAt.push(ms)
        expect(control.calls - before).toBeLessThanOrEqual(1)
      }
      expect(triedAt).toEqual([100, 300, 700, 1_500, 2_500, 3_500, 4_500])
    })
  )

  it.effect("while one call waits for it, the others do not", () =>
    Effect.gen(function* () {
      const { control, take } = yield* setUp({})
      control.up = false
      yield* take()
      control.hangs = true
      yield* TestClock.adjust("1 second")
      const probe = yield* Effect.forkChild(take())
      yield* Effect.yieldNow
      yield* take()
      expect(control.calls).toBe(2)
      // One that is interrupted leaves the place to the next.
      yield* Fiber.interrupt(probe)
      control.hangs = false
      control.up = true
      yield* take()
      expect(control.calls).toBe(3)
    })
  )

  it.effect("many calls that fail together are one loss", () =>
    Effect.gen(function* () {
      const { control, events, take } = yield* setUp({})
      control.up = false
      yield* Effect.all(
        Array.from({ length: 100 }, () => take()),
        { concurrency: "unbounded" }
      )
      expect(told(events)).toEqual(["store-lost"])
    })
  )

  it.effect("grants are only given back where they were counted", () =>
    Effect.gen(function* () {
      const { control, limits, take } = yield* setUp({ mode: "local" })
      const far = yield* take(1)
      control.up = false
      const here = yield* take(3)
      yield* limits.give("k", 3, here.at)
      expect((yield* take(3)).allowed).toBe(true)
      // Lost: the grant there stays counted, and makes no room here.
      yield* limits.give("k", 1, far.at)
      expect((yield* take(1)).allowed).toBe(false)
      control.up = true
      yield* TestClock.adjust("1 second")
      yield* limits.check("k", 1)
      yield* limits.give("k", 3, here.at)
      yield* limits.give("k", 1, far.at)
      expect(control.given).toEqual([far.at])
    })
  )

  it.effect("what was let go without being counted cannot be given back", () =>
    Effect.gen(function* () {
      const { control, limits, take } = yield* setUp({ mode: "fail-open" })
      control.up = false
      const { at } = yield* take(1)
      control.up = true
      yield* TestClock.adjust("1 second")
      yield* limits.give("k", 1, at)
      expect([control.given, control.calls]).toEqual([[], 1])
    })
  )

  it.effect("a store in this process stays as it is", () =>
    Effect.gen(function* () {
      const memory = yield* LimiterStore.makeMemory()
      const limits = memory.open("n", rules)
      const guarded = yield* FallbackLimiterStore.withFallback({ ...memory, open: () => limits })
      expect(guarded.open("n", rules)).toBe(limits)
    })
  )

  it.effect("wrong options are refused by name", () =>
    Effect.gen(function* () {
      const { store } = yield* makeFar
      const wrong: ReadonlyArray<readonly [string, object]> = [
        ["mode", { mode: "closed" }],
        ["firstProbe", { firstProbe: 0 }],
        ["longestProbe", { longestProbe: Number.NaN }],
        ["longestProbe", { firstProbe: "1 minute" }]
      ]
      for (const [name, options] of wrong) {
        const exit = yield* Effect.exit(FallbackLimiterStore.withFallback(store, options))
        expect(String(Exit.isFailure(exit) ? exit.cause : "")).toContain(`${name} is`)
      }
    })
  )
})
