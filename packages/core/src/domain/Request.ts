/**
 * What is asked of a provider: one model turn, as plain data.
 */
import type { Message } from "./Message.ts"
import type { JsonObject } from "./Json.ts"
import type { ToolChoice, ToolDefinition } from "./Tool.ts"

/** How the answer is to be shaped. A JSON answer carries the schema it must satisfy. */
export type ResponseFormat =
  | { readonly type: "text" }
  | { readonly type: "json"; readonly name: string; readonly schema: JsonObject; readonly strict?: boolean }

/** How hard a reasoning model should think. */
export type ReasoningEffort = "none" | "minimal" | "low" | "medium" | "high"

/** Parameters that change the answer; the same for every target of a request. */
export interface Sampling {
  /** Randomness, 0 to 2. */
  readonly temperature?: number
  /** Nucleus sampling, over 0 to 1. */
  readonly topP?: number
  /** Only the k most likely tokens; a whole number of at least 1. */
  readonly topK?: number
  /** The largest answer in tokens; a whole number of at least 1. */
  readonly maxTokens?: number
  /** The answer ends before any of these. */
  readonly stop?: ReadonlyArray<string>
  /** Makes an answer repeatable where the provider can; a whole number. */
  readonly seed?: number
  /** −2 to 2. */
  readonly presencePenalty?: number
  /** −2 to 2. */
  readonly frequencyPenalty?: number
  readonly reasoning?: { readonly effort: ReasoningEffort }
}

/** One model turn to be made, ready for the wire. */
export interface ProviderRequest extends Sampling {
  /** The provider's own name of the model. */
  readonly model: string
  readonly messages: ReadonlyArray<Message>
  readonly tools?: ReadonlyArray<ToolDefinition>
  readonly toolChoice?: ToolChoice
  readonly responseFormat?: ResponseFormat
  /** The end user, for the provider's own abuse monitoring. */
  readonly user?: string
  /** Fields passed to the provider as they are, over anything this library would send. */
  readonly extra?: Readonly<Record<string, unknown>>
  /**
   * Set when the last message is the beginning of an answer that the model must go on with. Only sent to
   * a target whose capabilities say `prefill`.
   */
  readonly prefill?: boolean
}

/** Texts to be embedded. */
export interface ProviderEmbedRequest {
  readonly model: string
  readonly input: ReadonlyArray<string>
  /** Length of the vectors, where the model can shorten them. */
  readonly dimensions?: number
  readonly user?: string
  readonly extra?: Readonly<Record<string, unknown>>
}
