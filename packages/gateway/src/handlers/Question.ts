/** The question of `ready.ask`: four tokens of a model, now and then, within a budget of its own. */
import { Money } from "@breakwater/core"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { CurrentCaller } from "../config/build/Caller.ts"
import { isPriced } from "../config/build/Money.ts"
import type { Engine } from "../config/Build.ts"
import { defaults } from "../config/Defaults.ts"
import { millisOf } from "../config/Schema.ts"

/** How the model answered last. */
export interface Asked {
  readonly model: string
  /** `null` while the budget of the day is spent, and there is no answer to go by. */
  readonly ok: boolean | null
  readonly at: number
  readonly tookMs?: number
  readonly error?: string
}

const dayOf = (nowMs: number): number => Math.floor(nowMs / 86_400_000)

const question = (engine: Engine, model: string): Effect.Effect<Asked> =>
  Effect.gen(function* () {
    const { purse } = engine
    const at = yield* Clock.currentTimeMillis
    if (purse.day !== dayOf(at)) Object.assign(purse, { day: dayOf(at), spent: 0n })
    const { budget = defaults.askBudget, timeout = defaults.askTimeout } = engine.config.ready ?? {}
    const left = (Money.parse(budget) ?? 0n) - purse.spent
    const atMost = isPriced(engine.config) ? left : undefined
    if (left <= 0n) return { model, ok: null, at }
    const resolved = engine.resolve(model)
    if (resolved === undefined) return { model, ok: false, at, error: "NotFound" }
    const [first = model, ...fallbacks] = resolved.targets
    return yield* resolved.llm
      .generate({
        model: first,
        fallbacks,
        prompt: "Answer with the word: ready",
        maxTokens: 4,
        timeout: Duration.millis(millisOf(timeout)),
        cache: { noCache: true, noStore: true },
        context: { tenant: "breakwater-ready", key: "breakwater-ready", tags: ["readiness"] }
      })
      .pipe(
        Effect.provideService(CurrentCaller, { atMost }),
        Effect.match({
          onFailure: (error) => ({ ok: error._tag === "BudgetExceededError" ? null : false, error: error._tag }),
          onSuccess: ({ cost }) => {
            purse.spent += cost?.nanoDollars ?? 0n
            return { ok: true }
          }
        }),
        Effect.flatMap((outcome) =>
          Effect.map(Clock.currentTimeMillis, (nowMs) => ({ model, at, tookMs: nowMs - at, ...outcome }))
        )
      )
  })

const known = new WeakMap<Engine, Effect.Effect<Asked>>()

/** What the model of `ready.ask` said, at most as old as `ready.every`; `undefined` where none is to be asked. */
export const askedOf = (engine: Engine): Effect.Effect<Asked | undefined> =>
  Effect.gen(function* () {
    const { ask, every = defaults.askEvery } = engine.config.ready ?? {}
    if (ask === undefined) return undefined
    const asking =
      known.get(engine) ?? (yield* Effect.cachedWithTTL(question(engine, ask), Duration.millis(millisOf(every))))
    known.set(engine, asking)
    return yield* asking
  })
