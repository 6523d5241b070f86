import { LLMError } from "@breakwater/core"
import { describe, expect, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import { readFileSync } from "node:fs"
import * as ErrorMap from "../../../../packages/providers/src/anthropic/ErrorMap.ts"

interface Row {
  readonly name: string
  readonly status: number
  readonly headers?: Record<string, string>
  readonly body: unknown
  readonly expect: Record<string, unknown>
  readonly retryAfterMs?: number
}

const rows = JSON.parse(
  readFileSync(new URL("../../../fixtures/providers/anthropic/errors.json", import.meta.url), "utf8")
) as ReadonlyArray<Row>

const target = { provider: "anthropic", model: "claude-opus-4-5" }
const origin = { ...target, status: 200, requestId: "req_head" }

describe("answers with an error status", () => {
  it.each(rows)("$status: $name", (row) => {
    const text = typeof row.body === "string" ? row.body : JSON.stringify(row.body)
    const error = ErrorMap.fromAnswer(target, { status: row.status, headers: row.headers ?? {}, text, nowMs: 0 })
    expect(error).toMatchObject({ ...target, ...row.expect })
    expect(error.message.length).toBeGreaterThan(0)
    expect(error.retryAfter === undefined ? undefined : Duration.toMillis(error.retryAfter)).toBe(row.retryAfterMs)
    expect(LLMError.isLLMError(error)).toBe(true)
  })
})

describe("error events inside a stream", () => {
  const event = (type: string, message = "It failed") => ({ type: "error", error: { type, message } })

  it.each([
    ["overloaded_error", "ModelOverloadError"],
    ["api_error", "ServerError"],
    ["timeout_error", "ServerError"],
    ["rate_limit_error", "RateLimitError"],
    ["authentication_error", "AuthenticationError"],
    ["billing_error", "QuotaExhaustedError"],
    ["invalid_request_error", "InvalidRequestError"],
    ["something_new", "ServerError"]
  ])("%s is a %s", (type, tag) => {
    const error = ErrorMap.fromEvent(origin, event(type))
    expect(error._tag).toBe(tag)
    expect(error).toMatchObject({ ...target, requestId: "req_head" })
    // The 200 of the head says nothing about the failure.
    expect(error.status).toBeUndefined()
  })

  it("reads an overflow", () => {
    expect(
      ErrorMap.fromEvent(origin, event("invalid_request_error", "prompt is too long: 9 tokens > 8 maximum"))
    ).toMatchObject({ _tag: "ContextLengthError", maxTokens: 8, requestedTokens: 9 })
  })
})

describe("stop reasons", () => {
  it("refusal is a content filter, with the provider's reason", () => {
    expect(
      ErrorMap.fromStopReason(origin, "refusal", { type: "refusal", category: "cyber", explanation: "No." })
    ).toMatchObject({ _tag: "ContentFilterError", stage: "output", categories: ["cyber"], reason: "No." })
    expect(ErrorMap.fromStopReason(origin, "refusal")).toMatchObject({ reason: "refusal" })
  })

  it("a full window is a context length", () => {
    expect(ErrorMap.fromStopReason(origin, "model_context_window_exceeded")?._tag).toBe("ContextLengthError")
  })

  it.each(["end_turn", "max_tokens", "tool_use", "pause_turn", "stop_sequence", null, undefined])(
    "%s is none",
    (reason) => {
      expect(ErrorMap.fromStopReason(origin, reason)).toBeUndefined()
    }
  )
})
