/**
 * What an audit log says: who did what when, and what came of it. Never a prompt, an answer or a key.
 */
import type { Json, Money } from "@breakwater/core"

/** Who did it. */
export interface Actor {
  readonly tenant?: string
  readonly user?: string
  /** Which API key: its name or id, never the key itself. */
  readonly key?: string
}

export type Outcome = "success" | "failure" | "interrupted" | "refused"

/** What is to be recorded. */
export interface AuditRecord {
  /** `request`, `key-created`, `configuration-changed`, …; 1 to 200 characters. */
  readonly action: string
  readonly actor?: Actor
  readonly requestId?: string
  /** What it was done to or with: `provider/model` for calls, the target that answered first. */
  readonly targets?: ReadonlyArray<string>
  readonly outcome?: Outcome
  /** The tag of the error; messages may hold what a user wrote. */
  readonly error?: string
  readonly tokens?: { readonly input: number; readonly output: number }
  readonly costNanos?: Money.NanoDollars
  readonly promptHash?: string
  /** What compliance looks for: `failover`, `strict`, `pii-redacted`, `content-filtered`, … */
  readonly flags?: ReadonlyArray<string>
  /** Anything else, as JSON. What is written here is yours to answer for: no prompts, answers or keys. */
  readonly details?: Json.Json
  /** Milliseconds since 1970. Default: now. */
  readonly at?: number
}

/** What was recorded. */
export interface AuditEntry extends AuditRecord {
  /** Counted from 1, without gaps. */
  readonly seq: number
  readonly at: number
  /** The id of the key that sealed it. */
  readonly keyId: string
}

/** Actions that the log records of itself. */
export const ownActions = {
  /** A writer was started: the first entry of every log, and one for each start after it. */
  started: "audit-started",
  /** A writer was stopped in order. */
  stopped: "audit-stopped",
  /** Writing had not been finished, by a crash; what stood there was cut off. */
  repaired: "audit-repaired",
  /** The log could not be written for a while, and is again; says since when. */
  resumed: "audit-resumed",
  /** Entries could not be kept and are lost; says how many. */
  lost: "audit-entries-lost",
  /** Another key seals from here on. */
  rotated: "audit-key-rotated",
  /** Old entries were replaced by a checkpoint. */
  pruned: "audit-pruned"
} as const
