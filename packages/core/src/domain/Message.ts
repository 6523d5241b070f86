/**
 * The messages of a conversation.
 *
 * They are the plain, encoded form of `effect/ai`'s prompt, so that anything `Prompt.make` accepts is
 * accepted here as it is: a text, an array of messages, or a `Prompt`.
 */
import type * as Prompt from "effect/ai/Prompt"

/** One message: system, user, assistant or tool. */
export type Message = Prompt.MessageEncoded
export type SystemMessage = Prompt.SystemMessageEncoded
export type UserMessage = Prompt.UserMessageEncoded
export type AssistantMessage = Prompt.AssistantMessageEncoded
export type ToolMessage = Prompt.ToolMessageEncoded
export type FilePart = Prompt.FilePartEncoded
export type UserPart = Prompt.UserMessagePartEncoded
export type AssistantPart = Prompt.AssistantMessagePartEncoded
export type ToolPart = Prompt.ToolMessagePartEncoded
export type MessagePart = Prompt.PartEncoded

/** What a caller may pass as a prompt. */
export type PromptInput = string | Iterable<Message> | Prompt.RawInput

/** A user message. */
export const user = (content: UserMessage["content"]): UserMessage => ({ role: "user", content })

/** A system message. */
export const system = (content: string): SystemMessage => ({ role: "system", content })

/** An assistant message. */
export const assistant = (content: AssistantMessage["content"]): AssistantMessage => ({ role: "assistant", content })

/** Turns any accepted prompt into messages, without copying a list that is already one. */
export const fromPrompt = (input: PromptInput): ReadonlyArray<Message> => {
  if (typeof input === "string") return [user(input)]
  if (Array.isArray(input)) return input as ReadonlyArray<Message>
  // A `Prompt` carries its messages in `content`; decoded messages satisfy the encoded shape.
  if ("content" in input) return (input as Prompt.Prompt).content as unknown as ReadonlyArray<Message>
  return Array.from(input as Iterable<Message>)
}

/** The text of a message, its text parts joined; other parts count for nothing. */
export const textOf = (message: Message): string => {
  const content = message.content
  if (typeof content === "string") return content
  let text = ""
  for (const part of content as ReadonlyArray<MessagePart>) {
    if (part.type === "text") text += part.text
  }
  return text
}

/** How much a message holds: characters of texts, bytes or Base64 characters of files, 1 for anything else. */
export const charactersOf = (message: Message): number => {
  const content = message.content
  if (typeof content === "string") return content.length
  let total = 0
  for (const part of content as ReadonlyArray<MessagePart>) {
    switch (part.type) {
      case "text":
      case "reasoning":
        total += part.text.length
        break
      case "file":
        total +=
          typeof part.data === "string" ? part.data.length : part.data instanceof Uint8Array ? part.data.byteLength : 1
        break
      default:
        total += 1
    }
  }
  return total
}
