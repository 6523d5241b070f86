/** `GET /v1/models` and `GET /v1/models/ID`: routes, aliases, and the models that the configuration lists. */
import * as Effect from "effect/Effect"
import { mayUse } from "../auth/Permissions.ts"
import type { Exchange } from "../internal/Exchange.ts"
import { type Problem, problem } from "../internal/Problem.ts"

const entry = ({ id, ownedBy }: { readonly id: string; readonly ownedBy: string }) => ({
  id,
  object: "model",
  type: "model",
  display_name: id,
  created: 0,
  created_at: "1970-01-01T00:00:00Z",
  owned_by: ownedBy
})

const decoded = (text: string): string => {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

export const models = (exchange: Exchange): Effect.Effect<void, Problem> =>
  Effect.suspend(() => {
    const all = exchange.engine.models.filter(({ id }) => mayUse(exchange.principal!, id))
    const data = all.map(entry)
    const ends = { first_id: data[0]?.id ?? null, last_id: data.at(-1)?.id ?? null, has_more: false }
    return exchange.json(200, { object: "list", data, ...ends })
  })

export const model = (exchange: Exchange): Effect.Effect<void, Problem> =>
  Effect.suspend(() => {
    const id = decoded(exchange.path.slice("/v1/models/".length))
    const found = mayUse(exchange.principal!, id) ? exchange.engine.models.find((each) => each.id === id) : undefined
    if (found !== undefined) return exchange.json(200, entry(found))
    return Effect.fail(
      problem("not-found", `The model ${JSON.stringify(id.slice(0, 100))} does not exist.`, {
        code: "model_not_found",
        param: "model"
      })
    )
  })
