/**
 * Counts the tokens of texts and messages, and says whether it counted or estimated.
 *
 * **When to use**
 *
 * Use it to know what a prompt costs and whether it fits, before it is sent. `ContextWindow` is built on it.
 *
 * **Details**
 *
 * A model whose encoding is known is counted exactly; `@breakwater/tokenizers` brings the encodings of OpenAI's models.
 * Any other is estimated from its words, digits, punctuation and scripts, and the estimate is corrected by what the
 * provider reports: a moving average of reported to estimated tokens for each model.
 *
 * **Gotchas**
 *
 * The texts of messages are exact where the encoding is; what a provider puts around tools, files and tool calls is not
 * documented, so a count with any of these is `estimated`, and rather too high.
 *
 * Counts of messages are remembered by the message object. Give a changed message as a new object.
 *
 * **Example** (Estimating a text)
 *
 * ```ts
 * import { Tokenizer } from "@breakwater/core"
 * import * as Effect from "effect/Effect"
 *
 * const program = Effect.gen(function*() {
 *   const tokenizer = yield* Tokenizer.Tokenizer
 *   return yield* tokenizer.count("some/model", "The quick brown fox jumps over the lazy dog.")
 * }).pipe(Effect.provide(Tokenizer.layer()))
 *
 * await Effect.runPromise(program) // => { tokens: 10, method: "estimated" }
 * ```
 */
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Message } from "../domain/Message.ts"
import type { ProviderRequest } from "../domain/Request.ts"
import type { ToolDefinition } from "../domain/Tool.ts"
import type { Usage } from "../domain/Usage.ts"
import { besides, hasFile, ofMessage, unitsOf } from "../internal/messageTokens.ts"
import { optionError, validate, wholeInRange } from "../internal/options.ts"
import { type Calibration, observe, uncalibrated } from "../internal/tokenCalibration.ts"
import { estimate, type Profile, profileOf } from "../internal/tokenEstimate.ts"
import { count, type Counter, countMessage, type Seen } from "./Tokenizer/counting.ts"

export { count as countWith, type Counter, countMessage as countMessageWith } from "./Tokenizer/counting.ts"
export type { Calibration } from "../internal/tokenCalibration.ts"

/** How a number came about: counted by the model's encoding or its provider, or estimated. */
export type Method = "exact" | "estimated"

export interface TokenCount {
  readonly tokens: number
  readonly method: Method
}

/** An encoding that is public. */
export interface Encoding {
  /** `o200k_base`, `cl100k_base`, …: models of the same name share it. */
  readonly name: string
  /** Makes the counter ready, when it is first needed. It is given pieces of at most 16,384 UTF-16 units. */
  readonly load: Effect.Effect<(text: string) => number, unknown>
}

/** Asks a provider for the tokens of a prompt. A failure is answered by a count of our own. */
export type CountEndpoint = (
  model: string,
  messages: ReadonlyArray<Message>,
  tools: ReadonlyArray<ToolDefinition> | undefined
) => Effect.Effect<number, unknown> | undefined

export interface Options {
  /** The encoding of a model, if it is known. Default: of none. */
  readonly encodingOf?: (model: string) => Encoding | undefined
  /** The provider's own count, for `countMessages` only: it costs a call. `undefined` for models without one. */
  readonly endpoint?: CountEndpoint
  /** Models whose correction is remembered; the one learned longest ago goes first. 1 to 1,000,000, default 1,000. */
  readonly maxModels?: number
}

export const defaults = { maxModels: 1_000 } as const

export interface TokenizerService {
  /** Tokens of a text, as the model reads it. Text that looks like a special token is counted as text. */
  readonly count: (model: string, text: string) => Effect.Effect<TokenCount>
  /** Tokens of a prompt: its messages with their overhead, the tools, and the beginning of the answer. */
  readonly countMessages: (
    model: string,
    messages: ReadonlyArray<Message>,
    tools?: ReadonlyArray<ToolDefinition>
  ) => Effect.Effect<TokenCount>
  /** What counts for a model, loaded: for those who count many pieces. */
  readonly counter: (model: string) => Effect.Effect<Counter>
  /** Learns from what a provider reported for a request. Says nothing about models that are counted exactly. */
  readonly learn: (request: ProviderRequest, usage: Usage) => void
  /** The correction of a model's estimates. */
  readonly calibration: (model: string) => Calibration
}

export class Tokenizer extends Context.Service<Tokenizer, TokenizerService>()("@breakwater/core/Tokenizer") {}

/** Prompts longer than this are not learned from: estimating them again would take milliseconds. */
const longestLearned = 1_000_000

