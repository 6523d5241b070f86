/**
 * The generic cell rate algorithm (ITU-T I.371): grants are spaced evenly, window / limit apart, with at most
 * `burst` of them together.
 *
 * Cell: the theoretical arrival time, at which the next grant would be exactly on schedule.
 */
import { type Algorithm, slack } from "./limitRule.ts"

export const gcra: Algorithm = {
  width: 1,
  wait: (rule, cells, at, now, weight) => {
    const spacing = rule.windowMs / rule.limit
    const early = Math.max(cells.numbers[at]!, now) + (weight - rule.burst) * spacing - now
    return early <= slack * spacing ? 0 : early
  },
  take: (rule, cells, at, now, weight) => {
    cells.numbers[at] = Math.max(cells.numbers[at]!, now) + weight * (rule.windowMs / rule.limit)
  },
  give: (rule, cells, at, now, weight, takenAt) => {
    // By then even the longest schedule is over: what is on it now is from others.
    if (now - takenAt >= rule.burst * (rule.windowMs / rule.limit)) return
    cells.numbers[at] = Math.max(0, cells.numbers[at]! - weight * (rule.windowMs / rule.limit))
  },
  remaining: (rule, cells, at, now) =>
    Math.max(0, rule.burst - Math.max(0, cells.numbers[at]! - now) * (rule.limit / rule.windowMs)),
  idleAt: (_rule, cells, at) => cells.numbers[at]!
}
