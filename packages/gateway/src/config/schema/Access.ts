/** Keys, tokens and tiers, as they are written. */
import * as Schema from "effect/Schema"
import { defaults } from "../Defaults.ts"
import { Duration, flag, Name, opt, Secret, Span, Text, whole } from "./Basics.ts"
import { TierBudget } from "./Money.ts"

export const Scope = Schema.Literals(["chat", "embeddings", "models", "metrics", "admin"])
export type Scope = typeof Scope.Type

const priorities = Schema.Literals(["interactive", "batch"])

const Grants = {
  tenant: opt(Text, "Whose cache, budgets and quotas it uses", "default"),
  user: opt(Text, "Goes before the header `x-breakwater-user`"),
  project: opt(Text, "Goes before the header `x-breakwater-project`"),
  tier: opt(Text, "One of `tiers`"),
  priority: opt(priorities, "Goes before the header `x-breakwater-priority`"),
  scopes: opt(Schema.Array(Scope), "What it may do; without it `chat`, `embeddings`, `models`"),
  models: opt(
    Schema.Array(Text),
    "Models, aliases and routes that may be asked for; a `*` at the end stands for anything"
  )
}

const DateText = Schema.Union([
  Schema.String.check(
    Schema.makeFilter((text: string) => !Number.isNaN(Date.parse(text)) || "it must be a date of ISO 8601")
  )
])

/** A key as it is kept: its SHA-256 in hexadecimal, never the key. */
export const StoredKey = Schema.Struct({
  id: Name.annotate({ description: "What it is called in limits, budgets and logs" }),
  hash: Schema.String.check(Schema.isPattern(/^[0-9a-f]{64}$/u)).annotate({ description: "SHA-256 of the key" }),
  expires: opt(DateText, "When it ends, as a date of ISO 8601"),
  revoked: opt(flag, "It is no good any more", false),
  created: opt(Schema.String, "When it was made"),
  ...Grants
})
export type StoredKey = typeof StoredKey.Type

/** The file that `breakwater keys` writes. */
export const KeysFile = Schema.Struct({ keys: Schema.Array(StoredKey) })

const Algorithm = Schema.Literals(["HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "ES256", "ES384", "ES512"])

const Jwt = Schema.Struct({
  algorithms: Schema.Array(Algorithm).check(Schema.isMinLength(1)).annotate({ description: "No others are accepted" }),
  jwksUrl: opt(Text, "Where the public keys are; read again when a token names one that is not known"),
  secret: opt(Secret, "Of HS algorithms"),
  issuer: opt(Text, "What `iss` must be"),
  audience: opt(Text, "What `aud` must hold"),
  clockSkew: opt(Duration, "By how much clocks may differ", defaults.clockSkew),
  claims: opt(
    Schema.Struct({
      tenant: Schema.optionalKey(Text),
      user: Schema.optionalKey(Text),
      project: Schema.optionalKey(Text),
      tier: Schema.optionalKey(Text),
      scopes: Schema.optionalKey(Text)
    }),
    "Names of claims; without them `tenant`, `sub`, `project`, `tier`, `scope`"
  )
})
export type JwtConfig = typeof Jwt.Type

export const Auth = Schema.Struct({
  keys: opt(Schema.Array(StoredKey), "Keys"),
  keysFile: opt(Text, "The file of `breakwater keys`, relative to this one; followed, too"),
  jwt: opt(Jwt, "Tokens that somebody else makes")
})
export type AuthConfig = typeof Auth.Type

const Window = Schema.Struct({
  limit: whole(1, 1_000_000_000_000),
  window: Span,
  algorithm: opt(
    Schema.Literals(["token-bucket", "gcra", "sliding-log", "sliding-counter", "fixed-window"]),
    "How it is counted",
    "token-bucket"
  )
})
const Windows = Schema.Array(Window).check(Schema.isMinLength(1))
export type Windows = typeof Windows.Type

/** Windows of requests alone, or all that a tier can bound. */
export const Tier = Schema.Union([
  Windows,
  Schema.Struct({
    requests: opt(Windows, "Requests of each key"),
    tokens: opt(Windows, "Tokens of each key: a guess is reserved, and what was used counts"),
    budgets: opt(
      Schema.Array(TierBudget).check(Schema.isMinLength(1)),
      "Money of each key; goes before a limit of `budgets` with the same scope and period"
    )
  })
])
export type Tier = typeof Tier.Type
