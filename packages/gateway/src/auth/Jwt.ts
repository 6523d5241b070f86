/**
 * JSON web tokens, verified by `jose`: algorithms pinned, signature, `exp`, `nbf`, `aud` and `iss` checked. An accepted
 * token is remembered by its hash until it expires, for five minutes at most: its issuer may have withdrawn the key.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { createRemoteJWKSet, errors, type JWTPayload, jwtVerify, type JWTVerifyGetKey } from "jose"
import { createHash } from "node:crypto"
import { defaults } from "../config/Defaults.ts"
import { ConfigurationError, secretOf } from "../config/Load.ts"
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

/** Whether it was the keys that could not be read: nobody knows then whether the token is good. */
const isUnread = (error: unknown): boolean =>
  error instanceof errors.JWKSTimeout ||
  error instanceof errors.JWKSInvalid ||
  // An answer that is no set of keys.
  (error instanceof errors.JOSEError && error.code === "ERR_JOSE_GENERIC") ||
  (error instanceof TypeError && /fetch/.test(error.message))

const reasonOf = (error: unknown): Problem => {
  if (error instanceof errors.JWTExpired) return refusal("The token has expired.")
  if (error instanceof errors.JWTClaimValidationFailed) return refusal(`The token's ${error.claim} is not accepted.`)
  if (error instanceof errors.JOSEAlgNotAllowed) return refusal("The token's algorithm is not accepted.")
  if (isUnread(error)) {
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
    // Encoded, so that no tenant and user together look like another two.
    id: `jwt:${encodeURIComponent(tenant.toWellFormed())}:${user === undefined ? "anonymous" : encodeURIComponent(user.toWellFormed())}`,
    tenant,
    scopes: scopesOf(payload, claims.scopes),
    ...(user === undefined ? {} : { user }),
    ...(project === undefined ? {} : { project }),
    ...(tier === undefined ? {} : { tier })
  }
}

const refused = (path: string, message: string): ConfigurationError =>
  new ConfigurationError({ message: `${path}: ${message}`, issues: [`${path}: ${message}`] })

/** Fails without showing the address: it may hold a password. */
const keysAt = (text: string): Effect.Effect<URL, ConfigurationError> => {
  const url = URL.canParse(text) ? new URL(text) : undefined
  return url !== undefined && /^https?:$/.test(url.protocol)
    ? Effect.succeed(url)
    : Effect.fail(refused("auth.jwt.jwksUrl", "it must be an http or https URL"))
}

/** A secret is as long as the hash it is used with, or longer (RFC 7518, 3.2). */
const leastSecret = ({ algorithms }: JwtConfig): number =>
  Math.max(...algorithms.map((name) => Number(name.slice(2)) / 8))

/** Makes a verifier. Fails if the secret is not there, or too short. */
export const make = (config: JwtConfig): Effect.Effect<Verifier, ConfigurationError> =>
  Effect.gen(function* () {
    const secret = config.secret === undefined ? undefined : yield* secretOf(config.secret, "auth.jwt.secret")
    const remote =
      config.jwksUrl === undefined
        ? undefined
        : createRemoteJWKSet(yield* keysAt(config.jwksUrl), {
            timeoutDuration: 5_000,
            cooldownDuration: cooldownMs,
            cacheMaxAge: keysMs
          })
    if (secret !== undefined && Buffer.byteLength(Redacted.value(secret)) < leastSecret(config)) {
      return yield* Effect.fail(refused("auth.jwt.secret", `it must have at least ${leastSecret(config)} bytes`))
    }
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
