/** What each kind of rule measures: events in, readings out. Plain data; memory is bounded whatever the events say. */
import type { Event } from "@breakwater/core"
import {
  type BudgetShare,
  type CircuitOpen,
  type CostRate,
  defaultBurnWindows,
  defaults,
  type ErrorRatio,
  type Latency,
  millisOf,
  type RecordsLost,
  type Rule,
  type Severity,
  type Slo,
  type StoreLost
} from "../Rules.ts"
import { endOfPeriod } from "./periods.ts"
import { matches, sampleOf } from "./samples.ts"
import { QuantileWindow, RatioWindow } from "./windows.ts"

type PolicyEvent = Event.PolicyEvent

/** Now, by the monotonic clock (for windows) and by the wall's (for periods of the calendar). */
export interface Now {
  readonly ms: number
  readonly wallMs: number
}

/** What a rule sees of one key. */
export interface Reading {
  /** What it is of: a target, a circuit, an account, a store; empty for the whole. */
  readonly key: string
  readonly severity: Severity
  readonly value: number
  readonly threshold: number
  /** From 1 on the condition holds. */
  readonly level: number
  readonly text: string
}

export interface Detector {
  readonly event: (now: Now, event: PolicyEvent) => void
  /** The keys that may be worth an alert. A key that is left out is well. */
  readonly read: (now: Now) => ReadonlyArray<Reading>
}

/** Keys of one rule at most; more are not told apart. */
const maxKeys = 100

const ofEverything = "(others)"

/** An entry for a key, in a map that does not grow beyond its bound. */
const entryOf = <A>(map: Map<string, A>, key: string, make: () => A, idle: (entry: A) => boolean): A => {
  const known = map.get(key)
  if (known !== undefined) return known
  if (map.size >= maxKeys) {
    for (const [each, entry] of map) if (idle(entry)) map.delete(each)
  }
  const name = map.size >= maxKeys ? ofEverything : key
  const entry = map.get(name) ?? make()
  map.set(name, entry)
  return entry
}

const percent = (share: number): string => `${Number((share * 100).toPrecision(3))} %`
const rounded = (value: number): number => Number(value.toPrecision(4))

const severityOf = (rule: Rule): Severity => rule.severity ?? "ticket"

// --- objectives and ratios ----------------------------------------------------------------------------------------

const slo = (rule: Slo, start: Now): Detector => {
  const budget = 1 - rule.objective
  const minimum = rule.minimumCalls ?? defaults.minimumCalls
  const pairs = (rule.windows ?? defaultBurnWindows).map((window) => ({
    ...window,
    severity: rule.severity ?? window.severity ?? "page",
    shortMs: millisOf(window.short)!,
    over: {
      long: new RatioWindow(millisOf(window.long)!, start.ms),
      short: new RatioWindow(millisOf(window.short)!, start.ms)
    }
  }))
  const severities = [...new Set(pairs.map(({ severity }) => severity))]
  const limitMs = rule.signal === "latency" ? rule.withinMs : undefined
  return {
    event: (now, event) => {
      const sample = sampleOf(event, rule)
      if (sample === undefined) return
      const bad = !sample.good || (limitMs !== undefined && sample.tookMs > limitMs) ? 1 : 0
      for (const { over } of pairs) {
        over.long.add(now.ms, 1, bad)
        over.short.add(now.ms, 1, bad)
      }
    },
    read: (now) =>
      severities.map((severity) => {
        const readings = pairs
          .filter((pair) => pair.severity === severity)
          .map(({ burnRate, long, over, shortMs }) => {
            // A window that was not lived through yet would take a minute's errors for an hour's.
            const known = now.ms - start.ms >= shortMs && over.long.all(now.ms) >= minimum
            const share = Math.min(over.long.ratio(now.ms), over.short.ratio(now.ms))
            const burn = known ? share / budget : 0
            const said = rule.signal === "latency" ? `slower than ${rule.withinMs} ms, or failed` : "failed"
            return {
              key: severities.length === 1 ? "" : severity,
              severity,
              value: rounded(burn),
              threshold: burnRate,
              level: burn / burnRate,
              text: `${percent(over.long.ratio(now.ms))} of calls in ${long} ${said}; the objective allows ${percent(budget)}`
            }
          })
        return readings.reduce((worst, each) => (each.level > worst.level ? each : worst))
      })
  }
}

