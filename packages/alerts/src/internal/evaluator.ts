/**
 * The state of every alert: time and events in, changes out.
 *
 * ```text
 *            condition holds            for `for`                  over for `resolveAfter`
 *  (nothing) ───────────────▶ pending ───────────▶ firing ─────────────────────────────────▶ (resolved)
 *                                │                   ▲  │
 *                                └─ over ─▶ (nothing)└──┘ condition holds again: as if it had never been over
 * ```
 *
 * A measure that fires is over only below 0.9 of its threshold, so that one at the threshold does not flutter.
 */
import type { Event } from "@breakwater/core"
import { defaults, type Kind, millisOf, type Rule, type Severity } from "../Rules.ts"
import { type Detector, detectorOf, type Now, type Reading } from "./detectors.ts"

/** An alert, in plain data. Times are milliseconds since 1970. */
export interface Alert {
  /** Rule and key: the same for every time it fires. */
  readonly id: string
  readonly rule: string
  readonly kind: Kind
  readonly key: string
  readonly severity: Severity
  readonly state: "pending" | "firing" | "resolved"
  /** Since when the condition holds. */
  readonly since: number
  readonly firingAt?: number
  readonly resolvedAt?: number
  readonly value: number
  readonly threshold: number
  readonly summary: string
  readonly runbook?: string
}

/** A change of an alert. `cleared`: it was over before it fired. */
export interface Change {
  readonly type: "pending" | "firing" | "resolved" | "cleared"
  readonly alert: Alert
}

/** Alerts at once at most; more are not opened. */
export const maxAlerts = 500

interface Watched {
  readonly rule: Rule
  readonly forMs: number
  readonly resolveMs: number
  readonly detector: Detector
}

interface Live {
  alert: Alert
  readonly sinceMs: number
  /** Since when it is over, while it is still said to fire. */
  overMs: number | undefined
}

export class Evaluator {
  private readonly watched: ReadonlyArray<Watched>
  private readonly live = new Map<string, Live>()

  constructor(rules: ReadonlyArray<Rule>, nanosOf: (dollars: string) => number, start: Now) {
    this.watched = rules.map((rule) => ({
      rule,
      forMs: millisOf(rule.for ?? defaults.for)!,
      resolveMs: millisOf(rule.resolveAfter ?? defaults.resolveAfter)!,
      detector: detectorOf(rule, nanosOf, start)
    }))
  }

  event(now: Now, event: Event.PolicyEvent): void {
    for (const { detector } of this.watched) detector.event(now, event)
  }

  /** Alerts that are pending or firing. */
  alerts(): ReadonlyArray<Alert> {
    return Array.from(this.live.values(), ({ alert }) => alert)
  }

  /** Looks at all rules, and says what has changed since the last time. */
  tick(now: Now): ReadonlyArray<Change> {
    return this.watched.flatMap((watched) => this.look(watched, now))
  }

  private look(watched: Watched, now: Now): ReadonlyArray<Change> {
    const changes: Array<Change> = []
    const seen = new Set<string>()
    for (const reading of watched.detector.read(now)) {
      const id = reading.key === "" ? watched.rule.name : `${watched.rule.name}/${reading.key}`
      const known = this.live.get(id)
      const bound = known?.alert.state === "firing" ? defaults.hysteresis : 1
      if (reading.level < bound) continue
      seen.add(id)
      if (known !== undefined) this.hold(watched, known, reading, now, changes)
      else if (this.live.size < maxAlerts) this.open(watched, id, reading, now, changes)
    }
    for (const [id, live] of this.live) {
      if (live.alert.rule === watched.rule.name && !seen.has(id)) this.over(watched, id, live, now, changes)
    }
    return changes
  }

  private open(watched: Watched, id: string, reading: Reading, now: Now, changes: Array<Change>): void {
    const { rule } = watched
    const alert: Alert = {
      id,
      rule: rule.name,
      kind: rule.kind,
      key: reading.key,
      severity: reading.severity,
      state: "pending",
      since: now.wallMs,
      value: reading.value,
      threshold: reading.threshold,
      summary: reading.text,
      ...(rule.runbook === undefined ? {} : { runbook: rule.runbook })
    }
    const live: Live = { alert, sinceMs: now.ms, overMs: undefined }
    this.live.set(id, live)
    if (watched.forMs > 0) changes.push({ type: "pending", alert })
    this.hold(watched, live, reading, now, changes)
  }

  private hold(watched: Watched, live: Live, reading: Reading, now: Now, changes: Array<Change>): void {
    live.overMs = undefined
    live.alert = { ...live.alert, value: reading.value, threshold: reading.threshold, summary: reading.text }
    if (live.alert.state === "firing" || now.ms - live.sinceMs < watched.forMs) return
    live.alert = { ...live.alert, state: "firing", firingAt: now.wallMs }
    changes.push({ type: "firing", alert: live.alert })
  }

  private over(watched: Watched, id: string, live: Live, now: Now, changes: Array<Change>): void {
    if (live.alert.state === "pending") {
      this.live.delete(id)
      changes.push({ type: "cleared", alert: live.alert })
      return
    }
    live.overMs ??= now.ms
    if (now.ms - live.overMs < watched.resolveMs) return
    this.live.delete(id)
    changes.push({ type: "resolved", alert: { ...live.alert, state: "resolved", resolvedAt: now.wallMs } })
  }
}
