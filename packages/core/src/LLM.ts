/**
 * The service a program calls: `generate`, `stream`, `embed`.
 */
import type * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as AiTool from "effect/ai/Tool"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
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
import type { JsonObject } from "./domain/Json.ts"
import { fromPrompt, type Message } from "./domain/Message.ts"
import type { LLMError } from "./errors/LLMError.ts"
import * as Structured from "./internal/structuredOutput.ts"
import { invalid } from "./internal/validateCall.ts"
import type { Providers } from "./LLMProvider.ts"
import * as Pipeline from "./Pipeline.ts"
import type { LLMSnapshot } from "./plan/Snapshot.ts"
import * as Budget from "./policy/Budget.ts"
import * as Bulkhead from "./policy/Bulkhead.ts"
import * as CircuitBreaker from "./policy/CircuitBreaker.ts"
import * as ContextWindow from "./policy/ContextWindow.ts"
import * as Hedge from "./policy/Hedge.ts"
import * as Ledger from "./policy/Ledger.ts"
import * as Pricing from "./policy/Pricing.ts"
import * as ResponseCache from "./policy/ResponseCache.ts"
import * as TokenQuota from "./policy/TokenQuota.ts"
import { policies, type PresetName, presets } from "./Presets.ts"

export type { LLMSnapshot } from "./plan/Snapshot.ts"

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
  /** What the service has done since it was made, and how its policies stand. Kept always, in bounded memory. */
  readonly snapshot: Effect.Effect<LLMSnapshot>
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
 * Builds the service with the settings and policies of a preset ({@link layerPolicies}). Options given beside it win, and
 * so do policies that it is provided with: `Layer.provide(Budget.layer(…))` puts a budget into it.
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
  layer({ ...presets[name], ...options }).pipe(Layer.provide(layerPolicies(name)))

/**
 * Builds the service from the `LLM_*` variables, with options given here winning over them.
 * `Config.variables` lists them.
 */
export const layerConfig = (
  options?: Partial<Pipeline.PipelineOptions>
): Layer.Layer<LLM, Config.ConfigError, Pipeline.PipelineServices> =>
  Layer.unwrap(Effect.map(Environment.load, (fromEnvironment) => layer({ ...fromEnvironment, ...options })))

/**
 * The policies of a preset: a circuit breaker for each target, and a quota that learns the provider's limits and keeps
 * still for as long as a refusal says. Cache, budget, prices, ledger and bulkhead are left out: nobody but the program can say what may
 * be cached, spent, or done at once. A policy that is in the context already goes before the preset's.
 */
export const layerPolicies = (
  name: PresetName
): Layer.Layer<Exclude<Pipeline.PipelineServices, Providers>, Config.ConfigError> =>
  Layer.mergeAll(
    unlessGiven(CircuitBreaker.CircuitBreaker, CircuitBreaker.layer(policies[name].breaker)),
    unlessGiven(TokenQuota.TokenQuota, TokenQuota.layer(policies[name].quota)),
    unlessGiven(Bulkhead.Bulkhead, Bulkhead.layerNoop),
    unlessGiven(Hedge.Hedge, Hedge.layerNoop),
    unlessGiven(ContextWindow.ContextWindow, ContextWindow.layerNoop),
    unlessGiven(ResponseCache.ResponseCache, ResponseCache.layerNoop),
    unlessGiven(Budget.Budget, Budget.layerNoop),
    unlessGiven(Pricing.Pricing, Pricing.layerNoop),
    unlessGiven(Ledger.Ledger, Ledger.layerNoop)
  )

/**
 * The policy in the context, or else that of a Layer. The preset asks for none, so that the compiler cannot tell a budget
 * that is provided to it from one that nobody wants; the program that provides it means it.
 */
const unlessGiven = <I, S, E>(key: Context.Key<I, S>, otherwise: Layer.Layer<I, E>): Layer.Layer<I, E> =>
  Layer.unwrap(
    Effect.map(
      Effect.serviceOption(key),
      Option.match({ onNone: () => otherwise, onSome: (service) => Layer.succeed(key, service) })
    )
  )

/** None of the policies that have a state of their own: no breaker, quota, bulkhead, cache, budget, prices or ledger. */
export const layerNoPolicies: Layer.Layer<Exclude<Pipeline.PipelineServices, Providers>> = Layer.mergeAll(
  CircuitBreaker.layerNoop,
  TokenQuota.layerNoop,
  Bulkhead.layerNoop,
  Hedge.layerNoop,
  ContextWindow.layerNoop,
  ResponseCache.layerNoop,
  Budget.layerNoop,
  Pricing.layerNoop,
  Ledger.layerNoop
)

