/**
 * Writes the tables of the documentation from what the packages export: a table in a page is whatever stands between
 * `<!-- table: name -->` and `<!-- /table -->`.
 *
 * `npm run docs:tables` writes them; `npm run docs:tables -- --check` fails if a page shows something else. A table is
 * a line of {@link tables} below; a page shows it by its markers, wherever it stands under `docs` or in README.md.
 */
import { Alerts, Notifier, Remedy, Webhook } from "@breakwater/alerts"
import { Audit } from "@breakwater/audit"
import {
  AdaptiveLimit,
  Budget,
  BudgetStore,
  Bulkhead,
  CacheStore,
  CircuitBreaker,
  ContextWindow,
  DynamicTimeout,
  FallbackLimiterStore,
  Hedge,
  Ledger,
  LimiterStore,
  RateLimiter,
  ResponseCache,
  Retry,
  RetryBudget,
  SemanticCache,
  Tokenizer,
  TokenQuota
} from "@breakwater/core"
import { MLflow } from "@breakwater/mlflow"
import { HttpPool } from "@breakwater/providers"
import { RedisStores } from "@breakwater/stores"
import { existsSync, readFileSync, writeFileSync } from "node:fs"
import { join, relative } from "node:path"
import { firstDifference } from "./api.ts"
import * as AlertTables from "./docs-tables/alerts.ts"
import * as GatewayTables from "./docs-tables/gateway.ts"
import { optionsTable } from "./docs-tables/options.ts"
import * as Reference from "./docs-tables/reference.ts"
import * as Settings from "./docs-tables/settings.ts"
import { filesUnder, workspaceRoot } from "./files.ts"

const policy = (file: string, name = "Options") => [`core/src/policy/${file}`, name] as const
const store = (file: string, name = "MemoryOptions") => [`core/src/store/${file}`, name] as const

const whileLost = "What to do while the store is lost: `fail-closed`, `fail-open`, or count in this process (`local`)."

