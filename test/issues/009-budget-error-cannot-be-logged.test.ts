/** `JSON.stringify` of a `BudgetExceededError` threw a TypeError: its amounts are BigInts. */
import { LLMError } from "@breakwater/core"
import * as Schema from "effect/Schema"
import { expect, it } from "vitest"

it("an error about money can be written as JSON, and still goes through its schema", () => {
  const amounts = { limit: 10n ** 18n, spent: 2n, reserved: 3n, needed: 4n }
  const error = new LLMError.BudgetExceededError({
    message: "too much",
    scope: "user",
    period: "day",
    attempt: 2,
    ...amounts
  })
  expect(JSON.parse(JSON.stringify({ error }))).toEqual({
    error: {
      _tag: "BudgetExceededError",
      message: "too much",
      scope: "user",
      period: "day",
      attempt: 2,
      limit: "1000000000000000000",
      spent: "2",
      reserved: "3",
      needed: "4"
    }
  })
  const codec = Schema.toCodecJson(LLMError.LLMError)
  const decoded = Schema.decodeUnknownSync(codec)(JSON.parse(JSON.stringify(Schema.encodeSync(codec)(error))))
  expect(decoded).toMatchObject({ _tag: "BudgetExceededError", ...amounts })
})
