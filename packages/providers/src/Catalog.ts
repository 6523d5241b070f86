/**
 * Providers by name, and the providers that the environment names.
 *
 * For programs that learn at run time whom to ask: a command line, a gateway, a service that is configured by
 * variables. A program that knows it when it is written uses the modules themselves.
 */
import { LLMProvider } from "@breakwater/core"
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import type * as HttpClient from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"
import * as Anthropic from "./Anthropic.ts"
import * as Azure from "./Azure.ts"
import * as Gemini from "./Gemini.ts"
import * as Groq from "./Groq.ts"
import * as HuggingFace from "./HuggingFace.ts"
import { checkBaseUrl, checkKeys, optionError, splitKeys } from "./internal/Options.ts"
import * as LlamaCpp from "./LlamaCpp.ts"
import * as LMStudio from "./LMStudio.ts"
import * as Ollama from "./Ollama.ts"
import * as OpenAI from "./OpenAI.ts"
import * as OpenAICompatible from "./OpenAICompatible.ts"
import * as OpenRouter from "./OpenRouter.ts"
import * as SambaNova from "./SambaNova.ts"
import * as Together from "./Together.ts"
import * as VLLM from "./VLLM.ts"

/** What every provider of the catalog can be made with. */
export interface Options {
  /** One key, or several that take turns. */
  readonly apiKey?: Redacted.Redacted<string> | ReadonlyArray<Redacted.Redacted<string>>
  /** Default: the provider's own address. `azure` and `openai-compatible` have none. */
  readonly baseUrl?: string
  /** The first half of `provider/model`. Default: the name in the catalog. */
  readonly name?: string
}

type ProviderLayer = Layer.Layer<LLMProvider.LLMProvider, Config.ConfigError, HttpClient.HttpClient>

interface Entry {
  /** Where a key is read from, in this order. */
  readonly keyVariables: ReadonlyArray<string>
  readonly requiresKey: boolean
  /** Whether models of this provider, at its own address, have names with slashes. */
  readonly slashes: boolean
  readonly layer: (options: Options) => ProviderLayer
  readonly layerConfig: (options: Options) => ProviderLayer
}

const hosted = (
  keyVariable: string,
  module: Pick<Entry, "layer" | "layerConfig">,
  options?: { readonly otherKey?: string; readonly slashes?: boolean }
): Entry => ({
  keyVariables: options?.otherKey === undefined ? [keyVariable] : [keyVariable, options.otherKey],
  requiresKey: true,
  slashes: options?.slashes ?? false,
  layer: module.layer,
  layerConfig: module.layerConfig
})

const local = (keyVariable: string, module: Pick<Entry, "layer" | "layerConfig">): Entry => ({
  ...hosted(keyVariable, module, { slashes: true }),
  requiresKey: false
})

const compatible =
  (field: string) =>
  ({ baseUrl, ...options }: Options): ProviderLayer =>
    baseUrl === undefined
      ? Layer.effect(
          LLMProvider.LLMProvider,
          Effect.fail(
            optionError(
              field,
              "missing",
              "the address of an OpenAI-compatible server, such as http://localhost:8000/v1"
            )
          )
        )
      : OpenAICompatible.layer({ name: "openai-compatible", baseUrl, ...options })

const entries = {
  openai: hosted("OPENAI_API_KEY", OpenAI),
  anthropic: hosted("ANTHROPIC_API_KEY", Anthropic as Pick<Entry, "layer" | "layerConfig">),
  gemini: hosted("GEMINI_API_KEY", Gemini as Pick<Entry, "layer" | "layerConfig">, { otherKey: "GOOGLE_API_KEY" }),
  openrouter: hosted("OPENROUTER_API_KEY", OpenRouter, { slashes: true }),
  azure: hosted("AZURE_OPENAI_API_KEY", Azure),
  groq: hosted("GROQ_API_KEY", Groq, { slashes: true }),
  together: hosted("TOGETHER_API_KEY", Together, { slashes: true }),
  sambanova: hosted("SAMBANOVA_API_KEY", SambaNova),
  huggingface: hosted("HF_TOKEN", HuggingFace, { slashes: true }),
  ollama: local("OLLAMA_API_KEY", Ollama),
  lmstudio: local("LMSTUDIO_API_KEY", LMStudio),
  llamacpp: local("LLAMACPP_API_KEY", LlamaCpp),
  vllm: local("VLLM_API_KEY", VLLM),
  "openai-compatible": {
    keyVariables: [],
    requiresKey: false,
    slashes: true,
    layer: compatible("baseUrl"),
    layerConfig: compatible("LLM_BASE_URL")
  }
} satisfies Record<string, Entry>

