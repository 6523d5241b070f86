/**
 * The options of a context window, checked and with their defaults.
 */
import type * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import type { Message } from "../../domain/Message.ts"
import type { CompactRules } from "../../internal/compaction.ts"
import { type Check, inRange, optionError, validate, wholeInRange } from "../../internal/options.ts"

/** A window and the largest answer in it, in tokens. */
export interface Limits {
  readonly contextWindow?: number
  readonly maxOutputTokens?: number
}

/** What a summary is made of, and how long it may be. */
export interface SummaryTask {
  readonly dropped: ReadonlyArray<Message>
  readonly model: string
  readonly maxTokens: number
}

/** Puts a summary in the place of what is dropped. */
export interface Summarise {
  /** Called once for a call and target. A failure of it costs the summary, not the call. */
  readonly summarise: (task: SummaryTask) => Effect.Effect<string, unknown>
  /** The longest summary in tokens, 16 to 100,000, and at most a quarter of the room. Default: 500. */
  readonly maxTokens?: number
  /** What stands before it. Default: `Summary of the earlier conversation:`. */
  readonly heading?: string
}

/**
 * What happens to a prompt that does not fit.
 *
 * - `keepNewest`: the oldest turns are dropped
 * - `dropMiddle`: the first turn stays as well, if it fits
 * - `fail`: nothing is dropped
 */
export type Strategy = "keepNewest" | "dropMiddle" | "fail" | Summarise

/** What is made shorter before anything is dropped. */
export interface Compaction {
  /** Runs of spaces within lines, spaces at their ends, more than one empty line. Default: true. */
  readonly whitespace?: boolean
  /** Paragraphs of 80 characters and more that the same text already had. Default: true. */
  readonly repeats?: boolean
  /** Characters that a paragraph keeps in messages before the last user's, at least 200. Default: all. */
  readonly paste?: number
}

export interface Options {
  /** Default: `keepNewest`. */
  readonly strategy?: Strategy
  /** Turns at the end that are never dropped; of the last one, the oldest tool rounds may be. 0 to 10,000, default 1. */
  readonly keepTurns?: number
  /**
   * What is kept free for the answer of a request without `maxTokens`: tokens, or a share of the window over 0 and
   * under 1 (never more than the model's largest answer). Default: a quarter of the window.
   */
  readonly reserve?: number
  /** The smallest answer worth asking for: `maxTokens` is lowered to it before a call fails. At least 1, default 256. */
  readonly minAnswer?: number
  /** Share of the room that is left free where tokens are only estimated, 0 to under 1. Default: 0.1. */
  readonly margin?: number
  /** Windows by `provider/model` or model: they go before what the provider says. */
  readonly windows?: Readonly<Record<string, number | Limits>>
  /** Asked where neither the options nor the provider know: a table of models. */
  readonly lookup?: (provider: string | undefined, model: string) => Effect.Effect<Limits | undefined>
  /** The window of models that nobody knows. Default: none, such requests are left as they are. */
  readonly defaultWindow?: number
  /** Answer a provider's `ContextLengthError` with one smaller request. Default: true, but for the strategy `fail`. */
  readonly repair?: boolean
  /** Default: off. */
  readonly compaction?: Compaction | boolean
}

export const defaults = {
  strategy: "keepNewest",
  keepTurns: 1,
  reserve: 0.25,
  minAnswer: 256,
  margin: 0.1,
  summaryTokens: 500,
  heading: "Summary of the earlier conversation:"
} as const

export interface Resolved {
  readonly strategy: "keepNewest" | "dropMiddle" | "fail" | "summarise"
  readonly summary: Required<Summarise> | undefined
  readonly keepTurns: number
  readonly reserve: number
  readonly minAnswer: number
  readonly margin: number
  readonly windows: ReadonlyMap<string, Limits>
  readonly lookup: Options["lookup"]
  readonly defaultWindow: number | undefined
  readonly repair: boolean
  readonly compaction: CompactRules | undefined
}

const named = ["keepNewest", "dropMiddle", "fail"] as const

