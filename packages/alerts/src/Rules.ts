/**
 * Alert rules: data with a Schema, so that they can stand in a configuration file as well as in a program.
 *
 * Burn rates and their windows are those of the Google SRE Workbook (Beyer et al., O'Reilly 2018, chapter 5, "Alerting
 * on SLOs", table 5-8): a burn rate of 1 spends the error budget of a 30-day objective in exactly 30 days; 14.4 spends
 * 2 % of it in an hour, 6 spends 5 % in six hours, 1 spends 10 % in three days. The short window is a twelfth of the
 * long one, and makes an alert end soon after its cause.
 */
import { Money, Options } from "@breakwater/core"
import type * as Config from "effect/Config"
import * as Duration_ from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

const units: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** Milliseconds of `500ms`, `30s`, `5m`, `6h`, `3d` or of Effect's long form (`5 minutes`); `undefined` for anything else. */
export const millisOf = (text: string): number | undefined => {
  const match = /^(\d{1,9}(?:\.\d{1,6})?)(ms|s|m|h|d)$/.exec(text)
  if (match !== null) return Number(match[1]) * units[match[2]!]!
  const parsed = Duration_.fromInput(text as Duration_.Input)
  return parsed._tag === "Some" && Duration_.isFinite(parsed.value) ? Duration_.toMillis(parsed.value) : undefined
}

const maxMs = 31 * 86_400_000

// Unions of one: what is said of them would be said of their check otherwise, and be lost to a JSON schema.
const durationFrom = (minMs: number, allowed: string) =>
  Schema.Union([
    Schema.String.check(
      Schema.makeFilter((text: string) => {
        const millis = millisOf(text)
        return (millis !== undefined && millis >= minMs && millis <= maxMs) || `it must be a duration ${allowed}`
      })
    )
  ])

const Wait = durationFrom(0, "such as 30s or 5m, at most 31d")
const Span = durationFrom(1_000, "such as 30s or 5m, from 1s to 31d")
const Name = Schema.String.check(Schema.isPattern(/^[A-Za-z0-9][\w. -]{0,99}$/u))
const Text = Schema.String.check(Schema.isMinLength(1), Schema.isMaxLength(500))
const Share = Schema.Finite.check(Schema.isBetween({ minimum: 0.000_001, maximum: 1 }))
const Count = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 1_000_000_000 }))
const Dollars = Schema.Union([
  Schema.String.check(
    Schema.makeFilter((text: string) => {
      const amount = Money.parse(text)
      return (amount !== undefined && amount > 0n) || "it must be an amount of dollars above zero, such as 12.50"
    })
  )
])

/** How bad it is. `page`: somebody should look now; `ticket`: in working hours; `info`: good to know. */
export const Severity = Schema.Literals(["page", "ticket", "info"])
export type Severity = typeof Severity.Type

/** A field that may be left out, with what it is: for tables and editors. */
const opt = <S extends Schema.Top>(schema: S, description: string) =>
  Schema.optionalKey(schema.annotate({ description }))

const common = {
  name: Name.annotate({ description: "What the alert is called; unique" }),
  severity: opt(Severity, "`page`, `ticket` or `info`. Default: by the window for objectives, `ticket` for the rest"),
  for: opt(Wait, "How long it must be so before it fires. Default 0s"),
  resolveAfter: opt(Wait, "How long it must be over before it is resolved. Default 1m"),
  runbook: opt(Text, "What to do about it: a sentence, or the address of a page")
}

/** A long window, its short one, and the burn rate that both must exceed. */
export const BurnWindow = Schema.Struct({
  long: Span.annotate({ description: "The long window" }),
  short: Span.annotate({ description: "The short window, by which it ends soon" }),
  burnRate: Schema.Finite.check(Schema.isBetween({ minimum: 0.01, maximum: 1_000_000 })).annotate({
    description: "How many times faster than allowed the error budget is spent"
  }),
  severity: opt(Severity, "`page`, `ticket` or `info`. Default `page`")
})
export type BurnWindow = typeof BurnWindow.Type

const over = {
  over: opt(Schema.Literals(["requests", "attempts"]), "Whole calls, or single provider calls. Default `requests`"),
  target: opt(Text, "Only of this target, `provider/model`; a `*` at the end stands for anything. Default: all")
}

