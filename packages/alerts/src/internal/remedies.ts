/** Runs remedies: one fiber for each that is in force, which takes it back whatever ends it. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FiberSet from "effect/FiberSet"
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

const messageOf = (cause: Cause.Cause<unknown>): string => {
  const error = Cause.squash(cause)
  return (error instanceof Error ? error.message : String(error)).slice(0, 200)
}

const run = (remedy: Remedy.Remedy, alert: Alert, tell: (event: RemedyEvent) => void): Effect.Effect<void> => {
  const of = { remedy: remedy.name, alert: alert.id }
  const failed = (cause: Cause.Cause<unknown>, what = "") =>
    Effect.sync(() => tell({ type: "remedy-failed", ...of, message: `${what}${messageOf(cause)}` }))
  let takeBack: Remedy.TakeBack | undefined
  // Once it is applied nothing comes between it and what takes it back.
  const applied = Effect.uninterruptibleMask((restore) =>
    Effect.map(restore(Effect.suspend(() => remedy.apply(alert))), (back) => {
      takeBack = back
      tell({ type: "remedy-applied", ...of })
    })
  )
  const back = Effect.suspend(() =>
    takeBack === undefined
      ? Effect.void
      : Effect.flatMap(Effect.exit(Effect.timeout(Effect.interruptible(takeBack), patience)), (exit) =>
          Exit.isFailure(exit)
            ? failed(exit.cause, "it was not taken back: ")
            : Effect.sync(() => tell({ type: "remedy-taken-back", ...of }))
        )
  )
  return Effect.timeout(applied, patience).pipe(
    Effect.andThen(Effect.sleep(remedy.maxFor ?? Remedy.defaults.maxFor)),
    Effect.catchCause((cause) => (Cause.hasInterrupts(cause) ? Effect.void : failed(cause))),
    Effect.ensuring(back)
  )
}

/** A remedy, and when it was applied in the last hour. */
interface Known {
  readonly remedy: Remedy.Remedy
  times: ReadonlyArray<number>
  /** The last application to each alert that is in force or is being taken back. */
  readonly applied: Map<string, Fiber.Fiber<void>>
}

export const make = (tell: (event: RemedyEvent) => void): Effect.Effect<Remedies, never, Scope.Scope> =>
  Effect.gen(function* () {
    const fibers = yield* FiberSet.make<void>()
    const start = yield* FiberSet.runtime(fibers)()
    // By what they are: two may have the same name.
    const known = new Map<Remedy.Remedy, Known>()
    let active = 0
    const matching = (alert: Alert) => [...known.values()].filter(({ remedy }) => remedy.rules.includes(alert.rule))
    const apply = (each: Known, alert: Alert): void => {
      // The alert fires again while the last application is taken back: one after the other.
      const last = each.applied.get(alert.id)
      const turn = last === undefined ? Effect.void : Effect.asVoid(Fiber.await(last))
      const fiber = start(Effect.andThen(turn, run(each.remedy, alert, tell)))
      active++
      each.applied.set(alert.id, fiber)
      fiber.addObserver(() => {
        active--
        if (each.applied.get(alert.id) === fiber) each.applied.delete(alert.id)
      })
    }
    return {
      add: (remedy) => {
        if (!known.has(remedy)) known.set(remedy, { remedy, times: [], applied: new Map() })
      },
      remove: (remedy) =>
        Effect.suspend(() => {
          const each = known.get(remedy)
          known.delete(remedy)
          return each === undefined ? Effect.void : Fiber.interruptAll(each.applied.values())
        }),
      apply: (alert, nowMs) => {
        for (const each of matching(alert)) {
          const recent = each.times.filter((at) => nowMs - at < hourMs)
          if (recent.length >= (each.remedy.perHour ?? Remedy.defaults.perHour) || active >= maxActive) {
            tell({ type: "remedy-refused", remedy: each.remedy.name, alert: alert.id })
            continue
          }
          each.times = [...recent, nowMs]
          apply(each, alert)
        }
      },
      end: (alert) => {
        for (const { applied } of matching(alert)) applied.get(alert.id)?.interruptUnsafe()
      }
    }
  })
