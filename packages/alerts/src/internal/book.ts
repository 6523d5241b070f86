/** Incidents: events, changes of alerts and remedies in; what happened meanwhile out. Memory is bounded. */
import type { Event } from "@breakwater/core"
import type { AffectedTarget, Entry, Incident } from "../Incident.ts"
import { causesOf } from "./causes.ts"
import type { Now } from "./detectors.ts"
import type { Alert, Change } from "./evaluator.ts"
import { Minutes, type Tally, type TargetTally } from "./tally.ts"

/** Minutes that are remembered, and how many of them count to an incident that is opened. */
const rememberedMinutes = 35
const lookbackMs = 5 * 60_000
/** Lines of a timeline, and of what is remembered for one that may begin. */
const maxLines = 200
const maxRemembered = 60
/** Alerts of an incident, and incidents that are remembered. */
const maxAlerts = 100
const maxClosed = 50

interface Open {
  readonly id: string
  readonly openedMs: number
  readonly openedAt: number
  readonly before: Tally
  readonly during: Tally
  readonly alerts: Map<string, Alert>
  readonly firing: Set<string>
  readonly lines: Array<Entry>
  dropped: number
  /** What was said already: the same failover a thousand times is one line. */
  readonly said: Set<string>
}

/** What a timeline tells of an event, and under which name it is told once; `undefined` for nothing. */
const lineOf = (event: Event.PolicyEvent): { readonly what: string; readonly once?: string } | undefined => {
  switch (event.type) {
    case "circuit-changed":
      return { what: `circuit of ${event.key}: ${event.from} → ${event.to} (${event.reason})` }
    case "store-lost":
      return { what: `store ${event.store} was lost (${event.mode})` }
    case "store-recovered":
      return { what: `store ${event.store} is back after ${Math.round(event.lostMs / 1_000)} s` }
    case "circuit-store-changed":
      return { what: `the store of circuits ${event.available ? "is back" : "was lost"}` }
    case "ledger-store-changed":
      return { what: `the ledger's store ${event.store} ${event.available ? "is back" : "was lost"}` }
    case "audit-store-changed":
      return { what: `the audit log's store ${event.store} ${event.available ? "is back" : "was lost"}` }
    case "ledger-records-lost":
    case "audit-entries-lost":
      return { what: `${event.count} records for ${event.store} were lost` }
    case "quota-paused":
      return { what: `${event.key} is paused for ${Math.round(event.pauseMs / 1_000)} s by its rate limit` }
    case "budget-threshold":
      return { what: `budget ${event.budget} ${event.value} is at ${event.threshold}` }
    case "failed-over": {
      const what = `calls fail over from ${event.from} to ${event.to} (${event.error._tag})`
      return { what, once: what }
    }
    case "attempt-failed": {
      const what = `${event.target} fails with ${event.error._tag}`
      return { what: `first failure: ${what}`, once: what }
    }
    default:
      return undefined
  }
}

const ratio = (tally: TargetTally | undefined): number =>
  tally === undefined || tally.success + tally.failure === 0 ? 0 : tally.failure / (tally.success + tally.failure)
const mean = (tally: TargetTally | undefined): number =>
  tally === undefined || tally.success === 0 ? 0 : tally.tookMs / tally.success

const affected = (before: Tally, during: Tally): ReadonlyArray<AffectedTarget> =>
  Array.from(during.targets, ([target, tally]) => ({
    target,
    attempts: tally.success + tally.failure,
    failures: tally.failure,
    failureRatioBefore: ratio(before.targets.get(target)),
    failureRatio: ratio(tally),
    meanMsBefore: mean(before.targets.get(target)),
    meanMs: mean(tally),
    errors: { ...tally.errors }
  })).sort((a, b) => b.failures - a.failures)

/** A change of incidents. */
export interface BookChange {
  readonly type: "opened" | "closed"
  readonly incident: Incident
}

export class Book {
  private readonly minutes = new Minutes(rememberedMinutes)
  private remembered: Array<Entry & { readonly ms: number; readonly once?: string }> = []
  private readonly closed: Array<Incident> = []
  private open: Open | undefined
  private count = 0
  private readonly prefix: string

