/** Numbers, money and times as text. Everything goes through Intl, in the reader's language. */

/** The reader's language; English where the browser names one that Intl refuses. */
const language = ((): string | undefined => {
  try {
    new Intl.NumberFormat().format(1)
    return undefined
  } catch {
    return "en"
  }
})()

type NumberOptions = Intl.NumberFormatOptions

const formats = new Map<string, Intl.NumberFormat>()

const formatOf = (options: NumberOptions): Intl.NumberFormat => {
  const key = JSON.stringify(options)
  const known = formats.get(key)
  if (known !== undefined) return known
  const made = new Intl.NumberFormat(language, options)
  formats.set(key, made)
  return made
}

/** Stands for what is not known. */
export const nothing = "–"

const known = (value: number | null | undefined): value is number => typeof value === "number" && Number.isFinite(value)

/** A whole number, with the digits in groups. */
export const count = (value: number | null | undefined): string =>
  known(value) ? formatOf({ maximumFractionDigits: 0 }).format(value) : nothing

/** A number in at most four digits: 1.2K, 3.4M. Below ten thousand it is told in full. */
export const compact = (value: number | null | undefined): string => {
  if (!known(value)) return nothing
  if (Math.abs(value) < 10_000) return count(value)
  return formatOf({ notation: "compact", maximumFractionDigits: 1 }).format(value)
}

/** A share from 0 to 1. Nothing that is less than everything is told as everything. */
export const percent = (share: number | null | undefined): string => {
  if (!known(share)) return nothing
  const digits = share > 0.99 && share < 1 ? 2 : share === 0 || share === 1 ? 0 : 1
  const floor = share < 1 && share > 0.9999 ? 0.9999 : share
  return formatOf({ style: "percent", maximumFractionDigits: digits }).format(floor)
}

/** Part of a whole; `undefined` where there is no whole. */
export const ratio = (part: number, whole: number): number | undefined => (whole > 0 ? part / whole : undefined)

/** A duration in its natural unit: 12ms, 1.24s, 3m 20s, 2h 5m, 3d 4h. */
export const duration = (ms: number | null | undefined): string => {
  if (!known(ms)) return nothing
  if (ms < 0) return duration(0)
  const unit = (value: number, name: "millisecond" | "second" | "minute" | "hour" | "day", digits = 0) =>
    formatOf({ style: "unit", unit: name, unitDisplay: "narrow", maximumFractionDigits: digits }).format(value)
  if (ms < 10) return unit(ms, "millisecond", ms < 1 && ms > 0 ? 1 : 0)
  if (ms < 999.5) return unit(ms, "millisecond")
  if (ms < 59_950) return unit(ms / 1_000, "second", ms < 9_995 ? 2 : 1)
  const seconds = Math.round(ms / 1_000)
  if (seconds < 3_600)
    return two(unit(Math.floor(seconds / 60), "minute"), seconds % 60, (rest) => unit(rest, "second"))
  const minutes = Math.round(seconds / 60)
  if (minutes < 1_440) return two(unit(Math.floor(minutes / 60), "hour"), minutes % 60, (rest) => unit(rest, "minute"))
  const hours = Math.round(minutes / 60)
  return two(unit(Math.floor(hours / 24), "day"), hours % 24, (rest) => unit(rest, "hour"))
}

const two = (large: string, rest: number, small: (rest: number) => string): string =>
  rest === 0 ? large : `${large} ${small(rest)}`

/** A time to come in whole seconds, so that it counts down without flicker. */
export const countdown = (ms: number): string => duration(Math.max(0, Math.ceil(ms / 1_000)) * 1_000)

/** Nano-dollars as a number of dollars: good to fifteen digits, which is enough to show and to draw. */
export const dollarsOf = (nanos: string | number | bigint | null | undefined): number | undefined => {
  if (nanos === undefined || nanos === null || nanos === "") return undefined
  const value = Number(nanos)
  return Number.isFinite(value) ? value / 1_000_000_000 : undefined
}

/** An amount of dollars. Small amounts keep two digits that say something. */
export const money = (dollars: number | null | undefined): string => {
  if (!known(dollars)) return nothing
  const size = Math.abs(dollars)
  const digits = size === 0 || size >= 1 ? 2 : Math.min(9, Math.max(2, 1 - Math.floor(Math.log10(size))))
  return formatOf({
    style: "currency",
    currency: "USD",
    currencyDisplay: "narrowSymbol",
    minimumFractionDigits: 2,
    maximumFractionDigits: digits
  }).format(dollars)
}

/** The same of nano-dollars as text. */
export const nanos = (value: string | null | undefined): string => money(dollarsOf(value))

/** Nano-dollars added up exactly. */
export const addNanos = (amounts: Iterable<string | undefined>): bigint => {
  let sum = 0n
  for (const each of amounts) if (each !== undefined && /^-?\d+$/.test(each)) sum += BigInt(each)
  return sum
}

/** Bytes in powers of 1,024. */
export const bytes = (value: number | null | undefined): string => {
  if (!known(value)) return nothing
  const units = ["byte", "kilobyte", "megabyte", "gigabyte", "terabyte"] as const
  const power = value < 1 ? 0 : Math.min(units.length - 1, Math.floor(Math.log(value) / Math.log(1_024)))
  return formatOf({
    style: "unit",
    unit: units[power]!,
    unitDisplay: power === 0 ? "long" : "short",
    maximumFractionDigits: power === 0 ? 0 : 1
  }).format(value / 1_024 ** power)
}

const timeOf = (options: Intl.DateTimeFormatOptions): ((at: number | null | undefined) => string) => {
  let made: Intl.DateTimeFormat | undefined
  return (at) => {
    if (!known(at)) return nothing
    made ??= new Intl.DateTimeFormat(language, options)
    return made.format(at)
  }
}

/** 14:03:12 */
export const clockTime = timeOf({ hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" })
/** 14:03 */
export const hourMinute = timeOf({ hour: "2-digit", minute: "2-digit", hourCycle: "h23" })
/** 22 Nov, 14:03 */
export const dayTime = timeOf({ day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", hourCycle: "h23" })

let relative: Intl.RelativeTimeFormat | undefined

/** “12 seconds ago”. */
export const ago = (at: number, now: number): string => {
  relative ??= new Intl.RelativeTimeFormat(language, { numeric: "auto" })
  const seconds = Math.round((at - now) / 1_000)
  if (Math.abs(seconds) < 60) return relative.format(seconds, "second")
  const minutes = Math.round(seconds / 60)
  if (Math.abs(minutes) < 60) return relative.format(minutes, "minute")
  const hours = Math.round(minutes / 60)
  return Math.abs(hours) < 48 ? relative.format(hours, "hour") : relative.format(Math.round(hours / 24), "day")
}

/** `RateLimitError` as people say it: “rate limit”; a single word keeps its “error”. */
export const errorName = (tag: string): string => {
  const words = tag
    .replace(/([a-z\d])([A-Z])/g, "$1 $2")
    .toLowerCase()
    .split(" ")
  return words.length > 2 && words.at(-1) === "error" ? words.slice(0, -1).join(" ") : words.join(" ")
}

/** The word for one or for many. */
export const plural = (value: number, one: string, many: string): string =>
  `${count(value)} ${value === 1 ? one : many}`
