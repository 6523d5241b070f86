/** Anthropic's messages: from a body to a call. Unknown fields go to the provider as they are. */
import type { Json, Message, Request, Tool } from "@breakwater/core"
import {
  defined,
  type Fields,
  list,
  maybeFlag,
  maybeList,
  maybeNumber,
  maybeRecord,
  maybeText,
  maybeTexts,
  reading,
  record,
  refuse,
  text,
  unknownFields
} from "../../internal/Fields.ts"
import type { Problem } from "../../internal/Problem.ts"
import { type Asked, maxMessages, type Spoken } from "../Asked.ts"
import { checkOverrides } from "../Overrides.ts"
import { targetsOf } from "../openai/Decode.ts"

type Part = Message.UserPart | Message.AssistantPart | Message.ToolPart

/** Marks of the wire that its own provider wants back. */
const own = (fields: Record<string, unknown>): { readonly options?: Message.UserPart["options"] } =>
  Object.keys(fields).length === 0
    ? {}
    : ({ options: { anthropic: fields } } as { options: Message.UserPart["options"] })

const marksOf = (block: Fields): Record<string, unknown> =>
  block["cache_control"] === undefined || block["cache_control"] === null
    ? {}
    : { cacheControl: block["cache_control"] }

const fileOf = (block: Fields, param: string): Message.FilePart => {
  const source = record(block["source"], `${param}.source`)
  const image = block["type"] === "image"
  if (maybeRecord(block["citations"], `${param}.citations`)?.["enabled"] === true) {
    refuse(`${param}.citations`, "citations are not carried")
  }
  if (maybeText(block["context"], `${param}.context`))
    refuse(`${param}.context`, "it is not carried: put it into a text")
  const fileName = maybeText(block["title"], `${param}.title`)
  const rest = { ...(fileName === undefined ? {} : { fileName }), ...own(marksOf(block)) }
  switch (source["type"]) {
    case "base64": {
      const mediaType = text(source["media_type"], `${param}.source.media_type`)
      return { type: "file", mediaType, data: text(source["data"], `${param}.source.data`), ...rest }
    }
    case "url": {
      const data = text(source["url"], `${param}.source.url`)
      if (!/^https?:/.test(data)) refuse(`${param}.source.url`, "it must be an http or https URL")
      return { type: "file", mediaType: image ? "image/*" : "application/pdf", data, ...rest }
    }
    case "text": {
      const data = Buffer.from(text(source["data"], `${param}.source.data`)).toString("base64")
      return { type: "file", mediaType: "text/plain", data, ...rest }
    }
    default:
      return refuse(`${param}.source.type`, "it must be base64, url or text")
  }
}

const toolResult = (block: Fields, param: string, names: Map<string, string>): Message.ToolPart => {
  const id = text(block["tool_use_id"], `${param}.tool_use_id`)
  const content = block["content"]
  const shared = {
    type: "tool-result",
    id,
    name: names.get(id) ?? id,
    isFailure: maybeFlag(block["is_error"], `${param}.is_error`) ?? false,
    ...own(marksOf(block))
  } as const
  if (content === undefined || content === null || typeof content === "string")
    return { ...shared, result: content ?? "" }
  const parts = list(content, `${param}.content`).map((value, i) => {
    const at = `${param}.content[${i}]`
    const part = record(value, at)
    return part["type"] === "text"
      ? ({ type: "text", text: text(part["text"], `${at}.text`) } as const)
      : fileOf(part, at)
  })
  const result = parts.map((part) => (part.type === "text" ? part.text : "")).join("")
  return parts.every((part) => part.type === "text") ? { ...shared, result } : { ...shared, result, modelOutput: parts }
}

const blockOf = (value: unknown, param: string, names: Map<string, string>): Part => {
  const block = record(value, param)
  switch (block["type"]) {
    case "text":
      return { type: "text", text: text(block["text"], `${param}.text`), ...own(marksOf(block)) }
    case "image":
    case "document":
      return fileOf(block, param)
    case "thinking": {
      const signature = maybeText(block["signature"], `${param}.signature`)
      const thinking = text(block["thinking"], `${param}.thinking`)
      // An empty one stands for thoughts of another provider: Anthropic's own would refuse them.
      return { type: "reasoning", text: thinking, ...own(signature ? { signature } : {}) }
    }
    case "redacted_thinking":
      return { type: "reasoning", text: "", ...own({ redactedData: text(block["data"], `${param}.data`) }) }
    case "tool_use": {
      const id = text(block["id"], `${param}.id`)
      const name = text(block["name"], `${param}.name`)
      names.set(id, name)
      return { type: "tool-call", id, name, params: block["input"] ?? {}, ...own(marksOf(block)) }
    }
    case "tool_result":
      return toolResult(block, param, names)
    default:
      return refuse(`${param}.type`, "it must be text, image, document, thinking, tool_use or tool_result")
  }
}

