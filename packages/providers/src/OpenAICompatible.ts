/** Any server that speaks OpenAI's chat completions. */
export { type Dialect, layer, layerConfig, make, type Options } from "./openai-compatible/Provider.ts"
