/** What is in the boxes: entries and checkpoints as JSON, and back. */
import type { AuditEntry, AuditRecord } from "../Entry.ts"
import type { SealedRecord } from "./record.ts"

/** What a checkpoint says of the entries that it stands for. */
export interface Checkpoint {
  readonly entries: number
  /** How many of each action. */
  readonly actions: Readonly<Record<string, number>>
  readonly fromMs: number
  readonly toMs: number
}

const whole = (value: number): boolean => Number.isSafeInteger(value) && value >= 0

/** What is wrong with a record; `undefined` if nothing is. */
const wrongWith = (record: AuditRecord): string | undefined => {
  if (typeof record.action !== "string" || record.action.length < 1 || record.action.length > 200) {
    return "action is not a text of 1 to 200 characters"
  }
  if (record.tokens !== undefined && !(whole(record.tokens.input) && whole(record.tokens.output))) {
    return "tokens are not whole numbers of at least 0"
  }
  if (record.at !== undefined && !Number.isSafeInteger(Math.floor(record.at))) return "at is not a time in milliseconds"
  return undefined
}

/** A record as JSON, or what is wrong with it. */
export const encode = (
  record: AuditRecord,
  maxBytes: number
): { readonly text: string } | { readonly wrong: string } => {
  const wrong = wrongWith(record)
  if (wrong !== undefined) return { wrong }
  const { at: _, costNanos, ...rest } = record
  try {
    const text = JSON.stringify({
      ...rest,
      ...(costNanos === undefined ? undefined : { costNanos: String(costNanos) })
    })
    const bytes = Buffer.byteLength(text)
    return bytes > maxBytes ? { wrong: `it takes ${bytes} bytes; allowed are ${maxBytes}` } : { text }
  } catch (cause) {
    return { wrong: `it is no JSON: ${cause instanceof Error ? cause.message : String(cause)}` }
  }
}

/** The entry in an opened box; `undefined` if it is none. */
export const decode = (record: SealedRecord, payload: string): AuditEntry | undefined => {
  try {
    const { costNanos, ...rest } = JSON.parse(payload) as Omit<AuditRecord, "costNanos"> & {
      readonly costNanos?: string
    }
    return {
      seq: record.seq,
      at: record.at,
      keyId: record.key,
      ...rest,
      ...(costNanos === undefined ? undefined : { costNanos: BigInt(costNanos) })
    }
  } catch {
    return undefined
  }
}

/** What a checkpoint's box says; `undefined` if it is none. */
export const decodeCheckpoint = (payload: string): Checkpoint | undefined => {
  try {
    return JSON.parse(payload) as Checkpoint
  } catch {
    return undefined
  }
}

/** Counts entries for a checkpoint. */
export class Tally {
  private readonly actions = new Map<string, number>()
  private entries = 0
  private fromMs = Infinity
  private toMs = -Infinity

  add(action: string, at: number, count = 1): void {
    this.actions.set(action, (this.actions.get(action) ?? 0) + count)
    this.entries += count
    this.fromMs = Math.min(this.fromMs, at)
    this.toMs = Math.max(this.toMs, at)
  }

  /** Takes over what an earlier checkpoint says. */
  addAll({ actions, fromMs, toMs }: Checkpoint): void {
    for (const [action, count] of Object.entries(actions)) this.add(action, fromMs, count)
    this.toMs = Math.max(this.toMs, toMs)
  }

  get checkpoint(): Checkpoint {
    return {
      entries: this.entries,
      actions: Object.fromEntries(this.actions),
      fromMs: this.fromMs,
      toMs: this.toMs
    }
  }
}
