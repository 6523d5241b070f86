/**
 * Where the ledger keeps its records.
 *
 * Records are appended, never changed. An append that succeeds is durable, all of it; one that fails has kept nothing,
 * or will be kept once however often it is tried again. The contract suite in `test/contract/ledger-store.ts` says what
 * every implementation owes.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { LedgerDimension, LedgerFilter, LedgerGroup, LedgerRecord } from "../domain/Ledger.ts"
import type { StoreError } from "../errors/LLMError.ts"
import { groupsOf, insightsOf, matches } from "../internal/ledgerTotals.ts"
import type { LedgerInsight } from "../internal/ledgerTotals.ts"

export type { LedgerInsight } from "../internal/ledgerTotals.ts"

/** What counts as short, for {@link LedgerStoreService.insights}. In tokens. */
export interface ShortCall {
  readonly inputTokens: number
  readonly outputTokens: number
}

/** Where a page of records begins: after this one. */
export interface LedgerCursor {
  readonly atMs: number
  readonly id: string
}

/** The port. Filters are ranges that hold something: `fromMs` is below `toMs`. */
export interface LedgerStoreService {
  /** A short name for errors and events. */
  readonly name: string
  /** Keeps all records, each once. Durable when it succeeds. */
  readonly append: (records: ReadonlyArray<LedgerRecord>) => Effect.Effect<void, StoreError>
  /**
   * Sums by the values of the dimensions; one group if there are none, and no group without records. A record counts in
   * the group of each of its tags.
   */
  readonly totals: (
    filter: LedgerFilter,
    by: ReadonlyArray<LedgerDimension>
  ) => Effect.Effect<ReadonlyArray<LedgerGroup>, StoreError>
  /** Records in the order of their time, then their ids; at most `limit` of them. */
  readonly records: (
    filter: LedgerFilter,
    limit: number,
    after?: LedgerCursor
  ) => Effect.Effect<ReadonlyArray<LedgerRecord>, StoreError>
  /** What recommendations rest on, a line for each model. */
  readonly insights: (filter: LedgerFilter, short: ShortCall) => Effect.Effect<ReadonlyArray<LedgerInsight>, StoreError>
}

export class LedgerStore extends Context.Service<LedgerStore, LedgerStoreService>()("@breakwater/core/LedgerStore") {}

/** A ledger in memory: for tests, and for programs that need no more than the day. It grows, and is gone with the process. */
export const makeMemory: Effect.Effect<LedgerStoreService> = Effect.sync(() => {
  const kept = new Map<string, LedgerRecord>()
  const found = (filter: LedgerFilter) => {
    const records: Array<LedgerRecord> = []
    for (const record of kept.values()) if (matches(filter, record)) records.push(record)
    return records
  }
  return {
    name: "memory",
    append: (records) =>
      Effect.sync(() => {
        for (const record of records) if (!kept.has(record.id)) kept.set(record.id, record)
      }),
    totals: (filter, by) => Effect.sync(() => groupsOf(found(filter), by, filter)),
    records: (filter, limit, after) =>
      Effect.sync(() =>
        found(filter)
          .sort((a, b) => a.atMs - b.atMs || (a.id < b.id ? -1 : a.id > b.id ? 1 : 0))
          .filter(
            (each) => after === undefined || each.atMs > after.atMs || (each.atMs === after.atMs && each.id > after.id)
          )
          .slice(0, limit)
      ),
    insights: (filter, short) => Effect.sync(() => insightsOf(found(filter), short))
  }
})

/** {@link makeMemory} as a Layer. */
export const layerMemory: Layer.Layer<LedgerStore> = Layer.effect(LedgerStore, makeMemory)