/** Results of tools stand in messages of the user's on this wire, and in messages of their own in ours. */
const pushMessage = (out: Array<Message.Message>, value: unknown, param: string, names: Map<string, string>): void => {
  const message = record(value, param)
  const { role, content } = message
  if (role !== "user" && role !== "assistant") refuse(`${param}.role`, "it must be user or assistant")
  if (typeof content === "string") {
    out.push({ role: role as "user" | "assistant", content })
    return
  }
  const parts = list(content, `${param}.content`).map((part, i) => blockOf(part, `${param}.content[${i}]`, names))
  if (role === "assistant") {
    out.push({ role, content: parts as ReadonlyArray<Message.AssistantPart> })
    return
  }
  const results = parts.filter((part) => part.type === "tool-result")
  const rest = parts.filter((part) => part.type !== "tool-result")
  if (results.length > 0) out.push({ role: "tool", content: results })
  if (rest.length > 0 || results.length === 0)
    out.push({ role: "user", content: rest as ReadonlyArray<Message.UserPart> })
}

const messagesOf = (body: Fields): ReadonlyArray<Message.Message> => {
  const given = list(body["messages"], "messages")
  if (given.length > maxMessages) refuse("messages", `there are more than ${maxMessages}`)
  const out: Array<Message.Message> = []
  const system = body["system"]
  if (typeof system === "string") out.push({ role: "system", content: system })
  else {
    maybeList(system, "system")?.forEach((value, i) => {
      const block = record(value, `system[${i}]`)
      out.push({ role: "system", content: text(block["text"], `system[${i}].text`), ...own(marksOf(block)) })
    })
  }
  const names = new Map<string, string>()
  given.forEach((message, i) => pushMessage(out, message, `messages[${i}]`, names))
  return out
}

const toolOf = (tool: Fields, param: string): Tool.ToolDefinition => ({
  name: text(tool["name"], `${param}.name`),
  parameters: record(tool["input_schema"], `${param}.input_schema`) as Json.JsonObject,
  ...defined({
    description: maybeText(tool["description"], `${param}.description`),
    strict: maybeFlag(tool["strict"], `${param}.strict`)
  })
})

const choiceOf = (choice: Fields): Tool.ToolChoice => {
  switch (choice["type"]) {
    case "auto":
    case "none":
      return choice["type"]
    case "any":
      return "required"
    case "tool":
      return { tool: text(choice["name"], "tool_choice.name") }
    default:
      return refuse("tool_choice.type", "it must be auto, any, tool or none")
  }
}

const knownOfTools = new Set(["type", "name", "description", "input_schema", "strict"])

/** One call at a time: OpenAI's wire has another word for it, and the others have none. */
const oneAtATime = (choice: Fields | undefined, spoken: Spoken, extra: Record<string, unknown>): void => {
  const param = "tool_choice.disable_parallel_tool_use"
  if (maybeFlag(choice?.["disable_parallel_tool_use"], param) !== true) return
  if (spoken === "openai") extra["parallel_tool_calls"] = false
  else if (spoken === "other") refuse(param, "not all targets of this request have a word for it")
}

/**
 * Tools of the provider's own make go on as they came, and the others with them. To Anthropic alone every list goes as it
 * came if there is more in it than other wires know: marks for the cache, examples.
 */
const toolsOf = (body: Fields, spoken: Spoken, extra: Record<string, unknown>) => {
  const tools = maybeList(body["tools"], "tools")?.map((tool, i) => record(tool, `tools[${i}]`))
  const choice = maybeRecord(body["tool_choice"], "tool_choice")
  if (
    tools?.some((tool) => tool["type"] !== undefined && tool["type"] !== null && tool["type"] !== "custom") === true
  ) {
    extra["tools"] = tools
    if (choice !== undefined) extra["tool_choice"] = choice
    return {}
  }
  oneAtATime(choice, spoken, extra)
  if (spoken === "anthropic") {
    if (tools?.some((tool) => Object.keys(tool).some((key) => !knownOfTools.has(key))) === true) extra["tools"] = tools
    if (choice?.["disable_parallel_tool_use"] !== undefined) extra["tool_choice"] = choice
  }
  return defined({
    tools: tools?.map((tool, i) => toolOf(tool, `tools[${i}]`)),
    toolChoice: choice === undefined ? undefined : choiceOf(choice)
  })
}

