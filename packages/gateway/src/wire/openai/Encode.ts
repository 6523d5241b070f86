/** OpenAI's chat completions and embeddings: from answers to bodies and chunks. */
import type { Call, Response, Usage } from "@breakwater/core"
import { modelOf, provenanceOf } from "../Finished.ts"

type Out = Record<string, unknown>

const reasons: { readonly [R in Response.FinishReason]: string } = {
  stop: "stop",
  length: "length",
  "tool-calls": "tool_calls",
  "content-filter": "content_filter",
  pause: "stop",
  other: "stop"
}

const encodeUsage = (usage: Usage.Usage): Out => ({
  prompt_tokens: usage.inputTokens,
  completion_tokens: usage.outputTokens,
  total_tokens: usage.inputTokens + usage.outputTokens,
  prompt_tokens_details: { cached_tokens: usage.cachedInputTokens ?? 0, audio_tokens: usage.audioInputTokens ?? 0 },
  completion_tokens_details: {
    reasoning_tokens: usage.reasoningTokens ?? 0,
    audio_tokens: usage.audioOutputTokens ?? 0
  }
})

const argumentsOf = (params: unknown): string =>
  typeof params === "string" ? params : (JSON.stringify(params) ?? "{}")

const toolCall = (call: Response.ToolCall): Out => ({
  id: call.id,
  type: "function",
  function: { name: call.name, arguments: argumentsOf(call.params) }
})

const detailsOf = (metadata: Readonly<Record<string, unknown>> | undefined): ReadonlyArray<unknown> => {
  const own = metadata?.["openai-compatible"] as { readonly reasoning_details?: unknown } | undefined
  return Array.isArray(own?.reasoning_details) ? (own.reasoning_details as ReadonlyArray<unknown>) : []
}

const image = (file: { readonly mediaType: string; readonly data: string }): Out => ({
  type: "image_url",
  image_url: { url: /^(https?|data):/.test(file.data) ? file.data : `data:${file.mediaType};base64,${file.data}` }
})

const messageOf = (answer: Call.LLMResponse, extra: Out): Out => {
  let reasoning = ""
  const details: Array<unknown> = []
  const calls: Array<Out> = []
  const images: Array<Out> = []
  for (const part of answer.content) {
    if (part.type === "reasoning") {
      reasoning += part.text
      details.push(...detailsOf(part.metadata))
    } else if (part.type === "tool-call") calls.push(toolCall(part))
    else if (part.type === "file") images.push(image(part))
  }
  return {
    role: "assistant",
    content: answer.text.length === 0 && calls.length > 0 ? null : answer.text,
    refusal: null,
    ...(reasoning === "" ? {} : { reasoning_content: reasoning }),
    ...(details.length === 0 ? {} : { reasoning_details: details }),
    ...(calls.length === 0 ? {} : { tool_calls: calls }),
    ...(images.length === 0 ? {} : { images }),
    ...take(extra, messageFields)
  }
}

const messageFields = ["annotations", "audio"]

/** Moves fields out of what the provider said besides: they belong deeper than its top. */
const take = (extra: Out, keys: ReadonlyArray<string>): Out => {
  const out: Out = {}
  for (const key of keys) {
    if (!Object.hasOwn(extra, key)) continue
    out[key] = extra[key]
    delete extra[key]
  }
  return out
}

/** What names an answer whose provider gave it no name. */
export interface Naming {
  readonly requestId: string
  /** Seconds since 1970. */
  readonly created: number
}

/** A whole answer. */
export const encodeChat = (answer: Call.LLMResponse, naming: Naming): string => {
  const extra: Out = { ...answer.extra }
  const message = messageOf(answer, extra)
  const { logprobs = null } = take(extra, ["logprobs"])
  return JSON.stringify({
    created: naming.created,
    ...extra,
    id: answer.id ?? `chatcmpl-${naming.requestId}`,
    object: "chat.completion",
    model: answer.model ?? modelOf(answer.target),
    choices: [{ index: 0, message, logprobs, finish_reason: reasons[answer.finishReason] }],
    usage: encodeUsage(answer.usage)
  })
}

const base64 = (vector: ReadonlyArray<number>): string => {
  const floats = Float32Array.from(vector)
  return Buffer.from(floats.buffer, floats.byteOffset, floats.byteLength).toString("base64")
}

