import { BreakerStore, CircuitBreaker, Event, LLMError } from "@breakwater/core"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"

const key = "provider/model"
const lost = new LLMError.StoreError({ message: "connection lost", store: "test", operation: "any" })

/** A store that counts its calls, and that can be lost and found. */
const makeStore = Effect.gen(function* () {
  const inner = yield* BreakerStore.makeMemory
  const cuts = new Set<Queue.Queue<never, LLMError.StoreError>>()
  const control = { up: true, calls: 0, published: [] as Array<BreakerStore.BreakerChange> }
  const gate = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
    Effect.suspend((): Effect.Effect<A, E | LLMError.StoreError, R> => {
      control.calls++
      return control.up ? effect : Effect.fail(lost)
    })
  const store: BreakerStore.BreakerStoreService = {
    publish: (change) =>
      gate(Effect.tap(inner.publish(change), () => Effect.sync(() => control.published.push(change)))),
    load: gate(inner.load),
    subscribe: gate(
      Effect.gen(function* () {
        const cut = yield* Queue.unbounded<never, LLMError.StoreError>()
        cuts.add(cut)
        return Stream.merge(yield* inner.subscribe, Stream.fromQueue(cut), { haltStrategy: "either" })
      })
    )
  }
  const down = Effect.suspend(() => {
    control.up = false
    const all = Array.from(cuts)
    cuts.clear()
    return Effect.forEach(all, (cut) => Queue.fail(cut, lost), { discard: true })
  })
  const up = Effect.sync(() => {
    control.up = true
  })
  return { store, inner, control, down, up }
})

const options: CircuitBreaker.Options = {
  window: CircuitBreaker.consecutive(2),
  open: { jitter: 0 },
  halfOpen: { calls: 1, successes: 1 }
}

const makeReplica = (store: BreakerStore.BreakerStoreService, events: Array<Event.PolicyEvent> = []) =>
  CircuitBreaker.makeShared(options).pipe(
    Effect.provideService(BreakerStore.BreakerStore, store),
    Effect.provideService(Event.EventSink, (event) => void events.push(event)),
    Effect.tap(() => settled)
  )

/** Lets the background fibers have their turn, without a moment passing. */
const settled = Effect.forEach(Array(20).fill(0), () => Effect.yieldNow, { discard: true })

const fail = (breaker: CircuitBreaker.CircuitBreakerService, times = 2) =>
  Effect.forEach(Array(times).fill(0), () => Effect.ignore(breaker.protect(Effect.fail("down"), { key })), {
    discard: true
  })