const effortOf = (budget: number): Request.ReasoningEffort =>
  budget <= 1_024 ? "minimal" : budget <= 4_096 ? "low" : budget <= 8_192 ? "medium" : "high"

const efforts: { readonly [effort: string]: Request.ReasoningEffort } = {
  low: "low",
  medium: "medium",
  high: "high",
  // Beyond what the others know.
  xhigh: "high",
  max: "high"
}

/** `output_config.effort`, for targets that do not know the field. */
const effortAsked = (body: Fields): Request.ReasoningEffort | undefined => {
  const effort = maybeText(maybeRecord(body["output_config"], "output_config")?.["effort"], "output_config.effort")
  if (effort === undefined) return undefined
  return Object.hasOwn(efforts, effort)
    ? efforts[effort]
    : refuse("output_config.effort", Object.keys(efforts).join(", "))
}

/** Thoughts: in the wire's own words for its own provider, and as an effort for any other. */
const reasoningOf = (body: Fields, spoken: Spoken, extra: Record<string, unknown>): Request.Sampling["reasoning"] => {
  const thinking = maybeRecord(body["thinking"], "thinking")
  const effort = spoken === "anthropic" ? undefined : effortAsked(body)
  if (effort !== undefined && thinking?.["type"] !== "disabled") return { effort }
  if (thinking === undefined) return undefined
  if (spoken === "anthropic") {
    extra["thinking"] = thinking
    return undefined
  }
  if (thinking["type"] === "disabled") return { effort: "none" }
  return { effort: effortOf(maybeNumber(thinking["budget_tokens"], "thinking.budget_tokens") ?? 8_192) }
}

const formatOf = (body: Fields, spoken: Spoken, extra: Record<string, unknown>): Request.ResponseFormat | undefined => {
  const config = maybeRecord(body["output_config"], "output_config")
  const format = maybeRecord(config?.["format"] ?? body["output_format"], "output_config.format")
  if (config !== undefined) {
    const { format: _, effort, ...others } = config
    const rest = spoken === "anthropic" && effort !== undefined ? { ...others, effort } : others
    if (Object.keys(rest).length > 0) extra["output_config"] = rest
  }
  if (format === undefined) return undefined
  if (format["type"] !== "json_schema") refuse("output_config.format.type", "it must be json_schema")
  return {
    type: "json",
    name: "answer",
    schema: record(format["schema"], "output_config.format.schema") as Json.JsonObject
  }
}

const known = new Set([
  "model",
  "fallbacks",
  "messages",
  "system",
  "max_tokens",
  "stream",
  "temperature",
  "top_p",
  "top_k",
  "stop_sequences",
  "metadata",
  "tools",
  "tool_choice",
  "thinking",
  "output_config",
  "output_format"
])

/** A request for a message to targets of a wire, or what is wrong with it. */
export const decodeMessages = (body: Fields, spoken: Spoken): Asked | Problem =>
  reading(() => {
    const extra = unknownFields(body, known) ?? {}
    checkOverrides("anthropic", extra)
    const metadata = maybeRecord(body["metadata"], "metadata")
    const maxTokens = maybeNumber(body["max_tokens"], "max_tokens") ?? refuse("max_tokens", "it is missing")
    const call: Asked["call"] = {
      prompt: messagesOf(body),
      maxTokens,
      ...toolsOf(body, spoken, extra),
      ...defined({
        responseFormat: formatOf(body, spoken, extra),
        reasoning: reasoningOf(body, spoken, extra),
        temperature: maybeNumber(body["temperature"], "temperature"),
        topP: maybeNumber(body["top_p"], "top_p"),
        topK: maybeNumber(body["top_k"], "top_k"),
        stop: maybeTexts(body["stop_sequences"], "stop_sequences"),
        user: maybeText(metadata?.["user_id"], "metadata.user_id")
      }),
      ...(Object.keys(extra).length === 0 ? {} : { extra })
    }
    return { ...targetsOf(body), stream: maybeFlag(body["stream"], "stream") ?? false, includeUsage: true, call }
  })
