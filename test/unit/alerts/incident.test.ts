import { Incident, type Rules } from "@breakwater/alerts"
import type { Event } from "@breakwater/core"
import { Failures } from "@breakwater/testing"
import { describe, expect, it } from "@effect/vitest"
import { Book } from "../../../packages/alerts/src/internal/book.ts"
import type { Alert } from "../../../packages/alerts/src/internal/evaluator.ts"
import { circuit, costing, failed, finished, succeeded, threshold } from "./support.ts"

const minute = 60_000

const alertOf = (kind: Rules.Kind, key = ""): Alert => ({
  id: key === "" ? kind : `${kind}/${key}`,
  rule: kind,
  kind,
  key,
  severity: "page",
  state: "firing",
  since: 0,
  firingAt: 0,
  value: 1,
  threshold: 1,
  summary: `about ${kind}`
})

const stage = () => {
  let ms = 0
  const now = () => ({ ms, wallMs: Date.UTC(2026, 0, 1) + ms })
  const book = new Book("inc")
  const self = {
    book,
    pass: (byMs: number) => void (ms += byMs),
    send: (...events: ReadonlyArray<Event.PolicyEvent>) => events.forEach((event) => book.event(now(), event)),
    times: (count: number, make: () => Event.PolicyEvent) => {
      for (let i = 0; i < count; i++) self.send(make())
    },
    fire: (alert = alertOf("error-ratio")) => book.changes(now(), [{ type: "firing", alert }]),
    resolve: (alert = alertOf("error-ratio")) =>
      book.changes(now(), [{ type: "resolved", alert: { ...alert, state: "resolved" } }]),
    all: () => book.all(now()),
    cause: () => {
      self.fire()
      return self.all()[0]!.causes[0]!
    }
  }
  return self
}

describe("an incident", () => {
  it("is opened by the first alert, joined by others, and closed by the end of the last", () => {
    const it = stage()
    const [first, second] = [alertOf("error-ratio"), alertOf("circuit-open", "a/m")]
    expect(it.fire(first).map(({ type }) => type)).toEqual(["opened"])
    it.pass(minute)
    expect(it.fire(second)).toEqual([])
    it.send(costing(2_000_000_000n))
    it.pass(minute)
    expect(it.resolve(first)).toEqual([])
    it.pass(minute)
    const [closed] = it.resolve(second)
    expect(closed).toMatchObject({
      type: "closed",
      incident: { id: "inc-1", status: "closed", durationMs: 3 * minute, costNanos: "2000000000" }
    })
    expect(closed!.incident.alerts.map(({ id, state }) => `${state} ${id}`)).toEqual([
      "resolved error-ratio",
      "resolved circuit-open/a/m"
    ])
    expect(it.fire()[0]!.incident.id).toBe("inc-2")
    expect(it.all().map(({ id, status }) => `${status} ${id}`)).toEqual(["open inc-2", "closed inc-1"])
  })

  it("holds the errors from before beside those since, and what the policies did", () => {
    const it = stage()
    it.times(20, () => succeeded("a/m", 100))
    it.times(2, () => finished("failure", { error: Failures.timeout() }))
    it.pass(10 * minute)
    it.times(10, () => failed("a/m"))
    it.times(3, () => finished("failure"))
    it.times(1, () => finished("success"))
    it.send(
      circuit("a/m", "open"),
      { type: "failed-over", requestId: "r", from: "a/m", to: "b/m", error: Failures.server() },
      { type: "failed-over", requestId: "r", from: "a/m", to: "b/m", error: Failures.server() },
      { type: "retry-scheduled", requestId: "r", attempt: 1, target: "a/m", delayMs: 1, error: Failures.server() },
      { type: "bulkhead-rejected", key: "a", reason: "full", queued: 1, waitedMs: 0 }
    )
    it.fire()
    const [incident] = it.all()
    expect(incident!.errors).toEqual({ before: { RequestTimeoutError: 2 }, during: { ServerError: 3 } })
    expect(incident!.requests).toEqual({ success: 1, failure: 3, interrupted: 0 })
    expect(incident!.targets).toMatchObject([
      { target: "a/m", attempts: 10, failures: 10, failureRatioBefore: 0, failureRatio: 1, meanMsBefore: 100 }
    ])
    expect(incident!.policies).toMatchObject({ failovers: 2, retries: 1, circuitsOpened: 1, bulkheadRejections: 1 })
    expect(incident!.timeline.map(({ what }) => what)).toEqual([
      "first failure: a/m fails with ServerError",
      "circuit of a/m: closed → open (failure-rate)",
      "calls fail over from a/m to b/m (ServerError)",
      "alert error-ratio fires: about error-ratio"
    ])
  })

  it("keeps its timeline and its targets within bounds, and the beginning and the end of it", () => {
    const it = stage()
    it.fire()
    for (let i = 0; i < 5_000; i++) it.send(circuit(`t${i}/m`, "open"), failed(`t${i}/m`))
    it.resolve()
    const [incident] = it.all()
    expect(incident!.timeline.length).toBe(200)
    expect(incident!.timelineDropped).toBe(9_802)
    expect(incident!.timeline[0]!.what).toContain("fires")
    expect(incident!.timeline.at(-1)!.what).toContain("is resolved")
    expect(incident!.targets.length).toBe(51)
    for (let i = 0; i < 100; i++) {
      it.fire()
      it.resolve()
    }
    expect(it.all().length).toBe(50)
  })

  it("as Markdown says all of it, and text from outside stays text", () => {
    const it = stage()
    it.times(10, () => failed("a/m|x<script>"))
    it.times(2, () => finished("failure"))
    it.fire()
    it.send(costing(1_500_000_000n))
    it.pass(90_000)
    it.resolve()
    const text = Incident.toMarkdown(it.all()[0]!)
    expect(text).toContain("# Incident inc-1: ")
    expect(text).toContain("closed 2026-01-01T00:01:30.000Z (1 min 30 s). 2 of 3 calls failed")
    expect(text).toContain("$1.50")
    expect(text).toContain("| a/m\\|x\\<script\\> | 10 | 100.0 % | 0.0 % |")
    expect(text).not.toContain("<script>")
    for (const title of ["Alerts", "Suspected causes", "Targets", "Errors", "Timeline"]) {
      expect(text).toContain(`## ${title}\n`)
    }
  })
})

