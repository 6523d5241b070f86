/**
 * A streamed answer of chat completions: a state machine without I/O, one object a stream.
 *
 * The answer is complete with its finish reason. Usage may come before it, with it, or after it in a chunk
 * without choices; the `finish` part waits for it until the stream's end, briefly.
 */
import type { LLMError, Response } from "@breakwater/core"
import type { SseEvent } from "../internal/Sse.ts"
import type { StreamDecoder } from "../internal/StreamReader.ts"
import { asArray, asRecord, asText, type JsonRecord } from "../internal/Json.ts"
import { rateLimits } from "../internal/RateLimitHeaders.ts"
import { invalidResponse, originOf } from "../internal/Failure.ts"
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
import { isOverflowText } from "./Decode.ts"
import { metadataKey } from "./Encode.ts"
import * as ErrorMap from "./ErrorMap.ts"
import { estimate, usageOf } from "./Usage.ts"

type Part = Response.StreamPart
type AttemptError = LLMError.AttemptError

interface ToolCall {
  id: string | undefined
  name: string
  args: string
  /** Arguments that came as an object, whole. */
  whole: unknown
  started: boolean
}

export class ChatStreamDecoder implements StreamDecoder {
  private readonly context: AnswerContext
  private id: string | undefined = undefined
  private announced = false
  private wireReason: string | undefined = undefined
  private usage: Response.Turn["usage"] | undefined = undefined
  private refusal = ""
  private hasContent = false
  private characters = 0
  private readonly calls = new Map<number, ToolCall>()
  private lastCall = -1
  private extra: Record<string, unknown> | undefined = undefined

  constructor(context: AnswerContext) {
    this.context = context
  }

  /** The answer is there; only its usage may still come. */
  get settling(): boolean {
    return this.wireReason !== undefined
  }

  event(json: unknown, event: SseEvent, out: Array<Part>): AttemptError | undefined {
    const chunk = asRecord(json)
    if (chunk === undefined) return undefined
    if (chunk["error"] !== undefined || event.event === "error" || chunk["object"] === "error") {
      const error = ErrorMap.fromBody(
        chunk["error"] === undefined ? { error: chunk } : chunk,
        this.context.head,
        this.context.target
      )
      if (error !== undefined) return error
    }
    if (!this.announced) this.announce(chunk, out)
    const choice = asRecord(asArray(chunk["choices"])?.[0])
    const usage = usageOf(chunk, choice)
    if (usage !== undefined) this.usage = usage
    if (choice !== undefined && (choice["index"] ?? 0) === 0) {
      const error = this.choice(chunk, choice, out)
      if (error !== undefined) return error
    } else if (usage !== undefined) this.keepExtra(chunk, undefined, undefined)
    // Usage beside or after the finish reason is the last word: nothing is left to wait for.
    if (usage !== undefined && this.wireReason !== undefined) return this.finish(out)
    return undefined
  }

  end(how: "done" | "closed", out: Array<Part>): AttemptError | boolean {
    if (this.wireReason === undefined) {
      if (how === "closed") return false
      if (!this.hasContent && this.refusal.length === 0) return this.empty()
    }
    return this.finish(out) ?? true
  }

  /** `[DONE]` after nothing at all. LM Studio does this when the prompt does not fit. */
  private empty(): AttemptError {
    const { context } = this
    return context.errorsInText
      ? ErrorMap.fromText(
          "The answer is empty; the prompt may exceed the context length.",
          context.head,
          context.target
        )
      : invalidResponse(originOf(context.target, context.head, undefined), "The stream held no answer.")
  }

  private announce(chunk: JsonRecord, out: Array<Part>): void {
    const id = asText(chunk["id"])
    const model = asText(chunk["model"])
    if (id === undefined && model === undefined) return
    this.announced = true
    this.id = id
    const { headers, nowMs } = this.context.head
    const limits = rateLimits(headers, nowMs)
    out.push({
      type: "response-metadata",
      ...(id === undefined ? {} : { id }),
      ...(model === undefined ? {} : { model }),
      ...(limits === undefined ? {} : { limits })
    })
  }

  private choice(chunk: JsonRecord, choice: JsonRecord, out: Array<Part>): AttemptError | undefined {
    // Some servers that cannot stream send the whole message in one chunk.
    const delta = asRecord(choice["delta"]) ?? asRecord(choice["message"])
    if (delta !== undefined) {
      const error = this.delta(delta, out)
      if (error !== undefined) return error
    }
    const wire = asText(choice["finish_reason"])
    if (wire === undefined) return undefined
    const nested = ErrorMap.fromBody(choice, this.context.head, this.context.target)
    if (nested !== undefined) return nested
    if (isErrorReason(wire)) return gaveUp(this.context)
    this.keepExtra(chunk, choice, delta)
    // A second finish reason is that of a chunk that only brings the usage.
    if (this.wireReason !== undefined) return undefined
    this.wireReason = wire
    if (finishReason(wire, false) === "content-filter") return outputFiltered(this.context, choice)
    this.completeCalls(out)
    return undefined
  }

