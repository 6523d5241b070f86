/**
 * What budgets can be set to, and the checks of it.
 */
import type * as Config from "effect/Config"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Money from "../../domain/Money.ts"
import type { ProviderEmbedRequest, ProviderRequest } from "../../domain/Request.ts"
import type { BudgetWindow } from "../../internal/budgetBook.ts"
import { calendar, type CalendarUnit } from "../../internal/calendar.ts"
import {
  type Check,
  inRange,
  millisOf,
  optionError,
  positiveDuration,
  validate,
  wholeInRange
} from "../../internal/options.ts"

/** What a limit is kept for: everything, or each value of something apart. */
export type BudgetScope = "global" | "tenant" | "project" | "user" | "key" | "model" | "tag"

/**
 * The time a limit is for.
 *
 * - a unit of the calendar, by itself in UTC, or in a `timeZone`; minutes and hours are those of UTC in any zone
 * - `rolling`: any time of this length; spending counts up to one part in `buckets` (60) of it too long
 * - `lifetime`: for ever
 */
export type Period =
  | CalendarUnit
  | "lifetime"
  | { readonly calendar: CalendarUnit; readonly timeZone?: string; readonly weekStartsOn?: number }
  | { readonly rolling: Duration.Input; readonly buckets?: number }

/** One limit. Amounts: `"12.50"` or `12.5` dollars, or a `bigint` of nano-dollars. */
export interface Limit {
  /** For events. Default: scope and period. */
  readonly name?: string
  readonly scope: BudgetScope
  /** Only these values; others are not limited. Default: every value, each with an account of its own. */
  readonly only?: ReadonlyArray<string>
  readonly period: Period
  /** The hard limit, above 0: a call that could pass it is turned away. At least one of `limit` and `soft` is given. */
  readonly limit?: Money.Input
  /** An event when this much is spent, above 0 and not above `limit`. */
  readonly soft?: Money.Input
  /** Hard limits of single values, instead of `limit`. */
  readonly overrides?: Readonly<Record<string, Money.Input>>
  /** Events at these shares of the limit, above 0 and at most 1. Default: 0.5, 0.8 and 1. */
  readonly thresholds?: ReadonlyArray<number>
}

export interface Options {
  /** At least one. A call draws on all that apply to it, or on none. */
  readonly limits: ReadonlyArray<Limit>
  /** What becomes of calls to models without a price. Default `reject`; `allow` leaves what they cost out of account. */
  readonly unpriced?: "reject" | "allow"
  /** Tokens of an answer that neither the request nor the price list bounds; at least 1. Default 16,384. */
  readonly assumedOutputTokens?: number
  /** The prompt is taken for characters ÷ 4 × this; from 1 to 10. Default 2. */
  readonly inputMargin?: number
  /** Counts the tokens of a prompt instead. Must not throw; what is no count is replaced by the estimate. */
  readonly countTokens?: (request: ProviderRequest | ProviderEmbedRequest) => number
  /**
   * What to do while the store fails: turn calls away, let them go unaccounted, or keep accounts in this process
   * until it is back. Default `fail-closed`.
   */
  readonly onStoreError?: "fail-closed" | "fail-open" | "local"
  /** The longest wait for a store that is far away, after which it has failed. Default 5 seconds. */
  readonly storeTimeout?: Duration.Input
}

/** Every default, by the name of its option. */
export const defaults = {
  unpriced: "reject",
  assumedOutputTokens: 16_384,
  inputMargin: 2,
  thresholds: [0.5, 0.8, 1],
  onStoreError: "fail-closed",
  storeTimeout: "5 seconds",
  rollingBuckets: 60
} as const

/** A point of an account at which an event is sent. */
interface Mark {
  readonly at: bigint
  readonly threshold: number | "soft"
}

/** The account that a value has under a rule, and what holds for it. */
export interface Place {
  readonly rule: Rule
  readonly value: string
  /** The name of the account. */
  readonly account: string
  readonly limit: bigint | undefined
  readonly soft: bigint | undefined
  /** Lowest first. */
  readonly marks: ReadonlyArray<Mark>
}

/** One limit, checked. */
export interface Rule {
  readonly name: string
  readonly scope: BudgetScope
  readonly period: string
  /** Whether calls can be told when to come back. */
  readonly renews: boolean
  readonly soft: bigint | undefined
  readonly windowAt: (atMs: number) => BudgetWindow
  /** What the names of the rule's accounts begin with. */
  readonly prefix: string
  /** `undefined` for a value that the rule does not limit. */
  readonly placeOf: (value: string) => Place | undefined
}

/** Checked options. */
export interface Resolved {
  readonly rules: ReadonlyArray<Rule>
  readonly unpriced: "reject" | "allow"
  readonly assumedOutputTokens: number
  readonly inputMargin: number
  readonly countTokens: Options["countTokens"]
  readonly onStoreError: "fail-closed" | "fail-open" | "local"
  readonly storeTimeoutMs: number
}

