/**
 * From answers to what is kept of them, and back.
 *
 * Kept is what the model said. Who asked, the attempts and the provider's rate limits of that moment are not.
 */
import type { Cached } from "../domain/Cache.ts"
import type { CallCost, CompletePart, LLMResponse, LLMStreamPart } from "../domain/Call.ts"
import type { ContentPart, FinishReason, StreamPart, Turn } from "../domain/Response.ts"
import type { Usage } from "../domain/Usage.ts"
import { fold, unfold } from "./answerParts.ts"

/** What is kept of an answer: a turn, or the parts of a stream up to its `finish`. */
export type StoredAnswer =
  | { readonly kind: "turn"; readonly turn: Turn }
  | { readonly kind: "stream"; readonly parts: ReadonlyArray<StreamPart> }

/** An answer that was cut by a filter, or paused, is not one to be given again. */
const lasting = new Set<FinishReason>(["stop", "length", "tool-calls"])

/** What is to be kept, and what it cost. */
export interface Made {
  readonly answer: StoredAnswer
  readonly costNanos: bigint | undefined
}

/** What an answer cost, with the attempts that failed before it; `undefined` where none of them has a price. */
const known = (cost: CallCost | undefined): bigint | undefined =>
  cost === undefined || (cost.nanoDollars === 0n && cost.unknownAttempts > 0) ? undefined : cost.nanoDollars

/** An amount as an entry keeps it: JSON has no whole numbers of any size. `undefined` for a text that is none. */
export const amountOf = (text: string | undefined): bigint | undefined =>
  text !== undefined && /^\d{1,40}$/.test(text) ? BigInt(text) : undefined

/** What is to be kept of a response of the target that was asked; `undefined` for nothing. */
export const ofResponse = (response: LLMResponse, target: string): Made | undefined => {
  if (response.cached !== undefined || response.target !== target || !lasting.has(response.finishReason)) {
    return undefined
  }
  const { attempts: _a, cached: _c, cost, limits: _l, requestId: _r, target: _t, text: _x, ...rest } = response
  const { remainingNanos: _n, savedNanos: _s, softLimits: _f, ...turn } = rest
  return { answer: { kind: "turn", turn }, costNanos: known(cost) }
}

/** The same of the parts of a stream that has come to its `finish`. */
export const ofParts = (parts: Iterable<LLMStreamPart>, target: string): Made | undefined => {
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
        const { attempts: _a, cost, requestId: _r, target: _t, ...rest } = part
        const { cached: _c, remainingNanos: _n, savedNanos: _s, softLimits: _f, ...finish } = rest
        kept.push(finish)
        return { answer: { kind: "stream", parts: kept }, costNanos: known(cost) }
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

/** Whose answer it becomes. */
export interface Provenance {
  readonly requestId: string
  readonly target: string
  readonly cached: Cached
  readonly savedNanos: bigint | undefined
}

/** What an answer says of its way when no attempt of this call has made it. */
const wayOf = ({ cached, requestId, savedNanos, target }: Provenance) => ({
  requestId,
  target,
  attempts: [],
  cached,
  ...(savedNanos === undefined ? undefined : { savedNanos })
})

/** A kept answer as a response. No attempt was made for it. */
export const toResponse = (answer: StoredAnswer, provenance: Provenance): LLMResponse => {
  const turn = answer.kind === "turn" ? answer.turn : fold(answer.parts)
  let text = ""
  for (const part of turn.content) if (part.type === "text") text += part.text
  return { ...turn, text, ...wayOf(provenance) }
}

/** A kept answer as the parts of a stream, the target first. */
export const toParts = (
  answer: StoredAnswer,
  provenance: Provenance
): readonly [LLMStreamPart, ...Array<LLMStreamPart>] => {
  const parts = answer.kind === "stream" ? answer.parts : unfold(answer.turn)
  const out: [LLMStreamPart, ...Array<LLMStreamPart>] = [
    { type: "target", target: provenance.target, attempt: 0, continues: false }
  ]
  for (const part of parts) {
    out.push(part.type === "finish" ? { ...part, ...wayOf(provenance) } : part)
  }
  return out
}

/** What a kept answer consumed when it was made. */
export const usageOf = (answer: StoredAnswer): Usage => {
  if (answer.kind === "turn") return answer.turn.usage
  const last = answer.parts[answer.parts.length - 1]
  return last?.type === "finish" ? last.usage : { inputTokens: 0, outputTokens: 0 }
}

/** What stays of the one whose call it was: not what it costs him, nor what is left to him. */
const shared = <A extends LLMResponse | CompletePart>(answer: A, requestId: string) => {
  const { cost, remainingNanos: _n, savedNanos, softLimits: _f, ...rest } = answer
  const saved = savedNanos ?? known(cost)
  return {
    ...rest,
    requestId,
    attempts: [],
    cached: answer.cached ?? ({ source: "in-flight", ageMs: 0 } as const),
    ...(saved === undefined ? undefined : { savedNanos: saved })
  }
}

/** Another caller's answer as this caller's own: no attempt was made for it. */
export const sharedResponse = (response: LLMResponse, requestId: string): LLMResponse => shared(response, requestId)

/** {@link sharedResponse} for the end of a stream. */
export const sharedFinish = (part: CompletePart, requestId: string): CompletePart => shared(part, requestId)
