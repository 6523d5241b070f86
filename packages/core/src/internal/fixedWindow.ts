/**
 * The fixed window: a window opens with the first grant and takes `limit` until it ends. Cheap, and what most
 * providers do; two windows side by side can admit twice the limit around their border.
 *
 * Cells: when the window opened, and what it has taken.
 */
import { type Algorithm, type Cells, type Rule, slack } from "./limitRule.ts"

const used = (rule: Rule, cells: Cells, at: number, now: number): number =>
  now >= cells.numbers[at]! + rule.windowMs - slack ? 0 : cells.numbers[at + 1]!

export const fixedWindow: Algorithm = {
  width: 2,
  wait: (rule, cells, at, now, weight) => {
    if (used(rule, cells, at, now) + weight <= rule.limit + slack) return 0
    return cells.numbers[at]! + rule.windowMs - now
  },
  take: (rule, cells, at, now, weight) => {
    const before = used(rule, cells, at, now)
    if (before === 0) cells.numbers[at] = now
    cells.numbers[at + 1] = before + weight
  },
  give: (rule, cells, at, now, weight, takenAt) => {
    if (takenAt < cells.numbers[at]!) return
    cells.numbers[at + 1] = Math.max(0, used(rule, cells, at, now) - weight)
  },
  remaining: (rule, cells, at, now) => Math.max(0, rule.limit - used(rule, cells, at, now)),
  idleAt: (rule, cells, at) => (cells.numbers[at + 1] === 0 ? -Infinity : cells.numbers[at]! + rule.windowMs)
}
