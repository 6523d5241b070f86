/** Everything a bulkhead does, interrupted at every operation: no slot, no place in a queue and no timer is lost. */
import { CallContext, type Attempt } from "@breakwater/core"
import * as Bulkhead from "../../../../packages/core/src/policy/Bulkhead.ts"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import { sweep } from "../../../support/sweep.ts"

const key = "a/m"
const call: Attempt.AttemptCall = {
  requestId: "r",
  target: key,
  provider: "a",
  model: "m",
  attempt: 1,
  request: { model: "m", messages: [] } as unknown as Attempt.AttemptCall["request"],
  context: CallContext.single,
  deadlineMs: Infinity
}

/** As the pipeline does it: admitted interruptibly, received where nothing can come between. */
const attempt = (bulkhead: Bulkhead.BulkheadService, work: Effect.Effect<void>) =>
  Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(restore(bulkhead.admit!(call)), (settle) =>
      Effect.onExitPrimitive(restore(work), () => {
        settle({ _tag: "interrupted", tookMs: 0 })
        return undefined
      })
    )
  )

type Use = (bulkhead: Bulkhead.BulkheadService, work: Effect.Effect<void>) => Effect.Effect<void, unknown>

const uses: Record<string, Use> = {
  protect: (bulkhead, work) => bulkhead.protect(work, { key }),
  protectStream: (bulkhead, work) => Stream.runDrain(bulkhead.protectStream(Stream.fromEffect(work), { key })),
  admit: attempt,
  "protect, in a region that cannot be interrupted": (bulkhead, work) =>
    Effect.uninterruptible(bulkhead.protect(work, { key }))
}

describe.each(Object.entries(uses))("interruption at every operation: %s", (_, use) => {
  it.each([undefined, 3, 7])(
    "loses nothing, yielding every %s operations",
    async (yieldEvery) => {
      let bulkhead: Bulkhead.BulkheadService | undefined
      let inside = 0
      let most = 0
      const work = Effect.suspend(() => {
        let entered = 0
        const enter = Effect.sync(() => {
          entered = 1
          most = Math.max(most, ++inside)
        })
        return Effect.ensuring(
          Effect.andThen(enter, Effect.sleep("10 millis")),
          Effect.sync(() => void (inside -= entered))
        )
      })
      const points = await sweep(
        () => {
          bulkhead = undefined
          inside = most = 0
          return Effect.gen(function* () {
            bulkhead = yield* Bulkhead.make({ limit: 2, maxQueue: 2, maxWait: "15 millis" })
            const fibers = yield* Effect.forEach([1, 2, 3, 4, 5, 6], () =>
              Effect.forkChild(Effect.exit(use(bulkhead!, work)))
            )
            yield* Fiber.awaitAll(fibers)
          })
        },
        ({ clock, point }) => {
          if (bulkhead === undefined) return
          const { active, queued } = Effect.runSync(bulkhead.snapshot(key))
          expect({ active, queued, inside }, `at point ${point}`).toEqual({ active: 0, queued: 0, inside: 0 })
          expect(most, `at point ${point}`).toBeLessThanOrEqual(2)
          expect(Effect.runSync(Effect.exit(bulkhead.protect(Effect.void, { key })))._tag).toBe("Success")
          expect(clock.sleeping(), `timers at point ${point}`).toBe(0)
        },
        yieldEvery === undefined ? {} : { yieldEvery }
      )
      expect(points).toBeGreaterThan(40)
    },
    20_000
  )
})
