/** Anthropic's messages: from answers to bodies and events. */
import type { Call, Response, Usage } from "@breakwater/core"
import { modelOf, provenanceOf } from "../Finished.ts"
import type { Naming } from "../openai/Encode.ts"

type Out = Record<string, unknown>

const reasons: { readonly [R in Response.FinishReason]: string } = {
  stop: "end_turn",
  length: "max_tokens",
  "tool-calls": "tool_use",
  "content-filter": "refusal",
  pause: "pause_turn",
  other: "end_turn"
}

/** On this wire the count of the prompt leaves out what was read from the cache and written to it. */
const encodeUsage = (usage: Usage.Usage): Out => {
  const read = usage.cachedInputTokens ?? 0
  const written = usage.cacheWriteTokens ?? 0
  return {
    input_tokens: Math.max(0, usage.inputTokens - read - written),
    cache_creation_input_tokens: written,
    cache_read_input_tokens: read,
    output_tokens: usage.outputTokens
  }
}

const stopOf = (reason: Response.FinishReason, extra: Readonly<Out> | undefined): Out => {
  const sequence = extra?.["stop_sequence"]
  return typeof sequence === "string" && reason === "stop"
    ? { stop_reason: "stop_sequence", stop_sequence: sequence }
    : { stop_reason: reasons[reason], stop_sequence: null }
}

interface Marks {
  readonly signature?: string
  readonly redactedData?: string
}

const marksOf = (metadata: Readonly<Out> | undefined): Marks => (metadata?.["anthropic"] as Marks | undefined) ?? {}

const inputOf = (params: unknown): unknown =>
  typeof params === "object" && params !== null && !Array.isArray(params) ? params : { arguments: params }

const blockOf = (part: Response.ContentPart): Out => {
  switch (part.type) {
    case "text":
      return { type: "text", text: part.text }
    case "reasoning": {
      const { redactedData, signature = "" } = marksOf(part.metadata)
      return redactedData === undefined
        ? { type: "thinking", thinking: part.text, signature }
        : { type: "redacted_thinking", data: redactedData }
    }
    case "tool-call":
      return { type: "tool_use", id: part.id, name: part.name, input: inputOf(part.params) }
    case "file":
      return {
        type: "text",
        text: /^https?:/.test(part.data) ? part.data : `data:${part.mediaType};base64,${part.data}`
      }
  }
}

const placed = ["stop_sequence", "stop_reason", "content", "role", "type"]

/** A whole answer. */
export const encodeMessage = (answer: Call.LLMResponse, naming: Naming): string => {
  const extra: Out = { ...answer.extra }
  const stop = stopOf(answer.finishReason, extra)
  for (const key of placed) delete extra[key]
  return JSON.stringify({
    ...extra,
    id: answer.id ?? `msg_${naming.requestId}`,
    type: "message",
    role: "assistant",
    model: answer.model ?? modelOf(answer.target),
    content: answer.content.map(blockOf),
    ...stop,
    usage: encodeUsage(answer.usage)
  })
}

/** One event of a stream. */
const event = (type: string, fields: object): string =>
  `event: ${type}\ndata: ${JSON.stringify({ type, ...fields })}\n\n`

/** Encodes one streamed answer, part by part: a state machine without I/O. */
export class MessageStreamEncoder {
  private readonly naming: Naming
  private id: string | undefined = undefined
  private model = ""
  private begun = false
  private index = -1
  /** The block that is open: its kind, and for a tool its id. */
  private open: { readonly kind: "text" | "thinking" | "tool"; readonly id: string } | undefined = undefined
  /** Calls that began while another was open: blocks do not overlap on this wire, so they wait for their turn. */
  private readonly waiting = new Map<string, { readonly name: string; args: string }>()
  private readonly started = new Set<string>()

  constructor(naming: Naming) {
    this.naming = naming
  }

