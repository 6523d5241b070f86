/**
 * An audit log: who asked what of whom, when, and what came of it, in a log that betrays tampering.
 *
 * **When to use**
 *
 * Use it where somebody has to be able to show later what was done: to auditors, customers, a court.
 *
 * **Details**
 *
 * - Entries are only ever appended. Each is sealed with AES-256-GCM and carries a MAC over itself and the MAC of the entry
 *   before, so that nothing can be changed, taken out, put in or moved without the key and not be found by `verify`.
 * - `layer` listens to the events of the program that is given it, and writes down the ends of calls and what the policies
 *   refused. No call waits for that: entries wait in memory, up to a bound, and are written in batches.
 * - `record` is for entries of your own, and is done when the entry is on the disk.
 * - Keys have ids. The last one of the ring seals, all of them open.
 * - It holds no prompts, answers or keys; errors are told by their tags.
 *
 * **Gotchas**
 *
 * Whoever can write the log's files can put an older copy of both in their place. Only an anchor that is kept elsewhere
 * betrays that: keep {@link AuditService.head} from time to time, and give it to `verify`.
 *
 * **Example** (Recording, and verifying)
 *
 * ```ts
 * import { Audit } from "@breakwater/audit"
 * import { AuditStore } from "@breakwater/core"
 * import { Effect, Layer, Redacted } from "effect"
 *
 * const program = Effect.gen(function*() {
 *   const audit = yield* Audit.Audit
 *   const { seq } = yield* audit.record({ action: "key-revoked", actor: { user: "ada" }, targets: ["key-7"] })
 *   const { sound } = yield* audit.verify()
 *   return `entry ${seq}, ${sound ? "sound" : "broken"}`
 * })
 *
 * const key = { id: "2026-11", key: Redacted.make("f".repeat(64)) }
 * const layer = Audit.layer({ keys: [key] }).pipe(Layer.provide(AuditStore.layerMemory))
 *
 * await Effect.runPromise(Effect.provide(program, layer)) // => "entry 2, sound"
 * ```
 */
import { type Attempt, AuditStore, Event, type LLMError, Options as Checks } from "@breakwater/core"
import * as Clock from "effect/Clock"
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import { createHash } from "node:crypto"
import { type EntryPage, type EntryQuery, readPage } from "./Audit/pages.ts"
import { findPrunable } from "./Audit/prune.ts"
import { resume, storeFailed } from "./Audit/resume.ts"
import { makeWriter, type Receipt, type Writer, type WriterSettings } from "./Audit/writer.ts"
import { AuditError } from "./AuditError.ts"
import { type Actor, type AuditRecord, ownActions } from "./Entry.ts"
import { KeyRing } from "./internal/keyRing.ts"
import { anchorText, parseHead } from "./internal/record.ts"
import { rawKey, rawKeys } from "./internal/rawKeys.ts"
import type { AuditKey } from "./KeyRing.ts"
import { fromEvent } from "./Mapping.ts"
import { type Verification, type VerifyOptions, verifyWith } from "./Verification.ts"

export { AuditError, type Reason } from "./AuditError.ts"
export type { EntryPage, EntryQuery } from "./Audit/pages.ts"
export type { Receipt } from "./Audit/writer.ts"
export type { Actor, AuditEntry, AuditRecord, Outcome } from "./Entry.ts"
export { ownActions } from "./Entry.ts"
export { fromEvent } from "./Mapping.ts"
export type { Finding, FindingKind, PrunedEntries, Verification, VerifyOptions } from "./Verification.ts"

/** Options of {@link make}. */
export interface Options {
  /** The keys; the last one seals, all of them open. */
  readonly keys: ReadonlyArray<AuditKey>
  /** The longest time between an event and its writing, while the store is well. `record` does not wait for it. Default 50 ms. */
  readonly flushEvery?: Duration.Input
  /** Entries written at once, at most; 1 to 1,000. Default 512. */
  readonly batch?: number
  /** Entries that may wait in memory. Beyond them those of events are lost, and `record` waits. Default 10,000. */
  readonly maxWaiting?: number
  /** Bytes of one entry as JSON; 1,024 to 8,388,608. Default 1,048,576. */
  readonly maxEntryBytes?: number
  /**
   * The longest time that `ready` and `admit` wait for a log that is behind: one that fails, that has no room, or that
   * has been writing for as long. Default 1 second.
   */
  readonly readyWait?: Duration.Input
  /** What is recorded of an event; `undefined` for nothing. One that throws loses an entry. Default: {@link fromEvent}. */
  readonly fromEvent?: (event: Event.PolicyEvent) => AuditRecord | undefined
}

