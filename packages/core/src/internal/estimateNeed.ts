/**
 * What a request will need, before it is sent: its characters divided by four for the prompt, and the largest
 * answer it allows.
 */
import type { Message } from "../domain/Message.ts"
import type { ProviderEmbedRequest, ProviderRequest } from "../domain/Request.ts"
import type { ToolDefinition } from "../domain/Tool.ts"
import { estimateTokens } from "../domain/Usage.ts"
import type { Need } from "./quotaState.ts"

/** Characters that an image or another file counts for: about a thousand tokens. */
const fileCharacters = 4_000

/** Characters around each message: role and separators. */
const messageCharacters = 16

const toolsSeen = new WeakMap<ReadonlyArray<ToolDefinition>, number>()

const jsonLength = (value: unknown): number => {
  try {
    return JSON.stringify(value)?.length ?? 0
  } catch {
    return 0
  }
}

const toolsLength = (tools: ReadonlyArray<ToolDefinition> | undefined): number => {
  if (tools === undefined) return 0
  let length = toolsSeen.get(tools)
  if (length === undefined) toolsSeen.set(tools, (length = jsonLength(tools)))
  return length
}

const messageLength = (message: Message): number => {
  const content = message.content
  if (typeof content === "string") return messageCharacters + content.length
  let length = messageCharacters
  for (const part of content) {
    if (part.type === "text" || part.type === "reasoning") length += part.text.length
    else if (part.type === "file") length += fileCharacters
    else length += jsonLength(part)
  }
  return length
}

/** Estimates a request; an answer whose length it does not bound counts `defaultOutputTokens`. */
export const estimateNeed = (request: ProviderRequest | ProviderEmbedRequest, defaultOutputTokens: number): Need => {
  let characters = 0
  if ("input" in request) {
    for (const text of request.input) characters += text.length
    return { inputTokens: estimateTokens(characters), outputTokens: 0 }
  }
  for (const message of request.messages) characters += messageLength(message)
  characters += toolsLength(request.tools)
  return { inputTokens: estimateTokens(characters), outputTokens: request.maxTokens ?? defaultOutputTokens }
}