  /** Ids begin with the prefix, so that those of two processes differ. */
  constructor(prefix: string) {
    this.prefix = prefix
  }

  event(now: Now, event: Event.PolicyEvent): void {
    this.minutes.add(now.ms, event)
    this.open?.during.add(event)
    const line = lineOf(event)
    if (line !== undefined) this.line(now, line.what, line.once)
  }

  /** Tells the timeline something. */
  line(now: Now, what: string, once?: string): void {
    const { open } = this
    if (open !== undefined) return addLine(open, { at: now.wallMs, what }, once)
    if (once !== undefined && this.remembered.some((each) => each.once === once && now.ms - each.ms < lookbackMs))
      return
    this.remembered.push({ at: now.wallMs, what, ms: now.ms, ...(once === undefined ? {} : { once }) })
    if (this.remembered.length > maxRemembered) this.remembered.shift()
  }

  /** Takes changes of alerts; says which incidents were opened and closed by them. */
  changes(now: Now, changes: ReadonlyArray<Change>): ReadonlyArray<BookChange> {
    const out: Array<BookChange> = []
    for (const { alert, type } of changes) {
      if (type === "firing") {
        const opened = this.open === undefined
        const open = (this.open ??= this.begin(now))
        if (open.alerts.size < maxAlerts || open.alerts.has(alert.id)) open.alerts.set(alert.id, alert)
        open.firing.add(alert.id)
        this.line(now, `alert ${alert.id} fires: ${alert.summary}`)
        if (opened) out.push({ type: "opened", incident: this.write(open, now) })
      } else if (type === "resolved" && this.open?.firing.delete(alert.id) === true) {
        const { open } = this
        open.alerts.set(alert.id, alert)
        this.line(now, `alert ${alert.id} is resolved`)
        if (open.firing.size > 0) continue
        const incident = { ...this.write(open, now), status: "closed" as const, closedAt: now.wallMs }
        this.open = undefined
        this.closed.unshift(incident)
        if (this.closed.length > maxClosed) this.closed.pop()
        out.push({ type: "closed", incident })
      }
    }
    return out
  }

  /** The open one first, then the closed ones, the newest first. */
  all(now: Now): ReadonlyArray<Incident> {
    return this.open === undefined ? [...this.closed] : [this.write(this.open, now), ...this.closed]
  }

  current(now: Now): Incident | undefined {
    return this.open === undefined ? undefined : this.write(this.open, now)
  }

  private begin(now: Now): Open {
    const { after, before } = this.minutes.split(now.ms - lookbackMs)
    const open: Open = {
      id: `${this.prefix}-${++this.count}`,
      openedMs: now.ms,
      openedAt: now.wallMs,
      before,
      during: after,
      alerts: new Map(),
      firing: new Set(),
      lines: [],
      dropped: 0,
      said: new Set()
    }
    for (const { at, ms, once, what } of this.remembered) {
      if (now.ms - ms < lookbackMs) addLine(open, { at, what }, once)
    }
    this.remembered = []
    return open
  }

  private write(open: Open, now: Now): Incident {
    const { before, during } = open
    const alerts = [...open.alerts.values()]
    return {
      id: open.id,
      status: "open",
      openedAt: open.openedAt,
      durationMs: now.ms - open.openedMs,
      alerts,
      causes: causesOf(before, during, alerts),
      requests: { success: during.success, failure: during.failure, interrupted: during.interrupted },
      targets: affected(before, during),
      errors: { before: { ...before.errors }, during: { ...during.errors } },
      policies: { ...during.policies },
      costNanos: during.costNanos.toString(),
      timeline: [...open.lines],
      timelineDropped: open.dropped
    }
  }
}

const addLine = (open: Open, entry: Entry, once: string | undefined): void => {
  if (once !== undefined) {
    if (open.said.has(once)) return
    if (open.said.size < maxLines) open.said.add(once)
  }
  open.lines.push(entry)
  if (open.lines.length <= maxLines) return
  // How it began and how it ended are worth more than what came between.
  open.lines.splice(maxLines / 2, 1)
  open.dropped++
}
