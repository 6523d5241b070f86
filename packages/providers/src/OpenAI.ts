/**
 * OpenAI.
 *
 * Chat completions and embeddings. `top_k` is not known there and is left out.
 */
import { preset, type PresetModule, type PresetOptions } from "./internal/Preset.ts"
import { openAiCapabilities, openAiDialect } from "./openai-compatible/Models.ts"

export type Options = PresetOptions

const module = preset({
  name: "openai",
  baseUrl: "https://api.openai.com/v1",
  keyVariable: "OPENAI_API_KEY",
  urlVariable: "OPENAI_BASE_URL",
  requiresKey: true,
  capabilities: openAiCapabilities,
  dialect: openAiDialect
})

/** Makes the provider. Fails with a `ConfigError` that names the wrong option, or if there is no key. */
export const make: PresetModule["make"] = module.make

/** The provider as a Layer, from options. */
export const layer: PresetModule["layer"] = module.layer

/**
 * The provider as a Layer, its key read from `OPENAI_API_KEY` (several with commas between) and its address from
 * `OPENAI_BASE_URL`, if the options do not have them.
 */
export const layerConfig: PresetModule["layerConfig"] = module.layerConfig
