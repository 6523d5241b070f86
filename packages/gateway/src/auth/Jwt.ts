/**
 * JSON web tokens, verified by `jose`: algorithms pinned, signature, `exp`, `nbf`, `aud` and `iss` checked. An accepted
 * token is remembered by its hash until it expires, for five minutes at most: its issuer may have withdrawn the key.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { createRemoteJWKSet, errors, type JWTPayload, jwtVerify, type JWTVerifyGetKey } from "jose"
import { createHash } from "node:crypto"
import type { ConfigurationError } from "../config/Load.ts"
import { defaults } from "../config/Defaults.ts"
import { secretOf } from "../config/Load.ts"
import { type JwtConfig, millisOf, type Scope } from "../config/Schema.ts"
import { type Problem, problem } from "../internal/Problem.ts"
import { type Principal, usual } from "./Permissions.ts"

const maxRemembered = 10_000
const rememberedMs = 300_000
/** A token that names an unknown key has the keys read again, but not more often than this. */
const cooldownMs = 2_000
/** Keys are read again after this time even if all are known. */
const keysMs = 300_000
const known: ReadonlySet<string> = new Set<Scope>(["chat", "embeddings", "models", "metrics", "admin"])

/** Verifies tokens. */
export interface Verifier {
  readonly verify: (token: string) => Effect.Effect<Principal, Problem>
}

/** Why a token is not accepted, without its content. */
const refusal = (message: string): Problem =>
  problem("unauthenticated", message, {
    headers: { "www-authenticate": `Bearer error="invalid_token", error_description="${message}"` }
  })

const reasonOf = (error: unknown): Problem => {
  if (error instanceof errors.JWTExpired) return refusal("The token has expired.")
  if (error instanceof errors.JWTClaimValidationFailed) return refusal(`The token's ${error.claim} is not accepted.`)
  if (error instanceof errors.JOSEAlgNotAllowed) return refusal("The token's algorithm is not accepted.")
  if (error instanceof errors.JWKSTimeout || (error instanceof TypeError && /fetch/.test(error.message))) {
    return problem("overloaded", "The keys that tokens are checked with cannot be read.", { retryAfterMs: 5_000 })
  }
  return refusal("The token is not valid.")
}

const textClaim = (payload: JWTPayload, name: string): string | undefined => {
  const value = payload[name]
  return typeof value === "string" && value.length > 0 ? value : undefined
}

const scopesOf = (payload: JWTPayload, name: string): ReadonlySet<Scope> => {
  const value = payload[name]
  const given = typeof value === "string" ? value.split(" ") : Array.isArray(value) ? value.map(String) : undefined
  return new Set((given ?? usual).filter((scope): scope is Scope => known.has(scope)))
}

const principalOf = (payload: JWTPayload, config: JwtConfig): Principal => {
  const claims = { tenant: "tenant", user: "sub", project: "project", tier: "tier", scopes: "scope", ...config.claims }
  const user = textClaim(payload, claims.user)
  const project = textClaim(payload, claims.project)
  const tier = textClaim(payload, claims.tier)
  const tenant = textClaim(payload, claims.tenant) ?? "default"
  return {
    id: `jwt:${tenant}:${user ?? "anonymous"}`,
    tenant,
    scopes: scopesOf(payload, claims.scopes),
    ...(user === undefined ? {} : { user }),
    ...(project === undefined ? {} : { project }),
    ...(tier === undefined ? {} : { tier })
  }
}

/** Makes a verifier. Fails if the secret is not there. */
export const make = (config: JwtConfig): Effect.Effect<Verifier, ConfigurationError> =>
  Effect.gen(function* () {
    const secret = config.secret === undefined ? undefined : yield* secretOf(config.secret, "auth.jwt.secret")
    const remote =
      config.jwksUrl === undefined
        ? undefined
        : createRemoteJWKSet(new URL(config.jwksUrl), {
            timeoutDuration: 5_000,
            cooldownDuration: cooldownMs,
            cacheMaxAge: keysMs
          })
    const symmetric = secret === undefined ? undefined : new TextEncoder().encode(Redacted.value(secret))
    const key: JWTVerifyGetKey = (header, token) => (remote === undefined ? symmetric! : remote(header, token))
    const remembered = new Map<string, { readonly untilMs: number; readonly principal: Principal }>()
    const remember = (hash: string, payload: JWTPayload, principal: Principal, nowMs: number): Principal => {
      if (remembered.size >= maxRemembered) remembered.delete(remembered.keys().next().value!)
      const untilMs = Math.min((payload.exp ?? 0) * 1_000, nowMs + rememberedMs)
      remembered.set(hash, { untilMs, principal })
      return principal
    }
    const check = (token: string, hash: string, nowMs: number): Effect.Effect<Principal, Problem> =>
      Effect.map(
        Effect.tryPromise({
          try: () =>
            jwtVerify(token, key, {
              algorithms: [...config.algorithms],
              requiredClaims: ["exp"],
              clockTolerance: millisOf(config.clockSkew ?? defaults.clockSkew) / 1_000,
              currentDate: new Date(nowMs),
              ...(config.issuer === undefined ? {} : { issuer: config.issuer }),
              ...(config.audience === undefined ? {} : { audience: config.audience })
            }),
          catch: reasonOf
        }),
        ({ payload }) => remember(hash, payload, principalOf(payload, config), nowMs)
      )
    return {
      verify: (token) =>
        Effect.flatMap(Clock.currentTimeMillis, (nowMs) => {
          const hash = createHash("sha256").update(token).digest("base64")
          const hit = remembered.get(hash)
          return hit !== undefined && nowMs < hit.untilMs ? Effect.succeed(hit.principal) : check(token, hash, nowMs)
        })
    }
  })
