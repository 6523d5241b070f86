import { CallContext, Event, type Attempt, type LLMError } from "@breakwater/core"
import * as Bulkhead from "../../../../packages/core/src/policy/Bulkhead.ts"
import { describe, expect, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"

const key = "a/m"

/** A bulkhead, and calls that say when they are in and end when they are told. */
const setup = (options: Bulkhead.Options) =>
  Effect.gen(function* () {
    const bulkhead = yield* Bulkhead.make(options)
    const order: Array<string> = []
    const start = (name: string, rest: Omit<Bulkhead.ProtectOptions, "key"> = {}) =>
      Effect.gen(function* () {
        const gate = yield* Deferred.make<string, string>()
        const call = Effect.suspend(() => {
          order.push(name)
          return Deferred.await(gate)
        })
        const fiber = yield* Effect.forkChild(bulkhead.protect(call, { key, ...rest }), { startImmediately: true })
        return { fiber, gate, end: Deferred.succeed(gate, name).pipe(Effect.andThen(settle)) }
      })
    const state = Effect.map(bulkhead.snapshot(key), ({ active, queued }) => ({ active, queued }))
    return { bulkhead, order, start, state }
  })

/** Lets everything run that can. */
const settle = Effect.forEach([1, 2, 3, 4], () => Effect.yieldNow, { discard: true })

const errorOf = <A, E>(fiber: Fiber.Fiber<A, E>) => Effect.flip(Fiber.join(fiber))

const fullError = (u: unknown): LLMError.BulkheadFullError => {
  expect(u).toMatchObject({ _tag: "BulkheadFullError" })
  return u as LLMError.BulkheadFullError
}

describe("slots", () => {
  it.effect("overflow rejects exactly the excess", () =>
    Effect.gen(function* () {
      const { start, state } = yield* setup({ limit: 3, maxQueue: 4 })
      const calls = yield* Effect.forEach(
        Array.from({ length: 20 }, (_, i) => `${i}`),
        (name) => start(name)
      )
      expect(yield* state).toEqual({ active: 3, queued: 4 })
      for (const call of calls) yield* call.end
      const exits = yield* Fiber.awaitAll(calls.map((call) => call.fiber))
      expect(exits.map(Exit.isSuccess)).toEqual(calls.map((_, i) => i < 7))
      expect(yield* state).toEqual({ active: 0, queued: 0 })
    })
  )

  it.effect("the error says what was full, and has no stack", () =>
    Effect.gen(function* () {
      const { start } = yield* setup({ limit: 1, maxQueue: 1 })
      yield* start("a")
      yield* start("b")
      const error = fullError(yield* errorOf((yield* start("c")).fiber))
      expect(error).toMatchObject({ key, queued: 1, isRetryable: true })
      expect(Duration.toMillis(error.waited)).toBe(0)
      expect(error.message).toContain("1 under way and 1 waiting")
      expect(error.stack?.includes("\n    at ")).toBe(false)
    })
  )

  it.effect("the permit returns on success, error, defect and interruption", () =>
    Effect.gen(function* () {
      const { start, state } = yield* setup({ limit: 1 })
      const ends = [
        (call: { gate: Deferred.Deferred<string, string> }) => Deferred.succeed(call.gate, "ok"),
        (call: { gate: Deferred.Deferred<string, string> }) => Deferred.fail(call.gate, "error"),
        (call: { gate: Deferred.Deferred<string, string> }) => Deferred.die(call.gate, new Error("bug")),
        (call: { fiber: Fiber.Fiber<unknown, unknown> }) => Fiber.interrupt(call.fiber)
      ] as const
      const tags: Array<unknown> = []
      for (const end of ends) {
        const call = yield* start("call")
        const next = yield* start("next")
        yield* end(call)
        tags.push(
          Exit.match(yield* Fiber.await(call.fiber), {
            onSuccess: (value) => value,
            onFailure: (cause) => cause.reasons[0]?._tag
          })
        )
        yield* settle
        expect(yield* state).toEqual({ active: 1, queued: 0 })
        yield* next.end
        expect(yield* Fiber.join(next.fiber)).toBe("next")
      }
      expect(tags).toEqual(["ok", "Fail", "Die", "Interrupt"])
      expect(yield* state).toEqual({ active: 0, queued: 0 })
    })
  )

  it.effect("a free slot asks no clock and makes no timer", () =>
    Effect.gen(function* () {
      const clock = yield* Clock.Clock
      const unused = (): never => expect.unreachable("the clock was used")
      const bulkhead = yield* Effect.provideService(Bulkhead.make(), Clock.Clock, {
        ...clock,
        monotonicTimeNanosUnsafe: unused,
        sleep: unused
      })
      expect(yield* bulkhead.protect(Effect.succeed(1), { key })).toBe(1)
    })
  )

  it.effect("keys do not share slots, and a key may have a limit of its own", () =>
    Effect.gen(function* () {
      const bulkhead = yield* Bulkhead.make({ limit: 1, limits: { big: 2 }, maxQueue: 0 })
      const run = (key: string) => Effect.forkChild(bulkhead.protect(Effect.never, { key }), { startImmediately: true })
      const fibers = yield* Effect.forEach(["a", "a", "b", "big", "big", "big"], run)
      expect(fibers.map((fiber) => fiber.pollUnsafe() === undefined)).toEqual([true, false, true, true, true, false])
      expect((yield* bulkhead.snapshots).map(({ active, key, limit }) => [key, active, limit])).toEqual([
        ["a", 1, 1],
        ["b", 1, 1],
        ["big", 2, 2]
      ])
    })
  )

  it.effect("an empty key is a caller's mistake", () =>
    Effect.gen(function* () {
      const bulkhead = yield* Bulkhead.make()
      const error = yield* Effect.flip(bulkhead.protect(Effect.void, { key: "" }))
      expect(error).toMatchObject({ _tag: "InvalidRequestError", parameter: "key" })
      const streamError = yield* bulkhead.protectStream(Stream.make(1), { key: "" }).pipe(Stream.runDrain, Effect.flip)
      expect(streamError).toMatchObject({ _tag: "InvalidRequestError" })
    })
  )
})

describe("the queue", () => {
  it.effect("is served first come, first served", () =>
    Effect.gen(function* () {
      const { order, start } = yield* setup({ limit: 1 })
      const calls = yield* Effect.forEach(["a", "b", "c", "d"], (name) => start(name))
      for (const call of calls) yield* call.end
      expect(order).toEqual(["a", "b", "c", "d"])
    })
  )

  it.effect("a cancelled entry frees its place", () =>
    Effect.gen(function* () {
      const { start, state } = yield* setup({ limit: 1, maxQueue: 1 })
      yield* start("a")
      const waiting = yield* start("b")
      fullError(yield* errorOf((yield* start("c")).fiber))
      yield* Fiber.interrupt(waiting.fiber)
      expect(yield* state).toEqual({ active: 1, queued: 0 })
      const next = yield* start("d")
      expect(next.fiber.pollUnsafe()).toBeUndefined()
      expect(yield* state).toEqual({ active: 1, queued: 1 })
    })
  )

  it.effect("an aborted head, middle or tail does not starve the rest", () =>
    Effect.gen(function* () {
      for (const gone of [0, 1, 2]) {
        const { order, start } = yield* setup({ limit: 1 })
        const first = yield* start("first")
        const rest = yield* Effect.forEach(["0", "1", "2"], (name) => start(name))
        yield* Fiber.interrupt(rest[gone]!.fiber)
        yield* first.end
        for (const call of rest) yield* call.end
        expect(order).toEqual(["first", ...["0", "1", "2"].filter((name) => name !== String(gone))])
      }
    })
  )

  it.effect("a cancel racing a grant passes the slot on", () =>
    Effect.gen(function* () {
      const { order, start, state } = yield* setup({ limit: 1 })
      const first = yield* start("a")
      const second = yield* start("b")
      const third = yield* start("c")
      // The slot is b's now, but b has not run yet.
      yield* Fiber.interrupt(first.fiber)
      yield* Fiber.interrupt(second.fiber)
      yield* settle
      expect(order).toEqual(["a", "c"])
      yield* third.end
      expect(yield* state).toEqual({ active: 0, queued: 0 })
    })
  )

  it.effect("a wait ends on time, and the error says how long it was", () =>
    Effect.gen(function* () {
      const { start, state } = yield* setup({ limit: 1, maxWait: "5 seconds" })
      const first = yield* start("a")
      const second = yield* start("b")
      yield* TestClock.adjust("4999 millis")
      expect(second.fiber.pollUnsafe()).toBeUndefined()
      yield* TestClock.adjust("1 millis")
      yield* settle
      const error = fullError(yield* errorOf(second.fiber))
      expect(Duration.toMillis(error.waited)).toBe(5000)
      expect(yield* state).toEqual({ active: 1, queued: 0 })
      yield* first.end
      expect(yield* state).toEqual({ active: 0, queued: 0 })
    })
  )

  it.effect("maxWait 0 and maxQueue 0 fail at once", () =>
    Effect.gen(function* () {
      for (const options of [{ maxWait: 0 }, { maxQueue: 0 }]) {
        const { start } = yield* setup({ limit: 1, ...options })
        yield* start("a")
        fullError(yield* errorOf((yield* start("b")).fiber))
      }
    })
  )

  it.effect("an infinite wait needs no timer", () =>
    Effect.gen(function* () {
      const clock = yield* Clock.Clock
      const noTimers = { ...clock, sleep: (): never => expect.unreachable("a timer was made") }
      const { start } = yield* setup({ limit: 1, maxWait: Duration.infinity }).pipe(
        Effect.provideService(Clock.Clock, noTimers)
      )
      const first = yield* start("a")
      const second = yield* start("b")
      yield* TestClock.adjust("365 days")
      expect(second.fiber.pollUnsafe()).toBeUndefined()
      yield* first.end
      yield* second.end
      expect(yield* Fiber.join(second.fiber)).toBe("b")
    })
  )

  it.effect("a timeout racing a grant loses nothing", () =>
    Effect.gen(function* () {
      for (const grantFirst of [true, false]) {
        const { bulkhead, start, state } = yield* setup({ limit: 1, maxWait: "1 second" })
        const holder = yield* Effect.forkChild(
          bulkhead.protect(Effect.sleep(grantFirst ? "1 second" : "1001 millis"), { key }),
          { startImmediately: true }
        )
        const second = yield* start("b")
        const third = yield* start("c")
        yield* TestClock.adjust("2 seconds")
        yield* settle
        expect(holder.pollUnsafe()).toBeDefined()
        // Either the slot went to b in that moment, or both were turned away: never a slot that nobody has.
        const { active, queued } = yield* state
        const inside = [second, third].filter((call) => call.fiber.pollUnsafe() === undefined).length
        expect({ active, queued }).toEqual({ active: inside, queued: 0 })
        expect(inside).toBe(grantFirst ? 1 : 0)
        yield* second.end
        yield* third.end
        expect(yield* state).toEqual({ active: 0, queued: 0 })
      }
    })
  )

  it.effect("one timer serves the whole queue, and none is left behind", () =>
    Effect.gen(function* () {
      const clock = yield* Clock.Clock
      let made = 0
      let running = 0
      const counting = {
        ...clock,
        sleep: (duration: Duration.Duration) =>
          Effect.suspend(() => {
            made++
            running++
            return Effect.ensuring(
              clock.sleep(duration),
              Effect.sync(() => void running--)
            )
          })
      }
      const { start } = yield* setup({ limit: 1, maxWait: "10 seconds" }).pipe(
        Effect.provideService(Clock.Clock, counting)
      )
      const first = yield* start("first")
      const calls: Array<Effect.Success<ReturnType<typeof start>>> = []
      for (let i = 0; i < 100; i++) {
        calls.push(yield* start(`${i}`))
        yield* TestClock.adjust("10 millis")
      }
      expect({ made, running }).toEqual({ made: 1, running: 1 })
      yield* Fiber.interruptAll(calls.slice(1).map((call) => call.fiber))
      expect({ made, running }).toEqual({ made: 1, running: 1 })
      yield* first.end
      expect({ made, running }).toEqual({ made: 1, running: 0 })
    })
  )

  it.effect("LIFO under pressure: the newest go first while the queue is long, then the oldest", () =>
    Effect.gen(function* () {
      const { order, start } = yield* setup({ limit: 1, maxQueue: 5, newestFirstAbove: 2 })
      const calls = yield* Effect.forEach(["a", "0", "1", "2", "3", "4"], (name) => start(name))
      const late = yield* start("5")
      // The oldest made room.
      fullError(yield* errorOf(calls[1]!.fiber))
      for (const call of [calls[0]!, late, calls[5]!, calls[4]!, calls[2]!, calls[3]!]) yield* call.end
      expect(order).toEqual(["a", "5", "4", "3", "1", "2"])
    })
  )

  it.effect("interactive goes before batch, but not past a batch call's patience", () =>
    Effect.gen(function* () {
      const { order, start } = yield* setup({ limit: 1, patience: "3 seconds" })
      const first = yield* start("first")
      const old = yield* start("old batch", { priority: "batch" })
      yield* TestClock.adjust("3 seconds")
      const young = yield* start("young batch", { priority: "batch" })
      const one = yield* start("one", { priority: "interactive" })
      const two = yield* start("two")
      for (const call of [first, old, one, two, young]) yield* call.end
      expect(order).toEqual(["first", "old batch", "one", "two", "young batch"])
    })
  )

  it.effect("a full queue turns a batch call away for an interactive one, never the other way", () =>
    Effect.gen(function* () {
      const { start, state } = yield* setup({ limit: 1, maxQueue: 2 })
      yield* start("first")
      const batch = yield* Effect.forEach(["b1", "b2"], (name) => start(name, { priority: "batch" }))
      const urgent = yield* start("urgent")
      yield* settle
      expect(batch[0]!.fiber.pollUnsafe()).toBeUndefined()
      fullError(yield* errorOf(batch[1]!.fiber))
      const more = yield* start("more")
      yield* settle
      fullError(yield* errorOf(batch[0]!.fiber))
      fullError(yield* errorOf((yield* start("b3", { priority: "batch" })).fiber))
      expect([urgent, more].map((call) => call.fiber.pollUnsafe())).toEqual([undefined, undefined])
      expect(yield* state).toEqual({ active: 1, queued: 2 })
    })
  )

  it.effect("partitions are served in turn", () =>
    Effect.gen(function* () {
      const { order, start } = yield* setup({ limit: 1 })
      const first = yield* start("first")
      const names = ["x1", "x2", "x3", "x4", "y1", "z1", "y2"]
      const calls = yield* Effect.forEach(names, (name) => start(name, { partition: name[0]! }))
      const expected = ["x1", "y1", "z1", "x2", "y2", "x3", "x4"]
      yield* first.end
      for (const name of expected) yield* calls[names.indexOf(name)]!.end
      expect(order).toEqual(["first", ...expected])
    })
  )

  it.effect("a partition cannot shut the others out by filling the queue", () =>
    Effect.gen(function* () {
      const { bulkhead, order, start } = yield* setup({ limit: 1, maxQueue: 4 })
      const first = yield* start("first")
      const greedy = yield* Effect.forEach(["g1", "g2", "g3", "g4"], (name) => start(name, { partition: "greedy" }))
      const small = yield* start("small", { partition: "small" })
      yield* settle
      fullError(yield* errorOf(greedy[3]!.fiber))
      expect((yield* bulkhead.snapshot(key)).partitions).toEqual(
        new Map([
          ["greedy", 3],
          ["small", 1]
        ])
      )
      // The greedy one is turned away at the door now.
      fullError(yield* errorOf((yield* start("g5", { partition: "greedy" })).fiber))
      for (const call of [first, greedy[0]!, small]) yield* call.end
      expect(order).toEqual(["first", "g1", "small", "g2"])
    })
  )

  it.live("10,000 fibers on one key all get through, and never more than the limit at once", () =>
    Effect.gen(function* () {
      const bulkhead = yield* Bulkhead.make({ limit: 10, maxQueue: 10_000 })
      let active = 0
      let most = 0
      let done = 0
      const work = Effect.suspend(() => {
        most = Math.max(most, ++active)
        return Effect.yieldNow
      }).pipe(
        Effect.tap(() =>
          Effect.sync(() => {
            active--
            done++
          })
        )
      )
      yield* Effect.forEach(Array.from({ length: 10_000 }), () => bulkhead.protect(work, { key }), {
        concurrency: "unbounded",
        discard: true
      })
      expect({ active, most, done }).toEqual({ active: 0, most: 10, done: 10_000 })
      expect(yield* bulkhead.snapshot(key)).toMatchObject({ active: 0, queued: 0 })
    })
  )

  it.live("a row of calls without waiting inside does not overflow the stack", () =>
    Effect.gen(function* () {
      const bulkhead = yield* Bulkhead.make({ limit: 1, maxQueue: 20_000 })
      const gate = yield* Deferred.make<void>()
      const first = yield* Effect.forkChild(bulkhead.protect(Deferred.await(gate), { key }), { startImmediately: true })
      let done = 0
      const fibers = yield* Effect.forEach(Array.from({ length: 20_000 }), () =>
        Effect.forkChild(
          bulkhead.protect(
            Effect.sync(() => void done++),
            { key }
          ),
          { startImmediately: true }
        )
      )
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.join(first)
      yield* Fiber.awaitAll(fibers)
      expect(done).toBe(20_000)
    })
  )
})

describe("resize", () => {
  it.effect("up wakes those who wait", () =>
    Effect.gen(function* () {
      const { bulkhead, order, start, state } = yield* setup({ limit: 1 })
      yield* Effect.forEach(["a", "b", "c", "d"], (name) => start(name))
      yield* bulkhead.resize(3)
      yield* settle
      expect(order).toEqual(["a", "b", "c"])
      expect(yield* state).toEqual({ active: 3, queued: 1 })
    })
  )

  it.effect("down blocks until enough have ended, and ends nothing", () =>
    Effect.gen(function* () {
      const { bulkhead, order, start, state } = yield* setup({ limit: 3 })
      const [a, b, c] = yield* Effect.forEach(["a", "b", "c"], (name) => start(name))
      yield* bulkhead.resize(1, key)
      const d = yield* start("d")
      yield* a!.end
      yield* b!.end
      expect(order).toEqual(["a", "b", "c"])
      expect(yield* state).toEqual({ active: 1, queued: 1 })
      yield* c!.end
      expect(order).toEqual(["a", "b", "c", "d"])
      yield* d.end
      expect(yield* Fiber.join(d.fiber)).toBe("d")
    })
  )

  it.effect("of a key outlasts its calls and goes before that of all", () =>
    Effect.gen(function* () {
      const bulkhead = yield* Bulkhead.make({ limit: 5, limits: { own: 2 }, maxIdleKeys: 1 })
      yield* bulkhead.resize(3, "by-hand")
      yield* bulkhead.resize(7)
      const limits = yield* Effect.forEach(["by-hand", "own", "other"], (each) => bulkhead.snapshot(each))
      expect(limits.map(({ limit }) => limit)).toEqual([3, 2, 7])
    })
  )

  it.effect("refuses a limit that is none", () =>
    Effect.gen(function* () {
      const bulkhead = yield* Bulkhead.make()
      for (const limit of [0, -1, 1.5, NaN, Infinity]) {
        const error = yield* Effect.flip(bulkhead.resize(limit))
        expect(String(error)).toContain("bulkhead.limit")
      }
    })
  )
})

describe("memory", () => {
  it.effect(
    "1,000,000 keys leave no more behind than are kept for reuse, and a busy key is never forgotten",
    () =>
      Effect.gen(function* () {
        const bulkhead = yield* Bulkhead.make({ limit: 1, maxQueue: 0, maxIdleKeys: 100 })
        yield* Effect.forkChild(bulkhead.protect(Effect.never, { key: "busy" }), { startImmediately: true })
        const work = Effect.void
        for (let i = 0; i < 1_000_000; i++) yield* bulkhead.protect(work, { key: `key-${i}` })
        expect((yield* bulkhead.snapshots).length).toBeLessThanOrEqual(101)
        fullError(yield* Effect.flip(bulkhead.protect(work, { key: "busy" })))
      }),
    60_000
  )
})

describe("streams", () => {
  it.effect("hold a slot until they end, fail or are left, and are not begun without one", () =>
    Effect.gen(function* () {
      const { bulkhead, start, state } = yield* setup({ limit: 1, maxQueue: 1 })
      let opened = 0
      const source = Stream.suspend(() => {
        opened++
        return Stream.make(1, 2, 3)
      })
      const guarded = bulkhead.protectStream(source, { key })
      const holder = yield* start("holder")
      const waiting = yield* Effect.forkChild(Stream.runCollect(guarded), { startImmediately: true })
      expect(opened).toBe(0)
      fullError(yield* Effect.flip(Stream.runDrain(guarded)))
      yield* holder.end
      expect(yield* Fiber.join(waiting)).toEqual([1, 2, 3])
      expect(yield* state).toEqual({ active: 0, queued: 0 })
      const failing = bulkhead.protectStream(Stream.concat(Stream.make(1), Stream.fail("broken")), { key })
      expect(yield* Effect.flip(Stream.runDrain(failing))).toBe("broken")
      expect(yield* Stream.runHead(guarded)).toMatchObject({ value: 1 })
      expect(yield* state).toEqual({ active: 0, queued: 0 })
    })
  )

  it.effect("give the slot back at their end, before what follows them", () =>
    Effect.gen(function* () {
      const { bulkhead, state } = yield* setup({ limit: 1 })
      const guarded = bulkhead.protectStream(Stream.make("in"), { key })
      const seen: Array<number> = []
      const note = (value: string) => Effect.map(state, ({ active }) => (seen.push(active), value))
      yield* Stream.concat(guarded, Stream.make("after")).pipe(Stream.mapEffect(note), Stream.runDrain)
      expect(seen).toEqual([1, 0])
    })
  )

  it.effect("through the service in the context", () =>
    Effect.gen(function* () {
      expect(yield* Stream.make(1).pipe(Bulkhead.protectStream({ key }), Stream.runCollect)).toEqual([1])
      expect(yield* Effect.succeed(2).pipe(Bulkhead.protect({ key }))).toBe(2)
      expect(yield* Bulkhead.protect(Effect.succeed(3), { key })).toBe(3)
    }).pipe(Effect.provide(Bulkhead.layer()))
  )
})

const attempt = (context: Partial<CallContext.CallContext> = {}, deadlineMs = Infinity): Attempt.AttemptCall => ({
  requestId: "r",
  target: key,
  provider: "a",
  model: "m",
  attempt: 2,
  request: { model: "m", messages: [] } as unknown as Attempt.AttemptCall["request"],
  context: { ...CallContext.single, ...context },
  deadlineMs
})

describe("admit", () => {
  it.effect("gives the slot back when the attempt is settled, once", () =>
    Effect.gen(function* () {
      const { bulkhead, state } = yield* setup({ limit: 1 })
      const release = yield* bulkhead.admit!(attempt())
      const waiting = yield* Effect.forkChild(bulkhead.admit!(attempt()), { startImmediately: true })
      expect(yield* state).toEqual({ active: 1, queued: 1 })
      release({ _tag: "unsent" })
      release({ _tag: "unsent" })
      yield* settle
      expect(yield* state).toEqual({ active: 1, queued: 0 })
      ;(yield* Fiber.join(waiting))({ _tag: "interrupted", tookMs: 1 })
      expect(yield* state).toEqual({ active: 0, queued: 0 })
    })
  )

  it.effect("waits no longer than the call's deadline, and not at all when that is over", () =>
    Effect.gen(function* () {
      const { bulkhead } = yield* setup({ limit: 1, maxWait: "30 seconds" })
      yield* TestClock.adjust("1 second")
      yield* bulkhead.admit!(attempt())
      fullError(yield* Effect.flip(bulkhead.admit!(attempt({}, 1000))))
      const waiting = yield* Effect.forkChild(bulkhead.admit!(attempt({}, 3500)), { startImmediately: true })
      yield* TestClock.adjust("2499 millis")
      expect(waiting.pollUnsafe()).toBeUndefined()
      yield* TestClock.adjust("1 millis")
      yield* settle
      const error = fullError(yield* errorOf(waiting))
      expect(Duration.toMillis(error.waited)).toBe(2500)
    })
  )

  it.effect("a later deadline never delays an earlier one", () =>
    Effect.gen(function* () {
      const { bulkhead } = yield* setup({ limit: 1, maxWait: "30 seconds" })
      yield* bulkhead.admit!(attempt())
      const ends: Array<number> = []
      yield* Effect.forEach([9000, 2000, 7000, 1000], (deadlineMs) =>
        bulkhead.admit!(attempt({}, deadlineMs)).pipe(
          Effect.flip,
          Effect.andThen(Effect.sync(() => ends.push(deadlineMs))),
          Effect.forkChild({ startImmediately: true })
        )
      )
      for (const expected of [[1000], [1000, 2000], [1000, 2000]]) {
        yield* TestClock.adjust("1 second")
        yield* settle
        expect(ends).toEqual(expected)
      }
      yield* TestClock.adjust("6 seconds")
      yield* settle
      expect(ends).toEqual([1000, 2000, 7000, 9000])
    })
  )

  it.effect("takes priority and partition from the call's context", () =>
    Effect.gen(function* () {
      const { bulkhead } = yield* setup({ limit: 1 })
      let release = yield* bulkhead.admit!(attempt())
      const order: Array<string> = []
      const enter = (name: string, context: Partial<CallContext.CallContext>) =>
        bulkhead.admit!(attempt(context)).pipe(
          Effect.tap((settle) =>
            Effect.sync(() => {
              order.push(name)
              release = settle
            })
          ),
          Effect.forkChild({ startImmediately: true })
        )
      yield* enter("batch", { user: "u1", priority: "batch" })
      yield* enter("u1 first", { user: "u1" })
      yield* enter("u1 second", { user: "u1" })
      yield* enter("u2", { user: "u2", priority: "interactive" })
      for (let i = 0; i < 4; i++) {
        release({ _tag: "unsent" })
        yield* settle
      }
      expect(order).toEqual(["u1 first", "u2", "u1 second", "batch"])
    })
  )

  it("tells users of two tenants apart", () => {
    const of = (tenant: string, user?: string) =>
      Bulkhead.byCaller(attempt(user === undefined ? { tenant } : { tenant, user }))
    expect(new Set([of("a"), of("b"), of("a", "u"), of("b", "u"), of("au")]).size).toBe(5)
  })
})

describe("events", () => {
  it.effect("say who waited, who got in and who was turned away, and a throwing sink harms nobody", () =>
    Effect.gen(function* () {
      const events: Array<Event.PolicyEvent> = []
      const { start, state } = yield* setup({ limit: 1, maxQueue: 1, maxWait: "1 second" })
      const program = Effect.gen(function* () {
        const a = yield* start("a")
        yield* start("b", { priority: "batch" })
        yield* start("c", { priority: "batch" })
        yield* start("d")
        yield* TestClock.adjust("500 millis")
        yield* a.end
        yield* start("e")
        yield* TestClock.adjust("1 second")
        yield* settle
      })
      yield* Effect.provideService(program, Event.EventSink, (event) => {
        events.push(event)
        throw new Error("a bug of the sink")
      })
      expect(events).toEqual([
        { type: "bulkhead-queued", key, queued: 1 },
        { type: "bulkhead-rejected", key, reason: "full", queued: 1, waitedMs: 0 },
        { type: "bulkhead-queued", key, queued: 1 },
        { type: "bulkhead-rejected", key, reason: "displaced", queued: 1, waitedMs: 0 },
        { type: "bulkhead-waited", key, waitedMs: 500 },
        { type: "bulkhead-queued", key, queued: 1 },
        { type: "bulkhead-rejected", key, reason: "timeout", queued: 0, waitedMs: 1000 }
      ])
      expect(yield* state).toEqual({ active: 1, queued: 0 })
    })
  )
})

describe("options", () => {
  const wrong: ReadonlyArray<[string, Bulkhead.Options]> = [
    ...[0, -1, 1.5, NaN, Infinity, 1_000_001].map((limit): [string, Bulkhead.Options] => ["limit", { limit }]),
    ...[0, NaN, -2].map((limit): [string, Bulkhead.Options] => ["limits.x", { limits: { x: limit } }]),
    ...[-1, 0.5, NaN, Infinity].map((maxQueue): [string, Bulkhead.Options] => ["maxQueue", { maxQueue }]),
    ...[-1, NaN].map((maxWait): [string, Bulkhead.Options] => ["maxWait", { maxWait }]),
    ...[-1, NaN, 257].map((n): [string, Bulkhead.Options] => ["newestFirstAbove", { newestFirstAbove: n }]),
    ...[0, -1, NaN, Infinity].map((patience): [string, Bulkhead.Options] => ["patience", { patience }]),
    ...[0, -1, NaN, Infinity].map((n): [string, Bulkhead.Options] => ["maxIdleKeys", { maxIdleKeys: n }])
  ]

  it.each(wrong)("a wrong %s is named: %j", async (field, options) => {
    const exit = await Effect.runPromiseExit(Bulkhead.make(options))
    expect(Exit.isFailure(exit) && Cause.pretty(exit.cause)).toContain(`bulkhead.${field} is`)
  })

  it.effect("come from configuration", () =>
    Effect.gen(function* () {
      const bulkhead = yield* Bulkhead.Bulkhead
      expect((yield* bulkhead.snapshot(key)).limit).toBe(7)
    }).pipe(
      Effect.provide(
        Bulkhead.layerConfig({ limit: Config.Int("LIMIT") }).pipe(
          Layer.provide(ConfigProvider.layer(ConfigProvider.fromUnknown({ LIMIT: "7" })))
        )
      )
    )
  )

  it.effect("the noop bounds nothing", () =>
    Effect.gen(function* () {
      const bulkhead = yield* Bulkhead.Bulkhead
      expect(bulkhead.admit).toBeUndefined()
      expect(yield* bulkhead.protect(Effect.succeed(1), { key })).toBe(1)
      expect(yield* Stream.runCollect(bulkhead.protectStream(Stream.make(1), { key }))).toEqual([1])
      yield* bulkhead.resize(1)
      expect(yield* bulkhead.snapshot(key)).toMatchObject({ limit: Infinity, active: 0 })
      expect(yield* bulkhead.snapshots).toEqual([])
    }).pipe(Effect.provide(Bulkhead.layerNoop))
  )
})
