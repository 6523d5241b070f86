/**
 * An audit log in a file: a line of JSON for each entry, appended and on the disk before it is acknowledged.
 *
 * Beside `FILE` stand `FILE.head`, which says where the log ends, and `FILE.lock`, which keeps a second process from
 * writing. The lock is the operating system's and ends with the process. Anybody may read meanwhile who may read the
 * file: what takes its place, and its head, have its permissions. A link is another name of the same log.
 *
 * A process that is killed while it writes leaves an unfinished line at most; the next one writes over it and records that.
 * A full disk fails an append and leaves nothing of it behind.
 */
import { AuditStore, LLMError, Options as Checks } from "@breakwater/core"
import type * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import { AuditError } from "./AuditError.ts"
import { lock, type Unlock } from "./internal/fileLock.ts"
import { LogFile, readHead, realPath } from "./internal/logFile.ts"
import { openReader, type Reader } from "./internal/fileReader.ts"

export interface Options {
  /** The file. Its folder must be there. */
  readonly path: string
  /**
   * When an entry is acknowledged: `full` when it is on the disk (a power cut loses nothing), `normal` when it is with the
   * operating system (a killed process loses nothing). Default `full`.
   */
  readonly synchronous?: "full" | "normal"
}

/** Defaults of {@link make}. */
export const defaults = { synchronous: "full" } as const satisfies Omit<Options, "path">

const name = "audit file"

const messageOf = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause))

const storeError = (operation: string, cause: unknown): LLMError.StoreError =>
  LLMError.withoutStack(
    () =>
      new LLMError.StoreError({
        message: `${name} could not ${operation}: ${messageOf(cause)}`,
        store: name,
        operation,
        cause
      })
  )

/** What the disk does is not to be stopped half-way. */
const io = <A>(operation: string, run: () => Promise<A>): Effect.Effect<A, LLMError.StoreError> =>
  Effect.uninterruptible(Effect.tryPromise({ try: run, catch: (cause) => storeError(operation, cause) }))

/** How often, and how long apart, the rest of a line is waited for that another process may be writing. */
const tornWaits = 25
const tornWait = "20 millis"

const readFrom =
  (opening: Effect.Effect<Reader, LLMError.StoreError>): AuditStore.AuditReader["read"] =>
  (use) =>
    Effect.acquireUseRelease(
      opening,
      (reader) => {
        let waits = 0
        const next: Effect.Effect<ReadonlyArray<AuditStore.AuditLine>, LLMError.StoreError> = Effect.flatMap(
          io("read", () => reader.next(waits >= tornWaits)),
          (lines) => {
            if (lines !== "unfinished") return Effect.succeed(lines)
            waits++
            return Effect.andThen(Effect.sleep(tornWait), next)
          }
        )
        return use({ head: reader.head, next })
      },
      (reader) => Effect.promise(() => reader.close())
    )

const placed = ({ offset, text }: { readonly offset: number; readonly text: string }): AuditStore.AuditLine => ({
  text,
  place: offset
})

/** A log that is only read: by another process than the one that writes it, say. Fails when the file is not there. */
export const reader = (path: string): AuditStore.AuditReader => {
  const opening = io("read", async () => openReader(await realPath(path), undefined))
  return {
    name,
    places: "bytes",
    head: io("read", async () => readHead(await realPath(path))),
    read: readFrom(opening),
    newest: (limit, before) =>
      Effect.acquireUseRelease(
        opening,
        (opened) =>
          Effect.map(
            io("read", () => opened.newest(limit, before)),
            (lines) => lines.map(placed)
          ),
        (opened) => Effect.promise(() => opened.close())
      )
  }
}

const acquireLock = (path: string): Effect.Effect<Unlock, AuditError, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.flatMap(
      Effect.try({
        try: () => lock(`${path}.lock`),
        catch: (cause) =>
          new AuditError({ reason: "store", message: `${path}.lock cannot be made: ${messageOf(cause)}`, cause })
      }),
      (unlock) =>
        unlock === undefined
          ? Effect.fail(new AuditError({ reason: "locked", message: `another process writes ${path}` }))
          : Effect.succeed(unlock)
    ),
    (unlock) => Effect.sync(unlock)
  )

/**
 * Opens a log to write it, or makes one (readable by its owner alone).
 *
 * Fails with an `AuditError`: `locked` while another process writes the file, `store` where it cannot be opened.
 */
export const make = (
  options: Options
): Effect.Effect<AuditStore.AuditStoreService, AuditError | Config.ConfigError, Scope.Scope> =>
  Effect.gen(function* () {
    const { path: given, synchronous } = { ...defaults, ...options }
    yield* Checks.validate([
      given.trim() === "" ? Checks.optionError("path", given, "the path of a file") : undefined,
      synchronous !== "full" && synchronous !== "normal"
        ? Checks.optionError("synchronous", synchronous, "full, normal")
        : undefined
    ])
    // However it is called, it is one log.
    const path = yield* Effect.promise(() => realPath(given))
    yield* acquireLock(path)
    const log = yield* Effect.acquireRelease(
      Effect.mapError(
        io("open", () => LogFile.open(path, synchronous === "full")),
        (cause) =>
          new AuditError({ reason: "store", message: `${path} cannot be opened: ${messageOf(cause.cause)}`, cause })
      ),
      (opened) => Effect.promise(() => opened.close())
    )
    const turn = Semaphore.makeUnsafe(1)
    return {
      name,
      places: "bytes",
      repaired: log.repaired,
      // From the disk, where somebody may have changed it, and not in the middle of an append.
      head: turn.withPermit(io("read", () => readHead(path))),
      read: readFrom(turn.withPermit(io("read", () => openReader(path, log.end)))),
      newest: (limit, before) =>
        turn.withPermit(
          Effect.map(
            io("read", () => log.newest(limit, before)),
            (lines) => lines.slice(0, limit).map(placed)
          )
        ),
      append: <E>(build: (tail: AuditStore.AuditTail) => Result.Result<AuditStore.AuditBatch, E>) =>
        turn.withPermit(
          Effect.suspend((): Effect.Effect<void, LLMError.StoreError | E> => {
            const built = build({ head: log.head, last: log.last })
            return Result.isFailure(built)
              ? Effect.fail(built.failure)
              : io("append", () => log.append(built.success.lines, built.success.head))
          })
        ),
      prune: ({ checkpoint, first, through }) =>
        turn.withPermit(
          Effect.flatMap(
            io("prune", () => log.prune(through, checkpoint, first)),
            (done) => (done ? Effect.void : Effect.fail(AuditStore.pruneForestalled(name)))
          )
        )
    }
  })

/** {@link make} as a Layer. */
export const layer = (options: Options): Layer.Layer<AuditStore.AuditStore, AuditError | Config.ConfigError> =>
  Layer.effect(AuditStore.AuditStore, make(options))
