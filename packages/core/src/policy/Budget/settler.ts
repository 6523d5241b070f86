/**
 * Settles at a store that is far away, behind the calls: no call waits for it.
 *
 * A settlement that fails is tried again for a while. What cannot be settled stays reserved at the store: the limit is
 * kept, at the price of what the reservation was too large.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import { StoreError } from "../../errors/LLMError.ts"
import { emit } from "../../internal/emit.ts"
import { rejection } from "../../internal/rejection.ts"
import { lateStore, storeErrorOf } from "../../internal/storeErrors.ts"
import type { StoreWatch } from "../../internal/storeWatch.ts"
import { timeLimit } from "../../internal/timeLimit.ts"
import type { BudgetStoreService } from "../../store/BudgetStore.ts"
import type { FarSettlement } from "./engine.ts"

/** Settlements that may wait; more stay reserved. */
const backlog = 100_000

/** Settlements under way at once. */
const workers = 16

/** About half a minute in all. A store that is back hears of it within two seconds. */
const again = Schedule.max([
  Schedule.min([Schedule.exponential("100 millis", 2), Schedule.spaced("2 seconds")]),
  Schedule.recurs(18)
])

const full = (name: string): StoreError =>
  rejection(StoreError, "StoreError", {
    message: `${backlog} settlements wait for the store already`,
    store: name,
    operation: "settle"
  })

/** How long the end of the scope waits for what is left, and how long where the store is lost. */
const farewell = { normal: "5 seconds", lost: "1 second" } as const

export const makeSettler = (
  store: BudgetStoreService,
  timeoutMs: number,
  watch: StoreWatch
): Effect.Effect<(settlement: FarSettlement) => void, never, Scope.Scope> =>
  Effect.gen(function* () {
    const queue = yield* Queue.dropping<FarSettlement>(backlog)
    const context = yield* Effect.context<never>()
    const lost = (error: StoreError) =>
      emit({ context }, () => ({
        type: "budget-store-failed",
        store: store.name,
        operation: "settle",
        handled: "left-reserved",
        error
      }))
    let open = 0
    let idle: (() => void) | undefined
    const close = (awaited: boolean) => {
      if (!awaited) return
      open--
      if (open === 0) idle?.()
    }
    const settle = ({ awaited, charges, reservation, settled }: FarSettlement) =>
      timeLimit(store.settle(reservation, charges), timeoutMs, () =>
        Effect.fail(lateStore(store.name, "settle", timeoutMs))
      ).pipe(
        Effect.retry(again),
        Effect.map((spent) => (spent === undefined ? undefined : settled(spent))),
        // A defect is told, too: a worker that it ended would be missed by all that is settled later.
        Effect.catchCause((cause) =>
          Cause.hasInterrupts(cause)
            ? Effect.failCause(cause)
            : Effect.sync(() => lost(storeErrorOf(cause, store.name, "settle")))
        ),
        Effect.ensuring(Effect.sync(() => close(awaited)))
      )
    const work = Effect.forever(Effect.flatMap(Queue.take(queue), settle))
    for (let i = 0; i < workers; i++) yield* Effect.forkScoped(work)
    // Added last, and so run first, while the workers still work.
    yield* Effect.addFinalizer(() =>
      Effect.suspend(() => {
        const settled = Effect.callback<void>((resume) => {
          idle = () => resume(Effect.void)
          if (open === 0) idle()
        })
        return Effect.ignore(Effect.timeout(settled, watch.isLost ? farewell.lost : farewell.normal))
      })
    )
    return (settlement) => {
      if (settlement.awaited) open++
      if (!Queue.offerUnsafe(queue, settlement)) {
        close(settlement.awaited)
        lost(full(store.name))
      }
    }
  })
