/**
 * A request in the words of OpenAI's chat completions and embeddings.
 */
import type { Message, Model, Request, Tool } from "@breakwater/core"
import { asArray, asRecord } from "../internal/Json.ts"
import { fromFilePart } from "../internal/Media.ts"
import type { Dialect } from "./Dialect.ts"

type Fields = Record<string, unknown>

/** The key of this codec's opaque data in `metadata` of answers and `options` of messages. */
export const metadataKey = "openai-compatible"

const audioFormats: { readonly [mediaType: string]: string } = {
  "audio/wav": "wav",
  "audio/x-wav": "wav",
  "audio/mpeg": "mp3",
  "audio/mp3": "mp3"
}

const filePart = (part: Message.FilePart): Fields => {
  const media = fromFilePart(part)
  const type = media.mediaType === "image/*" ? "image/jpeg" : media.mediaType
  const url = media.type === "url" ? media.url : `data:${type};base64,${media.data}`
  if (type.startsWith("image/")) {
    const detail = asRecord(part.options?.[metadataKey])?.["detail"]
    return { type: "image_url", image_url: typeof detail === "string" ? { url, detail } : { url } }
  }
  const audio = audioFormats[type]
  if (audio !== undefined && media.type === "base64") {
    return { type: "input_audio", input_audio: { data: media.data, format: audio } }
  }
  return { type: "file", file: { filename: part.fileName ?? "file", file_data: url } }
}

const userContent = (content: Message.UserMessage["content"]): unknown => {
  if (typeof content === "string") return content
  // A single text is sent as a text: small servers know nothing else.
  if (content.length === 1 && content[0]!.type === "text") return content[0]!.text
  return content.map((part) => (part.type === "text" ? { type: "text", text: part.text } : filePart(part)))
}

const jsonText = (value: unknown): string => (typeof value === "string" ? value : (JSON.stringify(value) ?? "null"))

const assistantMessage = (message: Message.AssistantMessage): Fields => {
  if (typeof message.content === "string") return { role: "assistant", content: message.content }
  let text = ""
  const calls: Array<Fields> = []
  const details: Array<unknown> = []
  for (const part of message.content) {
    if (part.type === "text") text += part.text
    else if (part.type === "tool-call" && part.providerExecuted !== true) {
      calls.push({
        id: part.id,
        type: "function",
        function: { name: part.name, arguments: jsonText(part.params ?? {}) }
      })
    } else if (part.type === "reasoning") {
      const kept = asArray(asRecord(part.options?.[metadataKey])?.["reasoning_details"])
      if (kept !== undefined) details.push(...kept)
    }
  }
  return {
    role: "assistant",
    content: text.length === 0 && calls.length > 0 ? null : text,
    ...(calls.length === 0 ? {} : { tool_calls: calls }),
    ...(details.length === 0 ? {} : { reasoning_details: details })
  }
}

/** The results of one message, and after them, as a user's, the files among them: tools answer in text only. */
const toolMessages = (message: Message.ToolMessage, out: Array<Fields>): void => {
  const files: Array<Fields> = []
  for (const part of message.content) {
    if (part.type !== "tool-result") continue
    let content: string
    if (part.modelOutput === undefined) content = jsonText(part.result)
    else {
      content = ""
      for (const each of part.modelOutput) {
        if (each.type === "text") content += each.text
        else files.push(filePart(each))
      }
      if (content.length === 0 && part.modelOutput.length > 0) content = "The result is in the file below."
    }
    out.push({ role: "tool", tool_call_id: part.id, content })
  }
  if (files.length > 0) out.push({ role: "user", content: files })
}

/** The messages, in order. */
const encodeMessages = (messages: ReadonlyArray<Message.Message>): Array<Fields> => {
  const out: Array<Fields> = []
  for (const message of messages) {
    switch (message.role) {
      case "system":
        out.push({ role: "system", content: message.content })
        break
      case "user":
        out.push({ role: "user", content: userContent(message.content) })
        break
      case "assistant":
        out.push(assistantMessage(message))
        break
      case "tool":
        toolMessages(message, out)
    }
  }
  return out
}