/** Defaults of {@link make}. */
export const defaults = {
  flushEvery: "50 millis",
  batch: 512,
  maxWaiting: 10_000,
  maxEntryBytes: 1_048_576,
  readyWait: "1 second"
} as const satisfies Partial<Options>

/** The end of the log. */
export interface Head {
  readonly seq: number
  /** `HASH@SEQ`: to be kept where nobody can reach it who can reach the log. */
  readonly anchor: string
}

/** What pruning has done. */
export interface Pruned {
  /** The last entry that is gone; left out if none is. */
  readonly through?: number
  readonly entries: number
}

export interface AuditService {
  /** Writes an entry; done when it is durable. Waits for room, and fails when the store does. */
  readonly record: (record: AuditRecord) => Effect.Effect<Receipt, AuditError>
  /** Puts an entry down to be written. Never waits: without room it is lost, and the log will say that one was. */
  readonly offer: (record: AuditRecord) => Effect.Effect<void>
  /** For an `EventSink`: puts down what is to be recorded of an event. */
  readonly listen: (event: Event.PolicyEvent) => void
  /** Writes what waits. Fails when the store does not take it; it goes on waiting then. */
  readonly flush: Effect.Effect<void, AuditError>
  /** Entries that wait to be written. */
  readonly waiting: Effect.Effect<number>
  /** Done when the log can take entries; fails when it cannot within `readyWait`. */
  readonly ready: Effect.Effect<void, LLMError.StoreError>
  /** `ready` for `PipelineOptions.admissions`: no attempt is made that could not be recorded. */
  readonly admit: Attempt.Admit
  /** Entries, the newest first. What waits is written first. */
  readonly entries: (query?: EntryQuery) => Effect.Effect<EntryPage, AuditError>
  /** Looks through the whole log. What waits is written first. */
  readonly verify: (options?: VerifyOptions) => Effect.Effect<Verification, AuditError>
  /** The end of the log now. */
  readonly head: Effect.Effect<Head, AuditError>
  /**
   * Puts a sealed checkpoint in place of the entries before an instant (milliseconds since 1970), from the first one on.
   * Who asked for it is recorded. Fails with `broken`, and does nothing, if one of them was tampered with.
   */
  readonly prune: (beforeMs: number, actor?: Actor) => Effect.Effect<Pruned, AuditError>
  /**
   * From here on another key seals, also if this fails because the store does: it is recorded when that is back. Give it
   * to the options, too: the next start of the program needs it.
   */
  readonly rotate: (key: AuditKey) => Effect.Effect<Receipt, AuditError>
}

/** The audit log in the context. */
export class Audit extends Context.Service<Audit, AuditService>()("@breakwater/audit/Audit") {}

const settingsOf = (options: Options): Effect.Effect<WriterSettings, Config.ConfigError> => {
  const { batch, flushEvery, maxEntryBytes, maxWaiting, readyWait } = { ...defaults, ...options }
  return Effect.map(
    Checks.validate([
      Checks.positiveDuration("flushEvery", flushEvery),
      Checks.wholeInRange("batch", batch, 1, 1_000),
      Checks.wholeInRange("maxWaiting", maxWaiting, 1, 1_000_000),
      Checks.wholeInRange("maxEntryBytes", maxEntryBytes, 1_024, 8_388_608),
      Checks.positiveDuration("readyWait", readyWait)
    ]),
    () => ({
      batch,
      maxWaiting,
      maxEntryBytes,
      flushMs: Checks.millisOf(flushEvery)!,
      readyWaitMs: Checks.millisOf(readyWait)!
    })
  )
}

const ringOf = (keys: ReadonlyArray<AuditKey>): Effect.Effect<KeyRing, Config.ConfigError> => {
  const checked = rawKeys(keys.map(({ id, key }) => ({ id, text: Redacted.value(key) })))
  return checked instanceof Config.ConfigError ? Effect.fail(checked) : Effect.succeed(new KeyRing(checked))
}

/** Verifies a log that somebody else may be writing. */
export const verify = (
  reader: AuditStore.AuditReader,
  keys: ReadonlyArray<AuditKey>,
  options?: VerifyOptions
): Effect.Effect<Verification, AuditError | Config.ConfigError> =>
  Effect.flatMap(ringOf(keys), (ring) => verifyWith(reader, ring, options))