const build = (options: Options): TokenizerService => {
  const maxModels = options.maxModels ?? defaults.maxModels
  const calibrations = new Map<string, Calibration>()
  const encodings = new Map<string, Counter>()
  const estimates = new Map<Profile, Seen>()

  const calibration = (model: string): Calibration => calibrations.get(model) ?? uncalibrated

  const estimator = (model: string): Counter => {
    const by = profileOf(model)
    let seen = estimates.get(by)
    if (seen === undefined) estimates.set(by, (seen = new WeakMap()))
    return { method: "estimated", piece: (text) => estimate(text, by), ratio: calibration(model).ratio, seen }
  }

  const counter = (model: string): Effect.Effect<Counter> =>
    Effect.suspend(() => {
      const encoding = options.encodingOf?.(model)
      if (encoding === undefined) return Effect.succeed(estimator(model))
      const ready = encodings.get(encoding.name)
      if (ready !== undefined) return Effect.succeed(ready)
      return Effect.match(encoding.load, {
        // An encoding that cannot be loaded is no reason to fail a call.
        onFailure: () => estimator(model),
        onSuccess: (piece) => {
          const made: Counter = { method: "exact", piece, ratio: 1, seen: new WeakMap() }
          encodings.set(encoding.name, made)
          return made
        }
      })
    })

  const countLocally = (
    model: string,
    messages: ReadonlyArray<Message>,
    tools: ReadonlyArray<ToolDefinition> | undefined
  ): Effect.Effect<TokenCount> =>
    Effect.flatMap(counter(model), (by) => {
      const around = besides(tools === undefined ? {} : { tools })
      const exact = by.method === "exact" && around.exact && messages.every((message) => ofMessage(message).exact)
      return Effect.map(
        Effect.flatMap(count(by, around), (besidesThem) =>
          Effect.reduce(
            messages,
            () => besidesThem,
            (total, message) => Effect.map(countMessage(by, message), (tokens) => total + tokens)
          )
        ),
        (tokens): TokenCount => ({ tokens, method: exact ? "exact" : "estimated" })
      )
    })

  return {
    count: (model, text) =>
      Effect.flatMap(counter(model), (by) =>
        Effect.map(count(by, { texts: [text], fixed: 0, exact: true }), (tokens): TokenCount => ({
          tokens,
          method: by.method
        }))
      ),
    countMessages: (model, messages, tools) =>
      Effect.suspend(() => {
        const locally = countLocally(model, messages, tools)
        const asked = options.endpoint?.(model, messages, tools)
        return asked === undefined
          ? locally
          : Effect.matchEffect(asked, {
              onFailure: () => locally,
              onSuccess: (tokens) =>
                Number.isSafeInteger(tokens) && tokens >= 0
                  ? Effect.succeed<TokenCount>({ tokens, method: "exact" })
                  : locally
            })
      }),
    counter,
    learn: (request, usage) => {
      if (usage.estimated === true || options.encodingOf?.(request.model) !== undefined) return
      if (request.messages.some(hasFile)) return
      const parts = [besides(request), ...request.messages.map(ofMessage)]
      if (parts.reduce((units, part) => units + unitsOf(part), 0) > longestLearned) return
      const by = profileOf(request.model)
      let estimated = 0
      let fixed = 0
      for (const part of parts) {
        fixed += part.fixed
        for (const text of part.texts) estimated += estimate(text, by)
      }
      const before = calibration(request.model)
      const after = observe(before, estimated, usage.inputTokens - fixed)
      if (after === before) return
      calibrations.delete(request.model)
      calibrations.set(request.model, after)
      if (calibrations.size > maxModels) calibrations.delete(calibrations.keys().next().value!)
    },
    calibration
  }
}

/** A tokenizer. Fails with a `ConfigError` for a wrong option. */
export const make = (options: Options = {}): Effect.Effect<TokenizerService, Config.ConfigError> =>
  Effect.map(
    validate([
      options.maxModels === undefined ? undefined : wholeInRange("maxModels", options.maxModels, 1, 1_000_000),
      ...(["encodingOf", "endpoint"] as const).map((field) =>
        options[field] === undefined || typeof options[field] === "function"
          ? undefined
          : optionError(field, options[field], "a function")
      )
    ]),
    () => build(options)
  )

/** {@link make} as a Layer. */
export const layer = (options?: Options): Layer.Layer<Tokenizer, Config.ConfigError> =>
  Layer.effect(Tokenizer, make(options))

/** {@link layer} with its options from configuration. */
export const layerConfig = (options: Config.Wrap<Options>): Layer.Layer<Tokenizer, Config.ConfigError> =>
  Layer.effect(Tokenizer, Effect.flatMap(Config.unwrap(options), make))
