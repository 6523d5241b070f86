/**
 * Hugging Face, through its router of inference providers.
 *
 * For an endpoint of your own, give its address as `baseUrl`.
 */
import { always, preset, type PresetModule, type PresetOptions } from "./internal/Preset.ts"

export type Options = PresetOptions

const module = preset({
  name: "huggingface",
  baseUrl: "https://router.huggingface.co/v1",
  keyVariable: "HF_TOKEN",
  urlVariable: "HF_BASE_URL",
  requiresKey: true,
  capabilities: always({ tools: true, jsonSchema: true, vision: true })
})

/** Makes the provider. Fails with a `ConfigError` that names the wrong option, or if there is no key. */
export const make: PresetModule["make"] = module.make

/** The provider as a Layer, from options. */
export const layer: PresetModule["layer"] = module.layer

/**
 * The provider as a Layer, its key read from `HF_TOKEN` (several with commas between) and its address from
 * `HF_BASE_URL`, if the options do not have them.
 */
export const layerConfig: PresetModule["layerConfig"] = module.layerConfig
