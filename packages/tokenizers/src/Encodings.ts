/**
 * The public encodings, and which model uses which.
 *
 * Counting is `gpt-tokenizer`'s. An encoding is a megabyte or two of ranks that take some 300 ms to read, so it is
 * imported when it is first used, once.
 */
import type { Tokenizer } from "@breakwater/core"
import * as Effect from "effect/Effect"
import { withoutLongRuns } from "./internal/longRuns.ts"

export type EncodingName = "o200k_base" | "cl100k_base"

/** Texts that look like special tokens are text: a prompt cannot contain the real ones. */
const asText = { disallowedSpecial: new Set<string>() }

interface Module {
  readonly countTokens: (text: string, options: typeof asText) => number
}

const counterOf = (module: Module): ((text: string) => number) => {
  const { countTokens } = module
  return (text) => {
    const pieces = withoutLongRuns(text)
    if (pieces.length === 1) return countTokens(text, asText)
    let tokens = 0
    for (const piece of pieces) tokens += countTokens(piece, asText)
    return tokens
  }
}

const modules: Readonly<Record<EncodingName, () => Promise<Module>>> = {
  o200k_base: () => import("gpt-tokenizer/encoding/o200k_base"),
  cl100k_base: () => import("gpt-tokenizer/encoding/cl100k_base")
}

const encoding = (name: EncodingName): Tokenizer.Encoding => ({
  name,
  load: Effect.map(Effect.tryPromise(modules[name]), counterOf)
})

/** The encodings, by name. */
export const encodings: Readonly<Record<EncodingName, Tokenizer.Encoding>> = {
  o200k_base: encoding("o200k_base"),
  cl100k_base: encoding("cl100k_base")
}

// The first that matches. A router's prefix (`openai/gpt-4o`) and a fine-tune's (`ft:gpt-4o:…`) are taken off before.
const rules: ReadonlyArray<readonly [pattern: RegExp, name: EncodingName]> = [
  [
    /^(?:chatgpt-4o|gpt-4o|gpt-4\.[1-9]|gpt-[5-9](?:[.-]|$)|gpt-oss|o[1-9](?:-|$)|codex-mini|computer-use)/,
    "o200k_base"
  ],
  [/^(?:gpt-4(?:-|$)|gpt-3\.5|gpt-35-turbo|text-embedding-(?:3|ada-002)|davinci-002|babbage-002)/, "cl100k_base"]
]

/** The encoding of a model of OpenAI's, under its own name or behind a router's prefix. */
export const encodingNameOf = (model: string): EncodingName | undefined => {
  const bare = model
    .toLowerCase()
    .slice(model.lastIndexOf("/") + 1)
    .replace(/^ft:/, "")
  return rules.find(([pattern]) => pattern.test(bare))?.[1]
}

/** The encoding of a model, ready to be loaded; `undefined` for one that is not known. */
export const encodingOf = (model: string): Tokenizer.Encoding | undefined => {
  const name = encodingNameOf(model)
  return name === undefined ? undefined : encodings[name]
}
