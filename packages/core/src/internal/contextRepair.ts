/**
 * A smaller request, after a provider has said that one was too large.
 *
 * The provider's numbers set the scale: if it counted 9,000 tokens where the estimate says 8,000, every message is
 * taken to be an eighth larger than estimated. Without numbers a third of the prompt goes.
 */
import type { ProviderRequest } from "../domain/Request.ts"
import type { ContextLengthError } from "../errors/LLMError.ts"
import { besides, type Countable, ofMessage } from "./messageTokens.ts"
import { estimate, type Profile, profileOf } from "./tokenEstimate.ts"
import { run, trim } from "./trimming.ts"
import { outline } from "./turns.ts"

export interface RepairRules {
  readonly keepTurns: number
  readonly keepFirst: boolean
}

/** Left free below the provider's limit: estimates of single messages are not exact. */
const slack = 0.05
/** What is left of a prompt of which only is known that it is too large. */
const unknownShare = 2 / 3

const tokensOf = (countable: Countable, by: Profile): number => {
  let tokens = countable.fixed
  for (const text of countable.texts) tokens += estimate(text, by)
  return Math.ceil(tokens)
}

/**
 * The request with fewer messages, or, where none can be spared, a smaller `maxTokens`. `undefined` where neither
 * would help.
 */
export const repair = (
  request: ProviderRequest,
  error: Pick<ContextLengthError, "maxTokens" | "requestedTokens">,
  rules: RepairRules
): ProviderRequest | undefined => {
  const by = profileOf(request.model)
  const sizes = request.messages.map((message) => tokensOf(ofMessage(message), by))
  const around = tokensOf(besides(request), by)
  const estimated = sizes.reduce((total, size) => total + size, around)
  const { answer, prompt } = reading(error, estimated, request.maxTokens ?? 0)
  if (prompt !== undefined && error.maxTokens !== undefined && prompt + answer <= error.maxTokens) {
    const shorter = shorterAnswer(request, error.maxTokens, prompt)
    if (shorter !== undefined) return shorter
  }
  const scale = prompt === undefined ? 1 : prompt / estimated
  const room = error.maxTokens === undefined ? Infinity : ((error.maxTokens - answer) * (1 - slack)) / scale
  // An error that names no excess is still an error: what it refused was too large.
  const excess = prompt !== undefined && error.maxTokens !== undefined && prompt + answer > error.maxTokens
  const budget = Math.floor(Math.min(room, excess ? estimated - 1 : estimated * unknownShare))
  const kept = run(trim(outline(request.messages), { ...rules, budget: budget - around }), (index) => sizes[index]!)
  if (kept !== undefined && kept.length < request.messages.length) {
    return { ...request, messages: kept.map((index) => request.messages[index]!) }
  }
  return shorterAnswer(request, error.maxTokens, prompt)
}

/** What the provider counted: the prompt alone, or the prompt and the answer it was to leave room for. */
const reading = (
  error: Pick<ContextLengthError, "maxTokens" | "requestedTokens">,
  estimated: number,
  maxTokens: number
): { readonly prompt: number | undefined; readonly answer: number } => {
  const { requestedTokens } = error
  // An answer as large as the window cannot be had: what it may take is decided when the prompt is known.
  const answer = error.maxTokens === undefined ? maxTokens : Math.min(maxTokens, Math.floor(error.maxTokens / 2))
  if (requestedTokens === undefined || requestedTokens <= 0) return { prompt: undefined, answer }
  const together =
    requestedTokens > maxTokens &&
    Math.abs(requestedTokens - maxTokens - estimated) < Math.abs(requestedTokens - estimated)
  return { prompt: together ? requestedTokens - maxTokens : requestedTokens, answer }
}

const shorterAnswer = (
  request: ProviderRequest,
  limit: number | undefined,
  prompt: number | undefined
): ProviderRequest | undefined => {
  if (request.maxTokens === undefined || limit === undefined || prompt === undefined) return undefined
  const maxTokens = limit - prompt
  return maxTokens >= 1 && maxTokens < request.maxTokens ? { ...request, maxTokens } : undefined
}