  /** The bytes for a part; empty for those that only say who is answering. */
  part(part: Call.LLMStreamPart): string {
    switch (part.type) {
      case "text-delta":
        return part.delta.length === 0 ? "" : this.text(part.delta)
      case "target":
        return this.named(modelOf(part.target), undefined)
      case "response-metadata":
        return this.named(part.model, part.id)
      case "reasoning-delta":
        return this.reasoning(part.delta, marksOf(part.metadata))
      case "tool-params-start":
        return this.toolStart(part.id, part.name)
      case "tool-params-delta":
        return this.toolDelta(part.id, part.delta)
      case "tool-call":
        return this.toolEnd(part)
      case "file":
        return this.text(/^https?:/.test(part.data) ? part.data : `data:${part.mediaType};base64,${part.data}`)
      case "finish":
        return this.finish(part)
    }
  }

  private named(model: string | undefined, id: string | undefined): string {
    if (model !== undefined) this.model = model
    this.id ??= id
    return ""
  }

  private begin(): string {
    if (this.begun) return ""
    this.begun = true
    const message = {
      id: this.id ?? `msg_${this.naming.requestId}`,
      type: "message",
      role: "assistant",
      model: this.model,
      content: [],
      stop_reason: null,
      stop_sequence: null,
      usage: { input_tokens: 0, cache_creation_input_tokens: 0, cache_read_input_tokens: 0, output_tokens: 0 }
    }
    return event("message_start", { message })
  }

  private start(kind: "text" | "thinking" | "tool", id: string, block: Out): string {
    const before = this.begin() + this.close()
    this.open = { kind, id }
    this.index++
    return before + event("content_block_start", { index: this.index, content_block: block })
  }

  private close(): string {
    if (this.open === undefined) return ""
    this.open = undefined
    return event("content_block_stop", { index: this.index })
  }

  private delta(delta: Out): string {
    return event("content_block_delta", { index: this.index, delta })
  }

  private text(text: string): string {
    const before = this.open?.kind === "text" ? "" : this.start("text", "", { type: "text", text: "" })
    return before + this.delta({ type: "text_delta", text })
  }

  private reasoning(text: string, marks: Marks): string {
    if (marks.redactedData !== undefined) {
      return this.start("thinking", "", { type: "redacted_thinking", data: marks.redactedData }) + this.close()
    }
    const signature = marks.signature === "" ? undefined : marks.signature
    if (text.length === 0 && signature === undefined) return ""
    const block = { type: "thinking", thinking: "", signature: "" }
    const before = this.open?.kind === "thinking" ? "" : this.start("thinking", "", block)
    const thought = text.length === 0 ? "" : this.delta({ type: "thinking_delta", thinking: text })
    if (signature === undefined) return before + thought
    return before + thought + this.delta({ type: "signature_delta", signature }) + this.close()
  }

  private toolStart(id: string, name: string): string {
    if (this.open?.kind === "tool") {
      this.waiting.set(id, { name, args: "" })
      return ""
    }
    this.started.add(id)
    return this.start("tool", id, { type: "tool_use", id, name, input: {} })
  }

  private toolDelta(id: string, delta: string): string {
    const waiting = this.waiting.get(id)
    if (waiting !== undefined) waiting.args += delta
    return waiting === undefined && this.open?.id === id && delta.length > 0
      ? this.delta({ type: "input_json_delta", partial_json: delta })
      : ""
  }

  private toolEnd(call: Response.ToolCall): string {
    if (this.started.has(call.id)) return this.open?.id === call.id ? this.close() : ""
    const args = this.waiting.get(call.id)?.args || (JSON.stringify(inputOf(call.params)) ?? "{}")
    this.waiting.delete(call.id)
    this.started.add(call.id)
    return (
      this.start("tool", call.id, { type: "tool_use", id: call.id, name: call.name, input: {} }) +
      this.delta({ type: "input_json_delta", partial_json: args }) +
      this.close()
    )
  }

  private finish(part: Call.CompletePart): string {
    const before = this.begin() + this.close()
    const ended = event("message_delta", {
      delta: stopOf(part.reason, part.extra),
      usage: encodeUsage(part.usage),
      breakwater: provenanceOf(part)
    })
    return before + ended + event("message_stop", {})
  }
}
