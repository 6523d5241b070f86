/**
 * From the messages of a prompt to Gemini's contents.
 *
 * The wire knows the roles `user` and `model`; results of tools are parts of a user content, and all the results
 * of one turn must stand in one content, so neighbours of one role become one. System messages leave the list.
 */
import type { Message } from "@breakwater/core"
import { asRecord, asText } from "../internal/Json.ts"
import * as Media from "../internal/Media.ts"
import * as Models from "./Models.ts"

type Part = Record<string, unknown>

interface Content {
  readonly role: "user" | "model"
  readonly parts: Array<Part>
}

/** What a prompt becomes. */
export interface WirePrompt {
  readonly systemInstruction?: { readonly parts: ReadonlyArray<Part> }
  readonly contents: ReadonlyArray<Content>
}

/** The key of this provider's data in `metadata` of answers and `options` of prompts. */
export const metadataKey = "gemini"

/** Begins the ids made up for function calls that came without one. The provider never sees them. */
export const madeUpId = "gemini-call-"

/**
 * Stands in for the signature of a function call that another model made: newer models refuse a call without
 * one. The documentation names this text for histories from elsewhere.
 */
export const foreignSignature = "skip_thought_signature_validator"

const signatureOf = (carrier: object): string | undefined => {
  const { metadata, options } = carrier as { readonly options?: unknown; readonly metadata?: unknown }
  // A part of an answer may be handed back as it is: it holds the same data under `metadata`.
  const own = asRecord(asRecord(options)?.[metadataKey]) ?? asRecord(asRecord(metadata)?.[metadataKey])
  return asText(own?.["thoughtSignature"])
}

const idOf = (id: string): { readonly id?: string } => (id.startsWith(madeUpId) ? {} : { id })

const filePart = (file: Message.FilePart): Part => {
  const media = Media.fromFilePart(file)
  return media.type === "url"
    ? { fileData: { mimeType: media.mediaType, fileUri: media.url } }
    : { inlineData: { mimeType: media.mediaType === "image/*" ? "image/jpeg" : media.mediaType, data: media.data } }
}

/** Thoughts go back only with their signature. An empty one carries the signature of the text before it. */
const reasoningPart = (part: Message.AssistantPart & { readonly type: "reasoning" }): Part | undefined => {
  const thoughtSignature = signatureOf(part)
  if (thoughtSignature === undefined) return undefined
  return part.text.length === 0 ? { text: "", thoughtSignature } : { text: part.text, thought: true, thoughtSignature }
}

const callPart = (part: Message.AssistantPart & { readonly type: "tool-call" }): Part => {
  const thoughtSignature = signatureOf(part)
  return {
    functionCall: { ...idOf(part.id), name: part.name, args: part.params ?? {} },
    ...(thoughtSignature === undefined ? {} : { thoughtSignature })
  }
}

type ToolResult = Message.ToolPart & { readonly type: "tool-result" }

const response = (part: ToolResult): unknown => {
  if (part.isFailure) return { error: part.result ?? null }
  return asRecord(part.result) ?? { result: part.result ?? null }
}

const resultPart = (part: ToolResult): Part => ({
  functionResponse: { ...idOf(part.id), name: part.name, response: response(part) }
})

const toPart = (part: Message.MessagePart): Part | undefined => {
  switch (part.type) {
    case "text":
      return part.text.length === 0 ? undefined : { text: part.text }
    case "file":
      return filePart(part)
    case "reasoning":
      return reasoningPart(part)
    case "tool-call":
      return part.providerExecuted === true ? undefined : callPart(part)
    case "tool-result":
      return part.providerExecuted === true ? undefined : resultPart(part)
    default:
      return undefined
  }
}

/** The first call of each content must be signed; the others may be. */
const signCalls = (contents: ReadonlyArray<Content>): void => {
  for (const { parts } of contents) {
    const first = parts.find((part) => "functionCall" in part)
    if (first !== undefined && first["thoughtSignature"] === undefined) first["thoughtSignature"] = foreignSignature
  }
}

/** Converts a prompt for a model. */
export const encode = (prompt: ReadonlyArray<Message.Message>, model: string): WirePrompt => {
  const system: Array<Part> = []
  const contents: Array<Content> = []
  const push = (role: Content["role"], part: Part | undefined): void => {
    if (part === undefined) return
    const last = contents.at(-1)
    if (last?.role === role) last.parts.push(part)
    else contents.push({ role, parts: [part] })
  }
  for (const message of prompt) {
    if (message.role === "system") {
      if (message.content.length > 0) system.push({ text: message.content })
      continue
    }
    const role = message.role === "assistant" ? "model" : "user"
    const parts =
      typeof message.content === "string"
        ? [{ type: "text" as const, text: message.content }]
        : (message.content as ReadonlyArray<Message.MessagePart>)
    for (const part of parts) push(part.type === "tool-result" ? "user" : role, toPart(part))
  }
  if (Models.needsSignatures(model)) signCalls(contents)
  return { contents, ...(system.length === 0 ? {} : { systemInstruction: { parts: system } }) }
}
