/**
 * Writes the log behind the calls, in batches: one write to the disk for all that came meanwhile.
 */
import { type AuditStore, Event, LLMError } from "@breakwater/core"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import { AuditError } from "../AuditError.ts"
import { type AuditRecord, ownActions } from "../Entry.ts"
import { type Built, ChainWriter, type Draft, type Refused } from "../internal/chain.ts"
import type { KeyRing } from "../internal/keyRing.ts"
import { encode } from "../internal/payload.ts"
import { anchorText } from "../internal/record.ts"
import { storeFailed } from "./resume.ts"

export interface WriterSettings {
  readonly flushMs: number
  readonly batch: number
  readonly maxWaiting: number
  readonly maxEntryBytes: number
  readonly readyWaitMs: number
}

/** Where an entry stands. */
export interface Receipt {
  readonly seq: number
  /** The end of the log with it, `HASH@SEQ`: an anchor to be kept elsewhere. */
  readonly anchor: string
}

interface Item extends Draft {
  /** Whoever waits for it. */
  readonly done: Deferred.Deferred<Receipt, AuditError> | undefined
}

/** Waits between two tries while the store fails, in milliseconds. */
const firstRetryMs = 100
const longestRetryMs = 10_000

/** A batch of large entries is not larger, about. */
const batchBytes = 4 * 1024 * 1024

/** How long the end of the scope waits for what is left. */
const farewell = "10 seconds"

/** Why the store does not take entries, and since when. */
interface Failing {
  readonly error: AuditError
  readonly sinceMs: number
}

/** Why an append failed. A defect is a store that fails, too: without the fiber that writes nobody would write. */
const asAuditError = (cause: Cause.Cause<LLMError.StoreError | Refused>): AuditError => {
  for (const reason of cause.reasons) {
    if (reason._tag === "Fail")
      return "reason" in reason.error ? new AuditError(reason.error) : storeFailed(reason.error)
  }
  return new AuditError({ reason: "store", message: "the store is broken", cause: Cause.squash(cause) })
}

export class Writer {
  readonly chain: ChainWriter
  private readonly store: AuditStore.AuditStoreService
  private readonly settings: WriterSettings
  private readonly clock: Clock.Clock
  private readonly sink: ((event: Event.PolicyEvent) => void) | undefined
  private readonly work = Latch.makeUnsafe(false)
  private readonly urgent = Latch.makeUnsafe(false)
  private readonly room = Latch.makeUnsafe(true)
  private readonly well = Latch.makeUnsafe(true)
  private pending: Array<Item> = []
  private flushing: Array<Deferred.Deferred<void, AuditError>> = []
  private lost = { count: 0, fromMs: 0, toMs: 0 }
  private failing: Failing | undefined
  /** Whether the batch under way takes longer than anybody should wait for it. */
  private stuck = false
  private closed = false

  constructor(
    store: AuditStore.AuditStoreService,
    ring: KeyRing,
    settings: WriterSettings,
    clock: Clock.Clock,
    sink: ((event: Event.PolicyEvent) => void) | undefined
  ) {
    this.store = store
    this.clock = clock
    this.chain = new ChainWriter(ring)
    this.settings = settings
    this.sink = sink
  }

  /** Entries that wait. */
  get waiting(): number {
    return this.pending.length
  }

  /** Puts an entry down to be written. Never waits: without room it is lost, and counted. */
  offer(record: AuditRecord, at: number): void {
    const encoded = encode(record, this.settings.maxEntryBytes)
    if (this.closed || this.pending.length >= this.settings.maxWaiting || "wrong" in encoded) return this.lose(at)
    this.push({ at: record.at ?? at, payload: encoded.text, done: undefined })
  }

  /** Writes an entry; done when it is durable. Waits for room. */
  readonly record = (record: AuditRecord, at: number): Effect.Effect<Receipt, AuditError> =>
    Effect.suspend(() => {
      const encoded = encode(record, this.settings.maxEntryBytes)
      if ("wrong" in encoded) return Effect.fail(new AuditError({ reason: "record", message: encoded.wrong }))
      const done = Deferred.makeUnsafe<Receipt, AuditError>()
      const push: Effect.Effect<Receipt, AuditError> = Effect.suspend(() => {
        if (this.closed) return Effect.fail(new AuditError({ reason: "closed", message: "the audit log was closed" }))
        if (this.pending.length >= this.settings.maxWaiting) return Effect.andThen(this.room.await, push)
        this.push({ at: record.at ?? at, payload: encoded.text, done })
        this.urgent.openUnsafe()
        return Deferred.await(done)
      })
      return push
    })