/** Every table by its name. */
export const tables: Readonly<Record<string, () => string>> = {
  "adaptive-limit": () =>
    optionsTable({
      of: [policy("AdaptiveLimit.ts")],
      defaults: AdaptiveLimit.defaults,
      text: {
        algorithm: "How the limit is found: `gradient2` or `aimd`.",
        min: "The limit is never lower.",
        max: "The limit is never higher."
      }
    }),
  "alert-burn-windows": AlertTables.burnWindows,
  "alert-rule-fields": AlertTables.ruleFields,
  "alert-rule-kinds": AlertTables.ruleKinds,
  alerts: () => optionsTable({ of: [["alerts/src/Alerts.ts", "Options"]], defaults: Alerts.defaults }),
  "alerts-remedy": () => optionsTable({ of: [["alerts/src/Remedy.ts", "Remedy"]], defaults: Remedy.defaults }),
  "alerts-webhook": () =>
    optionsTable({
      of: [
        ["alerts/src/Webhook.ts", "Options"],
        ["alerts/src/Notifier.ts", "Bounds"]
      ],
      defaults: { ...Notifier.defaults, ...Webhook.defaults },
      inline: { tolerance: "`Webhook.verify`: how far from now a signature may be." }
    }),
  audit: () => optionsTable({ of: [["audit/src/Audit.ts", "Options"]], defaults: Audit.defaults }),
  budget: () =>
    optionsTable({
      of: [policy("Budget/Options.ts"), policy("Budget/Options.ts", "Limit")],
      defaults: Budget.defaults,
      text: {
        scope: "What a limit is kept for: `global`, `tenant`, `project`, `user`, `key`, `model` or `tag`.",
        period: "The time it is for: a unit of the calendar, a rolling time, or `lifetime`."
      },
      inline: {
        rollingBuckets: "Parts of a `rolling` period (its `buckets`); spending counts up to one of them too long."
      }
    }),
  "budget-store": () => optionsTable({ of: [store("BudgetStore.ts")], defaults: BudgetStore.memoryDefaults }),
  bulkhead: () => optionsTable({ of: [policy("Bulkhead/Options.ts")], defaults: Bulkhead.defaults }),
  "cache-store": () => optionsTable({ of: [store("CacheStore.ts")], defaults: CacheStore.memoryDefaults }),
  "circuit-breaker": () =>
    optionsTable({
      of: [policy("CircuitBreaker/Options.ts")],
      defaults: CircuitBreaker.defaults,
      nested: {
        slow: policy("CircuitBreaker/Options.ts", "SlowOption"),
        adaptive: policy("CircuitBreaker/Options.ts", "AdaptiveOption"),
        open: policy("CircuitBreaker/Options.ts", "OpenOption"),
        halfOpen: policy("CircuitBreaker/Options.ts", "HalfOpenOption")
      },
      text: {
        window: "Which calls count.",
        slow: "Slow calls open the circuit too. Default: off.",
        adaptive: "A failure rate that follows the usual one of the target. Default: off."
      }
    }),
  "context-window": () =>
    optionsTable({
      of: [policy("ContextWindow/options.ts")],
      defaults: ContextWindow.defaults,
      text: {
        strategy: "What is dropped: `keepNewest`, `dropMiddle`, `fail`, or `{ summarise, maxTokens, heading }`.",
        reserve:
          "What is kept free for the answer of a request without `maxTokens`: tokens, or a share of the window over 0 and under 1 (never more than the model's largest answer).",
        compaction: "What is made shorter before anything is dropped: `whitespace`, `repeats`, `paste`. Default: off."
      },
      inline: {
        summaryTokens: "The longest summary in tokens: `maxTokens` of a strategy that summarises, 16 to 100,000.",
        heading: "What stands before a summary."
      }
    }),
  "dynamic-timeout": () =>
    optionsTable({
      of: [["core/src/internal/dynamicTimeout.ts", "DynamicOptions"]],
      defaults: DynamicTimeout.defaults,
      text: {
        tokensPerSecond: "The speed of a model that was never seen, in tokens a second.",
        outputTokens: "Tokens of an answer whose request has no limit of its own.",
        safetyFactor: "What the expected time is multiplied by; from 1 to 100.",
        min: "No limit is shorter.",
        max: "No limit is longer."
      }
    }),
  errors: Reference.errors,
  "error-origin": Reference.errorOrigin,
  events: Reference.events,
  faults: Reference.faults,
  "gateway-fields": GatewayTables.fields,
  hedge: () => optionsTable({ of: [policy("Hedge/Options.ts")], defaults: Hedge.defaults }),
  "http-pool": () => optionsTable({ of: [["providers/src/HttpPool.ts", "Options"]], defaults: HttpPool.defaults }),
  ledger: () => optionsTable({ of: [policy("Ledger.ts")], defaults: Ledger.defaults }),
  "limiter-store": () => optionsTable({ of: [store("LimiterStore.ts")], defaults: LimiterStore.memoryDefaults }),
  "limiter-store-fallback": () =>
    optionsTable({
      of: [store("FallbackLimiterStore.ts", "Options")],
      defaults: FallbackLimiterStore.defaults,
      text: { mode: whileLost }
    }),
  metrics: Reference.metrics,
  "classic-metrics": Reference.classicMetrics,
  mlflow: () =>
    optionsTable({
      of: [
        ["mlflow/src/MLflowClient.ts", "Options"],
        ["mlflow/src/MLflow.ts", "Options"]
      ],
      defaults: MLflow.defaults
    }),
  examples: Reference.examples,
  pages: () => Reference.pages(),
  "pages-adr": () => Reference.pages("adr"),
  "pages-policies": () => Reference.pages("policies"),
  presets: Settings.presets,
  providers: Settings.providers,
  "rate-limiter": () =>
    optionsTable({
      of: [["core/src/internal/limitRules.ts", "WindowOptions"], policy("RateLimiter.ts", "LimiterOptions")],
      defaults: RateLimiter.defaults,
      text: {
        window: "The time the limit is for.",
        algorithm: "One of the five above. Default: `token-bucket`.",
        burst:
          "The most that can go at once, for token bucket and GCRA. Default: the limit; for GCRA 1, or what comes due in a millisecond."
      }
    }),
  "rate-limiter-plans": Settings.limiterPlans,
  "redis-stores": () =>
    optionsTable({
      of: [["stores/src/redis/RedisStores.ts", "StoreOptions"]],
      defaults: RedisStores.defaults,
      nested: { onLost: store("FallbackLimiterStore.ts", "Options") },
      text: { onLost: "What all limiters do while the server is away.", "onLost.mode": whileLost }
    }),
  "response-cache": () => optionsTable({ of: [policy("ResponseCache/Options.ts")], defaults: ResponseCache.defaults }),
  "retry-budget": () =>
    optionsTable({
      of: [policy("RetryBudget.ts")],
      defaults: RetryBudget.defaults,
      text: { mode: "How retries are counted: `bucket` or `ratio`." }
    }),
  "retry-learner": () => optionsTable({ of: [policy("Retry.ts", "LearnerOptions")], defaults: Retry.learnerDefaults }),
  "retry-policy": () =>
    optionsTable({
      of: [policy("Retry.ts", "PolicyOptions")],
      defaults: Retry.policyDefaults,
      text: {
        schedule: "The delays. Default: `Retry.exponential()`.",
        retries: "Retries at most, from 0 to 1,000; attempts are one more.",
        maxHint: "An error that asks for a longer wait than this is not waited for.",
        overrides: "What is special about some kinds of error, by their `_tag`; added to the default.",
        while: "Whether to retry an error that is retryable by its own account. Default: yes.",
        learner: "Leaves out retries of kinds of error that retries have not helped lately.",
        onRetry: "Called before each wait with the error, the attempt that failed, and the wait."
      }
    }),
  "retry-presets": Settings.retryPresets,
  "retry-schedules": () =>
    optionsTable({
      of: [policy("Retry.ts", "Shape"), policy("Retry.ts", "Jittered")],
      defaults: Retry.scheduleDefaults,
      text: {
        jitter:
          "How a delay is spread by chance: `none`, `full` (from 0), `equal` (from a half), or a share by which it is shortened at most."
      },
      inline: { factor: "Exponential: by how much a delay is longer than the one before; from 1 to 1,000." }
    }),
  "semantic-cache": () => optionsTable({ of: [policy("SemanticCache/Options.ts")], defaults: SemanticCache.defaults }),
  spans: Reference.spans,
  "timeout-presets": Settings.timeoutPresets,
  "token-quota": () =>
    optionsTable({
      of: [policy("TokenQuota.ts", "Limits"), policy("TokenQuota.ts")],
      defaults: TokenQuota.defaults,
      nested: { adaptive: policy("TokenQuota.ts", "AdaptiveRate") },
      text: {
        "adaptive.after": "Clean calls in a row before the rate grows.",
        adaptive: "Whether the rate of calls adapts; nothing is held back before the first refusal. Default: on.",
        ramp: "Growth of the allowance after a cold start or a pause, as a share and a time; `false` for none.",
        maxPause: "The longest pause of that kind. Does not shorten a provider's hint."
      }
    }),
  "token-quota-shared": () =>
    optionsTable({ of: [policy("TokenQuota.ts", "SharedOptions")], defaults: TokenQuota.sharedDefaults }),
  tokenizer: () => optionsTable({ of: [policy("Tokenizer.ts")], defaults: Tokenizer.defaults }),
  variables: Settings.variables
}

