/**
 * The last requests, each with its attempts and what happened to it, in memory: a ring of finished ones, and those under
 * way until they end. Plain code, called for every event.
 */
import { type Event, Usage } from "@breakwater/core"
import { type PlainEvent, plainEvent, plainValue } from "./PlainEvent.ts"

/** Finished requests that are kept. */
export const capacity = 200
/** Requests under way whose events are kept; beyond it the oldest are forgotten. */
const maxOpen = 2_000
/** Events of one request. */
const maxEvents = 200

/** A request as it is shown. */
export interface RecentRequest {
  readonly requestId: string
  /** Milliseconds since 1970 when it began. */
  readonly at: number
  readonly operation: string
  readonly outcome: "success" | "failure" | "interrupted"
  readonly tookMs: number
  readonly target?: string
  /** Whom it could have asked. */
  readonly targets: ReadonlyArray<string>
  readonly maxAttempts?: number
  readonly context: unknown
  readonly costNanos?: string
  readonly savedNanos?: string
  readonly cached?: unknown
  readonly error?: unknown
  /** Of all attempts together. */
  readonly usage: Usage.Usage
  readonly attempts: ReadonlyArray<unknown>
  /** `atMs` is since the start. */
  readonly events: ReadonlyArray<{ readonly atMs: number; readonly type: string; readonly [key: string]: unknown }>
  /** Events that were too many to keep. */
  readonly eventsLeftOut: number
}

interface Open {
  readonly startedMs: number
  readonly targets: ReadonlyArray<string>
  readonly maxAttempts: number
  readonly events: Array<{ readonly atMs: number; readonly event: Event.PolicyEvent | PlainEvent }>
  leftOut: number
}

/** An event whose errors may be words about them: an error may hold a whole answer, and what caused it. */
type Finished = Omit<Event.RequestFinished, "error" | "attempts"> & {
  readonly error?: unknown
  readonly attempts: ReadonlyArray<
    Omit<Event.RequestFinished["attempts"][number], "error"> & { readonly error?: unknown }
  >
}

/** A finished request as it is kept: made into what is shown when somebody looks, which is rare. */
interface Kept {
  readonly event: Finished
  readonly open: Open | undefined
}

/** The same event, with nothing left of its errors but their names and sentences. */
const light = (event: Event.RequestFinished): Finished =>
  event.error === undefined && event.attempts.every(({ error }) => error === undefined)
    ? event
    : {
        ...event,
        error: plainValue(event.error),
        attempts: event.attempts.map((attempt) => ({ ...attempt, error: plainValue(attempt.error) }))
      }

const shown = ({ event, open }: Kept): RecentRequest => ({
  requestId: event.requestId,
  at: event.startedAt,
  operation: event.operation,
  outcome: event.outcome,
  tookMs: rounded(event.tookMs),
  ...(event.target === undefined ? {} : { target: event.target }),
  targets: open?.targets ?? [],
  ...(open === undefined ? {} : { maxAttempts: open.maxAttempts }),
  context: plainValue(event.context),
  ...(event.cost === undefined ? {} : { costNanos: event.cost.nanoDollars.toString() }),
  ...(event.savedNanos === undefined ? {} : { savedNanos: event.savedNanos.toString() }),
  ...(event.cached === undefined ? {} : { cached: plainValue(event.cached) }),
  ...(event.error === undefined ? {} : { error: plainValue(event.error) }),
  usage: usageOf(event),
  attempts: event.attempts.map((attempt) => plainValue(attempt)),
  events: (open?.events ?? []).map(({ atMs, event }) => ({
    atMs: rounded(atMs),
    ...(plainValue(event) as PlainEvent)
  })),
  eventsLeftOut: open?.leftOut ?? 0
})

/** What a list is narrowed to. */
export interface Filter {
  readonly limit: number
  readonly outcome?: string | undefined
}

const rounded = (ms: number): number => Math.round(ms * 1_000) / 1_000

const usageOf = (event: Finished): Usage.Usage =>
  event.attempts.reduce<Usage.Usage>(
    (sum, { usage }) => (usage === undefined ? sum : Usage.add(sum, usage)),
    Usage.zero
  )

export class RecentRequests {
  private readonly nowMs: () => number
  private readonly open = new Map<string, Open>()
  private readonly ring: Array<Kept> = []
  private next = 0

  /** `nowMs` is any clock that does not go back. */
  constructor(nowMs: () => number) {
    this.nowMs = nowMs
  }

  record(event: Event.PolicyEvent): void {
    if (event.type === "request-started") return this.begin(event)
    if (event.type === "request-finished") return this.end(event)
    const requestId = "requestId" in event ? event.requestId : undefined
    const open = requestId === undefined ? undefined : this.open.get(requestId)
    if (open === undefined) return
    if (open.events.length >= maxEvents) {
      open.leftOut++
      return
    }
    open.events.push({ atMs: this.nowMs() - open.startedMs, event: "error" in event ? plainEvent(event) : event })
  }

  /** Newest first. */
  list({ limit, outcome }: Filter): ReadonlyArray<RecentRequest> {
    const out: Array<RecentRequest> = []
    for (let i = 1; i <= this.ring.length && out.length < limit; i++) {
      const each = this.ring[(this.next - i + capacity) % capacity]
      if (each !== undefined && (outcome === undefined || each.event.outcome === outcome)) out.push(shown(each))
    }
    return out
  }

  /** The newest one of an id. */
  find(requestId: string): RecentRequest | undefined {
    for (let i = 1; i <= this.ring.length; i++) {
      const each = this.ring[(this.next - i + capacity) % capacity]
      if (each?.event.requestId === requestId) return shown(each)
    }
    return undefined
  }

  private begin(event: Event.RequestStarted): void {
    if (this.open.size >= maxOpen) {
      const oldest = this.open.keys().next()
      if (!oldest.done) this.open.delete(oldest.value)
    }
    const { maxAttempts, targets } = event
    this.open.set(event.requestId, { startedMs: this.nowMs(), targets, maxAttempts, events: [], leftOut: 0 })
  }

  private end(event: Event.RequestFinished): void {
    const open = this.open.get(event.requestId)
    this.open.delete(event.requestId)
    this.ring[this.next] = { event: light(event), open }
    this.next = (this.next + 1) % capacity
  }
}
