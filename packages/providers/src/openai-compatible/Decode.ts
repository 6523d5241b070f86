/**
 * Whole answers of chat completions and embeddings, from JSON text.
 */
import type { LLMError, Response } from "@breakwater/core"
import * as Base64 from "effect/encoding/Base64"
import * as Result from "effect/Result"
import { type HttpAnswer, invalidResponse, originOf, type Target } from "../internal/Failure.ts"
import { asArray, asRecord, asText, type JsonRecord, parseJson } from "../internal/Json.ts"
import { rateLimits } from "../internal/RateLimitHeaders.ts"
import {
  type AnswerContext,
  collectExtra,
  contentText,
  finishReason,
  gaveUp,
  imageFile,
  isErrorReason,
  outputFiltered,
  overflowOf,
  reasoningText,
  refused,
  toolParams
} from "./Answer.ts"
import { metadataKey } from "./Encode.ts"
import * as ErrorMap from "./ErrorMap.ts"
import { estimate, usageOf } from "./Usage.ts"

type AttemptError = LLMError.AttemptError

const toolCalls = (message: JsonRecord, responseId: string | undefined): Array<Response.ContentPart> => {
  const out: Array<Response.ContentPart> = []
  const add = (id: string | undefined, fn: JsonRecord | undefined) => {
    const name = asText(fn?.["name"])
    if (name === undefined) return
    out.push({
      type: "tool-call",
      id: id ?? `${responseId ?? "call"}:${out.length}`,
      name,
      params: toolParams(fn?.["arguments"])
    })
  }
  for (const call of asArray(message["tool_calls"]) ?? []) {
    const record = asRecord(call)
    add(asText(record?.["id"]), asRecord(record?.["function"]))
  }
  const legacy = asRecord(message["function_call"])
  if (legacy !== undefined && out.length === 0) add(undefined, legacy)
  return out
}

const contentOf = (message: JsonRecord, responseId: string | undefined): Array<Response.ContentPart> => {
  const content: Array<Response.ContentPart> = []
  const reasoning = reasoningText(message)
  const details = asArray(message["reasoning_details"])
  if (reasoning.length > 0 || details !== undefined) {
    content.push({
      type: "reasoning",
      text: reasoning,
      ...(details === undefined ? {} : { metadata: { [metadataKey]: { reasoning_details: details } } })
    })
  }
  const text = contentText(message["content"])
  if (text.length > 0) content.push({ type: "text", text })
  for (const image of asArray(message["images"]) ?? []) {
    const file = imageFile(image)
    if (file !== undefined) content.push(file)
  }
  for (const call of toolCalls(message, responseId)) content.push(call)
  return content
}

const answerCharacters = (content: ReadonlyArray<Response.ContentPart>): number => {
  let total = 0
  for (const part of content) {
    if (part.type === "text" || part.type === "reasoning") total += part.text.length
    else if (part.type === "tool-call") total += part.name.length + JSON.stringify(part.params).length
  }
  return total
}

/** One turn, from the body of a 2xx. */
export const decodeChat = (answer: HttpAnswer, context: AnswerContext): Response.Turn | AttemptError => {
  const body = parseJson(answer.text)
  const json = asRecord(body)
  if (json === undefined) {
    return body === undefined && answer.text.length > 0
      ? ErrorMap.fromText(answer.text, answer, context.target)
      : invalidResponse(originOf(context.target, answer, undefined), "The answer is empty or no object.", answer.text)
  }
  const error = ErrorMap.fromBody(json, answer, context.target)
  if (error !== undefined) return error
  const choice = asRecord(asArray(json["choices"])?.[0])
  const message = asRecord(choice?.["message"])
  if (choice === undefined || message === undefined) {
    return invalidResponse(originOf(context.target, answer, undefined), "The answer holds no message.", answer.text)
  }
  return turnOf(json, choice, message, answer, context)
}

