/** A budget on a store that is far away, and what it does when that fails. */
import { Budget, BudgetStore, CallContext, Event, LLMError, Pricing } from "@breakwater/core"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/testing/TestClock"

const down = new LLMError.StoreError({ message: "down", store: "far", operation: "reserve" })

const setup = (onStoreError?: "fail-closed" | "fail-open" | "local") =>
  Effect.gen(function* () {
    const memory = yield* BudgetStore.makeMemory()
    const state = { down: false, hang: false, broken: false }
    const seen = { reserves: 0 }
    const through = <A>(effect: Effect.Effect<A, LLMError.StoreError>): Effect.Effect<A, LLMError.StoreError> =>
      Effect.suspend(() => (state.hang ? Effect.never : state.down ? Effect.fail(down) : effect))
    const store: BudgetStore.BudgetStoreService = {
      name: "far",
      reserve: (reservation, now) => {
        seen.reserves++
        return through(memory.reserve(reservation, now))
      },
      settle: (reservation, charges) =>
        state.broken ? Effect.die(new Error("a bug")) : through(memory.settle(reservation, charges)),
      balance: (account, window) => through(memory.balance(account, window))
    }
    const events: Array<Event.PolicyEvent> = []
    const listening = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
      Effect.provideService(effect, Event.EventSink, (event) => {
        events.push(event)
      })
    const budget = yield* Budget.make({
      limits: [{ scope: "global", period: "lifetime", limit: "0.0000001" }],
      ...(onStoreError === undefined ? {} : { onStoreError })
    }).pipe(
      Effect.provideService(BudgetStore.BudgetStore, store),
      Effect.provide(Pricing.layer({ "p/a": { input: 1, output: 1 } })),
      listening
    )
    const hold = (amount: bigint) => listening(budget.hold(CallContext.single, amount))
    const standing = Effect.map(budget.snapshot(CallContext.single), ([all]) => [all!.spent, all!.reserved])
    const soon = Effect.repeat(Effect.yieldNow, { times: 20 })
    return { budget, seen, state, events, hold, standing, soon }
  })