const scopes: ReadonlyArray<BudgetScope> = ["global", "tenant", "project", "user", "key", "model", "tag"]
const units: ReadonlyArray<CalendarUnit> = ["minute", "hour", "day", "week", "month", "quarter", "year"]
interface Clockwork {
  readonly label: string
  readonly renews: boolean
  readonly windowAt: (atMs: number) => BudgetWindow
}

const forever: BudgetWindow = { bucketMs: 0, fromMs: 0, endMs: Infinity }

const calendarOf = (unit: CalendarUnit, zone: string, weekStart: number): Clockwork => {
  const spanAt = calendar(unit, zone, weekStart)
  let window: BudgetWindow = { bucketMs: 0, fromMs: 0, endMs: 0 }
  return {
    label: `${unit}${zone === "UTC" ? "" : ` ${zone}`}${unit === "week" && weekStart !== 1 ? ` from ${weekStart}` : ""}`,
    renews: true,
    windowAt: (atMs) => {
      if (atMs >= window.bucketMs && atMs < window.endMs) return window
      const { endMs, startMs } = spanAt(atMs)
      return (window = { bucketMs: startMs, fromMs: startMs, endMs })
    }
  }
}

const rollingOf = (lengthMs: number, buckets: number): Clockwork => {
  const sizeMs = Math.ceil(lengthMs / buckets)
  const spanMs = sizeMs * buckets
  let window: BudgetWindow = { bucketMs: -Infinity, fromMs: 0, endMs: 0 }
  return {
    label: `rolling ${Duration.format(Duration.millis(lengthMs))}`,
    renews: false,
    windowAt: (atMs) => {
      if (atMs >= window.bucketMs && atMs < window.bucketMs + sizeMs) return window
      const bucketMs = Math.floor(atMs / sizeMs) * sizeMs
      // The whole of the oldest bucket counts, so that no time of this length ever holds more than the limit.
      return (window = { bucketMs, fromMs: bucketMs - spanMs, endMs: bucketMs + spanMs + sizeMs })
    }
  }
}

/** The clockwork of a period, or what is wrong with it. */
const clockworkOf = (at: string, period: Period): Clockwork | Config.ConfigError => {
  if (period === "lifetime") return { label: "lifetime", renews: false, windowAt: () => forever }
  if (typeof period === "object" && period !== null && "rolling" in period) {
    const buckets = period.buckets ?? defaults.rollingBuckets
    return (
      positiveDuration(`${at}.rolling`, period.rolling) ??
      wholeInRange(`${at}.buckets`, buckets, 1, 1_000) ??
      rollingOf(millisOf(period.rolling)!, buckets)
    )
  }
  const unit = typeof period === "string" ? period : period?.calendar
  if (!units.includes(unit)) {
    return optionError(at, unit, `${units.join(", ")}, lifetime, { calendar } or { rolling }`)
  }
  const { timeZone = "UTC", weekStartsOn = 1 } = typeof period === "string" ? {} : period
  const wrong = wholeInRange(`${at}.weekStartsOn`, weekStartsOn, 0, 6)
  if (wrong !== undefined) return wrong
  try {
    return calendarOf(unit, timeZone, weekStartsOn)
  } catch {
    return optionError(`${at}.timeZone`, timeZone, "an IANA time zone such as Europe/Berlin")
  }
}

const amountOf = (checks: Array<Check>, field: string, input: Money.Input | undefined): bigint | undefined => {
  if (input === undefined) return undefined
  const amount = Money.parse(input)
  if (amount !== undefined && amount > 0n) return amount
  checks.push(optionError(field, input, "an amount of dollars above 0 with at most nine decimals"))
  return undefined
}

const marksOf = (
  limit: bigint | undefined,
  soft: bigint | undefined,
  shares: ReadonlyArray<number>
): ReadonlyArray<Mark> => {
  const marks: Array<Mark> = soft === undefined ? [] : [{ at: soft, threshold: "soft" }]
  const whole = limit ?? soft
  // In millionths, so that shares such as 0.8 stay whole numbers.
  for (const share of shares) {
    if (whole !== undefined)
      marks.push({ at: (whole * BigInt(Math.round(share * 1e6))) / 1_000_000n, threshold: share })
  }
  return marks.sort((a, b) => (a.at < b.at ? -1 : 1))
}

/** Values whose places a rule remembers; more are worked out again. */
const remembered = 10_000

interface RuleParts extends Omit<Rule, "placeOf"> {
  readonly limit: bigint | undefined
  readonly marks: ReadonlyArray<Mark>
  readonly only: ReadonlySet<string> | undefined
  readonly overrides: ReadonlyMap<string, { readonly limit: bigint; readonly marks: ReadonlyArray<Mark> }>
}

/** A rule, which remembers the places of values: to put a name together costs more than all else in a claim. */
const withPlaces = ({ limit, marks, only, overrides, ...parts }: RuleParts): Rule => {
  const places = new Map<string, Place>()
  const rule: Rule = {
    ...parts,
    placeOf: (value) => {
      const known = places.get(value)
      if (known !== undefined) return known
      if (only !== undefined && !only.has(value)) return undefined
      const own = overrides.get(value)
      const place: Place = {
        rule,
        value,
        account: parts.prefix + value,
        limit: own === undefined ? limit : own.limit,
        soft: own === undefined ? parts.soft : undefined,
        marks: own === undefined ? marks : own.marks
      }
      if (places.size >= remembered) places.clear()
      places.set(value, place)
      return place
    }
  }
  return rule
}

