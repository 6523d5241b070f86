/**
 * From answers to what is kept of them, and back.
 *
 * Kept is what the model said. Who asked, the attempts and the provider's rate limits of that moment are not.
 */
import type { Cached } from "../domain/Cache.ts"
import type { CompletePart, LLMResponse, LLMStreamPart } from "../domain/Call.ts"
import type { ContentPart, FinishPart, FinishReason, StreamPart, Turn } from "../domain/Response.ts"
import type { Usage } from "../domain/Usage.ts"

/** What is kept of an answer: a turn, or the parts of a stream up to its `finish`. */
export type StoredAnswer =
  | { readonly kind: "turn"; readonly turn: Turn }
  | { readonly kind: "stream"; readonly parts: ReadonlyArray<StreamPart> }

/** An answer that was cut by a filter, or paused, is not one to be given again. */
const lasting = new Set<FinishReason>(["stop", "length", "tool-calls"])

/** What is to be kept of a response of the target that was asked; `undefined` for nothing. */
export const ofResponse = (response: LLMResponse, target: string): StoredAnswer | undefined => {
  if (response.cached !== undefined || response.target !== target || !lasting.has(response.finishReason)) {
    return undefined
  }
  const { attempts: _a, cached: _c, limits: _l, requestId: _r, target: _t, text: _x, ...turn } = response
  return { kind: "turn", turn }
}

/** The same of the parts of a stream that has come to its `finish`. */
export const ofParts = (parts: Iterable<LLMStreamPart>, target: string): StoredAnswer | undefined => {
  const kept: Array<StreamPart> = []
  for (const part of parts) {
    switch (part.type) {
      case "target":
        if (part.target !== target) return undefined
        break
      case "response-metadata": {
        const { limits: _, ...rest } = part
        kept.push(rest)
        break
      }
      case "finish": {
        if (part.cached !== undefined || part.target !== target || !lasting.has(part.reason)) return undefined
        const { attempts: _a, requestId: _r, target: _t, ...finish } = part
        kept.push(finish)
        return { kind: "stream", parts: kept }
      }
      default:
        kept.push(part)
    }
  }
  return undefined
}

/** About how much a part holds, in bytes: a lower bound, found without turning it into JSON. */
export const roughBytes = (part: LLMStreamPart | StreamPart | ContentPart): number => {
  switch (part.type) {
    case "text-delta":
    case "reasoning-delta":
    case "tool-params-delta":
      return part.delta.length + 32
    case "text":
    case "reasoning":
      return part.text.length + 32
    case "file":
      return part.data.length + 32
    default:
      return 64
  }
}

const utf8Length = (text: string): number => {
  let bytes = text.length
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code < 0x80) continue
    // Each half of a surrogate pair counts 2, the pair 4.
    bytes += code < 0x800 || (code >= 0xd800 && code < 0xe000) ? 1 : 2
  }
  return bytes
}

const freeze = (value: unknown): void => {
  if (typeof value !== "object" || value === null) return
  for (const member of Object.values(value)) freeze(member)
  Object.freeze(value)
}

/**
 * A frozen copy as JSON makes it, and its size: what a caller does to its answer changes no entry, and memory and
 * remote stores give the same. `too-large` past `maxBytes`, `unserialisable` for what JSON cannot say.
 */
export const snapshot = (
  answer: StoredAnswer,
  maxBytes: number
): { readonly answer: StoredAnswer; readonly bytes: number } | "too-large" | "unserialisable" => {
  let rough = 0
  for (const part of answer.kind === "turn" ? answer.turn.content : answer.parts) rough += roughBytes(part) - 32
  if (rough > maxBytes) return "too-large"
  try {
    const json = JSON.stringify(answer)
    const bytes = utf8Length(json)
    if (bytes > maxBytes) return "too-large"
    const copy = JSON.parse(json) as StoredAnswer
    freeze(copy)
    return { answer: copy, bytes }
  } catch {
    return "unserialisable"
  }
}

