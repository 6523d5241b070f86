/** `GET /admin/requests`, and one of them. */
import * as Effect from "effect/Effect"
import type { Exchange } from "../internal/Exchange.ts"
import { type Problem, problem, wrong } from "../internal/Problem.ts"
import { capacity, type Filter, type RecentRequests } from "../internal/RecentRequests.ts"

const outcomes = new Set(["success", "failure", "interrupted"])

const filterOf = (query: URLSearchParams): Filter | Problem => {
  const limit = query.get("limit") ?? "50"
  const outcome = query.get("outcome") ?? undefined
  if (!/^[1-9]\d{0,3}$/.test(limit)) return wrong("limit", "it must be a whole number from 1 to 9999")
  if (outcome !== undefined && !outcomes.has(outcome)) return wrong("outcome", [...outcomes].join(", "))
  return { limit: Math.min(Number(limit), capacity), outcome }
}

/** The last requests, newest first. */
export const recentRequests =
  (recent: RecentRequests) =>
  (exchange: Exchange): Effect.Effect<void, Problem> =>
    Effect.suspend(() => {
      const filter = filterOf(exchange.query)
      return "_tag" in filter ? Effect.fail(filter) : exchange.json(200, { requests: recent.list(filter) })
    })

const prefix = "/admin/requests/"

const decoded = (text: string): string | undefined => {
  try {
    return decodeURIComponent(text)
  } catch {
    return undefined
  }
}

export const recentRequest =
  (recent: RecentRequests) =>
  (exchange: Exchange): Effect.Effect<void, Problem> =>
    Effect.suspend(() => {
      const id = decoded(exchange.path.slice(prefix.length))
      const found = id === undefined ? undefined : recent.find(id)
      return found === undefined
        ? Effect.fail(problem("not-found", "That request is not among the last ones.", { code: "not_found" }))
        : exchange.json(200, found)
    })
