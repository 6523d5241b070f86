/** What can go wrong with an audit log. */
import * as Data from "effect/Data"

/**
 * - `store`: the log cannot be written or read just now (a full disk, a server that is away); `cause` says why
 * - `broken`: the log is not what its writers have left: it is not written to, and looked at with `verify`
 * - `locked`: another process writes the file
 * - `key`: a key that the log needs is not in the ring
 * - `record`: what was to be recorded is too large, or no JSON
 * - `closed`: the log was closed
 */
export type Reason = "store" | "broken" | "locked" | "key" | "record" | "closed"

export class AuditError extends Data.TaggedError("AuditError")<{
  readonly reason: Reason
  readonly message: string
  readonly cause?: unknown
}> {}
