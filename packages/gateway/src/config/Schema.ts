/**
 * The configuration of a gateway: one Schema, from which the check, the types, the published JSON schema and the tables
 * of the manual come.
 *
 * The smallest one names a provider; everything else has a default.
 */
import { Catalog } from "@breakwater/providers"
import * as Schema from "effect/Schema"
import { defaults } from "./Defaults.ts"
import { Auth, Tier } from "./schema/Access.ts"
import { Alerts } from "./schema/Alerts.ts"
import { Dollars, Duration, flag, Name, opt, Secret, Text, whole } from "./schema/Basics.ts"
import { BudgetLimit, BudgetPolicy, Ledger, Prices } from "./schema/Money.ts"
import { Cache, Policy, Route, SemanticCache } from "./schema/Policies.ts"

export {
  type AuthConfig,
  type JwtConfig,
  KeysFile,
  type Scope,
  StoredKey,
  type Tier,
  type Windows
} from "./schema/Access.ts"
export { millisOf, type Secret } from "./schema/Basics.ts"
export type { BudgetLimit, TierBudget } from "./schema/Money.ts"
export type { Policy, Route } from "./schema/Policies.ts"

const Provider = Schema.Struct({
  type: Schema.Literals(Catalog.names as [Catalog.Name, ...Array<Catalog.Name>]).annotate({
    description: "Whose wire it speaks"
  }),
  baseUrl: opt(Text, "Where it is; without it the provider's own address"),
  apiKey: opt(Schema.Union([Secret, Schema.Array(Secret)]), "One, or several that take turns"),
  betas: opt(Schema.Array(Text), "Of `anthropic`: features to switch on, sent as `anthropic-beta`"),
  models: opt(
    Schema.Array(Text),
    "Names that `/v1/models` lists and that may be asked for without the provider in front"
  )
})

const Limits = Schema.Struct({
  bodyBytes: opt(whole(1_024, 1_073_741_824), "Bytes of a body", defaults.bodyBytes),
  headerBytes: opt(whole(1_024, 1_048_576), "Bytes of all headers of a request", defaults.headerBytes),
  depth: opt(whole(4, 1_000), "How deep a body may be nested", defaults.depth),
  concurrency: opt(whole(1, 1_000_000), "Requests under way; more are turned away with 503", defaults.concurrency),
  connections: opt(whole(1, 1_000_000), "Connections of clients", defaults.connections),
  requestTimeout: opt(Duration, "Until headers and body have arrived", defaults.requestTimeout),
  writeTimeout: opt(Duration, "How long a client may take to read what waits for it", defaults.writeTimeout),
  keepAlive: opt(Duration, "How long an idle connection is kept", defaults.keepAlive),
  shutdown: opt(Duration, "How long a shutdown waits for requests under way", defaults.shutdown)
})

const Ready = Schema.Struct({
  ask: opt(Text, "A model, alias or route that is asked a question of four tokens"),
  every: opt(Duration, "How long its answer is believed", defaults.askEvery),
  timeout: opt(Duration, "How long it may take", defaults.askTimeout),
  budget: opt(Dollars, "Dollars a day for these questions, with `prices`", defaults.askBudget)
})

const Stores = Schema.Struct({
  redis: opt(Secret, "A URL: limits, quotas, circuits and cache"),
  postgres: opt(Secret, "A URL: budgets, and the ledger if it says so"),
  prefix: opt(Text, "Of keys in Redis", "breakwater"),
  wait: opt(Duration, "How long a question to Redis may take before it counts as lost", defaults.redisWait)
})

const Log = Schema.Struct({
  requests: opt(flag, "A line of JSON on stderr for every request", false),
  promptHash: opt(
    Schema.Union([flag, Schema.Struct({ secret: Secret.annotate({ description: "A key for the hash" }) })]),
    "Lines and events carry a hash of the prompt, made with a secret if there is one",
    false
  )
})

