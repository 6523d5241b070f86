/** What happened in a stretch of time, in bounded memory. */
import type { Event } from "@breakwater/core"

/** Targets that are told apart. */
const maxTargets = 50

export interface TargetTally {
  success: number
  failure: number
  /** Milliseconds of the successful attempts, added up. */
  tookMs: number
  errors: Record<string, number>
}

/** Counts of what the policies did. */
export interface Policies {
  retries: number
  failovers: number
  hedges: number
  circuitsOpened: number
  circuitRejections: number
  limitRejections: number
  bulkheadRejections: number
  budgetRejections: number
  pauses: number
  continuations: number
  storesLost: number
}

const noPolicies = (): Policies => ({
  retries: 0,
  failovers: 0,
  hedges: 0,
  circuitsOpened: 0,
  circuitRejections: 0,
  limitRejections: 0,
  bulkheadRejections: 0,
  budgetRejections: 0,
  pauses: 0,
  continuations: 0,
  storesLost: 0
})

const policyOf: Readonly<Partial<Record<Event.PolicyEvent["type"], keyof Policies>>> = {
  "retry-scheduled": "retries",
  "failed-over": "failovers",
  "hedge-started": "hedges",
  "circuit-rejected": "circuitRejections",
  "limit-rejected": "limitRejections",
  "bulkhead-rejected": "bulkheadRejections",
  "budget-rejected": "budgetRejections",
  "quota-paused": "pauses",
  "stream-continued": "continuations",
  "store-lost": "storesLost"
}

const bump = (counts: Record<string, number>, name: string, by = 1): void => {
  counts[name] = (counts[name] ?? 0) + by
}

export class Tally {
  success = 0
  failure = 0
  interrupted = 0
  costNanos = 0n
  /** Errors that calls ended with. */
  readonly errors: Record<string, number> = {}
  /** Names of errors are of a closed set, and those of targets are bounded. */
  readonly targets = new Map<string, TargetTally>()
  readonly policies: Policies = noPolicies()

  get calls(): number {
    return this.success + this.failure
  }

  add(event: Event.PolicyEvent): void {
    const policy = policyOf[event.type]
    if (policy !== undefined) this.policies[policy]++
    switch (event.type) {
      case "attempt-succeeded": {
        const target = this.target(event.target)
        target.success++
        target.tookMs += event.tookMs
        return
      }
      case "attempt-failed": {
        const target = this.target(event.target)
        target.failure++
        return bump(target.errors, event.error._tag)
      }
      case "request-finished":
        this[event.outcome]++
        this.costNanos += event.cost?.nanoDollars ?? 0n
        return event.error === undefined ? undefined : bump(this.errors, event.error._tag)
      case "circuit-changed":
        if (event.to === "open") this.policies.circuitsOpened++
        return
      case "circuit-store-changed":
      case "ledger-store-changed":
      case "audit-store-changed":
        if (!event.available) this.policies.storesLost++
        return
      case "budget-store-failed":
      case "limit-store-failed":
        this.policies.storesLost++
    }
  }

  merge(other: Tally): void {
    this.success += other.success
    this.failure += other.failure
    this.interrupted += other.interrupted
    this.costNanos += other.costNanos
    for (const [name, count] of Object.entries(other.errors)) bump(this.errors, name, count)
    for (const [name, tally] of other.targets) {
      const own = this.target(name)
      own.success += tally.success
      own.failure += tally.failure
      own.tookMs += tally.tookMs
      for (const [tag, count] of Object.entries(tally.errors)) bump(own.errors, tag, count)
    }
    for (const name of Object.keys(this.policies) as Array<keyof Policies>) {
      this.policies[name] += other.policies[name]
    }
  }

  private target(name: string): TargetTally {
    const key = this.targets.has(name) || this.targets.size < maxTargets ? name : "(others)"
    const known = this.targets.get(key)
    if (known !== undefined) return known
    const made: TargetTally = { success: 0, failure: 0, tookMs: 0, errors: {} }
    this.targets.set(key, made)
    return made
  }
}

/** Tallies of the last minutes, a minute each. */
export class Minutes {
  private readonly kept: number
  private minutes: Array<{ readonly startMs: number; readonly tally: Tally }> = []

  constructor(kept: number) {
    this.kept = kept
  }

  add(nowMs: number, event: Event.PolicyEvent): void {
    const last = this.minutes[this.minutes.length - 1]
    if (last !== undefined && nowMs - last.startMs < 60_000) return last.tally.add(event)
    const tally = new Tally()
    tally.add(event)
    this.minutes.push({ startMs: nowMs, tally })
    this.minutes = this.minutes.filter(({ startMs }) => nowMs - startMs < this.kept * 60_000)
  }

  /** The minutes that began before a time, and those from it on, added up. */
  split(atMs: number): { readonly before: Tally; readonly after: Tally } {
    const [before, after] = [new Tally(), new Tally()]
    for (const { startMs, tally } of this.minutes) (startMs < atMs ? before : after).merge(tally)
    return { before, after }
  }
}