/** The name of a provider in the catalog. */
export type Name = keyof typeof entries

/** Every name, in the order in which keys in the environment are looked for. */
export const names = Object.keys(entries) as ReadonlyArray<Name>

/** Where providers are that have an address of their own. */
const addresses: { readonly [N in Name]?: string } = {
  openai: "https://api.openai.com/v1",
  anthropic: "https://api.anthropic.com",
  gemini: "https://generativelanguage.googleapis.com",
  openrouter: "https://openrouter.ai/api/v1",
  groq: "https://api.groq.com/openai/v1",
  together: "https://api.together.xyz/v1",
  sambanova: "https://api.sambanova.ai/v1",
  huggingface: "https://router.huggingface.co/v1",
  ollama: "http://localhost:11434/v1",
  lmstudio: "http://localhost:1234/v1",
  llamacpp: "http://localhost:8080/v1",
  vllm: "http://localhost:8000/v1"
}

/** The address that a provider is asked at when it is given none; `undefined` where there is no such address. */
export const addressOf = (name: Name): string | undefined => addresses[name]

/**
 * The variables that a provider's own key and address are read from: `OPENAI_API_KEY` and `OPENAI_BASE_URL`, say. The first
 * that is set counts. `openai-compatible` has none.
 */
export const variablesOf = (
  name: Name
): { readonly apiKey: ReadonlyArray<string>; readonly baseUrl: string | undefined } => {
  const { keyVariables } = entryOf(name)
  return { apiKey: keyVariables, baseUrl: keyVariables[0]?.replace(/_(?:API_KEY|TOKEN)$/, "_BASE_URL") }
}

/** Whether a text is a name in the catalog. */
export const isName = (text: string): text is Name => Object.hasOwn(entries, text)

const entryOf = (name: Name): Entry => entries[name]

const allNames = names.join(", ")

/**
 * The Layer of a provider, by its name. Reads nothing from the environment.
 *
 * Fails with a `ConfigError` for a name that is not in {@link names}, and for a wrong or missing option.
 */
export const fromName = (name: string, options: Options = {}): ProviderLayer =>
  isName(name)
    ? entryOf(name).layer(options)
    : Layer.effect(LLMProvider.LLMProvider, Effect.fail(optionError("provider", JSON.stringify(name), allNames)))

// --- the environment ----------------------------------------------------------------------------------------------

/** What the environment asks for. */
export interface Settings {
  /** The provider of models that are named without one. */
  readonly provider: string
  /** The names of all providers that are needed, that one first. */
  readonly providers: ReadonlyArray<string>
  /** `LLM_MODEL` and `LLM_FALLBACKS` with their providers: `provider/model`. Empty if neither is set. */
  readonly targets: ReadonlyArray<string>
}

const text = (name: string): Effect.Effect<string | undefined, Config.ConfigError> =>
  Effect.map(Config.option(Config.String(name)), (value) => Option.getOrUndefined(value)?.trim() || undefined)

const secret = (name: string): Effect.Effect<ReadonlyArray<Redacted.Redacted<string>>, Config.ConfigError> =>
  Effect.map(Config.option(Config.Redacted(name)), (value) => (Option.isSome(value) ? splitKeys(value.value) : []))

const hasKey = (entry: Entry): Effect.Effect<boolean, Config.ConfigError> =>
  Effect.gen(function* () {
    for (const variable of entry.keyVariables) {
      if ((yield* secret(variable)).length > 0) return true
    }
    return false
  })

/** The provider that a target names, if it names one. */
const prefixOf = (target: string): Name | undefined => {
  const slash = target.indexOf("/")
  const prefix = target.slice(0, Math.max(slash, 0))
  return isName(prefix) && slash + 1 < target.length ? prefix : undefined
}

const chooseProvider = (
  model: string | undefined,
  baseUrl: string | undefined,
  defaultProvider: string | undefined
): Effect.Effect<string, Config.ConfigError> =>
  Effect.gen(function* () {
    const named = yield* text("LLM_PROVIDER")
    if (named !== undefined) {
      return isName(named) ? named : yield* Effect.fail(optionError("LLM_PROVIDER", JSON.stringify(named), allNames))
    }
    const prefix = model === undefined ? undefined : prefixOf(model)
    if (prefix !== undefined) return prefix
    if (baseUrl !== undefined) return "openai-compatible"
    for (const name of names) {
      if (entryOf(name).requiresKey && (yield* hasKey(entryOf(name)))) return name
    }
    return (
      defaultProvider ??
      (yield* Effect.fail(
        optionError(
          "LLM_PROVIDER",
          "missing, and no key such as OPENAI_API_KEY and no LLM_BASE_URL says which provider is meant",
          allNames
        )
      ))
    )
  })

