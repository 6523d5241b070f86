import { MiniLM } from "@breakwater/embedder"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"

const cosine = (a: ArrayLike<number>, b: ArrayLike<number>): number => {
  let dot = 0
  for (let i = 0; i < a.length; i++) dot += a[i]! * b[i]!
  return dot
}

// Real time: a thread knows no other.
describe("MiniLM in a worker thread", () => {
  it.live("places what means the same near, in the order of the texts, while this thread goes on", () =>
    Effect.gen(function* () {
      const embedder = yield* MiniLM.make
      let ticks = 0
      const timer = setInterval(() => ticks++, 5)
      const [a, b, c] = yield* embedder.embed([
        "How do I reset my password?",
        "How can I reset my password?",
        "Boil an egg"
      ])
      clearInterval(timer)
      expect(a).toHaveLength(384)
      expect(cosine(a!, b!)).toBeGreaterThan(0.95)
      expect(cosine(a!, c!)).toBeLessThan(0.5)
      expect(ticks).toBeGreaterThan(5)
    })
  )

  it.live("an interrupted question is forgotten, and the next one answered", () =>
    Effect.gen(function* () {
      const embedder = yield* MiniLM.make
      const fiber = yield* Effect.forkChild(embedder.embed(["one"]))
      yield* Effect.yieldNow
      yield* Fiber.interrupt(fiber)
      expect(yield* embedder.embed(["two"])).toHaveLength(1)
    })
  )

  it.live("the end of the scope ends the thread, and fails what still waits", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const embedder = yield* Scope.provide(MiniLM.make, scope)
      const fiber = yield* Effect.forkChild(embedder.embed(["one"]))
      yield* Effect.yieldNow
      yield* Scope.close(scope, Exit.void)
      expect(yield* Effect.flip(Fiber.join(fiber))).toMatchObject({ _tag: "ServerError" })
    })
  )
})
