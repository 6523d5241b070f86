/**
 * What the service and its policies know at the moment.
 */
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
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
  /** Every key that is remembered. */
  readonly quotas: ReadonlyArray<QuotaSnapshot & { readonly key: string }>
  /** Every key that is remembered. */
  readonly bulkheads: ReadonlyArray<BulkheadSnapshot>
  /** Left out without a cache, and while its store does not answer. */
  readonly cache?: CacheStats
  /** Accounts in which something stands, at most 1,000. Left out without a budget, and while its store does not answer. */
  readonly budgets?: ReadonlyArray<BudgetSnapshot>
}

interface Parts {
  readonly clock: Clock.Clock
  readonly summary: SummaryBook
  readonly breaker: CircuitBreakerService
  readonly quota: TokenQuotaService
  readonly bulkhead: BulkheadService
  readonly cache: ResponseCacheService
  readonly budget: BudgetService
}

/** How long a store may take to answer. */
const storeMs = 1_000
/** Accounts at most. */
const maxAccounts = 1_000

/** What is asked of a store that may be far away: without an answer, nothing. */
const optional = <A, E>(enabled: boolean, effect: Effect.Effect<A, E>): Effect.Effect<A | undefined> =>
  enabled
    ? Effect.matchEffect(Effect.timeoutOption(effect, storeMs), {
        onFailure: () => Effect.succeed(undefined),
        onSuccess: (answer) => Effect.succeed(Option.getOrUndefined(answer))
      })
    : Effect.succeed(undefined)

export const snapshotOf = (parts: Parts): Effect.Effect<LLMSnapshot> =>
  Effect.gen(function* () {
    const { breaker, budget, bulkhead, cache, clock, quota, summary } = parts
    const stats = yield* optional(cache.around !== undefined, cache.stats)
    const budgets = yield* optional(budget.reserve !== undefined, budget.accounts(maxAccounts))
    return {
      summary: summary.view(clock.currentTimeMillisUnsafe()),
      breakers: yield* breaker.snapshots,
      quotas: yield* quota.snapshots,
      bulkheads: yield* bulkhead.snapshots,
      ...(stats === undefined ? undefined : { cache: stats }),
      ...(budgets === undefined ? undefined : { budgets })
    }
  })
