/**
 * What an incident is probably about: named rules of thumb, each with the numbers it rests on. They are hints to a
 * person, in the order of how much they explain.
 */
import type { Alert } from "./evaluator.ts"
import type { Tally, TargetTally } from "./tally.ts"

export type CauseName =
  | "credentials"
  | "account-exhausted"
  | "rate-limits"
  | "network"
  | "one-target"
  | "all-targets"
  | "latency"
  | "stores-lost"
  | "budget"
  | "own-limits"
  | "unknown"

export interface Cause {
  readonly name: CauseName
  /** 0 to 1: how much of what is seen it explains. */
  readonly score: number
  readonly sentence: string
  readonly evidence: ReadonlyArray<string>
}

const percent = (share: number): string => `${Math.round(share * 100)} %`

const attemptsOf = ({ failure, success }: TargetTally): number => failure + success
const ratioOf = (tally: TargetTally): number => (attemptsOf(tally) === 0 ? 0 : tally.failure / attemptsOf(tally))
const meanOf = ({ success, tookMs }: TargetTally): number => (success === 0 ? 0 : tookMs / success)

/** Errors of attempts at all targets; what was never sent is left out. */
const providerErrors = (tally: Tally): { readonly counts: ReadonlyMap<string, number>; readonly sum: number } => {
  const counts = new Map<string, number>()
  for (const { errors } of tally.targets.values()) {
    for (const [tag, count] of Object.entries(errors)) {
      if (tag !== "CircuitOpenError" && tag !== "BulkheadFullError") counts.set(tag, (counts.get(tag) ?? 0) + count)
    }
  }
  return { counts, sum: [...counts.values()].reduce((a, b) => a + b, 0) }
}

const byError: ReadonlyArray<{ name: CauseName; tags: ReadonlyArray<string>; sentence: string }> = [
  { name: "credentials", tags: ["AuthenticationError"], sentence: "A provider does not accept the key." },
  {
    name: "account-exhausted",
    tags: ["QuotaExhaustedError"],
    sentence: "An account with a provider has nothing left."
  },
  { name: "rate-limits", tags: ["RateLimitError"], sentence: "A provider refuses for its rate limits." },
  { name: "network", tags: ["TransportError"], sentence: "Connections to a provider fail." }
]

const errorCauses = (during: Tally): ReadonlyArray<Cause> => {
  const { counts, sum } = providerErrors(during)
  if (sum === 0) return []
  return byError.flatMap(({ name, sentence, tags }) => {
    const count = tags.reduce((all, tag) => all + (counts.get(tag) ?? 0), 0)
    const share = count / sum
    if (share < 0.5) return []
    const where = [...during.targets].filter(([, { errors }]) => tags.some((tag) => (errors[tag] ?? 0) > 0))
    return {
      name,
      sentence,
      score: 0.9 * share,
      evidence: [
        `${count} of ${sum} failed attempts are ${tags.join(", ")}`,
        `at ${where.map(([target]) => target).join(", ")}`,
        ...(name === "rate-limits" && during.policies.pauses > 0
          ? [`targets were paused ${during.policies.pauses} times`]
          : [])
      ]
    }
  })
}

/** Fewer attempts of a target prove nothing. */
const enough = 5

const targetCauses = (during: Tally): ReadonlyArray<Cause> => {
  const judged = [...during.targets].filter(([, tally]) => attemptsOf(tally) >= enough)
  const failing = judged.filter(([, tally]) => ratioOf(tally) >= 0.3)
  const well = judged.filter(([, tally]) => ratioOf(tally) < 0.1)
  const said = ([target, tally]: readonly [string, TargetTally]): string =>
    `${target}: ${tally.failure} of ${attemptsOf(tally)} attempts failed (${percent(ratioOf(tally))})`
  const evidence = [...failing, ...well].map(said)
  if (failing.length === 1 && well.length > 0) {
    const [[target, tally]] = failing as [[string, TargetTally]]
    return [
      {
        name: "one-target",
        score: 0.5 + 0.3 * ratioOf(tally),
        sentence: `${target} fails while others do not.`,
        evidence
      }
    ]
  }
  if (failing.length === 0 || well.length > 0) return []
  const lowest = Math.min(...failing.map(([, tally]) => ratioOf(tally)))
  const sentence =
    failing.length === 1 ? `${failing[0]![0]} fails, and there is no other to compare with.` : "All targets fail."
  return [{ name: "all-targets", score: 0.4 + 0.3 * lowest, sentence, evidence }]
}

