/** Runs remedies: one fiber for each that is in force, which takes it back whatever ends it. */
import * as Effect from "effect/Effect"
import * as FiberMap from "effect/FiberMap"
import type * as Scope from "effect/Scope"
import * as Remedy from "../Remedy.ts"
import type { Alert } from "./evaluator.ts"

/** What a remedy did. */
export type RemedyEvent =
  | { readonly type: "remedy-applied"; readonly remedy: string; readonly alert: string }
  | { readonly type: "remedy-taken-back"; readonly remedy: string; readonly alert: string }
  | { readonly type: "remedy-failed"; readonly remedy: string; readonly alert: string; readonly message: string }
  /** It was applied as often as it may be in an hour. */
  | { readonly type: "remedy-refused"; readonly remedy: string; readonly alert: string }

export interface Remedies {
  readonly add: (remedy: Remedy.Remedy) => void
  readonly remove: (remedy: Remedy.Remedy) => Effect.Effect<void>
  readonly apply: (alert: Alert, nowMs: number) => void
  readonly end: (alert: Alert) => void
}

const patience = "10 seconds"
const hourMs = 3_600_000

/** Remedies in force at once at most. */
const maxActive = 100

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error)).slice(0, 200)

const run = (remedy: Remedy.Remedy, alert: Alert, tell: (event: RemedyEvent) => void): Effect.Effect<void> => {
  const of = { remedy: remedy.name, alert: alert.id }
  let takeBack: Remedy.TakeBack | undefined
  const applied = remedy.apply(alert).pipe(
    Effect.map((back) => {
      takeBack = back
      tell({ type: "remedy-applied", ...of })
    }),
    Effect.timeout(patience)
  )
  return applied.pipe(
    Effect.andThen(Effect.sleep(remedy.maxFor ?? Remedy.defaults.maxFor)),
    Effect.catch((error) => Effect.sync(() => tell({ type: "remedy-failed", ...of, message: messageOf(error) }))),
    Effect.ensuring(
      Effect.suspend(() =>
        takeBack === undefined
          ? Effect.void
          : Effect.andThen(
              Effect.ignore(Effect.timeout(Effect.interruptible(takeBack), patience)),
              Effect.sync(() => tell({ type: "remedy-taken-back", ...of }))
            )
      )
    )
  )
}

export const make = (tell: (event: RemedyEvent) => void): Effect.Effect<Remedies, never, Scope.Scope> =>
  Effect.gen(function* () {
    const fibers = yield* FiberMap.make<string>()
    const start = yield* FiberMap.runtime(fibers)()
    const known = new Map<Remedy.Remedy, Array<number>>()
    const keyOf = (remedy: Remedy.Remedy, alert: string) => `${remedy.name}\n${alert}`
    const matching = (alert: Alert) => [...known].filter(([{ rules }]) => rules.includes(alert.rule))
    const stop = (key: string): void => {
      const fiber = FiberMap.getUnsafe(fibers, key)
      if (fiber._tag === "Some") fiber.value.interruptUnsafe()
    }
    return {
      add: (remedy) => void known.set(remedy, known.get(remedy) ?? []),
      remove: (remedy) =>
        Effect.suspend(() => {
          known.delete(remedy)
          const keys = Array.from(fibers, ([key]) => key).filter((key) => key.startsWith(`${remedy.name}\n`))
          return Effect.forEach(keys, (key) => FiberMap.remove(fibers, key), { discard: true })
        }),
      apply: (alert, nowMs) => {
        for (const [remedy, times] of matching(alert)) {
          const recent = times.filter((at) => nowMs - at < hourMs)
          const of = { remedy: remedy.name, alert: alert.id }
          if (recent.length >= (remedy.perHour ?? Remedy.defaults.perHour) || [...fibers].length >= maxActive) {
            tell({ type: "remedy-refused", ...of })
            continue
          }
          known.set(remedy, [...recent, nowMs])
          start(keyOf(remedy, alert.id), run(remedy, alert, tell), { onlyIfMissing: true })
        }
      },
      end: (alert) => {
        for (const [remedy] of matching(alert)) stop(keyOf(remedy, alert.id))
      }
    }
  })
