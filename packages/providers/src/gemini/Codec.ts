/**
 * Gemini's `generateContent` and `batchEmbedContents` wire: from a request to a body, and from a whole answer to
 * a turn. Pure functions.
 *
 * Decisions:
 *
 * - JSON schemas are sent as they are (`responseJsonSchema`, `parametersJsonSchema`), not translated into the
 *   older dialect of `responseSchema`.
 * - Function calls may come without an id. One is made up from the id of the response and the call's number, so
 *   that the same answer always has the same ids, and it is left out again on the way back.
 * - `extra` goes over everything; `generationConfig` is merged, so that one field of it does not cost the others.
 * - `user` has no place on this wire.
 */
import type { Request, Response, Tool, Usage } from "@breakwater/core"
import { Usage as UsageModule } from "@breakwater/core"
import { asArray, asCount, asRecord, asText, type JsonRecord } from "../internal/Json.ts"
import { encode as encodePrompt, madeUpId, metadataKey } from "./Contents.ts"
import * as Models from "./Models.ts"

type Body = Record<string, unknown>

/** The body without the fields that are `undefined`. */
const defined = (fields: Body): Body =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined))

const callingConfig = (choice: Tool.ToolChoice): Body => {
  if (choice === "auto") return { mode: "AUTO" }
  if (choice === "none") return { mode: "NONE" }
  if (choice === "required") return { mode: "ANY" }
  if ("tool" in choice) return { mode: "ANY", allowedFunctionNames: [choice.tool] }
  // Names may only be given with ANY; for a free choice the other functions are not declared.
  return choice.mode === "required" ? { mode: "ANY", allowedFunctionNames: choice.oneOf } : { mode: "AUTO" }
}

const declaration = (tool: Tool.ToolDefinition): Body => {
  const properties = asRecord(tool.parameters["properties"])
  const empty = tool.parameters["type"] === "object" && Object.keys(properties ?? {}).length === 0
  return {
    name: tool.name,
    ...(tool.description === undefined ? {} : { description: tool.description }),
    ...(empty ? {} : { parametersJsonSchema: tool.parameters })
  }
}

const encodeTools = (request: Request.ProviderRequest): Body => {
  const { toolChoice: choice, tools = [] } = request
  const offered =
    typeof choice === "object" && "oneOf" in choice && choice.mode !== "required"
      ? tools.filter((tool) => choice.oneOf.includes(tool.name))
      : tools
  if (offered.length === 0) return {}
  return {
    tools: [{ functionDeclarations: offered.map(declaration) }],
    ...(choice === undefined ? {} : { toolConfig: { functionCallingConfig: callingConfig(choice) } })
  }
}

const generationConfig = (request: Request.ProviderRequest, maxOutputTokens: number): Body => {
  const format = request.responseFormat
  const effort = request.reasoning?.effort
  return defined({
    temperature: request.temperature,
    topP: request.topP,
    topK: request.topK,
    maxOutputTokens: request.maxTokens === undefined ? undefined : Math.min(request.maxTokens, maxOutputTokens),
    stopSequences: request.stop?.length ? request.stop : undefined,
    seed: request.seed,
    presencePenalty: request.presencePenalty,
    frequencyPenalty: request.frequencyPenalty,
    responseMimeType: format?.type === "json" ? "application/json" : undefined,
    responseJsonSchema: format?.type === "json" ? format.schema : undefined,
    thinkingConfig: effort === undefined ? undefined : Models.thinkingConfig(request.model, effort)
  })
}

/** Converts a request. An answer longer than `maxOutputTokens`, if the model's limit is known, is not asked for. */
export const encodeRequest = (request: Request.ProviderRequest, maxOutputTokens = Infinity): Body => {
  const config = { ...generationConfig(request, maxOutputTokens), ...asRecord(request.extra?.["generationConfig"]) }
  return {
    ...encodePrompt(request.messages, request.model),
    ...encodeTools(request),
    ...request.extra,
    ...(Object.keys(config).length === 0 ? {} : { generationConfig: config })
  }
}

/** Converts texts to be embedded. `extra` (a `taskType`, say) goes into the request of every text. */
export const encodeEmbed = (request: Request.ProviderEmbedRequest): Body => ({
  requests: request.input.map((text) => ({
    model: `models/${request.model}`,
    content: { parts: [{ text }] },
    ...(request.dimensions === undefined ? {} : { outputDimensionality: request.dimensions }),
    ...request.extra
  }))
})

/**
 * The usage of an answer: the one place that knows that `promptTokenCount` includes what was cached, that
 * `candidatesTokenCount` leaves thoughts out, and that prompts of tools are counted apart.
 */
export const decodeUsage = (metadata: unknown): Usage.Usage | undefined => {
  const raw = asRecord(metadata)
  if (raw === undefined) return undefined
  const count = (key: string): number => asCount(raw[key]) ?? 0
  const cached = count("cachedContentTokenCount")
  const thoughts = count("thoughtsTokenCount")
  const of = (modality: string, ...keys: ReadonlyArray<string>): number => {
    let total = 0
    for (const each of keys.flatMap((key) => asArray(raw[key]) ?? [])) {
      const details = asRecord(each)
      if (details?.["modality"] === modality) total += asCount(details["tokenCount"]) ?? 0
    }
    return total
  }
  // What was cached has a rate of its own, so that it is not counted as audio or images again.
  const fresh = (modality: string): number =>
    Math.max(0, of(modality, "promptTokensDetails", "toolUsePromptTokensDetails") - of(modality, "cacheTokensDetails"))
  const [audioIn, imageIn] = [fresh("AUDIO"), fresh("IMAGE")]
  const [audioOut, imageOut] = [of("AUDIO", "candidatesTokensDetails"), of("IMAGE", "candidatesTokensDetails")]
  return {
    inputTokens: count("promptTokenCount") + count("toolUsePromptTokenCount"),
    outputTokens: count("candidatesTokenCount") + thoughts,
    ...(cached === 0 ? {} : { cachedInputTokens: cached }),
    ...(thoughts === 0 ? {} : { reasoningTokens: thoughts }),
    ...(audioIn === 0 ? {} : { audioInputTokens: audioIn }),
    ...(audioOut === 0 ? {} : { audioOutputTokens: audioOut }),
    ...(imageIn === 0 ? {} : { imageInputTokens: imageIn }),
    ...(imageOut === 0 ? {} : { imageOutputTokens: imageOut })
  }
}