/** Reads entries of a log that somebody else may be writing, the newest first. */
export const read = (
  reader: AuditStore.AuditReader,
  keys: ReadonlyArray<AuditKey>,
  query: EntryQuery = {}
): Effect.Effect<EntryPage, AuditError | Config.ConfigError> =>
  Effect.andThen(
    checkQuery(query),
    Effect.flatMap(ringOf(keys), (ring) => readPage(reader, ring, query))
  )

const checkQuery = ({ limit = 100 }: EntryQuery): Effect.Effect<void, AuditError> =>
  Number.isSafeInteger(limit) && limit >= 1 && limit <= 10_000
    ? Effect.void
    : Effect.fail(
        new AuditError({ reason: "record", message: `limit is ${limit}; allowed: a whole number from 1 to 10000` })
      )

class Service implements AuditService {
  private readonly store: AuditStore.AuditStoreService
  private readonly ring: KeyRing
  private readonly writer: Writer
  private readonly clock: Clock.Clock
  private readonly map: NonNullable<Options["fromEvent"]>
  private readonly pruning = Semaphore.makeUnsafe(1)

  constructor(
    store: AuditStore.AuditStoreService,
    ring: KeyRing,
    writer: Writer,
    clock: Clock.Clock,
    map: NonNullable<Options["fromEvent"]>
  ) {
    this.store = store
    this.ring = ring
    this.writer = writer
    this.clock = clock
    this.map = map
    this.flush = writer.flush
    this.ready = writer.ready
  }

  readonly flush: AuditService["flush"]
  readonly ready: AuditService["ready"]

  readonly record: AuditService["record"] = (record) =>
    Effect.suspend(() => this.writer.record(record, this.clock.currentTimeMillisUnsafe()))

  readonly offer: AuditService["offer"] = (record) =>
    Effect.sync(() => this.writer.offer(record, this.clock.currentTimeMillisUnsafe()))

  readonly listen = (event: Event.PolicyEvent): void => {
    const at = this.clock.currentTimeMillisUnsafe()
    let record: AuditRecord | undefined
    try {
      record = this.map(event)
    } catch {
      return this.writer.lose(at)
    }
    if (record !== undefined) this.writer.offer(record, at)
  }

  readonly waiting = Effect.sync(() => this.writer.waiting)

  readonly admit: Attempt.Admit = () => Effect.as(Effect.interruptible(Effect.suspend(() => this.ready)), () => {})

  readonly entries: AuditService["entries"] = (query = {}) =>
    Effect.andThen(
      checkQuery(query),
      Effect.andThen(
        this.settled,
        Effect.suspend(() => readPage(this.store, this.ring, query))
      )
    )

  readonly verify: AuditService["verify"] = (options) =>
    Effect.andThen(
      this.settled,
      Effect.suspend(() => verifyWith(this.store, this.ring, options))
    )

  readonly head: AuditService["head"] = Effect.suspend(() => Effect.mapError(this.store.head, storeFailed)).pipe(
    Effect.flatMap((text) => {
      const head = text === undefined ? undefined : parseHead(text)
      return head === undefined
        ? Effect.fail(new AuditError({ reason: "broken", message: "the head is missing, or was edited" }))
        : Effect.succeed({ seq: head.seq, anchor: anchorText(head) })
    })
  )

  readonly prune: AuditService["prune"] = (beforeMs, actor) =>
    this.pruning.withPermit(
      Effect.gen({ self: this }, function* () {
        if (!Number.isFinite(beforeMs)) {
          return yield* Effect.fail(
            new AuditError({ reason: "record", message: `before is ${beforeMs}; allowed: a time` })
          )
        }
        yield* this.writer.flush
        const found = yield* findPrunable(this.store, this.ring, beforeMs)
        if (found === undefined) return { entries: 0 }
        const { checkpoint, entries, first, seq } = found
        const details = { through: seq, entries, before: new Date(beforeMs).toISOString() }
        yield* this.record({ action: ownActions.pruned, details, ...(actor === undefined ? undefined : { actor }) })
        const at = this.clock.currentTimeMillisUnsafe()
        const text = this.writer.chain.checkpoint(found, { at, payload: JSON.stringify(checkpoint) })
        yield* Effect.mapError(this.store.prune({ through: seq, checkpoint: text, first }), storeFailed)
        return { through: seq, entries }
      })
    )

