/**
 * Token counts on the wire of OpenAI and compatibles. The one place that knows what their numbers include:
 * `prompt_tokens` includes cached ones; `completion_tokens` includes reasoning, except at servers whose total says
 * otherwise.
 */
import { Usage } from "@breakwater/core"
import { asCount, asRecord, type JsonRecord } from "../internal/Json.ts"

type MutableUsage = { -readonly [K in keyof Usage.Usage]: Usage.Usage[K] }

const amount = (value: unknown): number | undefined =>
  typeof value === "number" && value >= 0 && Number.isFinite(value) ? value : undefined

/** US dollars. A router that calls a provider with the caller's own key reports its fee, and what the provider takes apart. */
const cost = (usage: JsonRecord): number | undefined => {
  const given = usage["cost"] ?? usage["estimated_cost"]
  const own = amount(given) ?? amount(asRecord(given)?.["total_cost"])
  const upstream = amount(asRecord(usage["cost_details"])?.["upstream_inference_cost"])
  return usage["is_byok"] === true && own !== undefined ? own + (upstream ?? 0) : own
}

type Part = Exclude<
  keyof Usage.Usage,
  "inputTokens" | "outputTokens" | "longCacheWriteTokens" | "reportedCostUsd" | "estimated"
>

const put = (out: MutableUsage, key: Part, value: number | undefined): void => {
  if (value !== undefined && value > 0) out[key] = value
}

/** The usage in a `usage` object; `undefined` if there is none, or if it counts nothing. */
export const decodeUsage = (value: unknown): Usage.Usage | undefined => {
  const usage = asRecord(value)
  if (usage === undefined) return undefined
  const prompt = asCount(usage["prompt_tokens"]) ?? asCount(usage["input_tokens"])
  const completion = asCount(usage["completion_tokens"]) ?? asCount(usage["output_tokens"]) ?? 0
  if (prompt === undefined || prompt + completion === 0) return undefined
  const promptDetails = asRecord(usage["prompt_tokens_details"]) ?? asRecord(usage["input_tokens_details"])
  const completionDetails = asRecord(usage["completion_tokens_details"]) ?? asRecord(usage["output_tokens_details"])
  const reasoning = asCount(completionDetails?.["reasoning_tokens"]) ?? asCount(usage["reasoning_tokens"]) ?? 0
  const cached = asCount(promptDetails?.["cached_tokens"]) ?? asCount(usage["prompt_cache_hit_tokens"]) ?? 0
  const apart =
    reasoning > completion || (reasoning > 0 && asCount(usage["total_tokens"]) === prompt + completion + reasoning)
  const out: MutableUsage = {
    inputTokens: Math.max(prompt, cached),
    outputTokens: apart ? completion + reasoning : completion
  }
  put(out, "cachedInputTokens", cached)
  put(out, "cacheWriteTokens", asCount(promptDetails?.["cache_write_tokens"]))
  put(out, "reasoningTokens", reasoning)
  // What was cached has a rate of its own, so that it is not counted as audio or images again.
  const cachedDetails = asRecord(promptDetails?.["cached_tokens_details"])
  const fresh = (key: string): number => (asCount(promptDetails?.[key]) ?? 0) - (asCount(cachedDetails?.[key]) ?? 0)
  put(out, "audioInputTokens", fresh("audio_tokens"))
  put(out, "imageInputTokens", fresh("image_tokens"))
  put(out, "audioOutputTokens", asCount(completionDetails?.["audio_tokens"]))
  put(out, "imageOutputTokens", asCount(completionDetails?.["image_tokens"]))
  const reported = cost(usage)
  if (reported !== undefined) out.reportedCostUsd = reported
  return out
}

/** The usage of a response or a chunk, wherever the server has put it. */
export const usageOf = (json: JsonRecord, choice: JsonRecord | undefined): Usage.Usage | undefined => {
  const plain = json["usage"]
  if (plain !== undefined && plain !== null) return decodeUsage(plain)
  const nested = asRecord(json["x_groq"])?.["usage"] ?? choice?.["usage"]
  return nested === undefined ? undefined : decodeUsage(nested)
}

/** Counts from the length of the texts, for a provider that counts nothing. */
export const estimate = (promptCharacters: number, answerCharacters: number): Usage.Usage => ({
  inputTokens: Usage.estimateTokens(promptCharacters),
  outputTokens: Usage.estimateTokens(answerCharacters),
  estimated: true
})
