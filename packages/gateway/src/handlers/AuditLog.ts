/** `GET /admin/audit`: the last entries of the audit log, and whether they are as they were written. */
import type { Audit } from "@breakwater/audit"
import * as Effect from "effect/Effect"
import type { Exchange } from "../internal/Exchange.ts"
import { type Problem, problem, wrong } from "../internal/Problem.ts"
import { jsonOf } from "./Standing.ts"

type Query = NonNullable<Parameters<Audit.AuditService["entries"]>[0]>

const none = problem("not-found", "There is no audit log: the configuration's field audit turns it on.", {
  code: "not_found"
})
const unreadable = problem("overloaded", "The audit log cannot be read.", { retryAfterMs: 5_000 })

const outcomes = ["success", "failure", "interrupted", "refused"] as const
const texts = ["action", "tenant", "user", "key", "requestId", "flag"] as const

const queryOf = (given: URLSearchParams): Query | Problem => {
  const limit = given.get("limit") ?? "100"
  if (!/^[1-9]\d{0,3}$/.test(limit)) return wrong("limit", "it must be a whole number from 1 to 9999")
  const before = given.get("before")
  if (before !== null && !/^[1-9]\d{0,14}$/.test(before)) return wrong("before", "it must be the number of an entry")
  const wanted = given.get("outcome")
  const outcome = outcomes.find((each) => each === wanted)
  if (wanted !== null && outcome === undefined) return wrong("outcome", outcomes.join(", "))
  return {
    limit: Number(limit),
    ...(before === null ? {} : { before: Number(before) }),
    ...(outcome === undefined ? {} : { outcome }),
    ...Object.fromEntries(texts.flatMap((name) => (given.get(name) === null ? [] : [[name, given.get(name)]])))
  }
}

/** `?limit=100&action=request&key=alice`, newest first; `before` goes on where a page ended. */
export const audit = (exchange: Exchange): Effect.Effect<void, Problem> =>
  Effect.suspend(() => {
    const log = exchange.engine.audit
    if (log === undefined) return Effect.fail(none)
    const query = queryOf(exchange.query)
    if ("_tag" in query) return Effect.fail(query)
    return log.entries(query).pipe(
      Effect.mapError(() => unreadable),
      Effect.flatMap((page) => exchange.send(200, jsonOf(page)))
    )
  })
