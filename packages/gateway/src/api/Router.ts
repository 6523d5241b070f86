/** From a method and a path to a handler, through the caller's permissions and limits. */
import { Event, Events, Money } from "@breakwater/core"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { anonymous, type Principal, requireScope } from "../auth/Permissions.ts"
import { CurrentCaller } from "../config/build/Caller.ts"
import { isPriced } from "../config/build/Money.ts"
import { CurrentMeter } from "../config/build/Tiers.ts"
import type { HandlerError } from "../handlers/Answering.ts"
import type { Exchange } from "../internal/Exchange.ts"
import { isProblem, type Problem, problem } from "../internal/Problem.ts"
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

/** Counts the request against the windows of its key. */
const limit = (exchange: Exchange, principal: Principal): Effect.Effect<void, HandlerError> =>
  exchange.engine.tiers.take(principal).pipe(
    Effect.map((decision) => {
      if (decision === undefined) return
      exchange.set({
        "x-ratelimit-limit-requests": String(decision.limit),
        "x-ratelimit-remaining-requests": String(Math.floor(decision.remaining))
      })
    }),
    Effect.catchTag("RateLimitError", ({ retryAfter }) => Effect.fail(tooMany(retryAfter)))
  )

const noPrices = problem("invalid-request", "The header x-breakwater-budget needs prices, and none are configured.", {
  param: "x-breakwater-budget"
})
const noAmount = problem(
  "invalid-request",
  "The header x-breakwater-budget must be an amount of dollars such as 0.05.",
  {
    param: "x-breakwater-budget"
  }
)

/** The most that the request may cost, by its header. */
const atMostOf = (exchange: Exchange): Money.NanoDollars | undefined | Problem => {
  const given = exchange.header("x-breakwater-budget")
  if (given === undefined) return undefined
  const amount = /^\$?\d{1,9}(?:\.\d{1,9})?$/.test(given) ? Money.parse(given) : undefined
  if (amount === undefined || amount <= 0n) return noAmount
  return isPriced(exchange.engine.config) ? amount : noPrices
}

/** Runs a handler with its caller in the context, and its tokens counted where the tier counts them. */
const asCaller = (
  exchange: Exchange,
  principal: Principal,
  handler: Route["handler"]
): Effect.Effect<void, HandlerError> => {
  const atMost = atMostOf(exchange)
  if (isProblem(atMost)) return Effect.fail(atMost)
  const { tiers } = exchange.engine
  const caller = { tier: tiers.of(principal), atMost }
  const meter = tiers.meter(principal, (headers) => exchange.set(headers))
  const { promptHash } = exchange.engine
  const called = Effect.provideService(handler(exchange), CurrentCaller, caller)
  const run = promptHash === undefined ? called : Effect.provideService(called, Event.PromptHash, promptHash)
  const { audit } = exchange.engine
  const heard = audit === undefined ? run : Events.listen(audit.listen)(run)
  if (meter === undefined) return heard
  return heard.pipe(
    Effect.provideService(CurrentMeter, meter),
    Events.listen(meter.note),
    Effect.ensuring(meter.settle)
  )
}

const loopback = /^(?:127\.\d{1,3}\.\d{1,3}\.\d{1,3}|::1|::ffff:127\.\d{1,3}\.\d{1,3}\.\d{1,3})$/
const loopbackHost = /^(?:localhost|127\.\d{1,3}\.\d{1,3}\.\d{1,3}|\[::1\])(?::\d{1,5})?$/i

/** Headers that proxies and networks in front of servers add. */
const ofProxies =
  /^(?:forwarded|via|x-forwarded-.+|x-real-ip|x-client-ip|x-cluster-client-ip|true-client-ip|cf-.+|fastly-.+|x-original-.+|x-envoy-.+)$/

/**
 * Without keys, whoever sits at this machine may administer it; a page of somebody else's in a browser on it may not, by
 * whatever name it calls this machine.
 */
const isHere = ({ req }: Exchange, principal: Principal): boolean => {
  if (principal !== anonymous || !loopback.test(req.socket.remoteAddress ?? "")) return false
  const { host = "", origin } = req.headers
  const site = req.headers["sec-fetch-site"] ?? "none"
  // A proxy on this machine passes on requests of others. Some tell nothing of themselves but the version they speak.
  if (req.httpVersion !== "1.1" || Object.keys(req.headers).some((name) => ofProxies.test(name))) return false
  if (site !== "none" && site !== "same-origin") return false
  return loopbackHost.test(host) && (origin === undefined || origin.replace(/^https?:\/\//, "") === host)
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
        const denied = scope === "admin" && isHere(exchange, principal) ? undefined : requireScope(principal, scope)
        if (denied !== undefined) return Effect.fail(denied)
        return route.limited
          ? Effect.andThen(limit(exchange, principal), asCaller(exchange, principal, route.handler))
          : route.handler(exchange)
      })
    })