describe("a budget on a store that is far away", () => {
  it.effect("reserves at once, and settles behind the call", () =>
    Effect.gen(function* () {
      const { events, hold, soon, standing } = yield* setup()
      const settle = yield* hold(60n)
      expect(yield* standing).toEqual([0n, 60n])
      expect((yield* Effect.flip(hold(41n)))._tag).toBe("BudgetExceededError")
      settle(50n)
      settle(50n)
      yield* soon
      expect(yield* standing).toEqual([50n, 0n])
      expect(events.map((event) => event.type)).toEqual(["budget-rejected", "budget-threshold"])
    }).pipe(Effect.scoped)
  )

  it.effect("while the store fails, calls are turned away by default", () =>
    Effect.gen(function* () {
      const { events, hold, soon, state } = yield* setup()
      state.down = true
      expect(yield* Effect.flip(hold(1n))).toBe(down)
      expect(events[0]).toEqual({
        type: "budget-store-failed",
        store: "far",
        operation: "reserve",
        handled: "fail-closed",
        error: down
      })
      state.down = false
      yield* soon
      yield* TestClock.adjust("1 minute")
    }).pipe(Effect.scoped)
  )

  it.effect("or let go unaccounted", () =>
    Effect.gen(function* () {
      const { hold, standing, state } = yield* setup("fail-open")
      state.down = true
      const settle = yield* hold(1_000n)
      settle(1_000n)
      state.down = false
      expect(yield* standing).toEqual([0n, 0n])
    }).pipe(Effect.scoped)
  )

  it.effect("or counted in this process", () =>
    Effect.gen(function* () {
      const { hold, state } = yield* setup("local")
      state.down = true
      yield* hold(60n)
      expect((yield* Effect.flip(hold(41n)))._tag).toBe("BudgetExceededError")
      state.down = false
      yield* hold(100n)
    }).pipe(Effect.scoped)
  )

  it.effect("a settlement is tried again, and then left reserved, with an event", () =>
    Effect.gen(function* () {
      const { events, hold, soon, standing, state } = yield* setup()
      const [first, second] = [yield* hold(10n), yield* hold(20n)]
      state.down = true
      first(5n)
      yield* soon
      yield* TestClock.adjust("5 seconds")
      state.down = false
      yield* TestClock.adjust("10 seconds")
      expect(yield* standing).toEqual([5n, 20n])
      state.down = true
      second(5n)
      yield* soon
      yield* TestClock.adjust("2 minutes")
      state.down = false
      expect(yield* standing).toEqual([5n, 20n])
      expect(events.at(-1)).toMatchObject({
        type: "budget-store-failed",
        operation: "settle",
        handled: "left-reserved"
      })
    }).pipe(Effect.scoped)
  )

  it.effect("a store that is broken keeps nobody else's settlement", () =>
    Effect.gen(function* () {
      const { events, hold, soon, standing, state } = yield* setup()
      const holds = yield* Effect.forEach(Array.from({ length: 40 }), () => hold(1n))
      const last = yield* hold(10n)
      state.broken = true
      for (const settle of holds) settle(1n)
      yield* soon
      state.broken = false
      last(5n)
      yield* soon
      // What could not be settled stays reserved, and is told.
      expect(yield* standing).toEqual([5n, 40n])
      const told = events.filter((event) => event.type === "budget-store-failed")
      expect(told).toHaveLength(40)
      expect(told[0]).toMatchObject({ operation: "settle", handled: "left-reserved", error: { _tag: "StoreError" } })
    }).pipe(Effect.scoped)
  )

  it.effect("whoever waits for a store that hangs can give up, also where nothing else may be interrupted", () =>
    Effect.gen(function* () {
      const { budget, soon, standing, state } = yield* setup()
      state.hang = true
      const fiber = yield* Effect.forkChild(
        Effect.acquireUseRelease(
          budget.hold(CallContext.single, 10n),
          () => Effect.void,
          () => Effect.void
        )
      )
      yield* soon
      state.hang = false
      expect(Exit.hasInterrupts(yield* Fiber.interrupt(fiber).pipe(Effect.andThen(Fiber.await(fiber))))).toBe(true)
      yield* soon
      expect(yield* standing).toEqual([0n, 0n])
    }).pipe(Effect.scoped)
  )

  it.effect("a store that failed three times in a row is asked by one call at a time, until it is back", () =>
    Effect.gen(function* () {
      const { events, hold, seen, soon, standing, state } = yield* setup("local")
      state.down = true
      for (let i = 0; i < 20; i++) yield* hold(1n)
      expect(seen.reserves).toBe(3)
      expect(events.filter(({ type }) => type === "store-lost")).toHaveLength(1)
      // Each call is told all the same.
      expect(events.filter(({ type }) => type === "budget-store-failed")).toHaveLength(20)
      yield* TestClock.adjust("100 millis")
      yield* hold(1n)
      yield* hold(1n)
      expect(seen.reserves).toBe(4)
      state.down = false
      yield* TestClock.adjust("200 millis")
      const settle = yield* hold(60n)
      expect(events.at(-1)).toMatchObject({ type: "store-recovered", store: "far", mode: "local", lostMs: 300 })
      settle(60n)
      yield* soon
      // What was let in this process while it was away is not in the store.
      expect(yield* standing).toEqual([60n, 0n])
    }).pipe(Effect.scoped)
  )

  it.effect("a store that does not answer within `storeTimeout` has failed, and keeps nothing", () =>
    Effect.gen(function* () {
      const { hold, soon, standing, state } = yield* setup()
      state.hang = true
      const fiber = yield* Effect.forkChild(Effect.flip(hold(10n)))
      yield* soon
      yield* TestClock.adjust("4999 millis")
      expect(fiber.pollUnsafe()).toBeUndefined()
      yield* TestClock.adjust("1 millis")
      expect(yield* Fiber.join(fiber)).toMatchObject({
        _tag: "StoreError",
        store: "far",
        operation: "reserve",
        message: "far: no answer within 5000 ms"
      })
      state.hang = false
      yield* TestClock.adjust("1 minute")
      expect(yield* standing).toEqual([0n, 0n])
    }).pipe(Effect.scoped)
  )

  it.effect("the end of the scope waits for what was spent, and not for what was never taken", () =>
    Effect.gen(function* () {
      const ends = (prepare: (parts: Effect.Success<ReturnType<typeof setup>>) => Effect.Effect<unknown, unknown>) =>
        Effect.forkChild(Effect.scoped(Effect.ignore(Effect.flatMap(setup(), prepare))))
      const idle = yield* ends(({ hold, soon, state }) =>
        Effect.gen(function* () {
          state.down = true
          yield* Effect.flip(hold(1n))
          yield* soon
        })
      )
      yield* Effect.repeat(Effect.yieldNow, { times: 200 })
      expect(idle.pollUnsafe()).toBeDefined()
      const owing = yield* ends(({ hold, soon, state }) =>
        Effect.gen(function* () {
          const settle = yield* hold(1n)
          state.down = true
          settle(1n)
          yield* soon
        })
      )
      yield* Effect.repeat(Effect.yieldNow, { times: 200 })
      expect(owing.pollUnsafe()).toBeUndefined()
      yield* TestClock.adjust("5 seconds")
      expect(owing.pollUnsafe()).toBeDefined()
    })
  )

  for (const storeTimeout of [0, -1, Number.NaN, Infinity]) {
    it.effect(`a storeTimeout of ${storeTimeout} is named`, () =>
      Effect.gen(function* () {
        const options = { limits: [{ scope: "global", period: "day", limit: 1 }], storeTimeout } as const
        const error = yield* Effect.flip(Budget.make(options).pipe(Effect.provide(Pricing.layer({}))))
        expect(String(error.message)).toContain("storeTimeout")
      }).pipe(Effect.scoped)
    )
  }
})
