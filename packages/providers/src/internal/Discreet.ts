/**
 * A provider whose errors hold neither its keys nor the prompt, whatever the server repeats of them.
 */
import type { LLMError, LLMProvider, Request } from "@breakwater/core"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import { withoutEcho } from "./Echo.ts"

type AttemptError = LLMError.AttemptError
type AnyRequest = Request.ProviderRequest | Request.ProviderEmbedRequest

/** Shorter keys are placeholders for local servers ("ollama"), and words of their messages. */
const shortestKey = 12

/** The fields that hold a provider's words. */
const worded = ["message", "excerpt", "reason"] as const

/** Whose sentences are this library's own. */
const ownWords: ReadonlySet<string> = new Set(["TransportError", "RequestTimeoutError", "AuthenticationError"])

/** Every text in a value: the arguments of a tool, or its result. */
function* textsIn(value: unknown, depth = 0): Generator<string> {
  if (typeof value === "string") yield value
  else if (typeof value === "object" && value !== null && !ArrayBuffer.isView(value) && depth < 8) {
    for (const each of Object.values(value)) yield* textsIn(each, depth + 1)
  }
}

/** What the caller and the model said. Names, ids and types are none of it: a message may need them. */
function* textsOf(request: AnyRequest): Generator<string> {
  if ("input" in request) return yield* request.input
  for (const { content } of request.messages) {
    if (typeof content === "string") yield content
    else {
      for (const part of content) {
        const { data, params, result, text } = part as unknown as Readonly<Record<string, unknown>>
        yield* textsIn([text, data, params, result])
      }
    }
  }
}

/** The text without a key, also where the end of the text has cut it. */
const withoutKey = (text: string, key: string): string => {
  const out = text.replaceAll(key, "[key]")
  const end = out.endsWith("...") ? out.length - 3 : out.length
  for (let length = key.length - 1; length >= shortestKey / 2; length--) {
    if (out.startsWith(key.slice(0, length), end - length)) return `${out.slice(0, end - length)}[key]${out.slice(end)}`
  }
  return out
}

const clean = (text: string, keys: ReadonlyArray<string>, request: AnyRequest): string =>
  withoutEcho(keys.reduce(withoutKey, text), textsOf(request))

const cleaned = (error: AttemptError, keys: ReadonlyArray<string>, request: AnyRequest): AttemptError => {
  if (ownWords.has(error._tag)) return error
  const fields = error as unknown as Readonly<Record<string, unknown>>
  const changed: Record<string, string> = {}
  for (const name of worded) {
    const value = fields[name]
    const next = typeof value === "string" ? clean(value, keys, request) : value
    if (typeof next === "string" && next !== value) changed[name] = next
  }
  if (Object.keys(changed).length === 0) return error
  // Made anew: an error keeps what it was made of.
  const make = error.constructor as new (fields: object) => AttemptError
  const { cause, message, stack } = error
  const copy = new make(Object.assign({}, error, { message }, cause === undefined ? {} : { cause }, changed))
  const value = stack?.replace(message, () => copy.message)
  return Object.defineProperty(copy, "stack", { value, enumerable: false, configurable: true, writable: true })
}

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
  const clearing = (request: AnyRequest) => (error: AttemptError) => cleaned(error, secrets, request)
  return {
    ...provider,
    generate: (request) => Effect.mapError(provider.generate(request), clearing(request)),
    stream: (request) => Stream.mapError(provider.stream(request), clearing(request)),
    embed: (request) => Effect.mapError(provider.embed(request), clearing(request))
  }
}
