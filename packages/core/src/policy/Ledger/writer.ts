/**
 * Writes the ledger behind the calls: they put down what there is to write and go on.
 */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import type { LedgerRecord } from "../../domain/Ledger.ts"
import type { PricingService } from "../../domain/Price.ts"
import type { StoreError } from "../../errors/LLMError.ts"
import { emit } from "../../internal/emit.ts"
import type { LedgerStoreService } from "../../store/LedgerStore.ts"
import type { LedgerCall } from "../Ledger.ts"
import { entriesOf, type Pending } from "./entries.ts"
import type { AttemptRecord } from "../../domain/Call.ts"

export interface WriterSettings {
  readonly flushMs: number
  readonly batch: number
  readonly maxWaiting: number
  readonly fingerprints: boolean
  readonly idPrefix: string
}

/** Waits between two tries while the store fails, in milliseconds. */
const firstRetryMs = 100
const longestRetryMs = 10_000

/** How long the end of the scope waits for what is left. */
const farewell = "10 seconds"

export class Writer {
  private readonly store: LedgerStoreService
  private readonly settings: WriterSettings
  private readonly prices: PricingService | undefined
  private readonly context: Context.Context<never>
  private readonly turn = Semaphore.makeUnsafe(1)
  private readonly work = Latch.makeUnsafe(false)
  private readonly pending: Array<Pending> = []
  /** Records made of the first pending calls, which the store did not take yet. */
  private batch:
    | { readonly records: ReadonlyArray<LedgerRecord>; readonly calls: number; readonly attempts: number }
    | undefined
  private waiting = 0
  private ids = 0
  private lost = false
  private closed = false

  constructor(
    store: LedgerStoreService,
    settings: WriterSettings,
    prices: PricingService | undefined,
    context: Context.Context<never>
  ) {
    this.store = store
    this.settings = settings
    this.prices = prices
    this.context = context
  }

  /** Attempts that wait to be written. */
  get size(): number {
    return this.waiting
  }

  readonly record = (call: LedgerCall, attempts: ReadonlyArray<AttemptRecord>): void => {
    const count = attempts.length
    if (count === 0) return
    if (this.closed || this.waiting + count > this.settings.maxWaiting) {
      this.tellLost(count)
      return
    }
    this.pending.push({ call, attempts, firstId: this.ids })
    this.ids += count
    this.waiting += count
    if (this.pending.length === 1) this.work.openUnsafe()
  }

  /** Writes one batch, if there is anything to write. What fails stays, and is the same batch the next time. */
  private readonly writeSome: Effect.Effect<void, StoreError> = Effect.suspend(() => {
    if (this.batch === undefined) {
      let calls = 0
      let attempts = 0
      const records: Array<LedgerRecord> = []
      while (calls < this.pending.length && records.length < this.settings.batch) {
        const next = this.pending[calls++]!
        attempts += next.attempts.length
        records.push(...entriesOf(next, this.settings.idPrefix, this.settings.fingerprints, this.prices))
      }
      if (calls === 0) {
        this.work.closeUnsafe()
        return Effect.void
      }
      this.batch = { records, calls, attempts }
    }
    const batch = this.batch
    return Effect.matchEffect(this.store.append(batch.records), {
      onSuccess: () =>
        Effect.sync(() => {
          this.pending.splice(0, batch.calls)
          this.waiting -= batch.attempts
          this.batch = undefined
          this.tellAvailable(undefined)
        }),
      onFailure: (error) => {
        this.tellAvailable(error)
        return Effect.fail(error)
      }
    })
  })

  /** Writes all there is. Fails at the first batch that the store does not take. */
  readonly flush: Effect.Effect<void, StoreError> = this.turn.withPermits(1)(
    Effect.andThen(
      Effect.suspend(() => this.writeSome),
      Effect.whileLoop({ while: () => this.pending.length > 0, body: () => this.writeSome, step: () => {} })
    )
  )

  /** Writes for ever. */
  readonly run: Effect.Effect<never> = Effect.suspend(() => {
    let retryMs = firstRetryMs
    return Effect.forever(
      this.work.await.pipe(
        Effect.andThen(Effect.suspend(() => Effect.sleep(this.lost ? retryMs : this.settings.flushMs))),
        Effect.andThen(Effect.suspend(() => this.flush)),
        Effect.match({
          onSuccess: () => {
            retryMs = firstRetryMs
          },
          onFailure: () => {
            retryMs = Math.min(longestRetryMs, retryMs * 2)
          }
        })
      )
    )
  })

  /** Writes what is left, for a while. What the store does not take by then is lost, and said to be. */
  readonly close: Effect.Effect<void> = Effect.suspend(() => {
    this.closed = true
    return Effect.andThen(
      Effect.ignore(Effect.timeout(this.flush, farewell)),
      Effect.sync(() => {
        if (this.waiting > 0) this.tellLost(this.waiting)
      })
    )
  })

  private tellAvailable(error: StoreError | undefined): void {
    const lost = error !== undefined
    if (lost === this.lost) return
    this.lost = lost
    emit({ context: this.context }, () => ({
      type: "ledger-store-changed",
      store: this.store.name,
      available: !lost,
      waiting: this.waiting,
      ...(error === undefined ? undefined : { error })
    }))
  }

  private tellLost(count: number): void {
    emit({ context: this.context }, () => ({ type: "ledger-records-lost", store: this.store.name, count }))
  }
}

/** A writer that writes until the scope ends, and then what is left. */
export const makeWriter = (
  store: LedgerStoreService,
  settings: WriterSettings,
  prices: PricingService | undefined
): Effect.Effect<Writer, never, Scope.Scope> =>
  Effect.gen(function* () {
    const writer = new Writer(store, settings, prices, yield* Effect.context<never>())
    yield* Effect.addFinalizer(() => writer.close)
    yield* Effect.forkScoped(writer.run)
    return writer
  })
