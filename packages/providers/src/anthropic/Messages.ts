/**
 * From the messages of a prompt to those of Anthropic's wire.
 *
 * The wire knows two roles that take turns: results of tools are blocks of a user message, neighbours of one
 * role become one message, and system messages leave the list for a field of their own. Empty text is left out,
 * because the provider refuses it.
 */
import type { Message } from "@breakwater/core"
import * as Media from "../internal/Media.ts"

type Block = Record<string, unknown>

interface WireMessage {
  readonly role: "user" | "assistant"
  readonly content: Array<Block>
}

/** What a prompt becomes. */
export interface WirePrompt {
  readonly system: Array<Block>
  readonly messages: Array<WireMessage>
  /** Blank characters that were cut off the end of a last message of the assistant. */
  readonly trimmed: string
}

/** The key of this provider's data in `metadata` of answers and `options` of prompts. */
export const metadataKey = "anthropic"

const ownOptions = (carrier: object): Record<string, unknown> => {
  const { options, metadata } = carrier as { readonly options?: unknown; readonly metadata?: unknown }
  // A part of an answer may be handed back as it is: it holds the same data under `metadata`.
  for (const bag of [options, metadata]) {
    const own = (bag as Record<string, unknown> | undefined)?.[metadataKey]
    if (typeof own === "object" && own !== null) return own as Record<string, unknown>
  }
  return {}
}

const withCacheControl = (block: Block, carrier: object): Block => {
  const { cacheControl } = ownOptions(carrier)
  return cacheControl === undefined ? block : { ...block, cache_control: cacheControl }
}

/** Ids of other providers may hold characters that this one refuses. The same id always maps to the same. */
const wireId = (id: string): string => id.replace(/[^a-zA-Z0-9_-]/g, "_")

const isBlank = (text: string): boolean => text.trim().length === 0

const textBlock = (text: string, carrier: object): Block | undefined =>
  isBlank(text) ? undefined : withCacheControl({ type: "text", text }, carrier)

const source = (media: Media.Media): Block =>
  media.type === "url"
    ? { type: "url", url: media.url }
    : { type: "base64", media_type: media.mediaType, data: media.data }

const plainText = (media: Media.Media): Block =>
  media.type === "url"
    ? { type: "url", url: media.url }
    : { type: "text", media_type: "text/plain", data: new TextDecoder().decode(Buffer.from(media.data, "base64")) }

const fileBlock = (part: Message.FilePart): Block => {
  const media = Media.fromFilePart(part)
  if (media.mediaType.startsWith("image/")) {
    // `image/*` says no more than that it is one; the provider names four kinds.
    const known =
      media.mediaType === "image/*" && media.type === "base64" ? { ...media, mediaType: "image/jpeg" } : media
    return withCacheControl({ type: "image", source: source(known) }, part)
  }
  return withCacheControl(
    {
      type: "document",
      source: media.mediaType.startsWith("text/") ? plainText(media) : source(media),
      ...(part.fileName === undefined ? {} : { title: part.fileName })
    },
    part
  )
}

/** Thinking goes back only with its signature: the provider refuses thoughts that are not its own. */
const thinkingBlock = (part: Message.AssistantPart & { readonly type: "reasoning" }): Block | undefined => {
  const { signature, redactedData } = ownOptions(part)
  if (typeof redactedData === "string") return { type: "redacted_thinking", data: redactedData }
  if (typeof signature === "string") return { type: "thinking", thinking: part.text, signature }
  return undefined
}

type ToolResult = Message.ToolPart & { readonly type: "tool-result" }

const resultContent = (part: ToolResult): unknown => {
  if (part.modelOutput !== undefined) {
    return part.modelOutput
      .map((each) => (each.type === "text" ? textBlock(each.text, each) : fileBlock(each)))
      .filter((block) => block !== undefined)
  }
  return typeof part.result === "string" ? part.result : JSON.stringify(part.result ?? null)
}

const resultBlock = (part: ToolResult): Block =>
  withCacheControl(
    {
      type: "tool_result",
      tool_use_id: wireId(part.id),
      content: resultContent(part),
      ...(part.isFailure ? { is_error: true } : {})
    },
    part
  )

const block = (part: Message.MessagePart): Block | undefined => {
  switch (part.type) {
    case "text":
      return textBlock(part.text, part)
    case "file":
      return fileBlock(part)
    case "reasoning":
      return thinkingBlock(part)
    case "tool-call":
      return part.providerExecuted === true
        ? undefined
        : { type: "tool_use", id: wireId(part.id), name: part.name, input: part.params ?? {} }
    case "tool-result":
      return part.providerExecuted === true ? undefined : resultBlock(part)
    default:
      return undefined
  }
}

/** The provider refuses a last message of the assistant that ends in blanks, and an answer may go on with them. */
const trimEnd = (messages: Array<WireMessage>): string => {
  const last = messages.at(-1)
  const final = last?.content.at(-1)
  if (last?.role !== "assistant" || final?.["type"] !== "text") return ""
  const text = final["text"] as string
  const kept = text.trimEnd()
  last.content[last.content.length - 1] = { ...final, text: kept }
  return text.slice(kept.length)
}

/**
 * Whether the prompt ends with results of tools that were called in a message without thoughts of its own: a turn
 * that another model, or this one without thinking, has begun.
 */
export const resumesWithoutThoughts = ({ messages }: WirePrompt): boolean => {
  const results = messages.at(-1)
  const calls = messages.at(-2)
  return (
    results?.content.some((each) => each["type"] === "tool_result") === true &&
    calls?.content.some((each) => each["type"] === "thinking" || each["type"] === "redacted_thinking") !== true
  )
}

/** Converts a prompt. */
export const encode = (prompt: ReadonlyArray<Message.Message>): WirePrompt => {
  const system: Array<Block> = []
  const messages: Array<WireMessage> = []
  const push = (role: WireMessage["role"], next: Block | undefined): void => {
    if (next === undefined) return
    const last = messages.at(-1)
    if (last?.role === role) last.content.push(next)
    else messages.push({ role, content: [next] })
  }
  for (const message of prompt) {
    if (message.role === "system") {
      const next = textBlock(message.content, message)
      if (next !== undefined) system.push(next)
      continue
    }
    const role = message.role === "assistant" ? "assistant" : "user"
    if (typeof message.content === "string") {
      push(role, textBlock(message.content, message))
      continue
    }
    for (const part of message.content as ReadonlyArray<Message.MessagePart>) {
      push(part.type === "tool-result" ? "user" : role, block(part))
    }
  }
  return { system, messages, trimmed: trimEnd(messages) }
}
