/**
 * The sliding counter: the window in eight parts, each with one count. The part that has partly left the
 * window still counts whole, so that no window admits more than the limit; the price is that a grant may count
 * for an eighth of the window too long.
 *
 * Cells: the number of the newest part, then the counts of nine parts as a ring.
 */
import { type Algorithm, type Cells, type Rule, slack } from "./limitRule.ts"

const parts = 8
const ring = parts + 1

/** The number of the part that holds `now`. */
const partOf = (rule: Rule, now: number): number => Math.floor(now / (rule.windowMs / parts) + 1e-9)

const sum = (rule: Rule, cells: Cells, at: number, now: number): number => {
  const newest = cells.numbers[at]!
  let total = 0
  for (let part = Math.max(newest - parts, partOf(rule, now) - parts, 0); part <= newest; part++) {
    total += cells.numbers[at + 1 + (part % ring)]!
  }
  return total
}

export const slidingCounter: Algorithm = {
  width: ring + 1,
  wait: (rule, cells, at, now, weight) => {
    let over = sum(rule, cells, at, now) + weight - rule.limit
    if (over <= slack) return 0
    const newest = cells.numbers[at]!
    let part = Math.max(newest - parts, partOf(rule, now) - parts, 0)
    for (; part < newest; part++) {
      over -= cells.numbers[at + 1 + (part % ring)]!
      if (over <= slack) break
    }
    return (part + ring) * (rule.windowMs / parts) - now
  },
  take: (rule, cells, at, now, weight) => {
    const current = partOf(rule, now)
    const newest = cells.numbers[at]!
    for (let part = Math.max(newest + 1, current - parts); part <= current; part++) {
      cells.numbers[at + 1 + (part % ring)] = 0
    }
    if (current > newest) cells.numbers[at] = current
    cells.numbers[at + 1 + (Math.max(current, newest) % ring)]! += weight
  },
  give: (rule, cells, at, _now, weight, takenAt) => {
    const part = partOf(rule, takenAt)
    const newest = cells.numbers[at]!
    if (part > newest || part < newest - parts) return
    const cell = at + 1 + (part % ring)
    cells.numbers[cell] = Math.max(0, cells.numbers[cell]! - weight)
  },
  remaining: (rule, cells, at, now) => Math.max(0, rule.limit - sum(rule, cells, at, now)),
  idleAt: (rule, cells, at) => (cells.numbers[at]! + ring) * (rule.windowMs / parts)
}
