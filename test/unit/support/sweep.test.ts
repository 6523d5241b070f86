import * as Effect from "effect/Effect"
import { expect, it } from "vitest"
import { sweep } from "../../support/sweep.ts"

it("a sweep finds the operation after which an interruption leaks", async () => {
  const leaksOf = async (program: (held: { count: number }) => Effect.Effect<unknown>) => {
    let leaks = 0
    let held = { count: 0 }
    const points = await sweep(
      () => program((held = { count: 0 })),
      () => {
        if (held.count !== 0) leaks++
      }
    )
    expect(points).toBeGreaterThan(3)
    return leaks
  }
  const acquire = (held: { count: number }) => Effect.sync(() => void held.count++)
  const release = (held: { count: number }) => Effect.sync(() => void held.count--)
  const careless = await leaksOf((held) =>
    acquire(held).pipe(Effect.andThen(Effect.sleep(1)), Effect.andThen(release(held)))
  )
  const careful = await leaksOf((held) =>
    Effect.acquireUseRelease(
      acquire(held),
      () => Effect.sleep(1),
      () => release(held)
    )
  )
  expect(careless).toBeGreaterThan(0)
  expect(careful).toBe(0)
})

it("a sweep finds a timer that is left running", async () => {
  let leaks = 0
  await sweep(
    () => Effect.andThen(Effect.forkDetach(Effect.sleep(1_000_000), { startImmediately: true }), Effect.yieldNow),
    ({ clock }) => {
      leaks += clock.sleeping()
    }
  )
  expect(leaks).toBeGreaterThan(0)
})