  readonly rotate: AuditService["rotate"] = ({ id, key }) =>
    Effect.suspend(() => {
      const raw = rawKey(id, Redacted.value(key))
      const wrong =
        raw instanceof Config.ConfigError
          ? raw.cause.message
          : this.ring.get(id) === undefined
            ? undefined
            : `key ${id} is in the ring already`
      if (wrong !== undefined || raw instanceof Config.ConfigError) {
        return Effect.fail(new AuditError({ reason: "key", message: wrong ?? "" }))
      }
      const from = this.ring.sealing.id
      this.ring.add(raw)
      const rotated: AuditRecord = { action: ownActions.rotated, details: { from, to: id } }
      // The key seals from here on, whatever the store does: then it is recorded as soon as that is back.
      return Effect.tapError(this.record(rotated), () => this.offer(rotated))
    })

  /** Reading goes on where writing fails: what is there can be read. */
  private get settled(): Effect.Effect<void> {
    return Effect.ignore(this.writer.flush)
  }
}

/**
 * An audit log on the {@link AuditStore} in the context. The end of the scope writes what is left.
 *
 * Fails with a `ConfigError` for a wrong option, and with an `AuditError`: `broken` for a log whose end was tampered with
 * (it is not written to), `key` where a key is missing, `store` where the log cannot be read or written.
 */
export const make = (
  options: Options
): Effect.Effect<AuditService, AuditError | Config.ConfigError, AuditStore.AuditStore | Scope.Scope> =>
  Effect.gen(function* () {
    const settings = yield* settingsOf(options)
    const ring = yield* ringOf(options.keys)
    const store = yield* AuditStore.AuditStore
    const end = yield* resume(store, ring)
    const writer = yield* makeWriter(store, ring, settings)
    const service = new Service(store, ring, writer, yield* Clock.Clock, options.fromEvent ?? fromEvent)
    if (store.repaired !== undefined) {
      yield* service.record({ action: ownActions.repaired, details: { ...store.repaired } })
    }
    if (end.key !== undefined && end.key !== ring.sealing.id) {
      yield* service.record({ action: ownActions.rotated, details: { from: end.key, to: ring.sealing.id } })
    }
    yield* service.record({ action: ownActions.started, details: { key: ring.sealing.id, after: end.seq } })
    // Before the writer's own finalizer, which writes it.
    yield* Effect.addFinalizer(() => service.offer({ action: ownActions.stopped }))
    return service
  })

/** Says of a prompt which one it was, to somebody who has it. */
const promptHash = (messages: string): string => createHash("sha256").update(messages).digest("hex")

/**
 * {@link make} as a Layer, that also listens to the events of everything that is given it. A listener that is already in
 * place goes on hearing them. Where nobody else hashes prompts, their SHA-256 is recorded.
 */
export const layer = (options: Options): Layer.Layer<Audit, AuditError | Config.ConfigError, AuditStore.AuditStore> =>
  Layer.effectContext(
    Effect.gen(function* () {
      const service = yield* make(options)
      const outer = yield* Event.EventSink
      const hash = yield* Event.PromptHash
      const sink = (event: Event.PolicyEvent): void => {
        service.listen(event)
        outer?.(event)
      }
      return Context.make(Audit, service).pipe(
        Context.add(Event.EventSink, sink),
        Context.add(Event.PromptHash, hash ?? promptHash)
      )
    })
  )

/** {@link layer} with its options from the environment; keys by `KeyRing.config`. */
export const layerConfig = (
  options: Config.Wrap<Options>
): Layer.Layer<Audit, AuditError | Config.ConfigError, AuditStore.AuditStore> =>
  Layer.unwrap(Effect.map(Config.unwrap(options), layer))

/** A log that keeps nothing. */
export const noop: AuditService = {
  record: () => Effect.succeed({ seq: 0, anchor: "" }),
  offer: () => Effect.void,
  listen: () => {},
  flush: Effect.void,
  waiting: Effect.succeed(0),
  ready: Effect.void,
  admit: () => Effect.succeed(() => {}),
  entries: () => Effect.succeed({ entries: [], verified: true }),
  verify: () =>
    Effect.succeed({
      sound: true,
      checked: true,
      entries: 0,
      lines: 0,
      keys: [],
      clockSteps: 0,
      findings: [],
      findingCount: 0
    }),
  head: Effect.succeed({ seq: 0, anchor: "" }),
  prune: () => Effect.succeed({ entries: 0 }),
  rotate: () => Effect.succeed({ seq: 0, anchor: "" })
}

/** No audit log, at no cost. */
export const layerNoop: Layer.Layer<Audit> = Layer.succeed(Audit, noop)
