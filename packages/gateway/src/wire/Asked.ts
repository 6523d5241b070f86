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

/** Messages in a body at most. */
export const maxMessages = 100_000