/** The whole turn that the parts of a stream tell. */
const fold = (parts: ReadonlyArray<StreamPart>): Turn => {
  const content: Array<ContentPart> = []
  let text: { type: "text" | "reasoning"; text: string; metadata?: Readonly<Record<string, unknown>> } | undefined
  const origin: { id?: string; model?: string } = {}
  let finish: FinishPart | undefined
  const append = (type: "text" | "reasoning", delta: string): void => {
    if (text?.type === type) text.text += delta
    else content.push((text = { type, text: delta }))
  }
  for (const part of parts) {
    switch (part.type) {
      case "response-metadata":
        if (part.id !== undefined) origin.id = part.id
        if (part.model !== undefined) origin.model = part.model
        break
      case "text-delta":
        if (part.delta.length > 0) append("text", part.delta)
        break
      case "reasoning-delta":
        append("reasoning", part.delta)
        if (part.metadata !== undefined) text!.metadata = { ...text!.metadata, ...part.metadata }
        break
      case "tool-call":
      case "file":
        text = undefined
        content.push(part)
        break
      case "finish":
        finish = part
        break
      default:
    }
  }
  const { extra, reason, usage } = finish!
  return { content, finishReason: reason, usage, ...origin, ...(extra === undefined ? undefined : { extra }) }
}

/** The parts a stream would have brought for a turn. */
const unfold = ({ content, extra, finishReason, id, model, usage }: Turn): ReadonlyArray<StreamPart> => {
  const parts: Array<StreamPart> = []
  if (id !== undefined || model !== undefined) {
    parts.push({
      type: "response-metadata",
      ...(id === undefined ? undefined : { id }),
      ...(model === undefined ? undefined : { model })
    })
  }
  for (const part of content) {
    if (part.type === "text") parts.push({ type: "text-delta", delta: part.text })
    else if (part.type === "reasoning") {
      const { metadata, text } = part
      parts.push({ type: "reasoning-delta", delta: text, ...(metadata === undefined ? undefined : { metadata }) })
    } else parts.push(part)
  }
  parts.push({ type: "finish", reason: finishReason, usage, ...(extra === undefined ? undefined : { extra }) })
  return parts
}

/** Whose answer it becomes. */
export interface Provenance {
  readonly requestId: string
  readonly target: string
  readonly cached: Cached
}

/** A kept answer as a response. No attempt was made for it. */
export const toResponse = (answer: StoredAnswer, { cached, requestId, target }: Provenance): LLMResponse => {
  const turn = answer.kind === "turn" ? answer.turn : fold(answer.parts)
  let text = ""
  for (const part of turn.content) if (part.type === "text") text += part.text
  return { ...turn, text, requestId, target, attempts: [], cached }
}

/** A kept answer as the parts of a stream, the target first. */
export const toParts = (
  answer: StoredAnswer,
  { cached, requestId, target }: Provenance
): readonly [LLMStreamPart, ...Array<LLMStreamPart>] => {
  const parts = answer.kind === "stream" ? answer.parts : unfold(answer.turn)
  const out: [LLMStreamPart, ...Array<LLMStreamPart>] = [{ type: "target", target, attempt: 0, continues: false }]
  for (const part of parts) {
    out.push(part.type === "finish" ? { ...part, requestId, target, attempts: [], cached } : part)
  }
  return out
}

/** What a kept answer consumed when it was made. */
export const usageOf = (answer: StoredAnswer): Usage => {
  if (answer.kind === "turn") return answer.turn.usage
  const last = answer.parts[answer.parts.length - 1]
  return last?.type === "finish" ? last.usage : { inputTokens: 0, outputTokens: 0 }
}

/** Another caller's answer as this caller's own: no attempt was made for it. */
export const sharedResponse = (response: LLMResponse, requestId: string): LLMResponse => ({
  ...response,
  requestId,
  attempts: [],
  cached: response.cached ?? { source: "in-flight", ageMs: 0 }
})

/** {@link sharedResponse} for the end of a stream. */
export const sharedFinish = (part: CompletePart, requestId: string): CompletePart => ({
  ...part,
  requestId,
  attempts: [],
  cached: part.cached ?? { source: "in-flight", ageMs: 0 }
})
