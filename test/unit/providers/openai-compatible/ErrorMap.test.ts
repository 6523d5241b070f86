/**
 * The error table, row by row, from the shapes that providers document.
 */
import { assert, describe, it } from "@effect/vitest"
import { LLMError } from "@breakwater/core"
import * as Duration from "effect/Duration"
import * as Schema from "effect/Schema"
import { readFileSync } from "node:fs"
import type { AnswerContext } from "../../../../packages/providers/src/openai-compatible/Answer.ts"
import { decodeChat } from "../../../../packages/providers/src/openai-compatible/Decode.ts"
import * as ErrorMap from "../../../../packages/providers/src/openai-compatible/ErrorMap.ts"
import { safeMessage } from "../../../../packages/providers/src/internal/SafeMessage.ts"

interface Row {
  readonly name: string
  readonly status: number
  readonly body: unknown
  readonly headers: Readonly<Record<string, string>>
  readonly expect: Readonly<Record<string, unknown>>
}

const rows = JSON.parse(
  readFileSync(new URL("../../../fixtures/providers/openai-compatible/errors.json", import.meta.url), "utf8")
) as ReadonlyArray<Row>

const target = { provider: "test", model: "m" }

const errorOf = (row: Row): LLMError.AttemptError => {
  const text = typeof row.body === "string" ? row.body : JSON.stringify(row.body)
  const answer = { status: row.status, headers: row.headers, text, nowMs: 0 }
  if (row.status !== 200) return ErrorMap.fromAnswer(answer, target)
  const context: AnswerContext = { target, head: answer, promptCharacters: () => 0, errorsInText: true }
  const turn = decodeChat(answer, context)
  assert.isTrue("_tag" in turn, "is a turn")
  return turn as LLMError.AttemptError
}

const encode = Schema.encodeUnknownSync(LLMError.AttemptError)

describe("each row of the table", () => {
  for (const row of rows) {
    it(row.name, () => {
      const error = errorOf(row)
      const { retryAfterMs, noLimits, ...fields } = row.expect
      for (const [key, value] of Object.entries(fields)) {
        assert.deepStrictEqual((error as unknown as Record<string, unknown>)[key], value, key)
      }
      if (retryAfterMs !== undefined) {
        assert.strictEqual(error.retryAfter && Duration.toMillis(error.retryAfter), retryAfterMs)
      }
      if (noLimits === true) assert.notProperty(error, "limits")
      assert.strictEqual(error.provider, "test")
      assert.strictEqual(error.model, "m")
      assert.isAbove(error.message.length, 5)
      const stored = JSON.stringify(encode(error))
      assert.notMatch(stored, /sk-abcd|xai-abc|SECRET PROMPT/)
    })
  }
})

describe("messages", () => {
  it("are cut, and keys in them are hidden", () => {
    const said = safeMessage("The key sk-proj-ABC123def456 and hf_abcdefghij are bad " + "x".repeat(1000))
    assert.strictEqual(said.length, 300)
    assert.include(said, "The key [key] and [key] are bad")
  })
})