const auditFields = {
  keys: Secret.annotate({ description: "`id:key,id:key` with 32 bytes each in base64; the last one seals" }),
  required: opt(flag, "Nothing is sent to a provider that could not be recorded", false)
}

const Audit = Schema.Union([
  Schema.Struct({
    file: Text.annotate({ description: "A file that only this gateway writes, relative to this one" }),
    ...auditFields
  }),
  Schema.Struct({
    postgres: Schema.Literal(true).annotate({
      description: "In the database of `stores.postgres`: one log of all gateways that seal with the same keys"
    }),
    ...auditFields
  })
])

/** The configuration as it is written. */
export const GatewayConfig = Schema.Struct({
  $schema: Schema.optionalKey(Schema.String),
  providers: Schema.Record(Name, Provider).annotate({ description: "Who can be asked, by a name of your own" }),
  aliases: opt(Schema.Record(Text, Text), "Other names of targets or routes"),
  routes: opt(Schema.Record(Name, Route), "Targets under one name, with the fields of `defaults`"),
  defaultRoute: opt(Text, "What `auto` stands for: a route, an alias or a target; without it the first route"),
  defaults: opt(Policy, "Policies of everything that does not set its own"),
  cache: opt(Cache, "Answers to requests with a temperature of 0 or a seed"),
  semanticCache: opt(SemanticCache, "Answers to questions that mean the same"),
  prices: opt(Prices, "Answers say what they cost; published prices, and those given here"),
  budgets: opt(Schema.Array(BudgetLimit).check(Schema.isMinLength(1)), "What may be spent"),
  budgetPolicy: opt(BudgetPolicy, "How budgets deal with what is not known"),
  ledger: opt(Ledger, "Every attempt is written down, for `/admin/usage` and `breakwater report`"),
  audit: opt(Audit, "A log of who did what, sealed and chained, for `/admin/audit` and `breakwater audit verify`"),
  stores: opt(Stores, "What several gateways share"),
  auth: opt(Auth, "Who may ask; without it everybody"),
  tiers: opt(Schema.Record(Name, Tier), "Limits of each key of a tier"),
  defaultTier: opt(Text, "Of keys that name none; without it the first"),
  ready: opt(Ready, "What `/ready` looks at beside providers and stores"),
  metrics: opt(
    Schema.Struct({ classic: opt(flag, "The `llm_…` metrics, too, that many dashboards expect", false) }),
    "What `/metrics` shows, from the start on"
  ),
  log: opt(Log, "What is written of requests"),
  alerts: opt(Alerts, "What is watched, and who is told"),
  cors: opt(Schema.Struct({ origins: Schema.Array(Text) }), "Pages that may ask; `*` for all"),
  tls: opt(Schema.Struct({ cert: Text, key: Text }), "Files, in PEM; without it plain HTTP"),
  limits: opt(Limits, "Of the server itself"),
  http: opt(
    Schema.Struct({
      connections: opt(whole(1, 65_536), "Connections to each provider", defaults.hostConnections),
      connectTimeout: opt(Duration, "How long connecting may take", defaults.connectTimeout)
    }),
    "To providers"
  )
})
export type GatewayConfig = typeof GatewayConfig.Type

/** An object may hold nothing that is not named: what the check says, and JSON schema does not by itself. */
const closed = (node: unknown): unknown => {
  if (Array.isArray(node)) return node.map(closed)
  if (typeof node !== "object" || node === null) return node
  const copy: Record<string, unknown> = {}
  for (const [key, value] of Object.entries(node)) copy[key] = closed(value)
  if ("properties" in copy) copy["additionalProperties"] = false
  return copy
}

/** The JSON schema of a configuration, for editors. */
export const jsonSchema = (): object => {
  const { definitions, schema } = Schema.toJsonSchemaDocument(GatewayConfig)
  return {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    title: "Configuration of a Breakwater gateway",
    ...(closed(schema) as object),
    ...(Object.keys(definitions).length === 0 ? {} : { $defs: closed(definitions) })
  }
}
