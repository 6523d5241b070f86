/**
 * The token bucket: `burst` tokens that refill at `limit` a window. In any time t it admits at most
 * burst + t × limit / window.
 *
 * Cells: what is used of the burst, and as of when. Counting what is used, and not what is left, lets the
 * limit change in mid-flight without touching the state.
 */
import { type Algorithm, type Cells, type Rule, slack } from "./limitRule.ts"

const used = (rule: Rule, cells: Cells, at: number, now: number): number => {
  const before = cells.numbers[at]!
  if (before === 0) return 0
  const left = before - (now - cells.numbers[at + 1]!) * (rule.limit / rule.windowMs)
  return left > 0 ? left : 0
}

export const tokenBucket: Algorithm = {
  width: 2,
  wait: (rule, cells, at, now, weight) => {
    const over = used(rule, cells, at, now) + weight - rule.burst
    return over <= slack ? 0 : over * (rule.windowMs / rule.limit)
  },
  take: (rule, cells, at, now, weight) => {
    cells.numbers[at] = used(rule, cells, at, now) + weight
    cells.numbers[at + 1] = now
  },
  give: (rule, cells, at, now, weight, takenAt) => {
    // By then even a full bucket has run out: what is in it now is from others.
    if (now - takenAt >= rule.burst * (rule.windowMs / rule.limit)) return
    cells.numbers[at] = Math.max(0, used(rule, cells, at, now) - weight)
    cells.numbers[at + 1] = now
  },
  remaining: (rule, cells, at, now) => Math.max(0, rule.burst - used(rule, cells, at, now)),
  idleAt: (rule, cells, at) => {
    const before = cells.numbers[at]!
    return before === 0 ? -Infinity : cells.numbers[at + 1]! + before * (rule.windowMs / rule.limit)
  }
}
