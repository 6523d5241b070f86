/**
 * What a provider says about its limits in the headers of an answer.
 */
import * as Schema from "effect/Schema"

const Window = Schema.Struct({
  /** How many are allowed in the window. */
  limit: Schema.optionalKey(Schema.Finite),
  /** How many are left. */
  remaining: Schema.optionalKey(Schema.Finite),
  /** Milliseconds from the answer until the window is full again. */
  resetMs: Schema.optionalKey(Schema.Finite)
})

/** The limits of the key that was used, as far as the provider names them. */
export const RateLimits = Schema.Struct({
  requests: Schema.optionalKey(Window),
  tokens: Schema.optionalKey(Window),
  inputTokens: Schema.optionalKey(Window),
  outputTokens: Schema.optionalKey(Window)
})
export type RateLimits = typeof RateLimits.Type
export type RateLimitWindow = typeof Window.Type
