/**
 * How the end of a call counts for its circuit.
 */
import type * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import { disposition } from "../../errors/disposition.ts"
import { LLMError } from "../../errors/LLMError.ts"
import type { Outcome } from "../../internal/breaker.ts"

type Classify = ((error: unknown) => Outcome | undefined) | undefined

/** By tag, and cheaper than asking the schema of the whole union. */
const members = new Map<string, (typeof LLMError.members)[number]>(
  LLMError.members.map((member) => [member.identifier.slice(member.identifier.lastIndexOf("/") + 1), member])
)

const asLLMError = (error: unknown): LLMError | undefined => {
  if (typeof error !== "object" || error === null || !("_tag" in error) || typeof error._tag !== "string")
    return undefined
  const member = members.get(error._tag)
  return member !== undefined && error instanceof member ? (error as LLMError) : undefined
}

/** The outcome of a failed call: the caller's word, the table's for our errors, and failure for all others. */
export const judge = (error: unknown, classify: Classify): Outcome => {
  if (classify !== undefined) {
    try {
      const outcome = classify(error)
      if (outcome !== undefined) return outcome
    } catch {
      // A classifier with a bug must neither lose the call's own error nor keep a probe's place.
    }
  }
  const known = asLLMError(error)
  return known === undefined ? "failure" : disposition(known).breaker
}

/** An error decides; without one an interruption is ignored, and a defect is a failure. */
export const judgeCause = (cause: Cause.Cause<unknown>, classify: Classify): Outcome => {
  let interrupted = false
  for (const reason of cause.reasons) {
    if (reason._tag === "Fail") return judge(reason.error, classify)
    if (reason._tag === "Interrupt") interrupted = true
  }
  return interrupted ? "ignored" : "failure"
}

/** Milliseconds a provider's error asks to be left alone; 0 for none. */
export const hintOf = (cause: Cause.Cause<unknown>): number => {
  for (const reason of cause.reasons) {
    if (reason._tag !== "Fail") continue
    const hint = asLLMError(reason.error)?.retryAfter
    return hint === undefined ? 0 : Duration.toMillis(hint)
  }
  return 0
}
