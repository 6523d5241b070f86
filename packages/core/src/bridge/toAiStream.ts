/**
 * Writes the parts of a streamed answer as the parts of an `effect/ai` stream: blocks with a beginning, an end
 * and an id.
 */
import type * as Response from "effect/ai/Response"
import type { LLMStreamPart } from "../domain/Call.ts"
import { foreignPartsOf, jsonMetadataField, provenance, toAiFile } from "./aiParts.ts"
import { toAiUsage } from "./aiUsage.ts"

type Out = Array<Response.StreamPartEncoded>

/** Writes one stream. */
export interface Writer {
  readonly push: (part: LLMStreamPart, out: Out) => void
}

export const makeWriter = (): Writer => {
  let open: "text" | "reasoning" | undefined
  let blocks = 0
  let files = 0
  let held: Response.ResponseMetadataPartEncoded | undefined
  let committed = false
  let target: string | undefined
  const openTools = new Set<string>()

  const id = (): string => `${open}-${blocks}`

  const close = (out: Out): void => {
    if (open !== undefined) out.push({ type: `${open}-end`, id: id() })
    open = undefined
  }

  // Attempts that failed before their first content leave metadata behind: only the last counts.
  const commit = (out: Out): void => {
    if (committed) return
    committed = true
    if (held !== undefined || target !== undefined) {
      const modelId = held?.modelId ?? target
      out.push({ type: "response-metadata", ...held, ...(modelId === undefined ? {} : { modelId }) })
    }
  }

  const enter = (kind: "text" | "reasoning", out: Out): void => {
    commit(out)
    if (open === kind) return
    close(out)
    open = kind
    blocks += 1
    out.push({ type: `${kind}-start`, id: id() })
  }

  const endTool = (toolId: string, out: Out): void => {
    if (openTools.delete(toolId)) out.push({ type: "tool-params-end", id: toolId })
  }

  const finish = (part: Extract<LLMStreamPart, { type: "finish" }>, out: Out): void => {
    target ??= part.target
    commit(out)
    close(out)
    for (const toolId of openTools) endTool(toolId, out)
    for (const kept of foreignPartsOf(part.extra)) out.push(kept.part)
    out.push({ type: "finish", reason: part.reason, usage: toAiUsage(part.usage), metadata: provenance(part) })
  }

  const push = (part: LLMStreamPart, out: Out): void => {
    switch (part.type) {
      case "target":
        target = part.target
        if (!committed) held = undefined
        return
      case "response-metadata":
        if (!committed) {
          held = {
            type: "response-metadata",
            ...(part.id === undefined ? {} : { id: part.id }),
            ...(part.model === undefined ? {} : { modelId: part.model })
          }
        }
        return
      case "text-delta":
        if (part.delta.length === 0) return
        enter("text", out)
        out.push({ type: "text-delta", id: id(), delta: part.delta })
        return
      case "reasoning-delta":
        if (part.delta.length === 0 && part.metadata === undefined) return
        enter("reasoning", out)
        out.push({ type: "reasoning-delta", id: id(), delta: part.delta, ...jsonMetadataField(part.metadata) })
        return
      case "tool-params-start":
        commit(out)
        close(out)
        openTools.add(part.id)
        out.push({ type: "tool-params-start", id: part.id, name: part.name })
        return
      case "tool-params-delta":
        out.push({ type: "tool-params-delta", id: part.id, delta: part.delta })
        return
      case "tool-call":
        commit(out)
        close(out)
        endTool(part.id, out)
        out.push({
          type: "tool-call",
          id: part.id,
          name: part.name,
          params: part.params,
          ...jsonMetadataField(part.metadata)
        })
        return
      case "file":
        commit(out)
        close(out)
        out.push(toAiFile(part, files++))
        return
      case "finish":
        return finish(part, out)
    }
  }

  return { push }
}
