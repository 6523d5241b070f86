/**
 * SambaNova Cloud.
 */
import { always, preset, type PresetModule, type PresetOptions } from "./internal/Preset.ts"

export type Options = PresetOptions

const module = preset({
  name: "sambanova",
  baseUrl: "https://api.sambanova.ai/v1",
  keyVariable: "SAMBANOVA_API_KEY",
  urlVariable: "SAMBANOVA_BASE_URL",
  requiresKey: true,
  capabilities: always({ tools: true, jsonSchema: true, vision: true, embeddings: true })
})

/** Makes the provider. Fails with a `ConfigError` that names the wrong option, or if there is no key. */
export const make: PresetModule["make"] = module.make

/** The provider as a Layer, from options. */
export const layer: PresetModule["layer"] = module.layer

/**
 * The provider as a Layer, its key read from `SAMBANOVA_API_KEY` (several with commas between) and its address from
 * `SAMBANOVA_BASE_URL`, if the options do not have them.
 */
export const layerConfig: PresetModule["layerConfig"] = module.layerConfig
