/**
 * A provider whose errors hold neither its keys nor the prompt.
 */
import { LLMProvider } from "@breakwater/core"
import * as Redacted from "effect/Redacted"

/** Shorter keys are placeholders for local servers ("ollama"), and words of their messages. */
const shortestKey = 12

/** Whose sentences are this library's own. */
const ownWords = ["TransportError", "RequestTimeoutError", "AuthenticationError"] as const

/** The provider with errors that can be shown and kept. */
export const discreet = (
  provider: LLMProvider.Provider,
  keys: ReadonlyArray<Redacted.Redacted<string>>,
  headers: Readonly<Record<string, string>>
): LLMProvider.Provider => {
  const inHeaders = Object.keys(headers).filter((name) => /auth|key|token|secret|cookie/i.test(name))
  const secrets = [...keys.map((key) => Redacted.value(key)), ...inHeaders.map((name) => headers[name]!)].filter(
    (secret) => secret.length >= shortestKey
  )
  return LLMProvider.discreet(provider, { secrets, ownWords })
}
