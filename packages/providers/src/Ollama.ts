/**
 * Ollama on this machine, through its compatible address.
 *
 * It cuts a prompt that does not fit without a word; set `capabilities.contextWindow` to what the server has been
 * given (`num_ctx`), so that the context policy can fit the prompt before it is sent.
 */
import { always, preset, type PresetModule, type PresetOptions } from "./internal/Preset.ts"

export type Options = PresetOptions

const module = preset({
  name: "ollama",
  baseUrl: "http://localhost:11434/v1",
  keyVariable: "OLLAMA_API_KEY",
  urlVariable: "OLLAMA_BASE_URL",
  requiresKey: false,
  capabilities: always({ tools: true, jsonSchema: true, vision: true, embeddings: true, prefill: true })
})

/** Makes the provider. Fails with a `ConfigError` that names the wrong option. */
export const make: PresetModule["make"] = module.make

/** The provider as a Layer, from options. */
export const layer: PresetModule["layer"] = module.layer

/**
 * The provider as a Layer, its key read from `OLLAMA_API_KEY` (several with commas between) and its address from
 * `OLLAMA_BASE_URL`, if the options do not have them.
 */
export const layerConfig: PresetModule["layerConfig"] = module.layerConfig
