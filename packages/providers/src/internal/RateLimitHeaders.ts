/**
 * The limits a provider names in its headers: `x-ratelimit-*` (OpenAI and compatibles) and
 * `anthropic-ratelimit-*`.
 */
import type { RateLimits } from "@breakwater/core"
import type { ResponseHeaders } from "./DelayHint.ts"
import { parseDurationText, parsePlainNumber } from "./DurationText.ts"

type Window = RateLimits.RateLimitWindow

const dayMs = 86_400_000

const sensibleReset = (millis: number): number | undefined =>
  millis >= 0 && millis <= 31 * dayMs ? Math.round(millis) : undefined

/** Milliseconds until a reset: a duration, a date, seconds, or a time since 1970 in seconds or milliseconds. */
const resetMillis = (text: string | undefined, nowMs: number): number | undefined => {
  if (text === undefined) return undefined
  const plain = parsePlainNumber(text)
  if (plain !== undefined) {
    if (plain > 1e12) return sensibleReset(plain - nowMs)
    if (plain > 1e9) return sensibleReset(plain * 1000 - nowMs)
    return sensibleReset(plain * 1000)
  }
  const duration = parseDurationText(text)
  if (duration !== undefined) return sensibleReset(duration)
  const date = /^\d{4}-\d{2}-\d{2}T/.test(text) ? Date.parse(text) : NaN
  return Number.isNaN(date) ? undefined : sensibleReset(Math.max(0, date - nowMs))
}

const window = (
  limitText: string | undefined,
  remainingText: string | undefined,
  resetText: string | undefined,
  nowMs: number
): Window | undefined => {
  const stated = parsePlainNumber(limitText)
  const limit = stated !== undefined && stated > 0 ? stated : undefined
  const left = parsePlainNumber(remainingText)
  // Azure sends -1 or 0 where it has nothing to say: a 0 counts only beside a limit.
  const remaining = left === 0 && limit === undefined ? undefined : left
  if (limit === undefined && remaining === undefined) return undefined
  const resetMs = resetMillis(resetText, nowMs)
  return {
    ...(limit === undefined ? {} : { limit }),
    ...(remaining === undefined ? {} : { remaining }),
    ...(resetMs === undefined ? {} : { resetMs })
  }
}

type Names = readonly [limit: string, remaining: string, reset: string]

const openAi = (suffix: string): Names => [
  `x-ratelimit-limit${suffix}`,
  `x-ratelimit-remaining${suffix}`,
  `x-ratelimit-reset${suffix}`
]

const anthropic = (name: string): Names => [
  `anthropic-ratelimit-${name}-limit`,
  `anthropic-ratelimit-${name}-remaining`,
  `anthropic-ratelimit-${name}-reset`
]

const names = (
  [
    ["requests", "requests"],
    ["tokens", "tokens"],
    ["inputTokens", "input-tokens"],
    ["outputTokens", "output-tokens"]
  ] as const
).map(([key, name]) => [key, openAi(`-${name}`), anthropic(name)] as const)

const plainNames = openAi("")

const read = (headers: ResponseHeaders, [limit, remaining, reset]: Names, nowMs: number) =>
  window(headers[limit], headers[remaining], headers[reset], nowMs)

const speaksOfLimits = (headers: ResponseHeaders): boolean => {
  for (const name in headers) if (name.includes("ratelimit")) return true
  return false
}

/** What the headers say of the limits; `undefined` if they say nothing. `nowMs` is milliseconds since 1970. */
export const rateLimits = (headers: ResponseHeaders, nowMs: number): RateLimits.RateLimits | undefined => {
  if (!speaksOfLimits(headers)) return undefined
  const found: { -readonly [K in keyof RateLimits.RateLimits]: RateLimits.RateLimits[K] } = {}
  let any = false
  for (const [key, first, second] of names) {
    const each = read(headers, first, nowMs) ?? read(headers, second, nowMs)
    if (each !== undefined) {
      found[key] = each
      any = true
    }
  }
  if (found.requests === undefined) {
    const plain = read(headers, plainNames, nowMs)
    if (plain !== undefined) {
      found.requests = plain
      any = true
    }
  }
  return any ? found : undefined
}
