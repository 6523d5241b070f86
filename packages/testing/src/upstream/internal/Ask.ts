/** A request of either wire, read into one form. */

export interface Ask {
  readonly wire: "openai" | "anthropic"
  readonly operation: "chat" | "embeddings"
  /** As it was asked for, parameters and all. */
  readonly model: string
  readonly stream: boolean
  readonly includeUsage: boolean
  readonly question: string
  /** The result of a tool, if the last message brings one. */
  readonly toolResult: string | undefined
  /** The beginning of the answer, if the last message is the assistant's. */
  readonly prefill: string | undefined
  readonly tools: ReadonlyArray<{ readonly name: string; readonly schema: unknown }>
  /** `none`, `auto`, `any`, or the name of a tool. */
  readonly toolChoice: string
  readonly json: { readonly schema: unknown } | undefined
  readonly maxTokens: number | undefined
  readonly stop: ReadonlyArray<string>
  readonly inputCharacters: number
  readonly input: ReadonlyArray<string>
  readonly dimensions: number | undefined
  readonly base64: boolean
}

type Body = Readonly<Record<string, unknown>>

export const isRecord = (value: unknown): value is Body =>
  typeof value === "object" && value !== null && !Array.isArray(value)
const list = (value: unknown): ReadonlyArray<unknown> => (Array.isArray(value) ? value : [])
const records = (value: unknown): ReadonlyArray<Body> => list(value).filter(isRecord)
const texts = (value: unknown): ReadonlyArray<string> =>
  typeof value === "string" ? [value] : list(value).filter((each) => typeof each === "string")
const number = (value: unknown): number | undefined => (typeof value === "number" ? value : undefined)

const textOf = (content: unknown): string =>
  typeof content === "string"
    ? content
    : records(content)
        .map((part) => (typeof part["text"] === "string" ? part["text"] : ""))
        .join("")

const toolResultOf = (last: Body | undefined): string | undefined => {
  if (last === undefined) return undefined
  if (last["role"] === "tool") return textOf(last["content"])
  const result = records(last["content"]).find((part) => part["type"] === "tool_result")
  return result === undefined ? undefined : textOf(result["content"])
}

const conversation = (body: Body) => {
  const messages = records(body["messages"])
  const last = messages[messages.length - 1]
  const asked = messages.findLast((message) => message["role"] === "user" && textOf(message["content"]).length > 0)
  const system = textOf(body["system"])
  return {
    model: String(body["model"]),
    stream: body["stream"] === true,
    question: textOf(asked?.["content"]),
    toolResult: toolResultOf(last),
    prefill: last?.["role"] === "assistant" ? textOf(last["content"]) : undefined,
    inputCharacters: messages.reduce((sum, message) => sum + textOf(message["content"]).length, system.length),
    input: [],
    dimensions: undefined,
    base64: false
  }
}

const openAIToolChoice = (choice: unknown): string => {
  if (choice === "none" || choice === "auto") return choice
  if (choice === "required") return "any"
  const named = isRecord(choice) && isRecord(choice["function"]) ? choice["function"]["name"] : undefined
  return typeof named === "string" ? named : isRecord(choice) ? "any" : "auto"
}

const openAIJson = (format: unknown): Ask["json"] => {
  if (!isRecord(format)) return undefined
  if (format["type"] === "json_object")
    return { schema: { type: "object", properties: { answer: { type: "string" } } } }
  return isRecord(format["json_schema"]) ? { schema: format["json_schema"]["schema"] } : undefined
}

export const fromChatCompletions = (body: Body): Ask => ({
  wire: "openai",
  operation: "chat",
  ...conversation(body),
  includeUsage: isRecord(body["stream_options"]) && body["stream_options"]["include_usage"] === true,
  tools: records(body["tools"]).flatMap((tool) =>
    isRecord(tool["function"])
      ? [{ name: String(tool["function"]["name"]), schema: tool["function"]["parameters"] }]
      : []
  ),
  toolChoice: openAIToolChoice(body["tool_choice"]),
  json: openAIJson(body["response_format"]),
  maxTokens: number(body["max_completion_tokens"]) ?? number(body["max_tokens"]),
  stop: texts(body["stop"])
})

const anthropicToolChoice = (choice: unknown): string => {
  if (!isRecord(choice)) return "auto"
  return choice["type"] === "tool" ? String(choice["name"]) : String(choice["type"])
}

const anthropicJson = (body: Body): Ask["json"] => {
  const config = isRecord(body["output_config"]) ? body["output_config"]["format"] : undefined
  const format = config ?? body["output_format"]
  return isRecord(format) && format["type"] === "json_schema" ? { schema: format["schema"] } : undefined
}

export const fromMessages = (body: Body): Ask => ({
  wire: "anthropic",
  operation: "chat",
  ...conversation(body),
  includeUsage: true,
  tools: records(body["tools"]).map((tool) => ({ name: String(tool["name"]), schema: tool["input_schema"] })),
  toolChoice: anthropicToolChoice(body["tool_choice"]),
  json: anthropicJson(body),
  maxTokens: number(body["max_tokens"]),
  stop: texts(body["stop_sequences"])
})

export const fromEmbeddings = (body: Body): Ask => ({
  ...fromChatCompletions(body),
  operation: "embeddings",
  stream: false,
  input: texts(body["input"]),
  inputCharacters: texts(body["input"]).join("").length,
  dimensions: number(body["dimensions"]),
  base64: body["encoding_format"] === "base64"
})