/**
 * Reads whom the environment asks for, without looking whether their keys are there.
 *
 * The provider is `LLM_PROVIDER`; or else the one that `LLM_MODEL` begins with; or else `openai-compatible` if there
 * is an `LLM_BASE_URL`; or else the first of {@link names} whose key is set; or else `defaultProvider`.
 *
 * Fails with a `ConfigError` that names the variable, its value and what is allowed.
 */
export const settings = (options?: {
  readonly defaultProvider?: string
}): Effect.Effect<Settings, Config.ConfigError> =>
  Effect.gen(function* () {
    const model = yield* text("LLM_MODEL")
    const fallbacks = ((yield* text("LLM_FALLBACKS")) ?? "")
      .split(",")
      .map((each) => each.trim())
      .filter(Boolean)
    const baseUrl = yield* text("LLM_BASE_URL")
    const provider = yield* chooseProvider(model, baseUrl, options?.defaultProvider)
    const providers = new Set<string>([provider])
    const targets: Array<string> = []
    for (const target of model === undefined ? fallbacks : [model, ...fallbacks]) {
      const prefix = prefixOf(target)
      if (prefix !== undefined) providers.add(prefix)
      else if (target.includes("/") && baseUrl === undefined && isName(provider) && !entryOf(provider).slashes) {
        // A typing error, most likely, that would else come back from the wrong provider as an unknown model.
        const variable = target === model ? "LLM_MODEL" : "LLM_FALLBACKS"
        return yield* Effect.fail(
          optionError(variable, JSON.stringify(target), `provider/model, with a provider of ${allNames}`)
        )
      }
      targets.push(prefix === undefined ? `${provider}/${target}` : target)
    }
    return { provider, providers: [...providers], targets }
  })

const missingKey = (name: Name, main: string): Config.ConfigError => {
  const own = entryOf(name).keyVariables[0]!
  const allowed = `a key of ${name}, or several with commas between`
  return name === main
    ? optionError(`LLM_API_KEY or ${own}`, "missing", allowed)
    : optionError(
        own,
        "missing",
        `${allowed} (if it is a model of ${main} that has ${name} in its name: ${main}/${name}/…)`
      )
}

const providerLayer = (name: Name, main: string): Effect.Effect<ProviderLayer, Config.ConfigError> =>
  Effect.gen(function* () {
    const entry = entryOf(name)
    if (name !== main) {
      if (entry.requiresKey && !(yield* hasKey(entry))) return yield* Effect.fail(missingKey(name, main))
      return entry.layerConfig({})
    }
    const keys = yield* checkKeys(yield* secret("LLM_API_KEY"), false, "LLM_API_KEY")
    const url = yield* text("LLM_BASE_URL")
    if (entry.requiresKey && keys.length === 0 && !(yield* hasKey(entry))) {
      return yield* Effect.fail(missingKey(name, main))
    }
    return entry.layerConfig({
      ...(keys.length === 0 ? {} : { apiKey: keys }),
      ...(url === undefined ? {} : { baseUrl: yield* checkBaseUrl(url, "LLM_BASE_URL") })
    })
  })

/** A provider that only a default of the program names is not needed if no target asks for it. */
const isNeeded = (name: Name, { provider, targets }: Settings): Effect.Effect<boolean, Config.ConfigError> =>
  Effect.gen(function* () {
    const entry = entryOf(name)
    if (name !== provider || targets.length === 0 || targets.some((target) => prefixOf(target) === name)) return true
    return !entry.requiresKey || (yield* secret("LLM_API_KEY")).length > 0 || (yield* hasKey(entry))
  })

/**
 * The providers that the environment names: the one of {@link settings}, with its key from `LLM_API_KEY` and its
 * address from `LLM_BASE_URL` if they are set, and every provider in `LLM_MODEL` and `LLM_FALLBACKS`, with keys and
 * addresses from their own variables.
 *
 * Fails with a `ConfigError` that names the variable, its value (never a key's) and what is allowed.
 */
export const layerConfig: Layer.Layer<LLMProvider.Providers, Config.ConfigError, HttpClient.HttpClient> = Layer.unwrap(
  Effect.gen(function* () {
    const wanted = yield* settings()
    const layers: Array<ProviderLayer> = []
    for (const name of wanted.providers as ReadonlyArray<Name>) {
      if (yield* isNeeded(name, wanted)) layers.push(yield* providerLayer(name, wanted.provider))
    }
    return LLMProvider.layer(...layers)
  })
)
