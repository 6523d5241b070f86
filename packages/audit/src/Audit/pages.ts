/** Reads entries back from the end of a log, and looks at what it reads. */
import type { AuditStore } from "@breakwater/core"
import * as Effect from "effect/Effect"
import type { AuditError } from "../AuditError.ts"
import type { AuditEntry, Outcome } from "../Entry.ts"
import type { KeyRing } from "../internal/keyRing.ts"
import { decode } from "../internal/payload.ts"
import { isGenuine, open, parse, parseHead, type SealedRecord } from "../internal/record.ts"
import { storeFailed } from "./resume.ts"

/** Which entries. What is left out does not narrow. */
export interface EntryQuery {
  /** 1 to 10,000. Default 100. */
  readonly limit?: number
  /** Only those before this place: {@link EntryPage.before} of the page before. */
  readonly before?: number
  readonly action?: string
  readonly tenant?: string
  readonly user?: string
  readonly key?: string
  readonly requestId?: string
  readonly outcome?: Outcome
  readonly flag?: string
  /** From this instant on, in milliseconds since 1970. */
  readonly fromMs?: number
  /** To before this instant. */
  readonly toMs?: number
}

/** Entries, the newest first. */
export interface EntryPage {
  readonly entries: ReadonlyArray<AuditEntry>
  /** Whether all that was read is genuine and in its place; of the whole log, `verify` says that. */
  readonly verified: boolean
  /** Where older ones begin; left out at the beginning of the log. */
  readonly before?: number
}

const step = 1_000

/** Entries that one page looks through at most. */
const maxLooks = 50_000

const fits = (entry: AuditEntry, query: EntryQuery): boolean =>
  (query.action === undefined || entry.action === query.action) &&
  (query.tenant === undefined || entry.actor?.tenant === query.tenant) &&
  (query.user === undefined || entry.actor?.user === query.user) &&
  (query.key === undefined || entry.actor?.key === query.key) &&
  (query.requestId === undefined || entry.requestId === query.requestId) &&
  (query.outcome === undefined || entry.outcome === query.outcome) &&
  (query.flag === undefined || entry.flags?.includes(query.flag) === true) &&
  (query.fromMs === undefined || entry.at >= query.fromMs) &&
  (query.toMs === undefined || entry.at < query.toMs)

/** Whether records read backwards follow each other. */
class Backwards {
  verified = true
  private wanted: { readonly seq: number; readonly chain: string } | undefined
  private readonly ring: KeyRing

  /** What the first record read must be at least, if it is the last of the log. */
  constructor(ring: KeyRing, head: string | undefined, fromEnd: boolean) {
    this.ring = ring
    const named = head === undefined ? undefined : parseHead(head)
    if (named === undefined) this.verified = head === undefined
    else if (isGenuine(named, ring) !== true) this.verified = false
    else if (fromEnd) this.wanted = named
  }

  push(record: SealedRecord | undefined): boolean {
    const genuine = record !== undefined && isGenuine(record, this.ring) === true
    if (!genuine) {
      this.verified = false
      this.wanted = undefined
      return false
    }
    const { seq } = record
    const chain = record.type === "entry" ? record.mac : record.prev
    const { wanted } = this
    // After the entry that the head names there may be newer ones.
    if (wanted !== undefined && seq <= wanted.seq && (seq !== wanted.seq || chain !== wanted.chain))
      this.verified = false
    this.wanted = wanted !== undefined && seq > wanted.seq ? wanted : { seq: seq - 1, chain: record.prev }
    return true
  }
}

export const readPage = (
  store: AuditStore.AuditReader,
  ring: KeyRing,
  query: EntryQuery
): Effect.Effect<EntryPage, AuditError> =>
  Effect.gen(function* () {
    const { limit = 100 } = query
    const head = yield* store.head
    const backwards = new Backwards(ring, head, query.before === undefined)
    const entries: Array<AuditEntry> = []
    let { before } = query
    for (let looks = 0; looks < maxLooks; looks += step) {
      const lines = yield* store.newest(Math.min(step, looks === 0 ? limit + 1 : step), before)
      for (const { place, text } of lines) {
        const record = parse(text)
        const known = backwards.push(record)
        before = place
        if (!known || record?.type !== "entry") continue
        const payload = open(record, ring)
        const entry = payload === undefined ? undefined : decode(record, payload)
        if (entry !== undefined && fits(entry, query)) entries.push(entry)
        if (entries.length === limit) return { entries, verified: backwards.verified, before }
      }
      if (lines.length === 0) return { entries, verified: backwards.verified }
    }
    return { entries, verified: backwards.verified, ...(before === undefined ? undefined : { before }) }
  }).pipe(Effect.mapError(storeFailed))
