/**
 * Which messages of a conversation stay when not all of them fit.
 *
 * Always kept: the system messages, the last user's message, what came last, and the turns the options name. The rest
 * is filled back from the newest and ends at the first that does not fit, so that no hole comes between.
 *
 * The rules are a generator that asks for the size of one message after another, in the order it needs them, so that
 * messages that are dropped need not be counted.
 */
import type { Indices, Outline } from "./turns.ts"

export interface TrimRules {
  /** Tokens that the messages may have together. */
  readonly budget: number
  /** Turns at the end that are kept whole, but for the oldest rounds of the last one. */
  readonly keepTurns: number
  /** Keep the first turn as well, if it fits, so that the middle is dropped. */
  readonly keepFirst: boolean
  /** Keep what must stay, and nothing else. */
  readonly onlyRequired?: boolean
}

/** A message to be measured; above `limit` any number above it will do. */
export interface Question {
  readonly index: number
  readonly limit: number
}

/** The messages that stay, in order; `undefined` if not even those that must can. */
export type Trimming = Generator<Question, Indices | undefined, number>

export const trim = function* (plan: Outline, rules: TrimRules): Trimming {
  let left = rules.budget
  const kept: Array<number> = []
  /** Takes all of the messages or none of them. */
  const take = function* (indices: Indices): Generator<Question, boolean, number> {
    let rest = left
    for (const index of indices) {
      rest -= yield { index, limit: rest }
      if (rest < 0) return false
    }
    left = rest
    kept.push(...indices)
    return true
  }
  const result = (): Indices => kept.sort((a, b) => a - b)

  const { system, turns } = plan
  if (!(yield* take(system))) return undefined
  const last = turns[turns.length - 1]
  if (last === undefined) return result()

  const newest = last.rounds[last.rounds.length - 1] ?? []
  if (!(yield* take([...last.head, ...newest]))) return undefined
  const required = Math.max(0, turns.length - Math.max(1, rules.keepTurns))
  for (let i = turns.length - 2; i >= required; i--) {
    if (!(yield* take(wholeOf(turns[i]!)))) return undefined
  }
  if (rules.onlyRequired === true) return result()
  for (let i = last.rounds.length - 2; i >= 0; i--) {
    if (!(yield* take(last.rounds[i]!))) return result()
  }
  let oldest = 0
  if (rules.keepFirst && required > 0 && (yield* take(wholeOf(turns[0]!)))) oldest = 1
  for (let i = required - 1; i >= oldest; i--) {
    if (!(yield* take(wholeOf(turns[i]!)))) break
  }
  return result()
}

const wholeOf = (turn: Outline["turns"][number]): Indices => [...turn.head, ...turn.rounds.flat()]

/** Runs a trimming over sizes that are at hand. */
export const run = (trimming: Trimming, sizeOf: (index: number) => number): Indices | undefined => {
  let step = trimming.next()
  while (step.done !== true) step = trimming.next(sizeOf(step.value.index))
  return step.value
}
