/** What a body of either wire asks for, before the models are looked up. */
import type { Call } from "@breakwater/core"

export interface Asked {
  /** A target, an alias, a route, or `auto`. */
  readonly model: string
  readonly fallbacks: ReadonlyArray<string> | undefined
  readonly stream: boolean
  /** OpenAI's `stream_options.include_usage`. */
  readonly includeUsage: boolean
  readonly call: Omit<Call.GenerateOptions, "model" | "fallbacks">
}

/** Whose wire all targets of a request speak: what has a word on one wire only goes there alone. */
export type Spoken = "anthropic" | "openai" | "other"

/** Messages in a body at most. */
export const maxMessages = 100_000
