/** The stream's parser, waits, filters, news, budgets, places. */
import { describe, expect, it } from "vitest"
import type { Budget, RecentRequest } from "../../../packages/dashboard/web/api/types.ts"
import { delayMs } from "../../../packages/dashboard/web/lib/backoff.ts"
import { budgetLabel, budgetShares } from "../../../packages/dashboard/web/lib/budgets.ts"
import { matches } from "../../../packages/dashboard/web/lib/matches.ts"
import { newsOf } from "../../../packages/dashboard/web/lib/news.ts"
import { details } from "../../../packages/dashboard/web/lib/plainly.ts"
import { EventParser } from "../../../packages/dashboard/web/lib/sse.ts"

describe("a stream of events", () => {
  const text =
    'event: snapshot\ndata: {"a":1}\n\n: still here\n\nevent: policy\r\ndata: one\r\ndata: two\r\n\r\ndata:bare\n\n'
  const events = [
    { event: "snapshot", data: '{"a":1}' },
    { event: "policy", data: "one\ntwo" },
    { event: "message", data: "bare" }
  ]

  it("is read the same however it is cut", () => {
    for (let size = 1; size <= text.length; size++) {
      const parser = new EventParser()
      const read = []
      for (let i = 0; i < text.length; i += size) read.push(...parser.push(text.slice(i, i + size)))
      expect(read).toEqual(events)
    }
  })

  it("is given up when a message has no end", () => {
    const parser = new EventParser()
    expect(() => {
      for (let i = 0; i < 100; i++) parser.push("x".repeat(1024 * 1024))
    }).toThrow("too long")
  })
})

describe("waits between tries", () => {
  it("double up to half a minute, never less than half of it, and stay there", () => {
    for (const chance of [0, 0.5, 1]) {
      const waits = [1, 2, 3, 4, 5, 6, 7, 100, 100_000].map((failures) => delayMs(failures, chance))
      expect(waits).toEqual([...waits].sort((a, b) => a - b))
      expect(waits.at(-1)).toBe(30_000 * (0.5 + chance / 2))
    }
    expect(delayMs(1, 1)).toBe(1_000)
    expect(delayMs(0, 0)).toBe(500)
  })
})

describe("the filter of requests", () => {
  const request: RecentRequest = {
    requestId: "req-1",
    at: 0,
    operation: "stream",
    outcome: "success",
    tookMs: 1,
    target: "b/model",
    context: { tenant: "acme", user: "ada", tags: ["night"] },
    attempts: [
      {
        attempt: 1,
        target: "a/model",
        outcome: "failure",
        startedAt: 0,
        tookMs: 1,
        waitedMs: 0,
        error: { _tag: "RateLimitError", message: "no" }
      }
    ],
    events: []
  }

  it.each(["", "  ", "req-1", "ADA", "acme night", "rate limit", "RateLimitError", "a/model stream", "b/mo"])(
    "finds it by %j",
    (filter) => expect(matches(request, filter)).toBe(true)
  )

  it.each(["grace", "ada failure", "c/model"])("does not find it by %j", (filter) =>
    expect(matches(request, filter)).toBe(false)
  )
})

describe("news", () => {
  it("tells a circuit by its state, and in its colour", () => {
    const news = newsOf({ type: "circuit-changed", key: "a/m", from: "closed", to: "open", reason: "failure-rate" })
    expect(news).toEqual({ tone: "bad", title: "circuit open", text: "a/m (failure rate)" })
  })

  it("is told of anything, whatever it carries", () => {
    expect(newsOf({ type: "brand-new", key: "k" })).toEqual({ tone: "plain", title: "brand new", text: "k" })
    expect(newsOf({ type: "constructor" }).title).toBe("constructor")
    expect(newsOf({ type: "circuit-changed" }).tone).toBe("plain")
    expect(newsOf({ type: "lost", error: { _tag: "StoreError" } }).tone).toBe("warn")
  })
})

describe("a budget", () => {
  const budget = (more: Partial<Budget>): Budget => ({
    scope: "tenant",
    value: "acme",
    period: "day",
    spentNanos: "4000000000",
    reservedNanos: "1000000000",
    ...more
  })

  it("is told in shares of its limit", () => {
    expect(budgetShares(budget({ limitNanos: "10000000000", softNanos: "8000000000" }))).toEqual({
      spent: 0.4,
      reserved: 0.1,
      soft: 0.8
    })
    expect(budgetShares(budget({ limitNanos: null })).spent).toBe(0)
    expect(budgetShares(budget({ limitNanos: "0" })).spent).toBe(0)
  })

  it("says whose it is", () => {
    expect(budgetLabel(budget({}))).toBe("tenant acme")
    expect(budgetLabel(budget({ scope: "global", value: "" }))).toBe("everybody")
    expect(budgetLabel(budget({ scope: "user", value: "" }))).toBe("user (none)")
    expect(budgetLabel(budget({ name: "pilot" }))).toBe("tenant acme · pilot")
  })
})

describe("an entry whose form is not known", () => {
  it("is told by what it has", () => {
    const entry = { at: 5, type: "login", who: { user: "ada", tags: ["a", "b"] }, empty: "", long: "x".repeat(200) }
    expect(details(entry, new Set(["at", "type"]))).toBe(`who user ada · tags a, b · long ${"x".repeat(80)}…`)
  })
})