/** Why a turn ended; reasons that are failures are not here. An answer that calls tools stops like any other. */
export const finishReason = (reason: unknown, calledTools: boolean): Response.FinishReason => {
  if (reason === "STOP") return calledTools ? "tool-calls" : "stop"
  return reason === "MAX_TOKENS" ? "length" : "other"
}

/** The first candidate of an answer or of a chunk of one. */
export const candidateOf = (body: JsonRecord): JsonRecord | undefined => asRecord(asArray(body["candidates"])?.[0])

/** Makes up ids for function calls that come without one: the same for the same answer. */
export const callIds = (seed: string): ((given: unknown) => string) => {
  const clean = seed.replace(/[^a-zA-Z0-9_-]/g, "_")
  let next = 0
  return (given) => {
    const number = next++
    return asText(given) ?? `${madeUpId}${clean}-${number}`
  }
}

const metadata = (part: JsonRecord): { readonly metadata?: Body } => {
  const thoughtSignature = asText(part["thoughtSignature"])
  return thoughtSignature === undefined ? {} : { metadata: { [metadataKey]: { thoughtSignature } } }
}

/** The content of one wire part. A signed text is followed by an empty thought that carries the signature. */
export const contentParts = (
  part: JsonRecord,
  callId: (given: unknown) => string
): ReadonlyArray<Response.ContentPart> => {
  const call = asRecord(part["functionCall"])
  if (call !== undefined) {
    return [
      {
        type: "tool-call",
        id: callId(call["id"]),
        name: asText(call["name"]) ?? "",
        params: call["args"] ?? {},
        ...metadata(part)
      }
    ]
  }
  const inline = asRecord(part["inlineData"])
  if (inline !== undefined) {
    return [{ type: "file", mediaType: asText(inline["mimeType"]) ?? "", data: asText(inline["data"]) ?? "" }]
  }
  const text = part["text"]
  if (typeof text !== "string") return []
  if (part["thought"] === true) return [{ type: "reasoning", text, ...metadata(part) }]
  const signed = metadata(part)
  return [
    ...(text.length === 0 ? [] : [{ type: "text" as const, text }]),
    ...(signed.metadata === undefined ? [] : [{ type: "reasoning" as const, text: "", ...signed }])
  ]
}

/** Fields of a candidate that have no place of their own. */
export const extraOf = (candidate: JsonRecord | undefined): { readonly extra?: Body } => {
  const extra = defined({
    groundingMetadata: candidate?.["groundingMetadata"],
    citationMetadata: candidate?.["citationMetadata"],
    urlContextMetadata: candidate?.["urlContextMetadata"]
  })
  return Object.keys(extra).length === 0 ? {} : { extra }
}

/**
 * Converts a whole answer; `undefined` if it is not one. Finish reasons that are failures are for the error map.
 * `seed` stands in for the id of a response that has none.
 */
export const decodeTurn = (answer: unknown, seed: string): Response.Turn | undefined => {
  const body = asRecord(answer)
  const candidate = body === undefined ? undefined : candidateOf(body)
  if (body === undefined || candidate === undefined) return undefined
  const id = asText(body["responseId"])
  const model = asText(body["modelVersion"])
  const callId = callIds(id ?? seed)
  const parts = asArray(asRecord(candidate["content"])?.["parts"]) ?? []
  const content = parts.flatMap((part) => contentParts(asRecord(part) ?? {}, callId))
  return {
    content,
    finishReason: finishReason(
      candidate["finishReason"],
      content.some((part) => part.type === "tool-call")
    ),
    usage: decodeUsage(body["usageMetadata"]) ?? UsageModule.zero,
    ...(id === undefined ? {} : { id }),
    ...(model === undefined ? {} : { model }),
    ...extraOf(candidate)
  }
}

/** Converts the vectors of a batch; `undefined` if there are not as many as texts. Usage is estimated if not sent. */
export const decodeEmbeddings = (
  answer: unknown,
  request: Request.ProviderEmbedRequest
): Response.Embeddings | undefined => {
  const body = asRecord(answer)
  const vectors = asArray(body?.["embeddings"])?.map((each) => asArray(asRecord(each)?.["values"]))
  if (vectors?.length !== request.input.length) return undefined
  if (!vectors.every((vector) => vector?.length && vector.every((value) => Number.isFinite(value)))) return undefined
  const characters = request.input.reduce((sum, text) => sum + text.length, 0)
  return {
    vectors: vectors as ReadonlyArray<ReadonlyArray<number>>,
    usage: decodeUsage(body?.["usageMetadata"]) ?? {
      inputTokens: UsageModule.estimateTokens(characters),
      outputTokens: 0,
      estimated: true
    },
    model: request.model
  }
}
