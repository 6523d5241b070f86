/**
 * Whole answers between `effect/ai` and this library.
 */
import type * as Response from "effect/ai/Response"
import * as Base64 from "effect/encoding/Base64"
import type { LLMResponse } from "../domain/Call.ts"
import type { AttemptRecord } from "../domain/Call.ts"
import type { Json } from "../domain/Json.ts"
import type { ContentPart, Turn } from "../domain/Response.ts"
import { fromAiFinishReason, fromAiUsage, toAiUsage } from "./aiUsage.ts"

/** The field of `extra` under which parts of `effect/ai` travel that a {@link Turn} has no place for. */
const extraKey = "effect/ai"

/** Sources, and calls and results of tools that the provider ran itself. */
export type ForeignPart =
  | Response.ToolCallPartEncoded
  | Response.ToolResultPartEncoded
  | Response.DocumentSourcePartEncoded
  | Response.UrlSourcePartEncoded

/** What a {@link Turn} has no place for. */
export interface Foreign {
  /** Each with the number of content parts before it. */
  readonly parts: ReadonlyArray<{ readonly at: number; readonly part: ForeignPart }>
  /** Metadata of the answer as a whole. */
  readonly metadata?: Response.ProviderMetadata
}

type Metadata = Readonly<Record<string, unknown>> | undefined

const hasKeys = (metadata: Metadata): metadata is Readonly<Record<string, unknown>> =>
  metadata !== undefined && Object.keys(metadata).length > 0

/** Spread into a part: nothing for metadata that is empty. */
export const metadataField = (metadata: Metadata): { metadata?: Readonly<Record<string, unknown>> } =>
  hasKeys(metadata) ? { metadata } : {}

/** The same for the other direction, where metadata must be JSON; what is not is left out. */
export const jsonMetadataField = (metadata: Metadata): { metadata?: Response.ProviderMetadata } => {
  if (!hasKeys(metadata)) return {}
  try {
    return { metadata: JSON.parse(JSON.stringify(metadata)) as Response.ProviderMetadata }
  } catch {
    return {}
  }
}

const bytesToBase64 = (data: Uint8Array): string => Base64.encode(data)

/** A file of an answer. */
export const fromAiFile = (part: Response.FilePart): ContentPart => ({
  type: "file",
  mediaType: part.mediaType,
  data: bytesToBase64(part.data)
})

/** `effect/ai` carries files by value: one that is only named by its address becomes a source. */
export const toAiFile = (
  part: { readonly mediaType: string; readonly data: string },
  index: number
): Response.FilePartEncoded | Response.UrlSourcePartEncoded => {
  if (part.data.startsWith("data:")) {
    return { type: "file", mediaType: part.mediaType, data: part.data.slice(part.data.indexOf(",") + 1) }
  }
  return /^[a-z][a-z0-9+.-]{1,20}:\/\//i.test(part.data)
    ? { type: "source", sourceType: "url", id: `file-${index}`, url: part.data, title: part.mediaType }
    : { type: "file", mediaType: part.mediaType, data: part.data }
}

/** The encoded form of a part that a turn has no place for; `undefined` for all others. */
export const foreignPart = (part: Response.AnyPart): ForeignPart | undefined => {
  switch (part.type) {
    case "tool-call":
      return part.providerExecuted
        ? {
            type: "tool-call",
            id: part.id,
            name: part.name,
            params: part.params,
            providerExecuted: true,
            ...jsonMetadataField(part.metadata)
          }
        : undefined
    case "tool-result":
      // The encoded result: the decoded one would be encoded once more on its way out.
      return part.providerExecuted && !part.preliminary
        ? {
            type: "tool-result",
            id: part.id,
            name: part.name,
            isFailure: part.isFailure,
            result: part.encodedResult,
            providerExecuted: true,
            ...jsonMetadataField(part.metadata)
          }
        : undefined
    case "source": {
      const { id, title } = part
      return part.sourceType === "url"
        ? { type: "source", sourceType: "url", id, title, url: part.url.href, ...jsonMetadataField(part.metadata) }
        : {
            type: "source",
            sourceType: "document",
            id,
            title,
            mediaType: part.mediaType,
            ...(part.fileName === undefined ? {} : { fileName: part.fileName }),
            ...jsonMetadataField(part.metadata)
          }
    }
    default:
      return undefined
  }
}

/** What goes into `extra`, if anything. */
export const extraOf = (
  parts: Foreign["parts"],
  metadata: Response.ProviderMetadata | undefined
): { extra?: Readonly<Record<string, unknown>> } => {
  if (parts.length === 0 && !hasKeys(metadata)) return {}
  const foreign: Foreign = { parts, ...(hasKeys(metadata) ? { metadata: metadata as Response.ProviderMetadata } : {}) }
  return { extra: { [extraKey]: foreign } }
}

