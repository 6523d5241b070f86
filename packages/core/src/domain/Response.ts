/**
 * What a provider answers: a whole turn, or the parts of one as they arrive.
 */
import * as Schema from "effect/Schema"
import { RateLimits } from "./RateLimits.ts"
import { Usage } from "./Usage.ts"

/** Opaque data a provider wants back with the next turn (a reasoning signature, say). */
const Metadata = Schema.Record(Schema.String, Schema.Unknown)

/**
 * Why the model stopped.
 *
 * `error` never reaches a caller as success: a provider raises the error instead.
 */
export const FinishReason = Schema.Literals(["stop", "length", "tool-calls", "content-filter", "pause", "other"])
export type FinishReason = typeof FinishReason.Type

const TextContent = Schema.Struct({
  type: Schema.tag("text"),
  text: Schema.String
})

const ReasoningContent = Schema.Struct({
  type: Schema.tag("reasoning"),
  text: Schema.String,
  metadata: Schema.optionalKey(Metadata)
})

const ToolCallContent = Schema.Struct({
  type: Schema.tag("tool-call"),
  /** The provider's id of the call; the tool's result must carry it. */
  id: Schema.String,
  name: Schema.String,
  /** The parsed arguments. Not checked against the tool's schema at this level. */
  params: Schema.Unknown,
  metadata: Schema.optionalKey(Metadata)
})

const FileContent = Schema.Struct({
  type: Schema.tag("file"),
  mediaType: Schema.String,
  /** Base64, or a URL. */
  data: Schema.String
})

/** One piece of a whole answer. */
export const ContentPart = Schema.Union([TextContent, ReasoningContent, ToolCallContent, FileContent])
export type ContentPart = typeof ContentPart.Type
export type ToolCall = typeof ToolCallContent.Type

/** One model turn, whole. */
export const Turn = Schema.Struct({
  content: Schema.Array(ContentPart),
  finishReason: FinishReason,
  usage: Usage,
  /** The provider's id of the response. */
  id: Schema.optionalKey(Schema.String),
  /** The model that answered, as the provider names it; often more exact than the one asked for. */
  model: Schema.optionalKey(Schema.String),
  /** What the provider said of its limits. */
  limits: Schema.optionalKey(RateLimits),
  /** Fields of the provider's response that have no place here. */
  extra: Schema.optionalKey(Schema.Record(Schema.String, Schema.Unknown))
})
export type Turn = typeof Turn.Type

const ResponseMetadata = Schema.Struct({
  type: Schema.tag("response-metadata"),
  id: Schema.optionalKey(Schema.String),
  model: Schema.optionalKey(Schema.String),
  limits: Schema.optionalKey(RateLimits)
})

const TextDelta = Schema.Struct({
  type: Schema.tag("text-delta"),
  delta: Schema.String
})

const ReasoningDelta = Schema.Struct({
  type: Schema.tag("reasoning-delta"),
  delta: Schema.String,
  metadata: Schema.optionalKey(Metadata)
})

const ToolParamsStart = Schema.Struct({
  type: Schema.tag("tool-params-start"),
  id: Schema.String,
  name: Schema.String
})

const ToolParamsDelta = Schema.Struct({
  type: Schema.tag("tool-params-delta"),
  id: Schema.String,
  delta: Schema.String
})

/** The end of a turn: the only part that makes a stream a success. */
const Finish = Schema.Struct({
  type: Schema.tag("finish"),
  reason: FinishReason,
  usage: Usage,
  extra: Schema.optionalKey(Schema.Record(Schema.String, Schema.Unknown))
})

/**
 * A part of a streamed turn, as a provider emits it.
 *
 * A tool call arrives as `tool-params-start`, any number of `tool-params-delta`, and then the whole
 * `tool-call`. A turn ends with exactly one `finish`.
 */
export const StreamPart = Schema.Union([
  ResponseMetadata,
  TextDelta,
  ReasoningDelta,
  ToolParamsStart,
  ToolParamsDelta,
  ToolCallContent,
  FileContent,
  Finish
])
export type StreamPart = typeof StreamPart.Type
export type FinishPart = typeof Finish.Type

/** Whether a part is something the reader sees: such a part commits a stream to its target. Empty deltas do not. */
export const isContent = (part: StreamPart): boolean => {
  switch (part.type) {
    case "text-delta":
    case "reasoning-delta":
      return part.delta.length > 0
    case "response-metadata":
    case "finish":
      return false
    default:
      return true
  }
}

/** A whole turn as the parts of a stream: what a streamed call hands on where the answer came in one piece. */
export const partsOf = (turn: Turn): ReadonlyArray<StreamPart> => {
  const parts: Array<StreamPart> = [
    {
      type: "response-metadata",
      ...(turn.id === undefined ? {} : { id: turn.id }),
      ...(turn.model === undefined ? {} : { model: turn.model }),
      ...(turn.limits === undefined ? {} : { limits: turn.limits })
    }
  ]
  for (const part of turn.content) {
    switch (part.type) {
      case "text":
        parts.push({ type: "text-delta", delta: part.text })
        break
      case "reasoning":
        parts.push({
          type: "reasoning-delta",
          delta: part.text,
          ...(part.metadata === undefined ? {} : { metadata: part.metadata })
        })
        break
      case "tool-call":
        parts.push({ type: "tool-params-start", id: part.id, name: part.name })
        parts.push({ type: "tool-params-delta", id: part.id, delta: JSON.stringify(part.params) ?? "null" })
        parts.push(part)
        break
      default:
        parts.push(part)
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

/** The vectors of a batch of texts, in the order of the texts. */
export const Embeddings = Schema.Struct({
  vectors: Schema.Array(Schema.Array(Schema.Finite)),
  usage: Usage,
  model: Schema.optionalKey(Schema.String)
})
export type Embeddings = typeof Embeddings.Type
