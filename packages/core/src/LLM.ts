/**
 * The service a program calls: `generate`, `stream`, `embed`.
 */
import type * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import * as Environment from "./Config.ts"
import type {
  CallControls,
  Description,
  EmbedOptions,
  EmbedResponse,
  GenerateOptions,
  LLMResponse,
  LLMStreamPart,
  StreamOptions
} from "./domain/Call.ts"
import type { LLMError } from "./errors/LLMError.ts"
import type { Providers } from "./LLMProvider.ts"
import * as Pipeline from "./Pipeline.ts"
import * as Budget from "./policy/Budget.ts"
import * as Bulkhead from "./policy/Bulkhead.ts"
import * as CircuitBreaker from "./policy/CircuitBreaker.ts"
import * as ResponseCache from "./policy/ResponseCache.ts"
import * as TokenQuota from "./policy/TokenQuota.ts"
import { type PresetName, presets } from "./Presets.ts"

/** What the service offers. Every method goes through the whole pipeline. */
export interface LLMService {
  /** Makes one model turn and answers whole. */
  readonly generate: (options: GenerateOptions) => Effect.Effect<LLMResponse, LLMError>
  /**
   * Makes one model turn and hands its parts on as they arrive. The stream is a success only if it ends with
   * a `finish` part.
   */
  readonly stream: (options: StreamOptions) => Stream.Stream<LLMStreamPart, LLMError>
  /**
   * Embeds texts; the vectors come in the order of the texts. Another model answers only where the call names it
   * in `fallbacks`: vectors of different models cannot be compared.
   */
  readonly embed: (options: EmbedOptions) => Effect.Effect<EmbedResponse, LLMError>
  /** What a call with these controls can cost at worst, in attempts and time. */
  readonly describe: (controls?: CallControls) => Effect.Effect<Description, LLMError>
}

export class LLM extends Context.Service<LLM, LLMService>()("@breakwater/core/LLM") {}

/**
 * Builds the service from the providers and policies in the context.
 *
 * **When to use**
 *
 * Use to choose every policy yourself. Forgetting one is a compile error; leaving one out is a Noop Layer that one can
 * see. `layerPreset` chooses them for you.
 *
 * Fails with a `ConfigError` that names the option, its value and what is allowed.
 */
export const layer = (
  options: Pipeline.PipelineOptions
): Layer.Layer<LLM, Config.ConfigError, Pipeline.PipelineServices> => Layer.effect(LLM, Pipeline.make(options))

/**
 * Builds the service with the settings and policies of a preset. Options given beside it win over the preset.
 *
 * **Example** (A resilient call, with a provider that answers from a script)
 *
 * ```ts
 * import { LLM, LLMProvider } from "@breakwater/core"
 * import { ScriptedProvider } from "@breakwater/testing"
 * import { Effect, Layer } from "effect"
 *
 * const program = Effect.map(LLM.generate({ prompt: "Say hello" }), (answer) => answer.text)
 *
 * const provider = ScriptedProvider.layer({ name: "demo", script: [ScriptedProvider.text("Hello!")] })
 * const layer = LLM.layerPreset("interactive", { targets: ["demo/any"] }).pipe(
 *   Layer.provide(LLMProvider.layer(provider))
 * )
 *
 * await Effect.runPromise(Effect.provide(program, layer)) // => "Hello!"
 * ```
 */
export const layerPreset = (
  name: PresetName,
  options: Pipeline.PipelineOptions
): Layer.Layer<LLM, Config.ConfigError, Providers> =>
  layer({ ...presets[name], ...options }).pipe(Layer.provide(layerNoPolicies))

/**
 * Builds the service from the `LLM_*` variables, with options given here winning over them.
 * `Config.variables` lists them.
 */
export const layerConfig = (
  options?: Partial<Pipeline.PipelineOptions>
): Layer.Layer<LLM, Config.ConfigError, Pipeline.PipelineServices> =>
  Layer.unwrap(Effect.map(Environment.load, (fromEnvironment) => layer({ ...fromEnvironment, ...options })))

/** None of the policies that have a state of their own: no breaker, quota, bulkhead, cache or budget. */
export const layerNoPolicies: Layer.Layer<Exclude<Pipeline.PipelineServices, Providers>> = Layer.mergeAll(
  CircuitBreaker.layerNoop,
  TokenQuota.layerNoop,
  Bulkhead.layerNoop,
  ResponseCache.layerNoop,
  Budget.layerNoop
)

/** {@link LLMService.generate} of the service in the context. */
export const generate = (options: GenerateOptions): Effect.Effect<LLMResponse, LLMError, LLM> =>
  Effect.flatMap(LLM, (llm) => llm.generate(options))

/** Only the text of the answer to a prompt. */
export const generateText = (
  prompt: GenerateOptions["prompt"],
  options?: Omit<GenerateOptions, "prompt">
): Effect.Effect<string, LLMError, LLM> => Effect.map(generate({ ...options, prompt }), (answer) => answer.text)

/** {@link LLMService.stream} of the service in the context. */
export const stream = (options: StreamOptions): Stream.Stream<LLMStreamPart, LLMError, LLM> =>
  Stream.unwrap(Effect.map(LLM, (llm) => llm.stream(options)))

/** Only the text of a streamed answer, piece by piece. */
export const streamText = (
  prompt: StreamOptions["prompt"],
  options?: Omit<StreamOptions, "prompt">
): Stream.Stream<string, LLMError, LLM> =>
  stream({ ...options, prompt }).pipe(
    Stream.filterMap((part) => part.type === "text-delta" ? Result.succeed(part.delta) : Result.failVoid)
  )

/** {@link LLMService.embed} of the service in the context. */
export const embed = (options: EmbedOptions): Effect.Effect<EmbedResponse, LLMError, LLM> =>
  Effect.flatMap(LLM, (llm) => llm.embed(options))

/** {@link LLMService.describe} of the service in the context. */
export const describe = (controls?: CallControls): Effect.Effect<Description, LLMError, LLM> =>
  Effect.flatMap(LLM, (llm) => llm.describe(controls))
