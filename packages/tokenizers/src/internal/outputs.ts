/**
 * The largest answers of well-known models, in tokens, thoughts included, as the makers' model pages state them in 2026.
 * The tables of windows and of prices have them not. A model that is not here has none, and nothing is assumed of it.
 */

/**
 * By the beginning of a name, the first that fits; dots in names are written as dashes. `undefined` for those that differ
 * from what comes after them, and whose number is not certain.
 */
const largest: ReadonlyArray<readonly [beginning: string, tokens: number | undefined]> = [
  ["gpt-5-chat", undefined],
  ["gpt-5-pro", undefined],
  ["gpt-5", 128_000],
  ["gpt-4-1", 32_768],
  ["gpt-4o-2024-05-13", undefined],
  ["gpt-4o", 16_384],
  ["chatgpt-4o", 16_384],
  ["gpt-4-turbo", 4_096],
  ["gpt-4-32k", undefined],
  ["gpt-4", 8_192],
  ["gpt-3-5-turbo", 4_096],
  ["o1-preview", undefined],
  ["o1-mini", undefined],
  ["o1", 100_000],
  ["o3", 100_000],
  ["o4-mini", 100_000],
  ["claude-3-7-sonnet", 64_000],
  ["claude-3-5", 8_192],
  ["claude-3", 4_096],
  ["claude-haiku-4-5", 64_000],
  ["claude-fable-5", 128_000],
  ["claude-opus-5", 128_000],
  ["claude-sonnet-5", 128_000],
  ["claude-opus-4-8", 128_000],
  ["claude-opus-4-7", 128_000],
  ["claude-opus-4-6", 128_000],
  ["claude-sonnet-4-6", 128_000],
  ["claude-opus-4-5", 64_000],
  ["claude-opus-4", 32_000],
  ["claude-sonnet-4", 64_000],
  ["gemini-3", 65_536],
  ["gemini-2-5", 65_536],
  ["gemini-2-0", 8_192],
  ["gemini-1-5", 8_192]
]

/** Models of the same names that answer otherwise than in text, with limits of their own. */
const other = /image|audio|tts|realtime|live|transcribe|search/

/** The largest answer of a model, by its name without a router's prefix; `undefined` where it is not known. */
export const largestAnswer = (model: string): number | undefined => {
  const name = model
    .slice(model.lastIndexOf("/") + 1)
    .toLowerCase()
    .replaceAll(".", "-")
    .replace(/^(?:[a-z]{2,4}-)?anthropic-/, "")
  if (other.test(name)) return undefined
  return largest.find(([beginning]) => name === beginning || name.startsWith(`${beginning}-`))?.[1]
}