const strategyCheck = (strategy: Strategy): Check => {
  if (typeof strategy === "string") {
    return named.includes(strategy)
      ? undefined
      : optionError("strategy", strategy, `${named.join(", ")}, or a summariser`)
  }
  if (strategy === null || typeof strategy !== "object" || typeof strategy.summarise !== "function") {
    return optionError("strategy", strategy, `${named.join(", ")}, or a summariser`)
  }
  return strategy.maxTokens === undefined
    ? undefined
    : wholeInRange("strategy.maxTokens", strategy.maxTokens, 16, 100_000)
}

const reserveCheck = (value: number): Check =>
  (value > 0 && value < 1) || (Number.isSafeInteger(value) && value >= 1)
    ? undefined
    : optionError("reserve", value, "a whole number of at least 1, or a share over 0 and under 1")

const windowChecks = (options: Options): ReadonlyArray<Check> => {
  const reserve = options.reserve ?? defaults.reserve
  const check = (field: string, limits: number | Limits): Check => {
    const { contextWindow, maxOutputTokens } =
      typeof limits === "number" ? { contextWindow: limits } : (limits as Limits)
    return (
      (contextWindow === undefined ? undefined : wholeInRange(field, contextWindow, 1)) ??
      (maxOutputTokens === undefined ? undefined : wholeInRange(`${field}.maxOutputTokens`, maxOutputTokens, 1)) ??
      (contextWindow !== undefined && reserve >= contextWindow
        ? optionError("reserve", reserve, `less than the window of ${contextWindow} tokens (${field})`)
        : undefined)
    )
  }
  return [
    ...Object.entries(options.windows ?? {}).map(([name, limits]) => check(`windows[${JSON.stringify(name)}]`, limits)),
    options.defaultWindow === undefined ? undefined : check("defaultWindow", options.defaultWindow)
  ]
}

const compactionOf = (compaction: Options["compaction"]): CompactRules | undefined => {
  if (compaction === undefined || compaction === false) return undefined
  const { paste = Infinity, repeats = true, whitespace = true } = compaction === true ? {} : compaction
  return { whitespace, repeats, paste }
}

const fill = (options: Options): Resolved => {
  const strategy = options.strategy ?? defaults.strategy
  return {
    strategy: typeof strategy === "string" ? strategy : "summarise",
    summary:
      typeof strategy === "string"
        ? undefined
        : {
            summarise: strategy.summarise,
            maxTokens: strategy.maxTokens ?? defaults.summaryTokens,
            heading: strategy.heading ?? defaults.heading
          },
    keepTurns: options.keepTurns ?? defaults.keepTurns,
    reserve: options.reserve ?? defaults.reserve,
    minAnswer: options.minAnswer ?? defaults.minAnswer,
    margin: options.margin ?? defaults.margin,
    windows: new Map(
      Object.entries(options.windows ?? {}).map(
        ([name, limits]) => [name, typeof limits === "number" ? { contextWindow: limits } : limits] as const
      )
    ),
    lookup: options.lookup,
    defaultWindow: options.defaultWindow,
    repair: options.repair ?? strategy !== "fail",
    compaction: compactionOf(options.compaction)
  }
}

/** Checks the options and fills in the defaults. */
export const resolve = (options: Options): Effect.Effect<Resolved, Config.ConfigError> => {
  const { compaction } = options
  return Effect.map(
    validate([
      options.strategy === undefined ? undefined : strategyCheck(options.strategy),
      options.keepTurns === undefined ? undefined : wholeInRange("keepTurns", options.keepTurns, 0, 10_000),
      options.reserve === undefined ? undefined : reserveCheck(options.reserve),
      options.minAnswer === undefined ? undefined : wholeInRange("minAnswer", options.minAnswer, 1),
      options.margin === undefined ? undefined : inRange("margin", options.margin, 0, 0.99),
      ...windowChecks(options),
      typeof compaction !== "object" || compaction.paste === undefined
        ? undefined
        : wholeInRange("compaction.paste", compaction.paste, 200)
    ]),
    () => fill(options)
  )
}
