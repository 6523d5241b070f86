/** Headers for pages of other origins. */
import type { Exchange } from "./Exchange.ts"

const none: Readonly<Record<string, string>> = {}

const exposed =
  "x-request-id, retry-after, x-breakwater-target, x-breakwater-attempts, x-breakwater-cache, x-breakwater-cost, x-breakwater-failures, " +
  "x-breakwater-saved, x-breakwater-budget-remaining, x-breakwater-budget-warning, x-ratelimit-limit-requests, " +
  "x-ratelimit-remaining-requests, x-ratelimit-limit-tokens, x-ratelimit-remaining-tokens"

/** Only origins that the configuration names; `*` names all. */
export const corsHeaders = (exchange: Exchange): Readonly<Record<string, string>> => {
  const { origins } = exchange.settings
  const origin = exchange.header("origin")
  if (origins.length === 0 || origin === undefined) return none
  const any = origins.includes("*")
  if (!any && !origins.includes(origin)) return { vary: "origin" }
  const headers = {
    "access-control-allow-origin": any ? "*" : origin,
    "access-control-expose-headers": exposed,
    ...(any ? {} : { vary: "origin" })
  }
  if (exchange.req.method !== "OPTIONS") return headers
  return {
    ...headers,
    "access-control-allow-methods": "GET, POST, OPTIONS",
    "access-control-allow-headers":
      exchange.header("access-control-request-headers") ?? "authorization, content-type, x-api-key",
    "access-control-max-age": "600"
  }
}
