/**
 * Presets of the OpenAI-compatible provider: an address, the variables it is configured by, and a dialect.
 */
import type { LLMProvider, Model } from "@breakwater/core"
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import type * as HttpClient from "effect/http/HttpClient"
import type * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as OpenAICompatible from "../openai-compatible/Provider.ts"
import { checkBaseUrl, optionError, splitKeys } from "./Options.ts"

/** What a program may set of a preset; everything has a default but a key that is needed. */
export type PresetOptions = Partial<Omit<OpenAICompatible.Options, "dialect" | "keyHeader" | "path">>

export interface Preset {
  readonly name: string
  readonly baseUrl: string
  /** The variable of the key. */
  readonly keyVariable: string
  /** The variable of the address. */
  readonly urlVariable: string
  readonly requiresKey: boolean
  readonly capabilities: (model: string) => Model.Capabilities
  readonly dialect?: OpenAICompatible.Dialect
}

type ProviderLayer = Layer.Layer<LLMProvider.LLMProvider, Config.ConfigError, HttpClient.HttpClient>

export interface PresetModule {
  readonly make: (
    options?: PresetOptions
  ) => Effect.Effect<LLMProvider.Provider, Config.ConfigError, HttpClient.HttpClient>
  readonly layer: (options?: PresetOptions) => ProviderLayer
  readonly layerConfig: (options?: PresetOptions) => ProviderLayer
}

/** Capabilities that hold for every model of a provider. */
export const always = (capabilities: Model.Capabilities) => (): Model.Capabilities => capabilities

/** The options of a preset, filled in from variables where the program is silent. */
export const fromVariables = <A extends Pick<PresetOptions, "apiKey" | "baseUrl">>(
  preset: Pick<Preset, "keyVariable" | "urlVariable" | "requiresKey">,
  options: A
): Effect.Effect<A, Config.ConfigError> =>
  Effect.gen(function* () {
    const key =
      options.apiKey === undefined
        ? Option.map(yield* Config.option(Config.Redacted(preset.keyVariable)), splitKeys)
        : Option.none()
    const url = options.baseUrl === undefined ? yield* Config.option(Config.String(preset.urlVariable)) : Option.none()
    const apiKey = Option.isSome(key) && key.value.length > 0 ? key.value : options.apiKey
    if (apiKey === undefined && preset.requiresKey) {
      return yield* Effect.fail(optionError(preset.keyVariable, "missing", "a key, or several with commas between"))
    }
    const baseUrl =
      Option.isSome(url) && url.value.trim().length > 0
        ? yield* checkBaseUrl(url.value.trim(), preset.urlVariable)
        : options.baseUrl
    return {
      ...options,
      ...(apiKey === undefined ? {} : { apiKey }),
      ...(baseUrl === undefined ? {} : { baseUrl })
    }
  })

/** The module of a preset. */
export const preset = (definition: Preset): PresetModule => {
  const make: PresetModule["make"] = (options) =>
    OpenAICompatible.make({
      name: definition.name,
      baseUrl: definition.baseUrl,
      requiresKey: definition.requiresKey,
      capabilities: definition.capabilities,
      ...(definition.dialect === undefined ? {} : { dialect: definition.dialect }),
      ...options
    })
  return {
    make,
    layer: (options) => OpenAICompatible.layerOf(make(options)),
    layerConfig: (options) => OpenAICompatible.layerOf(Effect.flatMap(fromVariables(definition, options ?? {}), make))
  }
}
