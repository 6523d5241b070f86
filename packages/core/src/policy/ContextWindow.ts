/**
 * Fits prompts into the windows of models, before they are sent.
 *
 * **When to use**
 *
 * Use it where conversations grow: a chat, an agent's loop, prompts made of found documents. In the pipeline each target
 * has its own window, so a prompt that is too long for one may go to the next as it is.
 *
 * **Details**
 *
 * - Kept always: the system messages, the last message of the user, what came last, and `keepTurns` turns.
 * - The rest is filled back from the newest, whole turns at a time; a tool call and its result are never parted.
 * - Room for the answer is `maxTokens`, or else `reserve`. It is lowered, to `minAnswer` at least, before a call fails.
 * - What cannot fit fails with `ContextLengthError` and the numbers, before anything is sent or paid.
 * - A `ContextLengthError` of the provider is answered once for each target by a smaller request, from the same number
 *   of attempts.
 *
 * A prompt that is much shorter than the window is not counted at all. A long one is counted in pieces, newest first,
 * and only as far as it matters; other fibers run in between.
 *
 * **Gotchas**
 *
 * Dropping changes the beginning of the prompt, and with it a provider's prompt cache. Where tokens are only estimated,
 * a tenth of the room is left free (`margin`).
 *
 * **Example** (Dropping the oldest turns)
 *
 * ```ts
 * import { ContextWindow, Message, Tokenizer } from "@breakwater/core"
 * import * as Effect from "effect/Effect"
 * import * as Layer from "effect/Layer"
 *
 * const long = "All work and no play makes a dull chapter. ".repeat(20)
 * const messages = [Message.system("Be brief."), Message.user(long), Message.assistant(long), Message.user("Hello?")]
 *
 * const program = Effect.gen(function*() {
 *   const context = yield* ContextWindow.ContextWindow
 *   const fitted = yield* context.fit({ model: "any", messages, maxTokens: 50 }, { model: "any", window: 200 })
 *   return [fitted.request.messages.length, fitted.dropped.messages]
 * }).pipe(Effect.provide(Layer.provide(ContextWindow.layer(), Tokenizer.layer())))
 *
 * await Effect.runPromise(program) // => [2, 2]
 * ```
 */
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { ProviderRequest } from "../domain/Request.ts"
import type { Usage } from "../domain/Usage.ts"
import { type ContextLengthError, InvalidRequestError } from "../errors/LLMError.ts"
import * as Repair from "../internal/contextRepair.ts"
import { fit as fitInto, type FitResult, tooLong } from "./ContextWindow/fit.ts"
import { type Limits, type Options, type Resolved, resolve } from "./ContextWindow/options.ts"
import { Tokenizer, type TokenizerService } from "./Tokenizer.ts"

export { changed, type FitResult } from "./ContextWindow/fit.ts"
export {
  type Compaction,
  defaults,
  type Limits,
  type Options,
  type Strategy,
  type Summarise,
  type SummaryTask
} from "./ContextWindow/options.ts"

/** Where a request is to fit. */
export interface FitTarget {
  readonly model: string
  /** The provider's name, for `windows` and `lookup`. */
  readonly provider?: string | undefined
  /** Prompt and answer together, in tokens, as the provider says. `undefined` where it says nothing. */
  readonly window?: number | undefined
  /** The largest answer in tokens. */
  readonly maxOutput?: number | undefined
}

export interface ContextWindowService {
  /** Whether there is anything to do: the pipeline leaves out a service that is off. */
  readonly enabled: boolean
  /**
   * The request so that prompt and answer fit, and what was done to it. Fails with `ContextLengthError` when they
   * cannot, and with `InvalidRequestError` for a window that is not a whole number above zero.
   */
  readonly fit: (
    request: ProviderRequest,
    target: FitTarget
  ) => Effect.Effect<FitResult, ContextLengthError | InvalidRequestError>
  /**
   * The largest `maxTokens` that fits beside the prompt: what is left of the window, at most the model's largest
   * answer. `undefined` for a window nobody knows. Fails with `ContextLengthError` when nothing is left.
   */
  readonly bestMaxTokens: (
    request: ProviderRequest,
    target: FitTarget
  ) => Effect.Effect<number | undefined, ContextLengthError | InvalidRequestError>
  /** The smaller request after a provider's error; `undefined` if there is none, or repair is off. */
  readonly repair: (request: ProviderRequest, error: ContextLengthError) => ProviderRequest | undefined
  /** Passes on to the tokenizer what a provider reported for a request. Never throws or waits. */
  readonly learn: (request: ProviderRequest, usage: Usage) => void
}

export class ContextWindow extends Context.Service<ContextWindow, ContextWindowService>()(
  "@breakwater/core/ContextWindow"
) {}

/** How {@link repair} chooses. */
export interface RepairOptions {
  /** Default: 1. */
  readonly keepTurns?: number
  /** Keep the first turn, if it fits. Default: false. */
  readonly keepFirst?: boolean
}

/**
 * A smaller request after a provider's `ContextLengthError`: fewer messages by the numbers of the error, or, where no
 * message can be spared, a smaller `maxTokens`. `undefined` where neither would help. Pure; never larger than before.
 */
