import * as Retry from "../../../../packages/core/src/policy/Retry.ts"
import * as RetryBudget from "../../../../packages/core/src/policy/RetryBudget.ts"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import { sweep } from "../../../support/sweep.ts"

/** A stream whose n-th opening behaves as the n-th of the given streams; counts what is opened and closed. */
const opening = <A, E>(runs: ReadonlyArray<Stream.Stream<A, E>>) => {
  const state = { opened: 0, closed: 0, openAtOnce: 0 }
  const stream = Stream.unwrap(
    Effect.gen(function* () {
      yield* Effect.acquireRelease(
        Effect.sync(() => {
          state.opened++
          state.openAtOnce = Math.max(state.openAtOnce, state.opened - state.closed)
        }),
        () => Effect.sync(() => void state.closed++)
      )
      return runs[state.opened - 1] ?? runs.at(-1)!
    })
  )
  return { state, stream }
}

const collect = <A, E>(stream: Stream.Stream<A, E>) =>
  Effect.gen(function* () {
    const out: Array<A> = []
    const fiber = yield* Effect.forkChild(Stream.runForEach(stream, (a) => Effect.sync(() => void out.push(a))))
    yield* TestClock.adjust("1 hour")
    return { out, exit: yield* Fiber.await(fiber) }
  })

describe("Retry.stream", () => {
  it.effect("opens again after failures before the first element, one opening at a time", () =>
    Effect.gen(function* () {
      const { state, stream } = opening([Stream.fail("a"), Stream.fail("b"), Stream.make(1, 2, 3)])
      const { exit, out } = yield* collect(Retry.stream(stream, {}))
      expect(exit).toEqual(Exit.void)
      expect(out).toEqual([1, 2, 3])
      expect(state).toEqual({ opened: 3, closed: 3, openAtOnce: 1 })
    })
  )

  it.effect("never opens again after the first element", () =>
    Effect.gen(function* () {
      const { state, stream } = opening([Stream.concat(Stream.make(1), Stream.fail("late"))])
      const { exit, out } = yield* collect(Retry.stream(stream, Retry.presets.batch))
      expect(exit).toEqual(Exit.fail("late"))
      expect(out).toEqual([1])
      expect(state).toEqual({ opened: 1, closed: 1, openAtOnce: 1 })
    })
  )

  it.effect("counts its retries over the whole stream and fails with the last error", () =>
    Effect.gen(function* () {
      const { state, stream } = opening([Stream.fail("no")])
      expect((yield* collect(Retry.stream(stream, { retries: 4 }))).exit).toEqual(Exit.fail("no"))
      expect(state.opened).toBe(5)
      expect(state.closed).toBe(5)
    })
  )

  it.effect("takes an empty stream for a success, and a defect for a defect", () =>
    Effect.gen(function* () {
      const empty = opening([Stream.empty])
      expect((yield* collect(Retry.stream(empty.stream, {}))).exit).toEqual(Exit.void)
      const bug = opening([Stream.die("bug")])
      expect(Exit.isFailure((yield* collect(Retry.stream(bug.stream, {}))).exit)).toBe(true)
      expect([empty.state.opened, bug.state.opened]).toEqual([1, 1])
    })
  )

  it.effect("gives the budget back what a rescued opening spent, and stops at the deadline", () =>
    Effect.gen(function* () {
      const budget = yield* RetryBudget.make({ idle: "1 day" })
      const rescued = opening([Stream.fail("a"), Stream.make(1)])
      yield* collect(Retry.stream(rescued.stream, { budget, key: "k" }))
      expect(budget.snapshot(0)).toEqual([])
      const { state, stream } = opening([Stream.fail("a")])
      yield* collect(Retry.stream(stream, { timeout: 10, schedule: Retry.constant() }))
      expect(state.opened).toBe(1)
    })
  )

  it("closes every opening wherever it is interrupted", async () => {
    let state = { opened: 0, closed: 0 }
    const points = await sweep(
      () => {
        const made = opening([Stream.fail("a"), Stream.concat(Stream.make(1, 2), Stream.fromEffect(Effect.sleep(5)))])
        state = made.state
        return Stream.runDrain(Retry.stream(made.stream, {}))
      },
      ({ clock, point }) => {
        expect(state.closed, `point ${point}`).toBe(state.opened)
        expect(clock.sleeping(), `point ${point}`).toBe(0)
      }
    )
    expect(points).toBeGreaterThan(20)
  })
})
