/**
 * Looks through a whole log, and says whether it is as its writers left it; if not, what is wrong and where.
 *
 * It needs the keys, but not the right to write: any process may verify a log that another one is writing.
 */
import type { AuditStore } from "@breakwater/core"
import * as Effect from "effect/Effect"
import { AuditError } from "./AuditError.ts"
import type { KeyRing } from "./internal/keyRing.ts"
import { decodeCheckpoint } from "./internal/payload.ts"
import { anchorText, open, parseAnchor, type SealedRecord } from "./internal/record.ts"
import { type Anchor, type Finding, Verifier } from "./internal/verifier.ts"
import { storeFailed } from "./Audit/resume.ts"

export type { Finding, FindingKind } from "./internal/verifier.ts"

export interface VerifyOptions {
  /** The end of the log as it was once, kept elsewhere: `HASH@SEQ`, as {@link Verification} and `Audit.head` give it. */
  readonly anchor?: string
}

/** What was pruned. */
export interface PrunedEntries {
  /** The last entry that is gone. */
  readonly through: number
  readonly entries: number
  /** How many of each action. */
  readonly actions: Readonly<Record<string, number>>
  readonly fromMs: number
  readonly toMs: number
}

/** What verifying has found. */
export interface Verification {
  /** Nothing is wrong: no entry was changed, taken out, put in, moved or cut off, as far as a log can tell by itself. */
  readonly sound: boolean
  /** False when nothing could be checked, because no key in the ring fits any line. */
  readonly checked: boolean
  /** Genuine entries. */
  readonly entries: number
  readonly lines: number
  /** The numbers of the first and the last of them. */
  readonly first?: number
  readonly last?: number
  readonly fromMs?: number
  readonly toMs?: number
  /** The end of the log, `HASH@SEQ`: an anchor to be kept elsewhere. */
  readonly anchor?: string
  /** Whether the anchor that was given is in the log. `pruned`: it is of an entry that is gone, and says nothing. */
  readonly anchored?: "found" | "pruned" | "missing"
  readonly pruned?: PrunedEntries
  /** What each key has sealed. */
  readonly keys: ReadonlyArray<{
    readonly id: string
    readonly entries: number
    readonly first: number
    readonly last: number
  }>
  /** Entries whose time lies more than a second before that of the one before: a clock was set back, or two differ. */
  readonly clockSteps: number
  /** In the order of the log; the first 1,000. */
  readonly findings: ReadonlyArray<Finding>
  /** How many there are. */
  readonly findingCount: number
}

const anchorOf = (text: string | undefined): Anchor | undefined | AuditError =>
  text === undefined
    ? undefined
    : (parseAnchor(text) ??
      new AuditError({ reason: "record", message: `the anchor is ${JSON.stringify(text)}; allowed: HASH@SEQ` }))

const prunedOf = (record: SealedRecord, ring: KeyRing): PrunedEntries | undefined => {
  const payload = open(record, ring)
  const checkpoint = payload === undefined ? undefined : decodeCheckpoint(payload)
  return checkpoint === undefined ? undefined : { through: record.seq, ...checkpoint }
}

const optional = <K extends string, const V>(key: K, value: V): { readonly [_ in K]?: Exclude<V, undefined> } =>
  (value === undefined ? {} : { [key]: value }) as { readonly [_ in K]?: Exclude<V, undefined> }

const resultOf = (verifier: Verifier, anchor: Anchor | undefined, pruned: PrunedEntries | undefined): Verification => ({
  sound: verifier.findingCount === 0,
  checked: verifier.checked,
  entries: verifier.genuine - (verifier.prunedThrough === undefined ? 0 : 1),
  lines: verifier.lines,
  ...optional("first", verifier.first),
  ...optional("last", verifier.first === undefined ? undefined : verifier.seq),
  ...optional("fromMs", verifier.fromMs),
  ...optional("toMs", verifier.toMs),
  ...optional(
    "anchor",
    verifier.chain === undefined || verifier.seq === 0
      ? undefined
      : anchorText({ chain: verifier.chain, seq: verifier.seq })
  ),
  ...optional("anchored", anchor === undefined ? undefined : (verifier.anchorSeen ?? "missing")),
  ...optional("pruned", pruned),
  keys: [...verifier.keys].map(([id, use]) => ({ id, ...use })),
  clockSteps: verifier.stepsBack,
  findings: verifier.findings,
  findingCount: verifier.findingCount
})

const look = (
  reader: AuditStore.AuditReader,
  ring: KeyRing,
  anchor: Anchor | undefined
): Effect.Effect<{ readonly head: string | undefined; readonly result: Verification }, AuditError> =>
  reader
    .read(({ head, next }) =>
      Effect.gen(function* () {
        const verifier = new Verifier(ring, head, reader.places, anchor)
        let pruned: PrunedEntries | undefined
        while (true) {
          const lines = yield* next
          if (lines.length === 0) break
          for (const line of lines) {
            const record = verifier.push(line)
            if (record?.type === "checkpoint") pruned = prunedOf(record, ring)
          }
          // The process has other things to do, too.
          yield* Effect.yieldNow
        }
        verifier.finish()
        return { head, result: resultOf(verifier, anchor, pruned) }
      })
    )
    .pipe(Effect.mapError((error) => (error instanceof AuditError ? error : storeFailed(error))))

/** @internal */
export const verifyWith = (
  reader: AuditStore.AuditReader,
  ring: KeyRing,
  options: VerifyOptions = {}
): Effect.Effect<Verification, AuditError> =>
  Effect.gen(function* () {
    const anchor = anchorOf(options.anchor)
    if (anchor instanceof AuditError) return yield* Effect.fail(anchor)
    for (let looks = 1; ; looks++) {
      const { head, result } = yield* look(reader, ring, anchor)
      if (result.sound || looks === 3) return result
      // It may have been pruned while it was read: then its head is another one by now.
      if ((yield* Effect.mapError(reader.head, storeFailed)) === head) return result
    }
  })
