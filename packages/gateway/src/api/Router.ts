/** From a method and a path to a handler, through the caller's permissions and limits. */
import * as Effect from "effect/Effect"
import * as Duration from "effect/Duration"
import { requireScope } from "../auth/Permissions.ts"
import type { HandlerError } from "../handlers/Answering.ts"
import type { Exchange } from "../internal/Exchange.ts"
import { type Problem, problem } from "../internal/Problem.ts"
import type { Route } from "./Routes.ts"

interface Found {
  readonly byMethod: ReadonlyMap<string, Route>
}

const notFound = problem("not-found", "There is nothing at this path.", { code: "not_found" })

/** Finds the routes of a path. */
export const finder = (routes: ReadonlyArray<Route>): ((path: string) => Found | undefined) => {
  const exact = new Map<string, Map<string, Route>>()
  const prefixed: Array<readonly [prefix: string, byMethod: Map<string, Route>]> = []
  for (const route of routes) {
    const byMethod = exact.get(route.path) ?? new Map<string, Route>()
    byMethod.set(route.method, route)
    if (route.method === "GET") byMethod.set("HEAD", route)
    exact.set(route.path, byMethod)
    if (route.path.endsWith("{id}")) prefixed.push([route.path.slice(0, -4), byMethod])
  }
  return (path) => {
    const byMethod =
      exact.get(path) ?? prefixed.find(([prefix]) => path.startsWith(prefix) && path.length > prefix.length)?.[1]
    return byMethod === undefined ? undefined : { byMethod }
  }
}

const tooMany = (retryAfter: Duration.Duration | undefined): Problem => {
  const known = retryAfter !== undefined && Duration.isFinite(retryAfter)
  const hint = known ? { retryAfterMs: Duration.toMillis(retryAfter) } : {}
  return problem("rate-limited", "You have sent too many requests; try again later.", hint)
}

const limit = (exchange: Exchange): Effect.Effect<void, HandlerError> => {
  const { engine, principal } = exchange
  if (engine.limiter === undefined || principal === undefined) return Effect.void
  const plan =
    principal.tier !== undefined && engine.config.tiers?.[principal.tier] !== undefined ? principal.tier : undefined
  return engine.limiter.consume(principal.id, plan === undefined ? 1 : { plan }).pipe(
    Effect.tap((decision) =>
      Effect.sync(() =>
        exchange.set({
          "x-ratelimit-limit-requests": String(decision.limit),
          "x-ratelimit-remaining-requests": String(Math.floor(decision.remaining))
        })
      )
    ),
    Effect.catchTag("RateLimitError", ({ retryAfter }) => Effect.fail(tooMany(retryAfter)))
  )
}

/** Answers a request, or fails with what is wrong with it. */
export const dispatch =
  (find: (path: string) => Found | undefined) =>
  (exchange: Exchange): Effect.Effect<void, HandlerError> =>
    Effect.suspend(() => {
      const found = find(exchange.path)
      if (found === undefined) return Effect.fail(notFound)
      const route = found.byMethod.get(exchange.req.method ?? "")
      if (route === undefined) {
        const allow = [...found.byMethod.keys()].join(", ")
        return Effect.fail(problem("method-not-allowed", `Only ${allow} can be used here.`, { headers: { allow } }))
      }
      const { scope } = route
      if (scope === undefined) return route.handler(exchange)
      return Effect.flatMap(exchange.engine.auth.authenticate(exchange.req.headers), (principal) => {
        exchange.principal = principal
        const denied = requireScope(principal, scope)
        if (denied !== undefined) return Effect.fail(denied)
        return route.limited ? Effect.andThen(limit(exchange), route.handler(exchange)) : route.handler(exchange)
      })
    })
