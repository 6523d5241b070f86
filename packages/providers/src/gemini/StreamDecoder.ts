/**
 * Gemini's stream as parts of an answer: a state machine without I/O.
 *
 * Every event is a whole `GenerateContentResponse` with the next parts of the candidate. Function calls come
 * whole. Usage is in every event and the last one counts. There is no closing event: the answer is complete once a
 * finish reason has come, and what follows it (usage, a late signature) is waited for only briefly.
 */
import { type LLMError, type Response, Usage } from "@breakwater/core"
import type { Origin } from "../internal/Failure.ts"
import { asArray, asRecord, asText, type JsonRecord } from "../internal/Json.ts"
import type { SseEvent } from "../internal/Sse.ts"
import type { StreamDecoder } from "../internal/StreamReader.ts"
import * as Codec from "./Codec.ts"
import * as ErrorMap from "./ErrorMap.ts"

export interface DecoderOptions {
  readonly origin: Origin
  /** Stands in for the id of a response that has none. */
  readonly seed: string
  /** The limits of the answer's headers, to be handed on with its id. */
  readonly limits?: NonNullable<Response.Turn["limits"]>
}

/** Reads one stream. */
export class GeminiDecoder implements StreamDecoder {
  private readonly options: DecoderOptions
  private callId: ((given: unknown) => string) | undefined = undefined
  private usage: Usage.Usage | undefined = undefined
  private reason: string | undefined = undefined
  private calledTools = false
  private extra: ReturnType<typeof Codec.extraOf> = {}
  private characters = 0

  constructor(options: DecoderOptions) {
    this.options = options
  }

  get settling(): boolean {
    return this.reason !== undefined
  }

  event(json: unknown, sse: SseEvent, out: Array<Response.StreamPart>): LLMError.AttemptError | undefined {
    const body = asRecord(Array.isArray(json) ? json[0] : json)
    if (body === undefined) return undefined
    const { origin } = this.options
    if (body["error"] !== undefined) return ErrorMap.fromBody(origin, body, sse.data)
    this.begin(body, out)
    this.usage = Codec.decodeUsage(body["usageMetadata"]) ?? this.usage
    const candidate = Codec.candidateOf(body)
    if (candidate === undefined) return ErrorMap.fromPromptFeedback(origin, body["promptFeedback"])
    for (const part of asArray(asRecord(candidate["content"])?.["parts"]) ?? []) {
      for (const content of Codec.contentParts(asRecord(part) ?? {}, this.callId!)) this.push(content, out)
    }
    this.reason = asText(candidate["finishReason"]) ?? this.reason
    this.extra = { ...this.extra, ...Codec.extraOf(candidate) }
    return ErrorMap.fromCandidate(origin, candidate)
  }

  end(_how: "done" | "closed", out: Array<Response.StreamPart>): boolean {
    if (this.reason === undefined) return false
    out.push({
      type: "finish",
      reason: Codec.finishReason(this.reason, this.calledTools),
      usage: this.usage ?? { inputTokens: 0, outputTokens: Usage.estimateTokens(this.characters), estimated: true },
      ...this.extra
    })
    return true
  }

  private begin(body: JsonRecord, out: Array<Response.StreamPart>): void {
    if (this.callId !== undefined) return
    const id = asText(body["responseId"])
    const model = asText(body["modelVersion"])
    this.callId = Codec.callIds(id ?? this.options.seed)
    out.push({
      type: "response-metadata",
      ...(id === undefined ? {} : { id }),
      ...(model === undefined ? {} : { model }),
      ...(this.options.limits === undefined ? {} : { limits: this.options.limits })
    })
  }

  private push(part: Response.ContentPart, out: Array<Response.StreamPart>): void {
    switch (part.type) {
      case "text":
        this.characters += part.text.length
        out.push({ type: "text-delta", delta: part.text })
        return
      case "reasoning":
        this.characters += part.text.length
        out.push({
          type: "reasoning-delta",
          delta: part.text,
          ...(part.metadata === undefined ? {} : { metadata: part.metadata })
        })
        return
      case "tool-call":
        this.calledTools = true
        out.push({ type: "tool-params-start", id: part.id, name: part.name })
        out.push({ type: "tool-params-delta", id: part.id, delta: JSON.stringify(part.params) })
        out.push(part)
        return
      case "file":
        out.push(part)
    }
  }
}
