/**
 * The configuration of a gateway: one Schema, from which the check, the types and the published JSON schema come.
 *
 * The smallest one names a provider; everything else has a default.
 */
import { LLMConfig } from "@breakwater/core"
import { Catalog } from "@breakwater/providers"
import * as Duration_ from "effect/Duration"
import * as Schema from "effect/Schema"

const Name = Schema.String.check(Schema.isPattern(/^[A-Za-z0-9][\w.-]{0,63}$/u))
const Text = Schema.String.check(Schema.isMinLength(1))
const whole = (min: number, max: number) => Schema.Int.check(Schema.isBetween({ minimum: min, maximum: max }))
const between = (min: number, max: number) => Schema.Finite.check(Schema.isBetween({ minimum: min, maximum: max }))

/** `500ms`, `30s`, `2m`, `1h`; a number is seconds. */
const Duration = Schema.Union([
  Schema.String.check(
    Schema.makeFilter(
      (text: string) => LLMConfig.parseDuration(text) !== undefined || "it must be a duration such as 500ms, 30s or 2m"
    )
  ),
  between(0.001, 86_400)
])

/** A text, or the name of the environment variable that holds it. */
const Secret = Schema.Union([Text, Schema.Struct({ env: Text })])
export type Secret = typeof Secret.Type

const Provider = Schema.Struct({
  type: Schema.Literals(Catalog.names as [Catalog.Name, ...Array<Catalog.Name>]),
  baseUrl: Schema.optionalKey(Text),
  apiKey: Schema.optionalKey(Schema.Union([Secret, Schema.Array(Secret)])),
  /** Names that `/v1/models` lists and that may be asked for without the provider in front. */
  models: Schema.optionalKey(Schema.Array(Text))
})

const Timeouts = Schema.Struct({
  firstToken: Schema.optionalKey(Duration),
  idle: Schema.optionalKey(Duration),
  attempt: Schema.optionalKey(Duration),
  total: Schema.optionalKey(Duration)
})

const Backoff = Schema.Struct({
  base: Schema.optionalKey(Duration),
  factor: Schema.optionalKey(between(1, 100)),
  cap: Schema.optionalKey(Duration)
})

const Breaker = Schema.Struct({
  window: Schema.optionalKey(Duration),
  failureRate: Schema.optionalKey(between(0.001, 1)),
  minimumCalls: Schema.optionalKey(whole(1, 1_000_000)),
  openFor: Schema.optionalKey(Duration),
  maxOpenFor: Schema.optionalKey(Duration),
  probes: Schema.optionalKey(whole(1, 1_000))
})

const Quota = Schema.Struct({
  rpm: Schema.optionalKey(whole(1, 1_000_000_000)),
  tpm: Schema.optionalKey(whole(1, 1_000_000_000_000)),
  maxWait: Schema.optionalKey(Duration)
})

const Bulkhead = Schema.Struct({
  limit: Schema.optionalKey(whole(1, 1_000_000)),
  maxQueue: Schema.optionalKey(whole(0, 1_000_000)),
  maxWait: Schema.optionalKey(Duration)
})

const Off = Schema.Literal(false)

const policyFields = {
  retries: Schema.optionalKey(whole(0, 100)),
  backoff: Schema.optionalKey(Backoff),
  timeouts: Schema.optionalKey(Timeouts),
  maxAttempts: Schema.optionalKey(whole(1, 1_000)),
  streamPolicy: Schema.optionalKey(Schema.Literals(["fail", "continue", "buffer"])),
  strict: Schema.optionalKey(Schema.Boolean),
  breaker: Schema.optionalKey(Schema.Union([Off, Breaker])),
  quota: Schema.optionalKey(Schema.Union([Off, Quota])),
  bulkhead: Schema.optionalKey(Schema.Union([Off, Bulkhead]))
}

const Policy = Schema.Struct(policyFields)
export type Policy = typeof Policy.Type

const Target = Schema.Union([
  Text,
  Schema.Struct({ target: Text, weight: Schema.optionalKey(between(0.001, 1_000_000)) })
])

const Route = Schema.Struct({
  targets: Schema.Array(Target).check(Schema.isMinLength(1)),
  /** `priority`: as listed. `weighted`: the first by chance, the rest as listed. */
  order: Schema.optionalKey(Schema.Literals(["priority", "weighted"])),
  ...policyFields
})
export type Route = typeof Route.Type

const Window = Schema.Struct({ limit: whole(1, 1_000_000_000), window: Duration })
const Scope = Schema.Literals(["chat", "embeddings", "models", "metrics", "admin"])
export type Scope = typeof Scope.Type

const Grants = {
  tenant: Schema.optionalKey(Text),
  user: Schema.optionalKey(Text),
  project: Schema.optionalKey(Text),
  tier: Schema.optionalKey(Text),
  scopes: Schema.optionalKey(Schema.Array(Scope)),
  /** Models, aliases and routes that may be asked for; a `*` at the end stands for anything. Default: all. */
  models: Schema.optionalKey(Schema.Array(Text))
}

/** A key as it is kept: its SHA-256 in hexadecimal, never the key. */
export const StoredKey = Schema.Struct({
  id: Name,
  hash: Schema.String.check(Schema.isPattern(/^[0-9a-f]{64}$/u)),
  /** When it ends, as a date of ISO 8601. */
  expires: Schema.optionalKey(
    Schema.String.check(Schema.makeFilter((text: string) => !Number.isNaN(Date.parse(text)) || "it must be a date"))
  ),
  revoked: Schema.optionalKey(Schema.Boolean),
  created: Schema.optionalKey(Schema.String),
  ...Grants
})
export type StoredKey = typeof StoredKey.Type

