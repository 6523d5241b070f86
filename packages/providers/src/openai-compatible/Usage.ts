/**
 * Token counts on the wire of OpenAI and compatibles. The one place that knows what their numbers include:
 * `prompt_tokens` includes cached ones; `completion_tokens` includes reasoning, except at servers whose total says
 * otherwise.
 */
import { Usage } from "@breakwater/core"
import { asCount, asRecord, type JsonRecord } from "../internal/Json.ts"

type MutableUsage = { -readonly [K in keyof Usage.Usage]: Usage.Usage[K] }

const cost = (usage: JsonRecord): number | undefined => {
  const value = usage["cost"] ?? usage["estimated_cost"]
  return typeof value === "number" && value >= 0 && Number.isFinite(value) ? value : undefined
}

const put = (
  out: MutableUsage,
  key: "cachedInputTokens" | "cacheWriteTokens" | "reasoningTokens" | "audioInputTokens" | "audioOutputTokens",
  value: number | undefined
): void => {
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
  put(out, "audioInputTokens", asCount(promptDetails?.["audio_tokens"]))
  put(out, "audioOutputTokens", asCount(completionDetails?.["audio_tokens"]))
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
