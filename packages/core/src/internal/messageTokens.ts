/**
 * What of a request is read by a tokenizer, and what it costs besides.
 *
 * Chat formats put four tokens around a message (its beginning, role, separator and end) and three before the answer;
 * that is documented for OpenAI's models and close for the others. Tools, files and tool calls are put into the prompt
 * in ways that are not documented: what stands here for them is an estimate, on the high side.
 */
import type { FilePart, Message, MessagePart } from "../domain/Message.ts"
import type { ProviderRequest } from "../domain/Request.ts"
import type { ToolDefinition } from "../domain/Tool.ts"

/** Texts to be counted, and tokens to be added. */
export interface Countable {
  readonly texts: ReadonlyArray<string>
  readonly fixed: number
  /** Whether nothing but documented overhead was added. */
  readonly exact: boolean
}

const aroundMessage = 4
const beforeAnswer = 3
const aroundTools = 12
const aroundTool = 8
const aroundToolCall = 8
/** An image in the usual size, or a page of a document. */
const image = 1_000
const bytesOfPage = 50_000

/** Text of a value as it is put into a prompt. */
const jsonOf = (value: unknown): string => {
  if (typeof value === "string") return value
  try {
    return JSON.stringify(value) ?? ""
  } catch {
    return ""
  }
}

const bytesOf = (data: FilePart["data"]): number =>
  typeof data === "string" ? (data.length * 3) / 4 : data instanceof Uint8Array ? data.byteLength : 0

const fileTokens = (part: FilePart): number => {
  if (part.mediaType.startsWith("image/")) return image
  const bytes = bytesOf(part.data)
  return part.mediaType.startsWith("text/") ? Math.ceil(bytes / 3) : image * Math.max(1, Math.ceil(bytes / bytesOfPage))
}

const partsSeen = new WeakMap<ReadonlyArray<MessagePart>, Countable>()

/** What a message holds. Lists of parts are looked at once. */
export const ofMessage = (message: Message): Countable => {
  const content = message.content
  if (typeof content === "string") return { texts: [content], fixed: aroundMessage, exact: true }
  let known = partsSeen.get(content)
  if (known === undefined) partsSeen.set(content, (known = ofParts(content)))
  return known
}

const ofParts = (content: ReadonlyArray<MessagePart>): Countable => {
  const texts: Array<string> = []
  let fixed = aroundMessage
  let exact = true
  const add = (part: MessagePart): void => {
    switch (part.type) {
      case "text":
        texts.push(part.text)
        return
      case "reasoning":
        texts.push(part.text)
        break
      case "file":
        fixed += fileTokens(part)
        break
      case "tool-call":
        texts.push(part.name, jsonOf(part.params))
        fixed += aroundToolCall
        break
      case "tool-result":
        if (part.modelOutput === undefined) texts.push(jsonOf(part.result))
        else for (const each of part.modelOutput) add(each)
        fixed += aroundMessage
        break
      default:
        fixed += aroundMessage
    }
    exact = false
  }
  for (const part of content) add(part)
  return { texts, fixed, exact: exact && texts.length <= 1 }
}

const toolsSeen = new WeakMap<ReadonlyArray<ToolDefinition>, string>()

const toolsText = (tools: ReadonlyArray<ToolDefinition>): string => {
  let text = toolsSeen.get(tools)
  if (text === undefined) toolsSeen.set(tools, (text = jsonOf(tools)))
  return text
}

/** What a request holds beside its messages. */
export const besides = (request: Pick<ProviderRequest, "tools" | "responseFormat">): Countable => {
  const texts: Array<string> = []
  let fixed = beforeAnswer
  const { responseFormat, tools } = request
  if (tools !== undefined && tools.length > 0) {
    texts.push(toolsText(tools))
    fixed += aroundTools + aroundTool * tools.length
  }
  if (responseFormat?.type === "json") {
    texts.push(jsonOf(responseFormat.schema))
    fixed += aroundTools
  }
  return { texts, fixed, exact: texts.length === 0 }
}

/** UTF-16 units of the texts. */
export const unitsOf = (countable: Countable): number => {
  let units = 0
  for (const text of countable.texts) units += text.length
  return units
}

/** Whether a message holds a file: what it costs is only guessed. */
export const hasFile = (message: Message): boolean =>
  typeof message.content !== "string" &&
  (message.content as ReadonlyArray<MessagePart>).some((part) => part.type === "file")
