/**
 * What every store of circuit breakers owes, as a suite over the port. An implementation's own test calls it with two
 * connections to one fresh store (two processes, as it were).
 */
import type { BreakerStore } from "@breakwater/core"
import { describe, expect, it } from "@effect/vitest"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"

type Store = BreakerStore.BreakerStoreService

export interface BreakerStoreContract {
  /** Two connections to one store that holds nothing. */
  readonly connect: Effect.Effect<readonly [Store, Store], unknown, Scope.Scope>
  /** Lets so much of the store's time pass: virtual where the store runs on Effect's clock, real elsewhere. */
  readonly pass: (duration: Duration.Input) => Effect.Effect<void>
}

const opened = (change: Partial<BreakerStore.BreakerChange> = {}): BreakerStore.BreakerChange => ({
  key: "provider/model",
  state: "open",
  remainingMs: 2_000,
  openings: 1,
  revision: 1,
  origin: "a",
  ...change
})

/** A subscription that is in force, and what it will have heard after so many changes. */
const listen = (store: Store, count: number) =>
  Effect.flatMap(store.subscribe, (changes) => Effect.forkScoped(Stream.runCollect(Stream.take(changes, count))))

export const breakerStoreContract = (name: string, { connect, pass }: BreakerStoreContract): void => {
  describe(`a store of circuit breakers: ${name}`, () => {
    it.effect("a change reaches every subscriber, the publisher's own too, in order", () =>
      Effect.gen(function* () {
        const [one, other] = yield* connect
        const heard = [yield* listen(one, 3), yield* listen(other, 3)]
        const changes = [
          opened(),
          opened({ state: "closed", remainingMs: 0, revision: 2 }),
          opened({ key: 'ключ "2"', revision: 3 })
        ]
        yield* Effect.forEach(changes, (change) => one.publish(change))
        for (const fiber of heard) {
          expect((yield* Fiber.join(fiber)).map(({ key, revision, state }) => [key, state, revision])).toEqual(
            changes.map(({ key, revision, state }) => [key, state, revision])
          )
        }
      })
    )

    it.effect("a subscription hears what is published after it was made, even before it is read", () =>
      Effect.gen(function* () {
        const [one, other] = yield* connect
        const changes = yield* other.subscribe
        yield* one.publish(opened({ openings: 4 }))
        const [first] = yield* Stream.runCollect(Stream.take(changes, 1))
        expect(first).toMatchObject({ key: "provider/model", state: "open", openings: 4, revision: 1, origin: "a" })
      })
    )

    it.effect("load answers with what is open, its time counted down", () =>
      Effect.gen(function* () {
        const [one, other] = yield* connect
        expect(yield* other.load).toEqual([])
        yield* one.publish(opened())
        yield* pass("500 millis")
        const [loaded] = yield* other.load
        expect(loaded).toMatchObject({ key: "provider/model", state: "open", openings: 1, revision: 1, origin: "a" })
        expect(loaded!.remainingMs).toBeGreaterThan(0)
        expect(loaded!.remainingMs).toBeLessThanOrEqual(1_500)
      })
    )

    it.effect("an open state is forgotten when its time is over", () =>
      Effect.gen(function* () {
        const [one, other] = yield* connect
        yield* one.publish(opened({ remainingMs: 300 }))
        yield* pass("400 millis")
        expect(yield* other.load).toEqual([])
      })
    )

    it.effect("a closed circuit is not loaded", () =>
      Effect.gen(function* () {
        const [one, other] = yield* connect
        yield* one.publish(opened())
        yield* other.publish(opened({ state: "closed", remainingMs: 0, revision: 2, origin: "b" }))
        expect(yield* one.load).toEqual([])
      })
    )

    it.effect("of two changes the newer holds, in whatever order they come", () =>
      Effect.gen(function* () {
        const [one, other] = yield* connect
        yield* one.publish(opened({ state: "closed", remainingMs: 0, revision: 5 }))
        yield* other.publish(opened({ revision: 4, origin: "b" }))
        expect(yield* one.load).toEqual([])
        yield* other.publish(opened({ revision: 5, origin: "b" }))
        expect((yield* one.load).map((change) => change.origin)).toEqual(["b"])
        yield* one.publish(opened({ revision: 5, origin: "a", openings: 9 }))
        expect((yield* one.load).map((change) => change.openings)).toEqual([1])
      })
    )
  })
}