/** The file that `breakwater keys` writes. */
export const KeysFile = Schema.Struct({ keys: Schema.Array(StoredKey) })

const Algorithm = Schema.Literals(["HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "ES256", "ES384", "ES512"])

const Jwt = Schema.Struct({
  algorithms: Schema.Array(Algorithm).check(Schema.isMinLength(1)),
  jwksUrl: Schema.optionalKey(Text),
  secret: Schema.optionalKey(Secret),
  issuer: Schema.optionalKey(Text),
  audience: Schema.optionalKey(Text),
  clockSkew: Schema.optionalKey(Duration),
  /** Names of claims. */
  claims: Schema.optionalKey(
    Schema.Struct({
      tenant: Schema.optionalKey(Text),
      user: Schema.optionalKey(Text),
      tier: Schema.optionalKey(Text),
      scopes: Schema.optionalKey(Text)
    })
  )
})
export type JwtConfig = typeof Jwt.Type

const Auth = Schema.Struct({
  keys: Schema.optionalKey(Schema.Array(StoredKey)),
  /** A file of keys, relative to the configuration. It is read again with the configuration. */
  keysFile: Schema.optionalKey(Text),
  jwt: Schema.optionalKey(Jwt)
})
export type AuthConfig = typeof Auth.Type

const Limits = Schema.Struct({
  /** Bytes of a body. */
  bodyBytes: Schema.optionalKey(whole(1_024, 1_073_741_824)),
  /** Bytes of all headers of a request. */
  headerBytes: Schema.optionalKey(whole(1_024, 1_048_576)),
  /** How deep a body may be nested. */
  depth: Schema.optionalKey(whole(4, 1_000)),
  /** Requests under way; more are turned away with 503. */
  concurrency: Schema.optionalKey(whole(1, 1_000_000)),
  connections: Schema.optionalKey(whole(1, 1_000_000)),
  /** Until headers and body have arrived. */
  requestTimeout: Schema.optionalKey(Duration),
  /** How long a client may take to read what waits for it. */
  writeTimeout: Schema.optionalKey(Duration),
  keepAlive: Schema.optionalKey(Duration),
  /** How long a shutdown waits for the requests under way. */
  shutdown: Schema.optionalKey(Duration)
})

/** Dollars for a million tokens. */
const Price = Schema.Struct({ input: Text, output: Text, cachedInput: Schema.optionalKey(Text) })

const BudgetLimit = Schema.Struct({
  scope: Schema.Literals(["global", "tenant", "user", "project", "key", "tag"]),
  period: Schema.Literals(["hour", "day", "week", "month"]),
  /** Dollars. */
  limit: Text
})

/** The configuration as it is written. */
export const GatewayConfig = Schema.Struct({
  $schema: Schema.optionalKey(Schema.String),
  providers: Schema.Record(Name, Provider),
  /** Other names of targets: `{ "fast": "p/small-model" }`. */
  aliases: Schema.optionalKey(Schema.Record(Text, Text)),
  routes: Schema.optionalKey(Schema.Record(Name, Route)),
  /** What `auto` stands for: a route, an alias or a target. Default: the first route. */
  defaultRoute: Schema.optionalKey(Text),
  /** Policies of everything that does not set its own. */
  defaults: Schema.optionalKey(Policy),
  cache: Schema.optionalKey(
    Schema.Struct({ ttl: Schema.optionalKey(Duration), maxBytes: Schema.optionalKey(whole(1, 1_099_511_627_776)) })
  ),
  /** Answers say what they cost. Prices are the published ones; `overrides` go before them. */
  prices: Schema.optionalKey(
    Schema.Struct({
      overrides: Schema.optionalKey(Schema.Record(Text, Price)),
      free: Schema.optionalKey(Schema.Array(Text))
    })
  ),
  budgets: Schema.optionalKey(Schema.Array(BudgetLimit).check(Schema.isMinLength(1))),
  /** What several gateways share: limits, circuits, quotas and the cache on Redis, budgets on PostgreSQL. */
  stores: Schema.optionalKey(
    Schema.Struct({
      redis: Schema.optionalKey(Secret),
      postgres: Schema.optionalKey(Secret),
      prefix: Schema.optionalKey(Text)
    })
  ),
  auth: Schema.optionalKey(Auth),
  tiers: Schema.optionalKey(Schema.Record(Name, Schema.Array(Window).check(Schema.isMinLength(1)))),
  defaultTier: Schema.optionalKey(Text),
  cors: Schema.optionalKey(Schema.Struct({ origins: Schema.Array(Text) })),
  tls: Schema.optionalKey(Schema.Struct({ cert: Text, key: Text })),
  limits: Schema.optionalKey(Limits),
  http: Schema.optionalKey(
    Schema.Struct({ connections: Schema.optionalKey(whole(1, 65_536)), connectTimeout: Schema.optionalKey(Duration) })
  )
})
export type GatewayConfig = typeof GatewayConfig.Type

/** Milliseconds of a duration that was checked. */
export const millisOf = (value: string | number): number => {
  if (typeof value === "number") return value * 1_000
  return Duration_.toMillis(LLMConfig.parseDuration(value) ?? Duration_.zero)
}

/** The JSON schema of a configuration, for editors. */
export const jsonSchema = (): object => {
  const { definitions, schema } = Schema.toJsonSchemaDocument(GatewayConfig)
  return {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    title: "Configuration of a Breakwater gateway",
    ...schema,
    ...(Object.keys(definitions).length === 0 ? {} : { $defs: definitions })
  }
}
