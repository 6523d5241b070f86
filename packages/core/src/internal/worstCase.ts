/**
 * How large a request is at most, before it is sent: for what it may cost.
 *
 * Where `estimateNeed` guesses well, this one guesses high: a reservation that is too small lets a budget be passed.
 */
import type { Message } from "../domain/Message.ts"
import type { ServiceMode } from "../domain/Price.ts"
import type { ProviderEmbedRequest, ProviderRequest } from "../domain/Request.ts"

type AnyRequest = ProviderRequest | ProviderEmbedRequest

/** Tokens that a picture counts for, and a file of unknown size. */
const pictureTokens = 2_000
const fileTokens = 10_000

/** Tokens around each message. */
const messageTokens = 8

/** Places of a text that are looked at: reading all of it would cost more than everything else about a budget. */
const samples = 64

const looksBeyondAscii = (text: string): boolean => {
  const step = Math.ceil(text.length / samples)
  for (let at = 0; at < text.length; at += step) {
    if (text.charCodeAt(at) > 127) return true
  }
  return false
}

/** Text beyond ASCII may take a token for each of its UTF-16 units. */
const textTokens = (text: string, margin: number): number =>
  looksBeyondAscii(text) ? Math.max(text.length, (text.length / 4) * margin) : (text.length / 4) * margin

const jsonTokens = (value: unknown, margin: number): number => {
  try {
    return textTokens(JSON.stringify(value) ?? "", margin)
  } catch {
    return 0
  }
}

const messageSize = (message: Message, margin: number): number => {
  const content = message.content
  if (typeof content === "string") return messageTokens + textTokens(content, margin)
  let tokens = messageTokens
  for (const part of content) {
    if (part.type === "text" || part.type === "reasoning") tokens += textTokens(part.text, margin)
    else if (part.type !== "file") tokens += jsonTokens(part, margin)
    else if (part.mediaType.startsWith("image/")) tokens += pictureTokens
    else {
      const bytes = typeof part.data === "string" || part.data instanceof Uint8Array ? part.data.length : 0
      tokens += Math.max(fileTokens, (bytes / 4) * margin)
    }
  }
  return tokens
}

/** Declarations are the same object for many requests. */
const declared = new WeakMap<object, number>()

const declarationCharacters = (value: object | undefined): number => {
  if (value === undefined) return 0
  let length = declared.get(value)
  if (length === undefined) declared.set(value, (length = jsonTokens(value, 4)))
  return length
}

/** Tokens of the prompt at most, about: characters ÷ 4 × `margin`, and one for each unit of text beyond ASCII. */
export const estimateInput = (request: AnyRequest, margin: number): number => {
  let tokens = 0
  if ("input" in request) {
    for (const text of request.input) tokens += textTokens(text, margin)
    return Math.ceil(tokens)
  }
  for (const message of request.messages) tokens += messageSize(message, margin)
  tokens += (declarationCharacters(request.tools) / 4) * margin
  if (request.responseFormat?.type === "json") {
    tokens += (declarationCharacters(request.responseFormat.schema) / 4) * margin
  }
  return Math.ceil(tokens)
}

/** Tokens of the answer at most; `undefined` if the request does not bound it. Several answers add up. */
export const boundOutput = (request: AnyRequest, largest: number | undefined): number | undefined => {
  if ("input" in request) return 0
  const each = request.maxTokens ?? largest
  if (each === undefined) return undefined
  const answers = request.extra?.["n"]
  return typeof answers === "number" && Number.isSafeInteger(answers) && answers > 1 ? each * answers : each
}

/** How a request asks to be served. */
export const modeOf = (request: AnyRequest): ServiceMode => {
  const asked = request.extra?.["service_tier"]
  return asked === "batch" || asked === "flex" || asked === "priority" ? asked : "standard"
}
