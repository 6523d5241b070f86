/**
 * Anthropic.
 *
 * Messages, whole and streamed; no embeddings. Without `maxTokens` a request asks for the largest answer of its
 * model, because the wire needs a number. Sampling that a model refuses (all of it since Opus 4.7) is not sent.
 */
import type { LLMProvider } from "@breakwater/core"
import type * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import type * as HttpClient from "effect/http/HttpClient"
import type * as Layer from "effect/Layer"
import { make, type Options } from "./anthropic/Provider.ts"
import { fromVariables } from "./internal/Preset.ts"
import { layerOf } from "./openai-compatible/Provider.ts"

export { make, type Options } from "./anthropic/Provider.ts"

type ProviderLayer = Layer.Layer<LLMProvider.LLMProvider, Config.ConfigError, HttpClient.HttpClient>

/** The provider as a Layer. Fails with a `ConfigError` that names the wrong option, or if there is no key. */
export const layer = (options: Options): ProviderLayer => layerOf(make(options))

const variables = { keyVariable: "ANTHROPIC_API_KEY", urlVariable: "ANTHROPIC_BASE_URL", requiresKey: true }

/**
 * The provider as a Layer, its key read from `ANTHROPIC_API_KEY` (several with commas between) and its address from
 * `ANTHROPIC_BASE_URL`, if the options do not have them.
 */
export const layerConfig = (options: Options = {}): ProviderLayer =>
  layerOf(Effect.flatMap(fromVariables(variables, options), make))