/** An objective, and how fast its error budget may be spent. */
export const Slo = Schema.Struct({
  kind: Schema.Literal("slo").annotate({ description: "What kind of rule it is" }),
  ...common,
  ...over,
  objective: Schema.Finite.check(Schema.isBetween({ minimum: 0.01, maximum: 0.999_999 })).annotate({
    description: "The share of calls that must be good; 0.99 for 99 %"
  }),
  signal: opt(
    Schema.Literals(["availability", "latency"]),
    "`availability`: a good call succeeds. `latency`: a good call succeeds within `withinMs`. Default `availability`"
  ),
  withinMs: opt(Count, "The time within which a good call is over; with `signal` `latency`"),
  windows: opt(
    Schema.Array(BurnWindow).check(Schema.isMinLength(1), Schema.isMaxLength(10)),
    "Pairs of windows. Default: the three below (`defaultBurnWindows`)"
  ),
  minimumCalls: opt(Count, "Fewer calls in the long window prove nothing. Default 20")
})
export type Slo = typeof Slo.Type

/** A share of calls that failed lately. */
export const ErrorRatio = Schema.Struct({
  kind: Schema.Literal("error-ratio").annotate({ description: "What kind of rule it is" }),
  ...common,
  ...over,
  ratio: Share.annotate({ description: "The share at which it fires" }),
  window: opt(Span, "The time that counts. Default 5m"),
  minimumCalls: opt(Count, "Fewer calls in the window prove nothing. Default 20"),
  perTarget: opt(Schema.Boolean, "One alert for each target, over attempts. Default false"),
  errors: opt(
    Schema.Array(Text).check(Schema.isMinLength(1), Schema.isMaxLength(50)),
    "Only errors of these kinds, by their `_tag`. Default: all that are not the caller's own"
  )
})
export type ErrorRatio = typeof ErrorRatio.Type

/** A quantile of the time that calls take. */
export const Latency = Schema.Struct({
  kind: Schema.Literal("latency").annotate({ description: "What kind of rule it is" }),
  ...common,
  ...over,
  boundMs: Count.annotate({ description: "Above this it fires" }),
  quantile: opt(
    Schema.Finite.check(Schema.isBetween({ minimum: 0.01, maximum: 0.999 })),
    "Which quantile, 0.01 to 0.999. Default 0.95"
  ),
  measure: opt(
    Schema.Literals(["whole", "first-token"]),
    "`whole`: until the end. `first-token`: until the first content, over attempts. Default `whole`"
  ),
  window: opt(Span, "The time that counts. Default 5m"),
  minimumCalls: opt(Count, "Fewer calls in the window prove nothing. Default 20")
})
export type Latency = typeof Latency.Type

/** A circuit that is open: one alert for each key. With `for`: open for longer than that. */
export const CircuitOpen = Schema.Struct({
  kind: Schema.Literal("circuit-open").annotate({ description: "What kind of rule it is" }),
  ...common,
  key: opt(Text, "Only this key; a `*` at the end stands for anything. Default: all"),
  forced: opt(Schema.Boolean, "Whether circuits held open by hand count. Default false")
})
export type CircuitOpen = typeof CircuitOpen.Type

/** An account of a budget at a share of its limit, until its period ends: one alert for each account. */
export const BudgetShare = Schema.Struct({
  kind: Schema.Literal("budget").annotate({ description: "What kind of rule it is" }),
  ...common,
  share: opt(
    Share,
    "The share at which it fires. Default 0.8. A budget tells of its own thresholds only: choose one of them"
  ),
  budget: opt(Text, "Only of this budget, by its name. Default: all")
})
export type BudgetShare = typeof BudgetShare.Type

/** Money spent too fast. */
export const CostRate = Schema.Struct({
  kind: Schema.Literal("cost-rate").annotate({ description: "What kind of rule it is" }),
  ...common,
  perHour: Dollars.annotate({ description: "Dollars an hour; above this it fires" }),
  window: opt(Span, "What is spent in this time is scaled to an hour. Default 1h")
})
export type CostRate = typeof CostRate.Type

