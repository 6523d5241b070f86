/**
 * Errors that hold neither secrets nor the prompt, whatever a server repeats of them.
 */
import type { ProviderEmbedRequest, ProviderRequest } from "../domain/Request.ts"
import type { AttemptError } from "../errors/LLMError.ts"
import { withoutEcho } from "./echo.ts"

type AnyRequest = ProviderRequest | ProviderEmbedRequest

/** The fields that hold a provider's words. */
const worded = ["message", "excerpt", "reason"] as const

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
    // What was refused for its shape has any shape.
    else if (Array.isArray(content)) {
      for (const part of content) {
        const { data, params, result, text } = Object(part) as Readonly<Record<string, unknown>>
        yield* textsIn([text, data, params, result])
      }
    }
  }
}

/** Less of a secret than this, at a cut, tells nothing. */
const shortestCut = 6

/** The text without a secret, also where the end of the text has cut it. */
const withoutSecret = (text: string, key: string): string => {
  const out = text.replaceAll(key, "[key]")
  const end = out.endsWith("...") ? out.length - 3 : out.length
  for (let length = key.length - 1; length >= shortestCut; length--) {
    if (out.startsWith(key.slice(0, length), end - length)) return `${out.slice(0, end - length)}[key]${out.slice(end)}`
  }
  return out
}

const clean = (text: string, secrets: ReadonlyArray<string>, request: AnyRequest): string =>
  withoutEcho(secrets.reduce(withoutSecret, text), textsOf(request))

/** The error without the secrets, and without what it repeats of the request. */
export const discreetError = (
  error: AttemptError,
  secrets: ReadonlyArray<string>,
  request: AnyRequest
): AttemptError => {
  const fields = error as unknown as Readonly<Record<string, unknown>>
  const changed: Record<string, string> = {}
  for (const name of worded) {
    const value = fields[name]
    const next = typeof value === "string" ? clean(value, secrets, request) : value
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