  /** Done when all that waits is durable. Fails when the store fails; it goes on waiting then. */
  readonly flush: Effect.Effect<void, AuditError> = Effect.suspend(() => {
    if (this.pending.length === 0 && this.lost.count === 0) return Effect.void
    const done = Deferred.makeUnsafe<void, AuditError>()
    this.flushing.push(done)
    this.work.openUnsafe()
    this.urgent.openUnsafe()
    return Deferred.await(done)
  })

  /** Done when there is room and the store is well; fails if that takes too long. */
  readonly ready: Effect.Effect<void, LLMError.StoreError> = Effect.suspend(() =>
    Effect.timeoutOrElse(this.well.await, {
      duration: this.settings.readyWaitMs,
      orElse: () =>
        Effect.fail(
          LLMError.withoutStack(
            () =>
              new LLMError.StoreError({
                message: `the audit log is not written: ${this.notWell}`,
                store: this.store.name,
                operation: "append"
              })
          )
        )
    })
  )

  private get notWell(): string {
    if (this.failing !== undefined) return this.failing.error.message
    return this.stuck
      ? `the store has not taken a batch for longer than ${Math.round(this.settings.readyWaitMs)} ms`
      : "too many entries wait"
  }

  /** Writes until it is closed, and then what is left. */
  readonly run: Effect.Effect<void> = Effect.gen({ self: this }, function* () {
    let retryMs = firstRetryMs
    while (true) {
      yield* this.work.await
      const failed = this.failing !== undefined
      if (!this.closed) yield* Effect.timeoutOption(this.urgent.await, failed ? retryMs : this.settings.flushMs)
      const failedAgain = yield* this.writeSome
      retryMs = failed && failedAgain ? Math.min(longestRetryMs, retryMs * 2) : firstRetryMs
      if (this.closed && (failedAgain || this.pending.length === 0)) return
    }
  })

  /** Writes one batch, and says whether that failed. */
  private readonly writeSome: Effect.Effect<boolean> = Effect.suspend(() => {
    const items = this.take()
    const { failing, lost } = this
    const drafts: Array<Draft> = [...items, ...this.ownDrafts()]
    if (drafts.length === 0) {
      this.rest()
      return Effect.succeed(false)
    }
    let built: Built | undefined
    const append = this.store.append((tail) => Result.map(this.chain.build(tail, drafts), (made) => (built = made)))
    return Effect.matchCauseEffect(this.watched(append), {
      onSuccess: () => Effect.as(this.written(items, built!, lost), false),
      onFailure: (cause) => Effect.as(this.refused(items, asAuditError(cause), failing?.sinceMs), true)
    })
  }).pipe(Effect.uninterruptible)

  /** While a store takes no end, nobody is told that what comes can be written. */
  private watched<E>(append: Effect.Effect<void, E>): Effect.Effect<void, E> {
    return Effect.withFiber((fiber) => {
      const timer = Effect.runForkWith(fiber.context)(
        Effect.andThen(
          Effect.sleep(this.settings.readyWaitMs),
          Effect.sync(() => {
            this.stuck = true
            this.well.closeUnsafe()
          })
        )
      )
      return Effect.onExitPrimitive(append, () => {
        timer.interruptUnsafe()
        this.stuck = false
        return undefined
      })
    })
  }

  /** What the log says of itself: that it was not written for a while, and what was lost. */
  private ownDrafts(): ReadonlyArray<Draft> {
    const { failing, lost } = this
    const drafts: Array<Draft> = []
    const at = this.clock.currentTimeMillisUnsafe()
    if (failing !== undefined) {
      const details = { sinceMs: failing.sinceMs, reason: failing.error.reason }
      drafts.push({ at, payload: JSON.stringify({ action: ownActions.resumed, details }) })
    }
    if (lost.count > 0) {
      const details = { count: lost.count, fromMs: lost.fromMs, toMs: lost.toMs }
      drafts.push({ at, payload: JSON.stringify({ action: ownActions.lost, details }) })
    }
    return drafts
  }

  private take(): ReadonlyArray<Item> {
    let bytes = 0
    let count = 0
    while (count < this.pending.length && count < this.settings.batch && bytes < batchBytes) {
      bytes += this.pending[count++]!.payload.length
    }
    return this.pending.slice(0, count)
  }

  private written(items: ReadonlyArray<Item>, built: Built, lost: Writer["lost"]): Effect.Effect<void> {
    this.pending.splice(0, items.length)
    if (lost.count > 0) {
      const more = this.lost.count - lost.count
      this.lost = { ...this.lost, count: more, fromMs: more > 0 ? lost.toMs : 0 }
    }
    const told = this.tell(undefined)
    const flushed = this.rest()
    // Last: whoever waited may go on at once, and find everything as it is by now.
    for (const [index, { done }] of items.entries()) {
      if (done === undefined) continue
      const { seq } = built.lines[index]!
      Deferred.doneUnsafe(done, Effect.succeed({ seq, anchor: anchorText({ seq, chain: built.macs[index]! }) }))
    }
    for (const done of flushed) Deferred.doneUnsafe(done, Effect.void)
    return told
  }

