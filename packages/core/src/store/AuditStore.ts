/**
 * Where an audit log keeps its records.
 *
 * A store keeps lines of ASCII text in order, and one text beside them, the head, which says where the log ends. It does
 * not know what they say: they are sealed and chained by `@breakwater/audit`. Lines are appended, never changed, and
 * removed only from the beginning. The contract suite in `test/contract/audit-store.ts` says what every implementation owes.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import { StoreError, withoutStack } from "../errors/LLMError.ts"

/** A line of the log as it is kept. */
export interface AuditLine {
  readonly text: string
  /** Where it stands, by the store's {@link AuditReader.places}. */
  readonly place: number
  /** It stands at the end of a file and does not end itself: writing it was not finished. */
  readonly torn?: true
}

/** The end of a log, as a writer finds it. */
export interface AuditTail {
  readonly head: string | undefined
  /** The last line. */
  readonly last: string | undefined
}

/** What a writer adds. */
export interface AuditBatch {
  /** In order; each with the sequence number it is kept by. */
  readonly lines: ReadonlyArray<{ readonly seq: number; readonly text: string }>
  /** What says from now on where the log ends. */
  readonly head: string
}

/** A log at one moment. */
export interface AuditSnapshot {
  readonly head: string | undefined
  /** The next lines in order; none at the end. */
  readonly next: Effect.Effect<ReadonlyArray<AuditLine>, StoreError>
}

/** What reading takes. */
export interface AuditReader {
  /** A short name for errors and events. */
  readonly name: string
  /** What places are: bytes before a line in a file, or sequence numbers. */
  readonly places: "bytes" | "sequence"
  readonly head: Effect.Effect<string | undefined, StoreError>
  /** Reads the log from its beginning to its end of this moment. */
  readonly read: <A, E, R>(
    use: (snapshot: AuditSnapshot) => Effect.Effect<A, E, R>
  ) => Effect.Effect<A, E | StoreError, R>
  /** The last lines, the newest first, at most `limit` of them; only those before a place, if one is given. */
  readonly newest: (limit: number, before?: number) => Effect.Effect<ReadonlyArray<AuditLine>, StoreError>
}

/** How the beginning of a log is replaced. */
export interface AuditPrune {
  /** The last sequence number that goes. */
  readonly through: number
  /** What stands in place of the lines. */
  readonly checkpoint: string
  /** The first line, as the one who prunes has read it: if it is another by now, nothing is done. */
  readonly first: string
}

/** The port. */
export interface AuditStoreService extends AuditReader {
  /**
   * Gives the end of the log to `build`, and keeps what it answers: all of it or, if it fails, nothing. Durable when it
   * succeeds. Nobody else appends meanwhile, in this process or another. `build` must not wait, and may be called again.
   */
  readonly append: <E>(build: (tail: AuditTail) => Result.Result<AuditBatch, E>) => Effect.Effect<void, StoreError | E>
  /** Puts a checkpoint in place of the oldest lines: all of it or nothing. */
  readonly prune: (prune: AuditPrune) => Effect.Effect<void, StoreError>
  /** What was cut off the end when the store was opened, because writing it had not been finished. */
  readonly repaired: { readonly offset: number; readonly bytes: number } | undefined
}

export class AuditStore extends Context.Service<AuditStore, AuditStoreService>()("@breakwater/core/AuditStore") {}

const pageSize = 1_000

/** The error of a prune that somebody else has forestalled. */
export const pruneForestalled = (store: string): StoreError =>
  withoutStack(
    () =>
      new StoreError({
        message: `${store} could not prune: the beginning of the log is not what it was when it was read`,
        store,
        operation: "prune"
      })
  )

/** A log in memory, for tests: gone with the process. */
export const makeMemory: Effect.Effect<AuditStoreService> = Effect.sync(() => {
  const name = "memory"
  let kept: ReadonlyArray<AuditLine> = []
  let head: string | undefined
  return {
    name,
    places: "sequence",
    repaired: undefined,
    head: Effect.sync(() => head),
    read: (use) =>
      Effect.suspend(() => {
        const lines = kept
        let at = 0
        return use({ head, next: Effect.sync(() => lines.slice(at, (at += pageSize))) })
      }),
    newest: (limit, before = Infinity) =>
      Effect.sync(() =>
        kept
          .filter((line) => line.place < before)
          .slice(-limit)
          .reverse()
      ),
    append: (build) =>
      Effect.suspend(() => {
        const built = build({ head, last: kept.at(-1)?.text })
        if (Result.isFailure(built)) return Effect.fail(built.failure)
        head = built.success.head
        kept = [...kept, ...built.success.lines.map(({ seq, text }) => ({ place: seq, text }))]
        return Effect.void
      }),
    prune: ({ checkpoint, first, through }) =>
      Effect.suspend(() => {
        if (kept[0]?.text !== first) return Effect.fail(pruneForestalled(name))
        kept = [{ place: through, text: checkpoint }, ...kept.filter((line) => line.place > through)]
        return Effect.void
      })
  }
})

/** {@link makeMemory} as a Layer. */
export const layerMemory: Layer.Layer<AuditStore> = Layer.effect(AuditStore, makeMemory)
