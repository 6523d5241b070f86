/**
 * What the commands that call models are set by: flags, then `LLM_*` variables, then presets.
 *
 * A flag is a variable that wins over the environment: it is read and checked by the same code, and an error names the
 * flag if the value came from it.
 */
import { LLMConfig, type Pipeline, Presets } from "@breakwater/core"
import { Catalog } from "@breakwater/providers"
import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import { SettingError } from "./Failure.ts"
import { keepSecret } from "./Secrets.ts"

const text = (name: string, metavar: string, what: string) =>
  Flag.String(name).pipe(Flag.withMetavar(metavar), Flag.withDescription(what), Flag.optional)

/** The flags, by the variable each of them stands for. */
export const flags = {
  LLM_PROVIDER: text("provider", "name", `Who is asked when a model is named alone: ${Catalog.names.join(", ")}`),
  LLM_BASE_URL: text("base-url", "url", "The provider's address; without --provider any OpenAI-compatible server"),
  LLM_API_KEY: Flag.Redacted("api-key").pipe(
    Flag.withMetavar("key"),
    Flag.withDescription("The provider's key. Others can see it in the list of processes: a variable is better"),
    Flag.optional
  ),
  LLM_MODEL: text("model", "model", "The model, or provider/model").pipe(Flag.withAlias("m")),
  LLM_FALLBACKS: Flag.String("fallback").pipe(
    Flag.withMetavar("model"),
    Flag.withDescription("Who is asked instead, a model or provider/model; may be repeated"),
    Flag.atLeast(0)
  ),
  LLM_PRESET: text("preset", "name", `Named settings: ${Presets.names.join(", ")}`),
  LLM_TIMEOUT: text(
    "timeout",
    "time",
    "The whole call with its attempts and waits: 30s, 500ms, 2m; a number is seconds"
  ),
  LLM_FIRST_TOKEN_TIMEOUT: text("first-token-timeout", "time", "How long a model may take to begin"),
  LLM_MAX_RETRIES: text("retries", "number", "Repeated attempts at a target, from 0"),
  LLM_STREAM_POLICY: text(
    "stream-policy",
    "policy",
    "A stream that breaks: fail, continue (elsewhere), buffer (whole answers only)"
  ),
  LLM_MAX_TOKENS: text("max-tokens", "number", "The largest answer"),
  LLM_TEMPERATURE: text("temperature", "number", "From 0 to 2"),
  LLM_STRICT: Flag.Boolean("strict").pipe(
    Flag.withDescription("Never answer from another target than the first"),
    Flag.optional
  )
}

type Variable = keyof typeof flags

/** The flags as they were given. */
export type Given = { readonly [Name in Variable]: (typeof flags)[Name] extends Flag.Flag<infer A> ? A : never }

const flagNames: Readonly<Record<Variable, string>> = {
  LLM_PROVIDER: "--provider",
  LLM_BASE_URL: "--base-url",
  LLM_API_KEY: "--api-key",
  LLM_MODEL: "--model",
  LLM_FALLBACKS: "--fallback",
  LLM_PRESET: "--preset",
  LLM_TIMEOUT: "--timeout",
  LLM_FIRST_TOKEN_TIMEOUT: "--first-token-timeout",
  LLM_MAX_RETRIES: "--retries",
  LLM_STREAM_POLICY: "--stream-policy",
  LLM_MAX_TOKENS: "--max-tokens",
  LLM_TEMPERATURE: "--temperature",
  LLM_STRICT: "--strict"
}
const variables = Object.keys(flagNames) as ReadonlyArray<Variable>

const valueOf = (value: Given[Variable]): string | undefined => {
  if (Array.isArray(value)) return value.length === 0 ? undefined : value.join(",")
  const option = value as Option.Option<string | boolean | Redacted.Redacted<string>>
  if (Option.isNone(option)) return undefined
  return Redacted.isRedacted(option.value) ? Redacted.value(option.value) : String(option.value)
}

const overlay = (given: Given): ReadonlyMap<Variable, string> => {
  const found = new Map<Variable, string>()
  for (const name of variables) {
    const value = valueOf(given[name])
    if (value !== undefined) found.set(name, value)
  }
  return found
}

/** For those who have set nothing yet. */
const nobodyToAsk =
  "nobody to ask: set a key such as OPENAI_API_KEY or ANTHROPIC_API_KEY and name a --model (openai/gpt-4.1-mini), " +
  "or give a server's --base-url; breakwater demo needs neither. Providers: " +
  Catalog.names.join(", ")

/** Says flags where the message says variables: instead of them if they were given, beside them if something is missing. */
const inFlags = (message: string, given: ReadonlyMap<Variable, string>): string => {
  if (message.startsWith("LLM_PROVIDER is missing")) return nobodyToAsk
  let out = message.replace(/^targets is/, "the list of targets (--model, --fallback) holds")
  const missing = / is missing/.test(message)
  for (const name of variables) {
    const flag = flagNames[name]
    if (given.has(name)) out = out.replace(new RegExp(`\\b${name}\\b`, "g"), flag)
    else if (missing) out = out.replace(new RegExp(`\\b${name}\\b`), `${flag}, ${name}`)
  }
  return out
}

/** Runs an effect with the flags over the environment, and names the flags in its errors. */
export const withFlags =
  (given: Given) =>
  <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, Exclude<E, Config.ConfigError> | SettingError, R> => {
    const found = overlay(given)
    const empty = [...found].find(([, value]) => value.trim() === "")
    if (empty !== undefined) {
      return Effect.fail(
        new SettingError({ message: `${flagNames[empty[0]]} is empty; leave it out, or give it a value` })
      )
    }
    keepSecret(found.get("LLM_API_KEY"))
    const provider = ConfigProvider.fromEnvRecord(Object.fromEntries(found))
    return effect.pipe(
      Effect.updateService(ConfigProvider.ConfigProvider, (environment) =>
        ConfigProvider.orElse(provider, environment)
      ),
      Effect.mapError((error) =>
        error instanceof Config.ConfigError
          ? new SettingError({ message: inFlags(error.cause.message, found) })
          : (error as Exclude<E, Config.ConfigError>)
      )
    )
  }

/** Everything a pipeline needs: its options, and whom it asks. */
export interface Loaded {
  readonly options: Pipeline.PipelineOptions
  readonly settings: Catalog.Settings
  /** The preset whose policies go with the options. */
  readonly preset: Presets.PresetName
}

/** Reads the settings. Every target has its provider in front. */
export const load = (options?: {
  readonly defaultProvider?: string
}): Effect.Effect<Loaded, Config.ConfigError | SettingError> =>
  Effect.gen(function* () {
    const fromEnvironment = yield* LLMConfig.load
    const settings = yield* Catalog.settings(options)
    const odd = settings.targets.find((target) => /\s/.test(target))
    if (odd !== undefined) {
      const allowed = "allowed: targets without spaces, provider/model or a model"
      return yield* Effect.fail(
        new SettingError({ message: `--fallback or LLM_FALLBACKS holds ${JSON.stringify(odd)}; ${allowed}` })
      )
    }
    const named = Option.getOrElse(yield* Config.option(Config.String("LLM_PRESET")), () => "").trim()
    const preset = Presets.isPresetName(named) ? named : "interactive"
    return { options: { ...fromEnvironment, targets: settings.targets }, settings, preset }
  })
