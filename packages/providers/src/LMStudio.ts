/**
 * LM Studio on this machine.
 *
 * It answers a prompt that does not fit with an error text in a successful answer; that is a `ContextLengthError` here.
 */
import { always, preset, type PresetModule, type PresetOptions } from "./internal/Preset.ts"

export type Options = PresetOptions

const module = preset({
  name: "lmstudio",
  baseUrl: "http://localhost:1234/v1",
  keyVariable: "LMSTUDIO_API_KEY",
  urlVariable: "LMSTUDIO_BASE_URL",
  requiresKey: false,
  capabilities: always({ tools: true, jsonSchema: true, vision: true, embeddings: true }),
  dialect: { errorsInText: true }
})

/** Makes the provider. Fails with a `ConfigError` that names the wrong option. */
export const make: PresetModule["make"] = module.make

/** The provider as a Layer, from options. */
export const layer: PresetModule["layer"] = module.layer

/**
 * The provider as a Layer, its key read from `LMSTUDIO_API_KEY` (several with commas between) and its address from
 * `LMSTUDIO_BASE_URL`, if the options do not have them.
 */
export const layerConfig: PresetModule["layerConfig"] = module.layerConfig
