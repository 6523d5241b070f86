/**
 * A call that was interrupted between being chosen to look whether a lost store is back, and looking, left the choice to
 * nobody: the store was never asked again.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { assert, it } from "vitest"
import { StoreError } from "../../packages/core/src/errors/LLMError.ts"
import { StoreWatch } from "../../packages/core/src/internal/storeWatch.ts"
import { sweep } from "../support/sweep.ts"

const down = new StoreError({ message: "down", store: "far", operation: "get" })

it.each([undefined, 3])("whoever is interrupted, the next one looks (yielding every %s)", async (yieldEvery) => {
  const state = { watch: undefined as StoreWatch | undefined, asked: 0 }
  const instead = () => Effect.succeed("instead")
  const asking = Effect.suspend(() => {
    state.asked++
    return Effect.fail(down)
  })
  const points = await sweep(
    () => {
      state.watch = undefined
      const watch = new StoreWatch({ store: "far", mode: "fail-open", firstMs: 10, longestMs: 10 })
      state.watch = watch
      state.asked = 0
      const ask = watch.ask<string>(asking, instead)
      return Effect.gen(function* () {
        yield* ask
        yield* Effect.sleep(20)
        yield* ask
      })
    },
    ({ clock, point }) => {
      const { watch } = state
      if (watch === undefined) return
      const before = state.asked
      // Later than any pause.
      const later: Clock.Clock = { ...clock, monotonicTimeNanosUnsafe: () => 1_000_000_000n }
      const answer = Effect.runSync(Effect.provideService(watch.ask<string>(asking, instead), Clock.Clock, later))
      assert.strictEqual(answer, "instead")
      assert.strictEqual(state.asked, before + 1, `not asked after point ${point}`)
    },
    yieldEvery === undefined ? {} : { yieldEvery }
  )
  assert.isAbove(points, 10)
})
