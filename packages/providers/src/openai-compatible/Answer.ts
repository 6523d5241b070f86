/**
 * What whole answers and streamed ones have in common: finish reasons, arguments of tools, texts, files.
 */
import { LLMError, type Response } from "@breakwater/core"
import { silentOverflow } from "../internal/ContextLength.ts"
import type { HttpHead } from "../internal/HttpCall.ts"
import { originOf, type Target } from "../internal/Failure.ts"
import { asArray, asRecord, asText, type JsonRecord } from "../internal/Json.ts"
import { filteredCategories } from "./ErrorMap.ts"

/** What a codec must know of the request to read its answer. */
export interface AnswerContext {
  readonly target: Target
  readonly head: HttpHead
  /** Characters of the prompt, asked for only when the provider counts nothing. */
  readonly promptCharacters: () => number
  readonly contextWindow?: number
  readonly errorsInText: boolean
}

const reasons: { readonly [reason: string]: Response.FinishReason } = {
  stop: "stop",
  eos: "stop",
  eos_token: "stop",
  end_turn: "stop",
  stop_sequence: "stop",
  length: "length",
  max_tokens: "length",
  max_output_tokens: "length",
  tool_calls: "tool-calls",
  tool_use: "tool-calls",
  function_call: "tool-calls",
  content_filter: "content-filter",
  safety: "content-filter"
}

/** A finish reason of the wire. Some servers say `stop` although they call a tool. */
export const finishReason = (wire: string | undefined, hasToolCalls: boolean): Response.FinishReason => {
  const reason = wire === undefined ? "other" : (reasons[wire.toLowerCase()] ?? "other")
  return hasToolCalls && (reason === "stop" || reason === "other") ? "tool-calls" : reason
}

/** Reasons that mean that the server gave up. */
export const isErrorReason = (wire: string | undefined): boolean => wire === "error" || wire === "abort"

/**
 * The parsed arguments of a tool call. Arguments that are not JSON stay the text they are: the caller's schema
 * rejects them with the text at hand, which can be repaired; an error here would throw away a paid answer.
 */
export const toolParams = (args: unknown): unknown => {
  if (typeof args !== "string") return args ?? {}
  if (args.trim().length === 0) return {}
  try {
    return JSON.parse(args) as unknown
  } catch {
    return args
  }
}

const partsText = (parts: ReadonlyArray<unknown>, wanted: "text" | "thinking"): string => {
  let text = ""
  for (const part of parts) {
    const record = asRecord(part)
    if (record?.["type"] !== wanted) continue
    const value = record[wanted]
    text += typeof value === "string" ? value : partsText(asArray(value) ?? [], "text")
  }
  return text
}

/** The text of a `content`: a text, or a list of parts. */
export const contentText = (content: unknown): string =>
  typeof content === "string" ? content : Array.isArray(content) ? partsText(content, "text") : ""

/** The reasoning beside a content, under any of its names. */
export const reasoningText = (message: JsonRecord): string => {
  const text = message["reasoning_content"] ?? message["reasoning"] ?? message["thinking"]
  if (typeof text === "string") return text
  return Array.isArray(message["content"]) ? partsText(message["content"], "thinking") : ""
}

/** A file among `images`, as its base64 or its address. */
export const imageFile = (image: unknown): Extract<Response.ContentPart, { type: "file" }> | undefined => {
  const url = asText(asRecord(asRecord(image)?.["image_url"])?.["url"])
  if (url === undefined) return undefined
  const inline = /^data:([^;,]{1,100});base64,/.exec(url)
  return inline === null
    ? { type: "file", mediaType: "image/*", data: url }
    : { type: "file", mediaType: inline[1]!, data: url.slice(inline[0].length) }
}

/** The provider cut the answer off for its content. */
export const outputFiltered = (context: AnswerContext, choice: JsonRecord): LLMError.ContentFilterError => {
  const verdict = asRecord(choice["content_filter_results"])
  const categories = verdict === undefined ? [] : filteredCategories(verdict)
  return new LLMError.ContentFilterError({
    ...originOf(context.target, context.head, undefined),
    message: "The provider cut the answer off for its content.",
    stage: "output",
    ...(categories.length === 0 ? {} : { categories }),
    reason: "content_filter"
  })
}

/** The model declined. Its words are the reason. */
export const refused = (context: AnswerContext, refusal: string): LLMError.ContentFilterError =>
  new LLMError.ContentFilterError({
    ...originOf(context.target, context.head, undefined),
    message: "The model refused to answer.",
    stage: "output",
    reason: refusal.slice(0, 500)
  })

/** The server gave up in the middle without saying why. */
export const gaveUp = (context: AnswerContext): LLMError.ServerError =>
  new LLMError.ServerError({
    ...originOf(context.target, context.head, undefined),
    message: "The provider gave up while answering."
  })

/** The error for an overflow that the numbers show, if they do. */
export const overflowOf = (
  context: AnswerContext,
  usage: Response.Turn["usage"],
  reason: Response.FinishReason,
  hasContent: boolean
): LLMError.ContextLengthError | undefined => {
  const overflow = silentOverflow(usage, reason, hasContent, context.contextWindow)
  return overflow === undefined
    ? undefined
    : new LLMError.ContextLengthError({
        ...originOf(context.target, context.head, undefined),
        message: "Prompt and answer do not fit the model's window, though the provider did not say so.",
        ...overflow
      })
}

const placed = new Set(["id", "object", "model", "choices", "usage", "error"])
const placedInChoice = new Set(["index", "message", "delta", "finish_reason", "text", "usage"])
const placedInMessage = new Set([
  "role",
  "content",
  "refusal",
  "reasoning",
  "reasoning_content",
  "reasoning_details",
  "thinking",
  "tool_calls",
  "function_call",
  "images"
])

const collect = (from: JsonRecord | undefined, known: ReadonlySet<string>, into: Record<string, unknown>): void => {
  for (const key in from) {
    if (!known.has(key) && from[key] !== null && from[key] !== undefined) into[key] = from[key]
  }
}

/** Fields that have no place of their own, of the response, its choice and its message, in one object. */
export const collectExtra = (
  json: JsonRecord,
  choice: JsonRecord | undefined,
  message: JsonRecord | undefined,
  into: Record<string, unknown>
): void => {
  collect(json, placed, into)
  collect(choice, placedInChoice, into)
  collect(message, placedInMessage, into)
}
