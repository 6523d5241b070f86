import { assert, describe, it } from "@effect/vitest"
import { parseDurationText } from "../../../../packages/providers/src/internal/DurationText.ts"
import { rateLimits } from "../../../../packages/providers/src/internal/RateLimitHeaders.ts"

const nowMs = Date.UTC(2026, 0, 1, 12, 0, 0)

describe("durations as providers write them", () => {
  for (const [text, millis] of [
    ["1s", 1000],
    ["6m0s", 360_000],
    ["59.8s", 59_800],
    ["250ms", 250],
    ["1h2m", 3_720_000],
    ["2m59.56s", 179_560],
    ["20 seconds", 20_000],
    ["1d", 86_400_000],
    ["", undefined],
    ["-1s", undefined],
    ["s", undefined],
    ["5 apples", undefined],
    ["12", undefined]
  ] as const) {
    it(JSON.stringify(text), () => assert.strictEqual(parseDurationText(text), millis))
  }
})

describe("limits in headers", () => {
  it("OpenAI", () => {
    assert.deepStrictEqual(
      rateLimits(
        {
          "x-ratelimit-limit-requests": "60",
          "x-ratelimit-remaining-requests": "59",
          "x-ratelimit-reset-requests": "1s",
          "x-ratelimit-limit-tokens": "150000",
          "x-ratelimit-remaining-tokens": "149984",
          "x-ratelimit-reset-tokens": "6m0s"
        },
        nowMs
      ),
      {
        requests: { limit: 60, remaining: 59, resetMs: 1000 },
        tokens: { limit: 150_000, remaining: 149_984, resetMs: 360_000 }
      }
    )
  })

  it("Anthropic, with dates", () => {
    assert.deepStrictEqual(
      rateLimits(
        {
          "anthropic-ratelimit-requests-limit": "50",
          "anthropic-ratelimit-requests-remaining": "0",
          "anthropic-ratelimit-requests-reset": "2026-01-01T12:00:30Z",
          "anthropic-ratelimit-input-tokens-limit": "40000",
          "anthropic-ratelimit-input-tokens-remaining": "39000",
          "anthropic-ratelimit-input-tokens-reset": "2026-01-01T11:59:00Z",
          "anthropic-ratelimit-output-tokens-limit": "8000"
        },
        nowMs
      ),
      {
        requests: { limit: 50, remaining: 0, resetMs: 30_000 },
        inputTokens: { limit: 40_000, remaining: 39_000, resetMs: 0 },
        outputTokens: { limit: 8000 }
      }
    )
  })

  it("a time since 1970, in milliseconds or seconds, without a suffix", () => {
    const reset = (value: number) =>
      rateLimits({ "x-ratelimit-limit": "20", "x-ratelimit-reset": String(value) }, nowMs)
    assert.deepStrictEqual(reset(nowMs + 5000), { requests: { limit: 20, resetMs: 5000 } })
    assert.deepStrictEqual(reset(nowMs / 1000 + 5), { requests: { limit: 20, resetMs: 5000 } })
    assert.deepStrictEqual(reset(5), { requests: { limit: 20, resetMs: 5000 } })
  })

  it("ignores -1, 0 and garbage, but not an honest 0 left", () => {
    assert.strictEqual(
      rateLimits(
        {
          "x-ratelimit-limit-requests": "-1",
          "x-ratelimit-remaining-requests": "-1",
          "x-ratelimit-limit-tokens": "0",
          "x-ratelimit-remaining-tokens": "0",
          "x-ratelimit-reset-tokens": "never"
        },
        nowMs
      ),
      undefined
    )
    assert.deepStrictEqual(
      rateLimits({ "x-ratelimit-limit-requests": "60", "x-ratelimit-remaining-requests": "0" }, nowMs),
      { requests: { limit: 60, remaining: 0 } }
    )
    assert.strictEqual(rateLimits({}, nowMs), undefined)
  })
})