/** The vectors of a batch. */
export const encodeEmbeddings = (answer: Call.EmbedResponse, asBase64: boolean): string =>
  JSON.stringify({
    object: "list",
    data: answer.vectors.map((vector, index) => ({
      object: "embedding",
      index,
      embedding: asBase64 ? base64(vector) : vector
    })),
    model: answer.model ?? modelOf(answer.target),
    usage: { prompt_tokens: answer.usage.inputTokens, total_tokens: answer.usage.inputTokens }
  })

/** The last event of every stream. */
export const done = "data: [DONE]\n\n"

/** Encodes one streamed answer, part by part: a state machine without I/O. */
export class ChatStreamEncoder {
  private readonly naming: Naming
  private readonly includeUsage: boolean
  private id: string | undefined = undefined
  private model = ""
  private head = ""
  private begun = false
  private readonly calls = new Map<string, number>()

  constructor(naming: Naming, includeUsage: boolean) {
    this.naming = naming
    this.includeUsage = includeUsage
  }

  /** The bytes for a part; empty for those that only say who is answering. */
  part(part: Call.LLMStreamPart): string {
    switch (part.type) {
      case "text-delta":
        return part.delta.length === 0 ? "" : this.delta(`"content":${JSON.stringify(part.delta)}`)
      case "target":
        return this.named(modelOf(part.target), undefined)
      case "response-metadata":
        return this.named(part.model, part.id)
      case "reasoning-delta":
        return this.reasoning(part)
      case "tool-params-start":
        return this.toolStart(part.id, part.name, "")
      case "tool-params-delta":
        return this.toolDelta(part.id, part.delta)
      case "tool-call":
        return this.calls.has(part.id) ? "" : this.toolStart(part.id, part.name, argumentsOf(part.params))
      case "file":
        return this.delta(`"images":${JSON.stringify([image(part)])}`)
      case "finish":
        return this.finish(part)
    }
  }

  private named(model: string | undefined, id: string | undefined): string {
    if (model !== undefined) this.model = model
    this.id ??= id
    this.head = ""
    return ""
  }

  private prefix(): string {
    if (this.head === "") {
      const id = (this.id ??= `chatcmpl-${this.naming.requestId}`)
      const fields = { id, object: "chat.completion.chunk", created: this.naming.created, model: this.model }
      this.head = `data: ${JSON.stringify(fields).slice(0, -1)},"choices":[`
    }
    return this.head
  }

  private delta(fields: string): string {
    const role = this.begun ? "" : `"role":"assistant",`
    this.begun = true
    return `${this.prefix()}{"index":0,"delta":{${role}${fields}},"logprobs":null,"finish_reason":null}]}\n\n`
  }

  private reasoning(part: { readonly delta: string; readonly metadata?: Readonly<Record<string, unknown>> }): string {
    const details = detailsOf(part.metadata)
    if (part.delta.length === 0 && details.length === 0) return ""
    const more = details.length === 0 ? "" : `,"reasoning_details":${JSON.stringify(details)}`
    return this.delta(`"reasoning_content":${JSON.stringify(part.delta)}${more}`)
  }

  private toolStart(id: string, name: string, args: string): string {
    const index = this.calls.size
    this.calls.set(id, index)
    return this.delta(
      `"tool_calls":${JSON.stringify([{ index, id, type: "function", function: { name, arguments: args } }])}`
    )
  }

  private toolDelta(id: string, delta: string): string {
    const index = this.calls.get(id)
    if (index === undefined || delta.length === 0) return ""
    return this.delta(`"tool_calls":[{"index":${index},"function":{"arguments":${JSON.stringify(delta)}}}]`)
  }

  private finish(part: Call.CompletePart): string {
    const role: Out = this.begun ? {} : { role: "assistant", content: "" }
    const choice = { index: 0, delta: role, logprobs: null, finish_reason: reasons[part.reason] }
    const extra: Out = { ...part.extra }
    take(extra, ["created", "logprobs", "object", "id", "model", "choices"])
    const more = JSON.stringify({ ...extra, breakwater: provenanceOf(part) }).slice(1)
    const last = `${this.prefix()}${JSON.stringify(choice)}],${more}\n\n`
    return this.includeUsage
      ? `${last}${this.prefix()}],"usage":${JSON.stringify(encodeUsage(part.usage))}}\n\n${done}`
      : last + done
  }
}