const errorRatio = (rule: ErrorRatio, start: Now): Detector => {
  const windowMs = millisOf(rule.window ?? defaults.window)!
  const minimum = rule.minimumCalls ?? defaults.minimumCalls
  const over = rule.perTarget === true ? "attempts" : (rule.over ?? "requests")
  const kinds = rule.errors === undefined ? undefined : new Set(rule.errors)
  const windows = new Map<string, RatioWindow>()
  let lastMs = start.ms
  return {
    event: (now, event) => {
      const sample = sampleOf(event, { over, ...(rule.target === undefined ? {} : { target: rule.target }) }, kinds)
      if (sample === undefined) return
      lastMs = now.ms
      const key = rule.perTarget === true ? sample.target : ""
      const window = entryOf(
        windows,
        key,
        () => new RatioWindow(windowMs, now.ms),
        (each) => each.all(lastMs) === 0
      )
      window.add(now.ms, 1, sample.good ? 0 : 1)
    },
    read: (now) =>
      [...windows].flatMap(([key, window]) => {
        const all = window.all(now.ms)
        if (all < minimum) return []
        const ratio = window.ratio(now.ms)
        return {
          key,
          severity: severityOf(rule),
          value: rounded(ratio),
          threshold: rule.ratio,
          level: ratio / rule.ratio,
          text: `${window.bad(now.ms)} of ${all} ${over}${key === "" ? "" : ` at ${key}`} failed in ${rule.window ?? defaults.window}`
        }
      })
  }
}

const latency = (rule: Latency, start: Now): Detector => {
  const window = new QuantileWindow(millisOf(rule.window ?? defaults.window)!, start.ms)
  const q = rule.quantile ?? defaults.quantile
  const first = rule.measure === "first-token"
  const of = { ...rule, over: first ? ("attempts" as const) : (rule.over ?? "requests") }
  return {
    event: (now, event) => {
      const sample = sampleOf(event, of)
      if (sample === undefined || !sample.good) return
      const ms = first ? sample.firstTokenMs : sample.tookMs
      if (ms !== undefined) window.add(now.ms, ms)
    },
    read: (now) => {
      if (window.count(now.ms) < (rule.minimumCalls ?? defaults.minimumCalls)) return []
      const ms = window.quantile(now.ms, q)
      const what = first ? "first tokens" : (rule.over ?? "requests")
      return [
        {
          key: "",
          severity: severityOf(rule),
          value: Math.round(ms),
          threshold: rule.boundMs,
          level: ms / rule.boundMs,
          text: `p${rounded(q * 100)} of ${what} is ${Math.round(ms)} ms; the bound is ${rule.boundMs} ms`
        }
      ]
    }
  }
}

const costRate = (rule: CostRate, limitNanos: number, start: Now): Detector => {
  const span = rule.window ?? defaults.costWindow
  const windowMs = millisOf(span)!
  const window = new RatioWindow(windowMs, start.ms)
  return {
    event: (now, event) => {
      if (event.type === "request-finished" && event.cost !== undefined)
        window.add(now.ms, Number(event.cost.nanoDollars), 0)
    },
    read: (now) => {
      const perHour = (window.all(now.ms) * 3_600_000) / windowMs
      return [
        {
          key: "",
          severity: severityOf(rule),
          value: rounded(perHour / 1e9),
          threshold: limitNanos / 1e9,
          level: perHour / limitNanos,
          text: `$${(perHour / 1e9).toFixed(2)} an hour over ${span}; the bound is $${(limitNanos / 1e9).toFixed(2)}`
        }
      ]
    }
  }
}

// --- states -------------------------------------------------------------------------------------------------------

/**
 * Past the end of an open circuit, how long nobody need ask for it before it is taken for gone: breakers forget such
 * circuits, and one that a reload has replaced never says that it is closed. By hand it is held until it is let go.
 */
const goneMs = 3_600_000

const circuitOpen = (rule: CircuitOpen): Detector => {
  const states = new Map<string, { readonly state: string; untilMs: number }>()
  const counts = (state: string) =>
    state === "open" || state === "half-open" || (rule.forced === true && state === "forced-open")
  return {
    event: (now, event) => {
      if (event.type === "circuit-rejected") {
        const known = states.get(event.key)
        if (known !== undefined) known.untilMs = Math.max(known.untilMs, now.ms + event.retryAfterMs + goneMs)
        return
      }
      if (event.type !== "circuit-changed" || !matches(rule.key, event.key)) return
      if (!counts(event.to)) return void states.delete(event.key)
      if (states.size >= maxKeys && !states.has(event.key)) return
      const untilMs = event.to === "forced-open" ? Infinity : now.ms + (event.openForMs ?? 0) + goneMs
      states.set(event.key, { state: event.to, untilMs })
    },
    read: (now) =>
      [...states].flatMap(([key, { state, untilMs }]) => {
        if (now.ms < untilMs)
          return {
            key,
            severity: severityOf(rule),
            value: 1,
            threshold: 1,
            level: 1,
            text: `the circuit of ${key} is ${state}`
          }
        states.delete(key)
        return []
      })
  }
}

