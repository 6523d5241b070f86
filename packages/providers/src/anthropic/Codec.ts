/**
 * Anthropic's Messages wire: from a {@link Request.ProviderRequest} to a body, and from a whole answer to a
 * {@link Response.Turn}. Pure functions.
 *
 * Decisions:
 *
 * - `max_tokens` must be sent. Without one in the request it is the largest answer of the model, or
 *   4,096 for a model that is not known. More than a model can answer is cut to what it can, so that a request may
 *   fail over to a smaller model.
 * - A JSON answer is asked for with structured outputs (`output_config.format`), never with a forced tool: a
 *   forced tool would collide with the caller's tools, with thinking, and with streaming. A prefill goes without a
 *   schema and without thoughts, which the provider refuses beside it.
 * - What the wire has no word for (`seed`, the penalties) is not sent. Sampling that a model would refuse with a
 *   400 is not sent either: see `Models.ts`. `extra` overrides all of this.
 */
import type { Request, Response, Tool, Usage } from "@breakwater/core"
import { asArray, asCount, asRecord, asText, type JsonRecord } from "../internal/Json.ts"
import { encode as encodePrompt, metadataKey, resumesWithoutThoughts, type WirePrompt } from "./Messages.ts"
import * as Models from "./Models.ts"

type Body = Record<string, unknown>

/** The largest answer asked of a model whose own limit is not known, in tokens. */
const unknownMaxTokens = 4_096

/** Tokens of thought for each effort, for models that think within a budget. */
const thinkingBudgets = { minimal: 1_024, low: 4_096, medium: 8_192, high: 16_384 } as const

const minThinkingBudget = 1_024

/** A request on the wire. */
export interface Encoded {
  readonly body: Body
  /** Blank characters cut off a prefill; the beginning of the answer must not repeat them. */
  readonly trimmed: string
}

const isForced = (choice: Tool.ToolChoice | undefined): boolean =>
  choice === "required" || (typeof choice === "object" && ("tool" in choice || choice.mode === "required"))

const toolChoice = (choice: Tool.ToolChoice): Body => {
  if (choice === "auto" || choice === "none") return { type: choice }
  if (choice === "required") return { type: "any" }
  if ("tool" in choice) return { type: "tool", name: choice.tool }
  return { type: choice.mode === "required" ? "any" : "auto" }
}

const encodeTools = (request: Request.ProviderRequest): Body => {
  const { toolChoice: choice, tools = [] } = request
  if (tools.length === 0) return {}
  // The wire cannot restrict a choice to some of the tools, so the others are not declared.
  const offered =
    typeof choice === "object" && "oneOf" in choice ? tools.filter((tool) => choice.oneOf.includes(tool.name)) : tools
  if (offered.length === 0) return {}
  return {
    tools: offered.map((tool) => ({
      name: tool.name,
      ...(tool.description === undefined ? {} : { description: tool.description }),
      input_schema: tool.parameters,
      ...(tool.strict === true ? { strict: true } : {})
    })),
    ...(choice === undefined ? {} : { tool_choice: toolChoice(choice) })
  }
}

/**
 * Thinking and effort. Thoughts are asked for in summary: a model that thinks in silence looks like one that
 * hangs, and runs into the timeout of the first token. A forced tool and a prefill leave no room for thoughts, and a
 * model that thinks within a budget must have begun the turn with them: not so if another model began it.
 */
const encodeReasoning = (
  request: Request.ProviderRequest,
  prompt: WirePrompt,
  maxTokens: number
): { readonly thinking?: Body; readonly effort?: string } => {
  const effort = request.reasoning?.effort
  const { effort: acceptsEffort, thinking, thinkingOff } = Models.traits(request.model)
  if (effort === undefined || thinking === "none") return {}
  if (effort === "none") {
    if (thinkingOff === "disabled") return { thinking: { type: "disabled" } }
    return thinkingOff === "impossible" ? { effort: "low" } : {}
  }
  const level = acceptsEffort ? { effort: effort === "minimal" ? "low" : effort } : {}
  if (isForced(request.toolChoice) || request.prefill === true) return level
  if (thinking === "adaptive") return { ...level, thinking: { type: "adaptive", display: "summarized" } }
  const budget = resumesWithoutThoughts(prompt) ? 0 : Math.min(thinkingBudgets[effort], maxTokens - 1)
  return budget < minThinkingBudget ? level : { ...level, thinking: { type: "enabled", budget_tokens: budget } }
}

