/**
 * Walks a log from its beginning and says what is wrong with it, and where.
 *
 * A line whose MAC is right was made by somebody with the key, so its sequence number is true: what is missing, stands
 * twice or elsewhere is told by the numbers. Lines whose MAC is not right say nothing; they are told by the gap between
 * the genuine ones around them.
 */
import type { KeyRing } from "./keyRing.ts"
import { Gaps } from "./gaps.ts"
import { type Head, isGenuine, origin, parse, parseHead, type SealedRecord } from "./record.ts"

/**
 * - `edited`: an entry was changed
 * - `missing`: entries were taken out
 * - `inserted`: a line that no writer made
 * - `repeated`: an entry stands a second time
 * - `moved`: an entry stands in another place than it was written to
 * - `truncated`: entries are missing at the end
 * - `forked`: a genuine entry that does not follow the one before it: one of them is of another copy of the log
 * - `torn`: the last line is not whole
 * - `head`: what says where the log ends is missing, changed, or of another log
 * - `anchor`: the log does not hold what the anchor says
 * - `unknown-key`: it is sealed by a key that is not in the ring, so that nothing can be said
 */
export type FindingKind =
  | "edited"
  | "missing"
  | "inserted"
  | "repeated"
  | "moved"
  | "truncated"
  | "forked"
  | "torn"
  | "head"
  | "anchor"
  | "unknown-key"

/** Something that is wrong. */
export interface Finding {
  readonly kind: FindingKind
  /** The number of the entry; for entries in a row, of the first of them. */
  readonly entry?: number
  /** The last of several in a row. */
  readonly lastEntry?: number
  /** Of the file or table, counted from 1; left out for the head. */
  readonly line?: number
  /** Bytes before the line in a file, or the number a database keeps it by. */
  readonly place?: number
  readonly message: string
}

/** Findings that are told one by one; more are counted. */
const maxFindings = 1_000

/** A line that could not be checked. */
interface Bad {
  readonly line: number
  readonly place: number
  readonly unknownKey: string | undefined
  readonly checkpoint: boolean
}

export interface Anchor {
  readonly seq: number
  readonly chain: string
}

/** What one key has sealed. */
export interface KeyUse {
  entries: number
  first: number
  last: number
}

const range = (from: number, to: number): string => (from === to ? `entry ${from}` : `entries ${from} to ${to}`)

export class Verifier {
  readonly findings: Array<Finding> = []
  readonly keys = new Map<string, KeyUse>()
  findingCount = 0
  lines = 0
  genuine = 0
  /** The entry up to which all were seen, or are known to be missing. */
  seq = 0
  chain: string | undefined = origin
  first: number | undefined
  prunedThrough: number | undefined
  fromMs: number | undefined
  toMs: number | undefined
  /** How often an entry's time lies more than a second before that of the one before. */
  stepsBack = 0
  anchorSeen: "found" | "pruned" | undefined
  readonly head: Head | undefined

  private readonly ring: KeyRing
  private readonly headText: string | undefined
  private readonly anchor: Anchor | undefined
  private readonly checksPlace: boolean
  private readonly gaps = new Gaps()
  private bad: Array<Bad> = []
  private badCount = 0
  private headSeen = false

  constructor(ring: KeyRing, head: string | undefined, places: "bytes" | "sequence", anchor: Anchor | undefined) {
    this.ring = ring
    this.headText = head
    this.head = head === undefined ? undefined : parseHead(head)
    this.anchor = anchor
    this.checksPlace = places === "sequence"
  }

  /** The next line; answers with the record if it is genuine and follows. */
  push(given: { readonly text: string; readonly place: number; readonly torn?: true }): SealedRecord | undefined {
    const line = ++this.lines
    const { place } = given
    if (given.torn === true) {
      this.find({ kind: "torn", line, place, message: "the last line is not whole: writing it was not finished" })
      return undefined
    }
    const record = parse(given.text)
    const genuine = record === undefined ? false : isGenuine(record, this.ring)
    if (record === undefined || genuine !== true || (this.checksPlace && record.seq !== place)) {
      this.badCount++
      const checkpoint = given.text.startsWith('{"v":1,"type":"checkpoint"')
      const unknownKey = record !== undefined && genuine === undefined ? record.key : undefined
      if (this.bad.length < maxFindings) this.bad.push({ line, place, unknownKey, checkpoint })
      return undefined
    }
    return this.follow(record, line, place)
  }

  /** After the last line. */
  finish(): void {
    const { head } = this
    const genuine = head === undefined ? false : isGenuine(head, this.ring)
    const end = genuine === true ? Math.max(this.seq, head!.seq) : this.seq + this.badCount
    const line = this.lines + 1
    const left = this.settleBad(end + 1)
    if (genuine === true && left <= head!.seq) {
      this.find({
        kind: "truncated",
        entry: left,
        lastEntry: head!.seq,
        line,
        message: `${range(left, head!.seq)} missing at the end: the head names entry ${head!.seq} as the last`
      })
    }
    for (const gap of this.gaps.all) {
      const message = `${range(gap.from, gap.to)} missing`
      this.find({ kind: "missing", entry: gap.from, lastEntry: gap.to, line: gap.line, place: gap.place, message })
    }
    this.finishHead(genuine)
    this.finishAnchor()
    this.findings.sort((a, b) => (a.line ?? Infinity) - (b.line ?? Infinity))
  }

  /** Whether entries are missing so far. */
  get hasGaps(): boolean {
    return this.gaps.all.length > 0
  }

