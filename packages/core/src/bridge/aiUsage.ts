/**
 * Usage and finish reasons between `effect/ai` and this library.
 */
import type * as Response from "effect/ai/Response"
import type { FinishReason } from "../domain/Response.ts"
import { estimateTokens, type Usage } from "../domain/Usage.ts"

const count = (value: number | undefined): number | undefined =>
  value !== undefined && Number.isSafeInteger(value) && value >= 0 ? value : undefined

const sum = (...values: ReadonlyArray<number | undefined>): number | undefined => {
  let total: number | undefined
  for (const value of values) {
    if (value !== undefined) total = (total ?? 0) + value
  }
  return total
}

/** Characters of the prompt and of the answer, for a usage that has to be estimated. */
export interface Characters {
  readonly input: number
  readonly output: number
}

/** Totals that a provider left out are estimated from the text, and the usage says so. */
export const fromAiUsage = (usage: Response.Usage | undefined, characters: Characters): Usage => {
  const cached = count(usage?.inputTokens.cacheRead)
  const written = count(usage?.inputTokens.cacheWrite)
  const reasoning = count(usage?.outputTokens.reasoning)
  const input = count(usage?.inputTokens.total) ?? sum(count(usage?.inputTokens.uncached), cached, written)
  const output = count(usage?.outputTokens.total) ?? sum(count(usage?.outputTokens.text), reasoning)
  return {
    inputTokens: input ?? estimateTokens(characters.input),
    outputTokens: output ?? estimateTokens(characters.output),
    ...(cached === undefined ? {} : { cachedInputTokens: cached }),
    ...(written === undefined ? {} : { cacheWriteTokens: written }),
    ...(reasoning === undefined ? {} : { reasoningTokens: reasoning }),
    ...(input === undefined || output === undefined ? { estimated: true } : {})
  }
}

/** A part that is not known counts as none: `uncached` and `text` are what is left of the totals. */
export const toAiUsage = (usage: Usage): typeof Response.Usage.Encoded => ({
  inputTokens: {
    total: usage.inputTokens,
    uncached: Math.max(0, usage.inputTokens - (usage.cachedInputTokens ?? 0) - (usage.cacheWriteTokens ?? 0)),
    ...(usage.cachedInputTokens === undefined ? {} : { cacheRead: usage.cachedInputTokens }),
    ...(usage.cacheWriteTokens === undefined ? {} : { cacheWrite: usage.cacheWriteTokens })
  },
  outputTokens: {
    total: usage.outputTokens,
    text: Math.max(0, usage.outputTokens - (usage.reasoningTokens ?? 0)),
    ...(usage.reasoningTokens === undefined ? {} : { reasoning: usage.reasoningTokens })
  }
})

/** `undefined` for the reason `error`: such an answer is a failure. */
export const fromAiFinishReason = (reason: Response.FinishReason): FinishReason | undefined =>
  reason === "error" ? undefined : reason === "unknown" ? "other" : reason