const encodeSampling = (request: Request.ProviderRequest, thinking: Body | undefined): Body => {
  const { sampling } = Models.traits(request.model)
  const { temperature, topK, topP } = request
  // A model that thinks within a budget refuses sampling for that request.
  if (sampling === "none" || thinking?.["type"] === "enabled" || thinking?.["type"] === "adaptive") return {}
  const out: Body = {}
  if (temperature !== undefined) out["temperature"] = Math.min(temperature, 1)
  if (topP !== undefined && (sampling === "all" || temperature === undefined)) out["top_p"] = topP
  if (topK !== undefined) out["top_k"] = topK
  return out
}

const encodeOutput = (request: Request.ProviderRequest, effort: string | undefined): Body => {
  const format = request.prefill === true ? undefined : request.responseFormat
  const config: Body = {
    ...(effort === undefined ? {} : { effort }),
    ...(format?.type === "json" ? { format: { type: "json_schema", schema: format.schema } } : {})
  }
  return Object.keys(config).length === 0 ? {} : { output_config: config }
}

/** `extra` goes over everything; `output_config` is merged, so that an effort does not cost the format. */
const withExtra = (body: Body, extra: Readonly<Body> | undefined): Body => {
  if (extra === undefined) return body
  const own = asRecord(body["output_config"])
  const theirs = asRecord(extra["output_config"])
  return {
    ...body,
    ...extra,
    ...(own !== undefined && theirs !== undefined ? { output_config: { ...own, ...theirs } } : {})
  }
}

/** How long an answer may be. */
export interface OutputLimits {
  /** Stands in for a missing `maxTokens`. */
  readonly defaultMaxTokens?: number | undefined
  /** The largest answer of the model, if it is known. */
  readonly maxOutputTokens?: number | undefined
}

/** Converts a request. */
export const encodeRequest = (
  request: Request.ProviderRequest,
  stream: boolean,
  limits: OutputLimits = Models.capabilities(request.model)
): Encoded => {
  const prompt = encodePrompt(request.messages)
  const { defaultMaxTokens, maxOutputTokens } = limits
  const wanted = request.maxTokens ?? defaultMaxTokens ?? maxOutputTokens ?? unknownMaxTokens
  const maxTokens = Math.min(wanted, maxOutputTokens ?? Infinity)
  const { effort, thinking } = encodeReasoning(request, prompt, maxTokens)
  const stop = request.stop?.filter((text) => text.trim().length > 0) ?? []
  const body: Body = {
    model: request.model,
    max_tokens: maxTokens,
    messages: prompt.messages,
    ...(prompt.system.length === 0 ? {} : { system: prompt.system }),
    ...(stop.length === 0 ? {} : { stop_sequences: stop }),
    ...encodeSampling(request, thinking),
    ...(thinking === undefined ? {} : { thinking }),
    ...encodeOutput(request, effort),
    ...encodeTools(request),
    ...(request.user === undefined ? {} : { metadata: { user_id: request.user } }),
    ...(stream ? { stream: true } : {})
  }
  return { body: withExtra(body, request.extra), trimmed: request.prefill === true ? prompt.trimmed : "" }
}

/**
 * The usage of an answer: the one place that knows that `input_tokens` leaves cached reads and cache writes out,
 * and that `output_tokens` holds the thoughts.
 */
export const decodeUsage = (usage: unknown): Usage.Usage => {
  const raw = asRecord(usage)
  const count = (key: string): number => asCount(raw?.[key]) ?? 0
  const read = count("cache_read_input_tokens")
  const creation = asRecord(raw?.["cache_creation"])
  const long = asCount(creation?.["ephemeral_1h_input_tokens"]) ?? 0
  const short = asCount(creation?.["ephemeral_5m_input_tokens"]) ?? 0
  // The total is the sum of the two; a server in between may leave one or the other out.
  const written = Math.max(count("cache_creation_input_tokens"), long + short)
  const thoughts = asCount(asRecord(raw?.["output_tokens_details"])?.["thinking_tokens"]) ?? 0
  return {
    inputTokens: count("input_tokens") + read + written,
    outputTokens: count("output_tokens"),
    ...(read === 0 ? {} : { cachedInputTokens: read }),
    ...(written === 0 ? {} : { cacheWriteTokens: written }),
    ...(long === 0 ? {} : { longCacheWriteTokens: long }),
    ...(thoughts === 0 ? {} : { reasoningTokens: thoughts })
  }
}

