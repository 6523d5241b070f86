import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import { keyOf, make } from "../../../../../packages/gateway/src/config/build/Kept.ts"

const counted = () => {
  const log: Array<string> = []
  const part = (name: string) =>
    Effect.acquireRelease(
      Effect.sync(() => {
        log.push(`+${name}`)
        return { name }
      }),
      () => Effect.sync(() => void log.push(`-${name}`))
    )
  return { log, part }
}

describe("parts that are kept", () => {
  it.effect("are made once, lent to all, and closed after the last", () =>
    Effect.gen(function* () {
      const { log, part } = counted()
      const kept = make()
      const [first, second] = [yield* Scope.make(), yield* Scope.make()]
      const one = yield* Scope.provide(kept.keep("a", part("a")), first)
      const other = yield* Scope.provide(kept.keep("a", part("a")), second)
      yield* Scope.provide(kept.keep("b", part("b")), second)
      expect(one).toBe(other)
      yield* Scope.close(first, Exit.void)
      expect(log).toEqual(["+a", "+b"])
      yield* Scope.close(second, Exit.void)
      expect(log.toSorted()).toEqual(["+a", "+b", "-a", "-b"])
      yield* Effect.scoped(kept.keep("a", part("a")))
      expect(log.slice(4)).toEqual(["+a", "-a"])
    })
  )

  it.effect("that cannot be made leave nothing behind, and may be tried again", () =>
    Effect.gen(function* () {
      const { log, part } = counted()
      const kept = make()
      const failing = Effect.andThen(part("half"), Effect.fail("no" as const))
      expect(yield* Effect.flip(Effect.scoped(kept.keep("a", failing)))).toBe("no")
      expect(log).toEqual(["+half", "-half"])
      expect(yield* Effect.scoped(kept.keep("a", part("whole")))).toEqual({ name: "whole" })
    })
  )

  it("have keys that do not depend on the order of fields", () => {
    expect(keyOf("x", { a: 1, b: { c: [1, 2], d: 3 } })).toBe(keyOf("x", { b: { d: 3, c: [1, 2] }, a: 1 }))
    expect(keyOf("x", { a: [1, 2] })).not.toBe(keyOf("x", { a: [2, 1] }))
    expect(keyOf("x", {})).not.toBe(keyOf("y", {}))
  })
})
