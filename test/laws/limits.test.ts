/**
 * What every limit algorithm promises, over random arrivals, weights and refunds.
 */
import { describe, expect, it } from "@effect/vitest"
import type { Rule } from "../../packages/core/src/internal/limitRule.ts"
import { algorithms, LimitTable } from "../../packages/core/src/internal/limitTable.ts"
import { WaitQueue } from "../../packages/core/src/internal/waitQueue.ts"

/** A small generator of its own, so that a failure names a seed that repeats it. */
const randomOf = (seed: number) => () => {
  seed = (seed * 1_664_525 + 1_013_904_223) % 4_294_967_296
  return seed / 4_294_967_296
}

interface Grant {
  readonly at: number
  readonly weight: number
}

const ruleOf = (algorithm: Rule["algorithm"], random: () => number): Rule => {
  const limit = 1 + Math.floor(random() * 20)
  const bucket = algorithm === "token-bucket" || algorithm === "gcra"
  return {
    algorithm,
    limit,
    windowMs: 100 + Math.floor(random() * 1_000),
    burst: bucket ? 1 + Math.floor(random() * 20) : limit
  }
}

/** A table that has granted the same. */
const replayed = (rules: ReadonlyArray<Rule>, grants: ReadonlyArray<Grant>): LimitTable => {
  const table = new LimitTable(rules, 1_000)
  for (const { at, weight } of grants) table.decide(rules, "key", weight, at, true)
  return table
}

/** Arrivals in bursts and pauses; keeps what was granted. */
const run = (rules: ReadonlyArray<Rule>, random: () => number, steps = 400): ReadonlyArray<Grant> => {
  const table = new LimitTable(rules, 1_000)
  const grants: Array<Grant> = []
  let now = random() * 5_000
  for (let step = 0; step < steps; step++) {
    if (random() < 0.6) now += random() * rules[0]!.windowMs * (random() < 0.1 ? 3 : 0.2)
    const weight = random() < 0.8 ? 1 : 1 + Math.floor(random() * 5)
    const decision = table.decide(rules, "key", weight, now, true)
    if (decision.allowed) grants.push({ at: now, weight })
    else if (decision.waitMs !== Infinity) {
      expect(decision.waitMs).toBeGreaterThan(0)
      // The wait is enough, and not more than enough. A table's time only goes forward, so others look ahead.
      if (random() < 0.2) {
        const early = now + decision.waitMs - Math.max(0.01, decision.waitMs * 1e-6)
        if (early > now) expect(replayed(rules, grants).decide(rules, "key", weight, early, false).allowed).toBe(false)
        const late = now + decision.waitMs
        expect(replayed(rules, grants).decide(rules, "key", weight, late, false).allowed).toBe(true)
      }
    }
  }
  return grants
}

/** The largest weight granted in any half-open window of this length that begins with a grant. */
const mostIn = (grants: ReadonlyArray<Grant>, windowMs: number): number => {
  let most = 0
  for (let first = 0; first < grants.length; first++) {
    let sum = 0
    for (let i = first; i < grants.length && grants[i]!.at < grants[first]!.at + windowMs - 1e-5; i++)
      sum += grants[i]!.weight
    most = Math.max(most, sum)
  }
  return most
}

const seeds = Array.from({ length: 60 }, (_, seed) => seed * 7_919 + 1)