/** {@link LLMService.generate} of the service in the context. */
export const generate = (options: GenerateOptions): Effect.Effect<LLMResponse, LLMError, LLM> =>
  Effect.flatMap(LLM, (llm) => llm.generate(options))

/** Only the text of the answer to a prompt. */
export const generateText = (
  prompt: GenerateOptions["prompt"],
  options?: Omit<GenerateOptions, "prompt">
): Effect.Effect<string, LLMError, LLM> => Effect.map(generate({ ...options, prompt }), (answer) => answer.text)

/** What {@link generateObject} takes beside what `generate` does. */
export interface ObjectOptions<S extends Schema.Constraint> extends Omit<GenerateOptions, "responseFormat"> {
  /** What the answer must decode to. Its JSON schema is sent along. */
  readonly schema: S
  /** A name for the schema, for providers that want one. Default: `answer`. */
  readonly name?: string
  /** How often an answer that does not fit is sent back with what is wrong. Default: 1. */
  readonly repairs?: number
}

/** An object and the answer it was read from: the last one, if there were repairs. */
export interface ObjectResponse<A> {
  readonly value: A
  readonly response: LLMResponse
}

/**
 * Asks for an object. An answer that does not satisfy the schema is sent back with the list of what is wrong, up to
 * `repairs` times; each time is a call of its own. After that it is a `StructuredOutputError` with the issues and the
 * raw text.
 */
export const generateObject = <S extends Schema.Constraint>(
  options: ObjectOptions<S>
): Effect.Effect<ObjectResponse<S["Type"]>, LLMError, LLM | S["DecodingServices"]> => {
  const { name = "answer", prompt, repairs = 1, schema, ...rest } = options
  const decode = Schema.decodeUnknownEffect(Schema.fromJsonString(schema))
  const responseFormat = {
    type: "json",
    name,
    schema: AiTool.getJsonSchemaFromSchema(schema) as JsonObject
  } as const
  const ask = (
    messages: ReadonlyArray<Message>,
    left: number
  ): Effect.Effect<ObjectResponse<S["Type"]>, LLMError, LLM | S["DecodingServices"]> =>
    Effect.flatMap(generate({ ...rest, prompt: messages, responseFormat }), (response) =>
      Effect.matchEffect(decode(Structured.jsonOf(response.text)), {
        onSuccess: (value) => Effect.succeed({ value, response }),
        onFailure: (error) => {
          const issues = Structured.issuesOf(error)
          return left > 0
            ? ask(Structured.repairOf(messages, response.text, issues), left - 1)
            : Effect.fail(Structured.misfit(response, issues))
        }
      })
    )
  return Effect.suspend(() =>
    Number.isSafeInteger(repairs) && repairs >= 0 && repairs <= 10
      ? ask(fromPrompt(prompt), repairs)
      : Effect.fail(invalid("repairs", `${repairs} is not allowed; it must be a whole number from 0 to 10`))
  )
}

/** {@link LLMService.stream} of the service in the context. */
export const stream = (options: StreamOptions): Stream.Stream<LLMStreamPart, LLMError, LLM> =>
  Stream.unwrap(Effect.map(LLM, (llm) => llm.stream(options)))

/** Only the text of a streamed answer, piece by piece. */
export const streamText = (
  prompt: StreamOptions["prompt"],
  options?: Omit<StreamOptions, "prompt">
): Stream.Stream<string, LLMError, LLM> =>
  stream({ ...options, prompt }).pipe(
    Stream.filterMap((part) => (part.type === "text-delta" ? Result.succeed(part.delta) : Result.failVoid))
  )

/** {@link LLMService.embed} of the service in the context. */
export const embed = (options: EmbedOptions): Effect.Effect<EmbedResponse, LLMError, LLM> =>
  Effect.flatMap(LLM, (llm) => llm.embed(options))

/** {@link LLMService.describe} of the service in the context. */
export const describe = (controls?: CallControls): Effect.Effect<Description, LLMError, LLM> =>
  Effect.flatMap(LLM, (llm) => llm.describe(controls))

/** {@link LLMService.snapshot} of the service in the context. */
export const snapshot: Effect.Effect<LLMSnapshot, never, LLM> = Effect.flatMap(LLM, (llm) => llm.snapshot)
