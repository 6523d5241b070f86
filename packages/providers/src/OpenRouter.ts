/**
 * OpenRouter: many providers behind one key.
 *
 * The price it reports with each answer is `usage.reportedCostUsd`. Name models as it does, slashes and all
 * (`openrouter/meta-llama/llama-3.3-70b-instruct`).
 */
import { always, preset, type PresetModule, type PresetOptions } from "./internal/Preset.ts"

export type Options = PresetOptions

const module = preset({
  name: "openrouter",
  baseUrl: "https://openrouter.ai/api/v1",
  keyVariable: "OPENROUTER_API_KEY",
  urlVariable: "OPENROUTER_BASE_URL",
  requiresKey: true,
  capabilities: always({ tools: true, jsonSchema: true, vision: true, embeddings: true, prefill: true }),
  dialect: { reasoningField: "reasoning", chatFields: { usage: { include: true } } }
})

/** Makes the provider. Fails with a `ConfigError` that names the wrong option, or if there is no key. */
export const make: PresetModule["make"] = module.make

/** The provider as a Layer, from options. */
export const layer: PresetModule["layer"] = module.layer

/**
 * The provider as a Layer, its key read from `OPENROUTER_API_KEY` (several with commas between) and its address from
 * `OPENROUTER_BASE_URL`, if the options do not have them.
 */
export const layerConfig: PresetModule["layerConfig"] = module.layerConfig
