/** Prices, budgets and the ledger, as they are written. */
import * as Schema from "effect/Schema"
import { between, Dollars, Name, opt, Span, Text, whole } from "./Basics.ts"

const Rate = Schema.Union([Text, between(0, 1_000_000)])

const rates = {
  input: Rate.annotate({ description: "Of the prompt" }),
  output: Rate.annotate({ description: "Of the answer" }),
  cachedInput: opt(Rate, "Of the prompt, from the provider's cache"),
  cacheWrite: opt(Rate, "Of the prompt, into the provider's cache"),
  longCacheWrite: opt(Rate, "The same for an hour"),
  reasoning: opt(Rate, "Of thoughts"),
  audioInput: opt(Rate, "Of sound in the prompt"),
  audioOutput: opt(Rate, "Of sound in the answer"),
  imageInput: opt(Rate, "Of pictures in the prompt"),
  imageOutput: opt(Rate, "Of pictures in the answer")
}

const Price = Schema.Struct({
  ...rates,
  tiers: opt(
    Schema.Array(Schema.Struct({ above: whole(0, Number.MAX_SAFE_INTEGER), ...rates })),
    "Rates of requests whose prompt is above a size, in tokens"
  ),
  request: opt(Rate, "Dollars for each request"),
  modes: opt(
    Schema.Struct({
      batch: Schema.optionalKey(Rate),
      flex: Schema.optionalKey(Rate),
      priority: Schema.optionalKey(Rate)
    }),
    "Factors of other modes of service: `0.5` is half"
  ),
  maxOutputTokens: opt(whole(1, Number.MAX_SAFE_INTEGER), "The largest answer: what a budget reserves"),
  contextWindow: opt(whole(1, Number.MAX_SAFE_INTEGER), "Prompt and answer together")
})

export const Prices = Schema.Struct({
  overrides: opt(
    Schema.Record(Text, Price),
    "By `provider/model`, in dollars for a million tokens; before the published ones"
  ),
  providers: opt(Schema.Record(Name, Text), "Whose prices hold at a provider that goes by another name here"),
  free: opt(Schema.Array(Text), "Providers that cost nothing")
})

const Period = Schema.Union([
  Schema.Literals(["minute", "hour", "day", "week", "month", "quarter", "year", "lifetime"]),
  Schema.Struct({ rolling: Span, buckets: opt(whole(1, 1_000), "Parts it moves on by", 60) })
])

const limitFields = {
  name: opt(Text, "For events, headers and `/admin/budgets`; without it scope and period"),
  period: Period.annotate({ description: "A unit of the calendar, `lifetime`, or `{ rolling }`" }),
  timeZone: opt(Text, "Of days and longer units, as in `Europe/Berlin`", "UTC"),
  weekStartsOn: opt(whole(0, 6), "Of weeks: 0 is Sunday", 1),
  limit: opt(Dollars, "Dollars; a request that could pass it is refused"),
  soft: opt(Dollars, "Dollars; from there on answers carry a warning"),
  thresholds: opt(Schema.Array(between(0.000001, 1)), "Shares at which an event is sent; without them 0.5, 0.8 and 1")
}

const scopes = ["global", "tenant", "user", "project", "key", "model", "tag"] as const

export const BudgetLimit = Schema.Struct({
  scope: Schema.Literals(scopes).annotate({ description: "All together, or each value of something apart" }),
  ...limitFields,
  only: opt(Schema.Array(Text).check(Schema.isMinLength(1)), "Only these values"),
  overrides: opt(Schema.Record(Text, Dollars), "Limits of single values")
})
export type BudgetLimit = typeof BudgetLimit.Type

/** What callers of a tier may spend, each for themselves. */
export const TierBudget = Schema.Struct({
  scope: opt(Schema.Literals(["key", "user", "tenant"]), "Whose account it is", "key"),
  ...limitFields
})
export type TierBudget = typeof TierBudget.Type

export const BudgetPolicy = Schema.Struct({
  unpriced: opt(Schema.Literals(["reject", "allow"]), "Requests to models without a price", "reject"),
  assumedOutputTokens: opt(whole(1, 1_000_000_000), "What an answer is taken for that nothing bounds", 16_384),
  inputMargin: opt(between(1, 10), "The prompt is taken for characters ÷ 4 × this", 2),
  onStoreError: opt(
    Schema.Literals(["fail-closed", "local", "fail-open"]),
    "While `stores.postgres` is away: refuse, keep accounts in this process, or let go unaccounted",
    "fail-closed"
  )
})

export const Ledger = Schema.Union([
  Schema.Struct({ file: Text.annotate({ description: "A file of SQLite that only this gateway writes" }) }),
  Schema.Struct({ postgres: Schema.Literal(true).annotate({ description: "In the database of `stores.postgres`" }) })
])
