/**
 * Google's Gemini, by the interface of AI Studio.
 *
 * `generateContent`, whole and streamed, and embeddings in batches. A day's quota that is used up is a
 * `QuotaExhaustedError`, although the provider names a wait of seconds with it.
 */
import type { LLMProvider } from "@breakwater/core"
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import type * as HttpClient from "effect/http/HttpClient"
import type * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import { make, type Options } from "./gemini/Provider.ts"
import { fromVariables } from "./internal/Preset.ts"
import { layerOf } from "./openai-compatible/Provider.ts"

export { make, type Options } from "./gemini/Provider.ts"

type ProviderLayer = Layer.Layer<LLMProvider.LLMProvider, Config.ConfigError, HttpClient.HttpClient>

/** The provider as a Layer. Fails with a `ConfigError` that names the wrong option, or if there is no key. */
export const layer = (options: Options): ProviderLayer => layerOf(make(options))

const isSet = (variable: string) =>
  Effect.map(
    Config.option(Config.Redacted(variable)),
    (value) => Option.isSome(value) && Redacted.value(value.value).trim().length > 0
  )

/**
 * The provider as a Layer, its key read from `GEMINI_API_KEY`, or else from `GOOGLE_API_KEY` (several with commas
 * between), and its address from `GEMINI_BASE_URL`, if the options do not have them.
 */
export const layerConfig = (options: Options = {}): ProviderLayer =>
  layerOf(
    Effect.gen(function* () {
      const other = !(yield* isSet("GEMINI_API_KEY")) && (yield* isSet("GOOGLE_API_KEY"))
      const keyVariable = other ? "GOOGLE_API_KEY" : "GEMINI_API_KEY"
      const variables = { keyVariable, urlVariable: "GEMINI_BASE_URL", requiresKey: true }
      return yield* make(yield* fromVariables(variables, options))
    })
  )
