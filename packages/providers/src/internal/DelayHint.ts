/**
 * What a failed answer says about trying again: whether, and when.
 *
 * The first source that holds something sensible wins: `retry-after-ms`, `x-ms-retry-after-ms`, `retry-after` (in
 * seconds, or as an HTTP date), Gemini's `RetryInfo` in the body, a phrase in the text. Negative and unreadable
 * values, dates in the past and waits of more than a day count as nothing.
 */
import * as Duration from "effect/Duration"
import { amountPattern, parseDurationText, parsePlainNumber } from "./DurationText.ts"
import { asArray, asRecord } from "./Json.ts"

/** Response headers with names in lower case. */
export type ResponseHeaders = { readonly [name: string]: string | undefined }

export interface DelayHint {
  readonly retryAfter?: Duration.Duration
  /** The provider's explicit word, `x-should-retry`. */
  readonly shouldRetry?: boolean
}

export interface DelayHintInput {
  readonly headers: ResponseHeaders
  /** The body, parsed, if it is JSON. */
  readonly body?: unknown
  /** The body's text, or the message in it. */
  readonly text?: string
  /** Milliseconds since 1970, for hints that are dates. */
  readonly nowMs: number
}

const dayMs = 86_400_000

const sensible = (millis: number | undefined): number | undefined =>
  millis !== undefined && millis >= 0 && millis <= dayMs ? millis : undefined

const retryAfterHeader = (value: string | undefined, nowMs: number): number | undefined => {
  if (value === undefined) return undefined
  const seconds = parsePlainNumber(value)
  if (seconds !== undefined) return sensible(seconds * 1000)
  const duration = parseDurationText(value)
  if (duration !== undefined) return sensible(duration)
  // Only texts with a letter can be dates; `Date.parse` would read "-5" as a year.
  const date = /[a-z]/i.test(value) ? Date.parse(value) : NaN
  return date > nowMs ? sensible(date - nowMs) : undefined
}

const retryInfo = (body: unknown): number | undefined => {
  const root = asRecord(Array.isArray(body) ? body[0] : body)
  const details = asArray(asRecord(root?.["error"])?.["details"])
  if (details === undefined) return undefined
  for (const detail of details) {
    const delay = asRecord(detail)?.["retryDelay"]
    if (typeof delay === "string") return sensible(parseDurationText(delay))
  }
  return undefined
}

const phrase = new RegExp(
  `(?:try again|retry|retrying)(?: your request)? (?:in|after) (?:about )?(${amountPattern}(?:\\s{0,3}${amountPattern}){0,3})`,
  "i"
)

const fromText = (text: string | undefined): number | undefined => {
  if (text === undefined) return undefined
  const match = phrase.exec(text.length > 10_000 ? text.slice(0, 10_000) : text)
  return match === null ? undefined : sensible(parseDurationText(match[1]!))
}

/** Milliseconds to wait, if the answer says so. */
const delayMillis = ({ headers, body, text, nowMs }: DelayHintInput): number | undefined =>
  sensible(parsePlainNumber(headers["retry-after-ms"])) ??
  sensible(parsePlainNumber(headers["x-ms-retry-after-ms"])) ??
  retryAfterHeader(headers["retry-after"], nowMs) ??
  retryInfo(body) ??
  fromText(text)

/** Reads the hint of a failed answer. */
export const delayHint = (input: DelayHintInput): DelayHint => {
  const millis = delayMillis(input)
  const word = input.headers["x-should-retry"]?.trim().toLowerCase()
  return {
    ...(millis === undefined ? {} : { retryAfter: Duration.millis(millis) }),
    ...(word === "true" ? { shouldRetry: true } : word === "false" ? { shouldRetry: false } : {})
  }
}