/** A store of limits, circuits, budgets, caches or the ledger that does not answer: one alert for each store. */
export const StoreLost = Schema.Struct({
  kind: Schema.Literal("store-lost").annotate({ description: "What kind of rule it is" }),
  ...common,
  store: opt(Text, "Only this store, by its name. Default: all")
})
export type StoreLost = typeof StoreLost.Type

/** Records of a ledger or an audit log that were lost. */
export const RecordsLost = Schema.Struct({
  kind: Schema.Literal("records-lost").annotate({ description: "What kind of rule it is" }),
  ...common,
  window: opt(Span, "For how long it is told. Default 1h")
})
export type RecordsLost = typeof RecordsLost.Type

/** One rule. */
export const Rule = Schema.Union([Slo, ErrorRatio, Latency, CircuitOpen, BudgetShare, CostRate, StoreLost, RecordsLost])
export type Rule = typeof Rule.Type
export type Kind = Rule["kind"]

/** Every set of rules: names are unique. */
export const RuleSet = Schema.Array(Rule).check(
  Schema.isMinLength(1),
  Schema.isMaxLength(200),
  Schema.makeFilter((rules: ReadonlyArray<{ readonly name: string }>) => {
    const names = rules.map(({ name }) => name)
    const twice = names.find((name, index) => names.indexOf(name) !== index)
    return twice === undefined || `two rules are named ${twice}`
  }),
  Schema.makeFilter((rules: ReadonlyArray<Rule>) => {
    const wrong = rules.find((rule) => rule.kind === "slo" && rule.signal === "latency" && rule.withinMs === undefined)
    return wrong === undefined || `${wrong.name}: an objective of latency needs withinMs`
  }),
  Schema.makeFilter((rules: ReadonlyArray<Rule>) => {
    const wrong = rules.find(
      (rule) =>
        rule.kind === "slo" && rule.windows?.some(({ long, short }) => millisOf(short)! >= millisOf(long)!) === true
    )
    return wrong === undefined || `${wrong.name}: a short window must be shorter than its long one`
  })
)

/** The three pairs of the SRE Workbook, for an objective over 30 days. */
export const defaultBurnWindows = [
  { long: "1h", short: "5m", burnRate: 14.4, severity: "page" },
  { long: "6h", short: "30m", burnRate: 6, severity: "page" },
  { long: "3d", short: "6h", burnRate: 1, severity: "ticket" }
] as const satisfies ReadonlyArray<BurnWindow>

/** What rules leave out. */
export const defaults = {
  for: "0s",
  resolveAfter: "1m",
  window: "5m",
  costWindow: "1h",
  lostWindow: "1h",
  minimumCalls: 20,
  quantile: 0.95,
  share: 0.8,
  /** While it fires, a measure must fall below this part of its threshold to count as over. */
  hysteresis: 0.9
} as const

/** Errors that are the caller's own doing or their limits': objectives and error ratios do not count them as bad. */
export const callersErrors: ReadonlySet<string> = new Set([
  "InvalidRequestError",
  "ContextLengthError",
  "ContentFilterError",
  "InputRejectedError",
  "OutputRejectedError",
  "StructuredOutputError",
  "BudgetExceededError",
  "UnpricedModelError"
])

/** Reads rules from data. Fails with a `ConfigError` that names the wrong fields. */
export const decode = (rules: unknown): Effect.Effect<ReadonlyArray<Rule>, Config.ConfigError> =>
  Effect.mapError(Schema.decodeUnknownEffect(RuleSet, { onExcessProperty: "error" })(rules), (error) =>
    Options.optionError("rules", "as given", `the rules of the documentation (${error.message.replace(/\s+/g, " ")})`)
  )

/** A set to begin with: availability of 99 %, all errors of a target, open circuits, budgets, stores and records. */
export const recommended: ReadonlyArray<Rule> = [
  { kind: "slo", name: "availability", objective: 0.99 },
  { kind: "error-ratio", name: "target-failing", ratio: 0.5, perTarget: true, for: "1m" },
  { kind: "circuit-open", name: "circuit-open", for: "2m" },
  { kind: "budget", name: "budget", share: 0.8 },
  { kind: "store-lost", name: "store-lost", for: "30s" },
  { kind: "records-lost", name: "records-lost", severity: "page" }
]
