/**
 * A store of limiters that may be lost, with an answer for that.
 *
 * A store that fails once is lost: from then on it is not asked, so that no call waits for it. One call at a time is
 * let through to see whether it is back, after pauses that double; all other calls get the mode's answer at once.
 * Grants know where they were counted, and are only given back there.
 */
import type * as Config from "effect/Config"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { StoreError } from "../errors/LLMError.ts"
import { capacityOf, type Decision } from "../internal/limitTable.ts"
import type { Rule } from "../internal/limitRule.ts"
import { millisOf, optionError, positiveDuration, validate } from "../internal/options.ts"
import { StoreWatch } from "../internal/storeWatch.ts"
import { type LimiterStoreService, type Limits, makeMemory } from "./LimiterStore.ts"

/** What to do while the store is lost: fail with its error, let everything go, or count in this process. */
export type Mode = "fail-closed" | "fail-open" | "local"

/** Options of {@link withFallback}. */
export interface Options {
  /** Default `local`. */
  readonly mode?: Mode
  /** The pause before the store is tried for the first time after it was lost. Default 100 ms. */
  readonly firstProbe?: Duration.Input
  /** The longest pause; at least `firstProbe`. Default 10 seconds. */
  readonly longestProbe?: Duration.Input
}

/** Defaults of {@link withFallback}. */
export const defaults = {
  mode: "local",
  firstProbe: "100 millis",
  longestProbe: "10 seconds"
} as const satisfies Options

/** Times of grants that were counted here are below zero, and those that were not counted at all are `-Infinity`. */
const hereAt = (at: number): number => -1 - at

const openOf = (rules: ReadonlyArray<Rule>): ((weight: number) => Effect.Effect<Decision, StoreError>) => {
  const capacity = capacityOf(rules)
  const limit = rules.find((rule) => rule.burst === capacity)!.limit
  return (weight) =>
    Effect.succeed({
      allowed: weight <= capacity,
      waitMs: weight <= capacity ? 0 : Infinity,
      remaining: capacity,
      limit,
      at: -Infinity
    })
}

const localOf = (spare: Limits, ask: "take" | "check") => (key: string, weight: number) =>
  Effect.map(spare[ask](key, weight), (decision): Decision => ({ ...decision, at: hereAt(decision.at) }))

const openWith = (
  watch: StoreWatch,
  mode: Mode,
  limits: Limits,
  rules: ReadonlyArray<Rule>,
  spare: Limits | undefined
): Limits => {
  const open = openOf(rules)
  const ask = (what: "take" | "check") => {
    const local = spare === undefined ? undefined : localOf(spare, what)
    return (key: string, weight: number) =>
      watch.ask(limits[what](key, weight), (error) =>
        local !== undefined ? local(key, weight) : mode === "fail-open" ? open(weight) : Effect.fail(error)
      )
  }
  const instead = (error: StoreError) => (mode === "fail-closed" ? Effect.fail(error) : Effect.void)
  return {
    take: ask("take"),
    check: ask("check"),
    give: (key, weight, takenAt) => {
      if (takenAt === -Infinity) return Effect.void
      if (takenAt < 0) return spare?.give(key, weight, hereAt(takenAt)) ?? Effect.void
      return watch.ask(limits.give(key, weight, takenAt), instead)
    },
    forget: (key) => Effect.andThen(spare?.forget(key) ?? Effect.void, watch.ask(limits.forget(key), instead))
  }
}

const modes: ReadonlyArray<Mode> = ["fail-closed", "fail-open", "local"]

/**
 * The store with an answer for its loss. Tells `store-lost` and `store-recovered` to the event sink of the call that
 * noticed. With `local`, each process counts for itself from nothing while the store is lost, so that all of them
 * together may admit the limit once each.
 *
 * Fails with a `ConfigError` for a wrong option.
 */
export const withFallback = (
  store: LimiterStoreService,
  options: Options = {}
): Effect.Effect<LimiterStoreService, Config.ConfigError, Scope.Scope> =>
  Effect.gen(function* () {
    const mode = options.mode ?? defaults.mode
    const first = options.firstProbe ?? defaults.firstProbe
    const longest = options.longestProbe ?? defaults.longestProbe
    yield* validate([
      modes.includes(mode) ? undefined : optionError("mode", mode, modes.join(", ")),
      positiveDuration("firstProbe", first),
      positiveDuration("longestProbe", longest)
    ])
    const [firstMs, longestMs] = [millisOf(first)!, millisOf(longest)!]
    yield* validate([
      longestMs >= firstMs ? undefined : optionError("longestProbe", longest, `at least firstProbe (${firstMs} ms)`)
    ])
    const spares = mode === "local" ? yield* makeMemory() : undefined
    const watch = new StoreWatch({ store: store.name, mode, firstMs, longestMs })
    return {
      name: store.name,
      size: watch.ask(store.size, (error) => (mode === "fail-closed" ? Effect.fail(error) : Effect.succeed(undefined))),
      open: (namespace, rules) => {
        const limits = store.open(namespace, rules)
        // A store in this process cannot be lost.
        if (limits.local !== undefined) return limits
        return openWith(watch, mode, limits, rules, spares?.open(namespace, rules))
      }
    }
  })
