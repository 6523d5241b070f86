/** Adds records to the end of a log, having looked whether it is an end that its writers have left. */
import * as Result from "effect/Result"
import type { ChainKey, KeyRing } from "./keyRing.ts"
import { headOf, isGenuine, origin, parse, parseHead, Sealer } from "./record.ts"

/** What a record is sealed from. */
export interface Draft {
  readonly at: number
  /** JSON. */
  readonly payload: string
}

/** The end of a log: its last record. */
export interface End {
  readonly seq: number
  readonly chain: string
  /** The key of the last record; `undefined` before there is one. */
  readonly key: string | undefined
}

/** Why nothing is added. */
export interface Refused {
  readonly reason: "broken" | "key"
  readonly message: string
}

export interface Built {
  readonly lines: ReadonlyArray<{ readonly seq: number; readonly text: string }>
  readonly head: string
  /** The MAC of each line. */
  readonly macs: ReadonlyArray<string>
}

interface Tail {
  readonly head: string | undefined
  readonly last: string | undefined
}

const broken = (message: string) => Result.fail<Refused>({ reason: "broken", message })
const noKey = (key: string) => Result.fail<Refused>({ reason: "key", message: `key ${key} is not in the ring` })

/** Reads the end of a log; refuses one that was tampered with. */
export const endOf = ({ head, last }: Tail, ring: KeyRing): Result.Result<End, Refused> => {
  if (last === undefined) {
    return head === undefined
      ? Result.succeed({ seq: 0, chain: origin, key: undefined })
      : broken("there is a head, but no entry")
  }
  const record = parse(last)
  const genuine = record === undefined ? false : isGenuine(record, ring)
  if (record !== undefined && genuine === undefined) return noKey(record.key)
  if (record === undefined || genuine !== true) return broken("the last entry was edited, or is of another key")
  const end = { seq: record.seq, chain: record.type === "entry" ? record.mac : record.prev, key: record.key }
  if (head === undefined) {
    return record.type === "entry" && record.seq === 1 ? Result.succeed(end) : broken("the head is missing")
  }
  const named = parseHead(head)
  const headGenuine = named === undefined ? false : isGenuine(named, ring)
  if (named !== undefined && headGenuine === undefined) return noKey(named.key)
  if (named === undefined || headGenuine !== true) return broken("the head was edited, or is of another key")
  if (named.seq > end.seq) return broken(`the log ends with entry ${end.seq}, but its head names entry ${named.seq}`)
  if (named.seq === end.seq && named.chain !== end.chain) return broken(`the head names another entry ${end.seq}`)
  return Result.succeed(end)
}

export class ChainWriter {
  private readonly ring: KeyRing
  private readonly sealer = new Sealer()
  /** What this writer has left as the end itself, and need not look at again. */
  private own: { readonly tail: Tail; readonly end: End } | undefined

  constructor(ring: KeyRing) {
    this.ring = ring
  }

  build(tail: Tail, drafts: ReadonlyArray<Draft>): Result.Result<Built, Refused> {
    const { own } = this
    const known = own !== undefined && own.tail.last === tail.last && own.tail.head === tail.head
    return Result.map(known ? Result.succeed(own.end) : endOf(tail, this.ring), (end) => this.seal(end, drafts))
  }

  private seal(end: End, drafts: ReadonlyArray<Draft>): Built {
    const key: ChainKey = this.ring.sealing
    const lines: Array<{ readonly seq: number; readonly text: string }> = []
    const macs: Array<string> = []
    let { chain, seq } = end
    for (const { at, payload } of drafts) {
      seq++
      const sealed = this.sealer.seal(key, { type: "entry", seq, at: Math.floor(at), prev: chain }, payload)
      chain = sealed.mac
      lines.push({ seq, text: sealed.text })
      macs.push(sealed.mac)
    }
    const head = headOf(key, { seq, at: Math.floor(drafts.at(-1)?.at ?? 0), chain })
    this.own = { tail: { head, last: lines.at(-1)?.text }, end: { seq, chain, key: key.id } }
    return { lines, head, macs }
  }

  /** A checkpoint for what ends with an entry. */
  checkpoint(through: { readonly seq: number; readonly chain: string }, { at, payload }: Draft): string {
    const header = { type: "checkpoint", seq: through.seq, at: Math.floor(at), prev: through.chain } as const
    return this.sealer.seal(this.ring.sealing, header, payload).text
  }
}
