/** From a whole turn to the parts of a stream, and back. */
import type { Response, Usage } from "@breakwater/core"

type StreamPart = Response.StreamPart
type Turn = Response.Turn

/** Cuts a text into words, each with the space before it, so that the pieces join to the same text. */
export const words = (text: string): ReadonlyArray<string> => text.match(/\s*\S+|\s+$/g) ?? []

/** Usage as a provider would count it: a token for four characters. */
export const usageOf = (answerCharacters: number): Usage.Usage => ({
  inputTokens: 10,
  outputTokens: Math.ceil(answerCharacters / 4)
})

/** The parts a provider would stream for a turn. */
export const partsOfTurn = (turn: Turn): ReadonlyArray<StreamPart> => {
  const parts: Array<StreamPart> = []
  if (turn.id !== undefined || turn.model !== undefined || turn.limits !== undefined) {
    parts.push({
      type: "response-metadata",
      ...(turn.id === undefined ? {} : { id: turn.id }),
      ...(turn.model === undefined ? {} : { model: turn.model }),
      ...(turn.limits === undefined ? {} : { limits: turn.limits })
    })
  }
  for (const content of turn.content) {
    switch (content.type) {
      case "text":
        for (const delta of words(content.text)) parts.push({ type: "text-delta", delta })
        break
      case "reasoning":
        parts.push({
          type: "reasoning-delta",
          delta: content.text,
          ...(content.metadata === undefined ? {} : { metadata: content.metadata })
        })
        break
      case "tool-call":
        parts.push({ type: "tool-params-start", id: content.id, name: content.name })
        parts.push({ type: "tool-params-delta", id: content.id, delta: JSON.stringify(content.params) ?? "null" })
        parts.push(content)
        break
      default:
        parts.push(content)
    }
  }
  parts.push({
    type: "finish",
    reason: turn.finishReason,
    usage: turn.usage,
    ...(turn.extra === undefined ? {} : { extra: turn.extra })
  })
  return parts
}

/** The text among parts. */
export const textOfParts = (parts: ReadonlyArray<StreamPart>): string => {
  let text = ""
  for (const part of parts) if (part.type === "text-delta") text += part.delta
  return text
}

/** The turn that streamed parts add up to; `undefined` without a `finish`. */
export const turnOfParts = (parts: ReadonlyArray<StreamPart>): Turn | undefined => {
  const content: Array<Response.ContentPart> = []
  let head: Extract<StreamPart, { type: "response-metadata" }> | undefined
  let finish: Response.FinishPart | undefined
  const append = (type: "text" | "reasoning", delta: string, metadata?: { readonly [key: string]: unknown }) => {
    const last = content[content.length - 1]
    const merged = last !== undefined && last.type === type ? last.text + delta : delta
    const next = { type, text: merged, ...(metadata === undefined ? {} : { metadata }) } as Response.ContentPart
    if (last !== undefined && last.type === type) content[content.length - 1] = { ...last, ...next }
    else if (delta.length > 0 || metadata !== undefined) content.push(next)
  }
  for (const part of parts) {
    switch (part.type) {
      case "text-delta":
        append("text", part.delta)
        break
      case "reasoning-delta":
        append("reasoning", part.delta, part.metadata)
        break
      case "tool-call":
      case "file":
        content.push(part)
        break
      case "response-metadata":
        head = head === undefined ? part : { ...head, ...part }
        break
      case "finish":
        finish = part
        break
      default:
    }
  }
  if (finish === undefined) return undefined
  return {
    content,
    finishReason: finish.reason,
    usage: finish.usage,
    ...(head?.id === undefined ? {} : { id: head.id }),
    ...(head?.model === undefined ? {} : { model: head.model }),
    ...(head?.limits === undefined ? {} : { limits: head.limits }),
    ...(finish.extra === undefined ? {} : { extra: finish.extra })
  }
}

/** A vector that depends on nothing but the text, of length 1: the same text is always the same vector. */
export const vectorOf = (text: string, dimensions: number): ReadonlyArray<number> => {
  // FNV-1a seeds an xorshift; good enough to tell texts apart.
  let hash = 0x811c9dc5
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  let state = hash | 1
  const vector: Array<number> = []
  let squares = 0
  for (let i = 0; i < dimensions; i++) {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    const value = state / 0x80000000
    vector.push(value)
    squares += value * value
  }
  const length = Math.sqrt(squares) || 1
  return vector.map((value) => value / length)
}