const encodeTool = (tool: Tool.ToolDefinition): Fields => ({
  type: "function",
  function: {
    name: tool.name,
    ...(tool.description === undefined ? {} : { description: tool.description }),
    parameters: tool.parameters,
    ...(tool.strict === undefined ? {} : { strict: tool.strict })
  }
})

/** A choice among several is made by offering only these: every server understands that. */
const encodeTools = (tools: ReadonlyArray<Tool.ToolDefinition>, choice: Tool.ToolChoice | undefined): Fields => {
  if (choice === undefined) return { tools: tools.map(encodeTool) }
  if (typeof choice === "string") return { tools: tools.map(encodeTool), tool_choice: choice }
  if ("tool" in choice) {
    return { tools: tools.map(encodeTool), tool_choice: { type: "function", function: { name: choice.tool } } }
  }
  const offered = tools.filter((tool) => choice.oneOf.includes(tool.name))
  return { tools: offered.map(encodeTool), tool_choice: choice.mode ?? "auto" }
}

const encodeFormat = (format: Request.ResponseFormat, capabilities: Model.Capabilities): unknown => {
  if (format.type === "text") return { type: "text" }
  if (capabilities.jsonSchema === false) return { type: "json_object" }
  return {
    type: "json_schema",
    json_schema: {
      name: format.name.replaceAll(/[^A-Za-z0-9_-]/g, "_").slice(0, 64) || "answer",
      schema: format.schema,
      ...(format.strict === undefined ? {} : { strict: format.strict })
    }
  }
}

const set = (out: Fields, key: string, value: unknown): void => {
  if (value !== undefined) out[key] = value
}

/** The body of a chat request, as JSON text. `extra` goes over everything. */
export const encodeChat = (
  request: Request.ProviderRequest,
  stream: boolean,
  dialect: Dialect,
  capabilities: Model.Capabilities
): string => {
  const out: Fields = { model: request.model, messages: encodeMessages(request.messages) }
  if (request.tools !== undefined && request.tools.length > 0) {
    Object.assign(out, encodeTools(request.tools, request.toolChoice))
  }
  if (request.responseFormat !== undefined) {
    out["response_format"] = encodeFormat(request.responseFormat, capabilities)
  }
  set(out, "temperature", request.temperature)
  set(out, "top_p", request.topP)
  if (dialect.topK !== false) set(out, "top_k", request.topK)
  set(out, dialect.maxTokensField ?? "max_tokens", request.maxTokens)
  if (request.stop !== undefined && request.stop.length > 0) out["stop"] = request.stop
  set(out, "seed", request.seed)
  set(out, "presence_penalty", request.presencePenalty)
  set(out, "frequency_penalty", request.frequencyPenalty)
  set(out, "user", request.user)
  if (request.reasoning !== undefined) {
    if (dialect.reasoningField === "reasoning") out["reasoning"] = { effort: request.reasoning.effort }
    else out["reasoning_effort"] = request.reasoning.effort
  }
  if (stream) {
    out["stream"] = true
    out["stream_options"] = { include_usage: true }
  }
  Object.assign(out, dialect.chatFields)
  if (request.prefill === true) Object.assign(out, dialect.prefillFields)
  return JSON.stringify(Object.assign(out, request.extra))
}

/** The body of a request for embeddings, as JSON text. */
export const encodeEmbeddings = (request: Request.ProviderEmbedRequest): string => {
  const out: Fields = { model: request.model, input: request.input, encoding_format: "float" }
  set(out, "dimensions", request.dimensions)
  set(out, "user", request.user)
  return JSON.stringify(Object.assign(out, request.extra))
}

const characters = (value: unknown): number => {
  if (typeof value === "string") return value.length
  if (!Array.isArray(value)) return 0
  let total = 0
  for (const part of value as ReadonlyArray<Message.MessagePart>) {
    if (part.type === "text" || part.type === "reasoning") total += part.text.length
    else if (part.type === "tool-call") total += part.name.length + jsonText(part.params).length
    else if (part.type === "tool-result") total += jsonText(part.result).length
  }
  return total
}

/** Characters of the text of a prompt: what its tokens are estimated from when the provider counts none. */
export const promptCharacters = (messages: ReadonlyArray<Message.Message>): number => {
  let total = 0
  for (const message of messages) total += characters(message.content)
  return total
}
