/**
 * The sliding log: every grant of the last window is remembered, so that the limit is exact over every window.
 * Its memory is two numbers for each grant (for each moment, if several come at once).
 *
 * Cell: the sum of the log.
 */
import { type Algorithm, type Cells, type Log, type Rule, slack } from "./limitRule.ts"

/** Forgets what has left the window. */
const trim = (rule: Rule, cells: Cells, at: number, now: number): Log | undefined => {
  const log = cells.logs[at]
  if (log === undefined) return undefined
  const items = log.items
  while (log.head < items.length && items[log.head]! + rule.windowMs <= now + slack) {
    cells.numbers[at]! -= items[log.head + 1]!
    log.head += 2
  }
  if (log.head === items.length) {
    cells.logs[at] = undefined
    cells.numbers[at] = 0
    return undefined
  }
  if (log.head > 16 && log.head * 2 > items.length) {
    log.items = items.slice(log.head)
    log.head = 0
  }
  return log
}

export const slidingLog: Algorithm = {
  width: 1,
  wait: (rule, cells, at, now, weight) => {
    const log = trim(rule, cells, at, now)
    let over = cells.numbers[at]! + weight - rule.limit
    if (log === undefined || over <= slack) return 0
    let index = log.head
    for (; index < log.items.length - 2; index += 2) {
      over -= log.items[index + 1]!
      if (over <= slack) break
    }
    return log.items[index]! + rule.windowMs - now
  },
  take: (rule, cells, at, now, weight) => {
    const log = trim(rule, cells, at, now)
    cells.numbers[at]! += weight
    if (log === undefined) {
      cells.logs[at] = { items: [now, weight], head: 0 }
    } else if (log.items[log.items.length - 2] === now) {
      log.items[log.items.length - 1]! += weight
    } else {
      log.items.push(now, weight)
    }
  },
  give: (rule, cells, at, now, weight, takenAt) => {
    const log = trim(rule, cells, at, now)
    if (log === undefined) return
    for (let index = log.items.length - 2; index >= log.head; index -= 2) {
      if (log.items[index] !== takenAt) continue
      const back = Math.min(weight, log.items[index + 1]!)
      log.items[index + 1]! -= back
      cells.numbers[at]! -= back
      return
    }
  },
  remaining: (rule, cells, at, now) => {
    trim(rule, cells, at, now)
    return Math.max(0, rule.limit - cells.numbers[at]!)
  },
  idleAt: (rule, cells, at) => {
    const log = cells.logs[at]
    return log === undefined ? -Infinity : log.items[log.items.length - 2]! + rule.windowMs
  }
}