  private refused(items: ReadonlyArray<Item>, error: AuditError, sinceMs: number | undefined): Effect.Effect<void> {
    // Those who wait are told, and may try again; the others stay.
    const kept = items.filter(({ done }) => done === undefined)
    this.pending = [...kept, ...this.pending.slice(items.length)]
    const told = this.tell({ error, sinceMs: sinceMs ?? this.clock.currentTimeMillisUnsafe() })
    const flushing = this.flushing.splice(0)
    this.rest()
    for (const { done } of items) if (done !== undefined) Deferred.doneUnsafe(done, Effect.fail(error))
    for (const done of flushing) Deferred.doneUnsafe(done, Effect.fail(error))
    return told
  }

  private push(item: Item): void {
    this.pending.push(item)
    if (this.pending.length >= this.settings.maxWaiting) {
      this.room.closeUnsafe()
      this.well.closeUnsafe()
    }
    this.work.openUnsafe()
  }

  /** After a batch: the latches as what is left has it. Answers with those who waited for nothing to be left. */
  private rest(): ReadonlyArray<Deferred.Deferred<void, AuditError>> {
    if (this.pending.length < this.settings.maxWaiting) this.room.openUnsafe()
    const idle = this.pending.length === 0 && this.lost.count === 0
    const flushed = idle ? this.flushing.splice(0) : []
    // A store that fails is tried again also when nothing waits: calls may be held up until it is well.
    if (idle && this.failing === undefined && !this.closed) this.work.closeUnsafe()
    if (this.flushing.length === 0 && !this.pending.some(({ done }) => done !== undefined)) this.urgent.closeUnsafe()
    return flushed
  }

  /** Counts an entry that is not written. */
  lose(at: number): void {
    const { count, fromMs } = this.lost
    this.lost = { count: count + 1, fromMs: count === 0 ? at : fromMs, toMs: at }
    if (!this.closed) this.work.openUnsafe()
    this.emit({ type: "audit-entries-lost", store: this.store.name, count: 1 })
  }

  /** Says once that the store is lost, and once that it is back. */
  private tell(failing: Failing | undefined): Effect.Effect<void> {
    const changed = (failing === undefined) !== (this.failing === undefined)
    this.failing = failing
    if (failing === undefined && this.pending.length < this.settings.maxWaiting) this.well.openUnsafe()
    else this.well.closeUnsafe()
    if (!changed) return Effect.void
    const waiting = this.pending.length
    this.emit({
      type: "audit-store-changed",
      store: this.store.name,
      available: failing === undefined,
      waiting,
      ...(failing === undefined ? undefined : { reason: failing.error.reason, message: failing.error.message })
    })
    return failing === undefined
      ? Effect.logInfo("The audit log is written again")
      : Effect.logError(`The audit log is not written: ${failing.error.message}`)
  }

  private emit(event: Event.PolicyEvent): void {
    try {
      this.sink?.(event)
    } catch {
      // What happened to the log stands, whatever its observers do.
    }
  }

  /** Nothing more is taken; what waits is written, for a while. */
  close(fiber: Fiber.Fiber<void>): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.closed = true
      this.room.openUnsafe()
      this.work.openUnsafe()
      this.urgent.openUnsafe()
      return Effect.timeoutOption(Fiber.await(fiber), farewell)
    }).pipe(
      Effect.andThen(
        Effect.suspend(() => {
          fiber.interruptUnsafe()
          const left = this.pending.length + this.lost.count
          const error = new AuditError({ reason: "closed", message: "the audit log was closed" })
          for (const { done } of this.pending) if (done !== undefined) Deferred.doneUnsafe(done, Effect.fail(error))
          for (const done of this.flushing.splice(0)) Deferred.doneUnsafe(done, Effect.fail(error))
          return left === 0 ? Effect.void : Effect.logError(`The audit log lost ${left} entries at its end`)
        })
      )
    )
  }
}

/** A writer that writes until the scope ends. */
export const makeWriter = (
  store: AuditStore.AuditStoreService,
  ring: KeyRing,
  settings: WriterSettings
): Effect.Effect<Writer, never, Scope.Scope> =>
  Effect.gen(function* () {
    const writer = new Writer(store, ring, settings, yield* Clock.Clock, yield* Event.EventSink)
    const fiber = yield* Effect.forkDetach(writer.run)
    yield* Effect.addFinalizer(() => writer.close(fiber))
    return writer
  })
