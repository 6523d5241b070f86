/** `GET /admin/alerts`: the rules and how they stand, what fires, and the last incidents. */
import * as Effect from "effect/Effect"
import type { Exchange } from "../internal/Exchange.ts"
import { type Problem, problem } from "../internal/Problem.ts"
import { jsonOf } from "./Standing.ts"

const none = problem("not-found", "There are no alerts: the configuration's field alerts turns them on.", {
  code: "not_found"
})

export const alerts = (exchange: Exchange): Effect.Effect<void, Problem> =>
  Effect.gen(function* () {
    const { alerts } = exchange.engine
    if (alerts === undefined) return yield* Effect.fail(none)
    return yield* exchange.send(200, jsonOf(yield* alerts.snapshot))
  })
