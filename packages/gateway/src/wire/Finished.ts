/** What the ends of whole and streamed answers say alike. */
import type { Call } from "@breakwater/core"

/** The provider's own name of a target's model. */
export const modelOf = (target: string): string => target.slice(target.indexOf("/") + 1)

/** Text that may stand in a header. */
export const headerText = (value: string): string => value.replace(/[^\x21-\x7e]/g, "?").slice(0, 500)

/** The failed attempts, each with its error's tag and nothing of the provider's text. */
export const failuresOf = (attempts: ReadonlyArray<Call.AttemptRecord>): ReadonlyArray<string> =>
  attempts
    .filter((attempt) => attempt.error !== undefined)
    .map((attempt) => headerText(`${attempt.target.replace(/[,=]/g, "?")}=${attempt.error!._tag}`))

/** Nano-dollars as dollars. */
export const dollars = (nanos: bigint): string => {
  if (nanos < 0n) return `-${dollars(-nanos)}`
  const text = nanos.toString().padStart(10, "0")
  return `${text.slice(0, -9)}.${text.slice(-9)}`.replace(/\.?0+$/, "") || "0"
}

/** What a call cost, in dollars, where it is known. */
export const costOf = (cost: Call.CallCost | undefined): string | undefined =>
  cost === undefined || cost.unknownAttempts > 0 ? undefined : dollars(cost.nanoDollars)

/** What an answer says of money: what it cost and saved in dollars, and how the budgets stand that it drew on. */
export const moneyOf = (
  answer: Pick<Call.LLMResponse, "cost" | "savedNanos" | "remainingNanos" | "softLimits">
): {
  readonly cost?: string
  readonly saved?: string
  readonly budgetRemaining?: string
  readonly budgetWarning?: string
} => {
  const cost = costOf(answer.cost)
  const { remainingNanos, savedNanos, softLimits = [] } = answer
  return {
    ...(cost === undefined ? {} : { cost }),
    ...(savedNanos === undefined ? {} : { saved: dollars(savedNanos) }),
    ...(remainingNanos === undefined ? {} : { budgetRemaining: dollars(remainingNanos) }),
    ...(softLimits.length === 0 ? {} : { budgetWarning: softLimits.join(", ") })
  }
}

/** What a streamed answer says of itself in its last chunk, since its headers are long gone. */
export const provenanceOf = (part: Call.CompletePart): Record<string, unknown> => {
  const failures = failuresOf(part.attempts)
  return {
    target: part.target,
    attempts: part.attempts.length,
    ...(failures.length === 0 ? {} : { failures }),
    ...(part.cached === undefined ? {} : { cache: part.cached.source }),
    ...moneyOf(part)
  }
}
