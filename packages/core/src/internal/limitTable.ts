/**
 * The states of many keys under one shape of rules: several windows decided as one, all or none.
 *
 * States live in pages of 256 keys. A page goes when its last key goes, so that memory follows the number of
 * keys down as well as up.
 */
import { fixedWindow } from "./fixedWindow.ts"
import { gcra } from "./gcra.ts"
import type { Algorithm, AlgorithmName, Cells, Rule } from "./limitRule.ts"
import { slidingCounter } from "./slidingCounter.ts"
import { slidingLog } from "./slidingLog.ts"
import { tokenBucket } from "./tokenBucket.ts"

export const algorithms: { readonly [Name in AlgorithmName]: Algorithm } = {
  "token-bucket": tokenBucket,
  gcra,
  "sliding-log": slidingLog,
  "sliding-counter": slidingCounter,
  "fixed-window": fixedWindow
}

/** What was decided for one key and weight. */
export interface Decision {
  readonly allowed: boolean
  /** Milliseconds until it would fit; 0 when allowed, `Infinity` when it never will. */
  readonly waitMs: number
  /** What the tightest window has left. */
  readonly remaining: number
  /** The limit of the window that decided: the one that makes wait, or else the tightest. */
  readonly limit: number
  /** The store's time, in milliseconds: what `give` wants to know. */
  readonly at: number
}

/** The part of rules that the layout of states depends on. Rules of one shape can take each other's place. */
export const shapeOf = (rules: ReadonlyArray<Rule>): string =>
  rules.map((rule) => `${rule.algorithm}:${rule.windowMs}`).join(",")

/** One window of a key. */
export interface WindowState {
  readonly limit: number
  readonly windowMs: number
  readonly remaining: number
  /** Milliseconds until it is as if nobody had asked, if nobody asks. */
  readonly resetsInMs: number
}

/** The largest weight that can ever go at once. */
export const capacityOf = (rules: ReadonlyArray<Rule>): number =>
  rules.reduce((least, rule) => Math.min(least, rule.burst), Infinity)

const slots = 256

interface Page extends Cells {
  used: number
  /** Heads a list of free slots, each holding the next one in its first cell plus one; slots past `fresh` are free too. */
  free: number
  fresh: number
}

export class LimitTable {
  private readonly index = new Map<string, number>()
  private readonly pages: Array<Page | undefined> = []
  /** Numbers of pages with room, and of pages that are gone. */
  private readonly roomy: Array<number> = []
  private readonly vacant: Array<number> = []
  private readonly kinds: ReadonlyArray<Algorithm>
  private readonly width: number
  private readonly logged: boolean
  private sweeping: MapIterator<[string, number]> | undefined
  private readonly maxKeys: number
  /** The lowest limits this table was ever used with: a key is idle when it is so under them too. */
  private slowest: ReadonlyArray<Rule>

  constructor(rules: ReadonlyArray<Rule>, maxKeys: number) {
    this.kinds = rules.map((rule) => algorithms[rule.algorithm])
    this.width = this.kinds.reduce((sum, kind) => sum + kind.width, 0)
    this.logged = rules.some((rule) => rule.algorithm === "sliding-log")
    this.maxKeys = maxKeys
    this.slowest = rules
  }

  /** Tells of rules of the same shape that will be used. */
  register(rules: ReadonlyArray<Rule>): void {
    this.slowest = rules.map((rule, i) => (rule.limit < this.slowest[i]!.limit ? rule : this.slowest[i]!))
  }

  get size(): number {
    return this.index.size
  }

  /** Decides, and counts the weight if it fits in every window and `take` is set. */
  decide(rules: ReadonlyArray<Rule>, key: string, weight: number, now: number, take: boolean): Decision {
    let slot = this.index.get(key)
    if (slot === undefined) {
      if (!take || weight > capacityOf(rules)) return this.decideFresh(rules, weight, now)
      slot = this.claim(key)
    }
    const page = this.pages[Math.floor(slot / slots)]!
    const first = (slot % slots) * this.width
    let at = first
    let waitMs = 0
    let waiting: Rule | undefined
    let remaining = Infinity
    let tightest = rules[0]!
    for (let i = 0; i < rules.length; i++) {
      const rule = rules[i]!
      const kind = this.kinds[i]!
      const wait = weight > rule.burst ? Infinity : kind.wait(rule, page, at, now, weight)
      if (wait > waitMs) {
        waitMs = wait
        waiting = rule
      }
      const left = kind.remaining(rule, page, at, now)
      if (left < remaining) {
        remaining = left
        tightest = rule
      }
      at += kind.width
    }
    if (waiting !== undefined) return { allowed: false, waitMs, remaining, limit: waiting.limit, at: now }
    if (take) {
      at = first
      for (let i = 0; i < rules.length; i++) {
        this.kinds[i]!.take(rules[i]!, page, at, now, weight)
        at += this.kinds[i]!.width
      }
      remaining = Math.max(0, remaining - weight)
    }
    return { allowed: true, waitMs: 0, remaining, limit: tightest.limit, at: now }
  }

