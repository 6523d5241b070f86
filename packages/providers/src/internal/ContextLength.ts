/**
 * Recognises that a prompt did not fit the model's window, in the words of every provider, and reads the numbers.
 */
import type { Response, Usage } from "@breakwater/core"
import { asCount, asRecord } from "./Json.ts"

/** The numbers a provider named. */
export interface Overflow {
  readonly maxTokens?: number
  readonly requestedTokens?: number
}

/** Texts that speak of tokens or of length and mean something else. */
const lookAlike =
  /tokens? per (?:min|hour|day|second)|tokens_per|per[- ]minute|rate.?limit|throttl|string_above_max_length|string too long|\bTPM\b|quota/i

const codes = new Set([
  "context_length_exceeded",
  "exceed_context_size_error",
  "model_context_window_exceeded",
  "request_too_large",
  "context_window_exceeded"
])

const N = String.raw`(\d[\d,]{0,14})`

type Reading = readonly [pattern: RegExp, max: number, requested: number | ReadonlyArray<number>]

/** Pattern, the group of the maximum, the group (or groups, to be added) of what was requested; 0 for none. */
const readings: ReadonlyArray<Reading> = [
  [new RegExp(`prompt is too long: ${N} tokens? > ${N} maximum`, "i"), 2, 1],
  [new RegExp(`input length and .{0,3}max_tokens.{0,3} exceed context limit: ${N} \\+ ${N} > ${N}`, "i"), 3, [1, 2]],
  [new RegExp(`input token count \\(?${N}\\)? exceeds the maximum number of tokens allowed \\(?${N}\\)?`, "i"), 2, 1],
  [new RegExp(`request \\(${N} tokens\\) exceeds the available context size \\(${N} tokens\\)`, "i"), 2, 1],
  [
    new RegExp(
      `maximum context length (?:is|of) ${N}(?: tokens)?[\\s\\S]{0,120}?(?:requested(?: about)?|resulted in|has) ${N}`,
      "i"
    ),
    1,
    2
  ],
  [new RegExp(`maximum context length (?:is|of) ${N}`, "i"), 1, 0],
  [new RegExp(`exceeds? (?:the )?(?:model'?s? )?maximum context length(?: of)? \\(?${N}`, "i"), 1, 0],
  [new RegExp(`cannot truncate prompt with n_keep \\(${N}\\) >= n_ctx \\(${N}\\)`, "i"), 2, 1],
  [new RegExp(`inputs.{0,5} tokens \\+ .{0,5}max_new_tokens.{0,5} must be <= ${N}\\. Given: ${N}`, "i"), 1, 2],
  [/maximum context length/i, 0, 0],
  [/exceeds? (?:the )?(?:model'?s? )?(?:available )?context (?:window|length|size|limit)/i, 0, 0],
  [/input (?:token count|length) exceeds the (?:maximum|context)/i, 0, 0],
  [/prompt is (?:too long|longer than the context length)/i, 0, 0],
  [/number of tokens to keep from the initial prompt is greater than the context length/i, 0, 0],
  [/input length and .{0,3}max_tokens.{0,3} exceed context limit/i, 0, 0],
  [/context[_ ]length[_ ]exceeded/i, 0, 0],
  [/please reduce the length of the messages/i, 0, 0]
]

const numberOf = (text: string | undefined): number | undefined =>
  text === undefined ? undefined : asCount(Number(text.replaceAll(",", "")))

const overflow = (maxTokens: number | undefined, requestedTokens: number | undefined): Overflow => ({
  ...(maxTokens === undefined ? {} : { maxTokens }),
  ...(requestedTokens === undefined ? {} : { requestedTokens })
})

const fromText = (text: string): Overflow | undefined => {
  for (const [pattern, max, requested] of readings) {
    const match = pattern.exec(text)
    if (match === null) continue
    const groups = typeof requested === "number" ? (requested === 0 ? [] : [requested]) : requested
    let sum: number | undefined
    for (const group of groups) {
      const value = numberOf(match[group])
      if (value !== undefined) sum = (sum ?? 0) + value
    }
    return overflow(max === 0 ? undefined : numberOf(match[max]), sum)
  }
  return undefined
}

export interface OverflowInput {
  /** The message of the failure. */
  readonly message: string
  /** The provider's code or type of the failure. */
  readonly codes?: ReadonlyArray<string | undefined>
  /** The error object, for the numbers some servers put into it (`n_ctx`, `n_prompt_tokens`). */
  readonly error?: unknown
}

/** The overflow a failure speaks of, or `undefined` if it speaks of something else. */
export const contextOverflow = (input: OverflowInput): Overflow | undefined => {
  const text = input.message.length > 4000 ? input.message.slice(0, 4000) : input.message
  const byCode = input.codes?.some((code) => code !== undefined && codes.has(code)) ?? false
  if (!byCode && (lookAlike.test(text) || (input.codes?.includes("string_above_max_length") ?? false))) return undefined
  const read = fromText(text)
  if (read === undefined && !byCode) return undefined
  const fields = asRecord(input.error)
  return overflow(
    read?.maxTokens ?? asCount(fields?.["n_ctx"]),
    read?.requestedTokens ?? asCount(fields?.["n_prompt_tokens"])
  )
}

/**
 * The overflow a server kept quiet about: a prompt counted above the window, or an answer cut at its very
 * beginning. `undefined` where the numbers do not allow the conclusion.
 */
export const silentOverflow = (
  usage: Usage.Usage,
  finishReason: Response.FinishReason,
  hasContent: boolean,
  contextWindow: number | undefined
): Overflow | undefined => {
  if (usage.estimated === true) return undefined
  if (contextWindow !== undefined && usage.inputTokens > contextWindow) {
    return { maxTokens: contextWindow, requestedTokens: usage.inputTokens }
  }
  if (finishReason === "length" && !hasContent && usage.outputTokens === 0 && usage.inputTokens > 0) {
    return overflow(contextWindow, usage.inputTokens)
  }
  return undefined
}