export const repair = (
  request: ProviderRequest,
  error: Pick<ContextLengthError, "maxTokens" | "requestedTokens">,
  options?: RepairOptions
): ProviderRequest | undefined =>
  Repair.repair(request, error, { keepTurns: options?.keepTurns ?? 1, keepFirst: options?.keepFirst ?? false })

// --- the service --------------------------------------------------------------------------------------------------

const isTokens = (value: number): boolean => Number.isSafeInteger(value) && value >= 1

const invalidLimit = (parameter: string, value: number): InvalidRequestError =>
  new InvalidRequestError({
    message: `${parameter} is ${value}; it must be a whole number of at least 1`,
    parameter
  })

/** The limits of a target: the options' word, then the provider's, then the table's, then the default. */
const limitsOf = (settings: Resolved, target: FitTarget): Effect.Effect<Limits, InvalidRequestError> => {
  const { maxOutput, model, provider, window } = target
  if (window !== undefined && !isTokens(window)) return Effect.fail(invalidLimit("window", window))
  if (maxOutput !== undefined && !isTokens(maxOutput)) return Effect.fail(invalidLimit("maxOutput", maxOutput))
  const set = settings.windows.get(`${provider}/${model}`) ?? settings.windows.get(model)
  const limits = (found: Limits | undefined): Limits => {
    const contextWindow = set?.contextWindow ?? window ?? found?.contextWindow ?? settings.defaultWindow
    const maxOutputTokens = set?.maxOutputTokens ?? maxOutput ?? found?.maxOutputTokens
    return {
      ...(contextWindow === undefined ? undefined : { contextWindow }),
      ...(maxOutputTokens === undefined ? undefined : { maxOutputTokens })
    }
  }
  return settings.lookup === undefined || set?.contextWindow !== undefined || window !== undefined
    ? Effect.succeed(limits(undefined))
    : Effect.map(settings.lookup(provider, model), limits)
}

const untouched = (request: ProviderRequest): FitResult => ({
  request,
  window: undefined,
  inputTokens: 0,
  method: "bound",
  reserved: 0,
  dropped: { messages: 0, tokens: 0 },
  compactedCharacters: 0,
  summary: "none"
})

const build = (settings: Resolved, tokenizer: TokenizerService): ContextWindowService => ({
  enabled: true,
  fit: (request, target) =>
    Effect.flatMap(limitsOf(settings, target), ({ contextWindow, maxOutputTokens }) =>
      contextWindow === undefined
        ? Effect.succeed(untouched(request))
        : fitInto(settings, tokenizer, request, contextWindow, maxOutputTokens ?? Infinity)
    ),
  bestMaxTokens: (request, target) =>
    Effect.flatMap(limitsOf(settings, target), ({ contextWindow, maxOutputTokens }) =>
      contextWindow === undefined
        ? Effect.succeed(maxOutputTokens)
        : Effect.flatMap(promptTokens(settings, tokenizer, request), (prompt) => {
            const best = Math.min(maxOutputTokens ?? Infinity, contextWindow - prompt)
            return best >= 1
              ? Effect.succeed(best)
              : Effect.fail(tooLong(request.model, contextWindow, prompt, "The prompt leaves no room for an answer"))
          })
    ),
  repair: (request, error) =>
    settings.repair
      ? Repair.repair(request, error, {
          keepTurns: settings.keepTurns,
          keepFirst: settings.strategy === "dropMiddle"
        })
      : undefined,
  learn: tokenizer.learn
})

/** Tokens of the prompt, with the margin where they are estimated. */
const promptTokens = (
  settings: Resolved,
  tokenizer: TokenizerService,
  request: ProviderRequest
): Effect.Effect<number> =>
  Effect.map(tokenizer.countMessages(request.model, request.messages, request.tools), ({ method, tokens }) =>
    method === "exact" ? tokens : Math.ceil(tokens / (1 - settings.margin))
  )

/**
 * A context window that counts with the {@link Tokenizer} in the context. Fails with a `ConfigError` naming the first
 * wrong option.
 */
export const make = (options: Options = {}): Effect.Effect<ContextWindowService, Config.ConfigError, Tokenizer> =>
  Effect.flatMap(resolve(options), (settings) => Effect.map(Tokenizer, (tokenizer) => build(settings, tokenizer)))

/** {@link make} as a Layer. */
export const layer = (options?: Options): Layer.Layer<ContextWindow, Config.ConfigError, Tokenizer> =>
  Layer.effect(ContextWindow, make(options))

/** {@link layer} with its options from configuration. */
export const layerConfig = (options: Config.Wrap<Options>): Layer.Layer<ContextWindow, Config.ConfigError, Tokenizer> =>
  Layer.effect(ContextWindow, Effect.flatMap(Config.unwrap(options), make))

/** Leaves every request as it is. */
export const noop: ContextWindowService = {
  enabled: false,
  fit: (request) => Effect.succeed(untouched(request)),
  bestMaxTokens: (_, target) => Effect.succeed(target.maxOutput),
  repair: () => undefined,
  learn: () => {}
}

/** Leaves every request as it is, and costs nothing. */
export const layerNoop: Layer.Layer<ContextWindow> = Layer.succeed(ContextWindow, noop)