  private delta(delta: JsonRecord, out: Array<Part>): AttemptError | undefined {
    this.reasoning(delta, out)
    const content = delta["content"]
    const text = typeof content === "string" ? content : contentText(content)
    if (text.length > 0) {
      if (!this.hasContent && this.context.errorsInText && isOverflowText(text)) {
        return ErrorMap.fromText(text, this.context.head, this.context.target)
      }
      this.add(text.length)
      out.push({ type: "text-delta", delta: text })
    }
    const refusal = delta["refusal"]
    if (typeof refusal === "string") this.refusal += refusal
    const calls = asArray(delta["tool_calls"])
    if (calls !== undefined) {
      for (const call of calls) this.toolCall(asRecord(call), out)
    }
    const legacy = asRecord(delta["function_call"])
    if (legacy !== undefined) this.toolCall({ index: 0, function: legacy }, out)
    for (const image of asArray(delta["images"]) ?? []) {
      const file = imageFile(image)
      if (file === undefined) continue
      this.hasContent = true
      out.push(file)
    }
    return undefined
  }

  private reasoning(delta: JsonRecord, out: Array<Part>): void {
    const text = reasoningText(delta)
    const details = asArray(delta["reasoning_details"])
    if (text.length === 0 && (details === undefined || details.length === 0)) return
    this.add(text.length)
    out.push({
      type: "reasoning-delta",
      delta: text,
      ...(details === undefined ? {} : { metadata: { [metadataKey]: { reasoning_details: details } } })
    })
  }

  private add(characters: number): void {
    this.hasContent = true
    this.characters += characters
  }

  /** Where a fragment belongs. Some servers leave the index out, or send 0 for every call. */
  private slot(call: JsonRecord): number {
    const id = asText(call["id"])
    const index = call["index"]
    const at = typeof index === "number" ? index : id !== undefined ? this.slotOf(id) : Math.max(this.lastCall, 0)
    const known = this.calls.get(at)
    const another = known !== undefined && id !== undefined && known.id !== undefined && known.id !== id
    return another ? this.slotOf(id) : at
  }

  private slotOf(id: string): number {
    let largest = -1
    for (const [at, call] of this.calls) {
      if (call.id === id) return at
      if (at > largest) largest = at
    }
    return largest + 1
  }

  private toolCall(call: JsonRecord | undefined, out: Array<Part>): void {
    if (call === undefined) return
    const at = this.slot(call)
    let known = this.calls.get(at)
    if (known === undefined) {
      known = { id: undefined, name: "", args: "", whole: undefined, started: false }
      this.calls.set(at, known)
    }
    this.lastCall = at
    known.id ??= asText(call["id"])
    const fn = asRecord(call["function"])
    if (!known.started) known.name += asText(fn?.["name"]) ?? ""
    const args = fn?.["arguments"]
    const fragment = typeof args === "string" ? args : ""
    if (typeof args === "object" && args !== null) known.whole = args
    if (!known.started && known.name.length > 0) {
      known.started = true
      known.id ??= `${this.id ?? "call"}:${at}`
      this.add(known.name.length)
      out.push({ type: "tool-params-start", id: known.id, name: known.name })
      // Arguments that came before the name.
      if (known.args.length > 0) out.push({ type: "tool-params-delta", id: known.id, delta: known.args })
    }
    if (fragment.length === 0) return
    known.args += fragment
    if (!known.started) return
    this.add(fragment.length)
    out.push({ type: "tool-params-delta", id: known.id!, delta: fragment })
  }

  private completeCalls(out: Array<Part>): void {
    for (const call of this.calls.values()) {
      if (!call.started) continue
      out.push({ type: "tool-call", id: call.id!, name: call.name, params: call.whole ?? toolParams(call.args) })
    }
  }

  private keepExtra(chunk: JsonRecord, choice: JsonRecord | undefined, delta: JsonRecord | undefined): void {
    this.extra ??= {}
    collectExtra(chunk, choice, delta, this.extra)
  }

  private finish(out: Array<Part>): AttemptError | undefined {
    if (this.refusal.length > 0) return refused(this.context, this.refusal)
    if (this.wireReason === undefined) this.completeCalls(out)
    const reason = finishReason(this.wireReason, this.calls.size > 0)
    const usage = this.usage ?? estimate(this.context.promptCharacters(), this.characters)
    const overflow = overflowOf(this.context, usage, reason, this.hasContent)
    if (overflow !== undefined) return overflow
    out.push({
      type: "finish",
      reason,
      usage,
      ...(this.extra === undefined || Object.keys(this.extra).length === 0 ? {} : { extra: this.extra })
    })
    return undefined
  }
}
