/** `GET /admin/budgets` and `GET /admin/limits`. */
import * as Effect from "effect/Effect"
import type { Exchange } from "../internal/Exchange.ts"
import { type Problem, problem } from "../internal/Problem.ts"
import { accountsOf, bulkheadsOf, jsonOf, quotasOf } from "./Standing.ts"

const away = problem("overloaded", "The store of budgets does not answer.", { retryAfterMs: 5_000 })

/** Every account in which something stands, in the limits in force. */
export const budgets = (exchange: Exchange): Effect.Effect<void, Problem> =>
  Effect.flatMap(accountsOf(exchange.engine), (found) =>
    found === undefined ? Effect.fail(away) : exchange.send(200, jsonOf({ budgets: found }))
  )

/** What keys have left of their tiers, targets of their quotas, and bulkheads of their slots. */
export const limits = (exchange: Exchange): Effect.Effect<void> =>
  Effect.gen(function* () {
    const { engine } = exchange
    const body = {
      limits: yield* engine.tiers.standings,
      quotas: yield* quotasOf(engine),
      bulkheads: yield* bulkheadsOf(engine)
    }
    return yield* exchange.send(200, jsonOf(body))
  })
