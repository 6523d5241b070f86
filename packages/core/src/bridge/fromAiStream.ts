/**
 * Reads the parts of an `effect/ai` stream as the parts of a streamed turn.
 */
import type * as Response from "effect/ai/Response"
import { isContent, type StreamPart } from "../domain/Response.ts"
import { extraOf, type Foreign, foreignPart, fromAiFile, metadataField } from "./aiParts.ts"
import { fromAiFinishReason, fromAiUsage } from "./aiUsage.ts"

/** The stream ended in the band: `error` is what the model said, if it said anything. */
export interface Failed {
  readonly type: "failed"
  readonly error: unknown
}

export type Read = StreamPart | Failed

/** Ends the stream: nothing after it counts. */
export const isTerminal = (read: Read): boolean => read.type === "finish" || read.type === "failed"

/** Reads one stream. It remembers what it has handed on, for an error that must carry it. */
export interface Reader {
  readonly parts: ReadonlyArray<StreamPart>
  /** Whether anything was handed on that a reader sees. */
  readonly committed: boolean
  readonly push: (part: Response.AnyPart, out: Array<Read>) => void
}

/** The metadata of a response is held back until there is content: before that the answer may still be replaced. */
export const makeReader = (inputCharacters: number): Reader => {
  const parts: Array<StreamPart> = []
  const foreign: Array<Foreign["parts"][number]> = []
  const openTools = new Set<string>()
  const foreignTools = new Set<string>()
  let held: StreamPart | undefined
  let committed = false
  let done = false
  let outputCharacters = 0

  const emit = (part: StreamPart, out: Array<Read>): void => {
    if (held !== undefined && (part.type === "finish" || isContent(part))) {
      parts.push(held)
      out.push(held)
      held = undefined
    }
    if (isContent(part)) committed = true
    parts.push(part)
    out.push(part)
  }

  const startTool = (id: string, name: string, out: Array<Read>): void => {
    openTools.add(id)
    emit({ type: "tool-params-start", id, name }, out)
  }

  const toolCall = (part: Response.ToolCallPart<string, unknown>, out: Array<Read>): void => {
    if (!openTools.has(part.id)) {
      const params = JSON.stringify(part.params ?? null)
      outputCharacters += params.length
      startTool(part.id, part.name, out)
      emit({ type: "tool-params-delta", id: part.id, delta: params }, out)
    }
    const { id, metadata, name, params } = part
    emit({ type: "tool-call", id, name, params, ...metadataField(metadata) }, out)
  }

  const finish = (part: Response.FinishPart, out: Array<Read>): void => {
    const reason = fromAiFinishReason(part.reason)
    done = true
    if (reason === undefined) {
      out.push({ type: "failed", error: undefined })
      return
    }
    const usage = fromAiUsage(part.usage, { input: inputCharacters, output: outputCharacters })
    emit({ type: "finish", reason, usage, ...extraOf(foreign, part.metadata) }, out)
  }

  const push = (part: Response.AnyPart, out: Array<Read>): void => {
    if (done) return
    const kept = foreignPart(part)
    if (kept !== undefined) {
      foreign.push({ at: parts.length, part: kept })
      return
    }
    switch (part.type) {
      case "response-metadata":
        if (!committed) {
          held = {
            type: "response-metadata",
            ...(part.id === undefined ? {} : { id: part.id }),
            ...(part.modelId === undefined ? {} : { model: part.modelId })
          }
        }
        return
      case "text-delta":
        outputCharacters += part.delta.length
        return emit({ type: "text-delta", delta: part.delta }, out)
      case "reasoning-delta":
        outputCharacters += part.delta.length
        return emit({ type: "reasoning-delta", delta: part.delta, ...metadataField(part.metadata) }, out)
      case "reasoning-start":
      case "reasoning-end":
        // A signature may come with either end of the block.
        if (Object.keys(part.metadata).length > 0) {
          emit({ type: "reasoning-delta", delta: "", ...metadataField(part.metadata) }, out)
        }
        return
      case "tool-params-start":
        if (part.providerExecuted) foreignTools.add(part.id)
        else startTool(part.id, part.name, out)
        return
      case "tool-params-delta":
        if (foreignTools.has(part.id)) return
        outputCharacters += part.delta.length
        return emit({ type: "tool-params-delta", id: part.id, delta: part.delta }, out)
      case "tool-call":
        return toolCall(part, out)
      case "file":
        return emit(fromAiFile(part) as StreamPart, out)
      case "error":
        done = true
        out.push({ type: "failed", error: part.error })
        return
      case "finish":
        return finish(part, out)
      default:
        return
    }
  }

  return {
    parts,
    get committed() {
      return committed
    },
    push
  }
}
