/** Administration: what the policies know, the configuration in force, and breakers by hand. Needs the scope `admin`. */
import { type CircuitBreaker, Summary } from "@breakwater/core"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { Engine } from "../config/Build.ts"
import { readJson } from "../internal/Body.ts"
import type { Exchange } from "../internal/Exchange.ts"
import { defined, maybeText, reading, text } from "../internal/Fields.ts"
import { isProblem, type Problem, problem, wrong } from "../internal/Problem.ts"
import { version } from "../internal/Version.ts"
import { providersOf, storesOf } from "./Health.ts"
import { accountsOf, breakersOf, bulkheadsOf, jsonOf, quotasOf, routesOf } from "./Standing.ts"

const secretNames = new Set(["apiKey", "secret", "hash", "redis", "postgres", "url"])

/** `keys` are a text where they are keys themselves, and a list where they are hashes. */
const isSecret = (name: string, value: unknown): boolean =>
  secretNames.has(name) || (name === "keys" && !Array.isArray(value))

/** An address without its password, and without what stands behind its path. */
const withoutCredentials = (text: string): string => {
  if (!/^[a-z][a-z0-9+.-]*:\/\//i.test(text)) return text
  return text.replace(/^([^:]+:\/\/)[^/?#]*@/, "$1***@").replace(/[?#].*$/s, "?***")
}

/** A copy without secrets: names of variables stay, values go. */
export const masked = (value: unknown, name = ""): unknown => {
  if (Array.isArray(value)) return value.map((each) => masked(each, name))
  if (typeof value === "object" && value !== null) {
    return Object.fromEntries(
      Object.entries(value).map(([key, each]) => [
        key,
        masked(each, isSecret(key, each) ? "secret" : secretNames.has(name) && key === "env" ? "" : name)
      ])
    )
  }
  if (typeof value !== "string") return value
  return secretNames.has(name) ? "***" : withoutCredentials(value)
}

/** What only the server knows. */
export interface ServerState {
  readonly inFlight: () => number
  readonly connections: () => number
  readonly served: () => number
  readonly shed: () => number
}

const serverOf = (server: ServerState, sinceAt: number | undefined, nowMs: number) => ({
  inFlight: server.inFlight(),
  connections: server.connections(),
  served: server.served(),
  shed: server.shed(),
  ...(sinceAt === undefined ? {} : { uptimeMs: nowMs - sinceAt })
})

/** The body of `/admin/snapshot`. With `mergeable`, the summary is such that several gateways' can be added up. */
export const snapshotText =
  (server: ServerState) =>
  (engine: Engine, mergeable = false): Effect.Effect<string> =>
    Effect.gen(function* () {
      const summary = Option.getOrUndefined(yield* Effect.serviceOption(Summary.Summary))
      const now = yield* Clock.currentTimeMillis
      const view = summary === undefined ? undefined : yield* mergeable ? summary.state : summary.snapshot
      const [providers, stores] = yield* Effect.all([providersOf(engine), storesOf(engine)], { concurrency: 2 })
      const cache = Option.getOrNull(yield* Effect.option(engine.cache.stats))
      const similar = engine.semanticCache === undefined ? null : yield* engine.semanticCache.stats
      return jsonOf({
        at: now,
        version,
        server: serverOf(server, view?.sinceAt, now),
        summary: view ?? null,
        providers,
        stores,
        breakers: yield* breakersOf(engine),
        bulkheads: yield* bulkheadsOf(engine),
        quotas: yield* quotasOf(engine),
        limits: yield* engine.tiers.standings,
        budgets: (yield* accountsOf(engine)) ?? [],
        cache: engine.config.cache === undefined ? null : cache,
        semanticCache: similar,
        routes: routesOf(engine)
      })
    })

export const snapshot =
  (server: ServerState) =>
  (exchange: Exchange): Effect.Effect<void, Problem> =>
    Effect.suspend(() => {
      const mergeable = exchange.query.get("mergeable") ?? "false"
      if (mergeable !== "true" && mergeable !== "false") return Effect.fail(wrong("mergeable", "true or false"))
      return Effect.flatMap(snapshotText(server)(exchange.engine, mergeable === "true"), (text) =>
        exchange.send(200, text)
      )
    })

export const config = (exchange: Exchange): Effect.Effect<void> => exchange.json(200, masked(exchange.engine.config))

export const breakers = (exchange: Exchange): Effect.Effect<void> =>
  Effect.flatMap(breakersOf(exchange.engine), (all) => exchange.send(200, jsonOf({ breakers: all })))

/** Holds that were set by hand, so that they can be given back. */
const holds = new WeakMap<CircuitBreaker.CircuitBreakerService, Map<string, CircuitBreaker.Release>>()

const release = (breaker: CircuitBreaker.CircuitBreakerService, key: string): Effect.Effect<void> =>
  Effect.suspend(() => {
    const held = holds.get(breaker)?.get(key)
    holds.get(breaker)?.delete(key)
    return held ?? Effect.void
  })

const hold = (
  breaker: CircuitBreaker.CircuitBreakerService,
  key: string,
  taking: Effect.Effect<CircuitBreaker.Release>
) =>
  Effect.flatMap(Effect.andThen(release(breaker, key), taking), (given) =>
    Effect.sync(() => {
      const known = holds.get(breaker) ?? new Map<string, CircuitBreaker.Release>()
      holds.set(breaker, known.set(key, given))
    })
  )

const apply = (
  breaker: CircuitBreaker.CircuitBreakerService,
  action: string,
  key: string
): Effect.Effect<void, Problem> => {
  switch (action) {
    case "reset":
      return Effect.andThen(release(breaker, key), breaker.reset(key))
    case "force-open":
      return hold(breaker, key, breaker.forceOpen(key))
    case "force-closed":
      return hold(breaker, key, breaker.forceClosed(key))
    case "disable":
      return hold(breaker, key, breaker.disable(key))
    case "release":
      return release(breaker, key)
    default:
      return Effect.fail(wrong("action", "it must be reset, force-open, force-closed, disable or release"))
  }
}

/** What is done by hand goes into the audit log, where there is one. */
const recorded = (
  { engine, principal, requestId }: Exchange,
  action: string,
  targets: ReadonlyArray<string>,
  details: string
): Effect.Effect<void> => {
  const { id, tenant, user } = principal!
  const actor = { tenant, key: id, ...(user === undefined ? {} : { user }) }
  return engine.audit?.offer({ action, actor, targets, requestId, outcome: "success", details }) ?? Effect.void
}

/** `POST /admin/breakers` with `{ "key": "provider/model", "action": "reset", "route": "default" }`. */
export const changeBreaker = (exchange: Exchange): Effect.Effect<void, Problem> =>
  Effect.flatMap(readJson(exchange), (body) => {
    const asked = reading(() => ({
      key: text(body["key"], "key"),
      action: text(body["action"], "action"),
      ...defined({ route: maybeText(body["route"], "route") })
    }))
    if (isProblem(asked)) return Effect.fail(asked)
    const breaker = exchange.engine.breakers.get(asked.route ?? "default")
    if (breaker === undefined)
      return Effect.fail(problem("not-found", "There is no route with a breaker of that name."))
    return Effect.flatMap(
      Effect.andThen(
        Effect.tap(apply(breaker, asked.action, asked.key), () =>
          recorded(exchange, "circuit-changed-by-hand", [asked.key], asked.action)
        ),
        breaker.snapshot(asked.key)
      ),
      (after) => exchange.json(200, after)
    )
  })