describe("the suspected cause", () => {
  it("is the target that fails while others do not", () => {
    const it = stage()
    it.times(20, () => failed("a/m"))
    it.times(20, () => succeeded("b/m"))
    const cause = it.cause()
    expect(cause).toMatchObject({ name: "one-target", sentence: "a/m fails while others do not." })
    expect(cause.evidence).toEqual(["a/m: 20 of 20 attempts failed (100 %)", "b/m: 0 of 20 attempts failed (0 %)"])
  })

  it("is all targets", () => {
    const it = stage()
    it.times(20, () => failed("a/m"))
    it.times(20, () => failed("b/m"))
    expect(it.cause().name).toBe("all-targets")
  })

  it.each([
    ["credentials", Failures.authentication()],
    ["account-exhausted", Failures.quota()],
    ["rate-limits", Failures.rateLimit()],
    ["network", Failures.transport()],
    ["latency", Failures.timeout()]
  ] as const)("is %s", (name, error) => {
    const it = stage()
    it.times(20, () => failed("a/m", error))
    it.times(20, () => succeeded("b/m"))
    expect(it.cause().name).toBe(name)
    expect(it.all()[0]!.causes.map((each) => each.name)).toContain("one-target")
  })

  it("is latency alone", () => {
    const it = stage()
    it.times(20, () => succeeded("a/m", 100))
    it.pass(10 * minute)
    it.times(20, () => succeeded("a/m", 900))
    expect(it.cause()).toMatchObject({ name: "latency", evidence: ["a/m: 100 ms before, 900 ms now"] })
  })

  it("is a store", () => {
    const it = stage()
    it.fire(alertOf("store-lost", "redis"))
    expect(it.all()[0]!.causes[0]).toMatchObject({
      name: "stores-lost",
      evidence: ["0 failures of stores", "lost: redis"]
    })
  })

  it("is a budget", () => {
    const it = stage()
    const { threshold: _, ...budget } = threshold(1)
    it.times(10, () => ({ ...budget, type: "budget-rejected", reserved: 0n, needed: 1n }))
    it.times(10, () => finished("failure", { error: { _tag: "BudgetExceededError" } as never }))
    expect(it.cause().name).toBe("budget")
  })

  it("is this side's own limits", () => {
    const it = stage()
    it.times(10, () => ({ type: "bulkhead-rejected", key: "a", reason: "full", queued: 1, waitedMs: 0 }))
    it.times(10, () => finished("failure", { error: { _tag: "BulkheadFullError" } as never }))
    expect(it.cause().name).toBe("own-limits")
  })

  it("is not known", () => {
    expect(stage().cause().name).toBe("unknown")
  })
})