describe("shared mode", () => {
  it.effect("one replica's trip opens the others, and its recovery closes them", () =>
    Effect.gen(function* () {
      const { store } = yield* makeStore
      const [a, b] = [yield* makeReplica(store), yield* makeReplica(store)]
      yield* b.protect(Effect.void, { key })
      yield* fail(a)
      yield* settled
      expect(yield* b.snapshot(key)).toMatchObject({ state: "open", retryAfterMs: 30_000, openings: 1 })
      expect((yield* Effect.flip(b.protect(Effect.void, { key })))._tag).toBe("CircuitOpenError")
      yield* TestClock.adjust("30 seconds")
      yield* a.protect(Effect.void, { key })
      yield* settled
      expect((yield* b.snapshot(key)).state).toBe("closed")
    })
  )

  it.live("within 250 ms of real time", () =>
    Effect.gen(function* () {
      const { store } = yield* makeStore
      const [a, b] = [yield* makeReplica(store), yield* makeReplica(store)]
      const opened = yield* b.transitions.pipe(
        Stream.take(1),
        Stream.runCollect,
        Effect.forkChild({ startImmediately: true })
      )
      yield* fail(a)
      const heard = yield* Effect.timeoutOption(Fiber.join(opened), "250 millis")
      expect(heard).toMatchObject({ _tag: "Some", value: [{ to: "open", reason: "shared" }] })
      expect((yield* b.snapshot(key)).state).toBe("open")
    })
  )

  it.effect("a failed probe anywhere opens all again, with the backoff grown", () =>
    Effect.gen(function* () {
      const { store } = yield* makeStore
      const [a, b] = [yield* makeReplica(store), yield* makeReplica(store)]
      yield* fail(a)
      yield* settled
      yield* TestClock.adjust("30 seconds")
      yield* fail(b, 1)
      yield* settled
      expect(yield* a.snapshot(key)).toMatchObject({ state: "open", openings: 2, retryAfterMs: 60_000 })
    })
  )

  it.effect("while closed no call asks the store anything", () =>
    Effect.gen(function* () {
      const { control, store } = yield* makeStore
      const a = yield* makeReplica(store)
      const before = control.calls
      for (let n = 0; n < 1_000; n++) yield* a.protect(Effect.void, { key })
      yield* settled
      expect(control.calls).toBe(before)
    })
  )

  it.effect("a replica that starts late learns what is open", () =>
    Effect.gen(function* () {
      const { store } = yield* makeStore
      yield* fail(yield* makeReplica(store))
      yield* settled
      yield* TestClock.adjust("10 seconds")
      const late = yield* makeReplica(store)
      expect(yield* late.snapshot(key)).toMatchObject({ state: "open", retryAfterMs: 20_000 })
    })
  )

  it.effect("a lost store means local mode and an event; when it is back the others are told", () =>
    Effect.gen(function* () {
      const { down, store, up } = yield* makeStore
      const events: Array<Event.PolicyEvent> = []
      const [a, b] = [yield* makeReplica(store, events), yield* makeReplica(store)]
      yield* down
      yield* settled
      const told = () => events.filter((event) => event.type === "circuit-store-changed")
      expect(told()).toEqual([{ type: "circuit-store-changed", available: false, error: lost }])
      yield* fail(a)
      yield* settled
      expect((yield* a.snapshot(key)).state).toBe("open")
      expect((yield* b.snapshot(key)).state).toBe("closed")
      expect(yield* b.protect(Effect.succeed(1), { key })).toBe(1)
      yield* up
      for (let n = 0; n < 10; n++) yield* Effect.andThen(TestClock.adjust("1 second"), settled)
      expect(told().map((event) => event.available)).toEqual([false, true])
      expect((yield* b.snapshot(key)).state).toBe("open")
    })
  )

  it.effect("a store that hangs is a lost store, and no call waits for it", () =>
    Effect.gen(function* () {
      const events: Array<Event.PolicyEvent> = []
      const hung: BreakerStore.BreakerStoreService = {
        publish: () => Effect.never,
        load: Effect.never,
        subscribe: Effect.succeed(Stream.never)
      }
      const a = yield* makeReplica(hung, events)
      yield* fail(a)
      yield* settled
      yield* TestClock.adjust("5 seconds")
      yield* settled
      expect(events.filter((event) => event.type === "circuit-store-changed").length).toBe(1)
      expect((yield* a.snapshot(key)).state).toBe("open")
    })
  )

  it.effect("all replicas end in the same state, however their changes cross", () =>
    Effect.gen(function* () {
      const { inner, store } = yield* makeStore
      const [a, b] = [yield* makeReplica(store), yield* makeReplica(store)]
      const change: BreakerStore.BreakerChange = {
        key,
        state: "open",
        remainingMs: 9_000,
        openings: 1,
        revision: 50,
        origin: "x"
      }
      yield* inner.publish(change)
      yield* inner.publish({ ...change, state: "closed", remainingMs: 0, revision: 51 })
      yield* inner.publish({ ...change, revision: 49, origin: "z" })
      yield* settled
      for (const replica of [a, b]) expect((yield* replica.snapshot(key)).state).toBe("closed")
      yield* inner.publish({ ...change, revision: 51, origin: "y" })
      yield* settled
      for (const replica of [a, b]) expect((yield* replica.snapshot(key)).state).toBe("open")
    })
  )

  it.effect("nonsense from the store changes nothing", () =>
    Effect.gen(function* () {
      const { inner, store } = yield* makeStore
      const a = yield* makeReplica(store)
      const change: BreakerStore.BreakerChange = {
        key,
        state: "open",
        remainingMs: 9_000,
        openings: 1,
        revision: 1,
        origin: "x"
      }
      const wrong: ReadonlyArray<Partial<BreakerStore.BreakerChange>> = [
        { remainingMs: Number.NaN },
        { remainingMs: -1 },
        { revision: 0.5 },
        { openings: -1 },
        { key: "" }
      ]
      for (const each of wrong) yield* inner.publish({ ...change, ...each })
      yield* settled
      expect(yield* a.snapshots).toEqual([])
      yield* inner.publish({ ...change, remainingMs: 1e12 })
      yield* settled
      expect((yield* a.snapshot(key)).retryAfterMs).toBe(300_000)
    })
  )

  it.effect("a reset by hand closes the others, a hold stays here", () =>
    Effect.gen(function* () {
      const { control, store } = yield* makeStore
      const [a, b] = [yield* makeReplica(store), yield* makeReplica(store)]
      yield* fail(a)
      yield* settled
      yield* a.reset(key)
      yield* settled
      expect((yield* b.snapshot(key)).state).toBe("closed")
      const published = control.published.length
      yield* yield* a.forceOpen(key)
      yield* settled
      expect(control.published.length).toBe(published)
    })
  )

  it.effect("layerShared over layerMemory", () =>
    Effect.gen(function* () {
      const breaker = yield* CircuitBreaker.CircuitBreaker
      yield* fail(breaker)
      expect((yield* breaker.snapshot(key)).state).toBe("open")
    }).pipe(Effect.provide(Layer.provide(CircuitBreaker.layerShared(options), BreakerStore.layerMemory)))
  )
})
