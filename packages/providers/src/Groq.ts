/**
 * Groq.
 */
import { always, preset, type PresetModule, type PresetOptions } from "./internal/Preset.ts"

export type Options = PresetOptions

const module = preset({
  name: "groq",
  baseUrl: "https://api.groq.com/openai/v1",
  keyVariable: "GROQ_API_KEY",
  urlVariable: "GROQ_BASE_URL",
  requiresKey: true,
  capabilities: always({ tools: true, jsonSchema: true, vision: true }),
  dialect: { maxTokensField: "max_completion_tokens", topK: false }
})

/** Makes the provider. Fails with a `ConfigError` that names the wrong option, or if there is no key. */
export const make: PresetModule["make"] = module.make

/** The provider as a Layer, from options. */
export const layer: PresetModule["layer"] = module.layer

/**
 * The provider as a Layer, its key read from `GROQ_API_KEY` (several with commas between) and its address from
 * `GROQ_BASE_URL`, if the options do not have them.
 */
export const layerConfig: PresetModule["layerConfig"] = module.layerConfig
