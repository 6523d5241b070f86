/**
 * OpenAI's models on Azure.
 *
 * A model is the name of a deployment. Limits and errors are OpenAI's; a filter's verdict names its categories.
 */
import type { LLMProvider } from "@breakwater/core"
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import type * as HttpClient from "effect/http/HttpClient"
import type * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { checkBaseUrl, optionError } from "./internal/Options.ts"
import { fromVariables, type PresetOptions } from "./internal/Preset.ts"
import { openAiDialect } from "./openai-compatible/Models.ts"
import * as OpenAICompatible from "./openai-compatible/Provider.ts"

export interface Options extends Omit<PresetOptions, "baseUrl" | "organization" | "project"> {
  /** The resource's address, such as `https://my-resource.openai.azure.com`. */
  readonly baseUrl?: string
  /** The version of the interface, a date. Default: `2024-10-21`. */
  readonly apiVersion?: string
}

const defaultVersion = "2024-10-21"

const variables = { keyVariable: "AZURE_OPENAI_API_KEY", urlVariable: "AZURE_OPENAI_BASE_URL", requiresKey: true }

/** Makes the provider. Fails with a `ConfigError` that names the wrong option, or if key or address is missing. */
export const make = (
  options: Options
): Effect.Effect<LLMProvider.Provider, Config.ConfigError, HttpClient.HttpClient> =>
  Effect.suspend(() => {
    const { apiVersion = defaultVersion, baseUrl, ...rest } = options
    if (baseUrl === undefined) {
      return Effect.fail(optionError("baseUrl", "missing", "the address of the Azure resource"))
    }
    if (!/^\d{4}-\d{2}-\d{2}(?:-preview)?$/.test(apiVersion)) {
      return Effect.fail(optionError("apiVersion", JSON.stringify(apiVersion), "a date such as 2024-10-21"))
    }
    return Effect.flatMap(checkBaseUrl(baseUrl), (address) =>
      OpenAICompatible.make({
        name: "azure",
        requiresKey: true,
        capabilities: { tools: true, jsonSchema: true, vision: true, embeddings: true, prefill: false },
        ...rest,
        baseUrl: address,
        dialect: openAiDialect,
        keyHeader: (key) => ["api-key", key],
        path: (operation, model) =>
          `/openai/deployments/${encodeURIComponent(model)}/${
            operation === "chat" ? "chat/completions" : "embeddings"
          }?api-version=${apiVersion}`
      })
    )
  })

/** The provider as a Layer, from options. */
export const layer = (
  options: Options
): Layer.Layer<LLMProvider.LLMProvider, Config.ConfigError, HttpClient.HttpClient> =>
  OpenAICompatible.layerOf(make(options))

/**
 * The provider as a Layer, from `AZURE_OPENAI_API_KEY` (several with commas between), `AZURE_OPENAI_BASE_URL` and
 * `AZURE_OPENAI_API_VERSION`, where the options do not say.
 */
export const layerConfig = (
  options: Options = {}
): Layer.Layer<LLMProvider.LLMProvider, Config.ConfigError, HttpClient.HttpClient> =>
  OpenAICompatible.layerOf(
    Effect.gen(function* () {
      const filled = yield* fromVariables(variables, options)
      const version = yield* Config.option(Config.NonEmptyString("AZURE_OPENAI_API_VERSION"))
      return yield* make(
        filled.apiVersion === undefined && Option.isSome(version) ? { ...filled, apiVersion: version.value } : filled
      )
    })
  )
