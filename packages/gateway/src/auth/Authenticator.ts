/** From the headers of a request to its caller: an API key, or a token. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { IncomingHttpHeaders } from "node:http"
import type { ConfigurationError } from "../config/Load.ts"
import type { AuthConfig } from "../config/Schema.ts"
import { type Problem, problem } from "../internal/Problem.ts"
import { ApiKeys } from "./ApiKeys.ts"
import * as Jwt from "./Jwt.ts"
import { anonymous, type Principal } from "./Permissions.ts"

export interface Authenticator {
  readonly authenticate: (headers: IncomingHttpHeaders) => Effect.Effect<Principal, Problem>
}

const open: Authenticator = { authenticate: () => Effect.succeed(anonymous) }

const maxCredential = 16_384

/** What was presented: OpenAI's clients send a bearer token, Anthropic's a header of its own. */
const credentialOf = (headers: IncomingHttpHeaders): string | undefined => {
  const apiKey = headers["x-api-key"]
  if (typeof apiKey === "string" && apiKey.length > 0) return apiKey
  return /^Bearer +(\S+)$/i.exec(headers.authorization ?? "")?.[1]
}

const refusal = (message: string, error: string): Problem =>
  problem("unauthenticated", message, { headers: { "www-authenticate": `Bearer realm="breakwater"${error}` } })

const missing = refusal("There is no API key: send it as Authorization: Bearer KEY, or as x-api-key.", "")
const invalid = refusal("The API key is not valid.", ', error="invalid_token"')
const expired = refusal("The API key has expired.", ', error="invalid_token"')

const looksLikeJwt = (credential: string): boolean => credential.split(".").length === 3

/** Makes the check of a configuration; without one everybody is let in as `anonymous`. */
export const make = (config: AuthConfig | undefined): Effect.Effect<Authenticator, ConfigurationError> =>
  Effect.gen(function* () {
    if (config === undefined) return open
    const keys = new ApiKeys(config.keys ?? [])
    const jwt = config.jwt === undefined ? undefined : yield* Jwt.make(config.jwt)
    return {
      authenticate: (headers) => {
        const credential = credentialOf(headers)
        if (credential === undefined) return Effect.fail(missing)
        if (credential.length > maxCredential) return Effect.fail(invalid)
        if (jwt !== undefined && looksLikeJwt(credential)) return jwt.verify(credential)
        return Effect.flatMap(Clock.currentTimeMillis, (nowMs) => {
          const found = keys.find(credential, nowMs)
          if (found === undefined) return Effect.fail(invalid)
          return found === "expired" ? Effect.fail(expired) : Effect.succeed(found)
        })
      }
    }
  })
