/**
 * A quota's options, checked and turned into rules for each target.
 */
import type * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import type { AimdRateOptions } from "../../internal/aimdRate.ts"
import type { Ramp } from "../../internal/meter.ts"
import {
  type Check,
  inRange,
  millisOf,
  optionError,
  positiveDuration,
  validate,
  wholeInRange
} from "../../internal/options.ts"
import type { QuotaRules } from "../../internal/quotaState.ts"
import type { Limits, Options } from "../TokenQuota.ts"
import { defaults } from "./defaults.ts"

/** A quota's settings as numbers. */
export interface Settings {
  readonly byTenant: boolean
  readonly defaultOutputTokens: number
  readonly estimate: Options["estimate"]
  readonly maxWaitMs: number
  readonly maxWaiting: number
  readonly patienceMs: number
  readonly maxKeys: number
  readonly rulesOf: (key: string, target: string) => QuotaRules
}

const kinds = ["rpm", "tpm", "inputTpm", "outputTpm"] as const

const limitChecks = (prefix: string, limits: Limits): ReadonlyArray<Check> =>
  kinds.map((kind) => {
    const limit = limits[kind]
    return limit === undefined ? undefined : inRange(prefix + kind, limit, 1, Number.MAX_SAFE_INTEGER)
  })

const aimdOf = (options: Options): AimdRateOptions | undefined => {
  if (options.adaptive === false) return undefined
  return { ...defaults.adaptive, ...(typeof options.adaptive === "object" ? options.adaptive : {}) }
}

const aimdChecks = (aimd: AimdRateOptions | undefined): ReadonlyArray<Check> =>
  aimd === undefined
    ? []
    : [
        inRange("adaptive.min", aimd.min, 0.001, 1_000_000),
        inRange("adaptive.max", aimd.max, aimd.min, 1_000_000),
        inRange("adaptive.decrease", aimd.decrease, 0.01, 0.99),
        inRange("adaptive.increase", aimd.increase, 1.001, 10),
        wholeInRange("adaptive.after", aimd.after, 1)
      ]

/** Fails with a `ConfigError` for the first wrong option. */
export const settingsOf = (options: Options): Effect.Effect<Settings, Config.ConfigError> =>
  Effect.suspend(() => {
    const set = { ...defaults, ...options }
    const aimd = aimdOf(options)
    const from = options.ramp === false ? 1 : (options.ramp?.from ?? defaults.ramp.from)
    const over = options.ramp === false ? "1 milli" : (options.ramp?.over ?? defaults.ramp.over)
    const maxWaitMs = millisOf(set.maxWait)
    const checks: ReadonlyArray<Check> = [
      ...limitChecks("", options),
      ...Object.entries(options.targets ?? {}).flatMap(([name, limits]) => limitChecks(`targets.${name}.`, limits)),
      set.keyBy === "target" || set.keyBy === "target-and-tenant"
        ? undefined
        : optionError("keyBy", set.keyBy, "target, target-and-tenant"),
      wholeInRange("defaultOutputTokens", set.defaultOutputTokens, 0),
      maxWaitMs === undefined ? optionError("maxWait", set.maxWait, "a duration of at least 0") : undefined,
      wholeInRange("maxWaiting", set.maxWaiting, 1),
      positiveDuration("patience", set.patience),
      inRange("ramp.from", from, 0.001, 1),
      positiveDuration("ramp.over", over),
      ...aimdChecks(aimd),
      positiveDuration("pause", set.pause),
      positiveDuration("maxPause", set.maxPause),
      wholeInRange("maxKeys", set.maxKeys, 1)
    ]
    return Effect.map(validate(checks), (): Settings => {
      const ramp: Ramp = { from, overMs: millisOf(over)! }
      const rules = (limits: Limits): QuotaRules => ({
        limits: [
          limits.rpm ?? Infinity,
          limits.tpm ?? Infinity,
          limits.inputTpm ?? Infinity,
          limits.outputTpm ?? Infinity
        ],
        ramp,
        aimd,
        learn: set.learn,
        pauseMs: millisOf(set.pause)!,
        maxPauseMs: millisOf(set.maxPause)!
      })
      const shared = rules(options)
      const named = new Map(Object.entries(options.targets ?? {}).map(([name, limits]) => [name, rules(limits)]))
      return {
        byTenant: set.keyBy === "target-and-tenant",
        defaultOutputTokens: set.defaultOutputTokens,
        estimate: options.estimate,
        maxWaitMs: maxWaitMs!,
        maxWaiting: set.maxWaiting,
        patienceMs: millisOf(set.patience)!,
        maxKeys: set.maxKeys,
        rulesOf: (key, target) =>
          named.get(key) ?? named.get(target) ?? named.get(target.slice(0, Math.max(0, target.indexOf("/")))) ?? shared
      }
    })
  })
