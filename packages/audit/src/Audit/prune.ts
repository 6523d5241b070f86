/** Puts a checkpoint in place of the oldest entries. */
import type { AuditStore } from "@breakwater/core"
import * as Effect from "effect/Effect"
import { AuditError } from "../AuditError.ts"
import type { KeyRing } from "../internal/keyRing.ts"
import { type Checkpoint, decode, decodeCheckpoint, Tally } from "../internal/payload.ts"
import { open, type SealedRecord } from "../internal/record.ts"
import { Verifier } from "../internal/verifier.ts"
import { storeFailed } from "./resume.ts"

/** What is to go. */
export interface Prunable {
  /** The last entry of it, and its MAC. */
  readonly seq: number
  readonly chain: string
  /** Entries that go now. */
  readonly entries: number
  /** What the checkpoint will say: these, and those of a checkpoint before. */
  readonly checkpoint: Checkpoint
  /** The text of the first line. */
  readonly first: string
}

const broken = (message: string) => new AuditError({ reason: "broken", message: `nothing is pruned: ${message}` })

class Collector {
  last: SealedRecord | undefined
  first: string | undefined
  entries = 0
  done = false
  private readonly tally = new Tally()
  private readonly ring: KeyRing
  private readonly verifier: Verifier
  private readonly beforeMs: number

  constructor(ring: KeyRing, head: string | undefined, places: "bytes" | "sequence", beforeMs: number) {
    this.ring = ring
    this.verifier = new Verifier(ring, head, places, undefined)
    this.beforeMs = beforeMs
  }

  /** Takes a line; answers with what is wrong with it. */
  push(line: AuditStore.AuditLine): string | undefined {
    this.first ??= line.text
    const record = this.verifier.push(line)
    if (record === undefined || this.verifier.findingCount > 0 || this.verifier.hasGaps) {
      return `line ${this.verifier.lines} was tampered with`
    }
    if (record.type === "entry" && record.at >= this.beforeMs) {
      this.done = true
      return undefined
    }
    const payload = open(record, this.ring)
    const said = payload === undefined ? undefined : this.count(record, payload)
    if (said === undefined) return `line ${this.verifier.lines} does not open`
    return undefined
  }

  private count(record: SealedRecord, payload: string): true | undefined {
    if (record.type === "checkpoint") {
      const checkpoint = decodeCheckpoint(payload)
      if (checkpoint === undefined) return undefined
      this.tally.addAll(checkpoint)
      return true
    }
    const entry = decode(record, payload)
    if (entry === undefined) return undefined
    this.last = record
    this.entries++
    this.tally.add(entry.action, entry.at)
    return true
  }

  get prunable(): Prunable | undefined {
    const { entries, first, last } = this
    if (last === undefined || first === undefined) return undefined
    return { seq: last.seq, chain: last.mac, entries, checkpoint: this.tally.checkpoint, first }
  }
}

/** The entries before an instant, from the first on; `undefined` if there are none. Fails if they were tampered with. */
export const findPrunable = (
  store: AuditStore.AuditReader,
  ring: KeyRing,
  beforeMs: number
): Effect.Effect<Prunable | undefined, AuditError> =>
  store
    .read(({ head, next }) =>
      Effect.gen(function* () {
        const collector = new Collector(ring, head, store.places, beforeMs)
        while (true) {
          const lines = yield* next
          if (lines.length === 0) return collector.prunable
          for (const line of lines) {
            const wrong = collector.push(line)
            if (wrong !== undefined) return yield* Effect.fail(broken(wrong))
            if (collector.done) return collector.prunable
          }
          yield* Effect.yieldNow
        }
      })
    )
    .pipe(Effect.mapError((error) => (error instanceof AuditError ? error : storeFailed(error))))
