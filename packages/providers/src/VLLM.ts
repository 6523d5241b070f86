/**
 * A vLLM server.
 */
import { always, preset, type PresetModule, type PresetOptions } from "./internal/Preset.ts"

export type Options = PresetOptions

const module = preset({
  name: "vllm",
  baseUrl: "http://localhost:8000/v1",
  keyVariable: "VLLM_API_KEY",
  urlVariable: "VLLM_BASE_URL",
  requiresKey: false,
  capabilities: always({ tools: true, jsonSchema: true, vision: true, embeddings: true, prefill: true }),
  dialect: { prefillFields: { continue_final_message: true, add_generation_prompt: false } }
})

/** Makes the provider. Fails with a `ConfigError` that names the wrong option. */
export const make: PresetModule["make"] = module.make

/** The provider as a Layer, from options. */
export const layer: PresetModule["layer"] = module.layer

/**
 * The provider as a Layer, its key read from `VLLM_API_KEY` (several with commas between) and its address from
 * `VLLM_BASE_URL`, if the options do not have them.
 */
export const layerConfig: PresetModule["layerConfig"] = module.layerConfig