describe("no window admits more than its limit", () => {
  for (const algorithm of ["sliding-log", "sliding-counter"] as const) {
    it(`any window: ${algorithm}`, () => {
      for (const seed of seeds) {
        const random = randomOf(seed)
        const rule = ruleOf(algorithm, random)
        expect(mostIn(run([rule], random), rule.windowMs), `seed ${seed}`).toBeLessThanOrEqual(rule.limit)
      }
    })
  }

  it("each window that a grant opens: fixed-window", () => {
    for (const seed of seeds) {
      const random = randomOf(seed)
      const rule = ruleOf("fixed-window", random)
      let end = -Infinity
      let sum = 0
      for (const { at, weight } of run([rule], random)) {
        if (at >= end - 1e-5) {
          end = at + rule.windowMs
          sum = 0
        }
        sum += weight
        expect(sum, `seed ${seed}`).toBeLessThanOrEqual(rule.limit)
      }
    }
  })

  for (const algorithm of ["token-bucket", "gcra"] as const) {
    it(`any time t: at most burst + rate × t: ${algorithm}`, () => {
      for (const seed of seeds) {
        const random = randomOf(seed)
        const rule = ruleOf(algorithm, random)
        const grants = run([rule], random)
        for (let first = 0; first < grants.length; first++) {
          let sum = 0
          for (let i = first; i < grants.length; i++) {
            sum += grants[i]!.weight
            const bound = rule.burst + (grants[i]!.at - grants[first]!.at) * (rule.limit / rule.windowMs)
            if (sum > bound + 1e-3) throw new Error(`seed ${seed}: ${sum} granted, ${bound} allowed`)
          }
        }
        expect(grants.length).toBeGreaterThan(0)
      }
    })
  }

  it("several windows at once: each keeps its own", () => {
    for (const seed of seeds) {
      const random = randomOf(seed)
      const rules: ReadonlyArray<Rule> = [
        { algorithm: "sliding-log", limit: 5, windowMs: 100, burst: 5 },
        { algorithm: "sliding-log", limit: 12, windowMs: 1_000, burst: 12 },
        { algorithm: "sliding-counter", limit: 40, windowMs: 5_000, burst: 40 }
      ]
      const grants = run(rules, random, 1_000)
      for (const rule of rules) expect(mostIn(grants, rule.windowMs), `seed ${seed}`).toBeLessThanOrEqual(rule.limit)
    }
  })
})

describe("every algorithm", () => {
  for (const algorithm of Object.keys(algorithms) as Array<Rule["algorithm"]>) {
    it(`takes back a grant as if it had not been: ${algorithm}`, () => {
      for (const seed of seeds) {
        const random = randomOf(seed)
        const rules = [ruleOf(algorithm, random)]
        const table = new LimitTable(rules, 10)
        let now = random() * 1_000
        for (let step = 0; step < 50; step++) {
          now += random() * 50
          const before = table.decide(rules, "key", 1, now, false)
          const taken = table.decide(rules, "key", 1, now, true)
          if (!taken.allowed) continue
          if (random() < 0.5) continue
          table.give(rules, "key", 1, now, taken.at)
          const after = table.decide(rules, "key", 1, now, false)
          expect(after.allowed).toBe(true)
          expect(after.remaining).toBeCloseTo(before.remaining, 5)
        }
      }
    })

    it(`says of no wait that it is longer than it was: ${algorithm}`, () => {
      for (const seed of seeds) {
        const random = randomOf(seed)
        const rules = [ruleOf(algorithm, random)]
        const table = new LimitTable(rules, 10)
        const queued = 1 + Math.floor(random() * 30)
        let now = random() * 1_000
        const horizon = table.horizon(rules, "key", queued, now)
        const start = now
        for (let i = 0; i < queued; i++) {
          const decision = table.decide(rules, "key", 1, now, true)
          if (decision.allowed) continue
          now += decision.waitMs
          expect(table.decide(rules, "key", 1, now, true).allowed).toBe(true)
        }
        expect(now - start).toBeGreaterThanOrEqual(horizon - 1e-3)
      }
    })

    it(`forgets a key once it is idle, and not before: ${algorithm}`, () => {
      const rules: ReadonlyArray<Rule> = [{ algorithm, limit: 4, windowMs: 1_000, burst: 4 }]
      const table = new LimitTable(rules, 1_000)
      for (let i = 0; i < 4; i++) table.decide(rules, "key", 1, 500, true)
      table.sweep(600, 10)
      expect(table.size).toBe(1)
      table.sweep(600, 10)
      while (!table.sweep(10_000, 10)) {
        /* until a round is complete */
      }
      while (!table.sweep(10_000, 10)) {
        /* and one more */
      }
      expect(table.size).toBe(0)
    })
  }

  it("keys come and go without disturbing each other", () => {
    const random = randomOf(11)
    const rules: ReadonlyArray<Rule> = [{ algorithm: "fixed-window", limit: 3, windowMs: 100, burst: 3 }]
    const table = new LimitTable(rules, 100_000)
    const model = new Map<string, { at: number; used: number }>()
    let now = 0
    for (let step = 0; step < 50_000; step++) {
      now += random() * 0.5
      const key = `key-${Math.floor(random() * 2_000)}`
      const state = model.get(key)
      const current = state === undefined || now >= state.at + 100 ? { at: now, used: 0 } : state
      const allowed = current.used < 3
      expect(table.decide(rules, key, 1, now, true).allowed).toBe(allowed)
      if (allowed) model.set(key, { at: current.at, used: current.used + 1 })
      if (step % 50 === 0) table.sweep(now, 200)
      if (random() < 0.01) {
        table.forget(key)
        model.delete(key)
      }
    }
    expect(table.size).toBeLessThanOrEqual(2_000)
  })

  it("keeps to its bound of keys", () => {
    const rules: ReadonlyArray<Rule> = [{ algorithm: "gcra", limit: 1, windowMs: 1_000, burst: 1 }]
    const table = new LimitTable(rules, 300)
    for (let i = 0; i < 2_000; i++) table.decide(rules, `key-${i}`, 1, 0, true)
    expect(table.size).toBe(300)
    expect(table.decide(rules, "key-1999", 1, 0, false).allowed).toBe(false)
    expect(table.decide(rules, "key-0", 1, 0, false).allowed).toBe(true)
  })
})

