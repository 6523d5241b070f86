/**
 * The engine of budgets: worst cases into claims, claims into reservations, attempts into charges.
 */
import * as Effect from "effect/Effect"
import type { AttemptRecord, BudgetStanding } from "../../domain/Call.ts"
import type { CallContext } from "../../domain/CallContext.ts"
import type { NanoDollars } from "../../domain/Money.ts"
import type { PricingService } from "../../domain/Price.ts"
import type { StoreError } from "../../errors/LLMError.ts"
import { emit } from "../../internal/emit.ts"
import { lateStore } from "../../internal/storeErrors.ts"
import type { StoreWatch } from "../../internal/storeWatch.ts"
import { clockOf } from "../../internal/time.ts"
import { timeLimit } from "../../internal/timeLimit.ts"
import type {
  BudgetGrant,
  BudgetRefusal,
  BudgetReservation,
  BudgetStoreService,
  LocalBudgetHold,
  LocalBudgetStore
} from "../../store/BudgetStore.ts"
import type { BudgetCall, BudgetError, Hold, SettleBudget, Snapshot } from "../Budget.ts"
import {
  chargesOf,
  claimsOf,
  type Costs,
  type Entry,
  evenly,
  snapshotOf,
  type Standing,
  standingIn,
  standingOf
} from "./claims.ts"
import { refused, type Sender, tellMarks } from "./notices.ts"
import type { Resolved } from "./Options.ts"
import { assess } from "./worst.ts"

/** Settles at a store that is far away, later. */
export interface FarSettlement {
  readonly reservation: BudgetReservation
  readonly charges: ReadonlyArray<bigint>
  /** Whether the end of the program waits for it. */
  readonly awaited: boolean
  readonly settled: (spent: ReadonlyArray<bigint>) => void
}

export interface EngineParts {
  readonly settings: Resolved
  readonly prices: PricingService
  readonly store: BudgetStoreService
  /** Knows whether a store that is far away is lost. */
  readonly watch: StoreWatch | undefined
  /** Keeps accounts while the store is lost. */
  readonly fallback: LocalBudgetStore | undefined
  readonly settleLater: (settlement: FarSettlement) => void
  readonly nextId: () => string
}

/** What was taken for a call. */
interface Taken {
  readonly entries: ReadonlyArray<Entry>
  /** Replaces it by what was spent, and says how the limits stand; the first time only. */
  readonly settle: (charges: ReadonlyArray<bigint>) => BudgetStanding | undefined
  /** How the limits would stand. */
  readonly standing: (charges: ReadonlyArray<bigint>) => BudgetStanding | undefined
}

type Mutable<A> = { -readonly [K in keyof A]: A[K] } & ((
  attempts: ReadonlyArray<AttemptRecord>
) => BudgetStanding | undefined)

const settleOf = (taken: Taken, costs: Costs): SettleBudget => {
  const settle: Mutable<SettleBudget> = (records) => taken.settle(chargesOf(taken.entries, records, costs))
  settle.standing = (records) => taken.standing(chargesOf(taken.entries, records, costs))
  return settle
}

const unaccounted: Taken = { entries: [], settle: () => undefined, standing: () => undefined }

/** Taken from accounts in this process. */
class TakenHere implements Taken {
  private readonly from: Sender
  readonly entries: ReadonlyArray<Entry>
  private readonly held: LocalBudgetHold

  constructor(from: Sender, entries: ReadonlyArray<Entry>, held: LocalBudgetHold) {
    this.from = from
    this.entries = entries
    this.held = held
  }

  settle(charges: ReadonlyArray<bigint>): BudgetStanding | undefined {
    if (!this.held.settle(charges)) return undefined
    tellMarks(this.from, this.entries, charges, this.held)
    return standingOf(this.entries, this.held, undefined)
  }

  standing(charges: ReadonlyArray<bigint>): BudgetStanding | undefined {
    return standingOf(this.entries, this.held, charges)
  }
}

export class Engine {
  private readonly parts: EngineParts

  constructor(parts: EngineParts) {
    this.parts = parts
  }

  readonly reserve = (call: BudgetCall): Effect.Effect<SettleBudget, BudgetError> =>
    Effect.withFiber((running) => {
      const from: Sender = { context: running.context }
      const nowMs = clockOf(running).currentTimeMillisUnsafe()
      const { prices, settings, store } = this.parts
      const worst = assess(settings, prices, call, nowMs, from)
      if ("_tag" in worst) return Effect.fail(worst)
      const entries = claimsOf(settings.rules, call.context, call.targets, worst, nowMs)
      if (store.local === undefined)
        return Effect.map(this.takeFar(from, entries, nowMs, call.requestId), (taken) => settleOf(taken, worst))
      const taken = this.takeHere(from, store.local, entries, nowMs, call.requestId)
      return "_tag" in taken ? Effect.fail(taken) : Effect.succeed(settleOf(taken, worst))
    })

  readonly hold = (
    context: CallContext,
    amount: NanoDollars,
    target: string | undefined
  ): Effect.Effect<Hold, BudgetError> =>
    Effect.withFiber((running) => {
      const from: Sender = { context: running.context }
      const nowMs = clockOf(running).currentTimeMillisUnsafe()
      const targets = target === undefined ? [] : [target]
      const entries = claimsOf(this.parts.settings.rules, context, targets, { whole: amount, at: () => amount }, nowMs)
      return Effect.map(
        this.take(from, entries, nowMs, undefined),
        (taken): Hold =>
          (spent) =>
            void taken.settle(evenly(taken.entries, spent))
      )
    })