const turnOf = (
  json: JsonRecord,
  choice: JsonRecord,
  message: JsonRecord,
  answer: HttpAnswer,
  context: AnswerContext
): Response.Turn | AttemptError => {
  const wire = asText(choice["finish_reason"])
  const nested = ErrorMap.fromBody(choice, answer, context.target)
  if (nested !== undefined) return nested
  if (isErrorReason(wire)) return gaveUp(context)
  const id = asText(json["id"])
  const content = contentOf(message, id)
  const reason = finishReason(
    wire,
    content.some((part) => part.type === "tool-call")
  )
  if (reason === "content-filter") return outputFiltered(context, choice)
  const refusal = asText(message["refusal"])
  if (refusal !== undefined) return refused(context, refusal)
  const first = content[0]
  if (context.errorsInText && first?.type === "text" && isOverflowText(first.text)) {
    return ErrorMap.fromText(first.text, answer, context.target)
  }
  const usage = usageOf(json, choice) ?? estimate(context.promptCharacters(), answerCharacters(content))
  const overflow = overflowOf(context, usage, reason, content.length > 0)
  if (overflow !== undefined) return overflow
  const model = asText(json["model"])
  const limits = rateLimits(answer.headers, answer.nowMs)
  const extra: Record<string, unknown> = {}
  collectExtra(json, choice, message, extra)
  return {
    content,
    finishReason: reason,
    usage,
    ...(id === undefined ? {} : { id }),
    ...(model === undefined ? {} : { model }),
    ...(limits === undefined ? {} : { limits }),
    ...(Object.keys(extra).length === 0 ? {} : { extra })
  }
}

/** The two sentences LM Studio gives as an answer. Nothing looser: a model may speak of windows. */
export const isOverflowText = (text: string): boolean =>
  /^.{0,80}(?:number of tokens to keep from the initial prompt is greater than the context length|Cannot truncate prompt with n_keep)/is.test(
    text
  )

const floats = (text: string): ReadonlyArray<number> | undefined => {
  const bytes = Base64.decode(text)
  if (Result.isFailure(bytes) || bytes.success.length % 4 !== 0) return undefined
  const view = new DataView(bytes.success.buffer, bytes.success.byteOffset, bytes.success.length)
  const out: Array<number> = []
  for (let at = 0; at < bytes.success.length; at += 4) out.push(view.getFloat32(at, true))
  return out
}

const vectorOf = (value: unknown): ReadonlyArray<number> | undefined => {
  const vector = typeof value === "string" ? floats(value) : asArray(value)
  if (vector === undefined || vector.length === 0) return undefined
  for (const each of vector) {
    if (typeof each !== "number" || !Number.isFinite(each)) return undefined
  }
  return vector as ReadonlyArray<number>
}

/** The vectors of a batch, in the order of its texts, from the body of a 2xx. */
export const decodeEmbeddings = (
  answer: HttpAnswer,
  target: Target,
  input: ReadonlyArray<string>
): Response.Embeddings | AttemptError => {
  const json = asRecord(parseJson(answer.text))
  const error = json === undefined ? undefined : ErrorMap.fromBody(json, answer, target)
  if (error !== undefined) return error
  const invalid = (what: string) => invalidResponse(originOf(target, answer, undefined), what, answer.text)
  const data = asArray(json?.["data"])
  if (json === undefined || data === undefined) return invalid("The answer holds no vectors.")
  if (data.length !== input.length) return invalid(`The answer holds ${data.length} vectors for ${input.length} texts.`)
  const vectors: Array<ReadonlyArray<number> | undefined> = input.map(() => undefined)
  for (let i = 0; i < data.length; i++) {
    const record = asRecord(data[i])
    const index = record?.["index"]
    vectors[typeof index === "number" ? index : i] = vectorOf(record?.["embedding"])
  }
  if (vectors.length !== input.length || vectors.includes(undefined)) {
    return invalid("A vector is missing, or is not made of numbers.")
  }
  const model = asText(json["model"])
  return {
    vectors: vectors as ReadonlyArray<ReadonlyArray<number>>,
    usage:
      usageOf(json, undefined) ??
      estimate(
        input.reduce((sum, text) => sum + text.length, 0),
        0
      ),
    ...(model === undefined ? {} : { model })
  }
}
