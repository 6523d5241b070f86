/**
 * Anthropic's stream events as parts of an answer: a state machine without I/O.
 *
 * Blocks are numbered and come one after another: `content_block_start`, deltas, `content_block_stop`. Usage is
 * cumulative, the prompt's in `message_start`, the answer's in `message_delta`. The turn ends with the
 * `message_delta` that holds a stop reason; `message_stop` adds nothing and is not waited for.
 */
import type { LLMError, Response } from "@breakwater/core"
import type { Origin } from "../internal/Failure.ts"
import { asRecord, asText, type JsonRecord, parseJson } from "../internal/Json.ts"
import type { SseEvent } from "../internal/Sse.ts"
import type { StreamDecoder } from "../internal/StreamReader.ts"
import * as Codec from "./Codec.ts"
import * as ErrorMap from "./ErrorMap.ts"

type Parts = ReadonlyArray<Response.StreamPart>

interface ToolBlock {
  readonly id: string
  readonly name: string
  /** The input a block began with; some servers send it whole. */
  readonly input: unknown
  json: string
}

const none: Parts = []

const push = (out: Array<Response.StreamPart>, parts: Parts): undefined => {
  for (const part of parts) out.push(part)
}

export interface DecoderOptions {
  readonly origin: Origin
  /** Blank characters cut off a prefill. */
  readonly trimmed?: string
  /** The limits of the answer's headers, to be handed on with its id. */
  readonly limits?: NonNullable<Response.Turn["limits"]>
}

/** Reads one stream. */
export class AnthropicDecoder implements StreamDecoder {
  private readonly options: DecoderOptions
  private blanks: string
  private usage: JsonRecord = {}
  private readonly tools = new Map<number, ToolBlock>()

  constructor(options: DecoderOptions) {
    this.options = options
    this.blanks = options.trimmed ?? ""
  }

  /** Unknown kinds of events, blocks and deltas are skipped: the wire may grow. */
  event(json: unknown, sse: SseEvent, out: Array<Response.StreamPart>): LLMError.AttemptError | undefined {
    const event = asRecord(json)
    if (event === undefined) return undefined
    switch (event["type"] ?? sse.event) {
      case "content_block_delta":
        return push(out, this.delta(event))
      case "content_block_start":
        return push(out, this.blockStart(event))
      case "content_block_stop":
        return push(out, this.blockStop(event))
      case "message_start":
        return push(out, this.messageStart(event))
      case "message_delta":
        return this.messageDelta(event, out)
      case "error":
        return ErrorMap.fromEvent(this.options.origin, event, sse.data)
      default:
        return undefined
    }
  }

  /** Without the event that names a stop reason the answer is not complete; with it, it has ended already. */
  end(): false {
    return false
  }

  private messageStart(event: JsonRecord): Parts {
    const message = asRecord(event["message"])
    if (message === undefined) return none
    this.usage = Codec.mergeUsage(this.usage, message["usage"])
    const id = asText(message["id"])
    const model = asText(message["model"])
    return [
      {
        type: "response-metadata",
        ...(id === undefined ? {} : { id }),
        ...(model === undefined ? {} : { model }),
        ...(this.options.limits === undefined ? {} : { limits: this.options.limits })
      }
    ]
  }

  private blockStart(event: JsonRecord): Parts {
    const block = asRecord(event["content_block"])
    if (block === undefined) return none
    const part = Codec.contentPart(block)
    switch (part?.type) {
      case "text":
        return this.text(part.text)
      case "reasoning":
        if (part.text.length === 0 && part.metadata === undefined) return none
        return [
          {
            type: "reasoning-delta",
            delta: part.text,
            ...(part.metadata === undefined ? {} : { metadata: part.metadata })
          }
        ]
      case "tool-call":
        this.tools.set(Number(event["index"]), { id: part.id, name: part.name, input: part.params, json: "" })
        return [{ type: "tool-params-start", id: part.id, name: part.name }]
      default:
        return none
    }
  }

  private delta(event: JsonRecord): Parts {
    const delta = asRecord(event["delta"])
    switch (delta?.["type"]) {
      case "text_delta":
        return this.text(asText(delta["text"]) ?? "")
      case "thinking_delta": {
        const text = asText(delta["thinking"])
        return text === undefined ? none : [{ type: "reasoning-delta", delta: text }]
      }
      case "signature_delta": {
        const signature = asText(delta["signature"])
        return signature === undefined
          ? none
          : [{ type: "reasoning-delta", delta: "", metadata: Codec.ownMetadata({ signature }) }]
      }
      case "input_json_delta":
        return this.toolDelta(Number(event["index"]), asText(delta["partial_json"]))
      default:
        return none
    }
  }

  private text(text: string): Parts {
    let rest = text
    if (this.blanks.length > 0 && text.length > 0) {
      const cut = Codec.dropRepeated(text, this.blanks)
      this.blanks = cut.rest
      rest = cut.text
    }
    return rest.length === 0 ? none : [{ type: "text-delta", delta: rest }]
  }

  private toolDelta(index: number, json: string | undefined): Parts {
    const tool = this.tools.get(index)
    if (tool === undefined || json === undefined) return none
    tool.json += json
    return [{ type: "tool-params-delta", id: tool.id, delta: json }]
  }

  private blockStop(event: JsonRecord): Parts {
    const index = Number(event["index"])
    const tool = this.tools.get(index)
    if (tool === undefined) return none
    this.tools.delete(index)
    // Arguments that are not JSON (of an answer cut at its length, say) stay the text they are.
    const params = tool.json.length === 0 ? tool.input : (parseJson(tool.json) ?? tool.json)
    return [{ type: "tool-call", id: tool.id, name: tool.name, params }]
  }

  private messageDelta(event: JsonRecord, out: Array<Response.StreamPart>): LLMError.AttemptError | undefined {
    this.usage = Codec.mergeUsage(this.usage, event["usage"])
    const delta = asRecord(event["delta"])
    const reason = asText(delta?.["stop_reason"])
    if (delta === undefined || reason === undefined) return undefined
    const { origin } = this.options
    const failed = ErrorMap.fromStopReason(origin, reason, delta["stop_details"])
    if (failed !== undefined) return failed
    out.push({
      type: "finish",
      reason: Codec.finishReason(reason),
      usage: Codec.decodeUsage(this.usage),
      ...Codec.extraOf(delta)
    })
    return undefined
  }
}
