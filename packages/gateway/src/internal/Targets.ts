/** Whom a call is sent to: the model that was asked for, and the fallbacks of the request or of its route. */
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import { mayUse, type Principal } from "../auth/Permissions.ts"
import type { Engine, Resolved } from "../config/Build.ts"
import { type Problem, problem, wrong } from "./Problem.ts"

/** The service and the targets of a call. */
export interface Chosen {
  readonly llm: Resolved["llm"]
  readonly model: string
  readonly fallbacks: ReadonlyArray<string>
  readonly totalMs: number | undefined
}

const shown = (name: string): string => JSON.stringify(name.length > 100 ? `${name.slice(0, 100)}…` : name)

const unknown = (name: string): Problem =>
  problem("not-found", `The model ${shown(name)} does not exist, or you do not have access to it.`, {
    param: "model",
    code: "model_not_found"
  })

/** The index that a number from 0 to 1 falls on. */
export const weighted = (weights: ReadonlyArray<number>, at: number): number => {
  let rest = at * weights.reduce((sum, weight) => sum + weight, 0)
  for (let i = 0; i < weights.length; i++) {
    rest -= weights[i]!
    if (rest < 0) return i
  }
  return weights.length - 1
}

const ordered = ({ targets, weights }: Resolved): Effect.Effect<ReadonlyArray<string>> =>
  weights === undefined
    ? Effect.succeed(targets)
    : Effect.map(Random.next, (at) => {
        const first = weighted(weights, at)
        return [targets[first]!, ...targets.filter((_, i) => i !== first)]
      })

const maxFallbacks = 16

/** Looks up the names of a request. */
export const choose = (
  engine: Engine,
  principal: Principal,
  name: string,
  fallbacks: ReadonlyArray<string> = []
): Effect.Effect<Chosen, Problem> =>
  Effect.suspend(() => {
    if (fallbacks.length > maxFallbacks) return Effect.fail(wrong("fallbacks", `there are more than ${maxFallbacks}`))
    const first = mayUse(principal, name) ? engine.resolve(name) : undefined
    if (first === undefined) return Effect.fail(unknown(name))
    const more: Array<string> = []
    for (const each of fallbacks) {
      const next = mayUse(principal, each) ? engine.resolve(each) : undefined
      if (next === undefined) return Effect.fail({ ...unknown(each), param: "fallbacks" })
      more.push(...next.targets)
    }
    return Effect.map(ordered(first), ([model, ...rest]) => ({
      llm: first.llm,
      totalMs: first.totalMs,
      model: model!,
      fallbacks: [...new Set([...rest, ...more])].filter((each) => each !== model)
    }))
  })
