/**
 * What spans say beyond the usual.
 *
 * Spans need no Layer of their own: they are made wherever a tracer is in place. Prompts and answers are not part of
 * them, unless a program asks for it here.
 */
import type * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { validate, wholeInRange } from "../internal/options.ts"
import type { ContentPlace, ContentSettings } from "../internal/spanContent.ts"

export type { ContentPlace } from "../internal/spanContent.ts"

/** How prompts and answers are put down. */
export interface ContentOptions {
  /**
   * Called with every text before it is put down; what it answers is put down instead. Where it throws, the text is left
   * out.
   */
  readonly redact?: (text: string, place: ContentPlace) => string
  /** Characters of each attribute's texts at most, from 1 to 1,000,000. Default 10,000. */
  readonly maxCharacters?: number
}

/** The default of every option that has one. */
export const contentDefaults = { maxCharacters: 10_000 } as const

/** How spans carry prompts and answers; `undefined`, the default, for not at all. */
export const Content = Context.Reference<ContentSettings | undefined>("@breakwater/core/SpanContent", {
  defaultValue: () => undefined
})

/**
 * Puts prompts and answers on the spans of attempts, as the conventions say: `gen_ai.system_instructions`,
 * `gen_ai.input.messages` and `gen_ai.output.messages`, as JSON.
 *
 * **Gotchas**
 *
 * Whoever reads the spans reads what users wrote. Files are told by their kind and size only. A conversation that is
 * longer than `maxCharacters` keeps its latest messages, and the span says `breakwater.content.truncated`.
 *
 * Fails with a `ConfigError` for a wrong option.
 */
export const layerContent = (options: ContentOptions = {}): Layer.Layer<never, Config.ConfigError> => {
  const { maxCharacters = contentDefaults.maxCharacters, redact } = options
  return Layer.effect(
    Content,
    Effect.as(validate([wholeInRange("maxCharacters", maxCharacters, 1, 1_000_000)]), { maxCharacters, redact })
  )
}
