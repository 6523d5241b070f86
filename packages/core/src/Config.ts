/**
 * The service's settings from environment variables: their names, defaults and ranges in one table, from which the
 * documentation is generated.
 *
 * A wrong value is a `ConfigError` that names the variable, the value and what is allowed.
 */
import * as Config from "effect/Config"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { StreamPolicy } from "./domain/Call.ts"
import type { Sampling } from "./domain/Request.ts"
import { optionError } from "./internal/options.ts"
import type { PipelineOptions } from "./Pipeline.ts"
import * as Retry from "./policy/Retry.ts"
import type * as Timeout from "./policy/Timeout.ts"
import { isPresetName, names as presetNames, presets } from "./Presets.ts"

/** One variable, for people. */
export interface Variable {
  readonly name: string
  readonly what: string
  readonly allowed: string
  readonly default: string
}

/** Every variable read by {@link load}. The providers read theirs: `LLM_PROVIDER`, `LLM_API_KEY`, `LLM_BASE_URL`. */
export const variables: ReadonlyArray<Variable> = [
  {
    name: "LLM_MODEL",
    what: "The first target",
    allowed: "provider/model, or a model",
    default: "none: it must be set"
  },
  { name: "LLM_FALLBACKS", what: "Targets to fail over to", allowed: "targets, separated by commas", default: "none" },
  { name: "LLM_PRESET", what: "Named settings", allowed: presetNames.join(", "), default: "interactive" },
  { name: "LLM_TIMEOUT", what: "The whole call", allowed: "1ms to 24h", default: "the preset's" },
  { name: "LLM_ATTEMPT_TIMEOUT", what: "One attempt", allowed: "1ms to 24h", default: "the preset's" },
  { name: "LLM_FIRST_TOKEN_TIMEOUT", what: "Until the first content", allowed: "1ms to 24h", default: "the preset's" },
  { name: "LLM_IDLE_TIMEOUT", what: "Between two pieces of content", allowed: "1ms to 24h", default: "the preset's" },
  { name: "LLM_MAX_RETRIES", what: "Repeated attempts at a target", allowed: "0 to 100", default: "the preset's" },
  {
    name: "LLM_MAX_ATTEMPTS",
    what: "Provider calls of one call",
    allowed: "1 to 1000",
    default: "one a target, and the retries"
  },
  {
    name: "LLM_STREAM_POLICY",
    what: "A stream that breaks",
    allowed: "fail, continue, buffer",
    default: "the preset's"
  },
  { name: "LLM_STRICT", what: "Never another target", allowed: "true, false", default: "the preset's" },
  { name: "LLM_TEMPERATURE", what: "Default temperature", allowed: "0 to 2", default: "the provider's" },
  { name: "LLM_MAX_TOKENS", what: "Default largest answer", allowed: "1 and more", default: "the provider's" }
]

const units: Readonly<Record<string, number>> = {
  ms: 1,
  millis: 1,
  millisecond: 1,
  milliseconds: 1,
  s: 1000,
  sec: 1000,
  second: 1000,
  seconds: 1000,
  m: 60_000,
  min: 60_000,
  minute: 60_000,
  minutes: 60_000,
  h: 3_600_000,
  hour: 3_600_000,
  hours: 3_600_000
}

/**
 * Reads a duration as people write it: `500ms`, `30s`, `1.5 minutes`, `2h`; a bare number is seconds. `undefined`
 * for anything else, and outside 1 ms to 24 h.
 */
export const parseDuration = (text: string): Duration.Duration | undefined => {
  const match = /^(\d{1,9}(?:\.\d{1,6})?)\s*([a-z]*)$/.exec(text.trim())
  if (match === null) return undefined
  const unit = match[2] === "" ? 1000 : units[match[2]!]
  if (unit === undefined) return undefined
  const millis = Number(match[1]) * unit
  return millis >= 1 && millis <= 86_400_000 ? Duration.millis(millis) : undefined
}

const raw = (name: string): Effect.Effect<string | undefined, Config.ConfigError> =>
  Effect.map(Config.option(Config.String(name)), (value) => {
    const text = Option.getOrUndefined(value)?.trim()
    return text === "" ? undefined : text
  })

/** Reads one variable, or answers `undefined` if it is not set. */
const read = <A>(
  name: string,
  parse: (text: string) => A | undefined
): Effect.Effect<A | undefined, Config.ConfigError> =>
  Effect.flatMap(raw(name), (text) => {
    if (text === undefined) return Effect.succeed(undefined)
    const value = parse(text)
    const allowed = variables.find((variable) => variable.name === name)?.allowed ?? ""
    return value === undefined ? Effect.fail(optionError(name, text, allowed)) : Effect.succeed(value)
  })

const numberIn =
  (min: number, max: number, whole: boolean) =>
  (text: string): number | undefined => {
    if (!/^-?\d+(\.\d+)?$/.test(text)) return undefined
    const value = Number(text)
    return value >= min && value <= max && (!whole || Number.isSafeInteger(value)) ? value : undefined
  }

const flag = (text: string): boolean | undefined => {
  const lower = text.toLowerCase()
  return lower === "true" || lower === "1" ? true : lower === "false" || lower === "0" ? false : undefined
}

const streamPolicy = (text: string): StreamPolicy | undefined =>
  text === "fail" || text === "continue" || text === "buffer" ? text : undefined

const list = (text: string): ReadonlyArray<string> | undefined => {
  const items = text.split(",").map((item) => item.trim())
  return items.every((item) => item.length > 0) ? items : undefined
}

/** Drops the fields that are `undefined`. */
const defined = <A extends object>(fields: A): { [K in keyof A]?: Exclude<A[K], undefined> } =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as {
    [K in keyof A]?: Exclude<A[K], undefined>
  }

/** The settings, read from the `ConfigProvider` in force. Without `LLM_MODEL` there are no `targets`. */
export const load: Effect.Effect<PipelineOptions, Config.ConfigError> = Effect.gen(function* () {
  const preset =
    presets[(yield* read("LLM_PRESET", (text) => (isPresetName(text) ? text : undefined))) ?? "interactive"]
  const model = yield* read("LLM_MODEL", (text) => (/\s/.test(text) ? undefined : text))
  const fallbacks = yield* read("LLM_FALLBACKS", list)
  const retries = yield* read("LLM_MAX_RETRIES", numberIn(0, 100, true))
  const timeouts: Timeout.Options = {
    ...preset.timeouts,
    ...defined({
      total: yield* read("LLM_TIMEOUT", parseDuration),
      attempt: yield* read("LLM_ATTEMPT_TIMEOUT", parseDuration),
      firstToken: yield* read("LLM_FIRST_TOKEN_TIMEOUT", parseDuration),
      idle: yield* read("LLM_IDLE_TIMEOUT", parseDuration)
    })
  }
  const defaults: Sampling = defined({
    temperature: yield* read("LLM_TEMPERATURE", numberIn(0, 2, false)),
    maxTokens: yield* read("LLM_MAX_TOKENS", numberIn(1, Number.MAX_SAFE_INTEGER, true))
  })
  return {
    ...preset,
    targets: [...(model === undefined ? [] : [model]), ...(fallbacks ?? [])],
    retry: retries === undefined ? preset.retry : Retry.make({ ...preset.retry, retries }),
    timeouts,
    defaults,
    ...defined({
      maxAttempts: yield* read("LLM_MAX_ATTEMPTS", numberIn(1, 1000, true)),
      streamPolicy: yield* read("LLM_STREAM_POLICY", streamPolicy),
      strict: yield* read("LLM_STRICT", flag)
    })
  }
})