  /** Whether anything could be checked at all. */
  get checked(): boolean {
    return this.lines === 0 || this.genuine > 0
  }

  private follow(record: SealedRecord, line: number, place: number): SealedRecord | undefined {
    const { seq } = record
    if (record.type === "checkpoint" && line > 1) {
      this.find({ kind: "inserted", line, place, message: `a checkpoint stands in the middle of the log` })
      return undefined
    }
    if (seq <= this.seq && this.genuine > 0) return this.comeAgain(seq, line, place)
    const expected = record.type === "checkpoint" ? seq : this.settleBad(seq)
    if (seq > expected) {
      this.gaps.add({ from: expected, to: seq - 1, line, place })
      this.chain = undefined
    } else if (record.type === "entry" && this.chain !== undefined && record.prev !== this.chain) {
      const message = `entry ${seq} does not follow the one before it: one of them is of another copy of the log`
      this.find({ kind: "forked", entry: seq, line, place, message })
    }
    this.take(record)
    return record
  }

  private take(record: SealedRecord): void {
    const { at, key, mac, prev, seq } = record
    this.genuine++
    this.seq = seq
    if (record.type === "checkpoint") {
      this.chain = prev
      this.prunedThrough = seq
      if (this.anchor !== undefined && this.anchor.seq < seq) this.anchorSeen = "pruned"
    } else {
      this.chain = mac
      this.first ??= seq
      if (this.toMs !== undefined && at < this.toMs - 1_000) this.stepsBack++
      this.fromMs = Math.min(this.fromMs ?? at, at)
      this.toMs = at
    }
    const use = this.keys.get(key)
    if (use === undefined) this.keys.set(key, { entries: 1, first: seq, last: seq })
    else {
      use.entries++
      use.last = seq
    }
    if (seq === this.head?.seq) this.headSeen = this.head.chain === this.chain
    if (seq === this.anchor?.seq && this.anchor.chain === this.chain) this.anchorSeen = "found"
  }

  private comeAgain(seq: number, line: number, place: number): undefined {
    // What stands between is where it belongs neither to a gap nor to this entry.
    this.settleBad(this.seq + 1)
    if (this.gaps.take(seq)) {
      const message = `entry ${seq} was moved: it stands after entry ${this.seq}`
      this.find({ kind: "moved", entry: seq, line, place, message })
      return
    }
    const message = `entry ${seq} stands a second time, after entry ${this.seq}`
    this.find({ kind: "repeated", entry: seq, line, place, message })
  }

  /**
   * Tells the lines that could not be checked, now that the next genuine entry is known, and answers with the number of
   * the first entry before it that is nowhere.
   */
  private settleBad(next: number): number {
    let expected = this.seq + 1
    if (this.badCount === 0) return expected
    for (const [index, bad] of this.bad.entries()) {
      const { line, place } = bad
      if (bad.checkpoint && index === 0 && line === 1) {
        expected = Math.max(expected, next - this.badCount + 1)
        const message = bad.unknownKey === undefined ? "the checkpoint was edited" : unknown(bad.unknownKey)
        this.find({ kind: bad.unknownKey === undefined ? "edited" : "unknown-key", line, place, message })
      } else if (expected < next) {
        const entry = expected++
        const kind = bad.unknownKey === undefined ? "edited" : "unknown-key"
        const message = bad.unknownKey === undefined ? `entry ${entry} was edited` : unknown(bad.unknownKey, entry)
        this.find({ kind, entry, line, place, message })
      } else {
        this.find({ kind: "inserted", line, place, message: `a line that no writer made, after entry ${expected - 1}` })
      }
    }
    const untold = this.badCount - this.bad.length
    this.findingCount += untold
    expected = Math.min(next, expected + untold)
    this.bad = []
    this.badCount = 0
    this.seq = Math.max(this.seq, expected - 1)
    // Nobody knows what the MAC of the last of them was.
    this.chain = undefined
    return expected
  }

  private finishHead(genuine: boolean | undefined): void {
    if (this.headText === undefined) {
      // The first entry is written before there is a head.
      if (this.seq > 1 || this.prunedThrough !== undefined)
        this.find({ kind: "head", message: "the head is missing, which says where the log ends" })
      return
    }
    if (genuine === undefined)
      return this.find({ kind: "unknown-key", message: `the head: ${unknown(this.head!.key)}` })
    if (!genuine) return this.find({ kind: "head", message: "the head was edited" })
    const { seq } = this.head!
    const lost = seq > this.seq || this.findings.some(({ kind }) => kind !== "torn")
    if (!this.headSeen && !lost) {
      this.find({ kind: "head", entry: seq, message: `the head names another entry ${seq} than the log holds` })
    }
  }

  private finishAnchor(): void {
    const { anchor } = this
    if (anchor === undefined || this.anchorSeen !== undefined) return
    const { seq } = anchor
    const message =
      seq > this.seq
        ? `the log ends before entry ${seq}, which the anchor names: it is an older copy, or was truncated`
        : `entry ${seq} is not the one that the anchor names`
    this.find({ kind: "anchor", entry: seq, message })
  }

  private find(finding: Finding): void {
    this.findingCount++
    if (this.findings.length < maxFindings) this.findings.push(finding)
  }
}

const unknown = (key: string, entry?: number): string =>
  `${entry === undefined ? "" : `entry ${entry} cannot be checked: `}key ${key} is not in the ring`