const ruleOf = (checks: Array<Check>, at: string, given: Limit): Rule | undefined => {
  const before = checks.length
  if (!scopes.includes(given.scope)) checks.push(optionError(`${at}.scope`, given.scope, scopes.join(", ")))
  const clockwork = clockworkOf(`${at}.period`, given.period)
  if (!("windowAt" in clockwork)) checks.push(clockwork)
  const limit = amountOf(checks, `${at}.limit`, given.limit)
  const soft = amountOf(checks, `${at}.soft`, given.soft)
  if (given.limit === undefined && given.soft === undefined) {
    checks.push(optionError(`${at}.limit`, undefined, "a limit, a soft limit, or both"))
  }
  if (soft !== undefined && limit !== undefined && soft > limit) {
    checks.push(optionError(`${at}.soft`, Money.format(soft), `an amount of at most the limit, ${Money.format(limit)}`))
  }
  const shares = given.thresholds ?? defaults.thresholds
  for (const share of shares) {
    checks.push(
      share > 0
        ? inRange(`${at}.thresholds`, share, 0, 1)
        : optionError(`${at}.thresholds`, share, "shares above 0, at most 1")
    )
  }
  if (given.only !== undefined && (given.only.length === 0 || given.scope === "global")) {
    checks.push(optionError(`${at}.only`, given.only.length, "at least one value, of a scope other than global"))
  }
  const overrides = new Map<string, { readonly limit: bigint; readonly marks: ReadonlyArray<Mark> }>()
  for (const [value, input] of Object.entries(given.overrides ?? {})) {
    const amount = amountOf(checks, `${at}.overrides.${value}`, input)
    if (amount !== undefined) overrides.set(value, { limit: amount, marks: marksOf(amount, undefined, shares) })
  }
  if (checks.slice(before).some((check) => check !== undefined) || !("windowAt" in clockwork)) return undefined
  return withPlaces({
    name: given.name ?? `${given.scope} ${clockwork.label}`,
    scope: given.scope,
    period: clockwork.label,
    renews: clockwork.renews,
    soft,
    windowAt: clockwork.windowAt,
    prefix: `${given.scope}\u0000${clockwork.label}\u0000`,
    limit,
    marks: marksOf(limit, soft, shares),
    only: given.only === undefined ? undefined : new Set(given.only),
    overrides
  })
}

/** Two limits that would keep the same account: which of them holds would be a matter of order. */
const overlapping = (limits: ReadonlyArray<Limit>, rules: ReadonlyArray<Rule | undefined>): Check => {
  for (let second = 1; second < rules.length; second++) {
    for (let first = 0; first < second; first++) {
      const [a, b] = [rules[first], rules[second]]
      if (a === undefined || b === undefined || a.scope !== b.scope || a.period !== b.period) continue
      const [these, those] = [limits[first]!.only, limits[second]!.only]
      if (these === undefined || those === undefined || these.some((value) => those.includes(value))) {
        return optionError(
          `limits[${second}]`,
          b.name,
          `one limit for a scope and period; limits[${first}] is another (overrides are for single values)`
        )
      }
    }
  }
  return undefined
}

/** Fails with a `ConfigError` that names the first wrong option. */
export const resolve = (options: Options): Effect.Effect<Resolved, Config.ConfigError> =>
  Effect.suspend(() => {
    const checks: Array<Check> = []
    const limits = options.limits ?? []
    if (limits.length === 0) checks.push(optionError("limits", "none", "at least one limit"))
    const rules = limits.map((limit, index) => ruleOf(checks, `limits[${index}]`, limit))
    const settings = { ...defaults, ...options }
    return Effect.map(
      validate([
        ...checks,
        overlapping(limits, rules),
        settings.unpriced === "reject" || settings.unpriced === "allow"
          ? undefined
          : optionError("unpriced", settings.unpriced, "reject, allow"),
        wholeInRange("assumedOutputTokens", settings.assumedOutputTokens, 1),
        inRange("inputMargin", settings.inputMargin, 1, 10),
        ["fail-closed", "fail-open", "local"].includes(settings.onStoreError)
          ? undefined
          : optionError("onStoreError", settings.onStoreError, "fail-closed, fail-open, local"),
        positiveDuration("storeTimeout", settings.storeTimeout)
      ]),
      (): Resolved => ({
        rules: rules as ReadonlyArray<Rule>,
        unpriced: settings.unpriced,
        assumedOutputTokens: settings.assumedOutputTokens,
        inputMargin: settings.inputMargin,
        countTokens: options.countTokens,
        onStoreError: settings.onStoreError,
        storeTimeoutMs: millisOf(settings.storeTimeout)!
      })
    )
  })
