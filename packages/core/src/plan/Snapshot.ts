/**
 * What the service and its policies know at the moment.
 */
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as CallContext from "../domain/CallContext.ts"
import type { SummaryBook } from "../internal/summaryBook.ts"
import type { SummaryView } from "../internal/summaryState.ts"
import type { BudgetService, Snapshot as BudgetSnapshot } from "../policy/Budget.ts"
import type { BulkheadService, Snapshot as BulkheadSnapshot } from "../policy/Bulkhead.ts"
import type { CircuitBreakerService, Snapshot as BreakerSnapshot } from "../policy/CircuitBreaker.ts"
import type { ResponseCacheService, Stats as CacheStats } from "../policy/ResponseCache.ts"
import type { Snapshot as QuotaSnapshot, TokenQuotaService } from "../policy/TokenQuota.ts"

/** What an `LLM` has done, and how its policies stand. */
export interface LLMSnapshot {
  /** The calls of this service since it was made. */
  readonly summary: SummaryView
  /** Every circuit that is remembered. */
  readonly breakers: ReadonlyArray<BreakerSnapshot>
  /** The quotas of the service's own targets; where they are kept by tenant, none. */
  readonly quotas: ReadonlyArray<QuotaSnapshot & { readonly key: string }>
  /** Every key that is remembered. */
  readonly bulkheads: ReadonlyArray<BulkheadSnapshot>
  /** Left out without a cache, and while its store does not answer. */
  readonly cache?: CacheStats
  /** The accounts of calls that do not say whose they are. Left out without a budget, and while its store does not answer. */
  readonly budgets?: ReadonlyArray<BudgetSnapshot>
}

interface Parts {
  readonly clock: Clock.Clock
  readonly summary: SummaryBook
  readonly targets: ReadonlyArray<string>
  readonly breaker: CircuitBreakerService
  readonly quota: TokenQuotaService
  readonly bulkhead: BulkheadService
  readonly cache: ResponseCacheService
  readonly budget: BudgetService
}

/** What is asked of a store that may be far away: without an answer, nothing. */
const optional = <A, E>(effect: Effect.Effect<A, E> | undefined): Effect.Effect<A | undefined> =>
  effect === undefined ? Effect.succeed(undefined) : Effect.catch(effect, () => Effect.succeed(undefined))

const quotasOf = (
  quota: TokenQuotaService,
  targets: ReadonlyArray<string>
): Effect.Effect<ReadonlyArray<QuotaSnapshot & { readonly key: string }>> =>
  Effect.map(
    Effect.forEach(targets, (key) =>
      Effect.map(quota.snapshot(key), (known) => (known === undefined ? undefined : { key, ...known }))
    ),
    (all) => all.filter((each) => each !== undefined)
  )

export const snapshotOf = (parts: Parts): Effect.Effect<LLMSnapshot> =>
  Effect.gen(function* () {
    const { breaker, budget, bulkhead, cache, clock, quota, summary, targets } = parts
    const stats = yield* optional(cache.around === undefined ? undefined : cache.stats)
    const budgets = yield* optional(
      budget.reserve === undefined ? undefined : budget.snapshot(CallContext.single, targets)
    )
    return {
      summary: summary.view(clock.currentTimeMillisUnsafe()),
      breakers: yield* breaker.snapshots,
      quotas: yield* quotasOf(quota, targets),
      bulkheads: yield* bulkhead.snapshots,
      ...(stats === undefined ? undefined : { cache: stats }),
      ...(budgets === undefined ? undefined : { budgets })
    }
  })
