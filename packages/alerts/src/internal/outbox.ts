/** Who has been told what: each thing once, reminders after a while, nothing while it is silenced. */
import type { Incident } from "../Incident.ts"
import type { Notification, Notifier } from "../Notifier.ts"
import type { Now } from "./detectors.ts"
import type { Alert, Change } from "./evaluator.ts"
import { shortHash } from "./text.ts"

interface Acting {
  readonly apply: (alert: Alert, nowMs: number) => void
  readonly end: (alert: Alert) => void
}

interface Told {
  lastMs: number
  reminders: number
}

/** Characters of an alert's id in that of a notification. */
const maxId = 150

/** Headers carry it, and keys may be any text: of visible ASCII, bounded, and another one for every alert. */
const headerId = (id: string): string => {
  const text = encodeURIComponent(id.toWellFormed())
  const same = text.length <= maxId && id.isWellFormed()
  return same ? text : `${text.slice(0, maxId)}~${shortHash(id)}`
}

export class Outbox {
  private readonly notifiers: ReadonlyArray<Notifier>
  private readonly remindMs: number
  private readonly acting: Acting
  private readonly told = new Map<string, Told>()

  constructor(notifiers: ReadonlyArray<Notifier>, remindMs: number, acting: Acting) {
    this.notifiers = notifiers
    this.remindMs = remindMs
    this.acting = acting
  }

  /** Tells what there is to tell. */
  update(
    now: Now,
    alerts: ReadonlyArray<Alert>,
    changes: ReadonlyArray<Change>,
    silenced: (alert: Alert) => boolean,
    incident: Incident | undefined
  ): void {
    // What is over comes first: an alert may be resolved and another one fire at the same look.
    for (const { alert, type } of changes) if (type === "resolved") this.resolved(now, alert, incident)
    for (const alert of alerts) {
      if (alert.state === "firing" && !silenced(alert)) this.firing(now, alert, incident)
    }
  }

  private firing(now: Now, alert: Alert, incident: Incident | undefined): void {
    const told = this.told.get(alert.id)
    if (told === undefined) {
      this.told.set(alert.id, { lastMs: now.ms, reminders: 0 })
      this.tell(now, "firing", alert, incident, "")
      this.acting.apply(alert, now.ms)
    } else if (now.ms - told.lastMs >= this.remindMs) {
      told.lastMs = now.ms
      this.tell(now, "reminder", alert, incident, `-${++told.reminders}`)
    }
  }

  private resolved(now: Now, alert: Alert, incident: Incident | undefined): void {
    if (!this.told.delete(alert.id)) return
    this.acting.end(alert)
    this.tell(now, "resolved", alert, incident, "")
  }

  private tell(
    now: Now,
    status: Notification["status"],
    alert: Alert,
    incident: Incident | undefined,
    suffix: string
  ): void {
    if (this.notifiers.length === 0) return
    const notification: Notification = {
      id: `${headerId(alert.id)}-${alert.firingAt ?? alert.since}-${status}${suffix}`,
      status,
      at: now.wallMs,
      alert,
      ...(incident === undefined ? {} : { incident })
    }
    for (const notifier of this.notifiers) {
      try {
        notifier.notify(notification)
      } catch {
        // One that breaks its word keeps nothing from the others.
      }
    }
  }
}