describe("the queue of waiters", () => {
  it("behaves as a sorted list, whoever joins and leaves", () => {
    for (const seed of seeds) {
      const random = randomOf(seed)
      const queue = new WaitQueue<number>()
      let model: Array<{ id: number; priority: number; deadline: number; weight: number }> = []
      const waiters = new Map<number, ReturnType<typeof queue.push>>()
      for (let id = 0; id < 300; id++) {
        const turn = random()
        if (turn < 0.6) {
          const priority = Math.floor(random() * 4)
          const deadline = random() < 0.5 ? Infinity : Math.floor(random() * 1_000)
          const weight = 1 + Math.floor(random() * 3)
          waiters.set(id, queue.push(id, { sinceMs: id, priority, deadlineMs: deadline, weight }))
          model.push({ id, priority, deadline, weight })
        } else if (turn < 0.8 && model.length > 0) {
          const gone = model[Math.floor(random() * model.length)]!
          expect(queue.remove(waiters.get(gone.id)!)).toBe(true)
          expect(queue.remove(waiters.get(gone.id)!)).toBe(false)
          model = model.filter((each) => each !== gone)
        } else {
          const now = random() * 1_000
          const late = new Set<number>()
          for (let out = queue.removeExpired(now); out !== undefined; out = queue.removeExpired(now))
            late.add(out.value)
          expect(late).toEqual(new Set(model.filter((each) => each.deadline <= now).map((each) => each.id)))
          model = model.filter((each) => each.deadline > now)
        }
        const sorted = model.toSorted((a, b) => b.priority - a.priority || a.id - b.id)
        expect(queue.size).toBe(model.length)
        expect(queue.first(id)?.value).toBe(sorted[0]?.id)
        expect(queue.least()?.value).toBe(sorted.at(-1)?.id)
        expect(queue.nextDeadlineMs).toBe(Math.min(Infinity, ...model.map((each) => each.deadline)))
        const before = model.filter((each) => each.priority >= 2).reduce((sum, each) => sum + each.weight, 0)
        expect(queue.weightBefore(2, 0)).toBe(before)
      }
    }
  })
})
