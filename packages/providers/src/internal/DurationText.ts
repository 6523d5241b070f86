/**
 * Durations as providers write them: `6m0s`, `59.8s`, `250ms`, `1h2m`, `20 seconds`.
 */

const unitMillis: { readonly [unit: string]: number } = {
  ms: 1,
  millisecond: 1,
  milliseconds: 1,
  s: 1000,
  sec: 1000,
  secs: 1000,
  second: 1000,
  seconds: 1000,
  m: 60_000,
  min: 60_000,
  mins: 60_000,
  minute: 60_000,
  minutes: 60_000,
  h: 3_600_000,
  hour: 3_600_000,
  hours: 3_600_000,
  d: 86_400_000,
  day: 86_400_000,
  days: 86_400_000
}

/** The source of a pattern for one amount and its unit. Bounded, so that no text can make it slow. */
export const amountPattern = String.raw`\d{1,15}(?:\.\d{1,15})?\s{0,3}(?:milliseconds?|ms|seconds?|secs?|s|minutes?|mins?|m|hours?|h|days?|d)(?![a-z])`

const part = /^\s{0,3}(\d{1,15}(?:\.\d{1,15})?)\s{0,3}([a-z]{1,12})/i

/** Milliseconds of a text made of amounts and units only; `undefined` for anything else. */
export const parseDurationText = (text: string): number | undefined => {
  let rest = text.trim()
  if (rest.length === 0 || rest.length > 64) return undefined
  let total = 0
  while (rest.length > 0) {
    const match = part.exec(rest)
    if (match === null) return undefined
    const unit = unitMillis[match[2]!.toLowerCase()]
    if (unit === undefined) return undefined
    total += Number(match[1]) * unit
    rest = rest.slice(match[0].length).trimStart()
  }
  return total
}

/** A plain number without sign, exponent or base; `undefined` for anything else. */
export const parsePlainNumber = (text: string | undefined): number | undefined =>
  text !== undefined && /^\s*\d{1,15}(?:\.\d{1,15})?\s*$/.test(text) ? Number(text) : undefined
