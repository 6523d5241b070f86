/** `GET /admin/usage`: what the ledger says was used and spent, and by whom. */
import type { Ledger } from "@breakwater/core"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { Exchange } from "../internal/Exchange.ts"
import { type Problem, problem, wrong } from "../internal/Problem.ts"
import { jsonOf } from "./Standing.ts"

const dimensions = ["tenant", "user", "project", "key", "tag", "provider", "model", "operation", "outcome"] as const
const intervals = ["hour", "day", "week", "month"] as const

type Dimension = (typeof dimensions)[number]
type Interval = (typeof intervals)[number]

const day = 86_400_000
const usual = 30 * day

const isDimension = (text: string): text is Dimension => (dimensions as ReadonlyArray<string>).includes(text)
const isInterval = (text: string): text is Interval => (intervals as ReadonlyArray<string>).includes(text)

const outcomes = ["success", "failure", "interrupted"]
const operations = ["generate", "embed"]

/** An instant of ISO 8601, or milliseconds since 1970. */
const instantOf = (text: string | null, name: string, otherwise: number): number | Problem => {
  if (text === null) return otherwise
  const ms = /^\d{10,15}$/.test(text) ? Number(text) : /^\d{4}-\d\d/.test(text) ? Date.parse(text) : Number.NaN
  return Number.isNaN(ms) ? wrong(name, "it must be a date of ISO 8601, such as 2026-03-01") : ms
}

type Mutable<A> = { -readonly [K in keyof A]: A[K] }

/** What is asked, or which parameter is wrong. */
const reportOf = (query: URLSearchParams, nowMs: number): Ledger.Report | Problem => {
  const toMs = instantOf(query.get("to"), "to", nowMs + 1)
  if (typeof toMs !== "number") return toMs
  const fromMs = instantOf(query.get("from"), "from", toMs - usual)
  if (typeof fromMs !== "number") return fromMs
  if (fromMs >= toMs) return wrong("from", "it must be before to")
  const report: Mutable<Ledger.Report> = { fromMs, toMs }
  const by: Array<Dimension> = []
  for (const each of (query.get("by") ?? "model").split(",").map((text) => text.trim())) {
    if (isDimension(each)) by.push(each)
    else if (isInterval(each)) report.interval = each
    else return wrong("by", `it must be of ${[...dimensions, ...intervals].join(", ")}`)
  }
  report.by = [...new Set(by)]
  const zone = query.get("timeZone")
  if (zone !== null) report.timeZone = zone
  for (const name of dimensions) {
    const value = query.get(name)
    if (value === null) continue
    if (name === "outcome" && !outcomes.includes(value)) return wrong(name, outcomes.join(", "))
    if (name === "operation" && !operations.includes(value)) return wrong(name, operations.join(", "))
    Object.assign(report, { [name]: value })
  }
  return report
}

const groupOf = ({ by, costNanos, startMs, ...totals }: Ledger.LedgerGroup) => ({
  ...by,
  ...(startMs === undefined ? {} : { startAt: startMs }),
  ...totals,
  costNanos
})

const none = problem("not-found", "There is no ledger: the configuration's field ledger turns it on.", {
  code: "not_found"
})
const away = problem("overloaded", "The ledger's store does not answer.", { retryAfterMs: 5_000 })

/** `?by=model&from=2026-03-01&to=2026-04-01`, and any dimension to narrow it: `&user=ada`. */
export const usage = (exchange: Exchange): Effect.Effect<void, Problem> =>
  Effect.gen(function* () {
    const { ledger } = exchange.engine
    if (ledger === undefined) return yield* Effect.fail(none)
    const report = reportOf(exchange.query, yield* Clock.currentTimeMillis)
    if ("_tag" in report) return yield* Effect.fail(report)
    const groups = yield* Effect.mapError(ledger.report(report), (error) =>
      error._tag === "StoreError" ? away : wrong(error.parameter ?? "by", error.message)
    )
    const waiting = yield* ledger.waiting
    return yield* exchange.send(
      200,
      jsonOf({ from: report.fromMs, to: report.toMs, waiting, groups: groups.map(groupOf) })
    )
  })
