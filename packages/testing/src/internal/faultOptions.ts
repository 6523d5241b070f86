/** The options of the fault injector, checked and turned into numbers. */
import type { Request } from "@breakwater/core"
import type * as Duration from "effect/Duration"
import * as Failures from "../Failures.ts"
import type { Chances, Wait } from "./chance.ts"
import { type Check, duration, inRange, millisOf, optionError, wholeInRange } from "./options.ts"

/** How long calls are held up before they begin. */
export type Latency =
  | { readonly kind: "constant"; readonly delay: Duration.Input }
  | { readonly kind: "uniform"; readonly min: Duration.Input; readonly max: Duration.Input }
  /** Many short waits and some long ones. `max` cuts it off; default: ten times the mean. */
  | { readonly kind: "exponential"; readonly mean: Duration.Input; readonly max?: Duration.Input }
  /** The long tail of real providers. `sigma` from 0 to 3; default 0.5. `max` default: a hundred times the median. */
  | {
      readonly kind: "lognormal"
      readonly median: Duration.Input
      readonly sigma?: number
      readonly max?: Duration.Input
    }

/** What goes wrong, and how often. Rates are shares of the calls, 0 to 1, and add up to at most 1. */
export interface Options {
  /** Default: `breakwater`. */
  readonly seed?: string | number
  /** Whether it is on from the start. Default: false. */
  readonly enabled?: boolean
  /** The calls it may touch. Default: all. */
  readonly only?: (request: Request.ProviderRequest | Request.ProviderEmbedRequest) => boolean
  readonly latency?: Latency
  /** Failures before any answer. Weights are relative; default: `server`, `overload` and `transport` alike. */
  readonly errors?: { readonly rate: number; readonly mix?: { readonly [K in Failures.Kind]?: number } }
  /** Rate limits. The hint lies between `min` and `max`; without it there is none. */
  readonly rateLimits?: {
    readonly rate: number
    readonly retryAfter?: { readonly min: Duration.Input; readonly max: Duration.Input }
  }
  /** The connection breaks within so many pieces of content (default 8), at the latest before the finish. */
  readonly cut?: { readonly rate: number; readonly withinParts?: number }
  /** Nothing more comes after at most so many pieces (default 8). A call that is no stream never answers. */
  readonly stall?: { readonly rate: number; readonly withinParts?: number }
  /**
   * `error`: the answer cannot be read (`InvalidResponseError`). `text`: a good answer whose text is half missing,
   * so that JSON in it does not parse. Default: `error`.
   */
  readonly malformed?: { readonly rate: number; readonly as?: "error" | "text"; readonly withinParts?: number }
}

const latencyChecks = (latency: Latency | undefined): ReadonlyArray<Check> => {
  if (latency === undefined) return []
  switch (latency.kind) {
    case "constant":
      return [duration("latency.delay", latency.delay)]
    case "uniform":
      return range("latency", latency.min, latency.max)
    case "exponential":
      return [duration("latency.mean", latency.mean), optionalDuration("latency.max", latency.max)]
    case "lognormal":
      return [
        duration("latency.median", latency.median),
        optionalDuration("latency.max", latency.max),
        inRange("latency.sigma", latency.sigma ?? 0.5, 0, 3)
      ]
    default:
      return [
        optionError("latency.kind", (latency as { kind: unknown }).kind, "constant, uniform, exponential, lognormal")
      ]
  }
}

const optionalDuration = (field: string, value: Duration.Input | undefined): Check =>
  value === undefined ? undefined : duration(field, value)

const range = (field: string, min: Duration.Input, max: Duration.Input): ReadonlyArray<Check> => [
  duration(`${field}.min`, min),
  duration(`${field}.max`, max),
  (millisOf(min) ?? 0) <= (millisOf(max) ?? Infinity)
    ? undefined
    : optionError(`${field}.max`, max, `at least ${field}.min`)
]

export const checks = (options: Options, chances: Chances): ReadonlyArray<Check> => {
  const faults = ["errors", "rateLimits", "cut", "stall", "malformed"] as const
  const total = faults.reduce((sum, fault) => sum + chances[fault].rate, 0)
  const hint = options.rateLimits?.retryAfter
  return [
    ...faults.map((fault) => inRange(`${fault}.rate`, chances[fault].rate, 0, 1)),
    total <= 1 + 1e-9 ? undefined : optionError("rates", total, "rates that add up to at most 1"),
    ...(["cut", "stall", "malformed"] as const).map((fault) =>
      wholeInRange(`${fault}.withinParts`, chances[fault].withinParts, 0, 1_000_000)
    ),
    ...chances.errors.mix.map(([kind, weight]) =>
      Failures.kinds.includes(kind)
        ? inRange(`errors.mix.${kind}`, weight, 0, 1_000_000)
        : optionError("errors.mix", kind, Failures.kinds.join(", "))
    ),
    chances.errors.mix.some(([, weight]) => weight > 0)
      ? undefined
      : optionError("errors.mix", "{}", "some weight above 0"),
    ...(hint === undefined ? [] : range("rateLimits.retryAfter", hint.min, hint.max)),
    ...latencyChecks(options.latency)
  ]
}

const millis = (value: Duration.Input): number => millisOf(value) ?? 0

export const toWait = (latency: Latency): Wait => {
  switch (latency.kind) {
    case "constant":
      return { kind: "constant", millis: millis(latency.delay) }
    case "uniform":
      return { kind: "uniform", min: millis(latency.min), max: millis(latency.max) }
    case "exponential": {
      const mean = millis(latency.mean)
      return { kind: "exponential", mean, max: latency.max === undefined ? mean * 10 : millis(latency.max) }
    }
    case "lognormal": {
      const median = millis(latency.median)
      const max = latency.max === undefined ? median * 100 : millis(latency.max)
      return { kind: "lognormal", median, sigma: latency.sigma ?? 0.5, max }
    }
  }
}

/** What fails when nothing is said of it. */
export const defaultMix: { readonly [K in Failures.Kind]?: number } = { server: 1, overload: 1, transport: 1 }

/** How many pieces of content may come through before a cut or a stall. */
export const defaultWithinParts = 8

export const toChances = (options: Options): Chances => {
  const hint = options.rateLimits?.retryAfter
  const within = (fault: { readonly withinParts?: number } | undefined) => fault?.withinParts ?? defaultWithinParts
  return {
    errors: {
      rate: options.errors?.rate ?? 0,
      mix: Object.entries(options.errors?.mix ?? defaultMix) as ReadonlyArray<[Failures.Kind, number]>
    },
    rateLimits: {
      rate: options.rateLimits?.rate ?? 0,
      hint: hint === undefined ? undefined : [millis(hint.min), millis(hint.max)]
    },
    cut: { rate: options.cut?.rate ?? 0, withinParts: within(options.cut) },
    stall: { rate: options.stall?.rate ?? 0, withinParts: within(options.stall) },
    malformed: {
      rate: options.malformed?.rate ?? 0,
      as: options.malformed?.as ?? "error",
      withinParts: within(options.malformed)
    }
  }
}
