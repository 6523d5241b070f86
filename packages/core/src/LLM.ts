/**
 * The service a program calls: `generate`, `stream`, `embed`.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
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

/** What the service offers. Every method goes through the whole pipeline. */
export interface LLMService {
  /** Makes one model turn and answers whole. */
  readonly generate: (options: GenerateOptions) => Effect.Effect<LLMResponse, LLMError>
  /**
   * Makes one model turn and hands its parts on as they arrive. The stream is a success only if it ends with
   * a `finish` part.
   */
  readonly stream: (options: StreamOptions) => Stream.Stream<LLMStreamPart, LLMError>
  /** Embeds texts; the vectors come in the order of the texts. */
  readonly embed: (options: EmbedOptions) => Effect.Effect<EmbedResponse, LLMError>
  /** What a call with these controls can cost at worst, in attempts and time. */
  readonly describe: (controls?: CallControls) => Effect.Effect<Description, LLMError>
}

export class LLM extends Context.Service<LLM, LLMService>()("@breakwater/core/LLM") {}

/** {@link LLMService.generate} of the service in the context. */
export const generate = (options: GenerateOptions): Effect.Effect<LLMResponse, LLMError, LLM> =>
  Effect.flatMap(LLM, (llm) => llm.generate(options))

/** {@link LLMService.stream} of the service in the context. */
export const stream = (options: StreamOptions): Stream.Stream<LLMStreamPart, LLMError, LLM> =>
  Stream.unwrap(Effect.map(LLM, (llm) => llm.stream(options)))

/** {@link LLMService.embed} of the service in the context. */
export const embed = (options: EmbedOptions): Effect.Effect<EmbedResponse, LLMError, LLM> =>
  Effect.flatMap(LLM, (llm) => llm.embed(options))

/** {@link LLMService.describe} of the service in the context. */
export const describe = (controls?: CallControls): Effect.Effect<Description, LLMError, LLM> =>
  Effect.flatMap(LLM, (llm) => llm.describe(controls))
