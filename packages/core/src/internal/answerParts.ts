/**
 * Between a whole turn and the parts of a stream.
 */
import type { ContentPart, FinishPart, StreamPart, Turn } from "../domain/Response.ts"

/** The whole turn that the parts of a stream tell. */
export const fold = (parts: ReadonlyArray<StreamPart>): Turn => {
  const content: Array<ContentPart> = []
  let text: { type: "text" | "reasoning"; text: string; metadata?: Readonly<Record<string, unknown>> } | undefined
  const origin: { id?: string; model?: string } = {}
  let finish: FinishPart | undefined
  const append = (type: "text" | "reasoning", delta: string): void => {
    // What carries data of the provider's is whole: a signature is of the thoughts before it alone.
    if (text?.type === type && text.metadata === undefined) text.text += delta
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
        if (part.metadata !== undefined) text!.metadata = part.metadata
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
export const unfold = ({ content, extra, finishReason, id, model, usage }: Turn): ReadonlyArray<StreamPart> => {
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
