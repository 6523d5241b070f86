/**
 * Checks of a call before anything is sent or paid: plain comparisons, since this is on the path of every call.
 */
import type { CallControls, EmbedOptions } from "../domain/Call.ts"
import { charactersOf, type Message } from "../domain/Message.ts"
import type { Sampling } from "../domain/Request.ts"
import type { ToolChoice, ToolDefinition } from "../domain/Tool.ts"
import { InvalidRequestError, withoutStack } from "../errors/LLMError.ts"
import { millisOf } from "./options.ts"

/** `undefined` when everything is in order. */
export type Problem = InvalidRequestError | undefined

const show = (value: unknown): string => {
  const text = typeof value === "string" ? JSON.stringify(value) : String(value)
  return text.length > 60 ? `${text.slice(0, 60)}…` : text
}

/** The error for one field of a call. */
export const invalid = (parameter: string, message: string): InvalidRequestError =>
  withoutStack(() => new InvalidRequestError({ parameter, message: `${parameter}: ${message}` }))

const number = (parameter: string, value: number | undefined, min: number, max: number, whole = false): Problem => {
  if (value === undefined) return undefined
  if (typeof value === "number" && value >= min && value <= max && (!whole || Number.isSafeInteger(value))) {
    return undefined
  }
  const kind = whole ? "a whole number" : "a number"
  const range =
    max === Number.MAX_SAFE_INTEGER
      ? min === -Number.MAX_SAFE_INTEGER
        ? kind
        : `${kind} of at least ${min}`
      : `${kind} from ${min} to ${max}`
  return invalid(parameter, `${show(value)} is not allowed; it must be ${range}`)
}

const modelName = /^[^\s\p{Cc}]{1,256}$/u

/** A model or target name: no spaces, no control characters, at most 256 characters. */
export const checkModel = (parameter: string, model: string): Problem =>
  typeof model === "string" && modelName.test(model)
    ? undefined
    : invalid(parameter, `${show(model)} is not a model name; it must be 1 to 256 characters without spaces`)

const roles = new Set(["system", "user", "assistant", "tool"])

/** Messages: at least one of the user's, with something in it, and not more than `maxCharacters` in all. */
export const checkMessages = (messages: ReadonlyArray<Message>, maxCharacters: number): Problem => {
  if (messages.length === 0) return invalid("prompt", "the list of messages is empty")
  let total = 0
  let asked = false
  let userSeen = false
  for (let i = 0; i < messages.length; i++) {
    const message = messages[i]!
    if (message === null || typeof message !== "object" || !roles.has(message.role)) {
      return invalid("prompt", `message ${i} has no role of system, user, assistant or tool`)
    }
    if (typeof message.content !== "string" && !Array.isArray(message.content)) {
      return invalid("prompt", `message ${i} (${message.role}) has no content`)
    }
    const characters = charactersOf(message)
    total += characters
    if (message.role === "user") {
      userSeen = true
      asked ||= typeof message.content === "string" ? message.content.trim().length > 0 : characters > 0
    }
  }
  if (!userSeen) return invalid("prompt", "there is no user message")
  if (!asked) return invalid("prompt", "the user messages are empty")
  if (total > maxCharacters) {
    return invalid("prompt", `it holds ${total} characters; at most ${maxCharacters} are allowed`)
  }
  return undefined
}

const MAX = Number.MAX_SAFE_INTEGER

/** Sampling parameters, each in its range. */
export const checkSampling = (options: Sampling): Problem =>
  number("temperature", options.temperature, 0, 2) ??
  number("topP", options.topP, 0, 1) ??
  number("topK", options.topK, 1, MAX, true) ??
  number("maxTokens", options.maxTokens, 1, MAX, true) ??
  number("seed", options.seed, -MAX, MAX, true) ??
  number("presencePenalty", options.presencePenalty, -2, 2) ??
  number("frequencyPenalty", options.frequencyPenalty, -2, 2) ??
  (options.stop?.some((text) => typeof text !== "string" || text.length === 0) === true
    ? invalid("stop", "every stop text must hold at least one character")
    : undefined)

/** Tools with names of their own, and a choice among them. */
export const checkTools = (
  tools: ReadonlyArray<ToolDefinition> | undefined,
  choice: ToolChoice | undefined
): Problem => {
  const names = new Set<string>()
  for (const tool of tools ?? []) {
    if (typeof tool.name !== "string" || !/^[\w.-]{1,128}$/.test(tool.name)) {
      return invalid("tools", `${show(tool.name)} is not a tool name; allowed: 1 to 128 letters, digits, _ . -`)
    }
    if (names.has(tool.name)) return invalid("tools", `${show(tool.name)} is declared twice`)
    names.add(tool.name)
  }
  if (choice === undefined || typeof choice === "string") {
    return choice === "required" && names.size === 0
      ? invalid("toolChoice", '"required" needs at least one tool')
      : undefined
  }
  const wanted = "tool" in choice ? [choice.tool] : choice.oneOf
  if (wanted.length === 0) return invalid("toolChoice", "oneOf names no tool")
  for (const name of wanted) {
    if (!names.has(name)) return invalid("toolChoice", `${show(name)} is not among the tools`)
  }
  return undefined
}

/** The controls of a call. */
export const checkControls = (options: CallControls): Problem => {
  if (options.timeout !== undefined) {
    const millis = millisOf(options.timeout)
    if (millis === undefined || millis <= 0) {
      return invalid("timeout", `${show(options.timeout)} is not allowed; it must be a finite duration above zero`)
    }
  }
  if (options.context?.tenant?.length === 0) return invalid("context.tenant", "it must not be empty")
  if (options.requestId !== undefined && !/^[\x21-\x7e]{1,200}$/.test(options.requestId)) {
    return invalid("requestId", "it must be 1 to 200 visible ASCII characters")
  }
  return undefined
}

/** Texts to embed: at least one, none of them empty. */
export const checkEmbed = (options: EmbedOptions): Problem => {
  const input = options.input
  const texts = typeof input === "string" ? [input] : input
  if (texts.length === 0) return invalid("input", "there is no text to embed")
  for (let i = 0; i < texts.length; i++) {
    const text = texts[i]
    if (typeof text !== "string" || text.length === 0) return invalid("input", `text ${i} is empty`)
  }
  return number("dimensions", options.dimensions, 1, MAX, true) ?? checkControls(options)
}
