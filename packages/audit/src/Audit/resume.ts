/** Looks at the end of a log before it is written to. */
import type { AuditStore } from "@breakwater/core"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { AuditError } from "../AuditError.ts"
import { type End, endOf } from "../internal/chain.ts"
import type { KeyRing } from "../internal/keyRing.ts"
import { isGenuine, parse, parseHead } from "../internal/record.ts"

const page = 256

export const storeFailed = (cause: { readonly message: string }): AuditError =>
  new AuditError({ reason: "store", message: cause.message, cause })

/**
 * The end of the log. What stands after the entry that the head names is the last batch of a writer that was killed: it
 * must be genuine and lead to that entry.
 */
export const resume = (store: AuditStore.AuditReader, ring: KeyRing): Effect.Effect<End, AuditError> =>
  Effect.gen(function* () {
    const head = yield* Effect.mapError(store.head, storeFailed)
    const lines: Array<AuditStore.AuditLine> = []
    const named = head === undefined ? undefined : parseHead(head)
    const reached = () => {
      const record = lines.length === 0 ? undefined : parse(lines.at(-1)!.text)
      return record === undefined || record.seq <= (named?.seq ?? Infinity)
    }
    do {
      const more = yield* Effect.mapError(store.newest(page, lines.at(-1)?.place), storeFailed)
      if (more.length === 0) break
      for (const line of more) {
        lines.push(line)
        if (reached()) break
      }
    } while (!reached())
    const end = endOf({ head, last: lines[0]?.text }, ring)
    if (Result.isFailure(end)) return yield* Effect.fail(new AuditError(end.failure))
    const broken = linkBroken(lines, ring, named)
    if (broken !== undefined) return yield* Effect.fail(new AuditError({ reason: "broken", message: broken }))
    return end.success
  })

const linkBroken = (
  lines: ReadonlyArray<AuditStore.AuditLine>,
  ring: KeyRing,
  head: { readonly seq: number; readonly chain: string } | undefined
): string | undefined => {
  let wanted: string | undefined
  for (const { text } of lines) {
    const record = parse(text)
    if (record === undefined || isGenuine(record, ring) !== true) return "an entry near the end was edited"
    const chain = record.type === "entry" ? record.mac : record.prev
    if (wanted !== undefined && chain !== wanted) return `entry ${record.seq} is not the one that the next one follows`
    if (record.seq === head?.seq && chain !== head.chain) return `the head names another entry ${record.seq}`
    wanted = record.prev
  }
  return undefined
}
