/** From a whole turn to the parts of a stream, and back. */
import { Response, type Usage } from "@breakwater/core"

type StreamPart = Response.StreamPart
type Turn = Response.Turn

/** Cuts a text into words, each with the space before it, so that the pieces join to the same text. */
export const words = (text: string): ReadonlyArray<string> => text.match(/\s*\S+|\s+$/g) ?? []

/** Usage as a provider would count it: a token for four characters. */
export const usageOf = (answerCharacters: number): Usage.Usage => ({
  inputTokens: 10,
  outputTokens: Math.ceil(answerCharacters / 4)
})

/** The parts a provider would stream for a turn: its text word by word, and no metadata where there is none. */
export const partsOfTurn = (turn: Turn): ReadonlyArray<StreamPart> =>
  Response.partsOf(turn).flatMap((part): ReadonlyArray<StreamPart> => {
    switch (part.type) {
      case "text-delta":
        return words(part.delta).map((delta) => ({ type: "text-delta", delta }))
      case "response-metadata":
        return Object.keys(part).length === 1 ? [] : [part]
      default:
        return [part]
    }
  })

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