const foreignIn = (extra: Readonly<Record<string, unknown>> | undefined): Foreign => {
  const found = extra?.[extraKey] as Partial<Foreign> | undefined
  return {
    parts: Array.isArray(found?.parts) ? (found.parts as Foreign["parts"]) : [],
    ...(found?.metadata === undefined ? {} : { metadata: found.metadata })
  }
}

const contentOf = (part: Response.AnyPart): ContentPart | undefined => {
  switch (part.type) {
    case "text":
      return { type: "text", text: part.text }
    case "reasoning":
      return { type: "reasoning", text: part.text, ...metadataField(part.metadata) }
    case "file":
      return fromAiFile(part)
    case "tool-call":
      return part.providerExecuted
        ? undefined
        : { type: "tool-call", id: part.id, name: part.name, params: part.params, ...metadataField(part.metadata) }
    default:
      return undefined
  }
}

/** Characters of an answer that a model had to write. */
const charactersOf = (content: ReadonlyArray<ContentPart>): number => {
  let characters = 0
  for (const part of content) {
    if (part.type === "text" || part.type === "reasoning") characters += part.text.length
    else if (part.type === "tool-call") characters += JSON.stringify(part.params ?? null).length
  }
  return characters
}

/**
 * The turn that response parts make; `undefined` if the model ended it with an error. Without a `finish` part
 * the reason is what the content says, and the usage is estimated.
 */
export const toTurn = (parts: ReadonlyArray<Response.AnyPart>, inputCharacters: number): Turn | undefined => {
  const content: Array<ContentPart> = []
  const foreign: Array<Foreign["parts"][number]> = []
  let metadata: Response.ResponseMetadataPart | undefined
  let finish: Response.FinishPart | undefined
  for (const part of parts) {
    if (part.type === "response-metadata") metadata = part
    else if (part.type === "finish") finish = part
    else {
      const own = contentOf(part)
      if (own !== undefined) content.push(own)
      const other = foreignPart(part)
      if (other !== undefined) foreign.push({ at: content.length, part: other })
    }
  }
  const called = content.some((part) => part.type === "tool-call")
  const finishReason = finish === undefined ? (called ? "tool-calls" : "stop") : fromAiFinishReason(finish.reason)
  if (finishReason === undefined) return undefined
  return {
    content,
    finishReason,
    usage: fromAiUsage(finish?.usage, { input: inputCharacters, output: charactersOf(content) }),
    ...(metadata?.id === undefined ? {} : { id: metadata.id }),
    ...(metadata?.modelId === undefined ? {} : { model: metadata.modelId }),
    ...extraOf(foreign, finish?.metadata)
  }
}

/** How an answer came about, as metadata of its `finish` part under the name `breakwater`. */
export const provenance = (from: {
  readonly requestId: string
  readonly target: string
  readonly attempts: ReadonlyArray<AttemptRecord>
  readonly usage: LLMResponse["usage"]
  readonly extra?: Readonly<Record<string, unknown>>
}): Response.ProviderMetadata => ({
  ...foreignIn(from.extra).metadata,
  breakwater: {
    requestId: from.requestId,
    target: from.target,
    ...(from.usage.estimated === true ? { estimated: true } : {}),
    ...(from.usage.reportedCostUsd === undefined ? {} : { reportedCostUsd: from.usage.reportedCostUsd }),
    attempts: from.attempts.map((attempt): Json => ({
      attempt: attempt.attempt,
      target: attempt.target,
      outcome: attempt.outcome,
      tookMs: attempt.tookMs,
      waitedMs: attempt.waitedMs,
      ...(attempt.error === undefined ? {} : { error: attempt.error._tag })
    }))
  }
})

/** The parts of `effect/ai` that were kept aside. */
export const foreignPartsOf = (extra: Readonly<Record<string, unknown>> | undefined): Foreign["parts"] =>
  foreignIn(extra).parts

/** The response parts of a whole answer. */
export const fromResponse = (response: LLMResponse): Array<Response.PartEncoded> => {
  const foreign = foreignPartsOf(response.extra)
  const out: Array<Response.PartEncoded> = [
    {
      type: "response-metadata",
      ...(response.id === undefined ? {} : { id: response.id }),
      modelId: response.model ?? response.target
    }
  ]
  let next = 0
  response.content.forEach((part, index) => {
    for (let kept = foreign[next]; kept !== undefined && kept.at <= index; kept = foreign[++next]) out.push(kept.part)
    out.push(
      part.type === "text"
        ? part
        : part.type === "file"
          ? toAiFile(part, index)
          : ({ ...part, ...jsonMetadataField(part.metadata) } as Response.PartEncoded)
    )
  })
  for (const kept of foreign.slice(next)) out.push(kept.part)
  out.push({
    type: "finish",
    reason: response.finishReason,
    usage: toAiUsage(response.usage),
    metadata: provenance(response)
  })
  return out
}