/** One key for each account: limits may have a name in common, and are told apart by what is not in it then. */
const accountKey = ({ budget, period, scope, value }: Event.BudgetThreshold | Event.BudgetRejected): string =>
  `${budget}${value === "" ? "" : `:${value}`}${budget === `${scope} ${period}` ? "" : ` (${scope}, ${period})`}`

const budget = (rule: BudgetShare): Detector => {
  const share = rule.share ?? defaults.share
  const accounts = new Map<string, { key: string; value: number; untilWallMs: number; text: string }>()
  return {
    event: (now, event) => {
      if (event.type !== "budget-threshold" && event.type !== "budget-rejected") return
      if (rule.budget !== undefined && rule.budget !== event.budget) return
      const key = accountKey(event)
      const account = JSON.stringify([event.budget, event.scope, event.value, event.period])
      const spent = event.limit > 0n ? Number(event.spent) / Number(event.limit) : 1
      // A call was turned away: for the callers it is spent, whatever the share says.
      const value = event.type === "budget-rejected" ? Math.max(1, spent) : spent
      if (value < share) return void accounts.delete(account)
      if (accounts.size >= maxKeys && !accounts.has(account)) return
      const text = `${percent(value)} of the budget ${key} (${event.period}) is spent`
      accounts.set(account, { key, value, untilWallMs: endOfPeriod(event.period, now.wallMs), text })
    },
    read: (now) =>
      [...accounts].flatMap(([account, { key, text, untilWallMs, value }]) => {
        if (now.wallMs < untilWallMs)
          return {
            key,
            severity: severityOf(rule),
            value: rounded(value),
            threshold: share,
            level: value / share,
            text
          }
        accounts.delete(account)
        return []
      })
  }
}

/** How long a store that says nothing of its recovery is taken for lost after a failure. */
const failureMs = 60_000

const storeLost = (rule: StoreLost): Detector => {
  const stores = new Map<string, number>()
  const lost = (store: string, untilMs: number) => {
    if (rule.store !== undefined && rule.store !== store) return
    if (stores.size < maxKeys || stores.has(store)) stores.set(store, untilMs)
  }
  return {
    event: (now, event) => {
      switch (event.type) {
        case "store-lost":
          return lost(event.store, Infinity)
        case "store-recovered":
          return void stores.delete(event.store)
        case "circuit-store-changed":
          return event.available ? void stores.delete("circuit-breakers") : lost("circuit-breakers", Infinity)
        case "ledger-store-changed":
        case "audit-store-changed":
          return event.available ? void stores.delete(event.store) : lost(event.store, Infinity)
        case "cache-store-failed":
          return event.reason === "failed" || event.reason === "timeout"
            ? lost(event.store, Math.max(stores.get(event.store) ?? 0, now.ms + failureMs))
            : undefined
        case "budget-store-failed":
        case "limit-store-failed":
          return lost(event.store, Math.max(stores.get(event.store) ?? 0, now.ms + failureMs))
      }
    },
    read: (now) =>
      [...stores].flatMap(([key, untilMs]) => {
        if (now.ms < untilMs)
          return {
            key,
            severity: severityOf(rule),
            value: 1,
            threshold: 1,
            level: 1,
            text: `the store ${key} does not answer`
          }
        stores.delete(key)
        return []
      })
  }
}

const recordsLost = (rule: RecordsLost): Detector => {
  const windowMs = millisOf(rule.window ?? defaults.lostWindow)!
  const windows = new Map<string, RatioWindow>()
  return {
    event: (now, event) => {
      if (event.type !== "ledger-records-lost" && event.type !== "audit-entries-lost") return
      const window = entryOf(
        windows,
        event.store,
        () => new RatioWindow(windowMs, now.ms),
        (each) => each.all(now.ms) === 0
      )
      window.add(now.ms, event.count, 0)
    },
    read: (now) =>
      [...windows].flatMap(([key, window]) => {
        const count = window.all(now.ms)
        return count === 0
          ? []
          : {
              key,
              severity: severityOf(rule),
              value: count,
              threshold: 1,
              level: count,
              text: `${count} records for ${key} were lost`
            }
      })
  }
}

/** The detector of a rule that was checked. */
export const detectorOf = (rule: Rule, nanosOf: (dollars: string) => number, start: Now): Detector => {
  switch (rule.kind) {
    case "slo":
      return slo(rule, start)
    case "error-ratio":
      return errorRatio(rule, start)
    case "latency":
      return latency(rule, start)
    case "circuit-open":
      return circuitOpen(rule)
    case "budget":
      return budget(rule)
    case "cost-rate":
      return costRate(rule, nanosOf(rule.perHour), start)
    case "store-lost":
      return storeLost(rule)
    case "records-lost":
      return recordsLost(rule)
  }
}