const latencyCause = (before: Tally, during: Tally): ReadonlyArray<Cause> => {
  const { counts, sum } = providerErrors(during)
  const timeouts = (counts.get("RequestTimeoutError") ?? 0) + (counts.get("DeadlineExceededError") ?? 0)
  const slower = [...during.targets].flatMap(([target, tally]) => {
    const old = before.targets.get(target)
    if (old === undefined || old.success < enough || tally.success < enough) return []
    const factor = meanOf(tally) / Math.max(1, meanOf(old))
    return factor < 2 ? [] : [`${target}: ${Math.round(meanOf(old))} ms before, ${Math.round(meanOf(tally))} ms now`]
  })
  if (sum > 0 && timeouts / sum >= 0.5) {
    return [
      {
        name: "latency",
        score: 0.85 * (timeouts / sum),
        sentence: "Providers answer too slowly, or not at all.",
        evidence: [`${timeouts} of ${sum} failed attempts are timeouts`, ...slower]
      }
    ]
  }
  if (slower.length === 0) return []
  const quiet = during.calls === 0 ? 1 : 1 - during.failure / during.calls
  return [
    { name: "latency", score: 0.7 * quiet, sentence: "Answers take longer, and few calls fail.", evidence: slower }
  ]
}

const ownCauses = (during: Tally, alerts: ReadonlyArray<Alert>): ReadonlyArray<Cause> => {
  const { policies } = during
  const stores = alerts.filter(({ kind }) => kind === "store-lost").map(({ key }) => key)
  const budgets = alerts.filter(({ kind }) => kind === "budget").map(({ summary }) => summary)
  const failures = Math.max(1, during.failure)
  const overBudget = (during.errors["BudgetExceededError"] ?? 0) / failures
  const own = policies.bulkheadRejections + policies.limitRejections
  return [
    ...(stores.length > 0 || policies.storesLost > 0
      ? [
          {
            name: "stores-lost" as const,
            score: stores.length > 0 ? 0.75 : 0.35,
            sentence: "Stores of policy state do not answer.",
            evidence: [
              `${policies.storesLost} failures of stores`,
              ...(stores.length > 0 ? [`lost: ${stores.join(", ")}`] : [])
            ]
          }
        ]
      : []),
    ...(budgets.length > 0 || policies.budgetRejections > 0
      ? [
          {
            name: "budget" as const,
            score: Math.max(budgets.length > 0 ? 0.45 : 0, 0.95 * Math.min(1, overBudget)),
            sentence: "Budgets are spent, or nearly.",
            evidence: [`${policies.budgetRejections} calls were turned away for a budget`, ...budgets]
          }
        ]
      : []),
    ...(own > 0
      ? [
          {
            name: "own-limits" as const,
            score: 0.8 * Math.min(1, own / Math.max(failures, own)) * (during.failure > 0 ? 1 : 0.5),
            sentence: "This side's own limits turn calls away.",
            evidence: [
              `${policies.bulkheadRejections} by bulkheads, ${policies.limitRejections} by limiters and quotas`
            ]
          }
        ]
      : [])
  ]
}

const unknown: Cause = {
  name: "unknown",
  score: 0,
  sentence: "No rule of thumb explains it.",
  evidence: []
}

/** The causes that come into question, the likeliest first; never empty. */
export const causesOf = (before: Tally, during: Tally, alerts: ReadonlyArray<Alert>): ReadonlyArray<Cause> => {
  const found = [
    ...errorCauses(during),
    ...targetCauses(during),
    ...latencyCause(before, during),
    ...ownCauses(during, alerts)
  ]
  return found.length === 0 ? [unknown] : found.sort((a, b) => b.score - a.score)
}