  readonly snapshot = (
    context: CallContext,
    targets: ReadonlyArray<string>
  ): Effect.Effect<ReadonlyArray<Snapshot>, StoreError> =>
    Effect.withFiber((fiber) => {
      const nowMs = clockOf(fiber).currentTimeMillisUnsafe()
      const entries = claimsOf(this.parts.settings.rules, context, targets, { whole: 0n, at: () => 0n }, nowMs)
      return Effect.forEach(entries, ({ account, place, window }) =>
        Effect.map(this.parts.store.balance(account, window), (balance) => snapshotOf(place, window, balance))
      )
    })

  readonly accounts = (limit: number): Effect.Effect<ReadonlyArray<Snapshot>, StoreError> =>
    Effect.withFiber((fiber) => {
      const nowMs = clockOf(fiber).currentTimeMillisUnsafe()
      const { settings, store } = this.parts
      return Effect.map(
        Effect.forEach(settings.rules, (rule) => {
          const window = rule.windowAt(nowMs)
          if (store.accounts === undefined) return Effect.succeed<ReadonlyArray<Snapshot>>([])
          return Effect.map(store.accounts(rule.prefix, window, limit), (found) => {
            const all = found.flatMap((balance): ReadonlyArray<Snapshot> => {
              const place = rule.placeOf(balance.account.slice(rule.prefix.length))
              return place === undefined ? [] : [snapshotOf(place, window, balance)]
            })
            // There is one account of everything, whether or not anything was spent.
            if (rule.scope !== "global" || all.length > 0) return all
            return [snapshotOf(rule.placeOf("")!, window, { spent: 0n, reserved: 0n })]
          })
        }),
        (each) => each.flat().slice(0, limit)
      )
    })

  // --- taking -------------------------------------------------------------------------------------------------

  private take(
    from: Sender,
    entries: ReadonlyArray<Entry>,
    nowMs: number,
    requestId: string | undefined
  ): Effect.Effect<Taken, BudgetError> {
    const { local } = this.parts.store
    if (local === undefined) return this.takeFar(from, entries, nowMs, requestId)
    const taken = this.takeHere(from, local, entries, nowMs, requestId)
    return "_tag" in taken ? Effect.fail(taken) : Effect.succeed(taken)
  }

  /** Takes all claims from accounts in this process, or says why not. */
  private takeHere(
    from: Sender,
    store: LocalBudgetStore,
    entries: ReadonlyArray<Entry>,
    nowMs: number,
    requestId: string | undefined
  ): Taken | BudgetError {
    const held = store.reserve(entries, nowMs)
    if (!("settle" in held)) return "_tag" in held ? held : refused(from, entries, held, nowMs, requestId)
    return new TakenHere(from, entries, held)
  }

  /** The same from a store that is far away. */
  private takeFar(
    from: Sender,
    entries: ReadonlyArray<Entry>,
    nowMs: number,
    requestId: string | undefined
  ): Effect.Effect<Taken, BudgetError> {
    const { fallback, settings, store } = this.parts
    const reservation: BudgetReservation = { id: this.parts.nextId(), claims: entries }
    const far = (standing: Standing | undefined): Taken => {
      let open = true
      return {
        entries,
        settle: (charges) => {
          if (!open) return undefined
          open = false
          this.settleFar(from, reservation, entries, charges, true)
          return standing === undefined ? undefined : standingOf(entries, standing, charges)
        },
        standing: (charges) => (standing === undefined ? undefined : standingOf(entries, standing, charges))
      }
    }
    return Effect.matchEffect(this.ask(from, reservation, entries, nowMs), {
      onSuccess: (answer) =>
        answer !== undefined && "index" in answer
          ? Effect.fail(refused(from, entries, answer, nowMs, requestId))
          : Effect.succeed(far(answer === undefined ? undefined : standingIn(answer.balances))),
      onFailure: (error): Effect.Effect<Taken, BudgetError> => {
        const handled = settings.onStoreError
        emit(from, () => ({ type: "budget-store-failed", store: store.name, operation: "reserve", handled, error }))
        if (handled === "fail-closed") return Effect.fail(error)
        if (fallback === undefined) return Effect.succeed(unaccounted)
        const taken = this.takeHere(from, fallback, entries, nowMs, requestId)
        return "_tag" in taken ? Effect.fail(taken) : Effect.succeed(taken)
      }
    })
  }

  /** Asks the store, unless it is lost. What it may have taken without our hearing of it is given back. */
  private ask(
    from: Sender,
    reservation: BudgetReservation,
    entries: ReadonlyArray<Entry>,
    nowMs: number
  ): Effect.Effect<BudgetRefusal | BudgetGrant | undefined, StoreError> {
    const { settings, store, watch } = this.parts
    const giveBack = (awaited: boolean) =>
      Effect.sync(() => this.settleFar(from, reservation, entries, evenly(entries, 0n), awaited))
    const reserved = Effect.suspend(() => store.reserve(reservation, nowMs))
    const asked = timeLimit(reserved, settings.storeTimeoutMs, () =>
      Effect.fail(lateStore(store.name, "reserve", settings.storeTimeoutMs))
    )
    // The pipeline reserves where it cannot be interrupted, and a store that is far away may take its time.
    const careful = Effect.tapError(
      Effect.onInterrupt(Effect.interruptible(asked), () => giveBack(true)),
      // Most likely it was not even asked.
      () => giveBack(false)
    )
    return watch === undefined ? careful : watch.ask(careful, Effect.fail)
  }

  private settleFar(
    from: Sender,
    reservation: BudgetReservation,
    entries: ReadonlyArray<Entry>,
    charges: ReadonlyArray<bigint>,
    awaited: boolean
  ): void {
    this.parts.settleLater({
      reservation,
      charges,
      awaited,
      settled: (spent) =>
        tellMarks(from, entries, charges, { counts: () => true, spent: (index: number) => spent[index]! })
    })
  }
}
