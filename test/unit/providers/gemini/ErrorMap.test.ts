import { LLMError } from "@breakwater/core"
import { describe, expect, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import { readFileSync } from "node:fs"
import * as ErrorMap from "../../../../packages/providers/src/gemini/ErrorMap.ts"

interface Row {
  readonly name: string
  readonly status: number
  readonly headers?: Record<string, string>
  readonly body: unknown
  readonly expect: Record<string, unknown>
  readonly retryAfterMs?: number
}

const rows = JSON.parse(
  readFileSync(new URL("../../../fixtures/providers/gemini/errors.json", import.meta.url), "utf8")
) as ReadonlyArray<Row>

const target = { provider: "gemini", model: "gemini-3-pro" }
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

describe("errors inside a stream", () => {
  it.each([
    [{ code: 503, status: "UNAVAILABLE" }, "ModelOverloadError"],
    [{ status: "INTERNAL" }, "ServerError"],
    [{ code: 429 }, "RateLimitError"],
    [{ status: "UNAUTHENTICATED" }, "AuthenticationError"],
    [{}, "ServerError"]
  ])("%o is a %s", (error, tag) => {
    const failed = ErrorMap.fromBody(origin, { error: { ...error, message: "It failed" } })
    expect(failed._tag).toBe(tag)
    expect(failed).toMatchObject({ ...target, requestId: "req_head" })
    expect(failed.status).toBeUndefined()
  })
})

describe("blocked prompts", () => {
  it("is a filter of the input", () => {
    expect(
      ErrorMap.fromPromptFeedback(origin, {
        blockReason: "SAFETY",
        safetyRatings: [{ category: "HARM_CATEGORY_HARASSMENT", blocked: true }, { category: "OTHER" }]
      })
    ).toMatchObject({
      _tag: "ContentFilterError",
      stage: "input",
      reason: "SAFETY",
      categories: ["HARM_CATEGORY_HARASSMENT"]
    })
  })

  it("feedback without a reason is none", () => {
    expect(ErrorMap.fromPromptFeedback(origin, { safetyRatings: [] })).toBeUndefined()
    expect(ErrorMap.fromPromptFeedback(origin, undefined)).toBeUndefined()
  })
})

describe("finish reasons", () => {
  it.each(["SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "IMAGE_SAFETY"])(
    "%s is a filter",
    (reason) => {
      expect(ErrorMap.fromCandidate(origin, { finishReason: reason })).toMatchObject({
        _tag: "ContentFilterError",
        stage: "output",
        reason
      })
    }
  )

  it.each(["MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "MALFORMED_RESPONSE"])(
    "%s is an invalid response",
    (reason) => {
      expect(ErrorMap.fromCandidate(origin, { finishReason: reason, finishMessage: "call:(" })).toMatchObject({
        _tag: "InvalidResponseError",
        excerpt: "call:("
      })
    }
  )

  it.each(["STOP", "MAX_TOKENS", "LANGUAGE", "OTHER", undefined])("%s is none", (reason) => {
    expect(ErrorMap.fromCandidate(origin, { finishReason: reason })).toBeUndefined()
  })
})
