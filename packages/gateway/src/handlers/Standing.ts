/** Where the policies stand, as JSON for an operator: circuits, bulkheads, quotas, windows, accounts, routes. */
import type { Budget, Bulkhead, CircuitBreaker, TokenQuota } from "@breakwater/core"
import * as Effect from "effect/Effect"
import type { Engine } from "../config/Build.ts"

/** Entries of one kind that are shown. */
const most = 1_000

/** As JSON, amounts of money as texts of whole nano-dollars. */
export const jsonOf = (value: unknown): string =>
  JSON.stringify(value, (_, each: unknown) => (typeof each === "bigint" ? each.toString() : each))

type OfRoutes<A> = Effect.Effect<ReadonlyArray<A & { readonly route: string }>>

/** The snapshots of all services of one kind, each with the name of its route. */
const all = <S, A extends object>(
  services: ReadonlyMap<string, S>,
  of: (service: S) => Effect.Effect<ReadonlyArray<A>>
): Effect.Effect<ReadonlyArray<A & { readonly route: string }>> =>
  Effect.map(
    Effect.forEach(services, ([route, service]) =>
      Effect.map(of(service), (found) => found.map((each) => ({ route, ...each })))
    ),
    (each) => each.flat().slice(0, most)
  )

export const breakersOf = ({ breakers }: Engine): OfRoutes<CircuitBreaker.Snapshot> =>
  all(breakers, ({ snapshots }) => snapshots)

export const quotasOf = ({ quotas }: Engine): OfRoutes<TokenQuota.Snapshot & { readonly key: string }> =>
  all(quotas, ({ snapshots }) => snapshots)

const plainBulkhead = ({ partitions, ...rest }: Bulkhead.Snapshot) => ({
  ...rest,
  partitions: Object.fromEntries([...partitions].slice(0, 100).map(([name, n]) => [name.replace("\u0000", "/"), n]))
})

export const bulkheadsOf = ({ bulkheads }: Engine) =>
  all(bulkheads, ({ snapshots }) => Effect.map(snapshots, (each) => each.map(plainBulkhead)))

const plainAccount = (account: Budget.Snapshot) => ({
  name: account.budget,
  scope: account.scope,
  value: account.value,
  period: account.period,
  limitNanos: account.limit ?? null,
  softNanos: account.soft ?? null,
  spentNanos: account.spent,
  reservedNanos: account.reserved,
  remainingNanos: account.remaining ?? null,
  ...(account.startsAt === undefined ? {} : { startsAt: account.startsAt }),
  ...(account.resetsAt === undefined ? {} : { resetsAt: account.resetsAt })
})

/** Every account; `undefined` while their store is away. */
export const accountsOf = ({ accounts }: Engine) =>
  Effect.match(accounts, { onFailure: () => undefined, onSuccess: (found) => found.map(plainAccount) })

/** The routes: whom each asks, in which order. */
export const routesOf = ({ config, routes }: Engine) =>
  [...routes].map(([name, { targets, weights }]) => ({
    name,
    order: config.routes?.[name]?.order ?? "priority",
    targets: targets.map((target, i) => ({ target, weight: weights?.[i] ?? 1 }))
  }))
