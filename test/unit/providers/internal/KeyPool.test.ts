import { assert, describe, it } from "@effect/vitest"
import { LLMError } from "@breakwater/core"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as TestClock from "effect/testing/TestClock"
import * as KeyPool from "../../../../packages/providers/src/internal/KeyPool.ts"

const keys = (...names: ReadonlyArray<string>) => names.map((name) => Redacted.make(name))
const refusal = new LLMError.AuthenticationError({ message: "no", kind: "invalid" })
const broke = new LLMError.QuotaExhaustedError({ message: "no money" })
const overload = new LLMError.ModelOverloadError({ message: "busy" })

/** Calls that fail for some keys, and the keys that were asked. */
const calls = (refused: { readonly [key: string]: LLMError.AttemptError }) => {
  const asked: Array<string | undefined> = []
  const call = (key: string | undefined) =>
    Effect.suspend(() => {
      asked.push(key)
      const error = key === undefined ? undefined : refused[key]
      return error === undefined ? Effect.succeed(key ?? "none") : Effect.fail(error)
    })
  return { asked, call }
}

describe("KeyPool", () => {
  it.effect("keys take turns", () =>
    Effect.gen(function* () {
      const pool = KeyPool.make(keys("a", "b", "c"))
      const { asked, call } = calls({})
      for (let i = 0; i < 4; i++) yield* pool.use(call)
      assert.deepStrictEqual(asked, ["a", "b", "c", "a"])
    })
  )

  it.effect("a refused key is replaced within the call and then left alone for a while", () =>
    Effect.gen(function* () {
      const pool = KeyPool.make(keys("a", "b"), 60_000)
      const { asked, call } = calls({ a: refusal })
      assert.strictEqual(yield* pool.use(call), "b")
      yield* pool.use(call)
      assert.deepStrictEqual(asked, ["a", "b", "b"])
      yield* TestClock.adjust("61 seconds")
      yield* pool.use(call)
      assert.deepStrictEqual(asked, ["a", "b", "b", "a", "b"])
    })
  )

  it.effect("no money counts as a refusal; anything else does not", () =>
    Effect.gen(function* () {
      const { asked, call } = calls({ a: broke, b: overload })
      const error = yield* Effect.flip(KeyPool.make(keys("a", "b")).use(call))
      assert.strictEqual(error._tag, "ModelOverloadError")
      assert.deepStrictEqual(asked, ["a", "b"])
    })
  )

  it.effect("when all are refused the last refusal surfaces, each asked once, and a later call asks one again", () =>
    Effect.gen(function* () {
      const pool = KeyPool.make(keys("a", "b"))
      const { asked, call } = calls({ a: refusal, b: refusal })
      assert.strictEqual((yield* Effect.flip(pool.use(call)))._tag, "AuthenticationError")
      assert.deepStrictEqual(asked, ["a", "b"])
      yield* Effect.flip(pool.use(call))
      assert.deepStrictEqual(asked, ["a", "b", "a"])
    })
  )

  it.effect("without keys the call is made without one", () =>
    Effect.gen(function* () {
      const { asked, call } = calls({})
      yield* KeyPool.make(undefined).use(call)
      assert.deepStrictEqual(asked, [undefined])
    })
  )
})
