/**
 * Compaction of a request: the texts of its users and assistants, each by itself.
 */
import * as Effect from "effect/Effect"
import type { Message, MessagePart } from "../../domain/Message.ts"
import type { ProviderRequest } from "../../domain/Request.ts"
import { compact, type CompactRules } from "../../internal/compaction.ts"
import { ofMessage, unitsOf } from "../../internal/messageTokens.ts"

const compactMessage = (message: Message, rules: CompactRules): Message => {
  if (message.role !== "user" && message.role !== "assistant") return message
  const content = message.content
  if (typeof content === "string") {
    const shorter = compact(content, rules)
    return shorter === content ? message : ({ ...message, content: shorter } as Message)
  }
  let touched = false
  const parts = (content as ReadonlyArray<MessagePart>).map((part) => {
    if (part.type !== "text") return part
    const shorter = compact(part.text, rules)
    if (shorter === part.text) return part
    touched = true
    return { ...part, text: shorter }
  })
  return touched ? ({ ...message, content: parts } as Message) : message
}

/** The request with its texts made shorter. Long pastes are cut only before the last message of the user. */
export const compacted = (request: ProviderRequest, rules: CompactRules): Effect.Effect<ProviderRequest> => {
  const last = request.messages.findLastIndex((message) => message.role === "user")
  const whole = { ...rules, paste: Infinity }
  return Effect.map(
    Effect.forEach(request.messages, (message, index) => {
      const work = Effect.sync(() => compactMessage(message, index < last ? rules : whole))
      return unitsOf(ofMessage(message)) > 100_000 ? Effect.andThen(Effect.yieldNow, work) : work
    }),
    (messages) =>
      messages.every((message, index) => message === request.messages[index]) ? request : { ...request, messages }
  )
}

/** UTF-16 units of all messages. */
export const unitsOfMessages = (request: ProviderRequest): number =>
  request.messages.reduce((total, message) => total + unitsOf(ofMessage(message)), 0)