/** The counts of a later event over those of an earlier one: they are cumulative, and may be silent. */
export const mergeUsage = (earlier: JsonRecord | undefined, later: unknown): JsonRecord => {
  const out: Body = { ...earlier }
  for (const [key, value] of Object.entries(asRecord(later) ?? {})) {
    if (value !== null && value !== undefined) out[key] = value
  }
  return out
}

/** Why a turn ended; reasons that are failures are not here. */
export const finishReason = (reason: unknown): Response.FinishReason => {
  switch (reason) {
    case "end_turn":
    case "stop_sequence":
      return "stop"
    case "max_tokens":
      return "length"
    case "tool_use":
      return "tool-calls"
    case "pause_turn":
      return "pause"
    default:
      return "other"
  }
}

/** Fields of an answer that have no place of their own. */
export const extraOf = (message: JsonRecord): { extra?: Body } => {
  const extra: Body = {}
  for (const key of ["stop_sequence", "stop_details", "container", "context_management"]) {
    const value = message[key]
    if (value !== undefined && value !== null) extra[key] = value
  }
  return Object.keys(extra).length === 0 ? {} : { extra }
}

/** The metadata under which a signature, or redacted thoughts, go back to the provider. */
export const ownMetadata = (own: Body): Body => ({ [metadataKey]: own })

/** Cuts off the beginning of a text what of `blanks` it repeats, and says what is still to be cut. */
export const dropRepeated = (text: string, blanks: string): { readonly text: string; readonly rest: string } => {
  let same = 0
  while (same < blanks.length && same < text.length && text[same] === blanks[same]) same++
  return { text: text.slice(same), rest: same === text.length ? blanks.slice(same) : "" }
}

export const contentPart = (block: JsonRecord): Response.ContentPart | undefined => {
  switch (block["type"]) {
    case "text":
      return { type: "text", text: asText(block["text"]) ?? "" }
    case "thinking":
      return {
        type: "reasoning",
        text: asText(block["thinking"]) ?? "",
        // Streams begin with an empty one, and bring it at the end.
        ...(asText(block["signature"]) ? { metadata: ownMetadata({ signature: block["signature"] }) } : {})
      }
    case "redacted_thinking":
      return { type: "reasoning", text: "", metadata: ownMetadata({ redactedData: block["data"] }) }
    case "tool_use":
      return {
        type: "tool-call",
        id: asText(block["id"]) ?? "",
        name: asText(block["name"]) ?? "",
        params: block["input"] ?? {}
      }
    default:
      // Blocks of tools that the provider runs itself: their outcome is in the text.
      return undefined
  }
}

/** Converts a whole answer; `undefined` if it is not one. Stop reasons that are failures are for the error map. */
export const decodeTurn = (message: unknown, trimmed = ""): Response.Turn | undefined => {
  const fields = asRecord(message)
  const blocks = asArray(fields?.["content"])
  if (fields === undefined || blocks === undefined) return undefined
  const content: Array<Response.ContentPart> = []
  let blanks = trimmed
  for (const each of blocks) {
    const block = asRecord(each)
    const part = block === undefined ? undefined : contentPart(block)
    if (part?.type === "text" && blanks.length > 0) {
      const cut = dropRepeated(part.text, blanks)
      blanks = cut.rest
      if (cut.text.length > 0) content.push({ type: "text", text: cut.text })
    } else if (part !== undefined) content.push(part)
  }
  return {
    content,
    finishReason: finishReason(fields["stop_reason"]),
    usage: decodeUsage(fields["usage"]),
    ...(typeof fields["id"] === "string" ? { id: fields["id"] } : {}),
    ...(typeof fields["model"] === "string" ? { model: fields["model"] } : {}),
    ...extraOf(fields)
  }
}
