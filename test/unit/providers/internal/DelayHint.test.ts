import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import { delayHint, type DelayHintInput } from "../../../../packages/providers/src/internal/DelayHint.ts"

const nowMs = Date.UTC(2026, 0, 1, 12, 0, 0)

const hint = (input: Partial<DelayHintInput>): number | undefined => {
  const { retryAfter } = delayHint({ headers: {}, nowMs, ...input })
  return retryAfter === undefined ? undefined : Duration.toMillis(retryAfter)
}

const retryInfo = (retryDelay: string) => ({
  error: { details: [{ "@type": "type.googleapis.com/google.rpc.RetryInfo", retryDelay }] }
})

describe("where the delay is read from", () => {
  const rows: ReadonlyArray<readonly [string, Partial<DelayHintInput>, number | undefined]> = [
    ["retry-after-ms", { headers: { "retry-after-ms": "1500", "retry-after": "9" } }, 1500],
    ["x-ms-retry-after-ms", { headers: { "x-ms-retry-after-ms": "700", "retry-after": "9" } }, 700],
    ["retry-after in seconds", { headers: { "retry-after": "20" } }, 20_000],
    ["retry-after in fractions", { headers: { "retry-after": "0.5" } }, 500],
    ["retry-after zero", { headers: { "retry-after": "0" } }, 0],
    ["retry-after as a date", { headers: { "retry-after": "Thu, 01 Jan 2026 12:00:30 GMT" } }, 30_000],
    ["headers before the body", { headers: { "retry-after": "3" }, body: retryInfo("45.8s") }, 3000],
    ["Gemini's RetryInfo", { body: retryInfo("45.8s"), text: "retry in 99s" }, 45_800],
    ["RetryInfo in a list", { body: [retryInfo("7s")] }, 7000],
    ["try again in 634ms", { text: "Rate limit reached. Please try again in 634ms. Visit…" }, 634],
    ["retry in 47.4s", { text: "Please retry in 47.4s." }, 47_400],
    ["try again in 6m0s", { text: "Please try again in 6m0s." }, 360_000],
    ["try again in 1h2m3s", { text: "try again in 1h2m3s" }, 3_723_000],
    ["retry after 20 seconds", { text: "Please retry after 20 seconds." }, 20_000],
    ["a past date", { headers: { "retry-after": "Thu, 01 Jan 2026 11:59:30 GMT" } }, undefined],
    ["negative", { headers: { "retry-after": "-5", "retry-after-ms": "-100" } }, undefined],
    ["NaN", { headers: { "retry-after": "NaN" } }, undefined],
    ["Infinity", { headers: { "retry-after": "Infinity" } }, undefined],
    ["an exponent", { headers: { "retry-after": "1e3" } }, undefined],
    ["over a day", { headers: { "retry-after": "86401" } }, undefined],
    ["a useless header before a useful text", { headers: { "retry-after": "-1" }, text: "try again in 2s" }, 2000],
    ["nothing", { text: "Try again later." }, undefined],
    ["a sentence that is no amount", { text: "try again in 5 steps" }, undefined]
  ]
  for (const [name, input, expected] of rows) {
    it(name, () => assert.strictEqual(hint(input), expected))
  }

  it("does not take long over a hostile text", () => {
    assert.strictEqual(hint({ text: "try again in " + "9".repeat(100_000) }), undefined)
  })
})

describe("x-should-retry", () => {
  it("is the provider's word, beside the delay", () => {
    const headers = { "x-should-retry": "false", "retry-after": "1" }
    assert.deepStrictEqual(delayHint({ headers, nowMs }), { retryAfter: Duration.seconds(1), shouldRetry: false })
    assert.deepStrictEqual(delayHint({ headers: { "x-should-retry": "True" }, nowMs }), { shouldRetry: true })
    assert.deepStrictEqual(delayHint({ headers: { "x-should-retry": "maybe" }, nowMs }), {})
  })
})
