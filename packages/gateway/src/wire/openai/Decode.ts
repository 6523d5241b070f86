/** OpenAI's chat completions and embeddings: from a body to a call. Unknown fields go to the provider as they are. */
import type { Call, Json, Message, Request, Tool } from "@breakwater/core"
import {
  defined,
  type Fields,
  isRecord,
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

const textParts = (content: unknown, param: string): string => {
  if (content === undefined || content === null) return ""
  if (typeof content === "string") return content
  let out = ""
  list(content, param).forEach((each, i) => {
    const part = record(each, `${param}[${i}]`)
    const field = part["type"] === "refusal" ? "refusal" : "text"
    out += text(part[field], `${param}[${i}].${field}`)
  })
  return out
}

const audioTypes: { readonly [format: string]: string } = { wav: "audio/wav", mp3: "audio/mpeg" }

const mediaTypeOf = (url: string, otherwise: string): string => /^data:([^;,]+)/.exec(url)?.[1] ?? otherwise

const userPart = (value: unknown, param: string): Message.UserPart => {
  const part = record(value, param)
  switch (part["type"]) {
    case "text":
      return { type: "text", text: text(part["text"], `${param}.text`) }
    case "image_url": {
      const image = part["image_url"]
      const url =
        typeof image === "string" ? image : text(record(image, `${param}.image_url`)["url"], `${param}.image_url.url`)
      if (!/^(https?:|gs:|data:)/.test(url)) refuse(`${param}.image_url.url`, "it must be an http, https or data URL")
      const detail = isRecord(image) ? maybeText(image["detail"], `${param}.image_url.detail`) : undefined
      return {
        type: "file",
        mediaType: mediaTypeOf(url, "image/*"),
        data: url,
        // Only OpenAI's wire has a word for it.
        ...(detail === undefined ? {} : { options: { "openai-compatible": { detail } } })
      }
    }
    case "input_audio": {
      const audio = record(part["input_audio"], `${param}.input_audio`)
      const format = text(audio["format"], `${param}.input_audio.format`)
      const data = text(audio["data"], `${param}.input_audio.data`)
      return { type: "file", mediaType: audioTypes[format] ?? `audio/${format}`, data }
    }
    case "file": {
      const file = record(part["file"], `${param}.file`)
      const data = text(file["file_data"], `${param}.file.file_data`)
      const fileName = maybeText(file["filename"], `${param}.file.filename`)
      return {
        type: "file",
        mediaType: mediaTypeOf(data, "application/pdf"),
        data,
        ...(fileName === undefined ? {} : { fileName })
      }
    }
    default:
      return refuse(`${param}.type`, "it must be text, image_url, input_audio or file")
  }
}

const paramsOf = (args: unknown): unknown => {
  if (typeof args !== "string") return args ?? {}
  try {
    return JSON.parse(args === "" ? "{}" : args) as unknown
  } catch {
    return args
  }
}

const assistantMessage = (message: Fields, param: string, names: Map<string, string>): Message.AssistantMessage => {
  const content = textParts(message["content"] ?? message["refusal"], `${param}.content`)
  const calls = maybeList(message["tool_calls"], `${param}.tool_calls`) ?? []
  const details = maybeList(message["reasoning_details"], `${param}.reasoning_details`)
  const legacy = maybeRecord(message["function_call"], `${param}.function_call`)
  if (maybeRecord(message["audio"], `${param}.audio`) !== undefined) refuse(`${param}.audio`, "it is not carried")
  if (legacy !== undefined && calls.length === 0) {
    // Results of such a call name it by the function.
    const name = text(legacy["name"], `${param}.function_call.name`)
    const part = { type: "tool-call", id: name, name, params: paramsOf(legacy["arguments"]) } as const
    return { role: "assistant", content: content.length === 0 ? [part] : [{ type: "text", text: content }, part] }
  }
  if (calls.length === 0 && details === undefined) return { role: "assistant", content }
  const parts: Array<Message.AssistantPart> = []
  if (details !== undefined) {
    const options = { "openai-compatible": { reasoning_details: details as ReadonlyArray<Json.Json> } }
    parts.push({ type: "reasoning", text: "", options } as Message.AssistantPart)
  }
  if (content.length > 0) parts.push({ type: "text", text: content })
  calls.forEach((value, i) => {
    const at = `${param}.tool_calls[${i}]`
    const call = record(value, at)
    const id = text(call["id"], `${at}.id`)
    const fn = record(call["function"], `${at}.function`)
    const name = text(fn["name"], `${at}.function.name`)
    names.set(id, name)
    parts.push({ type: "tool-call", id, name, params: paramsOf(fn["arguments"]) })
  })
  return { role: "assistant", content: parts }
}

const messageOf = (value: unknown, param: string, names: Map<string, string>): Message.Message => {
  const message = record(value, param)
  const content = message["content"]
  switch (message["role"]) {
    case "system":
    case "developer":
      return { role: "system", content: textParts(content, `${param}.content`) }
    case "user":
      return typeof content === "string"
        ? { role: "user", content }
        : {
            role: "user",
            content: list(content, `${param}.content`).map((part, i) => userPart(part, `${param}.content[${i}]`))
          }
    case "assistant":
      return assistantMessage(message, param, names)
    case "tool":
    case "function": {
      const id = text(message["tool_call_id"] ?? message["name"], `${param}.tool_call_id`)
      const result = textParts(content, `${param}.content`)
      const part = { type: "tool-result", id, name: names.get(id) ?? id, isFailure: false, result } as const
      return { role: "tool", content: [part] }
    }
    default:
      return refuse(`${param}.role`, "it must be system, developer, user, assistant or tool")
  }
}

const messagesOf = (value: unknown): ReadonlyArray<Message.Message> => {
  const messages = list(value, "messages")
  if (messages.length > maxMessages) refuse("messages", `there are more than ${maxMessages}`)
  const names = new Map<string, string>()
  return messages.map((message, i) => messageOf(message, `messages[${i}]`, names))
}

const toolOf = (value: Fields, param: string): Tool.ToolDefinition => {
  const fn = record(value["function"], `${param}.function`)
  const parameters = maybeRecord(fn["parameters"], `${param}.function.parameters`)
  return {
    name: text(fn["name"], `${param}.function.name`),
    parameters: (parameters ?? { type: "object", properties: {} }) as Json.JsonObject,
    ...defined({
      description: maybeText(fn["description"], `${param}.function.description`),
      strict: maybeFlag(fn["strict"], `${param}.function.strict`)
    })
  }
}

const choiceOf = (value: unknown): Tool.ToolChoice | undefined => {
  if (value === "auto" || value === "none" || value === "required") return value
  const choice = record(value, "tool_choice")
  if (choice["type"] === "allowed_tools") {
    const allowed = record(choice["allowed_tools"], "tool_choice.allowed_tools")
    const oneOf = list(allowed["tools"], "tool_choice.allowed_tools.tools").map((tool, i) => {
      const at = `tool_choice.allowed_tools.tools[${i}]`
      return text(record(record(tool, at)["function"], `${at}.function`)["name"], `${at}.function.name`)
    })
    return { oneOf, mode: allowed["mode"] === "required" ? "required" : "auto" }
  }
  if (choice["type"] !== "function") return undefined
  return { tool: text(record(choice["function"], "tool_choice.function")["name"], "tool_choice.function.name") }
}

/** Tools of other kinds than functions are the provider's own: then the list goes on as it came. */
const toolsOf = (body: Fields, extra: Record<string, unknown>) => {
  const tools = maybeList(body["tools"], "tools")
  const records = tools?.map((tool, i) => record(tool, `tools[${i}]`)) ?? []
  if (records.some((tool) => tool["type"] !== "function")) {
    extra["tools"] = tools
    if (body["tool_choice"] !== undefined) extra["tool_choice"] = body["tool_choice"]
    return {}
  }
  const given = body["tool_choice"]
  const toolChoice = given === undefined || given === null ? undefined : choiceOf(given)
  if (given !== undefined && given !== null && toolChoice === undefined) extra["tool_choice"] = given
  return defined({
    tools: tools === undefined ? undefined : records.map((tool, i) => toolOf(tool, `tools[${i}]`)),
    toolChoice
  })
}

/**
 * `parallel_tool_calls: false` in Anthropic's words. `true` is what everybody does unasked.
 */
const parallelOf = (body: Fields, spoken: Spoken, extra: Record<string, unknown>): void => {
  const parallel = maybeFlag(body["parallel_tool_calls"], "parallel_tool_calls")
  if (parallel === undefined || spoken === "openai") return
  delete extra["parallel_tool_calls"]
  const hasTools = Array.isArray(body["tools"]) && body["tools"].length > 0
  if (parallel || !hasTools || body["tool_choice"] === "none") return
  if (spoken === "other") refuse("parallel_tool_calls", "not all targets of this request have a word for it")
  const choice = body["tool_choice"] ?? "auto"
  const named = isRecord(choice) ? choiceOf(choice) : choice
  const one = { disable_parallel_tool_use: true }
  if (named === "auto") extra["tool_choice"] = { type: "auto", ...one }
  else if (named === "required") extra["tool_choice"] = { type: "any", ...one }
  else if (typeof named === "object" && named !== null && "tool" in named)
    extra["tool_choice"] = { type: "tool", name: named.tool, ...one }
  else refuse("parallel_tool_calls", "Anthropic has no word for it beside this tool_choice")
}

const formatOf = (body: Fields, extra: Record<string, unknown>): Request.ResponseFormat | undefined => {
  const format = maybeRecord(body["response_format"], "response_format")
  if (format === undefined) return undefined
  if (format["type"] === "text") return { type: "text" }
  if (format["type"] !== "json_schema") {
    text(format["type"], "response_format.type")
    extra["response_format"] = format
    return undefined
  }
  const schema = record(format["json_schema"], "response_format.json_schema")
  return {
    type: "json",
    name: text(schema["name"], "response_format.json_schema.name"),
    schema: record(schema["schema"], "response_format.json_schema.schema") as Json.JsonObject,
    ...defined({ strict: maybeFlag(schema["strict"], "response_format.json_schema.strict") })
  }
}

const efforts = new Set(["none", "minimal", "low", "medium", "high"])

const reasoningOf = (body: Fields, extra: Record<string, unknown>): Request.Sampling["reasoning"] => {
  const effort = maybeText(body["reasoning_effort"], "reasoning_effort")
  if (effort === undefined) return undefined
  if (efforts.has(effort)) return { effort: effort as Request.ReasoningEffort }
  extra["reasoning_effort"] = effort
  return undefined
}

const known = new Set([
  "model",
  "fallbacks",
  "messages",
  "stream",
  "stream_options",
  "temperature",
  "top_p",
  "top_k",
  "max_tokens",
  "max_completion_tokens",
  "stop",
  "seed",
  "presence_penalty",
  "frequency_penalty",
  "user",
  "n",
  "tools",
  "tool_choice",
  "response_format",
  "reasoning_effort"
])

/** The targets of a body: what both wires and both operations share. */
export const targetsOf = (body: Fields): Pick<Asked, "model" | "fallbacks"> => ({
  model: text(body["model"], "model"),
  fallbacks: maybeTexts(body["fallbacks"], "fallbacks")
})

/** A chat request to targets of a wire, or what is wrong with it. */
export const decodeChat = (body: Fields, spoken: Spoken = "openai"): Asked | Problem =>
  reading(() => {
    const extra = unknownFields(body, known) ?? {}
    checkOverrides("openai", extra)
    parallelOf(body, spoken, extra)
    const options = maybeRecord(body["stream_options"], "stream_options")
    const stream = maybeFlag(body["stream"], "stream") ?? false
    if (stream && maybeFlag(body["logprobs"], "logprobs") === true) {
      refuse("logprobs", "they are not carried in streams; ask without stream")
    }
    if ((maybeNumber(body["n"], "n") ?? 1) !== 1) refuse("n", "only one answer is made for a request")
    const call: Asked["call"] = {
      prompt: messagesOf(body["messages"]),
      ...toolsOf(body, extra),
      ...defined({
        responseFormat: formatOf(body, extra),
        reasoning: reasoningOf(body, extra),
        temperature: maybeNumber(body["temperature"], "temperature"),
        topP: maybeNumber(body["top_p"], "top_p"),
        topK: maybeNumber(body["top_k"], "top_k"),
        maxTokens: maybeNumber(body["max_completion_tokens"] ?? body["max_tokens"], "max_tokens"),
        stop: maybeTexts(body["stop"], "stop"),
        seed: maybeNumber(body["seed"], "seed"),
        presencePenalty: maybeNumber(body["presence_penalty"], "presence_penalty"),
        frequencyPenalty: maybeNumber(body["frequency_penalty"], "frequency_penalty"),
        user: maybeText(body["user"], "user")
      }),
      ...(Object.keys(extra).length === 0 ? {} : { extra })
    }
    return {
      ...targetsOf(body),
      stream,
      includeUsage: maybeFlag(options?.["include_usage"], "stream_options.include_usage") ?? false,
      call
    }
  })

const knownOfEmbeddings = new Set(["model", "fallbacks", "input", "dimensions", "user", "encoding_format"])

/** A request for embeddings. */
export interface AskedEmbeddings extends Pick<Asked, "model" | "fallbacks"> {
  readonly base64: boolean
  /** Whether tokens were sent and no texts. */
  readonly tokens: boolean
  readonly call: Omit<Call.EmbedOptions, "model" | "fallbacks">
}

/** A request for embeddings, or what is wrong with it. */
const maxTokenId = 10_000_000

const tokensOf = (value: unknown, param: string): string => {
  const tokens = list(value, param)
  if (tokens.length === 0) refuse(param, "there are no tokens")
  tokens.forEach((token, i) => {
    const isToken = Number.isInteger(token) && (token as number) >= 0 && (token as number) <= maxTokenId
    if (!isToken) refuse(`${param}[${i}]`, "it must be the number of a token")
  })
  return tokens.join(" ")
}

/** Texts, one for each array of tokens, that stand for them where length and sameness are asked; `undefined` for texts. */
const tokenTexts = (input: unknown): ReadonlyArray<string> | undefined => {
  if (!Array.isArray(input) || input.length === 0) return undefined
  if (typeof input[0] === "number") return [tokensOf(input, "input")]
  return Array.isArray(input[0]) ? input.map((each, i) => tokensOf(each, `input[${i}]`)) : undefined
}

export const decodeEmbeddings = (body: Fields): AskedEmbeddings | Problem =>
  reading(() => {
    const { input } = body
    const tokens = tokenTexts(input)
    const unknown = unknownFields(body, knownOfEmbeddings)
    // The tokens themselves go to the provider as they came.
    const extra = tokens === undefined ? unknown : { ...unknown, input }
    const encoding = maybeText(body["encoding_format"], "encoding_format") ?? "float"
    if (encoding !== "float" && encoding !== "base64") refuse("encoding_format", "it must be float or base64")
    return {
      ...targetsOf(body),
      base64: encoding === "base64",
      tokens: tokens !== undefined,
      call: {
        input: tokens ?? maybeTexts(input, "input") ?? refuse("input", "it is missing"),
        ...defined({
          dimensions: maybeNumber(body["dimensions"], "dimensions"),
          user: maybeText(body["user"], "user"),
          extra
        })
      }
    }
  })

/** A body that is an object. */
export const bodyOf = (json: unknown): Fields | Problem =>
  reading(() => (isRecord(json) ? json : refuse("body", "it must be a JSON object")))
