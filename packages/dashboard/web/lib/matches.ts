/** Whether a request has all the words of a filter somewhere in what can be seen of it: pure. */
import type { RecentRequest } from "../api/types.ts"
import { errorName } from "./format.ts"

const seen = ({ attempts, context, error, operation, outcome, requestId, target }: RecentRequest): string =>
  [
    requestId,
    operation,
    outcome,
    target,
    context.tenant,
    context.user,
    context.project,
    context.key,
    ...(context.tags ?? []),
    ...[error, ...attempts.map((attempt) => attempt.error)].flatMap((each) =>
      each === undefined ? [] : [each._tag, errorName(each._tag)]
    ),
    ...attempts.map((attempt) => attempt.target)
  ]
    .filter((each) => each !== undefined)
    .join("\n")
    .toLowerCase()

export const matches = (request: RecentRequest, filter: string): boolean => {
  const words = filter
    .toLowerCase()
    .split(/\s+/)
    .filter((word) => word !== "")
  if (words.length === 0) return true
  const text = seen(request)
  return words.every((word) => text.includes(word))
}