  /**
   * A lower bound of the milliseconds until `weight` has gone, which may be that of many waiters together and
   * more than a burst.
   */
  horizon(rules: ReadonlyArray<Rule>, key: string, weight: number, now: number): number {
    const slot = this.index.get(key)
    const page = slot === undefined ? undefined : this.pages[Math.floor(slot / slots)]!
    let at = slot === undefined ? 0 : (slot % slots) * this.width
    let most = 0
    for (let i = 0; i < rules.length; i++) {
      const rule = rules[i]!
      const bucket = rule.algorithm === "token-bucket" || rule.algorithm === "gcra"
      // A bucket's wait is a line, whatever the weight; a window's repeats with every limit that has gone.
      const rounds = bucket ? 0 : Math.max(0, Math.ceil(weight / rule.limit) - 1)
      const rest = weight - rounds * rule.limit
      const wait =
        page !== undefined
          ? this.kinds[i]!.wait(rule, page, at, now, rest)
          : bucket
            ? Math.max(0, (rest - rule.burst) * (rule.windowMs / rule.limit))
            : 0
      most = Math.max(most, rounds * rule.windowMs + wait)
      at += this.kinds[i]!.width
    }
    return most
  }

  /** What every window has left, in the order of the rules. */
  windows(rules: ReadonlyArray<Rule>, key: string, now: number): ReadonlyArray<WindowState> {
    const slot = this.index.get(key)
    const page = slot === undefined ? undefined : this.pages[Math.floor(slot / slots)]!
    let at = slot === undefined ? 0 : (slot % slots) * this.width
    return rules.map((rule, i) => {
      const kind = this.kinds[i]!
      const remaining = page === undefined ? rule.burst : kind.remaining(rule, page, at, now)
      const resetsInMs = page === undefined ? 0 : Math.max(0, kind.idleAt(rule, page, at) - now)
      at += kind.width
      return { limit: rule.limit, windowMs: rule.windowMs, remaining, resetsInMs }
    })
  }

  /** Takes back a grant. */
  give(rules: ReadonlyArray<Rule>, key: string, weight: number, now: number, takenAt: number): void {
    const slot = this.index.get(key)
    if (slot === undefined) return
    const page = this.pages[Math.floor(slot / slots)]!
    let at = (slot % slots) * this.width
    for (let i = 0; i < rules.length; i++) {
      this.kinds[i]!.give(rules[i]!, page, at, now, weight, takenAt)
      at += this.kinds[i]!.width
    }
  }

  /** Looks at up to `count` keys and forgets those that are idle. True when the round is complete. */
  sweep(now: number, count: number): boolean {
    this.sweeping ??= this.index.entries()
    for (let i = 0; i < count; i++) {
      const next = this.sweeping.next()
      if (next.done === true) {
        this.sweeping = undefined
        return true
      }
      const [key, slot] = next.value
      if (this.idle(slot, now)) this.forget(key)
    }
    return false
  }

  /** Forgets a key, whatever it has used. */
  forget(key: string): void {
    const slot = this.index.get(key)
    if (slot === undefined) return
    this.index.delete(key)
    const number = Math.floor(slot / slots)
    const page = this.pages[number]!
    const first = (slot % slots) * this.width
    if (page.used === slots) this.roomy.push(number)
    page.used--
    page.numbers.fill(0, first, first + this.width)
    if (this.logged) for (let cell = first; cell < first + this.width; cell++) page.logs[cell] = undefined
    page.numbers[first] = page.free
    page.free = (slot % slots) + 1
    if (page.used > 0) return
    this.pages[number] = undefined
    this.vacant.push(number)
    if (this.index.size === 0) {
      this.pages.length = 0
      this.roomy.length = 0
      this.vacant.length = 0
    }
  }

  private idle(slot: number, now: number): boolean {
    const page = this.pages[Math.floor(slot / slots)]!
    let at = (slot % slots) * this.width
    for (let i = 0; i < this.kinds.length; i++) {
      if (this.kinds[i]!.idleAt(this.slowest[i]!, page, at) > now) return false
      at += this.kinds[i]!.width
    }
    return true
  }

  private decideFresh(rules: ReadonlyArray<Rule>, weight: number, now: number): Decision {
    let tightest = rules[0]!
    for (const rule of rules) if (rule.burst < tightest.burst) tightest = rule
    const allowed = weight <= tightest.burst
    return { allowed, waitMs: allowed ? 0 : Infinity, remaining: tightest.burst, limit: tightest.limit, at: now }
  }

  private claim(key: string): number {
    if (this.index.size >= this.maxKeys) this.forget(this.index.keys().next().value!)
    let number = this.roomy[this.roomy.length - 1]
    while (number !== undefined && this.pages[number] === undefined) {
      this.roomy.pop()
      number = this.roomy[this.roomy.length - 1]
    }
    if (number === undefined) {
      number = this.vacant.pop() ?? this.pages.length
      this.pages[number] = { numbers: new Float64Array(slots * this.width), logs: [], used: 0, free: 0, fresh: 0 }
      this.roomy.push(number)
    }
    const page = this.pages[number]!
    let inPage = page.fresh
    if (page.free > 0) {
      inPage = page.free - 1
      page.free = page.numbers[inPage * this.width]!
      page.numbers[inPage * this.width] = 0
    } else {
      page.fresh++
    }
    page.used++
    if (page.used === slots) this.roomy.pop()
    const slot = number * slots + inPage
    this.index.set(key, slot)
    return slot
  }
}