const region = /^(<!-- table: (\S+) -->\n)(?:(?!^<!-- table:)[^])*?^<!-- \/table -->$/gm

/** A page with its tables as they should be. Throws for a name without a table, and for markers without a pair. */
export const withTables = (page: string, text: string, known = tables): string => {
  const written = text.replace(region, (_, open: string, name: string) => {
    const make = Object.hasOwn(known, name) ? known[name] : undefined
    if (make === undefined)
      throw new Error(`${page}: no table is named ${name}; give it a line in scripts/docs-tables.ts`)
    return `${open}${make()}\n<!-- /table -->`
  })
  const opened = text.match(/^<!-- table:/gm)?.length ?? 0
  const closed = text.match(/^<!-- \/table -->/gm)?.length ?? 0
  const whole = text.match(region)?.length ?? 0
  if (opened !== whole || closed !== whole)
    throw new Error(`${page}: each table needs both of its markers, on lines of their own`)
  return written
}

/** A page whose tables are not what they should be. */
export interface StalePage {
  readonly page: string
  readonly before: string
  readonly after: string
}

/** The pages of a workspace that have to be written. */
export const stalePages = (root: string): ReadonlyArray<StalePage> => {
  const readme = join(root, "README.md")
  return [...(existsSync(readme) ? [readme] : []), ...filesUnder(join(root, "docs"), ".md")].flatMap((file) => {
    const before = readFileSync(file, "utf8")
    const after = withTables(relative(root, file), before)
    return before === after ? [] : [{ page: relative(root, file), before, after }]
  })
}

/** Writes the pages of a workspace, or with `check` only tells what is stale. The exit code. */
export const run = (root: string, check: boolean): number => {
  const stale = stalePages(root)
  for (const { after, before, page } of stale) {
    if (check) console.error(`${page} shows a table that is not true any more: ${firstDifference(before, after)}`)
    else writeFileSync(join(root, page), after)
  }
  if (!check) console.log(`${stale.length} pages written.`)
  else if (stale.length > 0) console.error('Run "npm run docs:tables" and commit the pages.')
  return check && stale.length > 0 ? 1 : 0
}

if (import.meta.main) process.exitCode = run(workspaceRoot, process.argv.includes("--check"))
