/**
 * The core's `Tokenizer` with exact counts for models whose encoding is public.
 *
 * **Example** (Counting exactly)
 *
 * ```ts
 * import { Tokenizer } from "@breakwater/core"
 * import { Tokenizers } from "@breakwater/tokenizers"
 * import * as Effect from "effect/Effect"
 *
 * const program = Effect.gen(function*() {
 *   const tokenizer = yield* Tokenizer.Tokenizer
 *   return yield* tokenizer.count("gpt-4o", "The quick brown fox jumps over the lazy dog.")
 * }).pipe(Effect.provide(Tokenizers.layer()))
 *
 * await Effect.runPromise(program) // => { tokens: 10, method: "exact" }
 * ```
 */
import { Tokenizer } from "@breakwater/core"
import type * as Config from "effect/Config"
import type * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import { type EncodingName, encodingOf, encodings } from "./Encodings.ts"

export interface Options extends Omit<Tokenizer.Options, "encodingOf"> {
  /** Encodings of models that the names do not tell: a deployment, a fine-tune under a name of its own. */
  readonly models?: Readonly<Record<string, EncodingName>>
}

const withEncodings = ({ models = {}, ...options }: Options): Tokenizer.Options => ({
  ...options,
  encodingOf: (model) => (Object.hasOwn(models, model) ? encodings[models[model]!] : encodingOf(model))
})

/** A tokenizer that counts exactly what it can. Fails with a `ConfigError` for a wrong option. */
export const make = (options: Options = {}): Effect.Effect<Tokenizer.TokenizerService, Config.ConfigError> =>
  Tokenizer.make(withEncodings(options))

/** {@link make} as a Layer. Nothing is loaded before the first count. */
export const layer = (options: Options = {}): Layer.Layer<Tokenizer.Tokenizer, Config.ConfigError> =>
  Tokenizer.layer(withEncodings(options))
